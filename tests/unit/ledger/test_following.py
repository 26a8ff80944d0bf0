"""What ends in other processes is read from their journals, while somebody watches."""

from pathlib import Path

from farthing.ledger.following import JournalFollower
from farthing.ledger.journal import Journal
from farthing.types.calls import Attempt
from tests.contracts.ledger_samples import attempt

OTHER, OWN = "0000000000000001-77", "0000000000000002-88"


def ids(attempts: list[Attempt]) -> list[str]:
    return [one.opening.attempt_id for one in attempts]


def test_each_end_is_told_once_as_the_whole_attempt_that_it_is(tmp_path: Path) -> None:
    journal, follower = Journal(tmp_path, OTHER), JournalFollower(tmp_path, 88)
    before, under_way, later = attempt(1), attempt(2), attempt(3)
    journal.end(before, journal.begin(before.opening))
    begun = journal.begin(under_way.opening)
    assert follower.look() == [], "what ended before is nobody's news"
    journal.end(under_way, begun)
    journal.end(later, journal.begin(later.opening))
    assert follower.look() == [under_way, later]
    assert follower.look() == []
    follower.close()
    journal.close()


def test_ones_own_journal_is_left_out_and_files_of_new_processes_are_found(tmp_path: Path) -> None:
    follower = JournalFollower(tmp_path, 88)
    assert follower.look() == []
    for boot, number in ((OWN, 1), (OTHER, 2), ("0000000000000003-188", 3)):
        journal = Journal(tmp_path, boot)
        journal.end(attempt(number), journal.begin(attempt(number).opening))
        journal.close()
    assert ids(follower.look()) == ids([attempt(2), attempt(3)])
    follower.close()


def test_an_end_in_a_later_file_and_in_one_that_is_deleted_is_told(tmp_path: Path) -> None:
    journal, follower = Journal(tmp_path, OTHER, max_segment_bytes=1), JournalFollower(tmp_path, 88)
    begun = journal.begin(attempt(1).opening)
    assert follower.look() == []
    journal.begin(attempt(2).opening)
    assert follower.look() == []
    journal.end(attempt(1), begun)
    assert ids(follower.look()) == ids([attempt(1)])
    journal.close()
    for path in tmp_path.glob("*.journal"):
        path.unlink()
    assert follower.look() == []
    assert follower.look() == []
    follower.close()


def test_half_a_line_is_waited_for_and_damage_is_passed_over(tmp_path: Path) -> None:
    journal, follower = Journal(tmp_path, OTHER), JournalFollower(tmp_path, 88)
    journal.begin(attempt(1).opening)
    assert follower.look() == []
    (path,) = tmp_path.glob("*.journal")
    whole = path.read_bytes()
    journal.end(attempt(1), journal.segment or journal.begin(attempt(1).opening))
    end = path.read_bytes()[len(whole) :]
    journal.close()
    path.write_bytes(whole + b"no line of ours\n" + end[:40])
    assert follower.look() == []
    with path.open("ab") as file:
        file.write(end[40:])
    assert ids(follower.look()) == ids([attempt(1)])
    follower.close()
