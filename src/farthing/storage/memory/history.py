"""The past in memory: added up anew from the attempts each time it is asked for."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from farthing.types.budgets import Scope, charge_of
from farthing.types.calls import Attempt
from farthing.types.history import HOUR_US, GroupedBy, HourTotal, ProviderOutcomes, is_failed

Kept = Callable[[], Iterable[Attempt]]


class MemoryHistory:
    """See `HistoryStore`."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept

    async def hours(self, scope: Scope, since_us: int, until_us: int) -> list[HourTotal]:
        """See `HistoryStore.hours`."""
        found = self._between(since_us, until_us)
        return _hours([one for one in found if scope.subjects_of(one.opening.attribution)])

    async def dearest(self, by: GroupedBy, since_us: int, limit: int) -> list[str]:
        """See `HistoryStore.dearest`."""
        spent: dict[str, int] = defaultdict(int)
        for one in self._between(since_us, None):
            spent[getattr(one.opening.attribution, by) or ""] += _spent(one)
        found = [name for name, amount in spent.items() if name and amount > 0]
        return sorted(found, key=lambda name: (-spent[name], name))[:limit]

    async def hours_by(self, by: GroupedBy, values: Sequence[str], since_us: int) -> dict[str, list[HourTotal]]:
        """See `HistoryStore.hours_by`."""
        groups: dict[str, list[Attempt]] = {value: [] for value in values}
        for one in self._between(since_us, None):
            value = getattr(one.opening.attribution, by)
            if value in groups:
                groups[value].append(one)
        return {value: _hours(members) for value, members in groups.items()}

    async def outcomes(self, since_us: int, *, least_failed: int, least_percent: int) -> list[ProviderOutcomes]:
        """See `HistoryStore.outcomes`."""
        found = _outcomes(one for one in self._kept() if one.opening.started_at_us >= since_us)
        return [one for one in found if one.failed >= least_failed and one.failed * 100 >= one.attempts * least_percent]

    async def usual_outcomes(self, since_us: int, until_us: int) -> list[ProviderOutcomes]:
        """See `HistoryStore.usual_outcomes`."""
        return _outcomes(self._between(since_us, until_us))

    def _between(self, since_us: int, until_us: int | None) -> list[Attempt]:
        first = since_us // HOUR_US
        last = None if until_us is None else -(-until_us // HOUR_US)
        return [
            one
            for one in self._kept()
            if first <= (hour := one.opening.started_at_us // HOUR_US) and (last is None or hour < last)
        ]


def _spent(attempt: Attempt) -> int:
    return sum(charge_of(attempt.cost_nanousd, attempt.opening.held_nanousd))


def _hours(attempts: Iterable[Attempt]) -> list[HourTotal]:
    sums: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0])
    for one in attempts:
        total = sums[one.opening.started_at_us // HOUR_US]
        total[0] += _spent(one)
        total[1] += 1
        total[2] += is_failed(one.outcome, one.http_status)
    return [
        HourTotal(hour_us=hour * HOUR_US, spent_nanousd=spent, attempts=attempts, failed=failed)
        for hour, (spent, attempts, failed) in sorted(sums.items())
    ]


def _outcomes(attempts: Iterable[Attempt]) -> list[ProviderOutcomes]:
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for one in attempts:
        total = sums[one.opening.provider]
        total[0] += 1
        total[1] += is_failed(one.outcome, one.http_status)
    return [
        ProviderOutcomes(provider=provider, attempts=attempts, failed=failed)
        for provider, (attempts, failed) in sorted(sums.items())
    ]
