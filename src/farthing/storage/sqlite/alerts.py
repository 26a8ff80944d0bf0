"""Alerts in SQLite: conditions and facts as JSON, deliveries as rows.

`see_account` belongs into the transaction that changes an account, so that what is spent and what is told of it are
kept together or not at all.
"""

from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from typing import Any

import apsw
import msgspec

from farthing.storage.sqlite.connections import Connections
from farthing.storage.sqlite.sql import query
from farthing.types.alerts import (
    Condition,
    Delivery,
    DeliveryStanding,
    Fact,
    Sighting,
    Told,
    WhyOver,
    budget_condition,
    budget_sighting,
    first_line_nanousd,
    moved,
)
from farthing.types.budgets import Budget, Scope

_fact = msgspec.json.Decoder(Fact)
_condition = msgspec.json.Decoder(Condition)
_SUBJECT = ("organisation", "team", "project", "key_id", "user", "session", "task", "tag")  # as the columns stand
_AFTER_EVERY_ID = "\U0010ffff"
_MAX_RULES = 1024
"""Rules that are kept decoded; a batch charges the accounts of a few."""


class SqliteAlerts:
    """See `AlertStore`."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def lead(self, holder: str, *, now_us: int, until_us: int) -> bool:
        """See `AlertStore.lead`."""
        return await self._connections.change("alert_lead", {"holder": holder, "now": now_us, "until": until_us})

    async def note(self, sightings: Sequence[Sighting]) -> list[Fact]:
        """See `AlertStore.note`."""
        return await self._connections.transaction(lambda connection: _note(connection, sightings))

    async def sweep(self, now_us: int) -> list[Fact]:
        """See `AlertStore.sweep`: charges tell of themselves."""
        del now_us
        return []

    async def end_over(self, now_us: int) -> list[Fact]:
        """See `AlertStore.end_over`; where nothing is over, nothing is written."""
        if not await self._connections.all("alert_conditions_over", {"now": now_us}):
            return []

        def end(connection: apsw.Connection) -> list[Fact]:
            rows: list[Any] = connection.execute(query("alert_conditions_over"), {"now": now_us}).fetchall()
            return _note(connection, [_ended(name, now_us, why) for name, why in rows])

        return await self._connections.transaction(end)

    async def review(self, budget_id: str, now_us: int) -> list[Fact]:
        """See `AlertStore.review`."""
        return await self._connections.transaction(lambda connection: _review(connection, budget_id, now_us))

    async def unrouted(self, limit: int) -> list[Fact]:
        """See `AlertStore.unrouted`."""
        return [_fact.decode(row[0]) for row in await self._connections.all("alert_unrouted", (limit,))]

    async def route(self, fact_id: str, channels: Collection[str], now_us: int) -> None:
        """See `AlertStore.route`."""

        def route(connection: apsw.Connection) -> None:
            connection.execute(query("alert_routed"), (fact_id,))
            if connection.changes():
                for channel in sorted(set(channels)):
                    told = {"fact": fact_id, "channel": channel, "now": now_us}
                    connection.execute(query("alert_delivery_add"), told)

        await self._connections.transaction(route)

    async def take(self, *, now_us: int, until_us: int, limit: int, but: Collection[str] = ()) -> list[Delivery]:
        """See `AlertStore.take`; where nothing is due, nothing is written."""
        asked = {"now": now_us, "limit": limit, "but": msgspec.json.encode(list(but)).decode()}
        if not await self._connections.all("alert_due", asked):
            return []

        def take(connection: apsw.Connection) -> list[Delivery]:
            rows: list[Any] = connection.execute(query("alert_due"), asked).fetchall()
            taken = [Delivery(fact=_fact.decode(fact), channel=name, tries=tries + 1) for fact, name, tries in rows]
            for one in taken:
                begun = {"fact": one.fact.id, "channel": one.channel, "until": until_us}
                connection.execute(query("alert_begin"), begun)
            return taken

        return await self._connections.transaction(take)

    async def delivered(self, fact_id: str, channel: str, at_us: int) -> None:
        """See `AlertStore.delivered`."""
        await self._connections.change("alert_delivered", {"fact": fact_id, "channel": channel, "at": at_us})

    async def failed(self, fact_id: str, channel: str, error: str, next_try_at_us: int | None) -> None:
        """See `AlertStore.failed`."""
        told = {"fact": fact_id, "channel": channel, "error": error, "next": next_try_at_us}
        await self._connections.change("alert_failed", told)

    async def retry(self, fact_id: str | None, now_us: int) -> int:
        """See `AlertStore.retry`."""

        def retry(connection: apsw.Connection) -> int:
            connection.execute(query("alert_retry"), {"fact": fact_id, "now": now_us})
            return connection.changes()

        return await self._connections.write(retry)

    async def told(
        self, limit: int, *, dead_only: bool = False, before: str | None = None, fact_id: str | None = None
    ) -> list[Told]:
        """See `AlertStore.told`."""

        def told(connection: apsw.Connection) -> list[Told]:
            asked = {"limit": limit, "dead_only": int(dead_only), "before": before, "id": fact_id}
            rows: list[Any] = connection.execute(query("alert_told"), asked).fetchall()
            facts = [(_fact.decode(fact), bool(routed)) for fact, routed in rows]
            ids = msgspec.json.encode([fact.id for fact, _ in facts]).decode()
            standings: dict[str, list[DeliveryStanding]] = {}
            found: list[Any] = connection.execute(query("alert_standings"), (ids,)).fetchall()
            for told_id, *rest in found:
                fields = DeliveryStanding.__struct_fields__
                standings.setdefault(told_id, []).append(DeliveryStanding(**dict(zip(fields, rest, strict=True))))
            return [
                Told(fact=fact, routed=routed, deliveries=tuple(standings.get(fact.id, ()))) for fact, routed in facts
            ]

        return await self._connections.read(told)

    async def holding(self, limit: int) -> list[Condition]:
        """See `AlertStore.holding`."""
        return [_condition.decode(row[0]) for row in await self._connections.all("alert_holding", (limit,))]

    async def fact_ids(self, prefix: str, limit: int) -> list[str]:
        """See `AlertStore.fact_ids`."""
        asked = {"low": prefix, "high": prefix + _AFTER_EVERY_ID, "limit": limit}
        return [row[0] for row in await self._connections.all("alert_fact_ids", asked)]

    async def forget(self, before_us: int, *, keep: int) -> int:
        """See `AlertStore.forget`."""

        def forget(connection: apsw.Connection) -> int:
            old: list[Any] = connection.execute(query("alert_old"), {"before": before_us, "keep": keep}).fetchall()
            for row in old:
                connection.execute(query("alert_deliveries_remove"), row)
                connection.execute(query("alert_fact_remove"), row)
            connection.execute(query("alert_conditions_remove"), (before_us,))
            return len(old)

        return await self._connections.transaction(forget)


def see_account(connection: apsw.Connection, budget: Budget, account_id: str, at_us: int) -> None:
    """Note how an account stands, inside of the transaction that changed it."""
    row: Any = connection.execute(query("alert_account"), (account_id,)).fetchone()
    if row is not None:
        _note(connection, [_sighting(budget, row, at_us)])


def _note(connection: apsw.Connection, sightings: Iterable[Sighting]) -> list[Fact]:
    facts = []
    for seen in sightings:
        kept: Any = connection.execute(query("alert_condition"), (seen.condition,)).get
        now, fact = moved(None if kept is None else _condition.decode(kept), seen)
        if now is not None:
            connection.execute(
                query("alert_condition_put"),
                {
                    "name": now.name,
                    "times": now.times,
                    "level": now.level,
                    "changed": now.changed_at_us,
                    "budget": now.budget_id,
                    "until": now.until_us,
                    "condition": _json(now),
                },
            )
        if fact is not None:
            connection.execute(query("alert_fact_add"), {"id": fact.id, "at": fact.at_us, "fact": _json(fact)})
            facts += [fact] * connection.changes()
    return facts


def _review(connection: apsw.Connection, budget_id: str, now_us: int) -> list[Fact]:
    rule: Any = connection.execute(query("budget"), (budget_id,)).get
    sightings: dict[str, Sighting] = {}
    if rule is not None:
        budget = rule_of(rule)
        asked = {"budget": budget_id, "now": now_us, "from": first_line_nanousd(budget)}
        rows: list[Any] = connection.execute(query("alert_accounts"), asked).fetchall()
        for row in rows:
            seen = _sighting(budget, row, now_us)
            sightings[seen.condition] = seen
    why: WhyOver = "removed" if rule is None else "anew"
    held: list[Any] = connection.execute(query("alert_budget_conditions"), (budget_id,)).fetchall()
    for (name,) in held:
        if name.startswith(budget_condition("")) and name not in sightings:
            sightings[name] = Sighting(condition=name, level=0, at_us=now_us, why_over=why)
    return _note(connection, sightings.values())


def _ended(condition: str, at_us: int, why: WhyOver) -> Sighting:
    return Sighting(condition=condition, level=0, at_us=at_us, why_over=why)


def _sighting(budget: Budget, row: Any, at_us: int) -> Sighting:
    account_id, _, _, end_us = row[:4]
    subject = Scope(**dict(zip(_SUBJECT, row[4:12], strict=True)))
    posted, unknown = row[12:14]
    return budget_sighting(budget, account_id, subject, end_us, posted, unknown, at_us)


@lru_cache(maxsize=_MAX_RULES)
def rule_of(rule: str) -> Budget:
    """Return a rule from its JSON."""
    return msgspec.json.decode(rule, type=Budget)


def _json(value: Condition | Fact) -> str:
    return msgspec.json.encode(value).decode()
