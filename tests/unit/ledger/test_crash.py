"""Real processes, really killed: nothing that was answered is lost, nothing is there twice."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from farthing.ledger import Ledger
from farthing.ledger.journal_reader import segments
from farthing.ledger.recovery import recover
from farthing.ledger.verify import verify
from farthing.storage.sqlite import SqliteStore
from farthing.types.calls import Attempt
from tests.contracts.ledger_samples import NOON_US, InPlace, SetClock, attempt
from tests.unit.ledger import crash_victim

ROOT = Path(__file__).parents[3]


def kill_at(point: str, home: Path) -> list[str]:
    """Run a process until it dies at this point; return the ids it had answered."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    victim = subprocess.run(
        [sys.executable, str(Path(crash_victim.__file__)), str(home), point],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert victim.returncode == -signal.SIGKILL, victim.stderr
    return victim.stdout.split()


async def recovered(home: Path) -> list[Attempt]:
    """Recover twice, as an interrupted recovery does; check the books; return what is in them."""
    store = SqliteStore(home / "farthing.db", InPlace())
    await store.open()
    await recover(store, home, InPlace(), now_us=NOON_US + 60_000_000)
    again = await recover(store, home, InPlace(), now_us=NOON_US + 60_000_000)
    assert (again.ended, again.crashed) == (0, 0)
    assert segments(home) == []
    assert await verify(store, home, InPlace(), now_us=NOON_US) == []
    kept = await store.attempts_after("", 10_000)
    await store.close()
    return kept


@pytest.mark.parametrize(("point", "output_tokens"), [("begun", 0), ("checkpointed", 60), ("torn", 60)])
async def test_what_was_in_flight_is_posted_as_crashed(tmp_path: Path, point: str, output_tokens: int) -> None:
    assert kill_at(point, tmp_path) == []
    (crashed,) = await recovered(tmp_path)
    assert (crashed.opening.attempt_id, crashed.outcome) == ("att_000001", "crashed")
    assert crashed.usage.output_tokens == output_tokens


async def test_what_was_answered_and_not_posted_is_posted(tmp_path: Path) -> None:
    assert kill_at("settled", tmp_path) == ["att_000001"]
    assert await recovered(tmp_path) == [attempt(1)]


@pytest.mark.parametrize("point", ["posting", "posted"])
async def test_a_batch_that_was_under_way_is_posted_once(tmp_path: Path, point: str) -> None:
    answered = kill_at(point, tmp_path)
    assert len(answered) == crash_victim.MANY - 1
    kept = await recovered(tmp_path)
    assert kept[:-1] == [attempt(number) for number in range(1, crash_victim.MANY)]
    assert (kept[-1].opening.attempt_id, kept[-1].outcome) == (f"att_{crash_victim.MANY:06d}", "crashed")


async def test_a_ledger_started_after_a_crash_recovers_by_itself(tmp_path: Path) -> None:
    kill_at("posted", tmp_path)
    store = SqliteStore(tmp_path / "farthing.db", InPlace())
    await store.open()
    ledger = Ledger(store, tmp_path, SetClock(), InPlace())
    found = await ledger.start()
    assert found.crashed == 1
    await ledger.close()
    assert await verify(store, tmp_path, InPlace(), now_us=NOON_US) == []
    await store.close()
