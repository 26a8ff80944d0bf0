"""What a store does with limits: it keeps the rules (`LimitStore`), and what is used of their windows (`WindowStore`).

These are two because they may be kept apart: the rules are with keys and budgets, and the windows may be in a Redis
that several hosts share.
"""

from collections.abc import Sequence
from typing import Protocol

from farthing.types.limits import Exchanged, Limit, LimitChanges, WindowAsk, WindowUse


class LimitStore(Protocol):
    """Keeps limits; every method raises `StoreError` when the store cannot be used, and has then changed nothing."""

    async def all(self) -> list[Limit]:
        """Return every limit, in order of name."""
        ...

    async def page(self, after: str, limit: int) -> list[Limit]:
        """Return the next limits in order of name, those after the name `after`; `""` is before all."""
        ...

    async def found(self, name_or_id: str) -> Limit | None:
        """Return one limit."""
        ...

    async def put(self, limit: Limit) -> bool:
        """Keep a limit, new or in place of the one with its id; False, and nothing changed, when its name is taken."""
        ...

    async def remove(self, limit_id: str) -> bool:
        """Forget a limit; False where there is none. What was used of its windows leaves them by itself."""
        ...

    async def changes(self, since: int) -> LimitChanges:
        """Return what was changed after a counter's value, by whichever process; 0 is before everything."""
        ...


class WindowStore(Protocol):
    """Keeps what is used of windows, dated, and what processes have leased of them.

    After every ask what is used and what is leased is at most the limit, or no more than it was before. A lease that
    ended counts as used at its end, for nobody knows how much of it was; what was under way then counts no more.
    """

    async def exchange(self, holder: str, asks: Sequence[WindowAsk], *, now_us: int, lease_us: int) -> Exchanged:
        """Take what a process tells of windows, and lease to it, in order, all at once.

        Its leases then end `lease_us` after now. A store with a clock of its own goes by that, and not by `now_us`;
        what is dated later than now counts as now.

        Raises:
            StoreError: the store cannot be used. It may have taken the asks: telling them again is right either way.
        """
        ...

    async def wanted(self, since_us: int) -> list[str]:
        """Return the windows of which somebody wanted more than was left, at or after `since_us`."""
        ...

    async def uses(self, rules: Sequence[str], *, at_most: int, now_us: int) -> list[WindowUse]:
        """Return of each rule the windows that are used most, at most so many; those of which nothing is are left out.

        A store with a clock of its own goes by that. For people to look at: it changes nothing.
        """
        ...
