"""What every store can tell of the past, hour by hour."""

from collections.abc import Sequence
from typing import Protocol

from farthing.types.budgets import Scope
from farthing.types.history import GroupedBy, HourTotal, ProviderOutcomes


class HistoryStore(Protocol):
    """Sums over attempts by the hour they began in. They are the sums that costs are answered from."""

    async def hours(self, scope: Scope, since_us: int, until_us: int) -> list[HourTotal]:
        """Return the hours from the one `since_us` lies in up to before `until_us`, of calls in a scope, in order.

        Most scopes are answered from sums; those with a session and a key or its like from the attempts themselves.
        """
        ...

    async def dearest(self, by: GroupedBy, since_us: int, limit: int) -> list[str]:
        """Return who spent most from an hour on, the dearest first; only who spent anything."""
        ...

    async def hours_by(self, by: GroupedBy, values: Sequence[str], since_us: int) -> dict[str, list[HourTotal]]:
        """Return the hours from one on of each of these, in order."""
        ...

    async def outcomes(self, since_us: int, *, least_failed: int, least_percent: int) -> list[ProviderOutcomes]:
        """Return how attempts ended that began from then on, by provider in order of name: for minutes, not days.

        Only of providers that failed at least so often, and that percentage of their attempts; both are above zero. A
        watch asks each minute of a busy ledger, and lines that did not fail are then counted of nobody, or of few.
        """
        ...

    async def usual_outcomes(self, since_us: int, until_us: int) -> list[ProviderOutcomes]:
        """Return the same of all providers and whole hours, from the sums."""
        ...
