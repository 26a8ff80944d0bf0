"""What every store does with budgets; the same random history leaves the same accounts in all of them."""

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
from farthing.types.budgets import AccountKey, Budget, LeaseAsk, Scope
from farthing.types.calls import Attempt
from tests.contracts.ledger_samples import NOON_US, attempt
from tests.postgres_server import new_schema

MINUTE_US = 60_000_000
START_US = NOON_US // MINUTE_US * MINUTE_US
UNTIL_US = NOON_US + 3_600_000_000
ALL = Scope()
Maker = Callable[[str], Store]


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Maker]:
    offloads: list[ThreadOffload] = []
    stores: list[Store] = []
    url: list[str] = []

    def made(backend: str) -> Store:
        if backend == "memory":
            return MemoryStore()
        if backend == "postgres":
            url[:] = url or [new_schema()]
            stores.append(PostgresStore(url[0], trusts_callers_clock=True))
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


def budget(limit_nanousd: int = 100_000, **changes: Any) -> Budget:
    rule = Budget(id="bud_1", name="one", scope=ALL, limit_nanousd=limit_nanousd, period="total")
    return msgspec.structs.replace(rule, **({"counts_from_us": START_US} | changes))


def key(subject: Scope = ALL, **changes: Any) -> AccountKey:
    return msgspec.structs.replace(AccountKey("bud_1", 1, subject, START_US), **changes)


def ask(need: int = 0, *, wish: int = 0, give: int = 0, subject: Scope = ALL, **changes: Any) -> LeaseAsk:
    plain = LeaseAsk(key=key(subject), end_us=None, need_nanousd=need, wish_nanousd=wish, give_nanousd=give)
    return msgspec.structs.replace(plain, **changes)


async def exchange(store: Store, holder: str, *asks: LeaseAsk, now_us: int = NOON_US) -> list[tuple[int, int, int]]:
    """Return (granted, spent, leased) for each ask."""
    answers = await store.budgets.exchange(holder, asks, now_us=now_us, until_us=UNTIL_US)
    found = []
    for answer in answers:
        assert answer.account is not None
        found.append((answer.granted_nanousd, answer.account.spent_nanousd, answer.account.leased_nanousd))
    return found


async def test_no_more_is_leased_than_the_limit(store: Store) -> None:
    assert await store.budgets.put(budget())
    assert await exchange(store, "a", ask(60_000)) == [(60_000, 0, 60_000)]
    assert await exchange(store, "b", ask(40_001)) == [(0, 0, 60_000)]
    assert await exchange(store, "b", ask(40_000)) == [(40_000, 0, 100_000)]
    assert await exchange(store, "a", ask(1)) == [(0, 0, 100_000)]


async def test_what_is_given_back_can_be_leased_by_others(store: Store) -> None:
    await store.budgets.put(budget())
    await exchange(store, "a", ask(100_000))
    assert await exchange(store, "a", ask(give=70_000)) == [(0, 0, 30_000)]
    assert await exchange(store, "b", ask(70_000)) == [(70_000, 0, 100_000)]


async def test_a_wish_gets_a_share_and_a_need_all_of_itself(store: Store) -> None:
    await store.budgets.put(budget())
    assert await exchange(store, "a", ask(10, wish=90_000, share=4)) == [(25_000, 0, 25_000)]
    assert await exchange(store, "a", ask(50_000, wish=90_000, share=4)) == [(50_000, 0, 75_000)]


async def test_grace_lets_one_ask_beyond_the_limit(store: Store) -> None:
    await store.budgets.put(budget())
    assert await exchange(store, "a", ask(110_000)) == [(0, 0, 0)]
    assert await exchange(store, "a", ask(110_000, beyond_nanousd=10_000)) == [(110_000, 0, 110_000)]


async def test_an_attempt_is_charged_with_its_cost_and_taken_off_the_lease(store: Store) -> None:
    await store.budgets.put(budget())
    await exchange(store, "a", ask(50_000))
    await store.append([attempt(1, cost_nanousd=20_000)], "a")
    assert await exchange(store, "a", ask()) == [(0, 20_000, 30_000)]
    await store.append([attempt(1, cost_nanousd=20_000), attempt(2, cost_nanousd=1_000)], "a")
    assert await exchange(store, "a", ask()) == [(0, 21_000, 29_000)]


async def test_an_attempt_of_unknown_cost_is_charged_with_what_was_held(store: Store) -> None:
    await store.budgets.put(budget())
    await store.budgets.exchange("a", [ask(50_000)], now_us=NOON_US, until_us=UNTIL_US)
    await store.append([attempt(1, cost_nanousd=None, cost_basis="unknown", held_nanousd=30_000)], "a")
    (account,) = await store.budgets.accounts("bud_1", now_us=NOON_US)
    assert (account.posted_nanousd, account.unknown_nanousd, account.leased_nanousd) == (0, 30_000, 20_000)
    assert account.left_nanousd == 50_000


async def test_a_call_dearer_than_its_lease_does_not_lend_to_others(store: Store) -> None:
    await store.budgets.put(budget())
    await exchange(store, "a", ask(10_000))
    await store.append([attempt(1, cost_nanousd=15_000)], "a")
    assert await exchange(store, "b", ask()) == [(0, 15_000, 0)]
    assert await exchange(store, "a", ask(10_000)) == [(10_000, 15_000, 5_000)]


async def test_all_that_was_charged_is_told_beside_what_is_left(store: Store) -> None:
    """So a process that did not hear an answer knows with the next one whether it was done what it asked."""
    await store.budgets.put(budget())
    await exchange(store, "a", ask(50_000))
    await store.append([attempt(1, cost_nanousd=20_000), attempt(2, cost_nanousd=40_000)], "a")
    (answer,) = await store.budgets.exchange("a", [ask()], now_us=NOON_US, until_us=UNTIL_US)
    assert (answer.yours_nanousd, answer.charged_nanousd) == (-10_000, 60_000)
    (answer,) = await store.budgets.exchange("b", [ask()], now_us=NOON_US, until_us=UNTIL_US)
    assert (answer.yours_nanousd, answer.charged_nanousd) == (0, 0)


async def test_what_cost_more_than_was_leased_is_leased_afterwards_whatever_is_left(store: Store) -> None:
    await store.budgets.put(budget())
    await exchange(store, "a", ask(50_000))
    await store.append([attempt(1, cost_nanousd=70_000)], "a")
    assert await exchange(store, "a", ask(30_000, give=-20_000)) == [(30_000, 70_000, 30_000)]
    assert await exchange(store, "a", ask(give=-5_000)) == [(0, 70_000, 35_000)]


async def test_an_attempt_of_the_second_in_which_its_account_begins_is_charged(store: Store) -> None:
    start_us = START_US + 31_000_000
    await store.budgets.put(budget(counts_from_us=start_us))
    await exchange(store, "a", ask(key=key(start_us=start_us)))
    await store.append([attempt(1, cost_nanousd=7, started_at_us=start_us + 5)], "a")
    await store.append([attempt(2, cost_nanousd=70, started_at_us=start_us - 5)], "a")
    (account,) = await store.budgets.accounts(now_us=NOON_US)
    assert account.posted_nanousd == 7
    assert (await store.budgets.accounts_recomputed())[account.key.id] == (7, 0)


async def test_leases_that_ended_count_for_others_no_more(store: Store) -> None:
    await store.budgets.put(budget())
    await exchange(store, "a", ask(90_000))
    later_us = UNTIL_US + 1
    assert await exchange(store, "b", ask(90_000), now_us=UNTIL_US - 1) == [(0, 0, 90_000)]
    assert (await exchange(store, "b", ask(90_000), now_us=later_us))[0][0] == 90_000


async def test_who_lives_keeps_its_leases(store: Store) -> None:
    await store.budgets.put(budget())
    await exchange(store, "a", ask(90_000))
    await store.budgets.hold("a", now_us=NOON_US, until_us=UNTIL_US + 100)
    assert await exchange(store, "b", ask(90_000), now_us=UNTIL_US + 1) == [(0, 0, 90_000)]


async def test_the_leases_of_the_dead_are_taken_back(store: Store) -> None:
    await store.budgets.put(budget())
    await exchange(store, "here:1:5", ask(30_000))
    await exchange(store, "here:2:6", ask(30_000))
    await exchange(store, "here:22:6", ask(10_000))
    assert await store.budgets.release("here:2:") == 30_000
    assert await store.budgets.release("here:", but=["here:22:6"]) == 30_000
    assert await exchange(store, "b", ask()) == [(0, 0, 10_000)]


async def test_what_could_not_be_granted_is_known_to_be_wanted(store: Store) -> None:
    await store.budgets.put(budget())
    await exchange(store, "a", ask(90_000))
    assert await store.budgets.wanted(0) == []
    await exchange(store, "b", ask(20_000))
    assert await store.budgets.wanted(NOON_US) == [key().id]
    assert await store.budgets.wanted(NOON_US + 1) == []


async def test_a_budget_that_is_gone_or_other_is_told(store: Store) -> None:
    assert (await store.budgets.exchange("a", [ask(1)], now_us=NOON_US, until_us=UNTIL_US))[0].account is None
    await store.budgets.put(budget(enabled=False))
    assert (await store.budgets.exchange("a", [ask(1)], now_us=NOON_US, until_us=UNTIL_US))[0].account is None
    await store.budgets.put(budget(version=2))
    assert (await store.budgets.exchange("a", [ask(1)], now_us=NOON_US, until_us=UNTIL_US))[0].account is None


async def test_a_new_version_begins_with_new_accounts(store: Store) -> None:
    await store.budgets.put(budget())
    await exchange(store, "a", ask(50_000))
    await store.budgets.put(budget(limit_nanousd=60_000))
    assert await exchange(store, "b", ask(20_000)) == [(0, 0, 50_000)]
    await store.budgets.put(budget(limit_nanousd=60_000, version=2))
    assert await store.budgets.accounts(now_us=NOON_US) == []


async def test_names_are_taken_once_and_changes_are_followed(store: Store) -> None:
    assert await store.budgets.put(budget())
    first = await store.budgets.changes(0)
    assert first.put == (budget(),)
    assert (await store.budgets.changes(first.counter)).put == ()
    assert not await store.budgets.put(budget(id="bud_2"))
    assert await store.budgets.put(budget(id="bud_2", name="two"))
    second = await store.budgets.changes(first.counter)
    assert [one.id for one in second.put] == ["bud_2"]
    assert await store.budgets.remove("bud_1")
    assert not await store.budgets.remove("bud_1")
    third = await store.budgets.changes(second.counter)
    assert (third.put, third.removed) == ((), ("bud_1",))
    assert [one.name for one in await store.budgets.all()] == ["two"]
    assert await store.budgets.put(budget(id="bud_3", name="one"))


async def test_a_new_account_takes_over_what_the_ledger_has_of_its_period(store: Store) -> None:
    before = attempt(1, cost_nanousd=5_000, started_at_us=START_US - 1)
    inside = attempt(2, cost_nanousd=7_000, started_at_us=START_US)
    other = attempt(3, cost_nanousd=9_000, started_at_us=START_US, team="b")
    unknown = attempt(
        4, cost_nanousd=None, cost_basis="unknown", held_nanousd=11_000, started_at_us=START_US + 5, team="a"
    )
    await store.append([before, inside, other, unknown])
    await store.budgets.put(budget())
    assert await exchange(store, "a", ask()) == [(0, 27_000, 0)]
    assert await exchange(store, "a", ask(subject=Scope(team="a"))) == [(0, 11_000, 0)]


async def test_an_account_made_long_after_its_rule_begins_empty(store: Store) -> None:
    """Every call in the rule's scope makes the account, so there was none; nobody reads a month of calls for that."""
    await store.budgets.put(budget(period="day", counts_from_us=START_US - 86_400_000_000))
    await store.append([attempt(1, cost_nanousd=5_000, started_at_us=START_US)])
    assert await exchange(store, "a", ask()) == [(0, 0, 0)]


SCOPES = [
    ALL,
    Scope(team="a"),
    Scope(team="b", user="u1"),
    Scope(key_id="key_1"),
    Scope(project="p1"),
    Scope(tag="x"),
    Scope(tag="y", team="a"),
    Scope(session="s1"),
    Scope(task="t2", project="p1"),
    Scope(organisation="default"),
]


def random_attempt(seeded: random.Random, number: int) -> Attempt:
    cost = seeded.choice([None, 0, 10, 500])
    return attempt(
        number,
        cost_nanousd=cost,
        cost_basis="unknown" if cost is None else "reported",
        held_nanousd=seeded.choice([None, 70, 600]),
        started_at_us=START_US + seeded.randrange(0, 5) * MINUTE_US + seeded.choice([0, 1, MINUTE_US - 1]),
        team=seeded.choice([None, "a", "b"]),
        user=seeded.choice([None, "u1", "u2"]),
        key_id=seeded.choice(["key_1", "key_2"]),
        project=seeded.choice([None, "p1", "p2"]),
        session=seeded.choice([None, "s1", "s2"]),
        task=seeded.choice([None, "t1", "t2"]),
        tags=seeded.choice([None, "x", "x,y", "y , x", "z, y", "xy"]),
    )


@pytest.mark.parametrize("seed", range(8))
async def test_the_same_history_leaves_the_same_accounts_everywhere(seed: int, make: Maker) -> None:
    seeded = random.Random(seed)
    stores = [make("memory"), make("sqlite"), make("postgres")]
    for store in stores:
        await store.open()
        await store.budgets.put(budget(limit_nanousd=100_000))
    number = 0
    outcomes: list[object]
    for _ in range(30):
        match seeded.choice(["append", "append", "exchange", "exchange", "release"]):
            case "append":
                batch = [random_attempt(seeded, number + at) for at in range(seeded.randrange(1, 6))]
                number += len(batch) - seeded.choice([0, 0, 1])
                holder = seeded.choice(["h:1", "h:2", ""])
                outcomes = [await store.append(batch, holder) for store in stores]
            case "exchange":
                at = seeded.randrange(0, 3)
                asks = [
                    ask(
                        seeded.choice([0, 100, 40_000]),
                        wish=seeded.choice([0, 60_000]),
                        give=seeded.choice([0, 0, 50]),
                        share=seeded.choice([1, 4]),
                        key=key(seeded.choice(SCOPES), start_us=START_US + at * MINUTE_US),
                        end_us=START_US + (at + 2) * MINUTE_US if at == 1 else None,
                    )
                    for _ in range(seeded.randrange(1, 4))
                ]
                asks = [one for number, one in enumerate(asks) if one.key not in [o.key for o in asks[:number]]]
                holder = seeded.choice(["h:1", "h:2"])
                outcomes = [
                    await store.budgets.exchange(holder, asks, now_us=NOON_US, until_us=UNTIL_US) for store in stores
                ]
            case _:
                outcomes = [await store.budgets.release("h:1") for store in stores]
        assert outcomes[0] == outcomes[1] == outcomes[2]
        accounts = [await store.budgets.accounts(now_us=NOON_US) for store in stores]
        assert accounts[0] == accounts[1] == accounts[2]
    recomputed = [await store.budgets.accounts_recomputed() for store in stores]
    assert recomputed[0] == recomputed[1] == recomputed[2]


async def test_budgets_are_read_in_pages_and_one_is_found_by_its_id_or_name(store: Store) -> None:
    for name in ("c", "a", "d", "b"):
        assert await store.budgets.put(budget(id=f"bud_{name}", name=name))
    await store.budgets.remove("bud_b")
    assert [one.name for one in await store.budgets.page("", 2)] == ["a", "c"]
    assert [one.name for one in await store.budgets.page("c", 2)] == ["d"]
    for asked in ("c", "bud_c"):
        found = await store.budgets.found(asked)
        assert found is not None
        assert found.id == "bud_c"
    assert await store.budgets.found("b") is None


async def test_the_accounts_of_one_budget_are_told_apart_from_those_of_others(store: Store) -> None:
    for name in ("bud_1", "bud_2"):
        await store.budgets.put(budget(id=name, name=name))
        await exchange(store, "h", msgspec.structs.replace(ask(5), key=key(budget_id=name)))
    assert [one.key.budget_id for one in await store.budgets.accounts("bud_2", now_us=NOON_US)] == ["bud_2"]
    assert len(await store.budgets.accounts(now_us=NOON_US)) == 2


@pytest.mark.parametrize("dimension", ["session", "task", "user", "key_id", "project", "team", "organisation", "tag"])
async def test_a_batch_is_charged_to_accounts_of_any_one_dimension(store: Store, dimension: str) -> None:
    """What lines are known by there depends on which accounts there are."""
    subject = Scope(**{dimension: "x"})
    await store.budgets.put(budget(scope=Scope(**{dimension: "*"})))
    await exchange(store, "h", ask(500, subject=subject))
    named = "tags" if dimension == "tag" else dimension
    rows = [attempt(n, cost_nanousd=n, **{named: who}) for n, who in ((7, "x"), (5, "y"))]  # type: ignore[arg-type]
    await store.append(rows, "h")
    assert [one.posted_nanousd for one in await store.budgets.accounts("bud_1", now_us=NOON_US)] == [7]
