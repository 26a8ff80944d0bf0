"""Fake providers behind the pool's `connect`: they answer as the schedule says, and know what of it arrived.

What is delivered is counted where the gateway is handed the bytes, so that the ledger can be held to what the gateway
could know, and to nothing that was lost on the way.
"""

import asyncio
from collections.abc import Callable, Iterator

import httptools

from farthing.providers.pool import Origin
from farthing.testing.simulator.dialects import Part, pieces_of
from farthing.testing.simulator.disk import Process
from farthing.testing.simulator.facts import Call
from farthing.testing.simulator.links import Link
from farthing.testing.simulator.schedule import Answer, Framing

_LISTED = b'{"object":"list","data":[{"id":"sim-priced"}],"models":[]}'
_PHRASES = {200: b"OK", 302: b"Found"}

Step = tuple[float, Callable[[], None]]
"""What a provider does next, and how many seconds after the step before."""


class Providers:
    """Every provider of a house; one `Connect` for all of them."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._connecting = dict(process.life.connecting)
        self._connected = 0

    async def connect(
        self, factory: Callable[[], asyncio.Protocol], origin: Origin
    ) -> tuple[asyncio.BaseTransport, asyncio.BaseProtocol]:
        """See `farthing.providers.pool.Connect`."""
        process, latency_s = self._process, self._process.facts.schedule.provider_latency_s
        number, self._connected = self._connected, self._connected + 1
        how = self._connecting.get(number)
        process.note(origin.host, f"connection {number} {how or 'stands'}")
        match how:
            case "refused":
                await asyncio.sleep(latency_s)
                raise ConnectionRefusedError(111, "Connection refused")
            case "never":
                await asyncio.sleep(3_600)
            case "slow":
                await asyncio.sleep(4.0)
        await asyncio.sleep(latency_s)
        protocol = factory()
        link = Link(process.loop, protocol, latency_s)
        process.links.append(link)
        link.far = ProviderEnd(link, process, origin.host)
        protocol.connection_made(link)
        if how == "closed_at_once":
            link.far_goodbye()
        return link, protocol


class ProviderEnd:
    """The provider's end of one connection."""

    def __init__(self, link: Link, process: Process, host: str) -> None:
        self._link = link
        self._process = process
        self._host = host
        self._parser = httptools.HttpRequestParser(self)
        self._call: Call | None = None
        self._steps: Iterator[Step] = iter(())
        self._timer: asyncio.TimerHandle | None = None
        self._gone = False

    # ---- what the link tells us

    def on_data(self, data: bytes) -> None:
        """See `FarEnd.on_data`."""
        if self._gone:
            return
        if self._timer is not None:
            self._timer.cancel()  # it waited to close a connection on which nothing happened
        self._parser.feed_data(data)

    def on_end(self) -> None:
        """See `FarEnd.on_end`."""
        if not self._gone:
            self._process.note(self._host, "sees the gateway leave")
            self._leave()

    # ---- what the parser tells us

    def on_header(self, name: bytes, value: bytes) -> None:
        """Learn whose call this is."""
        if name == b"x-sim-call":
            self._call = self._process.facts.calls[int(value)].at(self._host.partition(".")[0])

    def on_headers_complete(self) -> None:
        """From here on money may be spent, so the journal must know of it."""
        call = self._call
        if call is None:
            return
        call.reached += 1
        if len(call.attempt_ids) < call.reached:
            self._process.facts.wrong(f"call {call.ask.number} was sent before it was in the journal")

    def on_message_complete(self) -> None:
        """Answer."""
        call, self._call = self._call, None
        if call is None:
            self._link.far_send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(_LISTED), _LISTED))
            return
        self._process.note(self._host, f"is asked call {call.ask.number}")
        self._steps = self._answer(call)
        self._go_on()

    # ---- our own steps

    def _go_on(self) -> None:
        step = next(self._steps, None)
        if step is None:
            return
        delay_s, action = step
        if delay_s > 0:
            self._timer = self._process.loop.call_later(delay_s, self._do, action)
        else:
            self._do(action)

    def _do(self, action: Callable[[], None]) -> None:
        self._timer = None
        if not self._gone and self._process.alive:
            action()
            self._go_on()

    def _answer(self, call: Call) -> Iterator[Step]:
        answer, cut = call.ask.answer, call.ask.answer.cut
        if cut is not None and cut.at == "request":
            yield answer.head_delay_s, self._end_of(call)
            return
        framing = answer.framing
        if framing == "length" and call.ask.streamed and answer.status == 200 and not answer.at_once:
            framing = "chunked"
        head = _head(call, framing)
        if cut is not None and cut.at == "head":
            yield answer.head_delay_s, lambda: self._send(head[: len(head) // 2])
            yield 0.0, self._end_of(call)
            return
        if answer.at_once:
            # One write with everything in it, as short answers come.
            yield answer.head_delay_s, lambda: self._send_all(call, head, framing)
        else:
            yield answer.head_delay_s, lambda: self._send(head)
            yield from self._parts(call, framing)
        if cut is not None and cut.part <= len(call.parts):
            yield 0.0, self._end_of(call)
        elif framing == "close":
            yield 0.0, lambda: self._leave(self._link.far_goodbye)
        else:
            yield answer.keeps_open_s, lambda: self._leave(self._link.far_goodbye)

    def _parts(self, call: Call, framing: Framing) -> Iterator[Step]:
        answer = call.ask.answer
        gaps = iter(answer.gaps_s)
        for number, part in enumerate(call.parts):
            gap_s = next(gaps, 0.0) if part.text and call.ask.streamed else 0.0
            if answer.cut is not None and number == answer.cut.part:
                if answer.cut.inside:
                    half = _framed(part.data, framing)[: max(1, len(part.data) // 2)]
                    yield gap_s, lambda half=half: self._send(half)  # type: ignore[misc]
                return
            pieces = pieces_of(_framed(part.data, framing), answer.segments)
            for piece in pieces[:-1]:
                yield gap_s, lambda piece=piece: self._send(piece)  # type: ignore[misc]
                gap_s = 0.001
            last, arrived = pieces[-1], _part_arrived(call, number, part)
            yield gap_s, lambda last=last, arrived=arrived: self._send(last, arrived)  # type: ignore[misc]
        if answer.cut is None or answer.cut.part > len(call.parts):
            ending = b"0\r\n\r\n" if framing == "chunked" else b""
            yield 0.0, lambda: self._send(ending)

    def _send_all(self, call: Call, head: bytes, framing: Framing) -> None:
        cut = call.ask.answer.cut
        whole = cut is None or cut.part > len(call.parts)
        parts = call.parts if whole or cut is None else call.parts[: cut.part]
        body = b"".join(_framed(part.data, framing) for part in parts)
        ending = b"0\r\n\r\n" if whole and framing == "chunked" else b""

        def arrived() -> None:
            call.delivered = len(parts)

        self._send(head + body + ending, arrived)

    def _send(self, data: bytes, arrived: Callable[[], None] | None = None) -> None:
        self._process.note(self._host, f"sends {len(data)} bytes")
        self._link.far_send(data, arrived)

    def _end_of(self, call: Call) -> Callable[[], None]:
        cut = call.ask.answer.cut
        assert cut is not None

        def end() -> None:
            self._process.note(self._host, f"cuts call {call.ask.number}: {cut.how}")
            match cut.how:
                case "reset":
                    self._leave(self._link.far_reset)
                case "goodbye":
                    self._leave(self._link.far_goodbye)
                case "stall":
                    pass  # the connection stays, and nothing comes

        return end

    def _leave(self, how: Callable[[], None] | None = None) -> None:
        self._gone = True
        if self._timer is not None:
            self._timer.cancel()
        if how is not None:
            how()


def _head(call: Call, framing: Framing) -> bytes:
    answer: Answer = call.ask.answer
    kind = b"text/event-stream" if call.ask.streamed and answer.status == 200 else b"application/json"
    lines = [b"HTTP/1.1 %d %b" % (answer.status, _PHRASES.get(answer.status, b"No"))]
    lines.append(b"content-type: " + kind)
    lines.append(b"x-request-id: req_%d" % call.ask.number)
    match framing:
        case "chunked":
            lines.append(b"transfer-encoding: chunked")
        case "length":
            lines.append(b"content-length: %d" % sum(len(part.data) for part in call.parts))
        case "close":
            lines.append(b"connection: close")
    interim = b"HTTP/1.1 100 Continue\r\n\r\n" if answer.interim else b""
    return interim + b"\r\n".join(lines) + b"\r\n\r\n"


def _framed(data: bytes, framing: Framing) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data) if framing == "chunked" else data


def _part_arrived(call: Call, number: int, part: Part) -> Callable[[], None]:
    def arrived() -> None:
        assert call.parts[number] is part
        call.delivered = number + 1

    return arrived
