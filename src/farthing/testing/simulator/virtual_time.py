"""Time that passes only when nobody has anything to do, and what runs on it: the loop, the clock, the offload.

The loop is asyncio's own with another selector: where that one would wait for a socket or a timer, the virtual one sets
the time to the next timer and returns. So an hour of timeouts takes as long as its callbacks, everything happens in one
order, and a house in which nothing will ever happen again is noticed at once.
"""

import asyncio
import selectors
from collections.abc import Callable, Mapping
from typing import TypeVar

from farthing.errors import StoreError

T = TypeVar("T")

US = 1_000_000
EPOCH_US = 1_780_000_000 * US
"""The clock's time when a simulation begins: a day in 2026, so that ids and days look as they will."""
_SHORTEST_S = 1e-6
"""Between two things that must keep their order: the loop's own heap does not keep that of equal times."""


class NothingWillHappen(BaseException):
    """Everybody waits for somebody: no callback is ready and no timer is set."""


class TookTooLong(BaseException):
    """The time limit of the simulation has passed."""


class _NoWaiting(selectors.BaseSelector):
    """Where a selector would wait, time passes."""

    def __init__(self, start_s: float, limit_s: float) -> None:
        self.now_s = start_s
        self.limit_s = limit_s
        self.end: BaseException | None = None

    def register(self, *_: object) -> selectors.SelectorKey:
        raise AssertionError("a socket in a simulation")

    def unregister(self, *_: object) -> selectors.SelectorKey:
        raise AssertionError("a socket in a simulation")

    def get_map(self) -> Mapping[object, selectors.SelectorKey]:  # type: ignore[override]  # it is empty
        return {}

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self.end is not None:
            raise self.end
        if timeout is None:
            raise NothingWillHappen
        if timeout > 0:
            self.now_s += timeout
            if self.now_s > self.limit_s:
                raise TookTooLong
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop of one thread, without descriptors; it begins at `start_s` and gives up at `limit_s`."""

    def __init__(self, start_s: float, limit_s: float) -> None:
        self._waiting = _NoWaiting(start_s, limit_s)
        super().__init__(self._waiting)

    def time(self) -> float:
        """Return the virtual time, in seconds."""
        return self._waiting.now_s

    def end_with(self, error: BaseException) -> None:
        """Run no further than to the end of this turn, whatever catches what."""
        self._waiting.end = error

    # The standard loop wakes itself by a pair of sockets, for threads and signals; here are neither.

    def _make_self_pipe(self) -> None:
        """Nobody calls from outside."""

    def _close_self_pipe(self) -> None:
        """There is none."""

    def _write_to_self(self) -> None:
        """Nobody waits to be woken."""


class VirtualClock:
    """The machine's clock as the gateway sees it: the loop's time, and `step_us` that an operator or NTP adds to it."""

    def __init__(self) -> None:
        self.loop: VirtualLoop | None = None
        self.step_us = 0

    def now_us(self) -> int:
        """See `Clock.now_us`."""
        return EPOCH_US + round(self.monotonic() * US) + self.step_us

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return 0.0 if self.loop is None else self.loop.time()


class VirtualOffload:
    """Runs blocking work on the loop itself, one after the other, each as late as `delay_s` says; see `Offload`."""

    def __init__(self, loop: VirtualLoop, delay_s: Callable[[], float]) -> None:
        self._loop = loop
        self._delay_s = delay_s
        self._free_at_s = 0.0
        self._closed = False
        self.at_once = False
        """Set where the loop is over: what is to be run then is run without it."""

    async def run(self, work: Callable[[], T]) -> T:
        """See `Offload.run`."""
        if self.at_once:
            return work()
        if self._closed:
            raise StoreError("The offload is closed: the program is stopping.")
        done: asyncio.Future[T] = self._loop.create_future()
        self._free_at_s = max(self._free_at_s, self._loop.time()) + max(self._delay_s(), _SHORTEST_S)
        self._loop.call_at(self._free_at_s, _do, work, done)
        return await asyncio.shield(done)

    async def close(self) -> None:
        """See `Offload.close`."""
        if not self._closed:
            await self.run(_nothing)
            self._closed = True


def _do(work: Callable[[], T], done: asyncio.Future[T]) -> None:
    try:
        result = work()
    except Exception as error:  # noqa: BLE001 - it is the waiter's
        done.set_exception(error)
    else:
        done.set_result(result)


def _nothing() -> None:
    """Mark the end of the queue."""


class InOrder:
    """Says when the next of several things happens that must keep their order."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._last_s = 0.0

    def at(self, delay_s: float) -> float:
        """Return the loop's time for what comes `delay_s` from now, and after all before it."""
        self._last_s = max(self._last_s + _SHORTEST_S, self._loop.time() + delay_s)
        return self._last_s
