"""Alerts in PostgreSQL: conditions and facts as JSON, deliveries as rows; see `storage/sqlite/alerts.py` for the idea.

A batch of attempts is kept and charged by one statement, which knows no thresholds. So what a charge did to an account
is found by `sweep`, from the account itself: it stands there from the commit of the charge on, and until somebody has
told of it, so nothing is lost by looking later. Who moves conditions keeps others from it until he has done.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import msgspec

from farthing.storage.postgres.connections import Connections, Session
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

_rule = msgspec.json.Decoder(Budget)
_fact = msgspec.json.Decoder(Fact)
_condition = msgspec.json.Decoder(Condition)
_SUBJECT = ("organisation", "team", "project", "key_id", "user", "session", "task", "tag")  # as the columns stand
_AFTER_EVERY_ID = "\U0010ffff"
_LATE_US = 3_600_000_000
"""So long after its period an account is still looked at: a charge that came last is told of all the same."""


class PostgresAlerts:
    """See `AlertStore`."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def lead(self, holder: str, *, now_us: int, until_us: int) -> bool:
        """See `AlertStore.lead`."""
        return await self._connections.change("alert_lead", holder, now_us, until_us)

    async def note(self, sightings: Sequence[Sighting]) -> list[Fact]:
        """See `AlertStore.note`."""
        if not sightings:
            return []

        async def note(session: Session) -> list[Fact]:
            await session.run("alert_conditions_lock")
            return await _note(session, sightings)

        return await self._connections.transaction(note)

    async def sweep(self, now_us: int) -> list[Fact]:
        """See `AlertStore.sweep`."""

        async def found(session: Session) -> list[Sighting]:
            rules = [_rule.decode(row[0]) for row in await session.all("budgets")]
            return await _accounts(session, rules, now_us, now_us - _LATE_US)

        seen = [one for one in await self._connections.read(found) if one.level]
        return await self.note(seen)

    async def end_over(self, now_us: int) -> list[Fact]:
        """See `AlertStore.end_over`; where nothing is over, nothing is locked."""
        if not await self._connections.all("alert_conditions_over", now_us):
            return []

        async def end(session: Session) -> list[Fact]:
            await session.run("alert_conditions_lock")
            rows = await session.all("alert_conditions_over", now_us)
            return await _note(
                session, [Sighting(condition=name, level=0, at_us=now_us, why_over=why) for name, why in rows]
            )

        return await self._connections.transaction(end)

    async def review(self, budget_id: str, now_us: int) -> list[Fact]:
        """See `AlertStore.review`."""

        async def review(session: Session) -> list[Fact]:
            await session.run("alert_conditions_lock")
            rules = [_rule.decode(rule) for _, rule in await session.all("budgets_of", [budget_id])]
            sightings = {seen.condition: seen for seen in await _accounts(session, rules, now_us, now_us)}
            why: WhyOver = "anew" if rules else "removed"
            for (name,) in await session.all("alert_budget_conditions", budget_id):
                if name.startswith(budget_condition("")) and name not in sightings:
                    sightings[name] = Sighting(condition=name, level=0, at_us=now_us, why_over=why)
            return await _note(session, sightings.values())

        return await self._connections.transaction(review)

    async def unrouted(self, limit: int) -> list[Fact]:
        """See `AlertStore.unrouted`."""
        return [_fact.decode(row[0]) for row in await self._connections.all("alert_unrouted", limit)]

    async def route(self, fact_id: str, channels: Collection[str], now_us: int) -> None:
        """See `AlertStore.route`."""

        async def route(session: Session) -> None:
            if await session.change("alert_routed", fact_id):
                for channel in sorted(set(channels)):
                    await session.change("alert_delivery_add", fact_id, channel, now_us)

        await self._connections.transaction(route)

    async def take(self, *, now_us: int, until_us: int, limit: int, but: Collection[str] = ()) -> list[Delivery]:
        """See `AlertStore.take`."""

        async def take(session: Session) -> list[Delivery]:
            rows = await session.all("alert_due", now_us, list(but), limit)
            taken = [Delivery(fact=_fact.decode(fact), channel=name, tries=tries + 1) for fact, name, tries in rows]
            for one in taken:
                await session.change("alert_begin", one.fact.id, one.channel, until_us)
            return taken

        return await self._connections.transaction(take)

    async def delivered(self, fact_id: str, channel: str, at_us: int) -> None:
        """See `AlertStore.delivered`."""
        await self._connections.change("alert_delivered", fact_id, channel, at_us)

    async def failed(self, fact_id: str, channel: str, error: str, next_try_at_us: int | None) -> None:
        """See `AlertStore.failed`."""
        await self._connections.change("alert_failed", fact_id, channel, error, next_try_at_us)

    async def retry(self, fact_id: str | None, now_us: int) -> int:
        """See `AlertStore.retry`."""
        return await self._connections.transaction(lambda session: session.change("alert_retry", fact_id, now_us))

    async def told(
        self, limit: int, *, dead_only: bool = False, before: str | None = None, fact_id: str | None = None
    ) -> list[Told]:
        """See `AlertStore.told`."""

        async def told(session: Session) -> list[Told]:
            rows = await session.all("alert_told", limit, dead_only, before, fact_id)
            facts = [(_fact.decode(fact), bool(routed)) for fact, routed in rows]
            standings: dict[str, list[DeliveryStanding]] = {}
            fields = DeliveryStanding.__struct_fields__
            for told_id, *rest in await session.all("alert_standings", [fact.id for fact, _ in facts]):
                standings.setdefault(told_id, []).append(DeliveryStanding(**dict(zip(fields, rest, strict=True))))
            return [
                Told(fact=fact, routed=routed, deliveries=tuple(standings.get(fact.id, ()))) for fact, routed in facts
            ]

        return await self._connections.read(told)

    async def holding(self, limit: int) -> list[Condition]:
        """See `AlertStore.holding`."""
        return [_condition.decode(row[0]) for row in await self._connections.all("alert_holding", limit)]

    async def fact_ids(self, prefix: str, limit: int) -> list[str]:
        """See `AlertStore.fact_ids`."""
        return [
            row[0] for row in await self._connections.all("alert_fact_ids", prefix, prefix + _AFTER_EVERY_ID, limit)
        ]

    async def forget(self, before_us: int, *, keep: int) -> int:
        """See `AlertStore.forget`."""

        async def forget(session: Session) -> int:
            old = [row[0] for row in await session.all("alert_old", before_us, keep)]
            await session.change("alert_deliveries_remove", old)
            await session.change("alert_facts_remove", old)
            await session.change("alert_conditions_remove", before_us)
            return len(old)

        return await self._connections.transaction(forget)


async def _note(session: Session, sightings: Iterable[Sighting]) -> list[Fact]:
    """Take in sightings; the caller keeps others from it."""
    facts = []
    for seen in sightings:
        kept = await session.one("alert_condition", seen.condition)
        now, fact = moved(None if kept is None else _condition.decode(kept[0]), seen)
        if now is not None:
            told = (now.times, now.level, now.changed_at_us, now.budget_id, now.until_us, _json(now))
            await session.change("alert_condition_put", now.name, *told)
        if fact is not None:
            facts += [fact] * await session.change("alert_fact_add", fact.id, fact.at_us, _json(fact))
    return facts


async def _accounts(session: Session, rules: Sequence[Budget], now_us: int, ending_after_us: int) -> list[Sighting]:
    """Return how the accounts of budgets are found to be that have reached a line, or had."""
    asked = [rule.id for rule in rules], [first_line_nanousd(rule) for rule in rules]
    rows: list[tuple[Any, ...]] = await session.all("alert_accounts", *asked, ending_after_us) if rules else []
    found = []
    for rule, account_id, end_us, *rest in rows:
        subject = Scope(**dict(zip(_SUBJECT, rest[:8], strict=True)))
        found.append(budget_sighting(_rule.decode(rule), account_id, subject, end_us, rest[8], rest[9], now_us))
    return found


def _json(value: Condition | Fact) -> str:
    return msgspec.json.encode(value).decode()
