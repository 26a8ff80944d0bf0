"""What every store does with lines that are older than they are to be kept."""

import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from farthing.storage.memory import MemoryStore
from farthing.storage.offload import ThreadOffload
from farthing.storage.postgres import PostgresStore
from farthing.storage.protocols import Store
from farthing.storage.sqlite import SqliteStore
from farthing.types.budgets import AccountKey, Budget, LeaseAsk, Scope
from farthing.types.calls import Attempt
from farthing.types.history import GROUPED_BY, HOUR_US
from farthing.types.ledger import CostsBy, CostsFilter
from farthing.types.retention import QUARTER_US, Retained, Waiting
from farthing.types.spending import SpendingBy, SpendingScope
from farthing.types.usage import Usage
from tests.contracts.ledger_samples import DAY_US, NOON_US, attempt
from tests.postgres_server import new_schema

MIDNIGHT_US = NOON_US // DAY_US * DAY_US
NOW_US = MIDNIGHT_US + 30 * DAY_US
BACKENDS = ["memory", "sqlite", "postgres"]


@pytest.fixture(params=BACKENDS)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    offload = ThreadOffload("writes")
    makers: dict[str, Callable[[], Store]] = {
        "memory": MemoryStore,
        "sqlite": lambda: SqliteStore(tmp_path / "farthing.db", offload),
        "postgres": lambda: PostgresStore(new_schema()),
    }
    made = makers[request.param]()
    await made.open()
    yield made
    await made.close()
    await offload.close()


async def expire(store: Store, before_us: int, limit: int = 40) -> int:
    """Roll up what there is, as the housekeeping does, and let lines expire; return how many."""
    while await store.roll_up(1_000):
        pass
    gone = 0
    while done := await store.retention.expire(before_us, limit, NOW_US):
        gone += done
    return gone


def calls(seed: int, count: int = 150) -> list[Attempt]:
    """Calls with up to three attempts each over four days; all attempts of a call within one quarter of an hour."""
    rng = random.Random(seed)
    made: list[Attempt] = []
    for call in range(count):
        began_us = MIDNIGHT_US + rng.randrange(4 * 96) * QUARTER_US + rng.choice([0, rng.randrange(QUARTER_US - 10)])
        who = {
            "key_id": rng.choice(["key_1", "key_2"]),
            "key_name": rng.choice(["", "laptop"]),
            "face": rng.choice(["openai", "anthropic"]),
            "team": rng.choice([None, "", "core"]),
            "project": rng.choice([None, "site"]),
            "user": rng.choice([None, "ann"]),
            "session": rng.choice([None, "s"]),
            "task": rng.choice([None, "t"]),
            "branch": rng.choice([None, "main"]),
            "tags": rng.choice([None, "x", "x, y", " , ", "y,x,x"]),
        }
        for ordinal in range(1, rng.choice([1, 1, 1, 2, 3]) + 1):
            cost = rng.choice([None, 0, 17, 1_000_003])
            made.append(
                attempt(
                    len(made),
                    call=call,
                    ordinal=ordinal,
                    started_at_us=began_us + ordinal,
                    provider=rng.choice(["openai", "ollama"]),
                    model=rng.choice(["a", "b"]),
                    cost_nanousd=cost,
                    cost_basis="unknown" if cost is None else rng.choice(["reported", "estimated"]),
                    held_nanousd=rng.choice([None, 50]),
                    reported_cost_nanousd=rng.choice([None, 0, 20]),
                    outcome=rng.choice(["ok", "provider_error", "unreachable", "cancelled"]),
                    http_status=rng.choice([200, 400, 429, 500, None]),
                    usage=rng.choice([Usage(), Usage(input_tokens=100, output_tokens=7, cache_read_input_tokens=3)]),
                    **who,  # type: ignore[arg-type]  # attributions by name
                )
            )
    rng.shuffle(made)
    return made


def spans() -> list[tuple[int | None, int | None]]:
    day, hour, quarter = DAY_US, HOUR_US, QUARTER_US
    at = [(None, None), (0, None), (None, 2 * day), (day, 3 * day), (5 * hour + quarter, day + 3 * quarter)]
    at += [(hour, 40 * hour), (7 * hour + 2 * quarter, 7 * hour + 3 * quarter), (2 * day, 4 * day)]
    return [tuple(None if one is None else MIDNIGHT_US + one for one in two) for two in at]  # type: ignore[misc]


ONLY = [
    CostsFilter(),
    CostsFilter(team="core"),
    CostsFilter(tag="x", session="s"),
    CostsFilter(provider="ollama", project="site"),
    CostsFilter(model="openai:b"),
]
BY: list[tuple[SpendingBy, ...]] = [
    (),
    ("provider",),
    ("provider", "model"),
    ("project", "task"),
    ("day", "key"),
    ("tag",),
    ("tags",),
]
ACCOUNTS = [
    (Scope(), MIDNIGHT_US, None),
    (Scope(session="s"), 0, None),
    (Scope(tag="y", team="core"), MIDNIGHT_US + 5 * HOUR_US + 2 * QUARTER_US, MIDNIGHT_US + 2 * DAY_US - QUARTER_US),
    (Scope(user="ann", key_id="key_1"), MIDNIGHT_US + DAY_US, MIDNIGHT_US + 4 * DAY_US),
]


async def everything(store: Store, seed: int) -> dict[str, Any]:
    """Ask for every kind of sum there is."""
    rng = random.Random(seed)
    told: dict[str, Any] = {}
    for since_us, until_us in spans():
        for by in (None, *get_args(CostsBy)):
            only = rng.choice(ONLY)
            told[f"costs {by} {since_us} {until_us} {only}"] = await store.costs(by, since_us, until_us, only)
        for groups in BY:
            scope = rng.choice([(), (SpendingScope("team", None),), (SpendingScope("session", "s"),)])
            rows = await store.spending(groups, since_us=since_us, until_us=until_us, scope=scope)
            told[f"spending {groups} {since_us} {until_us} {scope}"] = rows
        for scope_of in (Scope(), Scope(team="core"), Scope(tag="x", session="s")):
            hours = await store.history.hours(scope_of, since_us or 0, until_us or NOW_US)
            told[f"hours {scope_of} {since_us} {until_us}"] = hours
    for name in GROUPED_BY:
        told[f"dearest {name}"] = await store.history.dearest(name, MIDNIGHT_US, 9)
    told["usual"] = await store.history.usual_outcomes(MIDNIGHT_US, NOW_US)
    told["days"] = await store.daily_totals()
    told["days again"] = await store.daily_totals_recomputed()
    told["key"] = await store.key_spent("key_1")
    told["accounts"] = [(one.key.id, one.posted_nanousd, one.unknown_nanousd) for one in await accounts(store)]
    told["accounts again"] = await store.budgets.accounts_recomputed()
    return told


async def accounts(store: Store) -> list[Any]:
    return await store.budgets.accounts(now_us=NOW_US)


async def new_accounts(store: Store, name: str) -> None:
    """Make a budget of today, and accounts that take over what the ledger has."""
    budget = Budget(id=name, name=name, scope=Scope(), limit_nanousd=10**12, period="total", counts_from_us=NOW_US)
    assert await store.budgets.put(budget)
    asks = [LeaseAsk(key=AccountKey(name, 1, subject, start), end_us=end) for subject, start, end in ACCOUNTS]
    await store.budgets.exchange("h", asks, now_us=NOW_US, until_us=NOW_US + 1)


@pytest.mark.parametrize("seed", range(2))
async def test_no_sum_misses_what_has_expired(seed: int, store: Store) -> None:
    await new_accounts(store, "before")
    await store.append(calls(seed))
    before = await everything(store, seed)
    lines = len(await store.attempts_after("", 1_000))
    for days in (1, 3):
        gone = await expire(store, MIDNIGHT_US + days * DAY_US)
        assert gone > 20
        lines -= gone
        assert len(await store.attempts_after("", 1_000)) == lines
        after = await everything(store, seed)
        for question, answer in before.items():
            assert after[question] == answer, question
    await store.rebuild_totals()
    while await store.roll_up(100):
        pass
    assert await everything(store, seed) == before
    assert await store.budgets.rebuild_accounts() == {}
    assert await store.damage() == []


async def test_an_account_that_is_made_later_takes_over_what_has_expired(store: Store) -> None:
    await store.append(calls(3))
    await new_accounts(store, "before")
    await expire(store, MIDNIGHT_US + 3 * DAY_US)
    await new_accounts(store, "after")
    charged = [(one.key.budget_id, one.posted_nanousd, one.unknown_nanousd) for one in await accounts(store)]
    half = len(ACCOUNTS)
    assert sorted(one[1:] for one in charged[:half]) == sorted(one[1:] for one in charged[half:])
    assert charged[0][1] > 0


async def test_what_has_expired_is_known_and_not_kept_again(store: Store) -> None:
    made = [attempt(number, started_at_us=MIDNIGHT_US + number) for number in range(5)]
    young = attempt(9, started_at_us=MIDNIGHT_US + 2 * DAY_US)
    await store.append([*made, young])
    before = await store.daily_totals()
    assert await expire(store, MIDNIGHT_US + DAY_US) == 5
    assert await store.append([*made, young]) == 0
    late = attempt(7, started_at_us=MIDNIGHT_US + 7)
    assert await store.known(["att_000001", "att_000007"]) == {"att_000001"}
    assert before == await store.daily_totals() == await store.daily_totals_recomputed()
    assert await store.append([made[0], late]) == 1  # it was never here, however old it is
    assert await store.attempts_after("", 10) == [late, young]
    assert await store.daily_totals() == await store.daily_totals_recomputed()
    await store.append([attempt(10, started_at_us=MIDNIGHT_US + 2 * DAY_US)])
    assert await expire(store, MIDNIGHT_US + DAY_US) == 1
    assert (await store.retention.retained()).expired == 6


async def test_a_call_goes_as_a_whole(store: Store) -> None:
    await store.append(
        [
            attempt(1, call=1, started_at_us=MIDNIGHT_US - 9),
            attempt(2, call=1, ordinal=2, started_at_us=MIDNIGHT_US + 9),
            attempt(3, call=3, started_at_us=MIDNIGHT_US - 8),
            attempt(4, call=3, ordinal=2, started_at_us=MIDNIGHT_US - 7),
            attempt(5, started_at_us=MIDNIGHT_US + DAY_US),
        ]
    )
    assert await expire(store, MIDNIGHT_US, limit=2) == 2
    assert [one.opening.attempt_id[-1] for one in await store.attempts_after("", 9)] == ["1", "2", "5"]
    (total,) = await store.spending(())
    assert (total.calls, total.attempts) == (3, 5)
    assert await expire(store, MIDNIGHT_US + DAY_US) == 2


async def test_it_tells_what_is_gone_and_what_would_be(store: Store) -> None:
    assert await store.retention.retained() == Retained()
    await store.append([attempt(number, started_at_us=MIDNIGHT_US + number) for number in range(5)])
    assert await store.retention.waiting(MIDNIGHT_US) == Waiting(0, None)
    assert await expire(store, MIDNIGHT_US) == 0
    assert await store.retention.retained() == Retained()
    assert await store.retention.waiting(MIDNIGHT_US + 3) == Waiting(3, MIDNIGHT_US)
    assert await expire(store, MIDNIGHT_US + 3, limit=1) == 3
    kept = await store.retention.retained()
    assert kept == Retained(kept_from_us=MIDNIGHT_US + 3, expired=3, expired_at_us=NOW_US)
    assert await expire(store, MIDNIGHT_US) == 0
    assert await store.retention.retained() == kept


async def test_one_process_at_a_time_deletes(store: Store) -> None:
    lead = store.retention.lead
    assert await lead("a", now_us=NOW_US, until_us=NOW_US + 10)
    assert await lead("a", now_us=NOW_US + 5, until_us=NOW_US + 15)
    assert not await lead("b", now_us=NOW_US + 14, until_us=NOW_US + 24)
    assert await lead("b", now_us=NOW_US + 15, until_us=NOW_US + 25)
