"""A home whose gateways are killed, a provider that answers so far and no further, and clients in every format."""

import asyncio
import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from farthing.ledger.journal_reader import InFlight, read, segments
from farthing.ledger.verify import verify
from farthing.storage.postgres import PostgresStore
from farthing.storage.protocols import Store
from farthing.storage.sqlite import SqliteStore
from farthing.testing.crash_points import CrashPoint
from farthing.testing.mortal_gateway import migrations_with_next
from farthing.testing.mortal_postgres import postgres_migrations_with_next
from farthing.types.calls import Attempt
from tests.contracts.ledger_samples import NOON_US, InPlace
from tests.e2e.odd_answers import PATHS, STREAMED, lines, said, sse
from tests.e2e.support import clean_environment, farthing, free_port, wait_until_answers
from tests.e2e.upstream import Upstream, upstream

PATIENCE_S = 30.0
FIRST, MORE = "first words ", "and more words "
COST = 10 * 1000 + 5 * 2000
EMBEDDING_COST = 10 * 1000
_CASE = re.compile(rb"x-case: ([a-z]+)(-streamed)?\r\n")

USAGE: dict[str, dict[str, int]] = {
    "chat": {"prompt_tokens": 10, "completion_tokens": 5},
    "completions": {"prompt_tokens": 10, "completion_tokens": 5},
    "responses": {"input_tokens": 10, "output_tokens": 5},
    "embeddings": {"prompt_tokens": 10, "total_tokens": 10},
    "messages": {"input_tokens": 10, "output_tokens": 5},
    "gemini": {"promptTokenCount": 10, "candidatesTokenCount": 5},
    "ollama": {"prompt_eval_count": 10, "eval_count": 5},
}


class Case(msgspec.Struct, frozen=True):
    """A format, whole or streamed."""

    wire: str
    streamed: bool

    def __str__(self) -> str:
        return f"{self.wire}-streamed" if self.streamed else self.wire

    @property
    def cost(self) -> int:
        return EMBEDDING_COST if self.wire == "embeddings" else COST


STREAMS = tuple(Case(wire, True) for wire in PATHS if wire != "embeddings")
CASES = (*(Case(wire, False) for wire in PATHS), *STREAMS)


def begins(wire: str, text: str) -> bytes:
    """Return the beginning of a stream: what opens it, and its first text."""
    if wire != "messages":
        return goes_on(wire, text)
    message = {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": USAGE[wire]}
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    start = sse({"type": "message_start", "message": message}, name="message_start")
    return start + sse(block, name="content_block_start") + goes_on(wire, text)


def goes_on(wire: str, text: str) -> bytes:
    """Return a piece of a stream that says `text`."""
    match wire:
        case "chat":
            return sse({"model": "m", "choices": [{"index": 0, "delta": {"content": text}}]})
        case "completions":
            return sse({"model": "m", "choices": [{"index": 0, "text": text}]})
        case "responses":
            name = "response.output_text.delta"
            return sse({"type": name, "output_index": 0, "content_index": 0, "delta": text}, name=name)
        case "messages":
            delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}
            return sse(delta, name="content_block_delta")
        case "gemini":
            return sse({"candidates": [{"content": {"parts": [{"text": text}]}}], "modelVersion": "m"})
        case _:
            return lines({"model": "m", "message": {"role": "assistant", "content": text}, "done": False})


def ends(wire: str) -> bytes:
    """Return the end of a stream, with its usage."""
    usage = USAGE[wire]
    match wire:
        case "chat":
            stop = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
            return sse(stop, {"choices": [], "usage": usage}, "[DONE]")
        case "completions":
            stop = {"choices": [{"index": 0, "text": "", "finish_reason": "stop"}]}
            return sse(stop, {"choices": [], "usage": usage}, "[DONE]")
        case "responses":
            name = "response.completed"
            return sse({"type": name, "response": said(wire, "all of it", **usage)}, name=name)
        case "messages":
            delta = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}}
            return sse(delta, name="message_delta") + sse({"type": "message_stop"}, name="message_stop")
        case "gemini":
            return sse(said(wire, "", **usage))
        case _:
            return lines(said(wire, "", **usage))


class Stage:
    """Holds answers: before their head, after the first output, before their end. Open gates let them pass."""

    def __init__(self) -> None:
        self.head, self.end = threading.Event(), threading.Event()
        self.pieces = False
        self.arrived: list[str] = []
        self._changed = threading.Condition()
        self.open()

    def open(self) -> None:
        self.head.set()
        self.end.set()

    def hold(self, *, head: bool = False, pieces: bool = False) -> None:
        """Hold ends, and heads too; with `pieces` streams go on saying something until their end."""
        self.end.clear()
        self.pieces = pieces
        if head:
            self.head.clear()

    def wait_for(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.arrived) >= count, PATIENCE_S), self.arrived

    def take_arrived(self) -> list[str]:
        with self._changed:
            arrived, self.arrived = self.arrived, []
            return arrived

    def answer(self, connection: socket.socket, request: bytes) -> None:
        """Answer one request; a script for `upstream`."""
        named = _CASE.search(request)
        assert named is not None, request
        case = Case(named[1].decode(), named[2] is not None)
        with self._changed:
            self.arrived.append(str(case))
            self._changed.notify_all()
        self.head.wait(PATIENCE_S)
        if case.streamed:
            self._stream(connection, case.wire)
        else:
            body = json.dumps(said(case.wire, FIRST, **USAGE[case.wire])).encode()
            half = len(body) // 2
            head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
            connection.sendall(head + body[:half])
            self.end.wait(PATIENCE_S)
            connection.sendall(body[half:])

    def _stream(self, connection: socket.socket, wire: str) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        _send_chunk(connection, begins(wire, FIRST))
        while not self.end.wait(0.05 if self.pieces else PATIENCE_S):
            _send_chunk(connection, goes_on(wire, MORE))
        _send_chunk(connection, ends(wire))
        connection.sendall(b"0\r\n\r\n")


def _send_chunk(connection: socket.socket, piece: bytes) -> None:
    connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))


class Client:
    """One call in a thread of its own; `first` is set when the first output has come, `whole` when all of it has."""

    def __init__(self, port: int, key: str, case: Case, task: str) -> None:
        self.case, self.task = case, task
        self.first, self.over = threading.Event(), threading.Event()
        self.whole = False
        self._port, self._key = port, key
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    def join(self) -> None:
        self._thread.join(PATIENCE_S)
        assert self.over.is_set(), self.task

    def _ask(self) -> None:
        path, body = STREAMED[self.case.wire] if self.case.streamed else PATHS[self.case.wire][:2]
        headers = {
            "content-type": "application/json",
            "authorization": f"Bearer {self._key}",
            "x-case": str(self.case),
            "x-farthing-task": self.task,
        }
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_S)
        try:
            connection.request("POST", path, json.dumps(body).encode(), headers)
            response = connection.getresponse()
            got = b""
            while piece := response.read1():
                got += piece
                if FIRST.strip().encode() in got:
                    self.first.set()
            self.whole = response.status == 200
        except (OSError, http.client.HTTPException):
            pass  # the gateway was killed
        finally:
            connection.close()
            self.over.set()


class House:
    """A home, its provider, and one gateway after the other."""

    def __init__(self, home: Path, provider: Upstream, stage: Stage, database: str | None = None) -> None:
        """`database` is the URL of a PostgreSQL; without one it is a file in the home."""
        self.home, self.stage = home, stage
        self._database = database
        self.process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.clients: list[Client] = []
        home.mkdir(mode=0o700)
        rows = "".join(f'  - {{model: "{name}:*", input: 1, output: 2}}\n' for name in _PROVIDERS)
        providers = "".join(f"  {name}: {told.format(url=provider.url)}\n" for name, told in _PROVIDERS.items())
        told = f"version: 1\nproviders:\n{providers}prices:\n{rows}{_BUDGETS}"
        if database is not None:
            (home / "database.url").write_text(database, encoding="utf-8")
            (home / "database.url").chmod(0o600)
            told += f"storage: {{url: 'file:{home / 'database.url'}'}}\n"
        (home / "settings.yaml").write_text(told, encoding="utf-8")
        self._environment = clean_environment(HOME=str(home), KEY="sk-x")
        self.key = ""

    def forget_budgets(self) -> None:
        """Have none, before the start."""
        settings = self.home / "settings.yaml"
        settings.write_text(settings.read_text(encoding="utf-8").partition("budgets:")[0], encoding="utf-8")

    def start(self, point: CrashPoint | None = None, *options: str, ready: bool = True) -> None:
        """Start a gateway that will die at `point`; without one, and without options, the plain program."""
        mortal = ["--die", str(point)] if point is not None else []
        module = ["farthing.testing.mortal_gateway", *mortal, *options, "--"] if mortal or options else ["farthing"]
        arguments = ["serve", "--home", str(self.home), "--port", str(self.port)]
        with (self.home / "serve.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *module, *arguments], stdout=log, stderr=log, env=self._environment
            )
        if ready:
            wait_until_answers(self.port, "/ready", self.process)
            if not self.key:
                told = re.search(r"ft-\w+", (self.home / "serve.log").read_text())
                assert told is not None
                self.key = told[0]

    def ask(self, point: str, cases: Iterable[Case]) -> list[Client]:
        """Ask in these formats at once; a call's task names the point and the format."""
        asked = [Client(self.port, self.key, case, f"{point}-{case}") for case in cases]
        self.clients += asked
        return asked

    def wait_for_death(self) -> None:
        """Wait until the gateway has died at its point, and all that waited for it know."""
        assert self.process is not None
        assert self.process.wait(PATIENCE_S) == -signal.SIGKILL, self.log()[-2_000:]
        self.stage.open()
        for client in self.clients:
            client.join()

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.wait_for_death()

    def log(self) -> str:
        return (self.home / "serve.log").read_text(encoding="utf-8")

    def farthing(self, *arguments: str) -> None:
        farthing(self.home, *arguments, environment=self._environment)

    def stop(self) -> None:
        """Stop the gateway in order; its journal must be empty then."""
        assert self.process is not None
        self.process.terminate()
        assert self.process.wait(PATIENCE_S) == 0, self.log()[-2_000:]
        assert segments(self.home / "journal") == []

    def in_flight(self) -> dict[str, InFlight]:
        """Return what the journal says of attempts without an end, by task."""
        found = read(segments(self.home / "journal"))
        return {one.opening.attribution.task or "": one for one in found if isinstance(one, InFlight)}

    def kept(self, *, next_tables: bool = False) -> dict[str, Attempt]:
        """Return the ledger by task, having proved that it agrees with itself and has nothing twice.

        Calls without a task are left out.
        """

        async def look() -> list[Attempt]:
            store = self._store(next_tables=next_tables)
            await store.open()
            try:
                found = await verify(store, self.home / "journal", InPlace(), now_us=NOON_US, budgets=store.budgets)
                assert found == []
                for account in await store.budgets.accounts(now_us=0):
                    assert account.leased_nanousd == 0, "what the dead had leased is with nobody"
                    assert account.spent_nanousd <= account.limit_nanousd
                return await store.attempts_after("", 10_000)
            finally:
                await store.close()

        attempts = asyncio.run(look())
        tasks = [attempt.opening.attribution.task for attempt in attempts]
        by_task = {task: attempt for task, attempt in zip(tasks, attempts, strict=True) if task is not None}
        assert len(by_task) + tasks.count(None) == len(attempts), tasks
        return by_task

    def _store(self, *, next_tables: bool) -> Store:
        if self._database is not None:
            return PostgresStore(
                self._database, migrations=postgres_migrations_with_next() if next_tables else None, makes=False
            )
        migrations = migrations_with_next() if next_tables else None
        return SqliteStore(self.home / "farthing.db", InPlace(), migrations=migrations)

    def restart_and_settle(self) -> dict[str, Attempt]:
        """Start the plain program after a crash and stop it; return what is in the ledger, which the command proves."""
        self.start()
        self.stop()
        self.farthing("ledger", "verify")
        return self.kept()


_BUDGETS = """budgets:
  all: {usd: 1, period: total}
  each-task: {usd: 0.5, period: day, task: "*"}
"""
"""Each call holds a quarter of what there is, so of these each has enough, and nobody more than that."""
_PROVIDERS = {
    "openai": "{{base_url: {url}/v1, credential: env:KEY}}",
    "gemini": "{{base_url: {url}, credential: env:KEY}}",
    "anthropic": "{{base_url: {url}, credential: env:KEY}}",
    "oll": "{{kind: ollama, base_url: {url}, credential: env:KEY, free: false}}",
}


@contextmanager
def house(tmp_path: Path, database: str | None = None) -> Iterator[House]:
    stage = Stage()
    with upstream(stage.answer) as provider:
        made = House(tmp_path / "home", provider, stage, database)
        try:
            yield made
        finally:
            stage.open()
            if made.process is not None and made.process.poll() is None:
                made.process.kill()
                with suppress(subprocess.TimeoutExpired):
                    made.process.wait(10)
