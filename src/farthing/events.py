"""News: what happened, told afterwards to whoever wants to know.

Money goes by call, news goes by event: metrics and logs may be late and may miss something, and can neither slow nor
fail a call. To publish is one append (0.1 us); readers get what gathered in batches, in a turn of the loop of their
own. What is beyond the bound is dropped and counted, and a reader's error is logged and ends with that batch.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")

BATCH = 256
"""So many go at once: 0.1 ms of the loop's time for the metrics, and about 500 KB of attempts held."""
LINGER_S = 0.25
"""How long the first of a batch waits for company; who must be exact calls `deliver`."""
MAX_WAITING = 8192
"""Twice what can settle in one turn of the loop, when every connection's call is cut at once."""


class News(Generic[T]):
    """One kind of event. Belongs to the loop of its first reader; without readers nothing is kept."""

    __slots__ = ("_loop", "_max_waiting", "_readers", "_waiting", "dropped", "failed")

    def __init__(self, *, max_waiting: int = MAX_WAITING) -> None:
        self._max_waiting = max_waiting
        self._waiting: list[T] = []
        self._readers: list[Callable[[Sequence[T]], None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self.dropped = 0
        self.failed = 0

    def publish(self, event: T) -> None:
        """Keep an event for the readers; never waits and never fails."""
        waiting = self._waiting
        waiting.append(event)
        count = len(waiting)
        if count == 1 or count >= BATCH:
            self._consider(count)

    def subscribe(self, reader: Callable[[Sequence[T]], None]) -> Callable[[], None]:
        """Hand every later event to `reader`, in batches and in order; return what ends that."""
        self.deliver()  # what waits was before, and is not for this reader
        self._loop = asyncio.get_running_loop()
        self._readers.append(reader)

        def unsubscribe() -> None:
            self.deliver()
            self._readers.remove(reader)
            if not self._readers:
                self._loop = None

        return unsubscribe

    def deliver(self) -> None:
        """Hand out what has gathered, now."""
        batch, self._waiting = self._waiting, []
        if not batch:
            return
        for reader in self._readers:
            try:
                reader(batch)
            except Exception:  # whatever a reader does, calls and the other readers go on
                self.failed += 1
                log.exception("A reader of events failed; it misses %d of them.", len(batch))

    def _consider(self, count: int) -> None:
        """See to it that what waits is delivered; `count` is its length now."""
        if self._loop is None:
            self._waiting.clear()
        elif count > self._max_waiting:
            self._waiting.pop()
            self.dropped += 1
        elif count == 1:
            self._loop.call_later(LINGER_S, self.deliver)
        elif count == BATCH:
            self._loop.call_soon(self.deliver)
