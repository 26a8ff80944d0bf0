import errno
import os
from pathlib import Path

import msgspec
import pytest

from farthing.errors import JournalUnwritable
from farthing.ledger.journal import Ending, Journal, Segment, SystemFiles
from farthing.ledger.journal_reader import Damage, Ended, InFlight, read, segments
from farthing.types.calls import Attempt, Progress
from tests.contracts.ledger_samples import NOON_US, attempt, full_attempt, opening


def progress(number: int, **changes: object) -> Progress:
    made = Progress(f"att_{number:06d}", NOON_US + 1_000_000, attempt(number).usage, 500, "p")
    return msgspec.structs.replace(made, **changes)


class FaultyFiles(SystemFiles):
    """A disk with so many bytes left; with `stuck`, a file cannot be cut either."""

    def __init__(self) -> None:
        self.room_bytes = 1 << 30
        self.stuck = False

    def open(self, path: Path) -> int:
        if self.room_bytes <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().open(path)

    def write(self, descriptor: int, data: bytes) -> int:  # type: ignore[override]  # a method here, a function there
        if self.room_bytes <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = os.write(descriptor, data[: self.room_bytes])
        self.room_bytes -= written
        return written

    def truncate(self, descriptor: int, length: int) -> None:
        if self.stuck:
            raise OSError(errno.EIO, "Input/output error")
        os.ftruncate(descriptor, length)


def ends(folder: Path) -> list[Attempt]:
    return [one.attempt for one in read(segments(folder)) if isinstance(one, Ended)]


def test_what_was_written_is_read(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "boot")
    for whole in (attempt(1), full_attempt(2)):
        journal.end(whole, journal.begin(whole.opening))
    journal.begin(opening(3))
    journal.checkpoint(progress(3))
    journal.checkpoint(progress(3, cost_nanousd=900))
    journal.begin(opening(4))
    (path,) = segments(tmp_path)
    assert list(read([path])) == [
        Ended(path, attempt(1)),
        Ended(path, full_attempt(2)),
        InFlight(opening(3), progress(3, cost_nanousd=900), 2, path),
        InFlight(opening(4), None, path=path),
    ]


def test_an_ending_names_every_field_of_an_attempt() -> None:
    assert {*Ending.__struct_fields__, "opening"} == {*Attempt.__struct_fields__, "attempt_id"}


def test_a_record_is_on_its_way_to_the_disk_when_the_call_returns(tmp_path: Path) -> None:
    Journal(tmp_path, "boot").begin(opening(1))  # never closed, as after kill -9
    assert [type(one) for one in read(segments(tmp_path))] == [InFlight]


def test_journals_are_for_their_owner_only(tmp_path: Path) -> None:
    Journal(tmp_path, "boot").begin(opening(1))
    assert [path.stat().st_mode & 0o777 for path in segments(tmp_path)] == [0o600]


@pytest.mark.parametrize("kept_bytes", [1, 10, 100, 200])
def test_a_torn_last_line_is_tolerated(tmp_path: Path, kept_bytes: int) -> None:
    journal = Journal(tmp_path, "boot")
    journal.end(attempt(1), journal.begin(opening(1)))
    (path,) = segments(tmp_path)
    size = path.stat().st_size
    journal.begin(opening(2))
    os.truncate(path, size + kept_bytes)
    assert list(read([path])) == [Ended(path, attempt(1))]


def test_zeros_that_a_power_cut_left_at_the_end_are_tolerated(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "boot")
    journal.end(attempt(1), journal.begin(opening(1)))
    (path,) = segments(tmp_path)
    os.truncate(path, path.stat().st_size + 4096)
    assert list(read([path])) == [Ended(path, attempt(1))]


def test_a_last_line_that_lacks_its_end_of_line_only_counts(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "boot")
    journal.end(attempt(1), journal.begin(opening(1)))
    (path,) = segments(tmp_path)
    os.truncate(path, path.stat().st_size - 1)
    assert ends(tmp_path) == [attempt(1)]


@pytest.mark.parametrize(
    "damage", [b"{}\n", b"not json\n", b'{"begin":{"attempt_id":3}}\n', b"\x00" * 40 + b"\n", b'{"begin":\n']
)
def test_other_damage_is_reported_with_file_and_line_and_the_rest_is_read(tmp_path: Path, damage: bytes) -> None:
    journal = Journal(tmp_path, "boot")
    segment = journal.begin(opening(1))
    with segment.path.open("ab") as file:
        file.write(damage)
    journal.end(attempt(1), segment)
    found = list(read(segments(tmp_path)))
    assert isinstance(found[0], Damage)
    assert (found[0].path, found[0].line) == (segment.path, 2)
    assert str(found[0]).startswith("boot-000001.journal:2: ")
    assert found[1:] == [Ended(segment.path, attempt(1))]


def test_an_end_without_its_begin_is_damage(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "boot")
    segment = journal.begin(opening(1))
    journal.end(attempt(1), segment)
    journal.end(attempt(1), segment)
    found = list(read(segments(tmp_path)))
    assert [type(one) for one in found] == [Ended, Damage]


def test_a_segment_that_is_gone_is_passed_over(tmp_path: Path) -> None:
    assert list(read([tmp_path / "gone.journal"])) == []
    assert segments(tmp_path / "no folder") == []


def test_a_full_segment_is_followed_by_another(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "boot", max_segment_bytes=3_000)
    begun = [journal.begin(opening(number)) for number in range(20)]
    for number in range(20):
        journal.end(attempt(number), begun[number])
    paths = segments(tmp_path)
    assert len(paths) > 4
    assert [path.name for path in paths[:2]] == ["boot-000001.journal", "boot-000002.journal"]
    assert max(path.stat().st_size for path in paths) < 4_000
    assert ends(tmp_path) == [attempt(number) for number in range(20)]


def test_each_segment_speaks_for_itself(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "boot", max_segment_bytes=1)
    journal.end(attempt(1), journal.begin(opening(1)))
    first, second = segments(tmp_path)
    first.unlink()
    assert list(read([second])) == [Ended(second, attempt(1))]


def test_two_journals_of_one_name_do_not_share_a_file(tmp_path: Path) -> None:
    for _ in range(2):
        Journal(tmp_path, "boot").begin(opening(1))
    assert len(segments(tmp_path)) == 2


def test_a_full_disk_makes_the_journal_unwritable_until_a_probe_succeeds(tmp_path: Path) -> None:
    disk = FaultyFiles()
    journal = Journal(tmp_path, "boot", files=disk)
    assert not journal.writable
    assert journal.probe()
    segment = journal.begin(opening(1))
    disk.room_bytes = 0
    with pytest.raises(JournalUnwritable, match=r"No space left on device.*make room") as refused:
        journal.begin(opening(2))
    assert refused.value.status == 503
    assert not journal.writable
    assert not journal.probe()
    disk.room_bytes = 1 << 30
    assert journal.probe()
    journal.end(attempt(1), segment)
    assert list(read(segments(tmp_path))) == [Ended(segment.path, attempt(1))]


@pytest.mark.parametrize("stuck", [False, True])
def test_part_of_a_line_never_spoils_the_next_one(tmp_path: Path, stuck: bool) -> None:
    disk = FaultyFiles()
    journal = Journal(tmp_path, "boot", files=disk)
    segment = journal.begin(opening(1))
    disk.room_bytes, disk.stuck = 100, stuck
    with pytest.raises(JournalUnwritable, match="only 100 of"):
        journal.begin(opening(2))
    disk.room_bytes = 1 << 30
    journal.end(attempt(1), segment)
    assert len(segments(tmp_path)) == (2 if stuck else 1)
    assert journal.writable
    assert [type(one) for one in read(segments(tmp_path))] == [Ended]


def test_a_probe_that_cannot_be_cut_away_is_a_blank_line(tmp_path: Path) -> None:
    disk = FaultyFiles()
    disk.stuck = True
    journal = Journal(tmp_path, "boot", files=disk)
    assert journal.probe()
    journal.end(attempt(1), journal.begin(opening(1)))
    assert ends(tmp_path) == [attempt(1)]


def test_a_folder_that_is_gone_is_made_again_for_our_eyes_only(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "gone", "boot")
    journal.begin(opening(1))
    assert (tmp_path / "gone").stat().st_mode & 0o777 == 0o700


def test_a_folder_that_cannot_be_made_makes_the_journal_unwritable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    journal = Journal(tmp_path / "file" / "gone", "boot")
    with pytest.raises(JournalUnwritable, match="gone"):
        journal.begin(opening(1))


def is_full(journal: Journal) -> bool:
    return journal.full


def test_at_its_bound_nothing_more_begins_while_what_is_under_way_ends(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "boot", max_segment_bytes=1_000, max_bytes=3_000)
    begun: list[Segment] = []
    while not is_full(journal):
        begun.append(journal.begin(opening(len(begun))))
    with pytest.raises(JournalUnwritable, match=r"bound of 3,000 bytes.*takes nothing.*farthing doctor") as refused:
        journal.begin(opening(100))
    assert refused.value.status == 503
    assert sum(path.stat().st_size for path in segments(tmp_path)) < 3_000 + 1_000
    for number, segment in enumerate(begun):
        journal.end(attempt(number), segment)
    assert len(ends(tmp_path)) == len(begun)
    assert is_full(journal)
    assert journal.finished()  # the store has taken them
    assert not is_full(journal)
    journal.begin(opening(200))


def test_a_closed_journal_takes_nothing_more(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "boot")
    journal.begin(opening(1))
    journal.close()
    assert not journal.probe()
    with pytest.raises(JournalUnwritable, match="closed"):
        journal.begin(opening(2))
