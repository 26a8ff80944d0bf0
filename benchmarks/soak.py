"""Call the gateway many times, half of it streamed, with faults on both sides; show that nothing grows.

    python benchmarks/soak.py                    200,000 calls, about a minute
    python benchmarks/soak.py --calls 5000000    a night's worth

Every tenth answer of the provider is broken, every thirtieth client leaves in the middle. Afterwards each call must
stand in the ledger once, memory must not have grown with the calls, and files and tasks must be where they were. The
exit status says whether that is so. FARTHING_CI_SCALE shortens it.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import cast

import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.formats import formats
from benchmarks.processes import OTHER_CORE, GatewayProcess, gateway, rss_mb, upstream

CALLS = 200_000
CONNECTIONS = 64
LEAVES = 30
"""One in so many clients leaves when it has heard something."""
GROWTH_MB_PER_100K = 2.0
"""How much a straight line through the memory of the second half may rise; the noise of an allocator is under 1."""
MAX_JOURNAL_MB = 64
"""The journal's segments have 16 MB and go once their calls are in the database."""
MAX_DATABASE_BYTES = 1_000
"""A call with its indexes; measured are about 560."""
SETTLE_S = 60.0


class Client(asyncio.Protocol):
    """Asks again whenever an answer is over, on the same connection where it stands."""

    def __init__(self, crowd: "Crowd") -> None:
        self._crowd = crowd
        self._received = b""
        self._leaves = False
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask the first time."""
        self._transport = cast("asyncio.WriteTransport", transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        """Ask again when the answer is over, or leave."""
        assert self._transport is not None
        if self._leaves:
            self._crowd.done["left"] += 1
            self._transport.abort()
            return
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        at = head.lower().find(b"\r\ncontent-length: ")
        over = len(body) >= int(head[at + 18 :].split(b"\r", 1)[0]) if at >= 0 else body.endswith(b"0\r\n\r\n")
        if over:
            self._crowd.done[head[9:12].decode()] += 1
            self._ask()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        """Let somebody else come."""
        if self._received and not self._leaves:
            self._crowd.done["cut"] += 1
        self._crowd.lost()

    def _ask(self) -> None:
        assert self._transport is not None
        self._received = b""
        request = self._crowd.next_request()
        if request is None:
            self._transport.close()
            return
        self._leaves = self._crowd.dice.randrange(LEAVES) == 0
        self._transport.write(request)


class Crowd:
    """The clients together: how many calls are left to make, and what came of those made."""

    def __init__(self, served: GatewayProcess, calls: int) -> None:
        self.dice = Random(1)
        self.done: Counter[str] = Counter()
        self.sent = 0
        self._port = served.port
        self._calls = calls
        self._requests = [self._whole(served.key), self._streamed(served.key)]
        self._clients = 0
        self._opening: set[asyncio.Task[None]] = set()
        self._over = asyncio.get_running_loop().create_future()

    def next_request(self) -> bytes | None:
        """Return what is asked next; `None` when all was asked."""
        if self.sent >= self._calls:
            return None
        self.sent += 1
        return self._requests[self.sent % 2]

    async def run(self) -> None:
        """Ask until all was asked and answered."""
        self._clients = CONNECTIONS
        for _ in range(CONNECTIONS):
            await self._open()
        await self._over

    def lost(self) -> None:
        """A connection is gone: somebody else comes while there is something to ask."""
        if self.sent < self._calls:
            task = asyncio.get_running_loop().create_task(self._open())
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)
            return
        self._clients -= 1
        if not self._clients:
            self._over.set_result(None)

    async def _open(self) -> None:
        await asyncio.get_running_loop().create_connection(lambda: Client(self), "127.0.0.1", self._port)

    @staticmethod
    def _whole(key: str) -> bytes:
        body = json.dumps({"model": "gpt-5-mini", "messages": [{"role": "user", "content": "word " * 150}]}).encode()
        return _request("/v1/chat/completions", key, body)

    @staticmethod
    def _streamed(key: str) -> bytes:
        body = {"model": "claude-haiku-4-5", "max_tokens": 9, "stream": True, "messages": []}
        return _request(
            "/v1/messages", key, json.dumps(body).encode(), "x-bench-stream: 1\r\nx-bench-answer: short\r\n"
        )


def _request(path: str, key: str, body: bytes, more: str = "") -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nhost: soak\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n"
        f"x-bench-faults: 1\r\n{more}content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def write_short_stream(folder: Path) -> None:
    """Write an answer of few events: what is measured here is calls, not events."""
    events = next(one for one in formats() if one.name == "messages").events
    short = [*events[:4], *events[-3:]]
    (folder / "short.events").write_text("text/event-stream\n" + "".join(f"{e}%%\n" for e in short), encoding="utf-8")


def open_files(served: GatewayProcess) -> int:
    return len(list(Path(f"/proc/{served.process.pid}/fd").iterdir()))


def journal_bytes(served: GatewayProcess) -> int:
    return sum(path.stat().st_size for path in (served.home / "journal").glob("*.journal") if path.exists())


def farthing(served: GatewayProcess, *arguments: str) -> str:
    environment = {**os.environ, "FARTHING_HOME": str(served.home)}
    command = [sys.executable, "-m", "farthing", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, check=True, text=True).stdout


class Watch:
    """Looks at the gateway from time to time."""

    def __init__(self, served: GatewayProcess, crowd: Crowd) -> None:
        self._served = served
        self._crowd = crowd
        self.memory: list[tuple[int, float]] = []
        self.journal_bytes = 0

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(0.25)
            self.memory.append((self._crowd.sent, rss_mb(self._served.process)))
            self.journal_bytes = max(self.journal_bytes, journal_bytes(self._served))

    def growth_mb_per_100k(self) -> float:
        """Return the slope of a straight line through the second half."""
        half = self.memory[len(self.memory) // 2 :]
        if len({sent for sent, _ in half}) < 2:
            return 0.0
        return statistics.linear_regression([sent / 100_000 for sent, _ in half], [mb for _, mb in half]).slope


async def soak(served: GatewayProcess, calls: int) -> list[str]:
    """Call, print what was measured, and return what is wrong."""
    warm = Crowd(served, min(calls // 10, 20_000))
    await warm.run()
    crowd = Crowd(served, calls)
    watch = Watch(served, crowd)
    watching = asyncio.ensure_future(watch.run())
    began = time.monotonic()
    await crowd.run()
    seconds = time.monotonic() - began
    watching.cancel()
    sent = warm.sent + crowd.sent
    posted = await _posted(served, sent)
    farthing(served, "ledger", "verify")
    database = (served.home / "farthing.db").stat().st_size / max(posted, 1)
    growth = watch.growth_mb_per_100k()
    sys.stdout.write(
        f"{crowd.sent} calls in {seconds:.0f} s ({crowd.sent / seconds:.0f}/s), {posted} of {sent} in the ledger; "
        f"{dict(crowd.done)}\nmemory {watch.memory[0][1]:.1f} -> {watch.memory[-1][1]:.1f} MB ({growth:+.2f} MB per "
        f"100,000 calls in the second half), {database:.0f} bytes a call in the "
        f"database, journal at most {watch.journal_bytes / 1e6:.1f} MB\n"
    )
    checks = {
        f"{posted} calls are in the ledger and {sent} were made": posted == sent,
        f"memory grows by {growth:.2f} MB per 100,000 calls": growth <= GROWTH_MB_PER_100K or calls < 50_000,
        f"a call takes {database:.0f} bytes of the database": database <= MAX_DATABASE_BYTES or calls < 50_000,
        f"the journal grew to {watch.journal_bytes} bytes": watch.journal_bytes <= MAX_JOURNAL_MB * 1_000_000,
        "nobody was answered": crowd.done["200"] > crowd.sent // 2,
    }
    return [complaint for complaint, right in checks.items() if not right]


def files_left(served: GatewayProcess, before: int) -> list[str]:
    """Return a complaint when more files stay open than there were before the first call."""
    until = time.monotonic() + SETTLE_S
    while (after := open_files(served)) > before and time.monotonic() < until:
        time.sleep(0.1)
    sys.stdout.write(f"files {before} -> {after}\n")
    return [f"{after - before} files more are open than before the first call"] if after > before else []


async def _posted(served: GatewayProcess, sent: int) -> int:
    """Return how many calls the ledger has, once it has had the time to take all of them."""
    posted, until = 0, time.monotonic() + SETTLE_S
    while posted < sent and time.monotonic() < until:
        posted = int(json.loads(await asyncio.to_thread(farthing, served, "costs", "--json"))["total"]["attempts"])
        await asyncio.sleep(0.5)
    return posted


def main() -> int:
    """Run; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--calls", type=int, default=CALLS)
    calls = round(parser.parse_args().calls * float(os.environ.get("FARTHING_CI_SCALE", "1")))
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {OTHER_CORE})
    with tempfile.TemporaryDirectory() as folder:
        write_short_stream(Path(folder))
        with ExitStack() as provider:
            port = provider.enter_context(upstream(Path(folder))).port
            with gateway(port) as served:
                files_before = open_files(served)
                wrong = uvloop.run(soak(served, calls))
                provider.close()  # and with it the connections that the gateway keeps for the next call
                wrong += files_left(served, files_before)
    for complaint in wrong:
        sys.stderr.write(f"soak: {complaint}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
