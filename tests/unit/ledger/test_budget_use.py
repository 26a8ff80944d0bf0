"""How much of each budget was used in a time, as reports tell it."""

from typing import Any

import pytest

from farthing.ledger.budget_use import MOST_USES, BudgetUse, budget_uses
from farthing.ledger.periods import period_at
from farthing.ledger.spending_report import PeriodName, period_of
from farthing.storage.memory import MemoryStore
from farthing.types.budgets import AccountKey, Budget, LeaseAsk, Scope
from farthing.types.spending import SpendingScope
from tests.contracts.ledger_samples import DAY_US, NOON_US, attempt
from tests.contracts.test_stores import key

USD = 10**9
DAYS = (16, 17, 18, 19)
"""Of November 2026, the 16th a Monday; `NOON_US` is on the 18th."""


async def spent(rule: Budget, *subjects: Scope, **made: Any) -> MemoryStore:
    """Return a store in which each of four days spent as many cents as the day's number."""
    store = MemoryStore()
    await store.budgets.put(rule)
    for day in DAYS:
        at_us = NOON_US + (day - 18) * DAY_US
        start_us, end_us = period_at(rule.period, at_us, rule.time_zone, rule.reset_day)
        for subject in subjects or (Scope(),):
            ask = LeaseAsk(key=AccountKey(rule.id, rule.version, subject, start_us), end_us=end_us)
            await store.budgets.exchange("a", [ask], now_us=at_us, until_us=at_us + 1)
        cost = day * USD // 100
        await store.append([attempt(day, call=day, started_at_us=at_us, cost_nanousd=cost, **made)])
    return store


def budget(period: Any, scope: Scope | None = None, **given: Any) -> Budget:
    return Budget(id="bud_1", name="one", scope=scope or Scope(), limit_nanousd=USD, period=period, **given)


async def uses(store: MemoryStore, name: PeriodName, *scope: SpendingScope, now_us: int = NOON_US) -> list[BudgetUse]:
    period = period_of(name, NOON_US, now_us)
    return await budget_uses(store, name, period.since_us, period.until_us, scope, running=period.running)


async def test_a_budget_of_days_is_added_up_over_a_week_and_the_fullest_day_is_told() -> None:
    (one,) = await uses(await spent(budget("day")), "week", now_us=NOON_US + 30 * DAY_US)
    assert (one.periods, one.limit_nanousd, one.spent_nanousd, one.fullest_permille) == (
        7,
        7 * USD,
        70 * USD // 100,
        190,
    )


async def test_of_a_running_week_only_the_days_that_were_count() -> None:
    (one,) = await uses(await spent(budget("day")), "week")
    assert (one.periods, one.spent_nanousd) == (3, (16 + 17 + 18) * USD // 100)


@pytest.mark.parametrize("period", ["week", "month", "total"])
async def test_a_budget_that_lasts_longer_is_told_as_it_stands(period: str) -> None:
    (one,) = await uses(await spent(budget(period)), "day")
    assert (one.periods, one.limit_nanousd, one.spent_nanousd, one.fullest_permille) == (1, USD, 70 * USD // 100, 700)


async def test_of_a_day_in_another_zone_the_one_is_meant_that_has_most_of_it() -> None:
    rule = budget("day", time_zone="Asia/Tokyo")
    (one,) = await uses(await spent(rule), "day", now_us=NOON_US + 2 * DAY_US)
    assert (one.periods, one.spent_nanousd) == (1, 18 * USD // 100)


async def test_a_week_has_seven_days_of_any_zone() -> None:
    for zone in ("Asia/Tokyo", "Europe/Berlin", "America/Los_Angeles", "UTC"):
        (one,) = await uses(await spent(budget("day", time_zone=zone)), "week", now_us=NOON_US + 30 * DAY_US)
        assert (one.periods, one.spent_nanousd) == (7, 70 * USD // 100), zone


async def test_only_budgets_whose_subject_is_in_the_scope_are_told() -> None:
    subjects = [Scope(user=name) for name in ("rita", "ole")]
    store = await spent(budget("day", Scope(user="*")), *subjects, user="rita")
    assert [(one.subject, one.fullest_permille) for one in await uses(store, "day")] == [
        ("user 'rita'", 180),
        ("user 'ole'", 0),
    ]
    assert [one.subject for one in await uses(store, "day", SpendingScope("user", "ole"))] == ["user 'ole'"]
    for elsewhere in (SpendingScope("team", "core"), SpendingScope("provider", "openai"), SpendingScope("key", "k")):
        assert await uses(store, "day", elsewhere) == []


async def test_a_key_is_told_and_asked_for_by_its_name() -> None:
    store = await spent(budget("day", Scope(key_id="*")), Scope(key_id="key_1"), Scope(key_id="key_2"), key_id="key_1")
    assert await store.add_key(key(1, name="laptop")) is not None
    assert [one.subject for one in await uses(store, "day")] == ["key 'laptop'", "key 'key_2'"]
    for asked in ("laptop", "key_1"):
        (one,) = await uses(store, "day", SpendingScope("key", asked))
        assert (one.subject, one.fullest_permille) == ("key 'laptop'", 180)
    assert await uses(store, "day", SpendingScope("key", None)) == []


async def test_sessions_and_what_is_switched_off_are_left_out_and_a_limit_of_nothing_is_no_error() -> None:
    assert await uses(await spent(budget("session", Scope(session="*")), Scope(session="s"), session="s"), "day") == []
    assert await uses(await spent(budget("day", enabled=False)), "day") == []
    (one,) = await uses(await spent(Budget(id="b", name="b", scope=Scope(), limit_nanousd=0, period="day")), "day")
    assert one.fullest_permille is None


async def test_of_many_the_fullest_are_told() -> None:
    subjects = [Scope(user=f"u{number}") for number in range(MOST_USES + 5)]
    found = await uses(await spent(budget("day", Scope(user="*")), *subjects, user="u7"), "day")
    assert (len(found), found[0].subject) == (MOST_USES, "user 'u7'")
