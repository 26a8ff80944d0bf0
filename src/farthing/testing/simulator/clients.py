"""Fake clients: they send whole or in pieces, pipeline, read slowly, leave at any moment, and keep what they got."""

import asyncio

import httptools

from farthing.server.listener import Listener
from farthing.server.protocol import HttpProtocol
from farthing.testing.simulator.dialects import pieces_of, request_of
from farthing.testing.simulator.disk import Process
from farthing.testing.simulator.facts import Call
from farthing.testing.simulator.links import Link
from farthing.testing.simulator.schedule import Client


class ClientEnd:
    """One connection of a client; `over` is done when nothing more will come of it."""

    def __init__(self, client: Client, key: str, process: Process, listener: Listener) -> None:
        self._client = client
        self._key = key
        self._process = process
        self._listener = listener
        self._calls = [process.facts.calls[ask.number] for ask in client.asks]
        self._name = f"client {self._calls[0].ask.number}"
        self._parser = httptools.HttpResponseParser(self)
        self._answering = 0
        self._body_bytes = 0
        self._has_paused = False
        self._left = False
        self.link: Link | None = None
        self.over: asyncio.Future[None] = process.loop.create_future()

    def begin(self) -> None:
        """Connect and send."""
        loop = self._process.loop
        if self._listener.draining:  # the port is closed
            self._process.note(self._name, "is refused")
            self._left = True
            self.over.set_result(None)
            return
        protocol = HttpProtocol(self._listener, loop)
        self.link = Link(loop, protocol, self._client.latency_s)
        self.link.far = self
        self.link.on_write = self._written
        self._process.links.append(self.link)
        self._process.note(self._name, "connects")
        protocol.connection_made(self.link)
        if self._client.pipelined:
            self._send(self._calls)
        else:
            self._send(self._calls[:1])

    def leave(self, *, reset: bool = False) -> None:
        """Go, and read nothing more."""
        if self._left:
            return
        self._left = True
        self._process.note(self._name, f"leaves{' with a reset' if reset else ''}")
        for call in self._calls[self._answering :]:
            call.left, call.left_s = True, self._process.loop.time()
        assert self.link is not None
        self.link.far = None
        self.link.far_resume()
        if reset:
            self.link.far_reset()
        else:
            self.link.far_goodbye()
        self._is_over()

    # ---- what the link tells us

    def on_data(self, data: bytes) -> None:
        """See `FarEnd.on_data`."""
        self._process.note(self._name, f"gets {len(data)} bytes")
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._process.facts.wrong(f"{self._name} got what is no HTTP: {error}")

    def on_end(self) -> None:
        """See `FarEnd.on_end`."""
        self._process.note(self._name, "is left")
        if self._left:
            return
        call = self._current()
        first = self._answering == 0 or not self._client.pipelined  # behind an answer that broke off nothing follows
        serving = self._process.alive and not self._listener.draining
        if serving and call is not None and call.sent_whole and first and not (call.status or self._has_paused):
            self._process.facts.wrong(f"call {call.ask.number} was left without an answer")
        self.leave()

    # ---- what the parser tells us

    def on_headers_complete(self) -> None:
        """An answer begins; an interim one is none."""
        call = self._current()
        if call is not None and self._parser.get_status_code() >= 200:
            call.status = self._parser.get_status_code()

    def on_body(self, data: bytes) -> None:
        """Keep what comes, and perhaps read no further, or leave."""
        call = self._current()
        if call is None:
            return
        call.received += data
        self._body_bytes += len(data)
        leave, slow = self._client.leave, self._client.slow
        if slow is not None and not self._has_paused and self._body_bytes > slow.after_bytes:
            self._pause(slow.pause_s)
        if leave is not None and leave.when == "reading" and self._body_bytes >= leave.after_bytes:
            self._process.loop.call_later(leave.after_s, self._leave_as_planned)

    def on_message_complete(self) -> None:
        """An answer is whole: ask the next one, or go."""
        call = self._current()
        if call is None or call.status is None:
            return
        call.whole = True
        self._process.note(self._name, f"has the whole answer to {call.ask.number}, status {call.status}")
        self._answering += 1
        if self._answering == len(self._calls):
            self._process.loop.call_later(self._client.lingers_s, self.leave)
        elif not self._client.pipelined:
            self._send(self._calls[self._answering : self._answering + 1])

    # ---- our own steps

    def _written(self) -> None:
        call = self._current()
        if call is not None:
            call.last_written_s = self._process.loop.time()
            call.first_written_s = call.last_written_s if call.first_written_s is None else call.first_written_s

    def _current(self) -> Call | None:
        return self._calls[self._answering] if self._answering < len(self._calls) else None

    def _send(self, calls: list[Call]) -> None:
        """Send these requests, in as many pieces as the first of them says."""
        first = calls[0].ask
        data = b"".join(request_of(call.ask, self._key) for call in calls)
        pieces = pieces_of(data, first.pieces)
        loop, leave = self._process.loop, self._client.leave
        last = calls[-1] is self._calls[-1]
        if leave is not None and leave.when == "sending" and last:
            pieces = pieces_of(data, max(2, first.pieces))[:-1]
        for number, piece in enumerate(pieces):
            loop.call_later(number * first.piece_gap_s + number * 1e-5, self._put, piece)
        sent_s = len(pieces) * (first.piece_gap_s + 1e-5)
        if leave is not None and last and leave.when != "reading":
            loop.call_later(sent_s + leave.after_s, self._leave_as_planned)
        if not (leave is not None and leave.when == "sending" and last):
            loop.call_later(sent_s, _mark_sent, calls)

    def _put(self, piece: bytes) -> None:
        if not self._left and self.link is not None:
            self.link.far_send(piece)

    def _leave_as_planned(self) -> None:
        leave = self._client.leave
        self.leave(reset=leave is not None and leave.reset)

    def _pause(self, pause_s: float) -> None:
        assert self.link is not None
        self._has_paused = True
        self._process.note(self._name, f"reads nothing for {pause_s} s")
        self.link.far_pause()
        self._process.loop.call_later(pause_s, self._read_on)

    def _read_on(self) -> None:
        if not self._left and self.link is not None:
            self.link.far_resume()

    def _is_over(self) -> None:
        if not self.over.done():
            self.over.set_result(None)


def _mark_sent(calls: list[Call]) -> None:
    for call in calls:
        call.sent_whole = True
