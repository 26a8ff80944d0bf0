import os
from collections.abc import Collection
from pathlib import Path

import msgspec
import pytest

from farthing.ledger.journal import Journal
from farthing.ledger.journal_reader import InFlight, segments
from farthing.ledger.recovery import crashed_attempt, no_price, recover, wait_for_store
from farthing.ledger.verify import verify
from farthing.storage.memory import MemoryStore
from farthing.types.calls import Opening, Progress
from farthing.types.usage import Usage
from tests.contracts.ledger_samples import NOON_US, InPlace, attempt, opening

LATER_US = NOON_US + 3_600_000_000


def priced(_: Opening, usage: Usage) -> tuple[int | None, str | None]:
    if usage.output_tokens is None:
        return None, "now"
    return (usage.input_tokens or 0) * 10 + usage.output_tokens * 100, "now"


def after(seconds: float, output_tokens: int | None, cost: int | None = 700) -> InFlight:
    at_us = NOON_US + 1 + int(seconds * 1_000_000)
    usage = Usage(input_tokens=50, output_tokens=output_tokens)
    return InFlight(opening(1), Progress("att_000001", at_us, usage, cost, "then", "served"))


def test_a_crashed_stream_costs_its_last_checkpoint_and_a_second_more() -> None:
    crashed = crashed_attempt(after(4, 200), priced, LATER_US)
    assert crashed.usage == Usage(input_tokens=50, output_tokens=250)
    assert (crashed.cost_nanousd, crashed.cost_basis, crashed.price_id) == (25_500, "estimated", "now")
    assert (crashed.outcome, crashed.model_served) == ("crashed", "served")
    assert crashed.ended_at_us == NOON_US + 1 + 5_000_000


def test_a_crashed_stream_without_a_checkpoint_costs_its_input() -> None:
    begun = msgspec.structs.replace(opening(1), streamed=True)
    crashed = crashed_attempt(InFlight(begun, None), priced, LATER_US)
    assert crashed.usage == Usage(input_tokens=90, output_tokens=0)
    assert (crashed.cost_nanousd, crashed.cost_basis) == (900, "estimated")


def test_a_crashed_answer_that_is_no_stream_is_of_unknown_cost_and_not_of_its_input_alone() -> None:
    begun = msgspec.structs.replace(opening(1), streamed=False)
    crashed = crashed_attempt(InFlight(begun, None), priced, LATER_US)
    assert crashed.usage == Usage(input_tokens=90, output_tokens=None)
    assert (crashed.cost_nanousd, crashed.cost_basis) == (None, "unknown")
    assert "not known" in (crashed.error_message or "")


def test_a_crashed_answer_of_a_model_that_is_free_costs_0_though_nobody_knows_how_long_it_was() -> None:
    begun = msgspec.structs.replace(opening(1), streamed=False)
    crashed = crashed_attempt(InFlight(begun, None), lambda *_: (0, "free"), LATER_US)
    assert (crashed.usage.output_tokens, crashed.cost_nanousd, crashed.cost_basis) == (None, 0, "estimated")


def test_a_crash_without_a_price_is_of_unknown_cost() -> None:
    crashed = crashed_attempt(InFlight(opening(1), None), no_price, LATER_US)
    assert (crashed.cost_nanousd, crashed.cost_basis) == (None, "unknown")


def test_a_price_that_is_gone_leaves_the_checkpoints_cost() -> None:
    crashed = crashed_attempt(after(4, 200), no_price, LATER_US)
    assert (crashed.cost_nanousd, crashed.cost_basis, crashed.price_id) == (700, "estimated", "then")


@pytest.mark.parametrize(
    ("seconds", "output", "expected"), [(3, 10, 14), (0.1, 7, 14), (0, 7, 14), (-5, 7, 14), (1, None, 0)]
)
def test_the_seconds_production_follows_the_rate_so_far(seconds: float, output: int | None, expected: int) -> None:
    assert crashed_attempt(after(seconds, output), priced, LATER_US).usage.output_tokens == expected


@pytest.mark.parametrize("step_s", [-7_200, -30, 0, 7_200])
def test_a_clock_that_was_stepped_invents_no_production(step_s: int) -> None:
    found = msgspec.structs.replace(after(60 + step_s, 3_000), checkpoints=60)
    billed = crashed_attempt(found, priced, LATER_US + step_s * 1_000_000).usage.output_tokens
    assert billed is not None
    assert 3_000 < billed <= 3_050


async def test_recovery_posts_ends_and_crashes_once_and_removes_the_files(tmp_path: Path) -> None:
    store = MemoryStore()
    journal = Journal(tmp_path, "boot", max_segment_bytes=500)
    begun = [journal.begin(opening(number)) for number in range(5)]
    for number in range(3):
        journal.end(attempt(number), begun[number])
    await store.append([attempt(0)])
    files = {path: path.read_bytes() for path in segments(tmp_path)}

    first = await recover(store, tmp_path, InPlace(), now_us=LATER_US)
    assert (first.ended, first.crashed, first.damage) == (2, 2, ())
    assert set(first.removed) == set(files)
    assert segments(tmp_path) == []

    for path, content in files.items():  # the machine died again before the removal reached the disk
        path.write_bytes(content)
    again = await recover(store, tmp_path, InPlace(), now_us=LATER_US)
    assert (again.ended, again.crashed) == (0, 0)
    outcomes = [kept.outcome for kept in await store.attempts_after("", 9)]
    assert outcomes == ["ok", "ok", "ok", "crashed", "crashed"]


async def test_recovery_of_nothing_is_nothing(tmp_path: Path) -> None:
    recovered = await recover(MemoryStore(), tmp_path / "none", InPlace(), now_us=LATER_US)
    assert (recovered.ended, recovered.crashed, recovered.removed) == (0, 0, ())


async def test_a_damaged_file_stays_and_the_rest_of_it_is_posted(tmp_path: Path) -> None:
    store = MemoryStore()
    journal = Journal(tmp_path, "boot")
    segment = journal.begin(opening(1))
    with segment.path.open("ab") as file:
        file.write(b"damage\n")
    journal.end(attempt(1), segment)
    for _ in range(2):
        recovered = await recover(store, tmp_path, InPlace(), now_us=LATER_US)
        assert [(one.path, one.line) for one in recovered.damage] == [(segment.path, 2)]
        assert segments(tmp_path) == [segment.path]
    assert await store.attempts_after("", 9) == [attempt(1)]


async def test_a_store_that_lags_is_waited_for_and_what_is_missing_is_counted(tmp_path: Path) -> None:
    store = MemoryStore()
    journal = Journal(tmp_path, "boot")
    for number in range(3):
        journal.end(attempt(number), journal.begin(opening(number)))
    journal.begin(opening(9))  # in flight: not waited for
    await store.append([attempt(0)])
    assert await wait_for_store(store, tmp_path, InPlace(), timeout_s=0.05) == 2
    await store.append([attempt(1), attempt(2)])
    assert await wait_for_store(store, tmp_path, InPlace(), timeout_s=60) == 0


async def test_a_lag_that_ends_in_time_is_not_counted(tmp_path: Path) -> None:
    class Lagging(MemoryStore):
        asked = 0

        async def known(self, attempt_ids: Collection[str]) -> set[str]:
            self.asked += 1
            return await super().known(attempt_ids) if self.asked > 2 else set()

    store = Lagging()
    journal = Journal(tmp_path, "boot")
    journal.end(attempt(1), journal.begin(opening(1)))
    await store.append([attempt(1)])
    assert await wait_for_store(store, tmp_path, InPlace(), timeout_s=60) == 0
    assert store.asked == 3


def test_usage_beyond_the_totals_survives_a_crash() -> None:
    found = after(1, 10)
    assert found.progress is not None
    usage = msgspec.structs.replace(found.progress.usage, cache_read_input_tokens=40, web_search_requests=2)
    progress = msgspec.structs.replace(found.progress, usage=usage)
    crashed = crashed_attempt(InFlight(found.opening, progress), priced, LATER_US)
    assert (crashed.usage.cache_read_input_tokens, crashed.usage.web_search_requests) == (40, 2)


async def test_of_several_processes_only_the_dead_ones_journal_is_posted(tmp_path: Path) -> None:
    store = MemoryStore()
    for number, pid in ((1, 17), (2, 171), (3, 71)):
        journal = Journal(tmp_path, f"{NOON_US:016d}-{pid}")
        journal.end(attempt(number), journal.begin(opening(number)))
        journal.begin(opening(number + 10))
        journal.close()
    found = await recover(store, tmp_path, InPlace(), now_us=LATER_US, pid=17)
    assert (found.ended, found.crashed) == (1, 1)
    assert await store.known([f"att_{number:06d}" for number in range(20)]) == {"att_000001", "att_000011"}
    assert [path.name.split("-")[1] for path in segments(tmp_path)] == ["171", "71"]


def unreadable(kind: str, path: Path) -> None:
    """Put something in the journal's folder that nobody can read, as whoever runs it."""
    match kind:
        case "a folder":
            path.mkdir()
        case "a pipe that nobody writes to":
            os.mkfifo(path)
        case "a link in a circle":
            path.symlink_to(path.name)


KINDS = ["a folder", "a pipe that nobody writes to", "a link in a circle"]


@pytest.mark.skipif(os.name != "posix", reason="makes POSIX's kinds of files")
@pytest.mark.parametrize("kind", KINDS)
async def test_a_journal_file_that_cannot_be_read_stops_nobody_and_is_told(tmp_path: Path, kind: str) -> None:
    store = MemoryStore()
    journal = Journal(tmp_path, f"{NOON_US:016d}-17")
    journal.end(attempt(1), journal.begin(opening(1)))
    unreadable(kind, tmp_path / "foo.journal")
    recovered = await recover(store, tmp_path, InPlace(), now_us=LATER_US)
    assert recovered.ended == 1
    (damage,) = recovered.damage
    assert (damage.place, damage.line) == ("foo.journal", 0)
    assert segments(tmp_path) == [tmp_path / "foo.journal"]
    found = await verify(store, tmp_path, InPlace(), now_us=LATER_US)
    assert [(one.kind, one.subject) for one in found] == [("damaged_journal", "foo.journal")]
    assert await wait_for_store(store, tmp_path, InPlace(), timeout_s=60) == 0


async def test_an_end_in_a_file_that_cannot_be_read_today_counts_when_it_can(tmp_path: Path) -> None:
    store = MemoryStore()
    theirs = Journal(tmp_path, f"{NOON_US:016d}-17", max_segment_bytes=1)  # a line is longer than a segment
    begun = theirs.begin(opening(1))
    end = theirs.end(attempt(1), begun)
    Journal(tmp_path, f"{NOON_US:016d}-18").begin(opening(2))
    kept = end.path.read_bytes()
    end.path.unlink()
    end.path.mkdir()  # in the place of a file of another owner, which root could read

    first = await recover(store, tmp_path, InPlace(), now_us=LATER_US)
    assert (first.ended, first.crashed, first.waiting) == (0, 1, 1)
    assert segments(tmp_path) == [begun.path, end.path]

    end.path.rmdir()
    end.path.write_bytes(kept)
    again = await recover(store, tmp_path, InPlace(), now_us=LATER_US)
    assert (again.ended, again.crashed, again.waiting) == (1, 0, 0)
    assert await store.attempts_of([attempt(1).opening.attempt_id]) == [attempt(1)]
    assert segments(tmp_path) == []


async def test_attempts_whose_end_will_never_be_read_are_settled_once_the_file_is_moved_away(tmp_path: Path) -> None:
    store = MemoryStore()
    journal = Journal(tmp_path, f"{NOON_US:016d}-17", max_segment_bytes=1)
    end = journal.end(attempt(1), journal.begin(opening(1)))
    end.path.unlink()
    recovered = await recover(store, tmp_path, InPlace(), now_us=LATER_US)
    assert (recovered.ended, recovered.crashed, recovered.waiting) == (0, 1, 0)


async def test_a_journal_file_that_cannot_be_removed_is_posted_once_and_harms_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: Path, **__: bool) -> None:
        raise PermissionError(13, "Permission denied")

    store = MemoryStore()
    journal = Journal(tmp_path, "boot")
    journal.end(attempt(1), journal.begin(opening(1)))
    monkeypatch.setattr(Path, "unlink", refused)  # tests may run as root, who is refused nothing
    for ended in (1, 0):
        recovered = await recover(store, tmp_path, InPlace(), now_us=LATER_US)
        assert (recovered.ended, recovered.removed, recovered.damage) == (ended, (), ())
        (stuck,) = recovered.stuck
        assert "Permission denied" in stuck.reason
    assert await store.attempts_after("", 9) == [attempt(1)]
