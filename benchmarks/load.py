"""Asks as fast as answers come, over kept connections, and tells how many and how fast.

wrk does it where there is one; otherwise a bare asyncio protocol in a process of its own, which is slower but takes no
time from what is measured: that is counted in the server's CPU time.
"""

import asyncio
import itertools
import json
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from benchmarks.processes import OTHER_CORE, running


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked, how often and for how long."""

    port: int
    path: str
    body: bytes
    headers: dict[str, str]
    connections: int
    seconds: float
    others: tuple[bytes, ...] = ()
    """Further bodies; if there are any, these are sent one after the other in place of `body`."""

    def raw(self, body: bytes | None = None) -> bytes:
        """Return the request's bytes, with another body where one is given."""
        body = self.body if body is None else body
        headers = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        head = f"POST {self.path} HTTP/1.1\r\nhost: bench\r\n{headers}content-length: {len(body)}\r\n\r\n"
        return head.encode() + body

    @property
    def in_turn(self) -> list[bytes]:
        """What is sent in turn, as bytes."""
        return [self.raw(body) for body in self.others or (self.body,)]


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it."""

    requests: int
    failed: int
    seconds: float
    p50_us: float


def load(ask: Ask) -> Told:
    """Ask for `seconds` and tell."""
    return _wrk(ask) if shutil.which("wrk") else _own(ask)


def _wrk(ask: Ask) -> Told:
    with tempfile.TemporaryDirectory() as folder:
        script, sent = Path(folder) / "post.lua", ask.in_turn
        for number, request in enumerate(sent):
            (Path(folder) / f"{number}").write_bytes(request)
        script.write_text(
            f"local requests, at = {{}}, 0\nfor number = 0, {len(sent) - 1} do\n"
            f'local f = io.open({json.dumps(folder + "/")} .. number, "rb")\n'
            'requests[number] = f:read("*a")\nf:close()\nend\n'
            f"request = function()\nat = (at + 1) % {len(sent)}\nreturn requests[at]\nend\n"
            "done = function(summary, latency)\n"
            'io.write(string.format("told %d %d %d %d\\n", summary.requests, summary.duration, '
            "summary.errors.status + summary.errors.read + summary.errors.timeout, latency:percentile(50)))\nend\n",
            encoding="ascii",
        )
        url = f"http://127.0.0.1:{ask.port}{ask.path}"
        command = ["wrk", "-t1", f"-c{ask.connections}", f"-d{max(1, round(ask.seconds))}s", "-s", str(script), url]
        with running(command, OTHER_CORE) as process:
            out = process.communicate()[0].decode()
    found = re.search(r"told (\d+) (\d+) (\d+) (\d+)", out)
    assert found, out
    requests, duration_us, failed, p50_us = map(int, found.groups())
    return Told(requests=requests, failed=failed, seconds=duration_us / 1e6, p50_us=p50_us)


def _own(ask: Ask) -> Told:
    with tempfile.TemporaryDirectory() as folder:
        order = Path(folder) / "ask"
        order.write_bytes(msgspec.msgpack.encode(ask))
        with running([sys.executable, "-m", "benchmarks.load", str(order)], OTHER_CORE) as process:
            return msgspec.json.decode(process.communicate()[0], type=Told)


class _Connection(asyncio.Protocol):
    """Asks again whenever an answer is whole."""

    def __init__(self, requests: Iterator[bytes], until: float) -> None:
        self.requests = requests
        self.until = until
        self.latencies_s: list[float] = []
        self.failed = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._received = b""
        self._began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self.transport = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        length = re.search(rb"(?i)content-length: (\d+)", head)
        whole = len(body) >= int(length.group(1)) if length else body.endswith(b"0\r\n\r\n")
        if whole:
            self.failed += b" 200 " not in head[:20]
            self.latencies_s.append(time.perf_counter() - self._began)
            self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        self.failed += exc is not None
        if not self.done.done():
            self.done.set_result(None)

    def _ask(self) -> None:
        self._received = b""
        self._began = time.perf_counter()
        if self._began >= self.until:
            self.transport.close()
        else:
            self.transport.write(next(self.requests))


async def _ask_all(ask: Ask) -> Told:
    began = time.perf_counter()
    until = began + ask.seconds
    requests = itertools.cycle(ask.in_turn)
    loop = asyncio.get_running_loop()
    opened = [
        await loop.create_connection(lambda: _Connection(requests, until), "127.0.0.1", ask.port)
        for _ in range(ask.connections)
    ]
    connections = [connection for _, connection in opened]
    await asyncio.gather(*(connection.done for connection in connections))
    latencies = [latency for connection in connections for latency in connection.latencies_s]
    return Told(
        requests=len(latencies),
        failed=sum(connection.failed for connection in connections),
        seconds=time.perf_counter() - began,
        p50_us=statistics.median(latencies) * 1e6,
    )


if __name__ == "__main__":
    asked = msgspec.msgpack.decode(Path(sys.argv[1]).read_bytes(), type=Ask)
    sys.stdout.buffer.write(msgspec.json.encode(asyncio.run(_ask_all(asked))))
