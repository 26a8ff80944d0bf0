"""Budgets in one process and in several: what is held, what waits, what is refused."""

import asyncio
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from farthing.errors import BudgetExceeded
from farthing.ledger.allotments import Allotment, Purse
from farthing.ledger.budget_rules import action_of, changed, resumed
from farthing.ledger.budgets import Budgets
from farthing.storage.memory import MemoryStore
from farthing.storage.sqlite import SqliteStore
from farthing.types.budgets import AccountKey, Budget, BudgetChanges, Scope, Threshold
from farthing.types.calls import Attribution
from tests.contracts.ledger_samples import NOON_US, InPlace, SetClock, attempt

K_1 = Attribution(key_id="key_1", team="a")
K_2 = Attribution(key_id="key_2", team="a")
USD = 1_000_000_000
Make = Callable[..., Awaitable[Budgets]]


class LoopClock(SetClock):
    """Shows a set time, and the loop's for spans."""

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


def rule(limit: int, **changes: Any) -> Budget:
    plain = Budget(id="bud_1", name="one", scope=Scope(), limit_nanousd=limit, period="total", wait_s=2, thresholds=())
    return msgspec.structs.replace(plain, **({"counts_from_us": NOON_US} | changes))


@pytest.fixture
async def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
async def make(store: MemoryStore) -> AsyncIterator[Make]:
    made: list[Budgets] = []

    async def process(processes: int = 1, *, shared: bool = False) -> Budgets:
        budgets = Budgets(store.budgets, f"here:{len(made)}:1", LoopClock(), processes=processes, shared=shared)
        await budgets.start()
        made.append(budgets)
        return budgets

    yield process
    for budgets in made:
        await budgets.close()


async def test_without_a_budget_nothing_is_held(make: Make) -> None:
    assert (await make()).purse_of(K_1, NOON_US) is None


async def test_what_a_call_did_not_cost_is_free_for_the_next(store: MemoryStore, make: Make) -> None:
    await store.budgets.put(rule(100))
    budgets = await make()
    first = await budgets.acquire(K_1, lambda: (90, 90))
    first.settle(10)
    second = await budgets.acquire(K_1, lambda: (90, 90))
    second.settle(90)
    with pytest.raises(BudgetExceeded, match=r"budget 'one': \$0\.00 of \$0\.0000001 is left, and this call may cost"):
        await budgets.acquire(K_1, lambda: (1, 1))


async def test_a_call_larger_than_the_budget_is_refused_at_once(store: MemoryStore, make: Make) -> None:
    await store.budgets.put(rule(100))
    budgets = await make()
    async with asyncio.timeout(1):
        with pytest.raises(BudgetExceeded):
            await budgets.acquire(K_1, lambda: (101, 101))


async def test_a_budget_of_nothing_refuses_every_call(store: MemoryStore, make: Make) -> None:
    await store.budgets.put(rule(0))
    with pytest.raises(BudgetExceeded):
        await (await make()).acquire(K_1, lambda: (1, 1))


async def test_a_call_waits_for_what_another_gives_back(store: MemoryStore, make: Make) -> None:
    await store.budgets.put(rule(100))
    budgets = await make()
    first = await budgets.acquire(K_1, lambda: (80, 80))
    waiting = asyncio.create_task(budgets.acquire(K_1, lambda: (50, 50)))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    first.settle(40)
    async with asyncio.timeout(1):
        (await waiting).settle(50)


async def test_a_call_waits_no_longer_than_the_budget_says(store: MemoryStore, make: Make) -> None:
    await store.budgets.put(rule(100, wait_s=0))
    budgets = await make()
    held = await budgets.acquire(K_1, lambda: (80, 80))
    with pytest.raises(BudgetExceeded):
        await budgets.acquire(K_1, lambda: (50, 50))
    held.void()


async def test_a_refusal_says_that_calls_under_way_hold_what_is_left_and_names_the_key(
    store: MemoryStore, make: Make
) -> None:
    await store.budgets.put(rule(10 * USD, wait_s=0, scope=Scope(key_id="*")))
    budgets = await make()
    ann = msgspec.structs.replace(K_1, key_name="ann")
    held = await budgets.acquire(ann, lambda: (9 * USD, 9 * USD))
    words = re.escape(
        "budget 'one' (key 'ann'): $10.00 of $10.00 is left, calls under way hold all but $1.00 of it, "
        "and this call may cost $2.00; "
    )
    with pytest.raises(BudgetExceeded, match=words):
        await budgets.acquire(ann, lambda: (2 * USD, 2 * USD))
    held.void()


async def test_a_pause_is_lifted_only_where_it_holds_and_until_the_thresholds_change(
    store: MemoryStore, make: Make
) -> None:
    paused_at_half = rule(10, thresholds=(Threshold(50, "pause"),))
    await store.budgets.put(paused_at_half)
    budgets = await make()
    (await budgets.acquire(K_1, lambda: (1, 1))).settle(1)
    assert resumed(paused_at_half, await store.budgets.accounts(now_us=NOON_US), NOON_US) is None
    spent = attempt(1, cost_nanousd=6, started_at_us=NOON_US, held_nanousd=6)
    await store.append([spent], budgets._holder)
    after = resumed(paused_at_half, await store.budgets.accounts(now_us=NOON_US), NOON_US)
    assert after is not None
    assert action_of(after, 4, NOON_US) is None
    assert action_of(changed(after, NOON_US, limit_nanousd=11), 4, NOON_US) is None
    assert action_of(changed(after, NOON_US, thresholds=(Threshold(60, "pause"),)), 4, NOON_US) == "pause"


async def test_whoever_leaves_while_waiting_holds_nothing(store: MemoryStore, make: Make) -> None:
    await store.budgets.put(rule(100))
    budgets = await make()
    first = await budgets.acquire(K_1, lambda: (80, 80))
    waiting = asyncio.create_task(budgets.acquire(K_1, lambda: (50, 50)))
    await asyncio.sleep(0.01)
    waiting.cancel()
    first.void()
    await asyncio.wait([waiting])
    (await budgets.acquire(K_1, lambda: (100, 100))).void()


async def test_a_call_of_unknown_cost_keeps_what_it_held(store: MemoryStore, make: Make) -> None:
    await store.budgets.put(rule(100))
    budgets = await make()
    (await budgets.acquire(K_1, lambda: (60, 60))).settle(None)
    with pytest.raises(BudgetExceeded):
        await budgets.acquire(K_1, lambda: (50, 50))


async def test_a_call_without_a_limit_holds_a_part_of_what_there_is(store: MemoryStore, make: Make) -> None:
    await store.budgets.put(rule(1_000))
    budgets = await make()
    held = [await budgets.acquire(K_1, lambda: (10, 10_000)) for _ in range(4)]
    assert [one.amount_nanousd for one in held] == [250, 187, 140, 105]
    for one in held:
        one.void()


async def test_every_key_has_its_own_where_the_budget_says_each(store: MemoryStore, make: Make) -> None:
    await store.budgets.put(rule(100, scope=Scope(key_id="*")))
    budgets = await make()
    (await budgets.acquire(K_1, lambda: (100, 100))).settle(100)
    (await budgets.acquire(K_2, lambda: (100, 100))).settle(100)
    with pytest.raises(BudgetExceeded, match="key 'key_1'"):
        await budgets.acquire(K_1, lambda: (1, 1))


async def test_the_narrowest_of_several_budgets_decides(store: MemoryStore, make: Make) -> None:
    await store.budgets.put(rule(1_000))
    await store.budgets.put(rule(100, id="bud_2", name="two", scope=Scope(team="a")))
    await store.budgets.put(rule(50, id="bud_3", name="three", scope=Scope(key_id="key_1")))
    budgets = await make()
    with pytest.raises(BudgetExceeded, match="'three'"):
        await budgets.acquire(K_1, lambda: (60, 60))
    (await budgets.acquire(K_2, lambda: (60, 60))).settle(60)
    with pytest.raises(BudgetExceeded, match="'two'"):
        await budgets.acquire(K_1, lambda: (45, 45))
    (await budgets.acquire(K_1, lambda: (40, 40))).settle(40)


async def test_a_soft_budget_refuses_nothing(store: MemoryStore, make: Make) -> None:
    await store.budgets.put(rule(10, policy="soft"))
    budgets = await make()
    (await budgets.acquire(K_1, lambda: (100, 100))).settle(100)
    (await budgets.acquire(K_1, lambda: (100, 100))).settle(100)


async def test_a_soft_budget_that_is_to_refuse_at_a_line_does(store: MemoryStore, make: Make) -> None:
    await store.budgets.put(rule(100, policy="soft", thresholds=(Threshold(50, "refuse"),)))
    budgets = await make()
    (await budgets.acquire(K_1, lambda: (60, 60))).settle(60)
    await store.append([attempt(1, cost_nanousd=60, started_at_us=NOON_US)])
    await asyncio.sleep(0.7)
    with pytest.raises(BudgetExceeded, match="where it says refuse"):
        await budgets.acquire(K_1, lambda: (1, 1))


async def test_a_new_period_begins_anew(store: MemoryStore, make: Make) -> None:
    await store.budgets.put(rule(100, period="hour"))
    budgets = await make()
    clock: Any = budgets._clock
    (await budgets.acquire(K_1, lambda: (100, 100))).settle(100)
    with pytest.raises(BudgetExceeded, match="begins anew on 2026-11-18 at 12:00"):
        await budgets.acquire(K_1, lambda: (1, 1))
    clock.time_us += 3_600_000_000
    (await budgets.acquire(K_1, lambda: (100, 100))).settle(100)


async def test_a_raised_limit_holds_within_a_second(store: MemoryStore, make: Make) -> None:
    await store.budgets.put(rule(100))
    budgets = await make()
    (await budgets.acquire(K_1, lambda: (100, 100))).settle(100)
    await store.budgets.put(rule(200))
    await asyncio.sleep(0.7)
    (await budgets.acquire(K_1, lambda: (100, 100))).settle(100)


async def test_a_lowered_limit_holds_within_a_second(store: MemoryStore, make: Make) -> None:
    await store.budgets.put(rule(200))
    budgets = await make()
    (await budgets.acquire(K_1, lambda: (10, 10))).void()
    await store.budgets.put(rule(50))
    await asyncio.sleep(0.7)
    with pytest.raises(BudgetExceeded):
        await budgets.acquire(K_1, lambda: (60, 60))


async def test_a_budget_that_is_disabled_under_calls_keeps_nobody_looking(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "farthing.db", InPlace())
    await store.open()
    await store.budgets.put(rule(100))
    budgets = Budgets(store.budgets, "here:0:1", LoopClock())
    await budgets.start()
    hold = await budgets.acquire(K_1, lambda: (40, 40))
    await store.budgets.put(rule(100, enabled=False))
    asked = 0
    ask = store.budgets.changes

    async def counted(since: int) -> BudgetChanges:
        nonlocal asked
        asked += 1
        assert asked < 50, "it asks again and again"
        return await ask(since)

    store.budgets.changes = counted  # type: ignore[method-assign]
    await asyncio.sleep(1.2)
    assert 2 <= asked < 10
    assert budgets.purse_of(K_1, NOON_US) is None
    hold.settle(30)
    await budgets.close()
    await store.close()


async def test_grace_is_for_calls_that_finish_a_turn(store: MemoryStore, make: Make) -> None:
    await store.budgets.put(rule(100, grace_nanousd=50))
    budgets = await make()
    with pytest.raises(BudgetExceeded):
        await budgets.acquire(K_1, lambda: (140, 140))
    (await budgets.acquire(K_1, lambda: (140, 140), goes_on=lambda: True)).void()


async def test_a_call_that_waits_for_more_than_grace_allows_keeps_nobody_from_what_is_left(
    store: MemoryStore, make: Make
) -> None:
    """It asks in vain, and what was granted to another in the same breath is not given back with its leftovers."""
    await store.budgets.put(rule(4, grace_nanousd=40))
    budgets = await make(processes=2)
    held = [await budgets.acquire(K_1, lambda: (1, 1)) for _ in range(3)]
    greedy = asyncio.create_task(budgets.acquire(K_1, lambda: (42, 42), goes_on=lambda: True))
    await asyncio.sleep(0.01)
    async with asyncio.timeout(1):
        held.append(await budgets.acquire(K_1, lambda: (1, 1)))
    greedy.cancel()
    for one in held:
        one.void()


async def test_a_call_that_cost_more_than_was_held_is_paid_for_once(store: MemoryStore, make: Make) -> None:
    """Nothing of it is lent again when the account was idle, and what is left can be used."""
    await store.budgets.put(rule(200))
    budgets = await make()
    (await budgets.acquire(K_1, lambda: (100, 100))).settle(150)
    await store.append([attempt(1, cost_nanousd=150, started_at_us=NOON_US, held_nanousd=100)], budgets._holder)
    await asyncio.sleep(0.7)
    last = await budgets.acquire(K_1, lambda: (50, 50))
    with pytest.raises(BudgetExceeded):
        await budgets.acquire(K_1, lambda: (1, 1))
    last.void()


async def test_what_grace_lent_is_not_for_others(store: MemoryStore, make: Make) -> None:
    await store.budgets.put(rule(100, grace_nanousd=50))
    budgets = await make()
    (await budgets.acquire(K_1, lambda: (100, 100))).settle(100)
    (await budgets.acquire(K_1, lambda: (50, 50), goes_on=lambda: True)).settle(10)
    with pytest.raises(BudgetExceeded):
        await budgets.acquire(K_1, lambda: (20, 20))
    (await budgets.acquire(K_1, lambda: (20, 20), goes_on=lambda: True)).void()


async def test_a_budget_that_changes_while_its_accounts_are_looked_at_goes_on(store: MemoryStore, make: Make) -> None:
    """The store does not know the old version's account any more; that says nothing of the new version."""
    await store.budgets.put(rule(100))
    budgets = await make()
    (await budgets.acquire(K_1, lambda: (10, 10))).void()
    await store.budgets.put(rule(100, version=2, period="day"))
    await asyncio.sleep(1.2)
    with pytest.raises(BudgetExceeded):
        await budgets.acquire(K_1, lambda: (101, 101))


async def test_a_host_of_one_process_leaves_what_it_does_not_need_to_the_others(store: MemoryStore, make: Make) -> None:
    await store.budgets.put(rule(1_000_000, wait_s=0))
    for house in [await make(shared=True) for _ in range(3)]:
        for _ in range(3):
            hold = await house.acquire(K_1, lambda: (1_000, 1_000))
            hold.settle(100)


@pytest.mark.parametrize("processes", [1, 4])
@pytest.mark.parametrize("calls", [200, 2_000])
async def test_of_many_equal_calls_at_once_exactly_those_are_admitted_that_fit(
    processes: int, calls: int, store: MemoryStore, make: Make
) -> None:
    """Each holds four times what it costs, and nearly all of the budget is used all the same."""
    cost, fitting = 1_000, calls // 4
    await store.budgets.put(rule(cost * fitting, wait_s=20))
    houses = [await make(processes) for _ in range(processes)]
    seeded = random.Random(calls + processes)
    admitted = 0
    posted = 0

    async def call(house: Budgets) -> None:
        nonlocal admitted, posted
        try:
            hold = await house.acquire(K_1, lambda: (1_000, 4_000))
        except BudgetExceeded:
            return
        admitted += 1
        await asyncio.sleep(seeded.random() * 0.01)
        hold.settle(cost)
        posted += 1
        made = attempt(posted, cost_nanousd=cost, started_at_us=NOON_US, held_nanousd=hold.amount_nanousd)
        await store.append([made], house._holder)

    async with asyncio.timeout(30):
        await asyncio.gather(*(call(houses[at % processes]) for at in range(calls)))
    assert admitted <= fitting
    assert admitted >= fitting * 0.95
    (account,) = await store.budgets.accounts(now_us=NOON_US)
    assert account.posted_nanousd == admitted * cost
    for house in houses:
        await house.close()
    (account,) = await store.budgets.accounts(now_us=NOON_US)
    assert account.leased_nanousd == 0


async def test_a_tag_or_session_that_is_called_like_the_word_for_each_is_held_and_charged_once(
    store: MemoryStore, make: Make
) -> None:
    await store.budgets.put(rule(1_000, scope=Scope(tag="*")))
    budgets = await make()
    purse = budgets.purse_of(msgspec.structs.replace(K_1, tags="*,nightly"), NOON_US)
    assert purse is not None
    assert sorted(str(one.key.subject.tag) for one in purse.hard) == ["*", "nightly"]


def test_a_call_that_costs_nothing_is_kept_from_a_budget_that_is_paused_as_well() -> None:
    rule = Budget(id="b", name="all", scope=Scope(), limit_nanousd=1_000, period="total", counts_from_us=NOON_US)
    allotment = Allotment(rule, AccountKey("b", 1, Scope(), 0), None)
    purse = Purse(Budgets(MemoryStore().budgets, "w", SetClock()), [allotment])
    allotment.free = 1_000
    assert purse.take(0, NOON_US)
    purse.empty()
    allotment.blocked, allotment.floor = True, 1 << 62
    assert not purse.take(0, NOON_US)
    assert not purse.take(1, NOON_US)
    assert (allotment.free, allotment.held) == (1_000, 0)
