"""One request and its answer, between a connection and an ASGI application.

The head of an answer waits for the first piece of its body, so that both leave in one write. An answer that broke off
closes its connection without the end that would make it look whole.
"""

import asyncio
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from farthing.server.listener import Listener, Scope

if TYPE_CHECKING:
    from farthing.server.protocol import HttpProtocol

log = logging.getLogger(__name__)

_BREAKERS = b"\r\n\0"
"""What no header may hold: it ends a line, here or in a laxer reader behind us."""

STATUS_LINES = {s.value: b"HTTP/1.1 %d %b\r\n" % (s.value, s.phrase.encode()) for s in HTTPStatus}


class RequestCycle:
    """One request and its answer, as ASGI sees them."""

    __slots__ = (
        "_body",
        "_chunked",
        "_connection",
        "_done",
        "_gone",
        "_head",
        "_head_only",
        "_http_11",
        "_left",
        "_size",
        "_started",
        "keep_alive",
        "scope",
        "task",
    )

    def __init__(self, connection: "HttpProtocol", body: bytes, keep_alive: bool, http_11: bool) -> None:  # noqa: FBT001 - the parser's two answers
        self.scope: Scope = {}
        self.task: asyncio.Task[None] | None = None
        self._connection = connection
        self._body: bytes | None = body
        self._size = len(body)
        self.keep_alive = keep_alive
        self._http_11 = http_11
        self._head = b""
        self._head_only = False
        self._chunked = False
        self._started = False
        self._done = False
        self._left = False
        self._gone: asyncio.Future[None] | None = None

    async def run(self, listener: Listener) -> None:
        """Let the application answer; whatever it does, the connection goes on or is closed in order."""
        try:
            await listener.app(self.scope, self.receive, self.send)
        except asyncio.CancelledError:
            self.keep_alive = False
            if not self._left and not listener.draining:
                raise
        except Exception:
            log.exception("an error nobody expected while answering %s", self.scope.get("method"))
            self.keep_alive = False
            if not self._started:
                self._connection.write(STATUS_LINES[500] + b"content-length: 0\r\nconnection: close\r\n\r\n")
                self._done = True
        finally:
            if self.task is not None:
                listener.tasks.discard(self.task)
            self.release()
            self._finish(listener)
            self.scope = {}  # it holds `push`, which holds this cycle: untied, it goes without a collection

    def _finish(self, listener: Listener) -> None:
        if self._done:
            self._connection.served(keep_alive=self.keep_alive and not listener.draining)
        else:  # the answer is not whole: closing without its end is the only honest thing left
            self._connection.served(keep_alive=False)

    def release(self) -> None:
        """Give the body's bytes back to the server's bound."""
        self._body = None
        size, self._size = self._size, 0
        self._connection.listener.buffered_bytes -= size

    def client_left(self) -> None:
        """Cancel the handler; it settles what was produced."""
        self._left = True
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)
        if self.task is not None and not self._done:
            self.task.cancel()

    async def receive(self) -> dict[str, Any]:
        """ASGI: the whole body at once, then nothing until the client leaves."""
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        if not self._left:
            self._gone = asyncio.get_running_loop().create_future()
            await self._gone
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        """ASGI: the head waits for the first piece of the body, so that both leave in one write."""
        if message["type"] == "http.response.start":
            self._start(message["status"], message["headers"])
            return
        body, more = message.get("body", b""), message.get("more_body", False)
        head, self._head = self._head, b""
        connection = self._connection
        if self._head_only:
            connection.write(head)
        elif not self._chunked:
            connection.write(head + body if head else body)
        elif more:
            if body:
                connection.write(b"%b%x\r\n%b\r\n" % (head, len(body), body))
            elif head:
                connection.write(head)
        else:
            connection.write(b"%b%x\r\n%b\r\n0\r\n\r\n" % (head, len(body), body) if body else head + b"0\r\n\r\n")
        if not more:
            self._done = True
        if connection.paused:
            await connection.drained()

    def hold(self, size: int) -> None:
        """Count `size` more bytes, of a body that was unpacked, among those in memory until the answer is out.

        Raises:
            Overloaded: they are over the server's bound.
        """
        listener = self._connection.listener
        self._size += size
        listener.buffered_bytes += size
        if (error := listener.overloaded()) is not None:
            raise error

    def push(self, data: bytes) -> bool:
        """Write a piece of a body whose head is out, now; False, and nothing written, where that cannot be.

        The shortcut for streams beside ASGI's `send`; empty data only asks.
        """
        connection = self._connection
        if connection.paused or self._head or self._left or self._done or not self._chunked:
            return False
        if data:
            connection.write(b"%x\r\n%b\r\n" % (len(data), data))
        return True

    def _start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        assert not self._started, "an answer has one head"
        self._started = True
        lines = [STATUS_LINES.get(status) or b"HTTP/1.1 %d Status\r\n" % status, self._connection.listener.date_line]
        rows = len(headers) + 3  # the status line, the date and the empty line
        framed = False
        no_body = status in (204, 304)
        for name, value in headers:
            if name == b"content-length":
                framed = True
                if no_body:
                    rows -= 1
                    continue  # some clients would wait for what it promises
            lines += (name, b": ", value, b"\r\n")
        self._head_only = self.scope["method"] == "HEAD" or no_body
        if not framed and not self._head_only:
            if self._http_11:
                self._chunked = True
                lines.append(b"transfer-encoding: chunked\r\n")
                rows += 1
            else:
                self.keep_alive = False
        if not self.keep_alive or self._connection.listener.draining:
            lines.append(b"connection: close\r\n")
            rows += 1
            self.keep_alive = False
        elif not self._http_11:
            lines.append(b"connection: keep-alive\r\n")
            rows += 1
        lines.append(b"\r\n")
        self._head = head = b"".join(lines)
        if head.count(b"\n") != rows or head.count(b"\r") != rows or b"\0" in head:
            # A header that brings its own line ends could write further headers, or a whole answer of its own.
            self._started = False
            self._start(status, [(n.translate(None, _BREAKERS), v.translate(None, _BREAKERS)) for n, v in headers])
