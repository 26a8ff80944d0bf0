import asyncio
from pathlib import Path

import pytest

from farthing.errors import StoreError
from farthing.ledger.housekeeping import Housekeeping, expires_before
from farthing.ledger.verify import verify
from farthing.storage.memory import MemoryStore
from farthing.storage.sqlite import SqliteStore
from tests.contracts.ledger_samples import DAY_US, NOON_US, InPlace, SetClock, attempt, until

MIDNIGHT_US = NOON_US // DAY_US * DAY_US


class Tired(MemoryStore):
    """Rolls up nothing at first, and then less and less."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[int] = []
        self.answers: list[int | StoreError] = [StoreError("away"), 10, 10, 3]
        self.done = asyncio.Event()

    async def roll_up(self, limit: int) -> int:
        self.asked.append(limit)
        answer = self.answers.pop(0)
        if not self.answers:
            self.done.set()
            self.answers = [0]
        if isinstance(answer, StoreError):
            raise answer
        return answer


async def test_portions_follow_one_another_until_there_is_no_more_whatever_happens_in_between() -> None:
    store = Tired()
    house = Housekeeping(store, SetClock(), "a", lambda: None, portion_rows=10, pause_s=0, look_s=0.001)
    task = asyncio.create_task(house.keep())
    async with asyncio.timeout(5):
        await store.done.wait()
    task.cancel()
    await asyncio.wait([task])
    assert store.asked[:4] == [10, 10, 10, 10]


async def test_a_ledger_is_rolled_up_in_the_background(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "farthing.db", InPlace())
    await store.open()
    await store.append([attempt(n) for n in range(25)])
    house = Housekeeping(store, SetClock(), "a", lambda: None, portion_rows=10, pause_s=0)
    task = asyncio.create_task(house.keep())
    database = store.connections.writer
    assert database is not None
    await until(lambda: database.execute("SELECT rolled_to FROM rollup_state").get == 25)
    task.cancel()
    await asyncio.wait([task])
    assert (await store.retention.retained()).expired == 0
    await store.close()


async def test_lines_expire_when_they_are_older_than_the_settings_say_by_now(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "farthing.db", InPlace())
    await store.open()
    await store.append([attempt(n, started_at_us=MIDNIGHT_US + n * DAY_US // 10) for n in range(30)])
    kept_us: list[int | None] = [None]
    clock = SetClock(MIDNIGHT_US + 9 * DAY_US - 1)
    house = Housekeeping(store, clock, "a", lambda: kept_us[0], expired_rows=3, pause_s=0, look_s=0.001)
    task = asyncio.create_task(house.keep())
    database = store.connections.writer
    assert database is not None

    def lines() -> object:
        return database.execute("SELECT count(*) FROM attempts").get

    await until(lambda: database.execute("SELECT rolled_to FROM rollup_state").get == 30)
    assert lines() == 30
    kept_us[0] = 7 * DAY_US
    await until(lambda: lines() == 20)  # the first day is over 7 days ago, to its last moment
    clock.time_us += 1
    await until(lambda: lines() == 10)
    task.cancel()
    await asyncio.wait([task])
    assert await verify(store, tmp_path, InPlace(), now_us=clock.time_us, budgets=store.budgets) == []
    assert (await store.costs(None))[0].attempts == 30
    await store.close()


async def test_while_one_process_deletes_no_other_does() -> None:
    store = MemoryStore()
    await store.append([attempt(n) for n in range(5)])
    now_us = NOON_US + 30 * DAY_US
    assert await store.retention.lead("another", now_us=now_us, until_us=now_us + 1)
    clock = SetClock(now_us)
    house = Housekeeping(store, clock, "a", lambda: 7 * DAY_US, pause_s=0, look_s=0.001)
    task = asyncio.create_task(house.keep())
    for _ in range(20):
        await asyncio.sleep(0)
    assert (await store.retention.retained()).expired == 0
    clock.time_us += 1
    async with asyncio.timeout(5):
        while (await store.retention.retained()).expired < 5:  # noqa: ASYNC110 - nobody announces it
            await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.wait([task])


@pytest.mark.parametrize(("kept_us", "midnight"), [(DAY_US, -1), (DAY_US + 1, -1), (NOON_US - MIDNIGHT_US, 0)])
def test_a_day_expires_as_a_whole(kept_us: int, midnight: int) -> None:
    assert expires_before(kept_us, NOON_US) == MIDNIGHT_US + midnight * DAY_US


def test_a_clock_at_the_beginning_of_time_lets_nothing_expire() -> None:
    assert expires_before(400 * DAY_US, 5) == 0
