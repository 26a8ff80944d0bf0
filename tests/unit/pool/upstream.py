"""A real server on loopback that sends exactly the bytes a test writes, and a few ways to ask it."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

import trustme

from farthing.providers.pool import Answer, Origin, Pool, Timeouts

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
HEAD = b"POST /v1 HTTP/1.1\r\nhost: upstream\r\ncontent-length: %d\r\n\r\n"
TIMEOUTS = Timeouts(connect_s=5, first_byte_s=10, idle_s=10, total_s=20)


class Certificates(NamedTuple):
    """One authority that signs, and two files: its own, and a stranger's."""

    authority: trustme.CA
    ca_file: str
    wrong_ca_file: str

    def context(self, name: str) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.authority.issue_cert(name).configure_cert(context)
        return context


class Line:
    """The server's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, upstream: "Upstream") -> None:
        self.reader, self.writer, self._upstream = reader, writer, upstream

    async def request(self) -> bytes:
        """The next request, whole; b"" when the client has gone."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
            body = await self.reader.readexactly(int(head.rpartition(b"content-length: ")[2].split(b"\r")[0]))
        except (asyncio.IncompleteReadError, ConnectionError):
            return b""
        self._upstream.requests.append(head + body)
        return head + body

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def client_left(self) -> None:
        """Return when the client has closed."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65536):
                pass


Serve = Callable[[Line], Awaitable[None]]


class Upstream:
    def __init__(self, serve: Serve) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.origin = Origin("http", "127.0.0.1", 0)
        self._serve = serve
        self._tasks: set[asyncio.Task[Any]] = set()

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(ConnectionError):
                await self._serve(Line(reader, writer, self))
        except asyncio.CancelledError:
            pass
        finally:
            writer.close()
            self._tasks.discard(task)

    async def left(self) -> None:
        """Return when every connection has ended on this side too."""
        while self._tasks:
            await asyncio.wait(self._tasks, timeout=5)

    async def stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await self.left()


@contextlib.asynccontextmanager
async def upstream(
    serve: Serve, *, tls: ssl.SSLContext | None = None, ca_file: str | None = None
) -> AsyncIterator[Upstream]:
    up = Upstream(serve)
    server = await asyncio.start_server(up.take, "127.0.0.1", 0, ssl=tls, limit=1 << 24)
    port = server.sockets[0].getsockname()[1]
    up.origin = Origin("https", "localhost", port, ca_file) if tls is not None else Origin("http", "127.0.0.1", port)
    try:
        yield up
    finally:
        server.close()
        await up.stop()
        await server.wait_closed()


def always(answer: bytes) -> Serve:
    """Answer every request on a connection the same way."""

    async def serve(line: Line) -> None:
        while await line.request():
            await line.send(answer)

    return serve


def once(answer: bytes) -> Serve:
    """Answer one request and close."""

    async def serve(line: Line) -> None:
        await line.request()
        await line.send(answer)

    return serve


async def until(fact: Callable[[], object]) -> None:
    """Return when a fact holds that nothing announces, such as a count of the pool's."""
    async with asyncio.timeout(5):
        while not fact():  # noqa: ASYNC110 - the product has no event for it, and needs none
            await asyncio.sleep(0)


async def ask(pool: Pool, origin: Origin, body: bytes = b"hello", timeouts: Timeouts = TIMEOUTS) -> Answer:
    return await pool.send(origin, HEAD % len(body), (body,), timeouts)


async def ask_whole(pool: Pool, origin: Origin, body: bytes = b"hello", timeouts: Timeouts = TIMEOUTS) -> bytes:
    answer = await ask(pool, origin, body, timeouts)
    return await answer.read(1 << 26)
