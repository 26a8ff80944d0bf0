"""Two things go wrong at once under the ledger: each alone is survived elsewhere, and together they lose nothing."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from farthing.errors import JournalUnwritable, StoreError
from farthing.ledger import Ledger
from farthing.ledger.journal_reader import segments
from farthing.types.calls import Attempt
from tests.contracts.ledger_samples import attempt, opening, until
from tests.unit.ledger.test_ledger import Bench, Switchable

SPILLING = {"max_queued": 2, "max_segment_bytes": 3_000}
COUNT = 40


class Tripping(Switchable):
    """A store that fails once more where it meets an attempt that had been left to the journal."""

    def __init__(self) -> None:
        super().__init__()
        self.trips_over: str | None = None

    async def append(self, attempts: Sequence[Attempt], holder: str = "") -> int:
        if any(one.opening.attempt_id == self.trips_over for one in attempts) and not self.away:
            self.trips_over = None
            raise StoreError("the store is away again")
        return await super().append(attempts, holder)


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    for pause in ("FIRST_BACKOFF_S", "LAST_BACKOFF_S", "PROBE_S", "WATCH_S"):
        monkeypatch.setattr(f"farthing.ledger.ledger.{pause}", 0.001)
    bench = Bench(tmp_path)
    yield bench
    for ledger in bench.ledgers:
        await ledger.close()


async def settle_while_away(bench: Bench) -> Ledger:
    """Settle more than the queue holds, so that most of it is left to the journal."""
    ledger = await bench.start(**SPILLING)
    bench.store.away = True
    for number in range(COUNT):
        ledger.begin(opening(number))
        ledger.settle(attempt(number))
    await until(lambda: not ledger.store_ok)
    assert ledger.spilled
    return ledger


async def test_a_store_that_fails_again_over_what_was_spilled_has_it_once_in_the_end(bench: Bench) -> None:
    bench.store = store = Tripping()
    ledger = await settle_while_away(bench)
    store.trips_over = attempt(COUNT // 2).opening.attempt_id
    store.away = False
    await until(lambda: store.trips_over is None)
    await until(lambda: ledger.store_ok and not ledger.spilled and not ledger.queued)
    assert await store.attempts_after("", 1_000) == [attempt(number) for number in range(COUNT)]
    await ledger.close()
    assert segments(bench.folder) == []


async def test_of_a_spilled_file_that_was_damaged_the_rest_is_posted_and_the_file_is_kept(bench: Bench) -> None:
    ledger = await settle_while_away(bench)
    spoiled = segments(bench.folder)[1]
    lines = spoiled.read_bytes().splitlines(keepends=True)
    lost = next(at for at, line in enumerate(lines) if at > 1 and line.startswith(b'{"end":{"attempt_id":"att_'))
    lost_number = int(lines[lost].split(b'"')[5].removeprefix(b"att_"))
    lines[lost] = b"\xff" * (len(lines[lost]) - 1) + b"\n"
    spoiled.write_bytes(b"".join(lines))
    bench.store.away = False
    await until(lambda: ledger.store_ok and not ledger.spilled and not ledger.queued)
    assert [(one.path, one.line) for one in ledger.damage] == [(spoiled, lost + 1)]
    rest = [attempt(number) for number in range(COUNT) if number != lost_number]
    assert await bench.store.attempts_after("", 1_000) == rest
    await ledger.close()
    assert segments(bench.folder) == [spoiled], "it is for a person to look at, and the others are done with"


async def test_an_end_that_is_no_unicode_on_a_full_disk_is_mended_and_reaches_the_store(bench: Bench) -> None:
    ledger = await bench.start()
    for number in (1, 2):
        ledger.begin(opening(number))
    bench.disk.room_bytes = 0
    for number, text in ((1, "bad \ud800"), (2, "\0" * 5_000_000)):
        with pytest.raises(JournalUnwritable):
            ledger.settle(attempt(number, error_message=text))
    assert (ledger.in_flight, ledger.in_memory_only) == (0, 2)
    await until(lambda: not ledger.queued)
    first, second = await bench.store.attempts_after("", 9)
    assert (first.error_message, second.error_message) == ("bad ?", "\0" * 2_000)
    assert (first.cost_nanousd, second.cost_nanousd) == (attempt(1).cost_nanousd, attempt(2).cost_nanousd)
    assert ledger.in_memory_only == 0
    bench.disk.room_bytes = 1 << 30


async def test_a_journal_that_is_taken_away_from_a_full_disk_is_begun_anew_when_there_is_room(bench: Bench) -> None:
    bench.folder = bench.folder / "journal"
    ledger = await bench.start()
    ledger.begin(opening(1))
    bench.disk.room_bytes = 0
    for path in segments(bench.folder):
        path.unlink()
    await until(lambda: not ledger.journal_writable)
    with pytest.raises(JournalUnwritable):
        ledger.begin(opening(2))
    bench.disk.room_bytes = 1 << 30
    await until(lambda: ledger.journal_writable)
    ledger.begin(opening(2))
    for number in (1, 2):
        ledger.settle(attempt(number))
    await asyncio.wait_for(ledger.close(), 5)
    assert await bench.store.attempts_after("", 9) == [attempt(1), attempt(2)]
    assert segments(bench.folder) == []
