"""Take up a price list that `farthing prices refresh` has put into the home, without a new start.

The command writes a whole list first and the small file that names it last, so a look at that file each second is
enough. A list that cannot be used is said once, and the one in use stays.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

from farthing.catalog.price_lists import open_price_lists, stamp_of
from farthing.catalog.prices import PriceBook
from farthing.errors import PriceListUnusable
from farthing.types.offload import Offload

log = logging.getLogger(__name__)

LOOK_S = 1.0
"""Whoever refreshes looks at the next call; a look asks the system for one file's date, 2 us."""


class PriceFollower:
    """Keeps a book's lists those that a home uses. Make it before the book is read, so that no change falls between."""

    def __init__(self, folder: Path, offload: Offload) -> None:
        self._folder = folder
        self._offload = offload
        self._seen = stamp_of(folder)

    async def follow(self, book: PriceBook, changed: Callable[[], None], interval_s: float = LOOK_S) -> None:
        """Look every `interval_s`, until cancelled; `changed` is called after other lists were taken."""
        while True:
            await asyncio.sleep(interval_s)
            if await self.look(book):
                changed()

    async def look(self, book: PriceBook) -> bool:
        """Take the lists if they are others now; whether they were."""
        stamp = stamp_of(self._folder)
        if stamp == self._seen:
            return False
        self._seen = stamp
        try:
            lists = await self._offload.run(partial(open_price_lists, self._folder))
        except PriceListUnusable as error:
            log.warning("the price list in use stays: %s", error)
            return False
        book.take(lists)
        log.info("prices are those of %s now", ", ".join(source.index.id for source in lists.sources))
        return True
