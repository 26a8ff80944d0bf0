"""What every store does with alerts: each fact once, its way to each channel, and nothing lost in between."""

import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from farthing.storage.memory import MemoryStore
from farthing.storage.offload import ThreadOffload
from farthing.storage.postgres import PostgresStore
from farthing.storage.protocols import Store
from farthing.storage.sqlite import SqliteStore
from farthing.types.alerts import BudgetReached, ErrorBurst, Fact, Sighting, Told
from farthing.types.budgets import AccountKey, Budget, LeaseAsk, Scope, Threshold
from farthing.types.calls import Attempt
from tests.contracts.ledger_samples import NOON_US, attempt
from tests.postgres_server import new_schema

MINUTE_US = 60_000_000
START_US = NOON_US // MINUTE_US * MINUTE_US
END_US = START_US + 60 * MINUTE_US
LATER_US = NOON_US + 5_000_000  # after the samples have ended
KEY = AccountKey("bud_1", 1, Scope(), START_US)
BURST = ErrorBurst(provider="openai", since_us=NOON_US, attempts=20, failed=15, usual_ppm=10_000, sample_attempts=900)
Maker = Callable[[str], Store]


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Maker]:
    offloads: list[ThreadOffload] = []
    stores: list[Store] = []

    def made(backend: str) -> Store:
        if backend == "memory":
            return MemoryStore()
        if backend == "postgres":
            stores.append(PostgresStore(new_schema()))
            return stores[-1]
        offloads.append(ThreadOffload())
        stores.append(SqliteStore(tmp_path / "farthing.db", offloads[-1]))
        return stores[-1]

    yield made
    for store in stores:
        await store.close()
    for offload in offloads:
        await offload.close()


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def store(request: pytest.FixtureRequest, make: Maker) -> Store:
    made = make(request.param)
    await made.open()
    return made


def budget(**changes: Any) -> Budget:
    rule = Budget(id="bud_1", name="one", scope=Scope(), limit_nanousd=100_000, period="total", counts_from_us=START_US)
    return msgspec.structs.replace(rule, **changes)


async def look(store: Store, key: AccountKey = KEY, end_us: int | None = None) -> None:
    """Have the account made."""
    await store.budgets.exchange("a", [LeaseAsk(key=key, end_us=end_us)], now_us=NOON_US, until_us=END_US)
    await store.alerts.sweep(NOON_US)


async def spend(store: Store, *attempts: Attempt) -> None:
    """Charge attempts, and look as the process that leads does where charges do not tell of themselves."""
    await store.append(attempts)
    await store.alerts.sweep(max(one.ended_at_us for one in attempts))


async def facts(store: Store) -> list[tuple[int, int, str | None]]:
    """Return (percent left, spent, why over) of what is told of budgets, the oldest first."""
    told = [one.fact for one in reversed(await store.alerts.told(100))]
    return [
        (one.about.left_percent, one.about.spent_nanousd, one.why_over)
        for one in told
        if isinstance(one.about, BudgetReached)
    ]


def burst(level: int = 1, at_us: int = NOON_US, **changes: Any) -> Sighting:
    return msgspec.structs.replace(
        Sighting(condition="errors openai", level=level, at_us=at_us, about=BURST if level else None), **changes
    )


async def noted(store: Store) -> Fact:
    (fact,) = await store.alerts.note([burst()])
    return fact


async def test_a_charge_that_passes_a_threshold_writes_one_fact(store: Store) -> None:
    await store.budgets.put(budget())
    await look(store)
    await spend(store, attempt(1, cost_nanousd=75_000))
    assert await facts(store) == []
    await spend(store, attempt(2, cost_nanousd=1))
    assert await facts(store) == [(25, 75_001, None)]
    await spend(store, attempt(3, cost_nanousd=1), attempt(2, cost_nanousd=50_000))
    assert await facts(store) == [(25, 75_001, None)]


async def test_a_charge_that_passes_several_tells_of_the_gravest(store: Store) -> None:
    await store.budgets.put(budget())
    await look(store)
    await spend(store, attempt(1, cost_nanousd=96_000))
    await spend(store, attempt(2, cost_nanousd=4_000))
    assert await facts(store) == [(5, 96_000, None), (0, 100_000, None)]


async def test_calls_of_unknown_cost_count_as_what_was_held(store: Store) -> None:
    await store.budgets.put(budget())
    await look(store)
    await spend(store, attempt(1, cost_nanousd=None, cost_basis="unknown", held_nanousd=80_000))
    (told,) = await store.alerts.told(1)
    assert isinstance(told.fact.about, BudgetReached)
    assert (told.fact.about.spent_nanousd, told.fact.about.unknown_nanousd) == (80_000, 80_000)


async def test_an_account_that_begins_with_what_the_ledger_has_is_told_of(store: Store) -> None:
    await spend(store, attempt(1, cost_nanousd=99_000, started_at_us=START_US))
    await store.budgets.put(budget())
    await look(store)
    assert await facts(store) == [(5, 99_000, None)]


async def test_an_empty_budget_of_which_nothing_is_spent_is_not_told_of(store: Store) -> None:
    await store.budgets.put(budget(limit_nanousd=0))
    await look(store)
    assert await facts(store) == []


async def test_a_budget_that_is_raised_recovers_and_can_be_reached_again(store: Store) -> None:
    await store.budgets.put(budget())
    await look(store)
    await spend(store, attempt(1, cost_nanousd=80_000))
    await store.budgets.put(budget(limit_nanousd=400_000))
    assert [one.why_over for one in await store.alerts.review("bud_1", LATER_US)] == ["raised"]
    assert await store.alerts.review("bud_1", LATER_US) == []
    await spend(store, attempt(2, cost_nanousd=230_000, ended_at_us=NOON_US + 9_000_000))
    assert [why for _, _, why in await facts(store)] == [None, "raised", None]
    assert len({one.fact.id for one in await store.alerts.told(9)}) == 3


async def test_a_limit_that_is_lowered_under_what_is_spent_is_told_of(store: Store) -> None:
    await store.budgets.put(budget())
    await look(store)
    await spend(store, attempt(1, cost_nanousd=50_000))
    await store.budgets.put(budget(limit_nanousd=40_000))
    assert [one.why_over for one in await store.alerts.review("bud_1", NOON_US)] == [None]


async def test_a_threshold_eased_but_not_left_says_nothing_and_is_told_when_reached_again(store: Store) -> None:
    await store.budgets.put(budget())
    await look(store)
    await spend(store, attempt(1, cost_nanousd=96_000))
    await store.budgets.put(budget(limit_nanousd=120_000))
    assert await store.alerts.review("bud_1", NOON_US + 1) == []
    await spend(store, attempt(2, cost_nanousd=19_000))
    assert [percent for percent, _, _ in await facts(store)] == [5, 5]


async def test_a_period_that_ends_is_told_of_once(store: Store) -> None:
    await store.budgets.put(budget(period="hour"))
    await look(store, end_us=END_US)
    await spend(store, attempt(1, cost_nanousd=90_000))
    assert await store.alerts.end_over(END_US - 1) == []
    assert [one.why_over for one in await store.alerts.end_over(END_US)] == ["anew"]
    assert await store.alerts.end_over(END_US + 1) == []


@pytest.mark.parametrize("how", ["removed", "off", "another version"])
async def test_a_budget_that_is_gone_holds_no_alert_up(store: Store, how: str) -> None:
    await store.budgets.put(budget())
    await look(store)
    await spend(store, attempt(1, cost_nanousd=90_000))
    if how == "removed":
        await store.budgets.remove("bud_1")
    else:
        await store.budgets.put(budget(enabled=False) if how == "off" else budget(version=2))
    (fact,) = await store.alerts.review("bud_1", NOON_US)
    assert fact.why_over == ("anew" if how == "another version" else "removed")
    assert await store.alerts.end_over(NOON_US) == []


async def test_a_budget_removed_while_nobody_looked_is_noticed(store: Store) -> None:
    await store.budgets.put(budget())
    await look(store)
    await spend(store, attempt(1, cost_nanousd=90_000))
    await store.budgets.remove("bud_1")
    assert [one.why_over for one in await store.alerts.end_over(NOON_US)] == ["removed"]


async def test_the_same_sighting_twice_is_one_fact(store: Store) -> None:
    assert len(await store.alerts.note([burst(), burst(at_us=NOON_US + 1)])) == 1
    assert await store.alerts.note([burst()]) == []
    (over,) = await store.alerts.note([burst(0, NOON_US + 5)])
    assert (over.why_over, over.about) == ("usual", BURST)
    assert await store.alerts.note([burst(0)]) == []


async def test_what_begins_again_within_its_quiet_time_is_not_told_nor_its_end(store: Store) -> None:
    await store.alerts.note([burst()])
    await store.alerts.note([burst(0, NOON_US + 10)])
    assert await store.alerts.note([burst(1, NOON_US + 20, quiet_us=100)]) == []
    assert await store.alerts.note([burst(0, NOON_US + 30)]) == []
    assert len(await store.alerts.note([burst(1, NOON_US + 200, quiet_us=100)])) == 1


async def test_a_fact_is_routed_once_and_delivered_once_to_each_channel(store: Store) -> None:
    fact = await noted(store)
    assert await store.alerts.unrouted(9) == [fact]
    await store.alerts.route(fact.id, ["ops", "team", "ops"], NOON_US)
    await store.alerts.route(fact.id, ["late"], NOON_US)
    assert await store.alerts.unrouted(9) == []
    taken = await store.alerts.take(now_us=NOON_US, until_us=NOON_US + 100, limit=9)
    assert [(one.channel, one.tries, one.fact) for one in taken] == [("ops", 1, fact), ("team", 1, fact)]
    await store.alerts.delivered(fact.id, "ops", NOON_US + 5)
    await store.alerts.failed(fact.id, "ops", "too late", None)
    assert await store.alerts.take(now_us=NOON_US + 99, until_us=NOON_US + 200, limit=9) == []
    again = await store.alerts.take(now_us=NOON_US + 100, until_us=NOON_US + 200, limit=9)
    assert [(one.channel, one.tries) for one in again] == [("team", 2)]
    (told,) = await store.alerts.told(9)
    assert [(one.channel, one.state, one.delivered_at_us) for one in told.deliveries] == [
        ("ops", "delivered", NOON_US + 5),
        ("team", "waiting", None),
    ]


async def test_what_a_wrong_clock_put_off_is_taken_all_the_same(store: Store) -> None:
    fact = await noted(store)
    await store.alerts.route(fact.id, ["ops"], NOON_US)
    await store.alerts.failed(fact.id, "ops", "away", NOON_US + 10**12)
    assert len(await store.alerts.take(now_us=NOON_US, until_us=NOON_US + 9, limit=9)) == 1


async def test_channels_that_are_busy_are_left_out(store: Store) -> None:
    fact = await noted(store)
    await store.alerts.route(fact.id, ["ops", "team"], NOON_US)
    (only,) = await store.alerts.take(now_us=NOON_US, until_us=NOON_US + 9, limit=9, but=["ops"])
    assert only.channel == "team"


async def test_the_dead_are_shown_and_can_begin_anew(store: Store) -> None:
    fact = await noted(store)
    await store.alerts.route(fact.id, ["ops"], NOON_US)
    await store.alerts.take(now_us=NOON_US, until_us=NOON_US + 9, limit=9)
    await store.alerts.failed(fact.id, "ops", "status 410", None)
    (dead,) = await store.alerts.told(9, dead_only=True)
    assert [(one.state, one.error, one.tries) for one in dead.deliveries] == [("dead", "status 410", 1)]
    assert await store.alerts.retry("alert_none", NOON_US) == 0
    assert await store.alerts.retry(None, NOON_US) == 1
    assert await store.alerts.told(9, dead_only=True) == []
    assert [one.tries for one in await store.alerts.take(now_us=NOON_US, until_us=NOON_US + 9, limit=9)] == [1]


async def test_facts_come_in_pages_and_one_by_its_id(store: Store) -> None:
    made = await store.alerts.note([burst(condition=f"errors p{n}", at_us=NOON_US + n // 2) for n in range(7)])
    every = [one.fact.id for one in await store.alerts.told(99)]
    assert sorted(every) == sorted(fact.id for fact in made)
    paged: list[str] = []
    while page := await store.alerts.told(3, before=paged[-1] if paged else None):
        paged += [one.fact.id for one in page]
    assert paged == every
    (one,) = await store.alerts.told(9, fact_id=every[3])
    assert one.fact.id == every[3]
    assert await store.alerts.told(9, fact_id="nobody's") == []
    assert await store.alerts.told(9, before="nobody's") == []


async def test_what_holds_is_what_began_and_is_not_over(store: Store) -> None:
    await store.alerts.note([burst(condition=f"errors p{n}", at_us=NOON_US + n) for n in range(3)])
    await store.alerts.note([burst(0, condition="errors p1", at_us=NOON_US + 9)])
    assert [one.name for one in await store.alerts.holding(9)] == ["errors p2", "errors p0"]
    assert [one.name for one in await store.alerts.holding(1)] == ["errors p2"]


async def test_one_process_leads_until_its_time_is_over(store: Store) -> None:
    alerts = store.alerts
    assert await alerts.lead("a", now_us=NOON_US, until_us=NOON_US + 100)
    assert not await alerts.lead("b", now_us=NOON_US + 99, until_us=NOON_US + 199)
    assert await alerts.lead("a", now_us=NOON_US + 99, until_us=NOON_US + 150)
    assert await alerts.lead("b", now_us=NOON_US + 150, until_us=NOON_US + 250)
    assert not await alerts.lead("a", now_us=NOON_US + 151, until_us=NOON_US + 251)


async def test_who_led_by_a_wrong_clock_leads_no_more(store: Store) -> None:
    await store.alerts.lead("a", now_us=NOON_US, until_us=NOON_US + 10**12)
    assert await store.alerts.lead("b", now_us=NOON_US, until_us=NOON_US + 100)


async def test_old_facts_are_forgotten_but_none_on_its_way(store: Store) -> None:
    made = []
    for number in range(4):
        (fact,) = await store.alerts.note([burst(condition=f"errors {number}", at_us=NOON_US + number)])
        made.append(fact.id)
    for fact_id in made[:3]:
        await store.alerts.route(fact_id, ["ops"], NOON_US)
    await store.alerts.delivered(made[0], "ops", NOON_US)
    await store.alerts.failed(made[1], "ops", "gone", None)
    assert await store.alerts.forget(NOON_US + 1, keep=9) == 1
    assert await store.alerts.forget(0, keep=0) == 1
    assert await store.alerts.fact_ids("alert_", 9) == sorted(made[2:])
    assert await store.alerts.fact_ids(made[2], 9) == [made[2]]


@pytest.mark.parametrize("seed", range(6))
async def test_the_same_history_tells_the_same_facts_everywhere(seed: int, make: Maker) -> None:
    seeded = random.Random(seed)
    stores = [make("memory"), make("sqlite")]
    rule = budget(thresholds=(Threshold(50, "warn"), Threshold(25, "prefer_cheaper"), Threshold(5, "pause")))
    for store in stores:
        await store.open()
        await store.budgets.put(rule)
    keys = [KEY, *(msgspec.structs.replace(KEY, subject=Scope(user=name)) for name in ("ann", "bob"))]
    number = 0
    told: list[list[Told]] = []
    for step in range(40):
        at_us = NOON_US + step * 1_000
        match seeded.choice(["append", "append", "look", "limit", "end", "remove"]):
            case "append":
                batch = [
                    attempt(
                        number + at,
                        cost_nanousd=seeded.randrange(0, 30_000),
                        user=seeded.choice(["ann", "bob"]),
                        ended_at_us=at_us,
                    )
                    for at in range(seeded.randrange(1, 4))
                ]
                number += len(batch)
                for store in stores:
                    await store.append(batch)
            case "look":
                key = seeded.choice(keys)
                for store in stores:
                    await look(store, key, END_US if key is keys[1] else None)
            case "limit":
                changed = msgspec.structs.replace(rule, limit_nanousd=seeded.randrange(1, 300_000))
                for store in stores:
                    await store.budgets.put(changed)
                    await store.alerts.review("bud_1", at_us)
            case "end":
                for store in stores:
                    await store.alerts.end_over(END_US + step)
            case _:
                if seeded.random() < 0.2:
                    for store in stores:
                        await store.budgets.remove("bud_1")
                        await store.alerts.end_over(at_us)
                        await store.budgets.put(rule)
        told = [await store.alerts.told(1_000) for store in stores]
        assert told[0] == told[1]
    assert told[0], "a history in which nothing is told shows nothing"
