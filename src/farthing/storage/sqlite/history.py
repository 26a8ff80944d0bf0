"""The past in SQLite: sums by the hour, kept with each batch of attempts, because nobody adds up a year each minute."""

from collections.abc import Sequence
from typing import Any

import msgspec

from farthing.storage.sqlite.connections import Connections
from farthing.types.budgets import DIMENSIONS, Scope
from farthing.types.history import CLIENTS_STATUSES, GROUPED_BY, HOUR_US, GroupedBy, HourTotal, ProviderOutcomes

CLIENTS = msgspec.json.encode(CLIENTS_STATUSES).decode()


class SqliteHistory:
    """See `HistoryStore`."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def hours(self, scope: Scope, since_us: int, until_us: int) -> list[HourTotal]:
        """See `HistoryStore.hours`."""
        summed = set(scope.named) <= set(GROUPED_BY)
        asked: dict[str, Any] = {name: getattr(scope, name) for name in DIMENSIONS}
        asked |= {"first": since_us // HOUR_US, "last": -(-until_us // HOUR_US), "clients": CLIENTS}
        rows = await self._connections.all("hours" if summed else "hours_of_attempts", asked)
        return [_hour(row) for row in rows]

    async def dearest(self, by: GroupedBy, since_us: int, limit: int) -> list[str]:
        """See `HistoryStore.dearest`."""
        asked = {"by": by, "first": since_us // HOUR_US, "limit": limit}
        return [row[0] for row in await self._connections.all("hours_dearest", asked)]

    async def hours_by(self, by: GroupedBy, values: Sequence[str], since_us: int) -> dict[str, list[HourTotal]]:
        """See `HistoryStore.hours_by`."""
        asked = {"by": by, "values": msgspec.json.encode(list(values)).decode(), "first": since_us // HOUR_US}
        found: dict[str, list[HourTotal]] = {value: [] for value in values}
        for value, *row in await self._connections.all("hours_by", asked):
            found[value].append(_hour(row))
        return found

    async def outcomes(self, since_us: int) -> list[ProviderOutcomes]:
        """See `HistoryStore.outcomes`."""
        return await self._outcomes("outcomes_since", {"since": since_us, "clients": CLIENTS})

    async def usual_outcomes(self, since_us: int, until_us: int) -> list[ProviderOutcomes]:
        """See `HistoryStore.usual_outcomes`."""
        return await self._outcomes("outcomes_usual", {"first": since_us // HOUR_US, "last": -(-until_us // HOUR_US)})

    async def _outcomes(self, name: str, asked: dict[str, Any]) -> list[ProviderOutcomes]:
        rows = await self._connections.all(name, asked)
        return [ProviderOutcomes(provider=row[0], attempts=row[1], failed=row[2]) for row in rows]


def _hour(row: Sequence[Any]) -> HourTotal:
    return HourTotal(hour_us=row[0] * HOUR_US, spent_nanousd=row[1], attempts=row[2], failed=row[3])
