import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from farthing.errors import InvalidRequest, JournalUnwritable, StoreError
from farthing.ledger import Ledger
from farthing.ledger.bounds import MAX_COST_NANOUSD, MAX_COUNT
from farthing.ledger.journal import Journal
from farthing.ledger.journal_reader import Ended, InFlight, read, segments
from farthing.ledger.ledger import FLUSH_ROWS
from farthing.ledger.recovery import wait_for_store
from farthing.ledger.refused import post, read_refused
from farthing.ledger.verify import verify
from farthing.storage.memory import MemoryStore
from farthing.storage.protocols import RowsRefused
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
        self.there = True

    async def intact(self) -> bool:
        return self.there

    async def append(self, attempts: Sequence[Attempt], holder: str = "") -> int:
        if self.away:
            raise StoreError("the store is away")
        self.commits.append(len(attempts))
        self.waiting += 1
        await self.gate.wait()
        self.waiting -= 1
        return await super().append(attempts, holder)


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
    monkeypatch.setattr("farthing.ledger.ledger.WATCH_S", 0.001)
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


async def test_a_journal_at_its_bound_refuses_calls_until_the_store_is_back(bench: Bench) -> None:
    ledger = await bench.start(max_queued=3, max_segment_bytes=3_000, max_journal_bytes=12_000)
    bench.store.away = True
    begun = 0
    while ledger.journal_writable:
        ledger.begin(opening(begun))
        ledger.settle(attempt(begun))
        begun += 1
    with pytest.raises(JournalUnwritable, match="bound of 12,000 bytes"):
        ledger.begin(opening(400))
    assert sum(path.stat().st_size for path in segments(bench.folder)) < 12_000 + 3_000 + 2_000
    bench.store.away = False
    await until(lambda: ledger.journal_writable)
    assert await bench.store.attempts_after("", 1000) == [attempt(number) for number in range(begun)]
    ledger.begin(opening(500))
    ledger.settle(attempt(500))


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


async def test_counts_that_nobody_can_mean_are_unknown(bench: Bench) -> None:
    ledger = await bench.start()
    for number in (1, 2):
        ledger.begin(opening(number))
    huge = Usage(input_tokens=1 << 51, output_tokens=5, cache_read_input_tokens=1 << 70)
    ledger.checkpoint(Progress("att_000001", NOON_US, huge, 7, "p"))
    ledger.settle(attempt(1, usage=huge))
    ledger.settle(attempt(2, usage=Usage(input_tokens=MAX_COUNT, output_tokens=5)))
    await ledger.close()
    mended, kept = await bench.store.attempts_after("", 9)
    assert mended.usage == Usage(output_tokens=5, flags=("malformed_count",))
    assert (mended.cost_nanousd, mended.cost_basis) == (None, "unknown")
    assert (kept.usage.input_tokens, kept.cost_basis) == (MAX_COUNT, "reported")


async def test_texts_too_long_are_refused_before_and_cut_after(bench: Bench) -> None:
    ledger = await bench.start()
    with pytest.raises(InvalidRequest, match="too long"):
        ledger.begin(opening(1, session="s" * 70_000))
    ledger.begin(opening(1, session="\0" * 10_000))
    ledger.checkpoint(Progress("att_000001", NOON_US, Usage(), 1, "p", "m" * 5_000_000))
    ledger.checkpoint(Progress("att_000001", NOON_US, Usage(), 1, "p", "\ud800"))
    ledger.settle(attempt(1, session="\0" * 10_000, error_message="\0" * 5_000_000, model_served="m" * 9_000))
    await ledger.close()
    (kept,) = await bench.store.attempts_after("", 9)
    assert (kept.error_message, kept.model_served) == ("\0" * 2_000, "m" * 512)
    assert ledger.damage == []


class Picky(MemoryStore):
    """Refuses batches with an odd attempt in them, as SQLite does with what does not fit."""

    async def append(self, attempts: Sequence[Attempt], holder: str = "") -> int:
        if any(one.http_status == 999 for one in attempts):
            raise RowsRefused("the row does not fit")
        return await super().append(attempts, holder)


async def test_a_row_that_the_store_refuses_blocks_no_other_and_is_told(tmp_path: Path) -> None:
    store = Picky()
    ledger = Ledger(store, tmp_path, SetClock(), InPlace())
    await ledger.start()
    for number in range(20):
        ledger.begin(opening(number))
        ledger.settle(attempt(number, http_status=999 if number in (3, 11) else 200))
    await ledger.close()
    assert (ledger.refused, ledger.queued, ledger.store_ok) == (2, 0, True)
    assert len(await store.attempts_after("", 99)) == 18
    assert segments(tmp_path) == []
    assert [one.attempt for one in read_refused(tmp_path).values()] == [
        attempt(3, http_status=999),
        attempt(11, http_status=999),
    ]
    assert (tmp_path / "attempts.refused.jsonl").stat().st_mode & 0o777 == 0o600
    found = await verify(store, tmp_path, InPlace(), now_us=NOON_US)
    assert [(one.kind, one.subject) for one in found] == [("unposted", "att_000003"), ("unposted", "att_000011")]
    assert "set aside in attempts.refused.jsonl: the row does not fit" in found[0].message


async def test_recovery_sets_aside_what_the_store_refuses(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "boot")
    for number in range(3):
        journal.end(attempt(number, http_status=999 if number == 1 else 200), journal.begin(opening(number)))
    ledger = Ledger(Picky(), tmp_path, SetClock(), InPlace())
    recovered = await ledger.start()
    assert (recovered.ended, [one.attempt_id for one in recovered.refused]) == (2, ["att_000001"])
    assert ledger.refused == 1
    await ledger.close()
    assert segments(tmp_path) == []


async def test_a_line_that_was_set_aside_and_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "attempts.refused.jsonl").write_bytes(b"nonsense\n")
    (found,) = await verify(MemoryStore(), tmp_path, InPlace(), now_us=NOON_US)
    assert found.subject == "attempts.refused.jsonl:1"


async def test_what_not_even_json_can_hold_is_set_aside_as_text(tmp_path: Path) -> None:
    odd = [attempt(1, http_status=999, error_message="\ud800"), attempt(2, http_status=999, cost_nanousd=1 << 70)]
    assert (await post(Picky(), odd, tmp_path, InPlace()))[0] == 0
    text, number = read_refused(tmp_path).values()
    assert "ud800" in (text.shown or "")
    assert number.attempt == odd[1]


async def test_a_journal_that_is_taken_away_is_begun_anew_with_what_is_in_flight(bench: Bench) -> None:
    bench.folder = bench.folder / "journal"
    ledger = await bench.start()
    ledger.begin(opening(1))
    ledger.checkpoint(Progress("att_000001", NOON_US, Usage(), 1, "p"))
    (before,) = segments(bench.folder)
    shutil.rmtree(bench.folder)
    await until(lambda: segments(bench.folder))
    (after,) = segments(bench.folder)
    assert after != before
    assert [one.opening for one in read([after]) if isinstance(one, InFlight)] == [opening(1)]
    ledger.settle(attempt(1))
    assert [one.attempt for one in read([after]) if isinstance(one, Ended)] == [attempt(1)]
    await ledger.close()
    assert await bench.store.attempts_after("", 9) == [attempt(1)]
    assert segments(bench.folder) == []


async def test_a_database_that_is_taken_away_is_noticed_and_gets_nothing_more(bench: Bench) -> None:
    ledger = await bench.start()
    bench.store.there = False
    await until(lambda: not ledger.store_ok)
    assert ledger.store_error is not None
    assert "was removed or replaced under the running server" in ledger.store_error
    ledger.begin(opening(1))
    ledger.settle(attempt(1))
    await ledger.close()
    assert (ledger.queued, len(segments(bench.folder))) == (1, 1)
    assert await bench.store.attempts_after("", 9) == []
    bench.store.there = True
    await bench.start()
    assert await bench.store.attempts_after("", 9) == [attempt(1)]


async def test_a_database_that_is_put_back_is_used_again(bench: Bench) -> None:
    ledger = await bench.start()
    bench.store.there = False
    await until(lambda: not ledger.store_ok)
    ledger.begin(opening(1))
    ledger.settle(attempt(1))
    bench.store.there = True
    await until(lambda: ledger.store_ok and not ledger.queued)
    assert await bench.store.attempts_after("", 9) == [attempt(1)]


async def test_an_end_that_is_in_memory_only_is_counted(bench: Bench) -> None:
    ledger = await bench.start()
    ledger.begin(opening(1))
    bench.disk.room_bytes, bench.store.away = 0, True
    with pytest.raises(JournalUnwritable):
        ledger.settle(attempt(1))
    assert ledger.in_memory_only == 1
    bench.disk.room_bytes, bench.store.away = 1 << 30, False
    await until(lambda: not ledger.queued)
    assert ledger.in_memory_only == 0
