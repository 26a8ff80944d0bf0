"""The connections to one origin, and who waits for one.

A slot is the right to hold one connection. It belongs to an idle connection, to one in use, or to a `send` that is
about to connect, and it moves from one to the next without becoming free in between; so nobody who comes later can take
it from the first who waits.
"""

import asyncio
from collections import deque

from farthing.providers.pool import failures
from farthing.providers.pool.connection import Connection
from farthing.providers.pool.origin import Origin, PoolLimits


class Lane:
    """Bookkeeping only: it opens nothing, and every method but `wait` returns at once."""

    __slots__ = (
        "_limits",
        "_loop",
        "_writing",
        "closed",
        "connections",
        "emptied",
        "idle",
        "origin",
        "slots_taken",
        "waiters",
    )

    def __init__(self, origin: Origin, limits: PoolLimits, loop: asyncio.AbstractEventLoop) -> None:
        self.origin = origin
        self.connections: dict[Connection, None] = {}  # in order of arrival, which a seed can repeat
        self.idle: list[Connection] = []
        self.waiters: deque[asyncio.Future[Connection | None]] = deque()
        self.slots_taken = 0
        self._writing: list[Connection] = []
        self.closed = False
        self.emptied: asyncio.Future[None] | None = None
        self._limits = limits
        self._loop = loop

    def take(self, now: float) -> Connection | None:
        """Return the idle connection that was used last, dropping those found closed or too old on the way.

        The last one used is the least likely to be closed under the request; the others may age and go.
        """
        idle = self.idle
        while idle:
            connection = idle.pop()
            if connection.usable(now):
                return connection
            connection.retire()
        return None

    async def wait(self) -> Connection | None:
        """Take a slot, in turn; return a connection when it comes with one.

        Raises:
            ProviderBusy: the queue is full, or no slot became free in time.
        """
        limits = self._limits
        if self.slots_taken < limits.max_connections and not self.waiters:
            self.slots_taken += 1
            return None
        if len(self.waiters) >= limits.max_waiting:
            raise failures.queue_full(self.origin, limits.max_connections, limits.max_waiting)
        waiter: asyncio.Future[Connection | None] = self._loop.create_future()
        self.waiters.append(waiter)
        try:
            async with asyncio.timeout(limits.wait_s):
                connection = await waiter
        except BaseException as error:
            self._withdraw(waiter)
            if isinstance(error, TimeoutError):
                raise failures.waited_too_long(self.origin, limits.max_connections, limits.wait_s) from None
            raise
        if connection is None:
            return None
        connection.handed = False
        return None if connection.closed else connection

    def later(self, connection: Connection) -> None:
        """Have a connection write at the end of this turn of the loop, with all others.

        Most of what a write costs is to wake who reads it, and who was woken by the first is awake for the others.
        """
        if not self._writing:
            self._loop.call_soon(self._write_all)
        self._writing.append(connection)

    def _write_all(self) -> None:
        writing, self._writing = self._writing, []
        for connection in writing:
            connection.send_later()

    def release(self, connection: Connection) -> None:
        """Hand a connection that can serve again to the first who waits, or keep it idle."""
        waiter = self._next_waiter()
        if waiter is not None:
            connection.handed = True
            connection.idle_since = self._loop.time()
            waiter.set_result(connection)
        elif self.closed:
            connection.retire()
        else:
            connection.idle_since = self._loop.time()
            self.idle.append(connection)

    def lost(self, connection: Connection) -> None:
        """A connection cannot be used any more: its slot goes on, unless it is on its way to a waiter already."""
        if connection in self.idle:
            self.idle.remove(connection)
        if not connection.handed:
            self.free_slot()

    def free_slot(self) -> None:
        """Give a slot without a connection to the first who waits, or back."""
        waiter = self._next_waiter()
        if waiter is not None:
            waiter.set_result(None)
        else:
            self.slots_taken -= 1

    def gone(self, connection: Connection) -> None:
        """A transport has closed."""
        self.connections.pop(connection, None)
        if not self.connections and self.emptied is not None and not self.emptied.done():
            self.emptied.set_result(None)

    def _next_waiter(self) -> "asyncio.Future[Connection | None] | None":
        waiters = self.waiters
        while waiters:
            waiter = waiters.popleft()
            if not waiter.done():
                return waiter
        return None

    def _withdraw(self, waiter: "asyncio.Future[Connection | None]") -> None:
        """Leave no trace of a waiter that was cancelled, though it may have been served in the same moment."""
        if waiter in self.waiters:
            self.waiters.remove(waiter)
        if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
            connection = waiter.result()
            if connection is None or connection.closed:
                self.free_slot()
            else:
                connection.handed = False
                self.release(connection)
