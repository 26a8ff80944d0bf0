"""The past in PostgreSQL: sums by the hour, kept by the statement that keeps the attempts."""

from collections.abc import Sequence
from typing import Any

from farthing.storage.postgres.connections import Connections
from farthing.types.budgets import Scope
from farthing.types.history import HOUR_US, GroupedBy, HourTotal, ProviderOutcomes

_SUMMED = ("organisation", "team", "project", "key_id", "user", "task", "tag")  # as the statements number them
_IN_DETAIL = (*_SUMMED, "session")


class PostgresHistory:
    """See `HistoryStore`."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def hours(self, scope: Scope, since_us: int, until_us: int) -> list[HourTotal]:
        """See `HistoryStore.hours`."""
        summed = set(scope.named) <= set(_SUMMED)
        name = "hours" if summed else "hours_of_attempts"
        values = [getattr(scope, column) for column in (_SUMMED if summed else _IN_DETAIL)]
        rows = await self._connections.all(name, since_us // HOUR_US, -(-until_us // HOUR_US), *values)
        return [_hour(row) for row in rows]

    async def dearest(self, by: GroupedBy, since_us: int, limit: int) -> list[str]:
        """See `HistoryStore.dearest`."""
        return [row[0] for row in await self._connections.all("hours_dearest", by, since_us // HOUR_US, limit)]

    async def hours_by(self, by: GroupedBy, values: Sequence[str], since_us: int) -> dict[str, list[HourTotal]]:
        """See `HistoryStore.hours_by`."""
        found: dict[str, list[HourTotal]] = {value: [] for value in values}
        for value, *row in await self._connections.all("hours_by", by, list(values), since_us // HOUR_US):
            found[value].append(_hour(row))
        return found

    async def outcomes(self, since_us: int, *, least_failed: int, least_percent: int) -> list[ProviderOutcomes]:
        """See `HistoryStore.outcomes`."""
        rows = await self._connections.all("outcomes_since", since_us, least_failed, least_percent)
        return [_outcomes(row) for row in rows]

    async def usual_outcomes(self, since_us: int, until_us: int) -> list[ProviderOutcomes]:
        """See `HistoryStore.usual_outcomes`."""
        rows = await self._connections.all("outcomes_usual", since_us // HOUR_US, -(-until_us // HOUR_US))
        return [_outcomes(row) for row in rows]


def _hour(row: Sequence[Any]) -> HourTotal:
    hour, spent, attempts, failed = map(int, row)
    return HourTotal(hour_us=hour * HOUR_US, spent_nanousd=spent, attempts=attempts, failed=failed)


def _outcomes(row: Sequence[Any]) -> ProviderOutcomes:
    return ProviderOutcomes(provider=row[0], attempts=int(row[1]), failed=int(row[2]))
