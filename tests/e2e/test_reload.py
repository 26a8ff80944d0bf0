"""settings.yaml is changed under a running gateway: what is good holds for the next call, what is wrong for none."""

import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from farthing.config.paths import Home
from farthing.config.running import Running, read_running
from tests.e2e.support import Gateway, clean_environment, free_port, request, running_gateway, wait_until_answers
from tests.e2e.upstream import Script, Upstream, silent, streamed, upstream, whole

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")

SCALE = float(os.environ.get("FARTHING_CI_SCALE", "1"))
CHANGES = max(10, int(50 * SCALE))
WITHIN_S = 20.0
"""A change holds within a second and a half; a machine that is busy with other tests may take longer."""


def answer(text: str) -> bytes:
    usage = {"prompt_tokens": 1000, "completion_tokens": 10, "total_tokens": 1010}
    message = {"role": "assistant", "content": text}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return json.dumps({"model": "m", "choices": choices, "usage": usage}).encode()


def chunk(text: str | None, finish: str | None = None, usage: bool = False) -> bytes:
    data: dict[str, Any] = {"model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}
    if text is not None:
        data["choices"][0]["delta"] = {"content": text}
    if usage:
        data["usage"] = {"prompt_tokens": 1000, "completion_tokens": 10, "total_tokens": 1010}
    return b"data: " + json.dumps(data).encode() + b"\n\n"


STREAM = (chunk("one"), 0.02, chunk("two"), 0.02, chunk(None, "stop", usage=True), b"data: [DONE]\n\n")


def either(text: str) -> Script:
    """Answer whole or streamed, as the request asks."""
    as_whole, as_stream = whole(answer(text), content_type="application/json"), streamed(*STREAM)

    def script(connection: Any, request: bytes) -> None:
        (as_stream if b'"stream": true' in request else as_whole)(connection, request)

    return script


def lab(server: Upstream, more: str = "") -> str:
    return f"{{kind: openai-compatible, base_url: {server.url}/v1, credential: none{more}}}"


class Settings:
    """The file of a running gateway, and whether what it says holds already."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.path = gateway.home / "settings.yaml"
        self.head = "".join(line + "\n" for line in self.path.read_text().splitlines()[:2])

    def running(self) -> Running:
        found = read_running(Home(self.gateway.home))
        assert found is not None
        return found

    def put(self, text: str, *, in_place: bool = False) -> Running:
        """Write the file, ask for it to be read, and return what the gateway says of itself then."""
        before = self.running().settings.looked_at_us
        self.write(text, in_place=in_place)
        self.gateway.process.send_signal(signal.SIGHUP)
        return self.until(lambda running: running.settings.looked_at_us > before)

    def write(self, text: str, *, in_place: bool = False) -> None:
        if in_place:
            self.path.write_text(self.head + text)
        else:
            draft = self.path.with_name("draft")
            draft.write_text(self.head + text)
            draft.replace(self.path)

    def until(self, holds: Callable[[Running], bool]) -> Running:
        deadline = time.monotonic() + WITHIN_S
        while not holds(running := self.running()):
            assert time.monotonic() < deadline, f"{running} after {WITHIN_S} s"
            time.sleep(0.01)
        return running


@contextmanager
def load(gateway: Gateway, key: str, models: tuple[str, ...]) -> Iterator[Counter[str]]:
    """Call without pause until the block ends, whole and streamed; counts what came back."""
    seen: Counter[str] = Counter()
    over = threading.Event()

    def call(number: int) -> None:
        streams = number % 2 == 0
        while not over.is_set():
            body = {"model": models[number % len(models)], "messages": [], "stream": streams}
            try:
                found = gateway.post("/v1/chat/completions", body, key)
            except Exception as error:  # noqa: BLE001 - a thread's error would be lost
                seen[f"{type(error).__name__}: {error}"] += 1
                continue
            good = found.status == 200 and (not streams or found.body.endswith(b"data: [DONE]\n\n"))
            seen["good" if good else f"{found.status} {found.body[:300]!r}"] += 1

    callers = [threading.Thread(target=call, args=(number,)) for number in range(8)]
    for caller in callers:
        caller.start()
    try:
        yield seen
    finally:
        over.set()
        for caller in callers:
            caller.join(60)


@pytest.mark.slow
def test_no_call_fails_while_the_file_is_changed_for_better_and_worse(tmp_path: Path) -> None:
    with upstream(either("a")) as first, upstream(either("b")) as second, upstream(either("c")) as third:

        def text(number: int, more: str = "") -> str:
            # `moving` is reached now here and now there: its connections are drained again and again.
            moving = (first, second)[number % 2]
            prices = f"prices:\n  - {{model: 'still:*', input: {number}, output: 1}}\n"
            aliases = f"models: {{fast: 'still:m', away: 'moving:m{number}'}}\n"
            passing = f"  passing: {lab(third)}\n" if number % 3 == 0 else ""
            bound = f", max_connections: {100 + number}" if number % 5 == 0 else ""
            return (
                f"providers:\n  still: {lab(third, bound)}\n  moving: {lab(moving)}\n{passing}{aliases}{prices}{more}"
            )

        bad = (
            lambda number: text(number, "unpriced: maybe\n"),
            lambda number: text(number).replace("moving:m", "nobody:m"),
            lambda _: "providers: [\n",
            lambda number: text(number).replace("credential: none", "credential: sk-live"),
            lambda number: text(number).replace("http://", "ftp://"),
        )
        with running_gateway(tmp_path / "home", text(0)) as gateway:
            settings, key = Settings(gateway), gateway.new_key()
            with load(gateway, key, ("fast", "away", "still:m", "moving:m")) as seen:
                for number in range(1, CHANGES + 1):
                    if number % 2:
                        assert settings.put(text(number), in_place=number % 4 == 1).settings.problem is None
                    else:
                        told = settings.put(bad[number // 2 % len(bad)](number), in_place=number % 4 == 0)
                        assert told.settings.problem is not None
                        assert "sk-live" not in told.settings.problem
                assert settings.put(text(0)).settings.problem is None
                served = seen["good"]
            assert set(seen) == {"good"}, seen
            assert served >= CHANGES
            gateway.verify()
            attempts = gateway.attempts()
            assert len(attempts) == seen["good"]
            # A call costs what its own settings said: 1000 tokens at N dollars a million, and 10 at one.
            priced = {one.cost_nanousd for one in attempts if one.opening.provider == "still"}
            assert priced <= {number * 1_000_000 + 10_000 for number in range(CHANGES + 1)}
            assert len(priced) > 3


def test_a_change_is_noticed_without_being_asked_and_a_mistake_keeps_what_was(tmp_path: Path) -> None:
    with (
        upstream(either("a")) as server,
        running_gateway(tmp_path / "home", f"providers: {{lab: {lab(server)}}}\n") as gateway,
    ):
        settings, key = Settings(gateway), gateway.new_key()
        good = f"providers: {{lab: {lab(server)}}}\nmodels: {{fast: 'lab:m'}}\n"

        def status() -> int:
            return gateway.post("/v1/chat/completions", {"model": "fast", "messages": []}, key).status

        assert status() == 404
        before = settings.running().settings.looked_at_us
        settings.write(good)
        began = time.monotonic()
        settings.until(lambda running: running.settings.looked_at_us > before)
        assert status() == 200
        if SCALE >= 1:
            assert time.monotonic() - began < 5

        settings.write(good.replace("'lab:m'", "'lib:m'"))
        settings.until(lambda running: running.settings.problem is not None)
        assert status() == 200
        wrong = subprocess.run(
            [sys.executable, "-m", "farthing", "--home", str(gateway.home), "config", "check"],
            env=gateway.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert wrong.returncode == 1
        assert "goes on with the settings that it had" in wrong.stderr
        doctor = subprocess.run(
            [sys.executable, "-m", "farthing", "--home", str(gateway.home), "doctor", "--json"],
            env=gateway.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        told = [one["message"] for one in json.loads(doctor.stdout) if one["what"] == "settings"]
        assert [("did not take them up" in message, "'lib:m' names no provider" in message) for message in told] == [
            (False, True),
            (True, False),
        ]
        assert "the settings stay what they were" in (gateway.home / "serve.log").read_text()

        settings.path.unlink()
        settings.until(lambda running: "is gone" in str(running.settings.problem))
        assert status() == 200
        settings.write(good)
        settings.until(lambda running: running.settings.problem is None)
        assert "Good: 1 provider" in gateway.farthing("config", "check").stderr


def test_providers_that_a_change_leaves_out_are_logged_and_a_client_is_told_the_way_out(tmp_path: Path) -> None:
    with (
        upstream(either("a")) as server,
        running_gateway(tmp_path / "home", "find_local: false\n", OPENAI_API_KEY="sk") as gateway,
    ):
        settings, key = Settings(gateway), gateway.new_key()
        assert [one.name for one in settings.running().providers] == ["openai"]
        started = settings.running().settings.started
        assert started is not None
        assert started.port == gateway.port
        settings.put(f"providers: {{lab: {lab(server)}}}\n")
        deadline, log = time.monotonic() + WITHIN_S, ""
        while "settings.yaml names providers now" not in log:
            assert time.monotonic() < deadline, log
            time.sleep(0.02)
            log = (gateway.home / "serve.log").read_text()
        assert 'openai; "farthing providers add NAME" names one there as well' in log
        answer = gateway.post("/v1/chat/completions", {"model": "gpt-5-mini", "messages": []}, key)
        assert answer.status == 404
        assert b'runs \\"farthing providers add openai\\"' in answer.body
        assert b"starts again" not in answer.body


def test_a_stream_ends_with_what_it_began_with_and_its_connection_is_closed_then(tmp_path: Path) -> None:
    going_on = threading.Event()

    def slow(connection: Any, _request: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        for number, piece in enumerate(piece for piece in STREAM if isinstance(piece, bytes)):
            connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
            if number == 0:
                going_on.wait(WITHIN_S)
        connection.sendall(b"0\r\n\r\n")

    with upstream(slow) as old, upstream(either("new")) as new:
        prices = "prices: [{model: 'lab:*', input: %d, output: 0}]\n"
        with running_gateway(tmp_path / "home", f"providers: {{lab: {lab(old)}}}\n{prices % 1}") as gateway:
            settings, key = Settings(gateway), gateway.new_key()
            found: list[bytes] = []
            body = {"model": "lab:m", "messages": [], "stream": True}
            caller = threading.Thread(target=lambda: found.append(gateway.post("/v1/chat/completions", body, key).body))
            caller.start()
            deadline = time.monotonic() + WITHIN_S
            while not old.requests:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            settings.put(f"providers: {{lab: {lab(new)}}}\n{prices % 7}")
            assert gateway.post("/v1/chat/completions", {"model": "lab:m", "messages": []}, key).status == 200
            assert len(new.requests) == 1
            going_on.set()
            caller.join(WITHIN_S)
            assert found
            assert found[0].endswith(b"data: [DONE]\n\n")
            while old._open:
                assert time.monotonic() < deadline, "the old provider's connection is still open"
                time.sleep(0.01)
            costs = [(one.cost_nanousd, one.outcome) for one in gateway.attempts()]
            assert costs == [(1_000_000, "ok"), (7_000_000, "ok")]


def test_a_providers_connections_are_kept_where_its_address_is(tmp_path: Path) -> None:
    connections: set[Any] = set()

    def counted(connection: Any, request: bytes) -> None:
        connections.add(connection.getpeername())
        either("a")(connection, request)

    with upstream(counted) as server, upstream(either("b")) as other:
        both = f"providers:\n  lab: {lab(server, '%s')}\n  other: {lab(other)}\n"
        with running_gateway(tmp_path / "home", both % "") as gateway:
            settings, key = Settings(gateway), gateway.new_key()
            for more in ("", ", free: true", ", hold_s: 3", ", timeouts: {idle_s: 20}"):
                settings.put(both % more)
                assert gateway.post("/v1/chat/completions", {"model": "lab:m", "messages": []}, key).status == 200
            settings.put(f"providers: {{lab: {lab(server)}}}\n")
            assert gateway.post("/v1/chat/completions", {"model": "lab:m", "messages": []}, key).status == 200
            assert gateway.post("/v1/chat/completions", {"model": "other:m", "messages": []}, key).status == 404
            assert len(connections) == 1


def test_a_credential_in_a_file_is_read_again_when_asked(tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text("sk-one")
    secret.chmod(0o600)
    with upstream(either("a")) as server:
        text = f"providers: {{lab: {lab(server).replace('none', f'file:{secret}')}}}\n"
        with running_gateway(tmp_path / "home", text) as gateway:
            settings, key = Settings(gateway), gateway.new_key()
            for value in ("sk-one", "sk-two"):
                secret.write_text(value)
                settings.put(text)
                gateway.post("/v1/chat/completions", {"model": "lab:m", "messages": []}, key)
                assert f"Bearer {value}".encode() in server.requests[-1]


def test_an_ollama_that_was_found_at_the_start_is_kept_though_it_is_too_busy_to_answer(tmp_path: Path) -> None:
    version, models = whole(b'{"version":"0.12.0"}'), whole(b'{"models":[{"name":"qwen3:8b"}]}')
    with (
        upstream(version, models, silent) as ollama,
        running_gateway(tmp_path / "home", "", OLLAMA_HOST=ollama.url) as gateway,
    ):
        settings, key = Settings(gateway), gateway.new_key()
        assert "qwen3:8b" in str(request(gateway.port, "GET", "/v1/models", headers=bearer(key)).json())
        told = settings.put("unpriced: refuse\n")
        assert [one.name for one in told.providers] == ["ollama"]
        # It does not answer any more; what it listed before is known all the same.
        assert "qwen3:8b" in str(request(gateway.port, "GET", "/v1/models", headers=bearer(key)).json())
        assert len([one for one in ollama.requests if b"/api/version" in one]) == 1
        # As soon as the file names somebody, only that one is used.
        assert [one.name for one in settings.put("providers: {vllm: }\n").providers] == ["vllm"]


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def test_bounds_hold_at_once_and_an_address_waits_for_a_restart(tmp_path: Path) -> None:
    with (
        upstream(either("a")) as server,
        running_gateway(tmp_path / "home", f"providers: {{lab: {lab(server)}}}\n") as gateway,
    ):
        settings, key = Settings(gateway), gateway.new_key()
        body = {"model": "lab:m", "messages": [{"role": "user", "content": "x" * (2 << 20)}]}
        assert gateway.post("/v1/chat/completions", body, key).status == 200
        settings.head = "version: 1\n"
        running = settings.put(
            f"server: {{port: 1, max_body_mb: 1, public_url: 'https://f.example'}}\nproviders: {{lab: {lab(server)}}}\n"
        )
        assert running.settings.needs_restart == (
            "server.public_url: nothing holds, https://f.example needs a restart",
        )
        assert gateway.post("/v1/chat/completions", body, key).status == 413
        told = gateway.farthing("config", "check").stderr
        assert "server.public_url: nothing holds, https://f.example needs a restart" in told
        # The port came from the command line, so what the file says of it changes nothing.
        shown = json.loads(gateway.farthing("config", "show", "server.port", "--json").stdout)
        (row,) = shown
        assert row["value"] == gateway.port
        assert row["origin"] == f"command line of pid {gateway.process.pid}"


def test_a_setting_that_is_set_by_command_is_taken_up(tmp_path: Path) -> None:
    with (
        upstream(either("a")) as server,
        running_gateway(tmp_path / "home", f"providers: {{lab: {lab(server)}}}\n") as gateway,
    ):
        settings, key = Settings(gateway), gateway.new_key()
        before = settings.running().settings.looked_at_us
        assert "Set models.fast to 'lab:m'" in gateway.farthing("config", "set", "models.fast", "lab:m").stderr
        settings.until(lambda running: running.settings.looked_at_us > before)
        assert gateway.post("/v1/chat/completions", {"model": "fast", "messages": []}, key).status == 200
        schema = json.loads((gateway.home / "settings.schema.json").read_text())
        assert "providers" in schema["properties"]


def test_closing_the_terminal_ends_a_gateway_that_was_started_in_it(tmp_path: Path) -> None:
    port = free_port()
    home = tmp_path / "home"
    log = (tmp_path / "log").open("wb")
    child, terminal = pty.fork()
    if child == 0:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it is ignored, and is meant to be by who starts so
        arguments = [sys.executable, "-m", "farthing", "serve", "--home", str(home), "--port", str(port)]
        os.execve(sys.executable, arguments, clean_environment(HOME=str(tmp_path)))
    process = _Child(child)
    try:
        wait_until_answers(port, "/ready", process)  # type: ignore[arg-type]
        running = read_running(Home(home))
        assert running is not None
        os.kill(child, signal.SIGHUP)  # by hand, and the terminal is there: read the settings
        deadline = time.monotonic() + WITHIN_S
        while (now := read_running(Home(home))) is None or now.settings == running.settings:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.close(terminal)
        deadline = time.monotonic() + WITHIN_S
        while process.poll() is None:
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.01)
        assert process.returncode == 0
        assert b"everything is settled" in (tmp_path / "log").read_bytes()
    finally:
        log.close()
        if process.poll() is None:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


class _Child:
    """As much of a `Popen` as is needed of a process that `pty.fork` made."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            ended, status = os.waitpid(self._pid, os.WNOHANG)
            if ended:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode
