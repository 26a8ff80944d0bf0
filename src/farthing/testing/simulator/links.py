"""A connection without sockets: the gateway holds an asyncio transport, a fake client or provider the other end.

Bytes arrive in order, later by the link's latency, and in the pieces in which they were sent. An end may stop reading:
then what is written waits in the writer's memory, and the gateway is told as a real transport would tell it, at a
watermark so small that short answers reach it.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from farthing.testing.simulator.virtual_time import InOrder

HIGH_WATER_BYTES = 2_048
"""Written and unread bytes at which the gateway is asked to pause; 64 KB in production, where answers are longer."""


class FarEnd(Protocol):
    """What a fake client or provider is told."""

    def on_data(self, data: bytes) -> None:
        """Bytes have arrived."""
        ...

    def on_end(self) -> None:
        """The gateway will send nothing more: it said goodbye, or is gone."""
        ...


class Link(asyncio.Transport):
    """The gateway's end of a connection; methods that begin with `far_` are the other's."""

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: asyncio.Protocol, latency_s: float) -> None:
        super().__init__()
        self._loop = loop
        self._protocol: asyncio.BaseProtocol = protocol
        self._latency_s = latency_s
        self._outward, self._inward = InOrder(loop), InOrder(loop)
        self._on_their_way: deque[bytes | None] = deque()
        self._unsent: deque[bytes | None] = deque()
        self._unsent_bytes = 0
        self._arrived: deque[Callable[[], None]] = deque()
        self._far_reads = True
        self._reads = True
        self._paused = False
        self._closing = False
        self.far: FarEnd | None = None
        self.writes = True
        """False once the gateway's process is dead: what its code still does reaches nobody."""
        self.on_write: Callable[[], None] | None = None
        """Called when the gateway hands over bytes, which may be long before they arrive."""
        self.lost = False
        """Whether the protocol was told that the connection is gone."""

    # ---- what the gateway does

    def get_extra_info(self, name: str, default: object = None) -> object:
        """See `asyncio.BaseTransport`."""
        return ("127.0.0.1", 1) if name in ("peername", "sockname") else default

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """See `asyncio.BaseTransport`."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """See `asyncio.BaseTransport`."""
        return self._protocol

    def is_closing(self) -> bool:
        """See `asyncio.BaseTransport`."""
        return self._closing

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """See `asyncio.WriteTransport`."""
        if data and not self._closing and self.writes:
            if self.on_write is not None:
                self.on_write()
            self._send(bytes(data))
            if self._unsent_bytes > HIGH_WATER_BYTES and not self._paused:
                self._paused = True
                self._protocol_as_stream().pause_writing()

    def can_write_eof(self) -> bool:
        """See `asyncio.WriteTransport`."""
        return True

    def write_eof(self) -> None:
        """See `asyncio.WriteTransport`."""
        if not self._closing and self.writes:
            self._send(None)

    def get_write_buffer_size(self) -> int:
        """See `asyncio.WriteTransport`."""
        return self._unsent_bytes

    def pause_reading(self) -> None:
        """See `asyncio.ReadTransport`."""
        self._reads = False

    def resume_reading(self) -> None:
        """See `asyncio.ReadTransport`."""
        if not self._reads:
            self._reads = True
            self._loop.call_soon(self._read)

    def close(self) -> None:
        """See `asyncio.BaseTransport`: what is written still goes out."""
        if not self._closing and self.writes:
            self._closing = True
            self._send(None)
            if not self._unsent:
                self._lose(None)

    def abort(self) -> None:
        """See `asyncio.WriteTransport`: what waits to be sent is thrown away."""
        if not self.lost and self.writes and not (self._closing and not self._unsent):
            self._closing = True
            self._unsent.clear()
            self._unsent_bytes = 0
            self._far_reads = True
            self._send(None)
            self._lose(None)

    # ---- what the other end does

    def far_send(self, data: bytes, arrived: Callable[[], None] | None = None) -> None:
        """Send bytes to the gateway; `arrived` is called when it is handed them, and never where it is not."""

        def arrive() -> None:
            if arrived is not None:
                arrived()
            if data:
                self._protocol_as_stream().data_received(data)

        self._come(arrive)

    def far_goodbye(self) -> None:
        """Say that nothing more comes."""
        self._come(self._take_goodbye)

    def far_reset(self) -> None:
        """Drop the connection."""
        self._loop.call_at(self._inward.at(self._latency_s), self._take_reset)

    def far_pause(self) -> None:
        """Stop reading what the gateway writes."""
        self._far_reads = False

    def far_resume(self) -> None:
        """Read on."""
        self._far_reads = True
        unsent, self._unsent, self._unsent_bytes = self._unsent, deque(), 0
        for data in unsent:
            self._depart(data)
        if self._closing and unsent:
            self._lose(None)
        elif self._paused and not self.lost:
            self._paused = False
            self._protocol_as_stream().resume_writing()

    def far_finds_what_was_sent(self) -> None:
        """Hand over at once what is on its way: the kernel delivers it although the gateway's process has died."""
        while self._on_their_way:
            self._deliver()

    # ---- our own steps

    def _send(self, data: bytes | None) -> None:
        if self._far_reads and not self._unsent:
            self._depart(data)
        else:
            self._unsent.append(data)
            self._unsent_bytes += len(data or b"")

    def _depart(self, data: bytes | None) -> None:
        self._on_their_way.append(data)
        self._loop.call_at(self._outward.at(self._latency_s), self._deliver)

    def _deliver(self) -> None:
        if not self._on_their_way:
            return
        data = self._on_their_way.popleft()
        if self.far is None:
            return
        if data is None:
            self.far.on_end()
        else:
            self.far.on_data(data)

    def _come(self, event: Callable[[], None]) -> None:
        self._loop.call_at(self._inward.at(self._latency_s), self._arrive, event)

    def _arrive(self, event: Callable[[], None]) -> None:
        self._arrived.append(event)
        self._read()

    def _read(self) -> None:
        while self._arrived and self._reads and not self.lost and not self._closing:
            self._arrived.popleft()()

    def _take_reset(self) -> None:
        lost = ConnectionResetError(104, "Connection reset by peer")
        if self._reads or self._closing or self._unsent:
            self._lose(lost)
        else:  # who neither reads nor writes learns of nothing
            self._arrived.append(lambda: self._lose(lost))

    def _take_goodbye(self) -> None:
        if not self._protocol_as_stream().eof_received():
            self.close()

    def _lose(self, error: Exception | None) -> None:
        if not self.lost:
            self.lost = self._closing = True
            self._arrived.clear()
            self._loop.call_soon(self._protocol.connection_lost, error)

    def _protocol_as_stream(self) -> asyncio.Protocol:
        assert isinstance(self._protocol, asyncio.Protocol)
        return self._protocol
