"""Alerts in memory: what a store must do with them, said as plainly as it can be."""

from collections.abc import Callable, Collection, Iterable, Sequence

import msgspec

from farthing.types.alerts import (
    Condition,
    Delivery,
    DeliveryStanding,
    Fact,
    Sighting,
    Told,
    WhyOver,
    budget_condition,
    moved,
)

_LONGEST_LEAD_MORE_US = 60_000_000
_LONGEST_WAIT_US = 7_200_000_000
"""What lies further ahead was written by a clock that was wrong."""


class MemoryAlerts:
    """See `AlertStore`.

    `see_budget` returns how a budget's accounts are found to be, and `None` where there is no such budget.
    """

    def __init__(self, see_budget: Callable[[str, int], Sequence[Sighting] | None]) -> None:
        self._see_budget = see_budget
        self._conditions: dict[str, Condition] = {}
        self._facts: dict[str, Fact] = {}
        self._deliveries: dict[str, dict[str, DeliveryStanding] | None] = {}  # None: nobody decided where it goes
        self._leader = ("", 0)

    async def lead(self, holder: str, *, now_us: int, until_us: int) -> bool:
        """See `AlertStore.lead`."""
        other, until = self._leader
        if other != holder and now_us < until <= until_us + _LONGEST_LEAD_MORE_US:
            return False
        self._leader = holder, until_us
        return True

    async def note(self, sightings: Sequence[Sighting]) -> list[Fact]:
        """See `AlertStore.note`."""
        return self.see(sightings)

    def see(self, sightings: Iterable[Sighting]) -> list[Fact]:
        """Take in how conditions were found; return the facts that are new."""
        facts = []
        for seen in sightings:
            now, fact = moved(self._conditions.get(seen.condition), seen)
            if now is not None:
                self._conditions[now.name] = now
            if fact is not None and fact.id not in self._facts:
                self._facts[fact.id] = fact
                self._deliveries[fact.id] = None
                facts.append(fact)
        return facts

    async def sweep(self, now_us: int) -> list[Fact]:
        """See `AlertStore.sweep`: charges tell of themselves."""
        del now_us
        return []

    async def end_over(self, now_us: int) -> list[Fact]:
        """See `AlertStore.end_over`."""
        ending = []
        for one in self._conditions.values():
            over = one.until_us is not None and one.until_us <= now_us
            gone = one.budget_id is not None and self._see_budget(one.budget_id, now_us) is None
            if one.level and (over or gone):
                why: WhyOver = "removed" if not over else "usual" if one.budget_id is None else "anew"
                ending.append(Sighting(condition=one.name, level=0, at_us=now_us, why_over=why))
        return self.see(sorted(ending, key=lambda seen: seen.condition))

    async def review(self, budget_id: str, now_us: int) -> list[Fact]:
        """See `AlertStore.review`."""
        found = self._see_budget(budget_id, now_us)
        sightings = {seen.condition: seen for seen in found or ()}
        for one in self._conditions.values():
            ours = one.budget_id == budget_id and one.name.startswith(budget_condition(""))
            if one.level and ours and one.name not in sightings:
                why: WhyOver = "removed" if found is None else "anew"
                sightings[one.name] = Sighting(condition=one.name, level=0, at_us=now_us, why_over=why)
        return self.see(sightings.values())

    async def unrouted(self, limit: int) -> list[Fact]:
        """See `AlertStore.unrouted`."""
        return [fact for fact in self._in_order() if self._deliveries[fact.id] is None][:limit]

    async def route(self, fact_id: str, channels: Collection[str], now_us: int) -> None:
        """See `AlertStore.route`."""
        if fact_id in self._facts and self._deliveries[fact_id] is None:
            self._deliveries[fact_id] = {
                name: DeliveryStanding(channel=name, state="waiting", tries=0, next_try_at_us=now_us)
                for name in sorted(set(channels))
            }

    async def take(self, *, now_us: int, until_us: int, limit: int, but: Collection[str] = ()) -> list[Delivery]:
        """See `AlertStore.take`."""
        due = []
        for fact in self._in_order():
            for one in (self._deliveries[fact.id] or {}).values():
                next_us = one.next_try_at_us
                if one.state != "waiting" or one.channel in but:
                    continue
                if next_us is None or now_us < next_us <= now_us + _LONGEST_WAIT_US:
                    continue
                due.append(Delivery(fact=fact, channel=one.channel, tries=one.tries + 1))
        for taken in due[:limit]:
            self._change(taken.fact.id, taken.channel, tries=taken.tries, next_try_at_us=until_us)
        return due[:limit]

    async def delivered(self, fact_id: str, channel: str, at_us: int) -> None:
        """See `AlertStore.delivered`."""
        standing = (self._deliveries.get(fact_id) or {}).get(channel)
        if standing is not None and standing.state != "delivered":
            done = {"state": "delivered", "delivered_at_us": at_us, "next_try_at_us": None, "error": None}
            self._change(fact_id, channel, **done)

    async def failed(self, fact_id: str, channel: str, error: str, next_try_at_us: int | None) -> None:
        """See `AlertStore.failed`."""
        standing = (self._deliveries.get(fact_id) or {}).get(channel)
        if standing is not None and standing.state == "waiting":
            state = "dead" if next_try_at_us is None else "waiting"
            self._change(fact_id, channel, state=state, next_try_at_us=next_try_at_us, error=error)

    async def retry(self, fact_id: str | None, now_us: int) -> int:
        """See `AlertStore.retry`."""
        dead = [
            (name, one.channel)
            for name, deliveries in self._deliveries.items()
            for one in (deliveries or {}).values()
            if one.state == "dead" and fact_id in (None, name)
        ]
        for name, channel in dead:
            self._change(name, channel, state="waiting", tries=0, next_try_at_us=now_us)
        return len(dead)

    async def told(
        self, limit: int, *, dead_only: bool = False, before: str | None = None, fact_id: str | None = None
    ) -> list[Told]:
        """See `AlertStore.told`."""
        found = []
        facts = self._in_order()
        if before is not None:
            facts = facts[: next((n for n, fact in enumerate(facts) if fact.id == before), 0)]
        for fact in reversed(facts):
            if fact_id not in (None, fact.id):
                continue
            deliveries = self._deliveries[fact.id]
            standings = tuple((deliveries or {}).values())
            if not dead_only or any(one.state == "dead" for one in standings):
                found.append(Told(fact=fact, routed=deliveries is not None, deliveries=standings))
        return found[:limit]

    async def holding(self, limit: int) -> list[Condition]:
        """See `AlertStore.holding`."""
        found = sorted((one for one in self._conditions.values() if one.level), key=lambda one: one.name)
        return sorted(found, key=lambda one: -one.changed_at_us)[:limit]

    async def fact_ids(self, prefix: str, limit: int) -> list[str]:
        """See `AlertStore.fact_ids`."""
        return sorted(name for name in self._facts if name.startswith(prefix))[:limit]

    async def forget(self, before_us: int, *, keep: int) -> int:
        """See `AlertStore.forget`."""
        facts = self._in_order()
        beyond = {fact.id for fact in facts[: max(len(facts) - keep, 0)]}
        old = []
        for fact in facts:
            deliveries = self._deliveries[fact.id]
            if deliveries is None or any(one.state == "waiting" for one in deliveries.values()):
                continue
            if fact.at_us < before_us or fact.id in beyond:
                old.append(fact.id)
        for name in old:
            del self._facts[name], self._deliveries[name]
        over = [one.name for one in self._conditions.values() if not one.level and one.changed_at_us < before_us]
        for name in over:
            del self._conditions[name]
        return len(old)

    def _in_order(self) -> list[Fact]:
        return sorted(self._facts.values(), key=lambda fact: (fact.at_us, fact.id))

    def _change(self, fact_id: str, channel: str, **changes: object) -> None:
        deliveries = self._deliveries[fact_id]
        assert deliveries is not None, f"{fact_id!r} goes nowhere"
        deliveries[channel] = msgspec.structs.replace(deliveries[channel], **changes)
