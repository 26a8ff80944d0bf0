"""What every store can do with lines that are older than they are to be kept."""

from typing import Protocol

from farthing.types.retention import Retained, Waiting


class RetentionStore(Protocol):
    """Deletes old lines, and keeps what they add up to.

    Nothing that is asked for sums misses them: costs, spending, totals, accounts of budgets, old and new. They stay by
    quarter of an hour, and a quarter counts in a time that it begins in. Single lines are gone; so is what was said of
    them beyond whom and what they were for. An attempt that has expired is still known, and is not kept again.
    """

    async def lead(self, holder: str, *, now_us: int, until_us: int) -> bool:
        """Be the one process that deletes until `until_us`; False where another one is whose time is not over."""
        ...

    async def expire(self, before_us: int, limit: int, now_us: int) -> int:
        """Delete about `limit` attempts of calls that were over before a time, the oldest first; return how many.

        0 where nothing is left to do. It is one transaction: they are lines or they are in the sums.
        """
        ...

    async def retained(self) -> Retained:
        """Return since when all lines are there, and how many are gone."""
        ...

    async def waiting(self, before_us: int) -> Waiting:
        """Return how many attempts began before a time."""
        ...
