"""Calls that end in other processes, told while somebody watches: of this home by its journals, of others by Redis."""

import asyncio
import os
from collections.abc import Callable, Sequence
from contextlib import suppress

from farthing.app import Farthing
from farthing.errors import StoreError
from farthing.events import News
from farthing.ledger.following import JournalFollower
from farthing.types.live import CallNews, news_of

LOOK_S = 0.5
"""How often the journals of the other workers are looked at; a look where nothing is new takes 30 us of a thread."""


class Elsewhere:
    """Follows the others from the first reader on until the last one leaves."""

    def __init__(self, farthing: Farthing) -> None:
        self._farthing = farthing
        self._news: News[CallNews] = News()
        self._readers = 0
        self._tasks: list[asyncio.Task[None]] = []

    def subscribe(self, reader: Callable[[Sequence[CallNews]], None]) -> Callable[[], None]:
        """Hand a reader what ends elsewhere; return what ends that."""
        unsubscribe = self._news.subscribe(reader)
        self._readers += 1
        if self._readers == 1:
            self._start()

        def leave() -> None:
            unsubscribe()
            self._readers -= 1
            if self._readers == 0:
                for task in self._tasks:
                    task.cancel()
                self._tasks = []

        return leave

    def _start(self) -> None:
        farthing = self._farthing
        if farthing.workers > 1:
            self._tasks.append(asyncio.create_task(self._follow_journals(), name="elsewhere-journals"))
        if farthing.shared_calls is not None:
            self._tasks.append(asyncio.create_task(self._follow_hosts(), name="elsewhere-hosts"))

    async def _follow_journals(self) -> None:
        reading = self._farthing.reading
        follower = JournalFollower(self._farthing.home.journal, os.getpid())
        with suppress(StoreError):  # the process is stopping, and its thread has stopped
            try:
                while True:
                    for attempt in await reading.run(follower.look):
                        self._news.publish(news_of(attempt))
                    await asyncio.sleep(LOOK_S)
            finally:
                await reading.run(follower.close)  # behind a look that is under way

    async def _follow_hosts(self) -> None:
        assert self._farthing.shared_calls is not None, "asked before it was begun"
        async for calls in self._farthing.shared_calls.elsewhere():
            for call in calls:
                self._news.publish(call)
