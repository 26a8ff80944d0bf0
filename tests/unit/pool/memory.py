"""A connection without a socket, handed in through `connect`: bytes arrive in exactly the pieces a test chooses."""

import asyncio
from collections.abc import Callable
from typing import Any

from farthing.providers.pool import Origin


class MemoryTransport(asyncio.Transport):
    def __init__(self, protocol: asyncio.Protocol, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.protocol = protocol
        self.loop = loop
        self.written: list[bytes] = []
        self.reading = True
        self.gone = False
        self.ended = False

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return self.gone

    def close(self) -> None:
        self.abort()

    def abort(self) -> None:
        if not self.gone:
            self.gone = True
            self.loop.call_soon(self.protocol.connection_lost, None)

    def end(self) -> None:
        """The other side closes."""
        self.protocol.eof_received()
        self.abort()


class MemoryConnect:
    """A `Connect` that remembers its transports."""

    def __init__(self) -> None:
        self.transports: list[MemoryTransport] = []
        self.connected = asyncio.Event()

    async def __call__(
        self, factory: Callable[[], asyncio.Protocol], origin: Origin
    ) -> tuple[asyncio.BaseTransport, asyncio.BaseProtocol]:
        del origin
        protocol = factory()
        transport = MemoryTransport(protocol, asyncio.get_running_loop())
        self.transports.append(transport)
        protocol.connection_made(transport)
        self.connected.set()
        return transport, protocol
