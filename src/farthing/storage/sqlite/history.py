"""The past in SQLite, from the sums that costs are answered from: nobody adds up a year of lines each minute."""

from collections.abc import Sequence
from typing import Any

import msgspec

from farthing.storage.rows import sums_for
from farthing.storage.sqlite.connections import Connections
from farthing.storage.sqlite.rollups import rolled
from farthing.storage.sqlite.sql import query
from farthing.types.budgets import Scope
from farthing.types.history import CLIENTS_STATUSES, HOUR_US, GroupedBy, HourTotal, ProviderOutcomes

_CONDITIONS = {
    "tag": "instr(',' || replace(replace(coalesce(tags, ''), ', ', ','), ' ,', ',') || ',', ',' || :tag || ',') > 0"
}
CLIENTS = msgspec.json.encode(CLIENTS_STATUSES).decode()


class SqliteHistory:
    """See `HistoryStore`."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def hours(self, scope: Scope, since_us: int, until_us: int) -> list[HourTotal]:
        """See `HistoryStore.hours`."""
        asked: dict[str, Any] = {name: getattr(scope, name) for name in scope.named}
        conditions = " AND ".join(_CONDITIONS.get(name, f"{name} = :{name}") for name in scope.named) or "TRUE"
        if sums_for(_known(scope.named)) is not None:
            rows = await self._summed("hours", since_us, until_us, asked, scope.named, conditions=conditions)
        else:
            asked |= {"first": since_us // HOUR_US, "last": -(-until_us // HOUR_US)}
            statement = query("hours_of_attempts").format(conditions=conditions)
            rows = await self._connections.read(lambda connection: connection.execute(statement, asked).fetchall())
        return [_hour(row) for row in rows]

    async def dearest(self, by: GroupedBy, since_us: int, limit: int) -> list[str]:
        """See `HistoryStore.dearest`."""
        asked = {"limit": limit}
        rows = await self._summed("hours_dearest", since_us, None, asked, (by,), by=f"attempts.{by}")
        return [row[0] for row in rows]

    async def hours_by(self, by: GroupedBy, values: Sequence[str], since_us: int) -> dict[str, list[HourTotal]]:
        """See `HistoryStore.hours_by`."""
        asked = {"values": msgspec.json.encode(list(values)).decode()}
        found: dict[str, list[HourTotal]] = {value: [] for value in values}
        for value, *row in await self._summed("hours_by", since_us, None, asked, (by,), by=f"attempts.{by}"):
            found[value].append(_hour(row))
        return found

    async def outcomes(self, since_us: int, *, least_failed: int, least_percent: int) -> list[ProviderOutcomes]:
        """See `HistoryStore.outcomes`."""
        asked = {"since": since_us, "clients": CLIENTS, "least": least_failed}
        found = []
        for provider, failed in await self._connections.all("outcomes_failed", asked):
            most = failed * 100 // least_percent
            counted = {"since": since_us, "provider": provider, "most": most + 1}
            ((attempts,),) = await self._connections.all("outcomes_counted", counted)
            if attempts <= most:
                found.append(ProviderOutcomes(provider=provider, attempts=attempts, failed=failed))
        return found

    async def usual_outcomes(self, since_us: int, until_us: int) -> list[ProviderOutcomes]:
        """See `HistoryStore.usual_outcomes`."""
        rows = await self._summed("outcomes_usual", since_us, until_us, {}, ("provider",))
        return [ProviderOutcomes(provider=row[0], attempts=row[1], failed=row[2]) for row in rows]

    async def _summed(
        self,
        name: str,
        since_us: int,
        until_us: int | None,
        asked: dict[str, Any],
        known_by: Sequence[str],
        **parts: str,
    ) -> list[Any]:
        """Return the rows of a question about whole hours, mostly from what is rolled up.

        The statements do not say again of what time the sums are: SQLite would look for lines that are not rolled up
        among all of that time.
        """
        since_us = since_us // HOUR_US * HOUR_US
        until_us = None if until_us is None else -(-until_us // HOUR_US) * HOUR_US
        found = rolled(_known(known_by), since_us, until_us, counts_calls=False)
        if found is None:
            return []  # it is a time without an hour
        _, source, bound = found
        statement = query(name).format(source=source, **parts)
        bindings = {"since": since_us, "until": until_us, **bound, **asked}
        return await self._connections.read(lambda connection: connection.execute(statement, bindings).fetchall())


def _known(by: Sequence[str]) -> list[str]:
    return [one.removesuffix("_id") for one in by]


def _hour(row: Sequence[Any]) -> HourTotal:
    return HourTotal(hour_us=row[0] * HOUR_US, spent_nanousd=row[1], attempts=row[2], failed=row[3])
