"""What every store tells of the past, hour by hour."""

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from farthing.storage.memory import MemoryStore
from farthing.storage.offload import ThreadOffload
from farthing.storage.postgres import PostgresStore
from farthing.storage.protocols import Store
from farthing.storage.sqlite import SqliteStore
from farthing.types.budgets import Scope
from farthing.types.history import GROUPED_BY, HOUR_US
from tests.contracts.ledger_samples import NOON_US, attempt
from tests.postgres_server import new_schema

HOUR = NOON_US // HOUR_US * HOUR_US
ANY = {"least_failed": 1, "least_percent": 1}


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncIterator[list[Store]]:
    offload = ThreadOffload()
    made: list[Store] = [MemoryStore(), SqliteStore(tmp_path / "farthing.db", offload), PostgresStore(new_schema())]
    for store in made:
        await store.open()
    yield made
    for store in made:
        await store.close()
    await offload.close()


async def test_an_hour_holds_what_began_in_it(stores: list[Store]) -> None:
    for store in stores:
        await store.append(
            [
                attempt(1, started_at_us=HOUR - 1, cost_nanousd=1),
                attempt(2, started_at_us=HOUR, cost_nanousd=20),
                attempt(3, started_at_us=HOUR + 1, cost_nanousd=None, cost_basis="unknown", held_nanousd=300),
                attempt(4, started_at_us=HOUR + HOUR_US, cost_nanousd=4_000, user="ann"),
            ]
        )
        hours = await store.history.hours(Scope(), HOUR + 5, HOUR + HOUR_US)
        assert [(one.hour_us, one.spent_nanousd, one.attempts) for one in hours] == [(HOUR, 320, 2)]
        ann = await store.history.hours(Scope(user="ann"), 0, HOUR + 2 * HOUR_US)
        assert [(one.hour_us, one.spent_nanousd) for one in ann] == [(HOUR + HOUR_US, 4_000)]


async def test_what_the_client_did_wrong_is_no_failure_of_the_provider(stores: list[Store]) -> None:
    for store in stores:
        await store.append(
            [
                attempt(1, outcome="provider_error", http_status=400),
                attempt(2, outcome="provider_error", http_status=529),
                attempt(3, outcome="provider_error", http_status=None),
                attempt(4, outcome="cancelled"),
                attempt(5, outcome="timeout"),
            ]
        )
        (told,) = await store.history.outcomes(NOON_US, **ANY)
        assert (told.provider, told.attempts, told.failed) == ("openai", 5, 3)
        assert await store.history.usual_outcomes(HOUR, HOUR + HOUR_US) == [told]
        assert await store.history.outcomes(NOON_US + 6, **ANY) == []


async def test_outcomes_are_told_of_providers_that_fail_often_enough(stores: list[Store]) -> None:
    for store in stores:
        failed = [attempt(number, provider="bad", outcome="unreachable") for number in range(3)]
        answered = [attempt(10 + number, provider="bad") for number in range(3)]
        await store.append([*failed, *answered, *(attempt(20 + number, provider="good") for number in range(3))])

        async def told(store: Store = store, **least: int) -> list[str]:
            return [one.provider for one in await store.history.outcomes(NOON_US, **{**ANY, **least})]

        assert await told() == ["bad"]
        assert (await told(least_failed=3), await told(least_failed=4)) == (["bad"], [])
        assert (await told(least_percent=50), await told(least_percent=51)) == (["bad"], [])
        await store.append([attempt(30, provider="also", outcome="timeout")])
        assert (await told(), await told(least_failed=2)) == (["also", "bad"], ["bad"])


async def test_totals_made_again_are_the_same(stores: list[Store]) -> None:
    for store in stores:
        await store.append([attempt(number, started_at_us=HOUR + number * 10**9) for number in range(20)])
        before = await store.history.hours(Scope(), 0, HOUR * 2)
        await store.rebuild_totals()
        assert await store.history.hours(Scope(), 0, HOUR * 2) == before


@pytest.mark.parametrize("seed", range(4))
async def test_all_stores_tell_the_same_past(seed: int, stores: list[Store]) -> None:
    seeded = random.Random(seed)
    number = 0
    for _ in range(12):
        batch = []
        for _ in range(seeded.randrange(1, 12)):
            number += 1
            cost = seeded.choice([None, 0, 7, 900])
            batch.append(
                attempt(
                    number,
                    started_at_us=HOUR + seeded.randrange(0, 4 * HOUR_US),
                    cost_nanousd=cost,
                    cost_basis="unknown" if cost is None else "reported",
                    held_nanousd=seeded.choice([None, 50]),
                    outcome=seeded.choice(["ok", "provider_error", "unreachable", "cancelled"]),
                    http_status=seeded.choice([200, 400, 429, 500, None]),
                    provider=seeded.choice(["openai", "ollama"]),
                    team=seeded.choice([None, "a", "b"]),
                    user=seeded.choice([None, "u1", "u2"]),
                    project=seeded.choice([None, "p"]),
                    key_id=seeded.choice(["key_1", "key_2"]),
                    session=seeded.choice([None, "s"]),
                    task=seeded.choice([None, "t"]),
                    tags=seeded.choice([None, "x, y", "y"]),
                )
            )
        for store in stores:
            await store.append(batch)
            await store.roll_up(7)  # of SQLite's a part stays as lines
    scopes = [
        Scope(),
        Scope(team="a"),
        Scope(user="u1", key_id="key_1"),
        Scope(session="s"),
        Scope(session="s", task="t"),
        Scope(session="s", key_id="key_1"),
        Scope(task="t"),
        Scope(task="t", tag="y", project="p"),
        Scope(tag="y", team="b"),
    ]
    for scope in scopes:
        told = [await store.history.hours(scope, HOUR + HOUR_US, HOUR + 3 * HOUR_US) for store in stores]
        assert told[0] == told[1] == told[2]
    for by in GROUPED_BY:
        dearest = [await store.history.dearest(by, HOUR, 9) for store in stores]
        assert dearest[0] == dearest[1] == dearest[2]
        grouped = [await store.history.hours_by(by, dearest[0], HOUR + HOUR_US) for store in stores]
        assert grouped[0] == grouped[1] == grouped[2]
    for least in (ANY, {"least_failed": 5, "least_percent": 30}):
        since = [await store.history.outcomes(HOUR + HOUR_US, **least) for store in stores]
        assert since[0] == since[1] == since[2]
