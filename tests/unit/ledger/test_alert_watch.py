"""What the leader finds in a ledger, and that it tells of each thing once."""

from typing import Any

import msgspec
import pytest

from farthing.ledger.alerts import UNUSUAL_US, AlertWatch
from farthing.ledger.budget_rules import period_of
from farthing.storage.memory import MemoryStore
from farthing.types.alerts import ErrorBurst, Fact, ForecastPassed, UnusualSpend
from farthing.types.budgets import AccountKey, Budget, LeaseAsk, Scope
from farthing.types.calls import Attempt
from farthing.types.history import HOUR_US
from tests.contracts.ledger_samples import InPlace, attempt
from tests.unit.ledger.spending_samples import BEGIN_US, DAY_US

USD = 10**9
NOW_US = BEGIN_US + 30 * DAY_US + 12 * HOUR_US  # a Saturday


class Past:
    """A ledger to look at: an attempt an hour, and what else is put there."""

    def __init__(self, *, quiet_s: float = 3600.0) -> None:
        self.store = MemoryStore()
        self.watch = AlertWatch(self.store, InPlace(), lambda: quiet_s)
        self.number = 0

    async def spend(self, at_us: int, usd: float, **changes: object) -> None:
        await self.store.append([self.made(at_us, usd, **changes)])

    def made(self, at_us: int, usd: float, **changes: object) -> Attempt:
        self.number += 1
        given: dict[str, Any] = {"cost_nanousd": int(usd * USD), "ended_at_us": at_us, "key_id": "key_1", **changes}
        return attempt(self.number, started_at_us=at_us, **given)

    async def ordinary(self, *, usd: float = 0.2, until_us: int = NOW_US, **changes: object) -> None:
        begin_us = BEGIN_US
        await self.store.append([self.made(at, usd, **changes) for at in range(begin_us, until_us, HOUR_US)])

    async def facts(self) -> list[Fact]:
        return [one.fact for one in reversed(await self.store.alerts.told(100))]


async def test_an_expensive_hour_of_one_key_is_one_alert_though_its_project_and_team_spend_it_too() -> None:
    past = Past()
    await past.ordinary(project="search", team="core", user="ann")
    await past.watch.look(NOW_US)
    await past.spend(NOW_US + 1, 30, project="search", team="core", user="ann")
    for step in range(1, 5):
        await past.watch.look(NOW_US + step * UNUSUAL_US)
    (fact,) = await past.facts()
    assert isinstance(fact.about, UnusualSpend)
    assert (fact.about.scope, fact.about.spent_nanousd) == ("user 'ann'", 30 * USD)


async def test_unusual_spending_recovers_and_is_quiet_for_a_while() -> None:
    past = Past(quiet_s=6 * 3600.0)
    await past.ordinary()
    await past.spend(NOW_US + 1, 30)
    await past.watch.look(NOW_US + 2)
    await past.watch.look(NOW_US + 2 * HOUR_US)
    assert [fact.why_over for fact in await past.facts()] == [None, "usual"]
    await past.spend(NOW_US + 3 * HOUR_US, 300)
    await past.watch.look(NOW_US + 3 * HOUR_US + 1)
    await past.watch.look(NOW_US + 6 * HOUR_US)
    assert len(await past.facts()) == 2


async def test_spending_that_stays_unusual_is_told_once() -> None:
    past = Past()
    await past.ordinary()
    for hour in range(4):
        await past.spend(NOW_US + hour * HOUR_US, 30 * 8**hour)
        await past.watch.look(NOW_US + hour * HOUR_US + 1)
        await past.watch.look(NOW_US + (hour + 1) * HOUR_US - 1)
    assert [fact.why_over for fact in await past.facts()] == [None]


async def test_many_that_are_unusual_at_once_make_no_storm() -> None:
    past = Past()
    for name in range(60):
        key = f"key_{name}"
        await past.store.append(
            [past.made(at, 0.05, key_id=key) for at in range(BEGIN_US + 20 * DAY_US, NOW_US, HOUR_US)]
        )
        await past.spend(NOW_US, 10 * 1.5 ** (name % 15), key_id=key)
    await past.watch.look(NOW_US + 1)
    assert 1 <= len(await past.facts()) <= 20


async def test_a_provider_that_begins_to_fail_is_told_once_and_when_it_is_well_again() -> None:
    past = Past()
    await past.store.append([past.made(NOW_US - 5 * HOUR_US + number, 0) for number in range(400)])
    failing = [
        past.made(NOW_US + number, 0, outcome="provider_error", http_status=529, cost_basis="reported")
        for number in range(30)
    ]
    await past.watch.look(NOW_US - 1)
    await past.store.append(failing)
    for minute in range(1, 40):
        await past.watch.look(NOW_US + minute * 60_000_000)
    began, over = await past.facts()
    assert isinstance(began.about, ErrorBurst)
    assert (began.about.provider, began.about.failed, began.about.usual_ppm) == ("openai", 30, 0)
    assert (over.about, over.why_over) == (began.about, "usual")


async def account(past: Past) -> Budget:
    rule = Budget(id="bud_1", name="daily", scope=Scope(), limit_nanousd=20 * USD, period="day", counts_from_us=NOW_US)
    await past.store.budgets.put(rule)
    start_us, end_us = period_of(rule, NOW_US)
    ask = LeaseAsk(key=AccountKey("bud_1", 1, Scope(), start_us), end_us=end_us)
    await past.store.budgets.exchange("a", [ask], now_us=NOW_US, until_us=NOW_US)
    return rule


async def test_a_limit_that_will_be_reached_is_told_with_when_and_not_again() -> None:
    past = Past()
    await past.ordinary(usd=0.7)
    await account(past)
    for number in range(4):
        await past.spend(NOW_US + number, 1)
    for step in range(4):
        await past.watch.look(NOW_US + 60 + step * 900_000_000)
    facts = [fact for fact in await past.facts() if isinstance(fact.about, ForecastPassed)]
    (fact,) = facts
    about = fact.about
    assert isinstance(about, ForecastPassed)
    assert (about.budget, about.interval_percent) == ("daily", 80)
    assert NOW_US < about.reached_at_us < about.resets_at_us == NOW_US + 12 * HOUR_US
    assert about.low_nanousd <= about.expected_nanousd <= about.high_nanousd


async def test_a_pace_that_will_do_is_not_told_and_one_that_eases_is_over() -> None:
    past = Past()
    await past.ordinary(usd=0.3)
    rule = await account(past)
    await past.spend(NOW_US, 0.9)
    await past.watch.look(NOW_US + 1)
    assert await past.facts() == []
    await past.store.budgets.put(_with_limit(rule, 6 * USD))
    await past.watch.look(NOW_US + 900_000_000)
    await past.store.budgets.put(_with_limit(rule, 300 * USD))
    await past.watch.look(NOW_US + 1_800_000_000)
    assert [(type(fact.about), fact.why_over) for fact in await past.facts()] == [
        (ForecastPassed, None),
        (ForecastPassed, "usual"),
    ]


def _with_limit(rule: Budget, limit: int) -> Budget:
    return msgspec.structs.replace(rule, limit_nanousd=limit)


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_changed_budget_is_reviewed_also_by_who_leads_anew(restarted: bool) -> None:
    past = Past()
    rule = await account(past)
    await past.spend(NOW_US, 19.5)
    await past.watch.look(NOW_US + 1)
    await past.store.budgets.put(_with_limit(rule, 100 * USD))
    watch = AlertWatch(past.store, InPlace(), lambda: 0.0) if restarted else past.watch
    await watch.look(NOW_US + 2)
    await watch.look(NOW_US + 3)
    assert [fact.why_over for fact in await past.facts()] == [None, "raised"]
