import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from farthing.errors import InvalidRequest, JournalUnwritable, StoreError
from farthing.ledger import Ledger
from farthing.ledger.journal_reader import segments
from farthing.ledger.ledger import FLUSH_ROWS, MAX_COST_NANOUSD
from farthing.ledger.recovery import wait_for_store
from farthing.storage.memory import MemoryStore
from farthing.types.calls import Attempt, Progress
from farthing.types.usage import Usage
from tests.contracts.ledger_samples import NOON_US, InPlace, SetClock, attempt, opening, until
from tests.unit.ledger.test_journal import FaultyFiles


class Switchable(MemoryStore):
    """A store that can be taken away, or made to wait at its gate; counts its commits."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.commits: list[int] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = 0

    async def append(self, attempts: Sequence[Attempt]) -> int:
        if self.away:
            raise StoreError("the store is away")
        self.commits.append(len(attempts))
        self.waiting += 1
        await self.gate.wait()
        self.waiting -= 1
        return await super().append(attempts)


class Bench:
    def __init__(self, folder: Path) -> None:
        self.store = Switchable()
        self.disk = FaultyFiles()
        self.folder = folder
        self.ledgers: list[Ledger] = []

    async def start(self, **options: int) -> Ledger:
        ledger = Ledger(self.store, self.folder, SetClock(), InPlace(), files=self.disk, **options)  # type: ignore[arg-type]  # ints only here
        self.ledgers.append(ledger)
        await ledger.start()
        return ledger


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    monkeypatch.setattr("farthing.ledger.ledger.FIRST_BACKOFF_S", 0.001)
    monkeypatch.setattr("farthing.ledger.ledger.LAST_BACKOFF_S", 0.001)
    monkeypatch.setattr("farthing.ledger.ledger.PROBE_S", 0.001)
    bench = Bench(tmp_path)
    yield bench
    for ledger in bench.ledgers:
        await ledger.close()


async def test_a_settled_attempt_reaches_the_store_soon(bench: Bench) -> None:
    ledger = await bench.start()
    ledger.begin(opening(1))
    assert (ledger.in_flight, ledger.queued) == (1, 0)
    ledger.settle(attempt(1))
    assert (ledger.in_flight, ledger.queued) == (0, 1)
    assert await wait_for_store(bench.store, bench.folder, InPlace()) == 0
    assert await bench.store.attempts_after("", 9) == [attempt(1)]


async def test_attempts_go_to_the_store_many_at_a_time(bench: Bench) -> None:
    ledger = await bench.start()
    for number in range(FLUSH_ROWS + 50):
        ledger.begin(opening(number))
        ledger.settle(attempt(number))
    await until(lambda: ledger.queued == 0)
    assert len([commit for commit in bench.store.commits if commit]) <= 2


async def test_close_posts_what_is_queued_and_leaves_no_file(bench: Bench) -> None:
    ledger = await bench.start(max_segment_bytes=2_000)
    for number in range(50):
        ledger.begin(opening(number))
        ledger.settle(attempt(number))
    await ledger.close()
    assert len(await bench.store.known([f"att_{n:06d}" for n in range(50)])) == 50
    assert segments(bench.folder) == []


async def test_segments_go_when_all_in_them_is_posted(bench: Bench) -> None:
    ledger = await bench.start(max_segment_bytes=2_000)
    ledger.begin(opening(1000))  # in flight all the while: holds the first segment
    for number in range(50):
        ledger.begin(opening(number))
        ledger.settle(attempt(number))
    assert len(segments(bench.folder)) > 10
    await until(lambda: len(segments(bench.folder)) == 2)
    assert segments(bench.folder)[0].name.endswith("-000001.journal")
    ledger.settle(attempt(1000))
    await until(lambda: len(segments(bench.folder)) == 1)


async def test_the_last_checkpoint_of_an_attempt_in_flight_is_kept(bench: Bench) -> None:
    ledger = await bench.start(max_segment_bytes=1)
    ledger.begin(opening(1))
    for second in range(1, 6):
        usage = Usage(input_tokens=10, output_tokens=second * 10)
        ledger.checkpoint(Progress("att_000001", NOON_US + 1 + second * 1_000_000, usage, second, "p"))
    ledger.begin(opening(2))
    ledger.settle(attempt(2))
    await until(lambda: ledger.queued == 0 and len(segments(bench.folder)) == 3)
    bench.disk.room_bytes = 0  # the process is as good as dead: another takes over
    await bench.start()
    (crashed,) = await bench.store.attempts_of(["att_000001"])
    assert crashed.outcome == "crashed"
    assert crashed.usage.output_tokens == 60
    bench.disk.room_bytes = 1 << 30
    ledger._in_flight.clear()


async def test_segments_of_old_checkpoints_go_too(bench: Bench) -> None:
    ledger = await bench.start(max_segment_bytes=1)
    ledger.begin(opening(1))
    for second in range(1, 4):
        ledger.checkpoint(Progress("att_000001", NOON_US + second, Usage(), None, None))
    ledger.settle(attempt(1))
    assert len(segments(bench.folder)) == 5  # one for each record
    await until(lambda: len(segments(bench.folder)) == 1)


async def test_what_is_settled_during_a_commit_goes_with_the_next(bench: Bench) -> None:
    ledger = await bench.start()
    ledger.begin(opening(1))
    ledger.begin(opening(2))
    ledger.settle(attempt(1))
    bench.store.gate.clear()
    await until(lambda: bench.store.waiting)
    ledger.settle(attempt(2))
    bench.store.gate.set()
    await until(lambda: ledger.queued == 0)
    assert await bench.store.attempts_after("", 9) == [attempt(1), attempt(2)]


async def test_close_during_a_commit_loses_nothing(bench: Bench) -> None:
    ledger = await bench.start()
    ledger.begin(opening(1))
    ledger.settle(attempt(1))
    bench.store.gate.clear()
    await until(lambda: bench.store.waiting)
    closing = asyncio.create_task(ledger.close())
    await asyncio.sleep(0)
    bench.store.gate.set()
    await closing
    assert await bench.store.attempts_after("", 9) == [attempt(1)]
    assert segments(bench.folder) == []


async def test_a_store_that_is_away_loses_nothing_and_takes_no_memory(bench: Bench) -> None:
    ledger = await bench.start(max_queued=20, max_segment_bytes=3_000)
    bench.store.away = True
    for number in range(100):
        ledger.begin(opening(number))
        ledger.settle(attempt(number))
    assert ledger.queued == 20
    assert ledger.spilled
    await until(lambda: not ledger.store_ok)
    assert ledger.store_error == "StoreError: the store is away"
    bench.store.away = False
    await until(lambda: ledger.store_ok and not ledger.queued and not ledger.spilled)
    assert await bench.store.attempts_after("", 1000) == [attempt(number) for number in range(100)]
    await ledger.close()
    assert segments(bench.folder) == []


async def test_a_store_that_stays_away_finds_the_attempts_at_the_next_start(bench: Bench) -> None:
    ledger = await bench.start(max_queued=3)
    bench.store.away = True
    for number in range(10):
        ledger.begin(opening(number))
        ledger.settle(attempt(number))
    await ledger.close()
    assert not ledger.store_ok
    bench.store.away = False
    await bench.start()
    assert await bench.store.attempts_after("", 1000) == [attempt(number) for number in range(10)]


async def test_a_store_error_at_the_start_rises(bench: Bench) -> None:
    (await bench.start()).begin(opening(1))
    bench.store.away = True
    with pytest.raises(StoreError):
        await Ledger(bench.store, bench.folder, SetClock(), InPlace()).start()
    assert len(segments(bench.folder)) == 1


async def test_nothing_begins_while_the_journal_cannot_be_written(bench: Bench) -> None:
    ledger = await bench.start()
    bench.disk.room_bytes = 0
    with pytest.raises(JournalUnwritable):
        ledger.begin(opening(1))
    assert not ledger.journal_writable
    assert ledger.in_flight == 0
    bench.disk.room_bytes = 1 << 30
    await until(lambda: ledger.journal_writable)  # nobody called: the ledger probes by itself
    ledger.begin(opening(1))
    ledger.settle(attempt(1))


async def test_an_end_that_cannot_be_journaled_still_reaches_the_store(bench: Bench) -> None:
    ledger = await bench.start(max_queued=1)
    for number in (1, 2):
        ledger.begin(opening(number))
    bench.disk.room_bytes = 0
    with pytest.raises(JournalUnwritable):
        ledger.checkpoint(Progress("att_000001", NOON_US, Usage(), None, None))
    for number in (1, 2):  # beyond the queue's bound, which gives way
        with pytest.raises(JournalUnwritable):
            ledger.settle(attempt(number))
    assert ledger.in_flight == 0
    await until(lambda: ledger.queued == 0)
    assert await bench.store.attempts_after("", 9) == [attempt(1), attempt(2)]
    bench.disk.room_bytes = 1 << 30


async def test_an_attempt_is_begun_once_and_settled_once(bench: Bench) -> None:
    ledger = await bench.start()
    with pytest.raises(AssertionError, match="not begun"):
        ledger.settle(attempt(1))
    with pytest.raises(AssertionError, match="not in flight"):
        ledger.checkpoint(Progress("att_000001", NOON_US, Usage(), None, None))
    ledger.begin(opening(1))
    with pytest.raises(AssertionError, match="begun already"):
        ledger.begin(opening(1))
    with pytest.raises(AssertionError, match="another opening"):
        ledger.settle(attempt(1, model="other"))
    ledger.settle(attempt(1))
    with pytest.raises(AssertionError, match="settled already"):
        ledger.settle(attempt(1))


@pytest.mark.parametrize(
    "wrong",
    [
        attempt(1, cost_nanousd=None),
        attempt(1, cost_basis="unknown"),
        attempt(1, cost_nanousd=-1),
        attempt(1, reported_cost_nanousd=-1),
        attempt(1, usage=Usage(input_tokens=-1)),
        attempt(1, usage=Usage(output_tokens=1 << 51)),
    ],
)
async def test_money_that_cannot_be_is_not_written(bench: Bench, wrong: Attempt) -> None:
    ledger = await bench.start()
    ledger.begin(opening(1))
    with pytest.raises(AssertionError):
        ledger.settle(wrong)
    assert (ledger.in_flight, ledger.queued) == (1, 0)
    ledger.settle(attempt(1))


async def test_a_cost_that_nobody_can_owe_is_unknown(bench: Bench) -> None:
    ledger = await bench.start()
    ledger.begin(opening(1))
    ledger.checkpoint(Progress("att_000001", NOON_US, Usage(), 1 << 70, "p"))
    ledger.settle(attempt(1, cost_nanousd=MAX_COST_NANOUSD + 1, reported_cost_nanousd=1 << 70))
    await ledger.close()
    (kept,) = await bench.store.attempts_after("", 9)
    assert (kept.cost_nanousd, kept.cost_basis, kept.reported_cost_nanousd) == (None, "unknown", None)


async def test_text_that_is_no_unicode_is_refused_before_and_mended_after(bench: Bench) -> None:
    ledger = await bench.start()
    with pytest.raises(InvalidRequest, match="no Unicode"):
        ledger.begin(opening(1, session="\ud800"))
    ledger.begin(opening(1))
    ledger.settle(attempt(1, error_message="bad \ud800"))
    await ledger.close()
    assert (await bench.store.attempts_after("", 9))[0].error_message == "bad ?"
