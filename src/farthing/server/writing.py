"""The writing side of a client's connection.

What is small is not written at once while others are being answered too, but at the end of the loop's turn with theirs:
most of what a write costs is to wake who reads it, and who was woken by the first is awake for the others. On this
machine that is 10 us of each answer. Whoever is alone does not wait.
"""

import asyncio

from farthing.server.listener import Listener

LATER_BYTES = 16_384
"""What is larger is written at once; less always fits into the socket's buffer and what the transport keeps beside."""


class WritingSide(asyncio.Protocol):
    """One connection, as far as it writes."""

    __slots__ = (
        "_later",
        "_loop",
        "_transport",
        "_unsent_bytes",
        "deadline",
        "drain_waiter",
        "listener",
        "paused",
    )

    def __init__(self, listener: Listener, loop: asyncio.AbstractEventLoop) -> None:
        self.listener = listener
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._later = b""
        self._unsent_bytes = 0
        self.deadline = float("inf")
        self.paused = False
        self.drain_waiter: asyncio.Future[None] | None = None

    def write(self, data: bytes) -> None:
        """Hand bytes to the transport, now or at the end of this turn; nothing happens when the client is gone."""
        transport = self._transport
        if transport is None:
            return
        if self._later:
            data, self._later = self._later + data, b""
        elif len(data) <= LATER_BYTES and not self.paused and len(self.listener.exchanges) > 1:
            self._later = data
            self.listener.later(self, self._loop)
            return
        transport.write(data)

    def send_later(self) -> None:
        """Hand over what was kept for the end of this turn; whatever goes round `write` does that first."""
        data, self._later = self._later, b""
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """Close when all is sent."""
        if self._transport is not None:
            self.send_later()
            self._transport.close()

    def abort(self) -> None:
        """Drop the connection."""
        self._later = b""
        if self._transport is not None:
            self._transport.abort()

    def pause_writing(self) -> None:
        """The client reads more slowly than we write: `send` waits."""
        self.paused = True
        self._note_unsent()

    async def drained(self) -> None:
        """Wait until the client has read most of what was written."""
        if self.paused and self._transport is not None:
            if self.drain_waiter is None:
                self.drain_waiter = self._loop.create_future()
            await self.drain_waiter

    def _note_unsent(self) -> None:
        assert self._transport is not None
        self._unsent_bytes = self._transport.get_write_buffer_size()
        self.deadline = self._loop.time() + self.listener.bounds.write_timeout_s
