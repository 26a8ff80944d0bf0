"""Disks, databases and clocks that fail under a gateway: money stays right, and the way out is in the message."""

import json
import os
import re
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from farthing.ledger.journal_reader import segments
from farthing.testing.crash_points import CrashPoint
from tests.e2e.crash_house import CASES, COST, STREAMS, Case, House, house
from tests.e2e.support import Answer, request

SCALE = float(os.environ.get("FARTHING_CI_SCALE", "1"))
CHAT = Case("chat", False)
STREAM = Case("chat", True)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path) as made:
        yield made


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of two megabytes."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = shutil.which("mount") and os.geteuid() == 0
    if (
        not mounted
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=2m,mode=0700", "tmpfs", str(place)], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("no small file system can be mounted here; the full disk of the unit tests stands for it")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], capture_output=True, check=True)


def until(condition: Callable[[], object], what: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


def ready(home: House) -> dict[str, Any]:
    found: dict[str, Any] = request(home.port, "GET", "/ready").json()
    return found


def answered(home: House, point: str, cases: tuple[Case, ...] = CASES) -> list[str]:
    """Ask in these formats, one after the other; return the tasks that were answered with 200."""
    done = []
    for case in cases:
        (client,) = home.ask(point, [case])
        client.join()
        if client.whole:
            done.append(client.task)
    return done


def refused(home: House) -> Answer:
    return request(
        home.port,
        "POST",
        "/v1/chat/completions",
        json.dumps({"model": "openai:m", "messages": []}).encode(),
        {"authorization": f"Bearer {home.key}", "content-type": "application/json", "x-case": "chat"},
    )


def fill(disk: Path) -> Path:
    """Leave no room on a disk; return what takes it up."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (65_536, 4_096, 1):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
    return ballast


def test_a_full_disk_refuses_calls_and_loses_none_that_was_answered(small_disk: Path) -> None:
    with house(small_disk) as home:
        home.start()
        home.stage.hold(pieces=True)
        flowing = home.ask("under-way", STREAMS)
        for client in flowing:
            assert client.first.wait(10)
        ballast = fill(small_disk)
        home.stage.end.set()
        for client in flowing:
            client.join()
            assert client.whole, "what is under way goes on"
        tasks = {client.task for client in flowing}
        answer = refused(home)
        for _ in range(200):  # the last page of the journal may have room for a few
            answer = refused(home) if answer.status == 200 else answer
        assert answer.status == 503
        assert answer.json()["error"]["code"] == "journal_unwritable"
        assert re.search("No space left on device|as on a full disk", answer.json()["error"]["message"])
        assert "make room" in answer.body.decode()
        assert request(home.port, "GET", "/ready").status == 503
        ballast.unlink()
        until(lambda: request(home.port, "GET", "/ready").status == 200, "it heals by itself")
        tasks |= set(answered(home, "afterwards"))
        assert len(tasks) == len(STREAMS) + len(CASES)
        home.stop()
        kept = home.kept()
        assert tasks <= set(kept)
        assert all(kept[task].cost_basis in ("reported", "estimated") for task in tasks)


def test_a_journal_that_cannot_be_written_refuses_calls_and_heals(home: House) -> None:
    home.start()
    before = answered(home, "before")
    folder = home.home / "journal"
    away = folder.rename(home.home / "away")
    folder.write_bytes(b"somebody's file")
    until(lambda: request(home.port, "GET", "/ready").status == 503, "it is noticed")
    answer = refused(home)
    assert answer.status == 503
    assert "check who owns the folder" in answer.body.decode()
    assert str(home.home) not in answer.body.decode(), "where it is, is the operator's to know"
    home.stage.take_arrived()
    assert answered(home, "meanwhile", (CHAT, STREAM)) == []
    assert home.stage.take_arrived() == [], "nothing is forwarded that could not be billed"
    folder.unlink()
    until(lambda: request(home.port, "GET", "/ready").status == 200, "it heals by itself")
    after = answered(home, "after")
    home.stop()
    shutil.rmtree(away)
    assert set(home.kept()) == {*before, *after}


@pytest.mark.slow
def test_a_database_locked_by_another_process_for_long_delays_the_ledger_and_no_call(home: House) -> None:
    home.forget_budgets()  # theirs are accounts that have to be asked for
    home.start()
    locker = sqlite3.connect(home.home / "farthing.db")
    locker.execute("BEGIN IMMEDIATE")
    locked_until = time.monotonic() + max(7.0, 30.0 * min(SCALE, 1))
    tasks, rounds = set[str](), 0
    while time.monotonic() < locked_until:
        began = time.monotonic()
        tasks |= set(answered(home, f"locked-{rounds}"))
        assert time.monotonic() - began < 5, "no call waits for the database"
        rounds += 1
        time.sleep(0.2)  # the lock lasts as long as it lasts
    assert len(tasks) == rounds * len(CASES)
    assert not ready(home)["store_reachable"]
    assert segments(home.home / "journal")
    locker.rollback()
    locker.close()
    until(lambda: ready(home)["store_reachable"], "the ledger catches up")
    home.stop()
    assert set(home.kept()) == tasks


def test_a_start_beside_a_locked_database_says_so_and_keeps_the_journal(home: House) -> None:
    home.start(CrashPoint.SETTLED)
    home.ask(CrashPoint.SETTLED, [CHAT])
    home.wait_for_death()
    locker = sqlite3.connect(home.home / "farthing.db")
    locker.execute("BEGIN IMMEDIATE")
    home.start(ready=False)
    assert home.process is not None
    assert home.process.wait(30) == 1
    assert "another process is writing for long; try again" in home.log()
    assert segments(home.home / "journal")
    locker.rollback()
    locker.close()
    assert set(home.restart_and_settle()) == {f"{CrashPoint.SETTLED}-chat"}


def overwritten(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(path.stat().st_size - 4096))


def zeroed(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def cut_short(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 3 // 4096 * 4096)


def cut_to_nothing(path: Path) -> None:
    os.truncate(path, 0)


DAMAGES = (overwritten, zeroed, cut_short, cut_to_nothing)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_database_is_refused_at_the_start_and_a_backup_and_the_journal_bring_all_back(
    home: House, damage: Callable[[Path], None]
) -> None:
    home.start()
    before = answered(home, "before")
    home.stop()
    backup = home.home.with_name("backup.tar.gz")
    home.farthing("backup", str(backup))
    home.start(CrashPoint.CLOSING)
    after = answered(home, "after")
    assert home.process is not None
    home.process.terminate()
    home.wait_for_death()
    journal = {path.name: path.read_bytes() for path in segments(home.home / "journal")}
    damage(home.home / "farthing.db")
    for side in ("-wal", "-shm"):
        (home.home / f"farthing.db{side}").unlink(missing_ok=True)

    home.start(ready=False)
    assert home.process.wait(30) == 1
    told = home.log()[-1_500:]
    assert "restore PATH --replace" in told, told
    assert "Traceback" not in told
    assert {path.name: path.read_bytes() for path in segments(home.home / "journal")} == journal

    home.farthing("restore", "--replace", str(backup))
    assert set(home.restart_and_settle()) == {*before, *after}


def test_a_database_damaged_under_a_gateway_stops_the_ledger_and_no_call(home: House) -> None:
    home.forget_budgets()  # theirs are accounts that have to be asked for
    home.start()
    before = answered(home, "before")
    home.stop()
    shutil.copyfile(home.home / "farthing.db", home.home.with_name("copy"))
    home.start()
    whole = (home.home / "farthing.db").read_bytes()
    overwritten(home.home / "farthing.db")
    after = answered(home, "after")
    assert len(after) == len(CASES)
    until(lambda: not ready(home)["store_reachable"], "it is noticed")
    assert request(home.port, "GET", "/ready").status == 503
    after += answered(home, "later")
    assert len(after) == 2 * len(CASES)
    home.kill()
    (home.home / "farthing.db").write_bytes(whole)  # as a restore does
    for side in ("-wal", "-shm"):
        (home.home / f"farthing.db{side}").unlink(missing_ok=True)
    assert set(home.restart_and_settle()) == {*before, *after}


def test_a_log_of_the_database_that_was_cut_leaves_books_that_agree(home: House) -> None:
    home.start(CrashPoint.STORE_COMMITTED, "--batch", str(len(CASES)))
    for client in home.ask("kept", CASES):
        client.join()
    home.wait_for_death()
    wal = home.home / "farthing.db-wal"
    os.truncate(wal, wal.stat().st_size - 5_000)  # the last commit is not whole any more
    # What the cut took away was in the journal still, because nobody had told the ledger that it was committed.
    assert set(home.restart_and_settle()) == {f"kept-{case}" for case in CASES}


@pytest.mark.parametrize("step_s", [-7_200, 7_200])
def test_a_clock_that_is_stepped_by_hours_changes_no_bill(home: House, step_s: int) -> None:
    offset = home.home / "offset"
    offset.write_text("0")
    home.start(CrashPoint.CLOSED, "--clock", str(offset))
    done = answered(home, "before")
    home.stage.hold(pieces=True)
    flowing = home.ask("flowing", STREAMS)
    for client in flowing:
        assert client.first.wait(10)
    step(offset, step_s)
    home.stage.end.set()
    for client in flowing:
        client.join()
        assert client.whole
        done.append(client.task)
    done += answered(home, "after")
    step(offset, 0)
    done += answered(home, "back")
    assert len(done) == 3 * len(CASES) + len(STREAMS), "no call is refused for it"
    assert home.process is not None
    home.process.terminate()
    home.wait_for_death()
    kept = home.restart_and_settle()
    assert set(kept) == set(done)
    for case in CASES:
        for when in ("before", "after", "back"):
            assert kept[f"{when}-{case}"].cost_nanousd == case.cost
    assert {kept[client.task].cost_nanousd for client in flowing} == {COST}


@pytest.mark.parametrize("step_s", [-7_200, 7_200])
def test_a_crash_after_the_clock_was_stepped_bills_a_second_more_and_no_hours(home: House, step_s: int) -> None:
    offset = home.home / "offset"
    offset.write_text("0")
    home.start(CrashPoint.CHECKPOINTED, "--after", str(len(STREAMS)), "--clock", str(offset))
    home.stage.hold(pieces=True)
    flowing = home.ask("flowing", STREAMS)
    for client in flowing:
        assert client.first.wait(10)
    step(offset, step_s)
    home.wait_for_death()
    found = home.in_flight()
    kept = home.restart_and_settle()
    assert set(kept) == {client.task for client in flowing}
    for task, attempt in kept.items():
        progress = found[task].progress
        assert progress is not None
        written, billed = progress.usage.output_tokens, attempt.usage.output_tokens
        assert written is not None
        assert billed is not None
        assert written <= billed <= 2 * written


def step(offset: Path, seconds: int) -> None:
    draft = offset.with_suffix(".new")
    draft.write_text(str(seconds))
    draft.replace(offset)
