"""What is answered from the roll-up is what the attempts add up to, however far it has come."""

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import get_args

import pytest

from farthing.storage.memory import MemoryStore
from farthing.storage.postgres import PostgresStore
from farthing.storage.rows import ROLLED
from farthing.storage.sqlite import SqliteStore
from farthing.storage.sqlite.costs import costs_statement
from farthing.storage.sqlite.database import shipped_migrations
from farthing.storage.sqlite.rollups import rolled
from farthing.types.calls import Attempt
from farthing.types.ledger import CostsBy, CostsFilter
from farthing.types.spending import SpendingBy, SpendingScope
from farthing.types.usage import Usage
from tests.contracts.ledger_samples import NOON_US, InPlace, attempt
from tests.postgres_server import new_schema

HOUR_US = 3_600_000_000
HOURS = NOON_US // HOUR_US
MOST = (1 << 63) - 1
SMALLER = next(one.number for one in shipped_migrations() if one.name.endswith("smaller_rollups.sql"))
BY: tuple[CostsBy | None, ...] = (None, *get_args(CostsBy))
ONLY = [
    CostsFilter(),
    CostsFilter(team="core"),
    CostsFilter(key="key_2"),
    CostsFilter(tag="x"),
    CostsFilter(provider="ollama", project="site"),
    CostsFilter(model="b"),
    CostsFilter(model="openai:b"),
    CostsFilter(model="b", provider="ollama"),
    CostsFilter(session="s"),
]

GROUPS: list[tuple[SpendingBy, ...]] = [
    (),
    ("day",),
    ("provider", "model"),
    ("model",),
    ("project", "model"),
    ("project", "provider"),
    ("task", "branch"),
    ("day", "model_served"),
    ("session",),
    ("provider", "model", "model_served", "price_id", "service_tier"),
    ("day", "provider", "model", "operation", "key", "organisation", "team", "project", "user", "task", "branch"),
]
SCOPES = [
    (),
    (SpendingScope("team", None),),
    (SpendingScope("provider", "openai"),),
    (SpendingScope("task", "t"),),
    (SpendingScope("model", "b"),),
]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(tmp_path / "farthing.db", InPlace())
    await store.open()
    yield store
    await store.close()


def calls(seed: int, count: int = 120) -> list[Attempt]:
    """Calls with up to three attempts each, over a day and a half, in the order in which they ended."""
    rng = random.Random(seed)
    made: list[Attempt] = []
    for call in range(count):
        began_us = (HOURS + rng.randrange(36)) * HOUR_US + rng.choice([0, 1, rng.randrange(HOUR_US), HOUR_US - 1])
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
            made.append(
                attempt(
                    len(made),
                    call=call,
                    ordinal=ordinal,
                    started_at_us=began_us + (ordinal - 1) * rng.choice([1, HOUR_US // 2]),
                    provider=rng.choice(["openai", "ollama"]),
                    model=rng.choice(["a", "b", "openai:b"]),
                    cost_nanousd=rng.choice([None, 0, 17, 1_000_003]),
                    reported_cost_nanousd=rng.choice([None, 0, 20]),
                    outcome=rng.choice(["ok", "ok", "provider_error", "unreachable"]),
                    model_served=rng.choice([None, "a-2026"]),
                    price_id=rng.choice([None, "p"]),
                    service_tier=rng.choice([None, "flex"]),
                    usage=rng.choice([Usage(), Usage(input_tokens=100, output_tokens=7, cache_read_input_tokens=3)]),
                    **who,  # type: ignore[arg-type]  # attributions by name
                )
            )
    if seed % 2:
        rng.shuffle(made)
    return made


@pytest.mark.parametrize("seed", range(4))
async def test_an_answer_is_the_same_however_far_the_roll_up_has_come(seed: int, store: SqliteStore) -> None:
    memory, rng = MemoryStore(), random.Random(seed)
    made = calls(seed)
    for start in range(0, len(made), 50):
        page = made[start : start + 50]
        await store.append(page)
        await memory.append(page)
        await store.roll_up(rng.choice([7, 40, 60]))
    for since, until in [(None, None), (3, None), (None, 30), (5, 20), (11, 12), (11, 11), (0, 24)]:
        for shift in (0, 1_234_567_890):
            since_us = None if since is None else (HOURS + since) * HOUR_US + shift
            until_us = None if until is None else (HOURS + until) * HOUR_US + shift // 2
            for by in BY:
                only = rng.choice(ONLY)
                told = (by, since_us, until_us, only)
                assert await store.costs(*told) == await memory.costs(*told), told
            for groups in GROUPS:
                scope = rng.choice(SCOPES)
                sums = [
                    await one.spending(groups, since_us=since_us, until_us=until_us, scope=scope)
                    for one in (store, memory)
                ]
                assert sums[0] == sums[1], (groups, since_us, until_us, scope)
    assert await store.damage() == []


@pytest.mark.parametrize("seed", [0, 2])
async def test_postgres_answers_the_same_from_its_sums(seed: int) -> None:
    memory, server, rng = MemoryStore(), PostgresStore(new_schema()), random.Random(seed)
    await server.open()
    made = calls(seed)  # in the order in which they were tried
    for start in range(0, len(made), 50):
        await memory.append(made[start : start + 50])
        await server.append(made[start : start + 50])
    for again in range(2):
        for since, until in [(None, None), (3, None), (5, 20), (0, 24)]:
            for shift in (0, 1_234_567_890):
                since_us = None if since is None else (HOURS + since) * HOUR_US + shift
                until_us = None if until is None else (HOURS + until) * HOUR_US + shift // 2
                for by in BY:
                    told = (by, since_us, until_us, rng.choice(ONLY))
                    assert await server.costs(*told) == await memory.costs(*told), told
                for groups in GROUPS:
                    scope = rng.choice(SCOPES)
                    sums = [
                        await one.spending(groups, since_us=since_us, until_us=until_us, scope=scope)
                        for one in (server, memory)
                    ]
                    assert sums[0] == sums[1], (groups, since_us, until_us, scope)
        assert await server.damage() == []
        if not again:
            await server.rebuild_totals()
    await server.close()


async def test_most_questions_are_answered_from_the_roll_up(store: SqliteStore) -> None:
    await store.append(calls(1))
    while await store.roll_up(50):
        pass
    assert store.connections.writer is not None
    store.connections.writer.execute("UPDATE rollups_of_models SET cost_nanousd = cost_nanousd + 1")
    (apart,) = await store.costs(None)
    exact = sum(a.cost_nanousd or 0 for a in await store.attempts_after("", 1_000))
    assert apart.cost_nanousd > exact
    for by in BY:
        assert "FROM rollups" in costs_statement(by, None, None, CostsFilter())[0]
    assert "FROM rollups " in costs_statement("model", None, None, CostsFilter(project="site"))[0]
    assert "FROM rollups" not in costs_statement("session", None, None, CostsFilter(project="site"))[0]
    assert rolled(("day", "provider", "model"), HOURS * HOUR_US, (HOURS + 1) * HOUR_US) is not None


async def test_a_roll_up_that_was_spoiled_is_told_and_made_again(store: SqliteStore) -> None:
    await store.append(calls(1))
    await store.roll_up(1_000)
    assert store.connections.writer is not None
    store.connections.writer.execute("UPDATE rollups SET attempts = 5 WHERE hour = (SELECT min(hour) FROM rollups)")
    assert "roll-up of day" in (await store.damage())[0]
    await store.rebuild_totals()
    for sums in ROLLED[:-1]:
        while await store.roll_up(30):
            pass
        store.connections.writer.execute(f"UPDATE {sums.table} SET cost_nanousd = 5")
        assert "roll-up of day" in (await store.damage())[0]
        await store.rebuild_totals()
    assert await store.damage() == []
    while await store.roll_up(30):
        pass
    assert await store.damage() == []


async def test_a_sum_that_does_not_fit_stops_at_the_largest_and_stops_nothing_else(store: SqliteStore) -> None:
    await store.append([attempt(1, cost_nanousd=MOST, started_at_us=HOURS * HOUR_US)])
    await store.append([attempt(2, cost_nanousd=MOST, started_at_us=HOURS * HOUR_US), attempt(3)])
    assert await store.roll_up(10) == 3
    assert await store.roll_up(10) == 0


async def test_sums_of_what_expired_are_kept_when_the_smaller_sums_come(tmp_path: Path) -> None:
    migrations, path, memory = shipped_migrations(), tmp_path / "farthing.db", MemoryStore()
    made = calls(3)
    await memory.append(made)
    new = SqliteStore(path, InPlace())
    await new.open()
    await new.append(made)
    while await new.roll_up(50):
        pass
    assert await new.retention.expire((HOURS + 24) * HOUR_US, 40, 0)
    assert new.connections.writer is not None
    for sums in ROLLED[:-1]:
        new.connections.writer.execute(f"DROP TABLE {sums.table}; DROP TABLE {sums.table}_groups")
    new.connections.writer.execute("ALTER TABLE rollups_groups RENAME TO rollup_groups")
    new.connections.writer.pragma("user_version", SMALLER - 1)
    await new.close()
    again = SqliteStore(path, InPlace(), migrations=migrations[:SMALLER])
    await again.open()
    for _ in range(2):
        assert await again.damage() == []
        for by in BY:
            assert await again.costs(by) == await memory.costs(by), by
        while await again.roll_up(50):
            pass
    await again.close()
