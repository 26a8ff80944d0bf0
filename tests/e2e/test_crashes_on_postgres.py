"""`kill -9` at every named point of a host whose ledger is in a PostgreSQL: each attempt is there once, at its cost.

The steps and formats are those of `test_crash_matrix.py`. Here one host dies again and again, at each point with
another format, because what differs is the store.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from farthing.ledger.journal_reader import segments
from farthing.testing.crash_points import OUTSIDE, CrashPoint
from tests.e2e.crash_house import CASES, STREAMS, Case, House, house
from tests.e2e.test_crash_matrix import (
    ALL_AT_ONCE,
    LEASES,
    NO_ATTEMPT,
    NOTHING_SENT,
    ONE_BY_ONE,
    STARTING,
    assert_at_most_a_second_more,
    assert_exact,
    assert_nothing_seen,
    wait_until_refused,
)
from tests.postgres_server import new_schema

pytestmark = pytest.mark.slow

CHECKPOINTS = (CrashPoint.CHECKPOINT_TORN, CrashPoint.CHECKPOINTED)
MIGRATIONS = (CrashPoint.MIGRATING, CrashPoint.MIGRATED)
ONLY_SQLITE = {CrashPoint.MIGRATION_COPYING}
"""No copy is made of a PostgreSQL."""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path, new_schema()) as made:
        yield made


def test_every_point_is_reached_by_a_test() -> None:
    reached = {*ONE_BY_ONE, *ALL_AT_ONCE, *STARTING, *LEASES, *MIGRATIONS, *OUTSIDE, *CHECKPOINTS}
    assert reached | ONLY_SQLITE == set(CrashPoint)


def some(point: CrashPoint, count: int = 3) -> tuple[Case, ...]:
    """Return a few formats, at each point others."""
    first = list(CrashPoint).index(point)
    return tuple(CASES[(first + 4 * number) % len(CASES)] for number in range(count))


def test_a_call_that_dies_at_a_step_is_in_the_ledger_once(home: House) -> None:
    case = {point: some(point)[0] for point in ONE_BY_ONE}
    for point in ONE_BY_ONE:
        cut = point in (CrashPoint.SEGMENT_WANTED, CrashPoint.SEGMENT_MADE)
        home.start(point, *(("--segment-bytes", "1", "--after", "2") if cut else ()))
        home.ask(point, [case[point]])
        home.wait_for_death()
        assert home.stage.take_arrived() == ([] if point in NOTHING_SENT else [str(case[point])])
    kept = home.restart_and_settle()
    assert set(kept) == {f"{point}-{case[point]}" for point in ONE_BY_ONE if point not in NO_ATTEMPT}
    for point in set(ONE_BY_ONE) - set(NO_ATTEMPT):
        attempt = kept[f"{point}-{case[point]}"]
        if point is CrashPoint.SETTLED:
            assert_exact(attempt, case[point])
        else:
            assert_nothing_seen(attempt)


def test_what_a_provider_is_answering_is_in_flight_and_billed_to_its_checkpoint(home: House) -> None:
    for point in sorted(OUTSIDE):
        home.start()
        home.stage.hold(head=point is CrashPoint.DISPATCHED)
        clients = home.ask(point, some(point))
        home.stage.wait_for(len(clients))
        for client in clients:
            assert point is CrashPoint.DISPATCHED or not client.case.streamed or client.first.wait(10)
        if point is CrashPoint.DRAINING:
            assert home.process is not None
            home.process.terminate()
            wait_until_refused(home.port)
        home.kill()
        home.stage.take_arrived()
    home.start(CrashPoint.CHECKPOINTED, "--after", str(len(STREAMS)))
    home.stage.hold(pieces=True)
    home.ask(CrashPoint.CHECKPOINTED, STREAMS)
    home.wait_for_death()
    found = home.in_flight()
    kept = home.restart_and_settle()
    for point in OUTSIDE:
        for case in some(point):
            assert_nothing_seen(kept.pop(f"{point}-{case}"))
    assert set(kept) == {f"{CrashPoint.CHECKPOINTED}-{case}" for case in STREAMS}
    for task, attempt in kept.items():
        assert_at_most_a_second_more(attempt, found[task])


def test_answered_calls_survive_the_stores_and_the_programs_end(home: House) -> None:
    for point in ALL_AT_ONCE:
        stopping = point.value.startswith("clos")
        home.start(point, "--batch", str(1_000 if stopping else len(some(point))))
        for client in home.ask(point, some(point)):
            client.join()
            assert client.whole, client.task
        if stopping:
            assert home.process is not None
            home.process.terminate()
        home.wait_for_death()
    kept = home.restart_and_settle()
    assert set(kept) == {f"{point}-{case}" for point in ALL_AT_ONCE for case in some(point)}
    for point in ALL_AT_ONCE:
        for case in some(point):
            assert_exact(kept[f"{point}-{case}"], case)


def test_what_was_leased_and_a_recovery_that_dies_leave_nothing_behind(home: House) -> None:
    chat = Case("chat", False)
    for point in LEASES:
        home.start(point)
        home.ask(point, [chat])
        home.wait_for_death()
        assert home.stage.take_arrived() == []
    home.start(CrashPoint.BEFORE_SETTLE)
    home.ask(CrashPoint.BEFORE_SETTLE, [chat])
    home.wait_for_death()
    for point in STARTING:
        home.start(point, ready=False)
        home.wait_for_death()
        assert segments(home.home / "journal")
    home.start()
    (client,) = home.ask("next", [chat])
    client.join()
    assert client.whole, "the budget can be used again"
    home.stop()
    kept = home.kept()
    assert set(kept) == {f"{CrashPoint.BEFORE_SETTLE}-chat", "next-chat"}
    assert kept[f"{CrashPoint.BEFORE_SETTLE}-chat"].outcome == "crashed"


def test_a_crash_in_a_migration_leaves_the_old_tables_or_the_new(home: House) -> None:
    cases = some(CrashPoint.MIGRATED)
    home.start(CrashPoint.CLOSING, "--batch", "1000")
    for client in home.ask(CrashPoint.CLOSING, cases):  # these are in the journal when the tables change
        client.join()
    assert home.process is not None
    home.process.terminate()
    home.wait_for_death()
    for point in MIGRATIONS:
        home.start(point, "--next-tables", ready=False)
        home.wait_for_death()
    home.start(None, "--next-tables")
    home.stop()
    kept = home.kept(next_tables=True)
    assert set(kept) == {f"{CrashPoint.CLOSING}-{case}" for case in cases}
    for case in cases:
        assert_exact(kept[f"{CrashPoint.CLOSING}-{case}"], case)
