"""One request and the answer to it, between a connection and whoever answers.

The head of a stream waits for its first piece, so that both leave in one write. An answer that broke off closes its
connection without the end that would make it look whole.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec

from farthing.wire.conversations import Conversation

if TYPE_CHECKING:
    from farthing.server.protocol import HttpProtocol

log = logging.getLogger(__name__)

_BREAKERS = b"\r\n\0"
"""What no header may hold: it ends a line, here or in a laxer reader behind us."""
_EMPTY = frozenset({204, 304})
"""The statuses of answers that have no body, and of which some clients would wait for one that is promised."""

STATUS_LINES = {s.value: b"HTTP/1.1 %d %b\r\n" % (s.value, s.phrase.encode()) for s in HTTPStatus}


class Exchange(msgspec.Struct, eq=False):
    """What was asked, and the way to answer: `respond`, or `begin` and then `send` until `more` is false.

    `target` is the path as the client wrote it, `query` what follows its question mark; `headers` are in order, with
    names in lower case, and `named` has the last of each name. Lines of an answer's head are `name: value`.
    """

    peer: "HttpProtocol"
    """The connection that it came by."""
    method: bytes
    target: bytes
    query: bytes
    headers: list[tuple[bytes, bytes]]
    named: Mapping[bytes, bytes]
    _body: bytes | None
    _size: int
    """Bytes that count as this request's among those that the server holds: first those of the body."""
    keep_alive: bool
    _http_11: bool
    task: "asyncio.Task[None] | None" = None
    whose: str = ""
    """The id of the key that it came with, once that is known."""
    _head: bytes = b""
    _head_only: bool = False
    _chunked: bool = False
    _started: bool = False
    _begun: bool = False
    _done: bool = False
    left: bool = False
    """Whether the client is gone."""
    _stays: bool = False
    _gone: "asyncio.Future[None] | None" = None

    __repr__ = object.__repr__  # or a log of it would tell its key

    async def run(self) -> None:
        """Let the application answer; whatever it does, the connection goes on or is closed in order."""
        connection = self.peer
        listener = connection.listener
        self._begun = True
        try:
            if not self.left:
                await listener.app(self)
            if connection.paused:
                await connection.drained()
        except asyncio.CancelledError:
            self.keep_alive = False
            if not self.left and not listener.draining:
                raise
        except Exception:
            log.exception("an error nobody expected while answering %s", self.method.decode("latin-1"))
            self.keep_alive = False
            if not self._started:
                connection.write(STATUS_LINES[500] + b"content-length: 0\r\nconnection: close\r\n\r\n")
                self._done = True
        finally:
            listener.exchanges.pop(self, None)
            if self.left:
                listener.ends(self)
            self.release()
            # An answer that is not whole: closing without its end is the only honest thing left.
            connection.served(keep_alive=self._done and self.keep_alive and not listener.draining)

    # ---- what the application does

    @property
    def conversation(self) -> Conversation:
        """What its connection sent last."""
        return self.peer.conversation

    def take_body(self) -> bytes:
        """Return the request's body, and let go of it; empty when that was done before."""
        body, self._body = self._body, None
        return body or b""

    def respond(self, status: int, lines: Sequence[bytes], body: bytes) -> None:
        """Answer whole, at once."""
        self.peer.write(self._head_of(status, lines, len(body)) + (b"" if self._head_only else body))
        self._done = True

    def begin(self, status: int, lines: Sequence[bytes], length: int | None = None) -> None:
        """Begin an answer that comes in pieces; its head leaves with the first of them."""
        self._head = self._head_of(status, lines, length)

    async def send(self, data: bytes, *, more: bool) -> None:
        """Send a piece of an answer that was begun; wait while the client reads more slowly than we write."""
        head, self._head = self._head, b""
        connection = self.peer
        if self._head_only:
            out = head
        elif not self._chunked:
            out = head + data
        elif not more:
            out = b"%b%x\r\n%b\r\n0\r\n\r\n" % (head, len(data), data) if data else head + b"0\r\n\r\n"
        else:
            out = b"%b%x\r\n%b\r\n" % (head, len(data), data) if data else head
        if out:
            connection.write(out)
        if not more:
            self._done = True
        if connection.paused:
            await connection.drained()

    def push(self, data: bytes) -> bool:
        """Write a piece of a body whose head is out, now; False, and nothing written, where that cannot be.

        The shortcut for streams beside `send`; empty data only asks.
        """
        connection = self.peer
        if connection.paused or self._head or self.left or self._done or not self._chunked:
            return False
        if data:
            connection.write(b"%x\r\n%b\r\n" % (len(data), data))
        return True

    def hold(self, size: int) -> None:
        """Count `size` more bytes, of a body that was unpacked, among those in memory until the answer is out.

        Raises:
            Overloaded: they are over the server's bound.
        """
        listener = self.peer.listener
        self._size += size
        listener.buffered_bytes += size
        if (error := listener.overloaded()) is not None:
            raise error

    def stay(self) -> None:
        """Have the handler go on for a while should the client leave; see `Listener.lingers`."""
        self._stays = True

    def end_stay(self) -> None:
        """Have the handler end again when the client leaves."""
        self._stays = False

    async def until_left(self) -> None:
        """Wait until the client is gone."""
        if not self.left:
            self._gone = asyncio.get_running_loop().create_future()
            await self._gone

    # ---- what the connection does

    def release(self) -> None:
        """Give the body's bytes back to the server's bound."""
        self._body = None
        size, self._size = self._size, 0
        self.peer.listener.buffered_bytes -= size

    def client_left(self) -> None:
        """Cancel the handler, which settles what was produced; or let it go on for what the call cost."""
        self.left = True
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)
        if not (self._stays and self.peer.listener.lingers(self)):
            self.cancel()

    def cancel(self, *why: str) -> None:
        """Cancel the handler at work; one that has not begun would never learn of it, and let nothing go."""
        if self.task is not None and self._begun and not self._done:
            self.task.cancel(*why)

    def _head_of(self, status: int, lines: Sequence[bytes], length: int | None) -> bytes:
        assert not self._started, "an answer has one head"
        self._started = True
        listener = self.peer.listener
        framing, empty = b"", self.method == b"HEAD"
        if status in _EMPTY:
            self._head_only = True
        elif length is not None:
            framing = b"content-length: %d\r\n" % length
        elif empty:
            pass
        elif self._http_11:
            self._chunked = True
            framing = b"transfer-encoding: chunked\r\n"
        else:
            self.keep_alive = False
        if empty:
            self._head_only = True
        if not self.keep_alive or listener.draining:
            self.keep_alive = False
            framing += b"connection: close\r\n"
        elif not self._http_11:
            framing += b"connection: keep-alive\r\n"
        told = b"\r\n".join(lines)
        if len(told) - len(told.translate(None, _BREAKERS)) != 2 * len(lines) - 2 and lines:
            # A header that brings its own line ends could write further headers, or a whole answer of its own.
            told = b"\r\n".join([line.translate(None, _BREAKERS) for line in lines])
        begin = STATUS_LINES.get(status) or b"HTTP/1.1 %d Status\r\n" % status
        if not lines:
            return b"%b%b%b\r\n" % (begin, listener.date_line, framing)
        return b"%b%b%b\r\n%b\r\n" % (begin, listener.date_line, told, framing)
