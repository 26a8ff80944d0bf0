"""What every store can do with alerts: conditions, the outbox of facts, and their way to each channel.

A fact is written in the transaction that makes it true, and stays until it is old. Nobody who writes one knows the
channels; the process that leads routes it. A delivery that was begun is given to nobody else for a while; where its
process died in between, it is begun again, with the same id, so that the receiver can tell.
"""

from collections.abc import Collection, Sequence
from typing import Protocol

from farthing.types.alerts import Condition, Delivery, Fact, Sighting, Told


class AlertStore(Protocol):
    """Keeps conditions, facts and deliveries. Times are microseconds since 1970 UTC."""

    async def lead(self, holder: str, *, now_us: int, until_us: int) -> bool:
        """Lead until `until_us`, or go on leading; False where another process does whose time is not over."""
        ...

    async def note(self, sightings: Sequence[Sighting]) -> list[Fact]:
        """Take in how conditions were found, all in one transaction; return the facts that are new."""
        ...

    async def sweep(self, now_us: int) -> list[Fact]:
        """Look at the accounts that charges have taken over a line, where charges do not tell of it themselves.

        Return the facts that are new. What is found late is not lost: it stands in the account.
        """
        ...

    async def end_over(self, now_us: int) -> list[Fact]:
        """End every condition whose time is over, and those of budgets that are gone; return the facts that are new."""
        ...

    async def review(self, budget_id: str, now_us: int) -> list[Fact]:
        """Compare a budget's accounts with its thresholds as they are now; return the facts that are new."""
        ...

    async def unrouted(self, limit: int) -> list[Fact]:
        """Return facts of which nobody has decided where they go, the oldest first."""
        ...

    async def route(self, fact_id: str, channels: Collection[str], now_us: int) -> None:
        """Say where a fact goes, once; with no channels it is kept, and goes nowhere."""
        ...

    async def take(self, *, now_us: int, until_us: int, limit: int, but: Collection[str] = ()) -> list[Delivery]:
        """Begin up to `limit` deliveries that are due, oldest facts first, none to the channels `but` names.

        Until `until_us` nobody else has them.
        """
        ...

    async def delivered(self, fact_id: str, channel: str, at_us: int) -> None:
        """Note that a channel took a fact; it is never taken back."""
        ...

    async def failed(self, fact_id: str, channel: str, error: str, next_try_at_us: int | None) -> None:
        """Note that a channel did not; it is tried again then, or where that is `None` never (dead)."""
        ...

    async def retry(self, fact_id: str | None, now_us: int) -> int:
        """Have dead deliveries tried anew, of one fact or of all; return how many."""
        ...

    async def told(
        self, limit: int, *, dead_only: bool = False, before: str | None = None, fact_id: str | None = None
    ) -> list[Told]:
        """Return the youngest facts and how their deliveries stand, the youngest first.

        Only those that are older than the one `before`, or the one that `fact_id` names.
        """
        ...

    async def holding(self, limit: int) -> list[Condition]:
        """Return conditions that hold now, those that changed last first."""
        ...

    async def fact_ids(self, prefix: str, limit: int) -> list[str]:
        """Return at most `limit` ids of facts that begin with `prefix`, in order."""
        ...

    async def forget(self, before_us: int, *, keep: int) -> int:
        """Remove facts from before then, and all but the youngest `keep`; never one on its way. Return how many.

        Conditions that ended before then are forgotten too.
        """
        ...
