"""One connection to a provider: writes a request, parses one answer at a time, knows when it may be used again.

Relied on, and tried with httptools 0.9 (llhttp): one parser serves all answers of a connection, 1xx answers come as
messages of their own, conflicting lengths and bare line feeds are refused, and `should_keep_alive` is false for every
answer whose end is the end of the connection. What surprised us: httptools does not expose llhttp's `finish`, so an
answer that ends with its connection is completed here.

This file and `answer.py` decide what a request costs: no task, timer or lock per request, one future per wait.
"""

import asyncio
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, cast

import httptools

from farthing.errors import ProviderError
from farthing.providers.pool import failures
from farthing.providers.pool.answer import Answer
from farthing.providers.pool.origin import PoolLimits, Timeouts

if TYPE_CHECKING:
    from farthing.providers.pool.lane import Lane

_JOIN_BYTES = 16384
"""Head and body up to this size are joined: the copy is cheaper than a second buffer, and TLS makes one record of it
(a record holds 16 KB)."""

_PIECE_BYTES = 262144
"""A request up to this size goes to the transport whole, a longer one in views of this size: a stdlib transport copies
what the socket does not take at once, and this bounds the copy. Agents' bodies are about 112 KB."""

_PAUSE_BYTES = 262144
"""Unread bytes at which we stop reading: one full receive of either loop. `next_chunk` takes all, so reading goes on
from zero."""


class Connection(asyncio.Protocol):
    """A protocol that its lane hands one request after the other."""

    __slots__ = (
        "_answer",
        "_bad",
        "_body_pieces",
        "_dirty",
        "_finished",
        "_head_only",
        "_headers",
        "_heard",
        "_in_head",
        "_interim",
        "_keep",
        "_lane",
        "_later",
        "_limits",
        "_loop",
        "_overhead_bytes",
        "_parser",
        "_pieces",
        "_quiet_since",
        "_reading_paused",
        "_started",
        "_timeouts",
        "_transport",
        "_unread_bytes",
        "_unsent",
        "_until_close",
        "_writing_paused",
        "closed",
        "handed",
        "idle_since",
        "keep_alive_s",
        "on_body",
    )

    def __init__(self, lane: "Lane", limits: PoolLimits, loop: asyncio.AbstractEventLoop) -> None:
        self.closed = False
        self.handed = True  # until the send that opened it has it, its slot is that send's
        self.idle_since = 0.0
        self.keep_alive_s = -1.0
        self._lane = lane
        self._limits = limits
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._answer: Answer | None = None
        self._unsent: Iterator[bytes | memoryview] | None = None
        self._later = b""
        """A request that is written at the end of this turn."""
        self._writing_paused = False
        self._reading_paused = False
        self._bad: str | None = None
        self._head_only = False
        self._headers: list[tuple[bytes, bytes]] = []
        # httptools calls the list's own append: a piece of body costs no Python frame.
        self._pieces: list[bytes] = []
        self.on_body = self._pieces.append
        self._body_pieces = 0
        self._unread_bytes = 0
        self._overhead_bytes = 0
        self._in_head = self._interim = self._finished = self._dirty = False
        self._keep = self._until_close = self._heard = False
        self._started = self._quiet_since = 0.0
        self._timeouts = Timeouts()
        self._parser = httptools.HttpResponseParser(self)

    # ---- what the pool asks

    def usable(self, now: float) -> bool:
        """Tell whether an idle connection is alive as far as this side can know, and young enough."""
        transport = self._transport
        return (
            not self.closed
            and transport is not None
            and not transport.is_closing()
            and now - self.idle_since < self.keep_alive_s
        )

    def begin(self, head: bytes, body: Sequence[bytes], timeouts: Timeouts, started: float, now: float) -> Answer:
        """Write a request; the answer's waiter is resolved when its head is here or will not come.

        `started` is when a connection was asked for, on the loop's clock.
        """
        transport = self._transport
        assert transport is not None
        assert self._answer is None, "one request at a time"
        answer = Answer(self._lane.origin, self, self._loop.create_future())
        self._answer = answer
        self._timeouts = timeouts
        self._started = started
        self._quiet_since = now
        self._in_head = True
        self._head_only = head.startswith(b"HEAD ")
        self._overhead_bytes = self._unread_bytes = 0
        size = len(head) + (len(body[0]) if len(body) == 1 else sum(map(len, body)))
        if size <= _JOIN_BYTES:
            whole = head + body[0] if len(body) == 1 else b"".join((head, *body))
            lane = self._lane
            if lane.slots_taken - len(lane.idle) > 1:
                self._later = whole
                lane.later(self)
            else:  # whoever is alone does not wait
                transport.write(whole)
        elif size <= _PIECE_BYTES:
            transport.writelines((head, *body))
        else:
            self._unsent = _pieces(head, body)
            self._write_on()
        return answer

    def send_later(self) -> None:
        """Write the request that was kept for the end of this turn, if it is still wanted."""
        whole, self._later = self._later, b""
        if whole and self._transport is not None and not self._transport.is_closing():
            self._transport.write(whole)

    def was_read(self) -> None:
        """The reader took everything: go on reading if we had stopped."""
        self._unread_bytes = 0
        if self._reading_paused:
            self._read_on()

    def fail(self, error: ProviderError) -> None:
        """End the answer in flight with an error, and the connection with it."""
        answer, self._answer = self._answer, None
        self.drop()
        if answer is not None:
            answer.error = error
            answer.connection = None
            if answer.waiter is not None and not answer.waiter.done():
                answer.waiter.set_result(None)

    def drop(self) -> None:
        """Close at once; the slot is free from here on. Doing it twice changes nothing."""
        if self._transport is not None:
            self._transport.abort()
        self._leave()

    def retire(self) -> None:
        """Close an idle connection with a goodbye."""
        if self._transport is not None:
            self._transport.close()
        self._leave()

    def overdue(self, now: float) -> ProviderError | None:
        """Return the error of the time that ran out, if one did; called by the pool's one sweeper."""
        if self._answer is None:
            return None
        timeouts, origin = self._timeouts, self._lane.origin
        if now - self._started > timeouts.total_s:
            return failures.total_timeout(origin, timeouts.total_s)
        if self._in_head:
            late = now - self._quiet_since > timeouts.first_byte_s
            return failures.first_byte_timeout(origin, timeouts.first_byte_s) if late else None
        if self._heard or self._reading_paused:
            self._heard = False
            self._quiet_since = now
        elif now - self._quiet_since > timeouts.idle_s:
            return failures.idle_timeout(origin, timeouts.idle_s)
        return None

    # ---- what the transport tells us

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Parse; then wake the reader once, however many chunks came."""
        answer = self._answer
        if answer is None:  # nobody asked: a 408 to an idle connection, or garbage
            self.drop()
            return
        if self._later:  # it says something before it was asked: a 408 to an idle connection, or garbage
            self.fail(failures.closed_at_once(answer.origin))
            return
        if not answer.received_at:
            answer.received_at = self._loop.time()
        self._heard = True
        size = len(data)
        self._overhead_bytes += size
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._dirty = True
            if not self._finished:
                self._bad = self._bad or _complaint(error)
        pieces = self._pieces
        if pieces:
            if self._finished:
                del pieces[self._body_pieces :]
            self._overhead_bytes = 0
            sink = answer.sink
            if (
                sink is None
                or answer.arrived  # older bytes come first
                or not pieces
                or not sink(pieces[0] if len(pieces) == 1 else b"".join(pieces))
            ):
                answer.arrived += pieces
                self._unread_bytes += size
            elif not self._finished and self._bad is None:
                pieces.clear()
                return
            pieces.clear()
        if self._bad is not None:
            self.fail(failures.misbehaved(answer.origin, self._bad))
            return
        if self._finished:
            self._finish(answer)
        elif self._unread_bytes > _PAUSE_BYTES and not self._reading_paused and self._transport is not None:
            self._reading_paused = True
            self._transport.pause_reading()
        elif self._overhead_bytes > self._limits.max_header_bytes or len(self._headers) > self._limits.max_headers:
            self.fail(failures.misbehaved(answer.origin, self._too_much()))
            return
        waiter = answer.waiter
        if waiter is not None and answer.status and not waiter.done():
            waiter.set_result(None)

    def eof_received(self) -> None:
        """The provider said goodbye; the transport closes itself."""
        answer = self._answer
        if answer is not None and self._until_close and not self._in_head:
            self._keep = False
            self._finish(answer)
            if answer.waiter is not None and not answer.waiter.done():
                answer.waiter.set_result(None)
        else:
            self._cut(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._cut(exc)
        self._transport = None
        self._lane.gone(self)
        del self._parser  # it holds this connection: untied, both go without a collection

    def pause_writing(self) -> None:
        """The provider reads slower than we write."""
        self._writing_paused = True

    def resume_writing(self) -> None:
        """The provider has read: go on with the body."""
        self._writing_paused = False
        if self._unsent is not None:
            self._write_on()

    # ---- what the parser tells us

    def on_message_begin(self) -> None:
        """An answer begins; a second one was not asked for."""
        if self._finished:
            self._dirty = True

    def on_status(self, reason: bytes) -> None:
        """The words after the status, perhaps in pieces."""
        if self._answer is not None and not self._finished:
            self._answer.reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer, which is dropped."""
        if self._in_head:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The head is here; whether it can be used is decided on its status, framing and size."""
        answer = self._answer
        if self._finished or answer is None:
            return
        parser = self._parser
        status = parser.get_status_code()
        headers = self._headers
        if status < 200:
            self._interim = True
            self._headers = []
            answer.reason = b""
            if status == 101:
                self._bad = "it switched protocols, which was not asked for"
            return
        self._in_head = False
        self._headers = []
        if self._overhead_bytes > self._limits.max_header_bytes and _size(headers) > self._limits.max_header_bytes:
            self._bad = self._too_much()
        elif len(headers) > self._limits.max_headers:
            self._bad = f"it has {len(headers)} headers; {self._limits.max_headers} is the bound"
        self._keep = parser.should_keep_alive()
        if not self._keep:
            self._judge_ending(headers)
        if self.keep_alive_s < 0:
            self.keep_alive_s = _keep_alive_s(headers, self._limits.keep_alive_s)
        if self._bad is not None:
            return
        if self._unsent is not None and status >= 400:  # refused early: the rest of the request is not wanted
            self._unsent = None
            self._dirty = True
        answer.status = status
        answer.headers = headers
        if self._head_only:  # the parser cannot be told that no body follows, so it cannot be used again
            self._keep = False
            self._finished = True
            self._body_pieces = 0

    def on_message_complete(self) -> None:
        """The answer is whole; what may follow in the same receive does not belong to it."""
        if self._interim:
            self._interim = False
        elif not self._finished:
            self._finished = True
            self._body_pieces = len(self._pieces)

    # ---- our own steps

    def _finish(self, answer: Answer) -> None:
        """Part from a whole answer, and serve again if both sides are where they should be."""
        self._answer = None
        self._until_close = self._finished = False
        answer.connection = None
        answer.ended = True
        transport = self._transport
        if (
            not self._keep
            or self._dirty
            or self._unsent is not None
            or transport is None
            or transport.get_write_buffer_size()
        ):
            # An early answer (413) leaves a part of the request unsent: what follows on this connection would be
            # read as the rest of it.
            self.drop()
            return
        if self._reading_paused:
            self._read_on()
        self._lane.release(self)

    def _cut(self, error: Exception | None) -> None:
        answer = self._answer
        if answer is not None and self._later:
            self.fail(failures.closed_at_once(answer.origin))
        elif answer is not None:
            self.fail(failures.cut(answer.origin, answered=answer.status != 0, error=error))
        else:
            self._leave()

    def _leave(self) -> None:
        if not self.closed:
            self.closed = True
            self._unsent, self._later = None, b""
            self._lane.lost(self)

    def _read_on(self) -> None:
        self._reading_paused = False
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def _write_on(self) -> None:
        transport, unsent = self._transport, self._unsent
        assert transport is not None
        assert unsent is not None
        while not self._writing_paused:
            piece = next(unsent, None)
            if piece is None:
                self._unsent = None
                return
            transport.write(piece)

    def _judge_ending(self, headers: list[tuple[bytes, bytes]]) -> None:
        """Decide what ends an answer on a connection that will not be kept."""
        framing = dict(headers)
        coding = framing.get(b"transfer-encoding")
        answer_is_empty = self._head_only or self._parser.get_status_code() in (204, 304)
        if coding is not None and not coding.lower().rstrip().endswith(b"chunked"):
            self._bad = f"its transfer-encoding {coding.decode('latin-1')!r} was not asked for"
        elif coding is None and b"content-length" not in framing and not answer_is_empty:
            said = any(name == b"connection" and b"close" in value.lower() for name, value in headers)
            self._until_close = said or self._parser.get_http_version() == "1.0"
            if not self._until_close:
                self._bad = "it has no length, no chunks and no 'connection: close', so its end cannot be told"

    def _too_much(self) -> str:
        limits = self._limits
        where = "head" if self._in_head or self._answer is None or not self._answer.status else "framing"
        return f"its {where} is over the bound of {limits.max_header_bytes} bytes or {limits.max_headers} headers"


def _pieces(head: bytes, body: Sequence[bytes]) -> Iterator[bytes | memoryview]:
    yield head
    for part in body:
        view = memoryview(part)
        for start in range(0, len(view), _PIECE_BYTES):
            yield view[start : start + _PIECE_BYTES]


def _complaint(error: Exception) -> str:
    if isinstance(error, httptools.HttpParserUpgrade):
        return "it switched protocols, which was not asked for"
    return f"it is not HTTP/1.1 ({error})"


def _size(headers: list[tuple[bytes, bytes]]) -> int:
    return sum(len(name) + len(value) + 4 for name, value in headers)


def _keep_alive_s(headers: list[tuple[bytes, bytes]], ours: float) -> float:
    """Return how long to keep a connection idle: our own bound, or a second less than what the provider announces.

    Servers of local models announce or use 5 s (Node, uvicorn); a request sent as they close would be lost.
    """
    for name, value in headers:
        if name == b"keep-alive":
            for item in value.split(b","):
                key, _, seconds = item.strip().partition(b"=")
                if key.lower() == b"timeout" and seconds.isdigit() and len(seconds) < 10:
                    return min(ours, max(int(seconds) - 1.0, 0.0))
    return ours
