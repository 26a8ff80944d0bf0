"""`kill -9` at every named point, in every format: each attempt is in the ledger once, at what it cost."""

import os
import signal
import socket
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from farthing.ledger.journal_reader import InFlight, segments
from farthing.testing.crash_points import OUTSIDE, CrashPoint
from farthing.types.calls import Attempt
from tests.e2e.crash_house import CASES, STREAMS, Case, House, house

pytestmark = pytest.mark.slow

SCALE = float(os.environ.get("FARTHING_CI_SCALE", "1"))

ONE_BY_ONE = (
    CrashPoint.BEFORE_BEGIN,
    CrashPoint.BEGIN_TORN,
    CrashPoint.BEGUN,
    CrashPoint.BEFORE_SETTLE,
    CrashPoint.END_TORN,
    CrashPoint.SETTLED,
    CrashPoint.SEGMENT_WANTED,
    CrashPoint.SEGMENT_MADE,
)
"""Points inside one call's synchronous step: a process dies with one format there."""
ALL_AT_ONCE = (
    CrashPoint.STORE_INSERTED,
    CrashPoint.STORE_COMMITTING,
    CrashPoint.STORE_COMMITTED,
    CrashPoint.CLOSING,
    CrashPoint.CLOSE_COMMITTING,
    CrashPoint.CLOSED,
)
"""Points at which every format's call has ended."""
NO_ATTEMPT = (CrashPoint.BEFORE_BEGIN, CrashPoint.BEGIN_TORN)
NOTHING_SENT = (*NO_ATTEMPT, CrashPoint.BEGUN)
STARTING = (CrashPoint.RECOVERING, CrashPoint.RECOVERED)
LEASES = (CrashPoint.LEASING, CrashPoint.LEASED)
MIGRATIONS = (CrashPoint.MIGRATION_COPYING, CrashPoint.MIGRATING, CrashPoint.MIGRATED)


def test_every_point_is_reached_by_a_test() -> None:
    checkpoints = {CrashPoint.CHECKPOINT_TORN, CrashPoint.CHECKPOINTED}
    assert {*ONE_BY_ONE, *ALL_AT_ONCE, *STARTING, *LEASES, *MIGRATIONS, *OUTSIDE, *checkpoints} == set(CrashPoint)


def chosen(point: CrashPoint) -> Sequence[Case]:
    """Return all formats; on a smaller scale some, at each point others."""
    step = max(1, round(1 / SCALE)) if SCALE < 1 else 1
    return CASES[list(CrashPoint).index(point) % step :: step]


def assert_exact(attempt: Attempt, case: Case) -> None:
    assert (attempt.outcome, attempt.cost_basis, attempt.cost_nanousd) == ("ok", "reported", case.cost), attempt


def assert_nothing_seen(attempt: Attempt) -> None:
    """Assert that a stream costs its input, and that another answer's cost is unknown: all of it may be written."""
    estimate, streamed = attempt.opening.input_tokens_estimate, attempt.opening.streamed
    assert (attempt.outcome, attempt.cost_basis) == ("crashed", "estimated" if streamed else "unknown"), attempt
    assert (attempt.usage.input_tokens, attempt.usage.output_tokens) == (estimate, 0 if streamed else None)
    assert attempt.cost_nanousd == (estimate * 1000 if streamed else None)


def assert_at_most_a_second_more(attempt: Attempt, found: InFlight) -> None:
    assert found.progress is not None
    written = found.progress.usage.output_tokens
    assert written, "the checkpoint holds what was said"
    age_us = found.progress.at_us - found.opening.started_at_us
    assert age_us >= 1_000_000
    assert (attempt.outcome, attempt.cost_basis) == ("crashed", "estimated")
    billed = attempt.usage.output_tokens
    assert billed is not None
    assert written <= billed <= written + -(-written * 1_000_000 // age_us)
    assert attempt.cost_nanousd == (attempt.usage.input_tokens or 0) * 1000 + billed * 2000


@pytest.mark.parametrize("point", ONE_BY_ONE)
def test_a_call_that_dies_at_a_step_is_in_the_ledger_once(tmp_path: Path, point: CrashPoint) -> None:
    cases = chosen(point)
    with ThreadPoolExecutor(2) as houses:  # a start takes a third of a second; side by side they take two thirds
        for died in [houses.submit(die_at_a_step, tmp_path / name, point, cases[i::2]) for i, name in enumerate("ab")]:
            died.result()


def die_at_a_step(folder: Path, point: CrashPoint, cases: Sequence[Case]) -> None:
    folder.mkdir()
    with house(folder) as home:
        cut = point in (CrashPoint.SEGMENT_WANTED, CrashPoint.SEGMENT_MADE)
        for case in cases:
            # A line is longer than a segment: the begin line fills the one that the start made, the end needs another.
            home.start(point, *(("--segment-bytes", "1", "--after", "2") if cut else ()))
            home.ask(point, [case])
            home.wait_for_death()
            assert home.stage.take_arrived() == ([] if point in NOTHING_SENT else [str(case)])
        kept = home.restart_and_settle()
        assert set(kept) == (set() if point in NO_ATTEMPT else {f"{point}-{case}" for case in cases})
        for case in cases:
            if point is CrashPoint.SETTLED:
                assert_exact(kept[f"{point}-{case}"], case)
            elif point not in NO_ATTEMPT:
                assert_nothing_seen(kept[f"{point}-{case}"])
        assert not [client for client in home.clients if client.whole]


@pytest.mark.parametrize("point", sorted(OUTSIDE))
def test_calls_that_a_provider_is_answering_are_in_flight(tmp_path: Path, point: CrashPoint) -> None:
    with house(tmp_path) as home:
        home.start()
        home.stage.hold(head=point is CrashPoint.DISPATCHED)
        clients = home.ask(point, CASES)
        home.stage.wait_for(len(CASES))
        if point is not CrashPoint.DISPATCHED:
            for client in clients:
                assert not client.case.streamed or client.first.wait(10), client.task
        if point is CrashPoint.DRAINING:
            assert home.process is not None
            home.process.send_signal(signal.SIGTERM)
            wait_until_refused(home.port)
        home.kill()
        kept = home.restart_and_settle()
        assert set(kept) == {f"{point}-{case}" for case in CASES}
        for attempt in kept.values():
            assert_nothing_seen(attempt)
        assert len(home.stage.take_arrived()) == len(CASES)


def wait_until_refused(port: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            return
        time.sleep(0.01)
    raise AssertionError("it still listens")


@pytest.mark.parametrize("point", [CrashPoint.CHECKPOINTED, CrashPoint.CHECKPOINT_TORN])
def test_streams_are_billed_to_their_checkpoint_and_at_most_a_second_more(tmp_path: Path, point: CrashPoint) -> None:
    with house(tmp_path) as home:
        home.start(point, "--after", str(len(STREAMS)))
        home.stage.hold(pieces=True)
        home.ask(point, STREAMS)
        home.wait_for_death()
        found = home.in_flight()
        kept = home.restart_and_settle()
        assert set(kept) == set(found) == {f"{point}-{case}" for case in STREAMS}
        written = {task for task, one in found.items() if one.progress is not None}
        assert len(written) == len(STREAMS) - (point is CrashPoint.CHECKPOINT_TORN)
        for task, attempt in kept.items():
            if task in written:
                assert_at_most_a_second_more(attempt, found[task])
            else:
                assert_nothing_seen(attempt)


@pytest.mark.parametrize("point", ALL_AT_ONCE)
def test_answered_calls_survive_the_stores_and_the_programs_end(tmp_path: Path, point: CrashPoint) -> None:
    stopping = point.value.startswith("clos")
    with house(tmp_path) as home:
        answered_calls(home, point, batch=1_000 if stopping else len(CASES))
        if stopping:
            assert home.process is not None
            home.process.terminate()
        home.wait_for_death()
        kept = home.restart_and_settle()
        assert set(kept) == {f"{point}-{case}" for case in CASES}
        for case in CASES:
            assert_exact(kept[f"{point}-{case}"], case)


def test_what_a_process_leased_when_it_died_is_there_for_the_next(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        chat = Case("chat", False)
        for point in LEASES:
            home.start(point)
            home.ask(point, [chat])
            home.wait_for_death()
            assert home.stage.take_arrived() == []
        home.start()
        (client,) = home.ask("next", [chat])
        client.join()
        assert client.whole, "the budget can be used again"
        home.stop()
        assert set(home.kept()) == {"next-chat"}


def answered_calls(home: House, point: CrashPoint, *, batch: int) -> None:
    """Ask in every format and let every client have its answer."""
    home.start(point, "--batch", str(batch))
    for client in home.ask(point, CASES):
        client.join()
        assert client.whole, client.task


def test_a_crash_in_the_recovery_of_a_crash_changes_nothing(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        home.start(CrashPoint.BEFORE_SETTLE, "--after", str(len(CASES)))
        home.ask(CrashPoint.BEFORE_SETTLE, CASES)
        home.wait_for_death()
        for point in STARTING:
            home.start(point, ready=False)
            home.wait_for_death()
            assert segments(home.home / "journal")
        kept = home.restart_and_settle()
        assert set(kept) == {f"{CrashPoint.BEFORE_SETTLE}-{case}" for case in CASES}
        outcomes = [attempt.outcome for attempt in kept.values()]
        assert (outcomes.count("ok"), outcomes.count("crashed")) == (len(CASES) - 1, 1)


def test_a_crash_in_a_migration_leaves_the_old_tables_or_the_new(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        home.start()
        for client in home.ask(CrashPoint.MIGRATED, CASES):  # these are in the store when it is migrated
            client.join()
        home.stop()
        answered_calls(home, CrashPoint.CLOSING, batch=1_000)  # and these in the journal only
        assert home.process is not None
        home.process.terminate()
        home.wait_for_death()
        for point in MIGRATIONS:
            home.start(point, "--next-tables", ready=False)
            home.wait_for_death()
        home.start(None, "--next-tables")
        home.stop()
        kept = home.kept(next_tables=True)
        assert len(kept) == 2 * len(CASES)
        for case in CASES:
            assert_exact(kept[f"{CrashPoint.MIGRATED}-{case}"], case)
            assert_exact(kept[f"{CrashPoint.CLOSING}-{case}"], case)
