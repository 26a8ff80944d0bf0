"""Whatever happens in whatever order: each attempt begun is in the store once, and as it ended if it was settled."""

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from farthing.errors import JournalUnwritable, StoreError
from farthing.ledger import Ledger
from farthing.ledger.journal_reader import segments
from farthing.ledger.verify import verify
from farthing.storage.memory import MemoryStore
from farthing.types.calls import Attempt, Progress
from farthing.types.usage import Usage
from tests.contracts.ledger_samples import NOON_US, InPlace, SetClock, attempt, opening
from tests.unit.ledger.test_journal import FaultyFiles

ATTEMPTS = 12
LATER_US = NOON_US + 60_000_000

steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["begin", "checkpoint", "settle"]), st.integers(0, ATTEMPTS - 1)),
        st.tuples(st.just("disk"), st.sampled_from([0, 1, 150, 700, 1 << 30])),
        st.tuples(st.sampled_from(["crash", "restart", "store", "flush"]), st.just(0)),
    ),
    max_size=60,
)


class Unsteady(MemoryStore):
    """A store that is sometimes away."""

    away = False

    async def append(self, attempts: Sequence[Attempt], holder: str = "") -> int:
        if self.away:
            raise StoreError("away")
        return await super().append(attempts, holder)


class World:
    """A ledger, its disk and its store; what was begun and what was settled, by the ledger's own word."""

    def __init__(self, folder: Path, queue: int, segment_bytes: int) -> None:
        self.folder, self.queue, self.segment_bytes = folder, queue, segment_bytes
        self.store = Unsteady()
        self.begun: set[int] = set()
        self.open: set[int] = set()
        self.settled: set[int] = set()  # journaled: must survive anything
        self.unsure: set[int] = set()  # settled while the journal could not be written: a crash may estimate it
        self.ledger: Ledger | None = None
        self.disk = FaultyFiles()

    async def start(self) -> Ledger:
        away, self.store.away = self.store.away, False
        self.disk = FaultyFiles()
        clock, files = SetClock(), self.disk
        self.ledger = Ledger(
            self.store,
            self.folder,
            clock,
            InPlace(),
            max_queued=self.queue,
            max_segment_bytes=self.segment_bytes,
            files=files,
        )
        await self.ledger.start()
        self.store.away = away
        return self.ledger

    async def crash(self) -> None:
        """Stop the ledger where it stands: nothing is flushed, its files stay."""
        assert self.ledger is not None
        for task in (self.ledger._writer, self.ledger._watcher):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
        if self.ledger._prober is not None:
            self.ledger._prober.cancel()
        self.ledger._journal.close()
        self.open.clear()
        await self.start()

    async def take(self, step: str, number: int) -> None:
        assert self.ledger is not None
        try:
            if step == "begin" and number not in self.begun:
                self.ledger.begin(opening(number))
                self.begun.add(number)
                self.open.add(number)
            elif step == "checkpoint" and number in self.open:
                usage = Usage(input_tokens=9, output_tokens=5)
                self.ledger.checkpoint(Progress(f"att_{number:06d}", NOON_US + 2_000_000, usage, 7, "p"))
            elif step == "settle" and number in self.open:
                self.open.remove(number)
                self.unsure.add(number)
                self.ledger.settle(attempt(number))
                self.unsure.remove(number)
                self.settled.add(number)
        except JournalUnwritable:
            pass  # as the ledger promises: not begun, or not sure to survive
        match step:
            case "disk":
                self.disk.room_bytes = number
            case "store":
                self.store.away = not self.store.away
            case "flush":
                await self.ledger._post()
            case "crash":
                await self.crash()
            case "restart":
                await self.ledger.close()
                self.open.clear()
                await self.start()
            case _:
                pass


@settings(deadline=None, max_examples=150)
@given(steps, st.sampled_from([1, 3, 100]), st.sampled_from([1, 900, 5_000, 1 << 20]))
def test_each_attempt_begun_is_in_the_store_once(taken: list[tuple[str, int]], queue: int, segment_bytes: int) -> None:
    async def live() -> None:
        with tempfile.TemporaryDirectory() as folder:
            world = World(Path(folder), queue, segment_bytes)
            await world.start()
            for step, number in taken:
                await world.take(step, number)
            world.store.away = False
            await world.crash()
            assert world.ledger is not None
            await world.ledger.close()
            kept = {int(one.opening.attempt_id[4:]): one for one in await world.store.attempts_after("", 1_000)}
            assert set(kept) == world.begun
            for number, one in kept.items():
                if number in world.settled:
                    assert one == attempt(number)
                elif number in world.unsure:
                    assert one.outcome in ("ok", "crashed")
                else:
                    assert one.outcome == "crashed"
            assert await verify(world.store, Path(folder), InPlace(), now_us=LATER_US) == []
            assert segments(Path(folder)) == []

    asyncio.run(live())
