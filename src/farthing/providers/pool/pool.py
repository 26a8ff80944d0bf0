"""Send requests over kept connections.

A request with an idle connection at hand costs one future and one wait. One timer per pool looks at every connection
four times a second and ends what is overdue; it runs only while there are connections.

A request is never sent twice. An idle connection that was found closed before writing is passed over for another; once
bytes were handed to the transport the provider may have them, and a cut is reported as such.
"""

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from farthing.providers.pool import failures
from farthing.providers.pool.answer import Answer
from farthing.providers.pool.connection import Connection
from farthing.providers.pool.dial import Connect, Dialer
from farthing.providers.pool.lane import Lane
from farthing.providers.pool.origin import Origin, PoolLimits, Timeouts

_SWEEP_S = 0.25
"""Timeouts are seconds to hours, so a quarter of a second late is nothing; 256 connections take 50 us to look at."""

_CLOSE_S = 1.0
"""How long `close` waits for transports to say that they are gone; aborting takes one turn of the loop."""


class PoolStats(msgspec.Struct, frozen=True, kw_only=True):
    """A moment's counts over all origins; `open` counts those being connected too."""

    open: int
    idle: int
    in_use: int
    waiting: int


class Pool:
    """Connections to every origin that was asked for. Belongs to the loop of its first `send`."""

    __slots__ = ("_closed", "_connect", "_lanes", "_limits", "_loop", "_timer")

    def __init__(self, *, connect: Connect | None = None, limits: PoolLimits | None = None) -> None:
        self._connect: Connect = connect or Dialer()
        self._limits = limits or PoolLimits()
        # As many lanes as the settings have origins: a client cannot name one.
        self._lanes: dict[Origin, Lane] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    async def send(
        self,
        origin: Origin,
        head: bytes,
        body: Sequence[bytes],
        timeouts: Timeouts,
        sent: Callable[[], None] | None = None,
    ) -> Answer:
        """Send a request and return its answer when status line and headers have arrived.

        `head` is complete: request line, headers with the body's content-length, empty line. The parts of `body` must
        not change until the answer is complete. `sent` is told when all of it is with the transport.

        Raises:
            ProviderUnreachable: no connection (`nothing_sent` is true of it).
            ProviderBusy: no free connection and no place or time to wait for one (likewise).
            ProviderTimeout: connecting, the first byte or everything took too long (likewise for connecting).
            ProviderCut: the connection ended before the answer's head was complete.
            ProviderMisbehaved: the answer is not HTTP/1.1 or breaks a bound.
            ConfigError: the origin's CA file cannot be used.
            Draining: the pool is closed.
        """
        lane = self._lanes.get(origin) or self._new_lane(origin)
        assert self._loop is not None
        started = self._loop.time()
        connection = lane.take(started)
        now = started
        if connection is None:
            connection = await self._connection(lane, timeouts)
            now = self._loop.time()
        answer = connection.begin(head, body, timeouts, started, now)
        if sent is not None:
            sent()
        waiter = answer.waiter
        assert waiter is not None
        try:
            await waiter
        except BaseException:
            answer.cancel()
            raise
        if answer.error is not None and not answer.status:
            raise answer.error
        return answer

    @property
    def stats(self) -> PoolStats:
        """Count what there is now."""
        lanes = self._lanes.values()
        taken, idle = sum(lane.slots_taken for lane in lanes), sum(len(lane.idle) for lane in lanes)
        return PoolStats(open=taken, idle=idle, in_use=taken - idle, waiting=sum(len(lane.waiters) for lane in lanes))

    async def close(self) -> None:
        """Cut what is in flight, refuse what waits, and return when the connections are gone."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        leaving: list[asyncio.Future[None]] = []
        for lane in self._lanes.values():
            lane.closed = True
            while lane.waiters:
                waiter = lane.waiters.popleft()
                if not waiter.done():
                    waiter.set_exception(failures.draining(lane.origin))
            for connection in list(lane.connections):
                connection.fail(failures.stopped(lane.origin))
            if lane.connections:
                lane.emptied = asyncio.get_running_loop().create_future()
                leaving.append(lane.emptied)
        if leaving:
            await asyncio.wait(leaving, timeout=_CLOSE_S)

    def _new_lane(self, origin: Origin) -> Lane:
        self._loop = self._loop or asyncio.get_running_loop()
        lane = self._lanes[origin] = Lane(origin, self._limits, self._loop)
        return lane

    async def _connection(self, lane: Lane, timeouts: Timeouts) -> Connection:
        """Wait for a slot, and connect unless it comes with a connection."""
        if self._closed:
            raise failures.draining(lane.origin)
        connection = await lane.wait()
        if connection is not None:
            return connection
        try:
            return await self._open(lane, timeouts)
        except BaseException:
            lane.free_slot()
            raise

    async def _open(self, lane: Lane, timeouts: Timeouts) -> Connection:
        loop, limits, origin = self._loop, self._limits, lane.origin
        assert loop is not None
        patience = asyncio.timeout(timeouts.connect_s)
        try:
            async with patience:
                transport, protocol = await self._connect(lambda: Connection(lane, limits, loop), origin)
        except TimeoutError as error:
            if patience.expired():
                raise failures.connect_timeout(origin, timeouts.connect_s) from None
            raise failures.unreachable(origin, error) from error
        except (OSError, ValueError) as error:  # ValueError: a name that cannot be one
            raise failures.unreachable(origin, error) from error
        assert isinstance(protocol, Connection)
        if self._closed:
            transport.close()
            raise failures.draining(origin)
        if protocol.closed:
            raise failures.closed_at_once(origin)
        lane.connections[protocol] = None
        protocol.handed = False
        if self._timer is None:
            self._timer = loop.call_later(_SWEEP_S, self._sweep)
        return protocol

    def _sweep(self) -> None:
        """End what is overdue and what was idle for too long."""
        assert self._loop is not None
        now = self._loop.time()
        self._timer = None
        remaining = False
        for lane in self._lanes.values():
            for connection in [one for one in lane.idle if not one.usable(now)]:
                connection.retire()
            for connection in list(lane.connections):
                error = connection.overdue(now)
                if error is not None:
                    connection.fail(error)
            remaining = remaining or bool(lane.connections)
        if remaining:
            self._timer = self._loop.call_later(_SWEEP_S, self._sweep)
