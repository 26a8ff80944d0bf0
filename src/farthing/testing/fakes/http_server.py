"""A small HTTP/1.1 server for fakes, because a fake must be able to misbehave where a proper server would not let it.

What surprised us: asyncio's streams tell a handler only on the next read that the client has left. A provider notices
while it is thinking, and stops billing; so the reader here raises a flag the moment the connection ends.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec

MAX_HEAD_BYTES = 64 << 10
"""Ten times what the largest recorded request had in headers."""
MAX_BODY_BYTES = 64 << 20
"""Twice the gateway's own default bound, so that a refusal is the gateway's and not ours."""
IDLE_S = 300.0
"""How long a connection is kept for its next request; longer than any pool keeps it, so that the pool decides."""


class Request(msgspec.Struct, frozen=True):
    """A request as it arrived; header names in lower case, of repeated ones the last."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the decoded body; raises `msgspec.DecodeError` where it is not JSON."""
        return msgspec.json.decode(self.body)


class ClientGone(Exception):
    """The client closed its connection before the answer was complete."""


class Exchange:
    """One request and its answer, however broken the answer is meant to be."""

    def __init__(self, request: Request, ears: "_Ears", writer: asyncio.StreamWriter) -> None:
        self.request = request
        self.open = True
        self._ears = ears
        self._writer = writer

    async def answer(
        self, status: int, body: bytes, headers: Mapping[str, str], *, send_bytes: int | None = None
    ) -> None:
        """Send a whole answer; with `send_bytes` the connection ends after so many bytes of the body."""
        whole = send_bytes is None
        self._send(
            _head(status, {**headers, "content-length": str(len(body))}) + (body if whole else body[:send_bytes])
        )
        await self._drain()
        if not whole:
            self.hang_up()

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Send the head of an answer whose body follows in pieces."""
        self._send(_head(status, {**headers, "transfer-encoding": "chunked"}))
        await self._drain()

    async def write(self, data: bytes) -> None:
        """Send a piece of the body."""
        self._send(b"%x\r\n%b\r\n" % (len(data), data))
        await self._drain()

    async def end(self) -> None:
        """Send the end of the body."""
        self._send(b"0\r\n\r\n")
        await self._drain()

    def hang_up(self) -> None:
        """End the connection where it is."""
        self.open = False
        self._writer.close()

    async def wait(self, seconds: float) -> None:
        """Let time pass, and raise `ClientGone` as soon as there is nobody to answer."""
        if seconds <= 0:
            await asyncio.sleep(0)
        else:
            try:
                await asyncio.wait_for(self._ears.gone.wait(), seconds)
            except TimeoutError:
                return
        self._check()

    def _send(self, data: bytes) -> None:
        self._check()
        self._writer.write(data)

    async def _drain(self) -> None:
        try:
            await self._writer.drain()
        except ConnectionError as error:
            raise ClientGone from error

    def _check(self) -> None:
        if self._ears.gone.is_set() or self._writer.is_closing():
            self.open = False
            raise ClientGone


Handler = Callable[[Exchange], Awaitable[None]]


class HttpServer:
    """Answers every request on loopback with `handler`."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closing = False

    async def start(self, port: int = 0, host: str = "127.0.0.1") -> int:
        """Listen; return the port."""
        loop = asyncio.get_running_loop()

        def connection() -> asyncio.StreamReaderProtocol:
            return asyncio.StreamReaderProtocol(_Ears(), self._serve, loop=loop)

        # Serving starts apart: whoever is cancelled in that step (Ctrl-C) can close what listens already.
        self._server = await loop.create_server(connection, host, port, backlog=1024, start_serving=False)
        await self._server.start_serving()
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening and end every connection."""
        self._closing = True
        if self._server is not None:
            self._server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._tasks)

    async def _serve(self, ears: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert isinstance(ears, _Ears)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while (request := await _read_request(ears)) is not None:
                exchange = Exchange(request, ears, writer)
                await self._handler(exchange)
                if not exchange.open:
                    break
        except (ClientGone, ConnectionError, asyncio.IncompleteReadError, TimeoutError):
            pass  # the client's choice; what it means for money is the handler's business
        except (ValueError, asyncio.LimitOverrunError):
            pass  # not HTTP, or too much of it: a connection that ends says so
        except asyncio.CancelledError:
            if not self._closing:  # asyncio up to 3.11 reports a cancelled connection as a failed one
                raise
        finally:
            self._tasks.discard(task)
            writer.close()


class _Ears(asyncio.StreamReader):
    """A reader that raises a flag when the other side has gone."""

    def __init__(self) -> None:
        super().__init__(limit=MAX_HEAD_BYTES)
        self.gone = asyncio.Event()

    def feed_eof(self) -> None:
        super().feed_eof()
        self.gone.set()

    def set_exception(self, exc: Exception) -> None:
        super().set_exception(exc)
        self.gone.set()


async def _read_request(ears: _Ears) -> Request | None:
    try:
        head = await asyncio.wait_for(ears.readuntil(b"\r\n\r\n"), IDLE_S)
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    lines = head[:-4].decode("latin-1").split("\r\n")
    method, path, _ = lines[0].split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    return Request(method, path, headers, await _read_body(ears, headers))


async def _read_body(ears: _Ears, headers: Mapping[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        parts: list[bytes] = []
        size = total = -1
        while size != 0:
            size = int((await ears.readuntil(b"\r\n")).split(b";")[0], 16)
            total += size
            if total > MAX_BODY_BYTES:
                raise ConnectionError(f"a request body of more than {MAX_BODY_BYTES} bytes")
            parts.append((await ears.readexactly(size + 2))[:-2])
        return b"".join(parts)
    length = int(headers.get("content-length", "0"))
    if length > MAX_BODY_BYTES:
        raise ConnectionError(f"a request body of {length} bytes; the most is {MAX_BODY_BYTES}")
    return await ears.readexactly(length)


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Overloaded"  # 529 is Anthropic's own
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
