"""Runs a gateway with arguments of one's own, under load that counts what came of each call."""

import json
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.support import Gateway, clean_environment, free_port, wait_until_answers
from tests.e2e.upstream import Script, Upstream, streamed, whole

ANSWER = b'{"model":"m","choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":10,"completion_tokens":5}}'
COST = 10 * 1000 + 5 * 2000
ASK = {"model": "openai:m", "messages": []}
STREAM = {**ASK, "stream": True}
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5}}\n\n'
DONE = b"data: [DONE]\n\n"


def chunk(text: str, **more: object) -> bytes:
    content = {"model": "m", "choices": [{"index": 0, "delta": {"content": text}, **more}]}
    return b"data: " + json.dumps(content).encode() + b"\n\n"


def by_what_is_asked(connection: socket.socket, request: bytes) -> None:
    script = streamed(chunk("hel"), chunk("lo", finish_reason="stop"), USAGE, DONE)
    (script if b'"stream":true' in request.replace(b" ", b"") else whole(ANSWER))(connection, request)


def held_until(go_on: threading.Event) -> Script:
    """Begin a stream, and end it when `go_on` is set."""

    def script(connection: socket.socket, _request: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
        connection.sendall(head + chunk("a"))
        go_on.wait(60)
        connection.sendall(chunk("b", finish_reason="stop") + USAGE + DONE)
        connection.close()

    return script


def settings(server: Upstream, more: str = "") -> str:
    return f"""version: 1
{more}
providers:
  openai: {{base_url: {server.url}/v1, credential: env:KEY}}
prices:
  - {{model: "openai:m", input: 1, output: 2}}
"""


@contextmanager
def serving(
    home: Path, text: str, *arguments: str, program: Sequence[str] = ("farthing",), **variables: str
) -> Iterator[Gateway]:
    """Serve until the block ends; what the gateway says stands in `serve.log`."""
    home.mkdir(exist_ok=True, mode=0o700)
    port = free_port()
    (home / "settings.yaml").write_text(text, encoding="utf-8")
    environment = clean_environment(HOME=str(home), **{"KEY": "sk-real", **variables})
    command = [sys.executable, "-m", *program, "serve", "--home", str(home), "--port", str(port), *arguments]
    with (home / "serve.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    gateway = Gateway(home, port, process, environment)
    try:
        wait_until_answers(port, "/ready", process)
        yield gateway
        if process.poll() is None:
            assert gateway.stop() == 0, said(home)
    finally:
        if process.poll() is None:
            gateway.kill()


def said(home: Path) -> str:
    return (home / "serve.log").read_text(encoding="utf-8")


def workers_of(home: Path) -> list[int]:
    """Return the pids of the workers that serve a home, oldest first, by the journals' folder that they hold open."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and b"farthing.cli.worker" in (folder / "cmdline").read_bytes():
                open_files = {str(link.readlink()) for link in (folder / "fd").iterdir()}
                if any(path.startswith(str(home)) for path in open_files):
                    found.append(int(folder.name))
        except OSError:
            continue  # it ended just now
    return sorted(found)


@contextmanager
def load(gateway: Gateway, key: str, callers: int = 8) -> Iterator[Counter[str]]:
    """Call without pause until the block ends, every call on a connection of its own; counts what came back."""
    seen: Counter[str] = Counter()
    over = threading.Event()

    def call(number: int) -> None:
        streams = number % 2 == 0
        while not over.is_set():
            try:
                found = gateway.post("/v1/chat/completions", STREAM if streams else ASK, key)
            except Exception as error:  # noqa: BLE001 - a thread's error would be lost
                seen[f"{type(error).__name__}: {error}"] += 1
                continue
            good = found.status == 200 and (not streams or found.body.endswith(DONE))
            seen["good" if good else f"{found.status} {found.body[:300]!r}"] += 1

    threads = [threading.Thread(target=call, args=(number,)) for number in range(callers)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        over.set()
        for thread in threads:
            thread.join(60)


def until(condition: object, what: str, seconds: float = 20) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
