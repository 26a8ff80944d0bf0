"""HTTP/1.1 between a client and the application, with a bound on everything a client can make us keep.

uvicorn's own protocol classes bound neither the header block nor the time it takes (a 4 MB header and 100,000 headers
were answered, and unfinished headers kept open), so this one takes their place. A request is handed to the
application when its body is complete: every route here needs the whole body, and a slow upload then costs a buffer and
no task. A client that leaves cancels the task that serves it, unless its answer is read for what it costs.

One request is served at a time and little may be pipelined behind it: the end of a connection is only seen by reading
on, so a client that sends more than `_PIPELINE_BYTES` while it waits is dropped, not paused.

The parser reports trailers as it reports headers, and stops where an upgrade is wished for, before that request's body.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import cast

import httptools

from farthing.errors import FarthingError, InvalidRequest, RequestTimeout
from farthing.server import refusals
from farthing.server.exchange import STATUS_LINES, Exchange
from farthing.server.heads import Head, head_of, into
from farthing.server.listener import Listener
from farthing.server.strangers import StrangeBytes
from farthing.server.writing import WritingSide
from farthing.wire.conversations import Conversation

_PIPELINE_BYTES = 65_536
"""Bytes of further requests kept while one is served: one header block; clients that pipeline prompts are unknown."""
_MAX_PIPELINED = 16
"""Whole requests kept from one read; a read is at most 256 KB, so small ones could be thousands."""
_DIRECT_BYTES = 16_384
"""A body of which more than this is still to come goes round the parser: agents' prompts do, chats do not."""
_SMALL_PIECE_BYTES = 512
"""Pieces of a body below this are kept in one buffer: an object for each would weigh more than what is in it."""
_FOREVER = float("inf")
_LINGER_S = 2.0
"""How long a refused client may go on sending into the void before it has read the refusal."""
_LINE_BYTES = 4
"""A header's colon, space and line end."""
_LAST_REQUEST_S = 1.0
"""How long a client that has connected just before we stop may take to begin its request: several round trips."""


class HttpProtocol(WritingSide):
    """One client connection."""

    __slots__ = (
        "_awaited",
        "_began_with",
        "_behind",
        "_body",
        "_body_bytes",
        "_body_left",
        "_collected",
        "_error",
        "_exchange",
        "_framing_bytes",
        "_header_bytes",
        "_headers",
        "_in_body",
        "_in_headers",
        "_length",
        "_named",
        "_parser",
        "_pending",
        "_pending_bytes",
        "_queue",
        "_raw_head",
        "_read_under",
        "_strange",
        "_unbodied_bytes",
        "_url",
        "_wanted",
        "_worker",
        "client",
        "conversation",
        "head",
        "on_header",
        "scheme",
        "server",
    )

    def __init__(self, listener: Listener, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(listener, loop)
        self._collected: list[tuple[bytes, bytes]] = []
        self.on_header = into(self._collected)
        self._parser = httptools.HttpRequestParser(self)
        self._exchange: Exchange | None = None
        self._worker: asyncio.Task[None] | None = None
        self._wanted: asyncio.Future[None] | None = None
        self._queue: deque[Exchange] = deque()
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._error: FarthingError | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._began_with = self._raw_head = b""
        self._read_under = listener.bounds
        self._named: Mapping[bytes, bytes] = {}
        self._strange = StrangeBytes(listener)
        self._header_bytes = 0
        self._in_headers = self._in_body = self._behind = False
        self._awaited = ""
        self._body: list[bytes | bytearray] = []
        self._body_bytes = self._framing_bytes = self._unbodied_bytes = self._body_left = self._length = 0
        self._url = b""
        self.scheme = "http"
        self.server: tuple[str, int] | None = None
        self.client: tuple[str, int] | None = None
        self.conversation = Conversation(listener.conversations)
        self.head: Head | None = None
        """Of the last request whose key counted, for the application."""

    # ---- what the transport tells us

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the clock for the first header block."""
        self._transport = cast("asyncio.Transport", transport)
        peer, here = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        self.client = (peer[0], peer[1]) if isinstance(peer, tuple) else None
        self.server = (here[0], here[1]) if isinstance(here, tuple) else None
        self.scheme = "https" if transport.get_extra_info("sslcontext") else "http"
        if not self.listener.connected(self, self._loop):
            if self._transport.is_closing():
                return  # too many are being told already
            self._refuse(refusals.too_many_connections(self.listener.bounds))
            return
        self.deadline = self._loop.time() + self.listener.bounds.header_timeout_s
        if self.listener.draining:
            self.drain()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        """Tell the request being served that its client is gone."""
        self.listener.disconnected(self)
        self.deadline = _FOREVER
        self._release_body()
        self.conversation.forget()
        self._transport = None
        del self._parser  # it holds this connection: untied, both go without a collection
        self.resume_writing()
        for waiting in self._queue:
            waiting.release()
        self._queue.clear()
        self._pending.clear()
        if self._exchange is not None:
            self._exchange.client_left()
        self._wake()

    def data_received(self, data: bytes) -> None:
        """Parse; or keep for later what is pipelined behind a request being served."""
        if self._error is not None:
            return  # refused already: what still arrives is thrown away until the client has read why
        if self._body_left:
            self._take_body(data)
        elif self._exchange is not None:
            self._pending.append(data)
            self._pending_bytes += len(data)
            if self._pending_bytes > _PIPELINE_BYTES:
                self.abort()  # paused instead, the connection would hide that its client has left
        elif not self._repeats(data):
            self._parse(data)

    def resume_writing(self) -> None:
        """The client caught up."""
        self.paused = False
        if self._exchange is not None:
            self.deadline = _FOREVER
        waiter, self.drain_waiter = self.drain_waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # ---- what the parser tells us

    def on_message_begin(self) -> None:
        """A request line begins."""
        self._url = b""
        self._collected.clear()  # a chunked body's trailers came after the headers
        self._in_headers, self._behind = True, self._exchange is not None  # in one read with it nothing is counted
        self._length = 0

    def on_url(self, url: bytes) -> None:
        """A piece of the request target."""
        self._url += url

    def on_headers_complete(self) -> None:
        """Refuse early what cannot be taken; ask for the body of a client that waits to be asked."""
        self._in_headers, self._in_body = False, True
        came = self._header_bytes  # with what of the body came in the same reads
        if self._strange.count:
            self._strange.release()
        self._header_bytes = self._framing_bytes = self._unbodied_bytes = 0
        self._read_under = bounds = self.listener.bounds
        self._headers = self._collected.copy()
        self._collected.clear()
        if len(self._headers) > bounds.max_headers:
            self._error = refusals.too_many_headers(bounds)
        if came > bounds.max_header_bytes or self._behind:
            self._bound_headers()
        self._named = named = dict(self._headers)
        length = named.get(b"content-length")
        if length is not None:
            if len(length) > 15 or int(length) > bounds.max_body_bytes:
                self._error = refusals.body_too_large(bounds, length.decode("latin-1"))
            else:
                self._length = int(length)
        coding = named.get(b"transfer-encoding")
        if coding is not None and (coding.lower() != b"chunked" or self._parser.get_http_version() != "1.1"):
            self._error = refusals.odd_transfer_encoding()
        if b"expect" in named and named[b"expect"].lower() == b"100-continue" and self._error is None:
            assert self._transport is not None
            self.send_later()
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, data: bytes) -> None:
        """A piece of the body; the request's and the server's sum are bounded."""
        if self._error is not None:
            return
        listener, pieces, size = self.listener, self._body, len(data)
        if size >= _SMALL_PIECE_BYTES or not pieces:
            pieces.append(data)
        elif isinstance(pieces[-1], bytearray):
            pieces[-1] += data
        else:
            pieces.append(bytearray(data))
        self._body_bytes += size
        listener.buffered_bytes += size
        bounds = listener.bounds
        if self._body_bytes > bounds.max_body_bytes:
            self._error = refusals.body_too_large(bounds, "more")
        elif listener.buffered_bytes > bounds.max_buffered_bytes:
            self._error = listener.overloaded()

    def on_message_complete(self) -> None:
        """Serve the request, or keep it until the one before it has been answered."""
        if self._error is not None:
            return
        parser = self._parser
        if self._body_bytes < self._length:
            return  # the parser stopped at a wish to upgrade; `_parse` takes the body
        if not self._length and parser.should_upgrade() and b"transfer-encoding" in self._named:
            self._error = refusals.chunked_upgrade()
            return
        keep_alive = parser.should_keep_alive()
        self._raw_head = head_of(self._began_with, self._body_bytes) if keep_alive else b""
        target, _, query = self._url.partition(b"?")
        exchange = Exchange(
            self,
            parser.get_method(),
            target,
            query,
            self._headers,
            self._named,
            b"".join(self._body),
            self._body_bytes,
            keep_alive,
            parser.get_http_version() == "1.1",
        )
        self._body, self._body_bytes, self._length, self._in_body = [], 0, 0, False
        if self._strange.count:
            self._strange.release()
        if self._exchange is None:
            self._serve(exchange)
        elif len(self._queue) < _MAX_PIPELINED:
            self._queue.append(exchange)
        else:
            exchange.release()
            self._error = InvalidRequest(f"more than {_MAX_PIPELINED} pipelined requests", hint="wait for the answers")

    # ---- what the listener tells us

    def expired(self) -> None:
        """The deadline passed: an idle connection closes, an unfinished request is refused."""
        if self.paused and self._transport is not None and self._transport.get_write_buffer_size() < self._unsent_bytes:
            self._note_unsent()  # the client reads, if slowly
            return
        self.deadline = _FOREVER
        if self.paused or self._error is not None:
            self.abort()
        elif self._exchange is None and (self._in_headers or self._in_body or self._header_bytes):
            what = "The headers" if self._in_headers else "The body"
            self._refuse(RequestTimeout(f"{what} did not arrive in time", hint="send the request faster"))
        elif self._exchange is None:
            self.close()

    def remember(self, exchange: Exchange, digest: bytes, lines: bytes) -> None:
        """Keep the head of the request being served: its key, of which this is the digest, counts; `lines` go on."""
        raw, self._raw_head = self._raw_head, b""
        self.head = Head(
            exchange.method, exchange.target, exchange.headers, exchange.named, digest=digest, lines=lines, raw=raw
        )

    @property
    def asking(self) -> bool:
        """Whether a request is on its way: part of it is here, or nothing yet on a connection that is new."""
        return (
            self._exchange is None
            and self._error is None
            and (not self._url or self._in_headers or self._in_body or self._header_bytes > 0)
        )

    def drain(self) -> None:
        """Close after the answer in flight, or now; who has connected and not asked yet may ask once, and soon."""
        if self.asking:
            if not self._header_bytes:
                self.deadline = min(self.deadline, self._loop.time() + _LAST_REQUEST_S)
        elif self._exchange is None:
            self.close()

    # ---- our own steps

    def _repeats(self, data: bytes) -> bool:
        """Serve a whole request that has the last one's head without parsing it; False where it is no such request."""
        head = self.head
        if head is None or self._header_bytes or self._in_headers or self._in_body:
            return False
        body = head.body_in(data)
        if body is None:
            return False
        listener, size = self.listener, len(body)
        bounds = listener.bounds
        buffered = listener.buffered_bytes + size
        if bounds is not self._read_under or size > bounds.max_body_bytes or buffered > bounds.max_buffered_bytes:
            return False
        listener.buffered_bytes = buffered
        self._raw_head, self._named = b"", head.named  # what was parsed last may be another request
        exchange = Exchange(
            self, head.method, head.target, b"", head.headers, head.named, body, size, keep_alive=True, _http_11=True
        )
        self._serve(exchange)
        return True

    def _parse(self, data: bytes) -> None:
        begun, before = self._headers if self._in_body else None, self._body_bytes
        if begun is None:
            if not self._header_bytes:
                self._began_with = data
            self._header_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self._error = self._error or InvalidRequest(f"this is not HTTP/1.1: {error}", hint="check the client")
        if self._exchange is None:  # or the answer in flight would end with the time for the next request
            self._bound_time()
        if self._in_headers:
            self._bound_unfinished_headers(len(data))
        elif self._in_body and self._error is None and self._body_bytes:
            more = self._body_bytes - self._strange.count
            self._error = self._strange.hold_unless_known(self._url, self._named, more)
        if begun is self._headers and self._in_body and not self._length:
            self._bound_framing(len(data), self._body_bytes - before)
        self._began_with = b""
        if self._error is not None:
            if self._exchange is None:
                self._refuse(self._error)
        elif not self._in_headers and self._length - self._body_bytes > _DIRECT_BYTES and self._exchange is None:
            self._body_left = self._length - self._body_bytes

    def _bound_time(self) -> None:
        """Begin the time for the part of a request that is still to come."""
        awaited = "headers" if self._in_headers else "body" if self._in_body else ""
        if awaited and awaited != self._awaited:
            bounds = self.listener.bounds
            self.deadline = self._loop.time() + (bounds.header_timeout_s if self._in_headers else bounds.body_timeout_s)
        self._awaited = awaited

    def _bound_headers(self) -> None:
        """Count headers that came whole: one read takes more of them than the bound may allow."""
        lines = sum(len(name) + len(value) + _LINE_BYTES for name, value in self._headers)
        if len(self._url) + lines > self.listener.bounds.max_header_bytes:
            self._error = self._error or refusals.headers_too_large(self.listener.bounds)

    def _bound_unfinished_headers(self, received: int) -> None:
        bounds = self.listener.bounds
        if self._header_bytes > bounds.max_header_bytes:
            self._error = self._error or refusals.headers_too_large(bounds)
        elif len(self._collected) > bounds.max_headers:
            self._error = self._error or refusals.too_many_headers(bounds)
        elif self._error is None:
            self._error = self._strange.hold(received)

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Answer as if no upgrade was wished for, which a server may; `rest` is what the parser left."""
        if self._error is not None:
            return
        if self._in_body:
            self._body_left = self._length
            self._take_body(rest)
            return
        # The parser is done with HTTP and what follows may be something else: this request is the last one.
        last = self._queue[-1] if self._queue else self._exchange
        if last is not None:
            last.keep_alive = False

    def _bound_framing(self, received: int, of_body: int) -> None:
        """Count what of a chunked body is no body: chunk heads, their extensions, trailers.

        An eighth of the body is what chunks of 50 bytes need. What comes without any body is bounded like headers,
        because the parser copies a trailer once more with every read.
        """
        self._framing_bytes += received - of_body
        self._unbodied_bytes = 0 if of_body else self._unbodied_bytes + received
        bound = self.listener.bounds.max_header_bytes
        if self._unbodied_bytes > bound or self._framing_bytes > bound + self._body_bytes // 8:
            self._error = self._error or refusals.mostly_framing(self._framing_bytes, self._body_bytes)

    def _take_body(self, data: bytes) -> None:
        """Take the rest of a large body as it comes: through the parser each byte would be copied once more."""
        left = self._body_left
        piece = data if len(data) <= left else data[:left]
        self._body_left = left - len(piece)
        self.on_body(piece)
        if self._body_left and self._error is None:
            self._error = self._strange.hold_unless_known(self._url, self._named, len(piece))
        if self._error is not None:
            self._body_left = 0
            if self._exchange is None:
                self._refuse(self._error)
        elif not self._body_left:
            self.on_message_complete()
            self._parser = httptools.HttpRequestParser(self)  # the old one still waits for this body
            if len(data) > left:
                self.data_received(data[left:])

    def _serve(self, exchange: Exchange) -> None:
        self.deadline, self._awaited = _FOREVER, ""
        self._exchange = exchange
        self.listener.exchanges[exchange] = None
        if self._worker is None:
            self._worker = self._loop.create_task(self._work())
        else:
            self._wake()
        exchange.task = self._worker

    async def _work(self) -> None:
        """Serve one exchange after the other until the connection is gone: a task for each would cost 2 us more."""
        try:
            while True:
                if self._exchange is not None:
                    await self._exchange.run()
                elif self._transport is None:
                    return
                else:
                    self._wanted = self._loop.create_future()
                    await self._wanted
        finally:
            self._worker = self._wanted = None

    def _wake(self) -> None:
        wanted, self._wanted = self._wanted, None
        if wanted is not None and not wanted.done():
            wanted.set_result(None)

    def served(self, *, keep_alive: bool) -> None:
        """The answer is out: take the next request, wait for one, or close."""
        self._exchange = None
        self._header_bytes = 0
        transport = self._transport
        if transport is None:
            return
        if self._error is not None:
            self._refuse(self._error)
        elif not keep_alive or self.listener.draining:
            self.close()
        elif self._queue:
            self._serve(self._queue.popleft())
        else:
            self.deadline = self._loop.time() + self.listener.bounds.keep_alive_s
            if self._pending:
                data = b"".join(self._pending)
                self._pending.clear()
                self._pending_bytes = 0
                self._parse(data)

    def _refuse(self, error: FarthingError) -> None:
        self._error = error
        self._release_body()
        if self._transport is None:
            return
        named = {} if self._in_headers else self._named
        status, lines, body = self.listener.render(self._url, named, error)
        lines = [*lines, b"content-length: %d" % len(body), b"connection: close"]
        head = STATUS_LINES[status] + self.listener.date_line
        self.send_later()
        self._transport.write(b"%b%b\r\n\r\n%b" % (head, b"\r\n".join(lines), body))
        if self._transport.can_write_eof():
            # Closing with unread bytes in the socket resets it, and the client would never read why.
            self._transport.write_eof()
            self.deadline = self._loop.time() + _LINGER_S
        else:
            self._transport.close()

    def _release_body(self) -> None:
        self.listener.buffered_bytes -= self._body_bytes
        self._body, self._body_bytes = [], 0
        self._strange.release()
        self._collected.clear()
