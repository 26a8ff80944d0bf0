"""What every store does with limits and their windows."""

import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from farthing.storage.limit_protocols import LimitStore, WindowStore
from farthing.storage.memory import MemoryStore
from farthing.storage.offload import ThreadOffload
from farthing.storage.postgres import PostgresStore
from farthing.storage.postgres.limits import PostgresWindows
from farthing.storage.sqlite import SqliteStore
from farthing.types.budgets import Scope
from farthing.types.limits import Exchanged, Limit, LimitTarget, Rate, WindowAnswer, WindowAsk
from farthing.types.windows import leaves_us, sub_window_us
from tests.postgres_server import new_schema
from tests.redis_server import RedisServer, redis_windows, running_redis

MINUTE_US = 60_000_000
SECOND_US = 1_000_000
NOW_US = 1_790_000_000 * SECOND_US
LEASE_US = 10 * SECOND_US
SECOND = NOW_US // SECOND_US
"""The sub-window of now."""


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    offload = ThreadOffload()
    store = SqliteStore(tmp_path / "farthing.db", offload)
    await store.open()
    yield store
    await store.close()
    await offload.close()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


@asynccontextmanager
async def running_postgres() -> AsyncIterator[PostgresStore]:
    store = PostgresStore(new_schema())
    await store.open()
    yield store
    await store.close()


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def rules(request: pytest.FixtureRequest, sqlite: SqliteStore) -> AsyncIterator[LimitStore]:
    if request.param == "postgres":
        async with running_postgres() as store:
            yield store.limits
        return
    yield MemoryStore().limits if request.param == "memory" else sqlite.limits


class Windows:
    """A store, and a clock of our own for it."""

    def __init__(self, store: WindowStore) -> None:
        self.store = store
        self.now_us = NOW_US

    async def exchange(self, holder: str, *asks: WindowAsk) -> Exchanged:
        return await self.store.exchange(holder, asks, now_us=self.now_us, lease_us=LEASE_US)

    async def one(self, holder: str, ask: WindowAsk) -> WindowAnswer:
        (answer,) = (await self.exchange(holder, ask)).answers
        return answer


@pytest.fixture(params=["memory", "sqlite", "postgres", "redis"])
async def windows(
    request: pytest.FixtureRequest, sqlite: SqliteStore, redis_server: RedisServer
) -> AsyncIterator[Windows]:
    if request.param == "redis":
        async with redis_windows(redis_server, clock_for_tests=True) as store:
            yield Windows(store)
        return
    if request.param == "postgres":
        async with running_postgres() as postgres:
            yield Windows(PostgresWindows(postgres.connections, trusts_callers_clock=True))
        return
    yield Windows(MemoryStore().windows if request.param == "memory" else sqlite.windows)


def ask(need: int = 0, **changes: Any) -> WindowAsk:
    plain = WindowAsk(window="w", window_us=MINUTE_US, limit=100, need=need, want=need)
    return msgspec.structs.replace(plain, **changes)


LIMIT = Limit(id="lim_1", name="one", target=LimitTarget(scope=Scope(team="a")), rates=(Rate("requests", 60, 5),))


async def test_limits_are_kept_and_followed(rules: LimitStore) -> None:
    assert (await rules.changes(0)).put == ()
    assert await rules.put(LIMIT)
    assert not await rules.put(msgspec.structs.replace(LIMIT, id="lim_2"))
    assert await rules.all() == [LIMIT]
    first = await rules.changes(0)
    assert first.put == (LIMIT,)
    assert (await rules.changes(first.counter)).put == ()
    changed = msgspec.structs.replace(LIMIT, rates=(Rate("nanousd", 3_600, 7), Rate("concurrency", 0, 2)))
    assert await rules.put(changed)
    assert (await rules.changes(first.counter)).put == (changed,)
    assert await rules.remove("lim_1")
    assert not await rules.remove("lim_1")
    assert (await rules.changes(first.counter)).removed == ("lim_1",)
    assert await rules.put(msgspec.structs.replace(LIMIT, id="lim_2"))


async def test_no_more_is_leased_than_the_limit(windows: Windows) -> None:
    assert (await windows.one("a", ask(60))).held == 60
    refused = await windows.one("b", ask(41))
    assert (refused.held, refused.others) == (0, 60)
    assert (await windows.one("b", ask(40))).held == 40
    assert (await windows.one("a", ask(1, keep=60))).held == 60


async def test_what_waits_is_granted_whole_and_what_is_spare_in_shares(windows: Windows) -> None:
    assert (await windows.one("a", ask(10, want=20, spare=50, share=4))).held == 20 + 80 // 4
    assert (await windows.one("b", ask(10, want=90))).held == 60
    assert (await windows.one("c", ask(1))).held == 0


async def test_what_was_used_counts_for_a_window_and_its_sub_window(windows: Windows) -> None:
    await windows.one("a", ask(100))
    told = await windows.one("a", ask(counts=((SECOND, 70),)))
    assert (told.held, told.used) == (0, 70)
    windows.now_us = leaves_us(SECOND, MINUTE_US) - 1
    short = await windows.one("b", ask(31))
    assert (short.held, short.used) == (0, 70)
    assert short.frees == ((leaves_us(SECOND, MINUTE_US), 70),)
    windows.now_us += 1
    assert (await windows.one("b", ask(100))).held == 100


async def test_telling_twice_changes_nothing_and_telling_anew_corrects(windows: Windows) -> None:
    await windows.one("a", ask(100))
    for _ in range(2):
        told = await windows.one("a", ask(counts=((SECOND, 70),), keep=30))
        assert (told.held, told.used) == (30, 70)
    told = await windows.one("a", ask(counts=((SECOND, 20),), keep=30))
    assert (told.held, told.used) == (30, 20)
    assert (await windows.one("b", ask(50))).held == 50


async def test_a_lease_that_ended_counts_as_used_at_its_end(windows: Windows) -> None:
    await windows.one("a", ask(80))
    windows.now_us += LEASE_US
    short = await windows.one("b", ask(30))
    assert (short.held, short.used, short.others, short.holders) == (0, 80, 0, 1)
    end = leaves_us((NOW_US + LEASE_US) // SECOND_US, MINUTE_US)
    assert short.frees == ((end, 80),)
    windows.now_us = end
    assert (await windows.one("b", ask(100))).held == 100


async def test_what_was_under_way_in_a_process_that_died_counts_no_more(windows: Windows) -> None:
    await windows.one("a", ask(3, window_us=0, limit=3))
    busy = await windows.one("a", ask(window_us=0, limit=3, counts=((0, 2),), keep=1))
    assert (busy.held, busy.used) == (1, 2)
    assert (await windows.one("b", ask(1, window_us=0, limit=3))).held == 0
    windows.now_us += LEASE_US
    freed = await windows.one("b", ask(3, window_us=0, limit=3))
    assert (freed.held, freed.used) == (3, 0)


async def test_what_is_under_way_is_told_anew_to_live_on(windows: Windows) -> None:
    for _ in range(3):
        await windows.one("a", ask(window_us=0, limit=3, counts=((0, 2),)))
        windows.now_us += LEASE_US - 1
    assert (await windows.one("b", ask(2, window_us=0, limit=3))).held == 0


async def test_who_was_refused_is_heard_of_by_others(windows: Windows) -> None:
    await windows.one("a", ask(100))
    assert not (await windows.one("a", ask(keep=100))).wanted
    await windows.one("b", ask(5))
    assert (await windows.one("a", ask(keep=100))).wanted
    assert await windows.store.wanted(windows.now_us) == ["w"]
    windows.now_us += 3 * SECOND_US
    assert not (await windows.one("a", ask(keep=100))).wanted
    assert await windows.store.wanted(windows.now_us - SECOND_US) == []


async def test_a_clock_that_was_set_back_makes_nothing_count_longer_than_a_window(windows: Windows) -> None:
    await windows.one("a", ask(100))
    await windows.one("a", ask(counts=((SECOND, 100),)))
    windows.now_us -= 3_600 * SECOND_US
    assert (await windows.one("b", ask(1))).held == 0
    windows.now_us += MINUTE_US + SECOND_US
    assert (await windows.one("b", ask(100))).held == 100


async def test_windows_are_apart(windows: Windows) -> None:
    answers = (await windows.exchange("a", ask(100), ask(100, window="x"), ask(1, window="w"))).answers
    assert [answer.held for answer in answers] == [100, 100, 1]
    assert (await windows.one("b", ask(99))).held == 99


@pytest.mark.parametrize("seed", range(3))
async def test_a_random_history_never_holds_more_than_the_limit_and_is_the_same_everywhere(
    windows: Windows, seed: int
) -> None:
    model, draw = Windows(MemoryStore().windows), random.Random(seed)
    sub_us = sub_window_us(MINUTE_US)
    rings: dict[str, dict[int, int]] = {name: {} for name in "abc"}
    leases, until_us = dict.fromkeys("abc", 0), dict.fromkeys("abc", 0)
    for _ in range(120):
        windows.now_us += draw.choice([0, 100_000, 900_000, 4 * SECOND_US])
        model.now_us = windows.now_us
        holder = draw.choice("abc")
        if windows.now_us >= until_us[holder]:
            leases[holder] = 0
        use = draw.randint(0, leases[holder])
        now = windows.now_us // sub_us
        rings[holder][now] = rings[holder].get(now, 0) + use
        keep = draw.randint(0, leases[holder] - use)
        made = ask(
            draw.choice([0, 5, 30]),
            counts=((now, rings[holder][now]),),
            keep=keep,
            spare=draw.choice([0, 10, 100]),
            share=draw.choice([1, 4]),
        )
        answer, expected = await windows.one(holder, made), await model.one(holder, made)
        assert answer == expected
        leases[holder], until_us[holder] = answer.held, windows.now_us + LEASE_US
        assert answer.used + answer.others + answer.held <= 100


async def test_what_is_used_of_a_rules_windows_is_told_with_the_fullest_first(windows: Windows) -> None:
    await windows.exchange("a", *(ask(50, window=name) for name in ("r/x|one", "r/x|two", "r/x|none", "r/xx|other")))
    await windows.one("a", ask(2, window="r/c|", window_us=0, limit=3))
    told = (
        ask(window="r/x|one", counts=((SECOND, 7), (SECOND - 1, 3)), keep=5),
        ask(window="r/x|two", counts=((SECOND, 40),)),
        ask(window="r/x|none"),
        ask(window="r/xx|other", counts=((SECOND, 1),)),
        ask(window="r/c|", window_us=0, limit=3, counts=((0, 1),), keep=1),
    )
    await windows.exchange("a", *told)
    await windows.one("b", ask(window="r/x|one", counts=((SECOND - 2, 2),)))

    async def uses(*rules: str, at_most: int = 9) -> list[tuple[str, int, int, int | None]]:
        found = await windows.store.uses(rules, at_most=at_most, now_us=windows.now_us)
        return [(one.window, one.used, one.held, one.ends_us) for one in found]

    end = leaves_us(SECOND, MINUTE_US)
    one, two = ("r/x|one", 12, 5, end), ("r/x|two", 40, 0, end)
    assert await uses("r/x") == [two, one]
    assert await uses("r/x", at_most=1) == [two]
    assert await uses("r/c", "r", "r/x") == [("r/c|", 1, 1, None), two, one]
    windows.now_us = leaves_us(SECOND - 1, MINUTE_US)
    assert await uses("r/x", "r/c") == [two, ("r/x|one", 7, 0, end)], "leases have ended, and what was under way"
    windows.now_us = end
    assert await uses("r/x", "r/xx") == []


async def test_limits_are_read_in_pages_and_one_is_found_by_its_id_or_name(rules: LimitStore) -> None:
    for name in ("c", "a", "b"):
        assert await rules.put(msgspec.structs.replace(LIMIT, id=f"lim_{name}", name=name))
    assert [one.name for one in await rules.page("", 2)] == ["a", "b"]
    assert [one.name for one in await rules.page("b", 2)] == ["c"]
    for asked in ("c", "lim_c"):
        found = await rules.found(asked)
        assert found is not None
        assert found.name == "c"
    assert await rules.found("d") is None
