"""Keeps the ledger quick to ask, and no longer than it is to be kept, a few lines at a time.

Attempts are added to the sums that costs are answered from; those that are old enough are deleted, where the settings
say so. No call waits for it: a portion is a few milliseconds of the store's thread, between two is a pause, and what is
not done yet is added to every answer from the attempts themselves. What expires does so by whole UTC days: a day's
lines go together, so that few sums stand for them.
"""

import asyncio
import logging
from collections.abc import Callable

from farthing.clock import Clock
from farthing.errors import StoreError
from farthing.storage.protocols import Store
from farthing.types.ledger import US_PER_DAY

log = logging.getLogger(__name__)

PORTION_ROWS = 1_000
"""Some 10 ms of the store's thread, about what its own batches take; by 2,000 a row would cost a sixth less, and calls
would wait twice as long for a processor that both are on."""
EXPIRED_ROWS = 500
"""As long as that: a line that goes leaves three indexes, too."""
PAUSE_S = 0.06
"""Between two portions: 14,000 rows a second, faster than calls can come; an old ledger of ten million takes 12 minutes
once, in which it is as it was before."""
LOOK_S = 5.0
"""How often is looked whether there is something to do. Every answer reads what came since line by line, 1 us each: at
10,000 calls a second that is 50 ms at most, and the alert watch alone asks ten times. A look that finds nothing takes
20 us; one that finds a few lines costs a commit, which the ledger makes more often than that itself."""
LEAD_US = 60_000_000
"""So long nobody else deletes when a process has: several times as long as it may look away."""


class Housekeeping:
    """Rolls up what there is and what comes, and lets expire what is old; see `keep`."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        holder: str,
        kept_us: Callable[[], int | None],
        *,
        portion_rows: int = PORTION_ROWS,
        expired_rows: int = EXPIRED_ROWS,
        pause_s: float = PAUSE_S,
        look_s: float = LOOK_S,
    ) -> None:
        """`holder` names the process; `kept_us` tells how long lines are kept by now, `None` is for ever."""
        self._store = store
        self._clock = clock
        self._holder = holder
        self._kept_us = kept_us
        self._portion_rows = portion_rows
        self._expired_rows = expired_rows
        self._pause_s = pause_s
        self._look_s = look_s

    async def keep(self) -> None:
        """Go on until it is cancelled."""
        while True:
            try:
                goes_on = await self._roll_up() or await self._expire()
            except StoreError as error:  # whoever posts learns why; nothing is missing from any answer
                log.debug("the ledger is not kept in order: %s", error)
                goes_on = False
            await asyncio.sleep(self._pause_s if goes_on else self._look_s)

    async def _roll_up(self) -> bool:
        return await self._store.roll_up(self._portion_rows) == self._portion_rows

    async def _expire(self) -> bool:
        """Let a few lines expire, where no other process does; return whether there may be more."""
        kept_us, now_us = self._kept_us(), self._clock.now_us()
        if kept_us is None:
            return False
        before_us = expires_before(kept_us, now_us)
        if not await self._store.attempts_begun(0, "", before_us, 1):
            return False
        if not await self._store.retention.lead(self._holder, now_us=now_us, until_us=now_us + LEAD_US):
            return False
        return await self._store.retention.expire(before_us, self._expired_rows, now_us) > 0


def expires_before(kept_us: int, now_us: int) -> int:
    """Return the UTC midnight before which lines expire that are kept so long."""
    return max(0, now_us - kept_us) // US_PER_DAY * US_PER_DAY
