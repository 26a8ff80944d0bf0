"""What is particular about lines that expire in SQLite: numbers of rows, sums that do not fit, a death in between."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from farthing.ledger.verify import verify
from farthing.storage.sqlite import SqliteStore
from farthing.types.history import CLIENTS_STATUSES
from tests.contracts.ledger_samples import DAY_US, NOON_US, InPlace, attempt

ROOT = Path(__file__).resolve().parents[3]
MOST = (1 << 63) - 1
LATER_US = NOON_US + 30 * DAY_US


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(tmp_path / "farthing.db", InPlace())
    await store.open()
    yield store
    await store.close()


async def test_the_last_line_stays_so_that_its_number_is_not_given_again(store: SqliteStore) -> None:
    await store.append([attempt(number) for number in range(5)])
    await store.roll_up(100)
    assert await store.retention.expire(LATER_US, 100, LATER_US) == 4
    assert await store.retention.expire(LATER_US, 100, LATER_US) == 0
    await store.append([attempt(9)])
    assert await store.roll_up(100) == 1
    assert await store.damage() == []


async def test_what_is_not_rolled_up_waits(store: SqliteStore) -> None:
    await store.append([attempt(number) for number in range(5)])
    await store.roll_up(2)
    assert await store.retention.expire(LATER_US, 100, LATER_US) == 2


async def test_a_copy_keeps_the_numbers_of_the_rows_that_are_left(store: SqliteStore, tmp_path: Path) -> None:
    await store.append([attempt(number) for number in range(9)])
    await store.roll_up(100)
    await store.retention.expire(LATER_US, 4, LATER_US)
    assert store.connections.writer is not None
    store.connections.writer.execute("VACUUM INTO ?", (str(tmp_path / "copy.db"),))
    copy = SqliteStore(tmp_path / "copy.db", InPlace())
    await copy.open()
    await copy.append([attempt(9)])
    assert await copy.roll_up(100) == 1
    assert await copy.damage() == []
    assert (await copy.costs(None))[0].attempts == 10
    await copy.close()


async def test_sums_that_do_not_fit_do_not_keep_lines_from_expiring(store: SqliteStore) -> None:
    await store.append([attempt(1, cost_nanousd=MOST)])
    await store.append([attempt(2, cost_nanousd=MOST), attempt(3)])
    await store.roll_up(100)
    assert await store.retention.expire(LATER_US, 100, LATER_US) == 2
    await store.rebuild_totals()
    assert (await store.daily_totals())[0].cost_nanousd == MOST


_DIES = """
import asyncio, os, signal, sys
from pathlib import Path
from farthing.storage.sqlite import SqliteStore
from tests.contracts.ledger_samples import InPlace

async def main(path, at):
    store = SqliteStore(Path(path), InPlace())
    await store.open()

    def look(_, sql, __):
        if at in sql:
            os.kill(os.getpid(), signal.SIGKILL)
        return True

    if at == "commit":
        store.connections.writer.set_commit_hook(lambda: os.kill(os.getpid(), signal.SIGKILL))
    else:
        store.connections.writer.exec_trace = look
    await store.retention.expire(1 << 60, 7, 5)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("at", ["INTO expired_attempts", "DELETE FROM attempts", "UPDATE retention", "commit"])
async def test_a_death_in_the_midst_of_it_leaves_lines_or_sums_and_never_both(at: str, tmp_path: Path) -> None:
    path = tmp_path / "farthing.db"
    store = SqliteStore(path, InPlace())
    await store.open()
    await store.append([attempt(number) for number in range(20)])
    await store.roll_up(100)
    await store.retention.expire(LATER_US, 5, LATER_US)
    before = (await store.costs("session"), await store.daily_totals_recomputed(), await store.retention.retained())
    await store.close()
    ended = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _DIES, str(path), at), env={"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "PATH": ""}
    )
    async with asyncio.timeout(30):
        assert await ended.wait() == -signal.SIGKILL
    store = SqliteStore(path, InPlace())
    await store.open()
    after = (await store.costs("session"), await store.daily_totals_recomputed(), await store.retention.retained())
    assert after == before
    assert await verify(store, tmp_path / "journal", InPlace(), now_us=LATER_US, budgets=store.budgets) == []
    assert await store.retention.expire(LATER_US, 100, LATER_US) == 14
    assert await store.costs("session") == before[0]
    await store.close()


async def test_the_statuses_that_are_the_clients_fault_are_the_same_in_the_view(store: SqliteStore) -> None:
    assert store.connections.writer is not None
    view = store.connections.writer.execute("SELECT sql FROM sqlite_schema WHERE name = 'attempt_sums'").get
    assert f"NOT IN ({', '.join(map(str, CLIENTS_STATUSES))})" in str(view)
