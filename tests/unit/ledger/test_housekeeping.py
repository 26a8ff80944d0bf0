import asyncio
from pathlib import Path

from farthing.errors import StoreError
from farthing.ledger.housekeeping import keep_house
from farthing.storage.memory import MemoryStore
from farthing.storage.sqlite import SqliteStore
from tests.contracts.ledger_samples import InPlace, attempt, until


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
    house = asyncio.create_task(keep_house(store, portion_rows=10, pause_s=0, look_s=0.001))
    async with asyncio.timeout(5):
        await store.done.wait()
    house.cancel()
    await asyncio.wait([house])
    assert store.asked[:4] == [10, 10, 10, 10]


async def test_a_ledger_is_rolled_up_in_the_background(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "farthing.db", InPlace())
    await store.open()
    await store.append([attempt(n) for n in range(25)])
    house = asyncio.create_task(keep_house(store, portion_rows=10, pause_s=0))
    database = store.connections.writer
    assert database is not None
    await until(lambda: database.execute("SELECT rolled_to FROM rollup_state").get == 25)
    house.cancel()
    await asyncio.wait([house])
    await store.close()
