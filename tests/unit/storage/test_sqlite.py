import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest

from farthing.errors import StoreError
from farthing.ledger.rebuild import rebuild
from farthing.storage.protocols import RowsRefused
from farthing.storage.rows import COLUMNS
from farthing.storage.sqlite import SqliteStore
from farthing.storage.sqlite.database import APPLICATION_ID, Migration, open_database, shipped_migrations
from farthing.storage.sqlite.inspection import inspect_database, keys_in_use
from farthing.storage.sqlite.sql import query
from farthing.types.ledger import CostsRow, DailyTotal
from tests.contracts.ledger_samples import DAY_US, NOON_US, InPlace, attempt

SECOND = Migration(len(shipped_migrations()) + 1, "next.sql", "ALTER TABLE keys ADD COLUMN note TEXT;")


@pytest.fixture
async def path(tmp_path: Path) -> AsyncIterator[Path]:
    """A database with one attempt in it."""
    path = tmp_path / "farthing.db"
    store = SqliteStore(path, InPlace())
    await store.open()
    await store.append([attempt(1)])
    yield path
    await store.close()


async def test_the_files_are_for_their_owner_only(path: Path) -> None:
    files = list(path.parent.iterdir())
    assert len(files) == 3  # the database, its log and the log's index
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "farthing.db"
    open_database(path, shipped_migrations()).close()
    path.chmod(0o644)
    open_database(path, shipped_migrations()).close()
    assert path.stat().st_mode & 0o777 == 0o600


async def test_commits_are_on_the_disk_when_they_return(path: Path) -> None:
    store = SqliteStore(path, InPlace())
    await store.open()
    assert store.connections.writer is not None
    assert store.connections.writer.pragma("journal_mode") == "wal"
    assert store.connections.writer.pragma("synchronous") == 2  # FULL
    assert store.connections.writer.pragma("application_id") == APPLICATION_ID
    await store.close()


def test_a_batch_needs_room_on_no_other_disk(tmp_path: Path) -> None:
    connection = open_database(tmp_path / "farthing.db", shipped_migrations())
    in_memory = 2  # so a statement's own journal and the roll-up's rows are
    assert connection.pragma("temp_store") == in_memory
    connection.close()


async def test_a_store_newer_than_the_program_is_refused(path: Path) -> None:
    newer = SqliteStore(path, InPlace(), migrations=[*shipped_migrations(), SECOND])
    await newer.open()
    await newer.close()
    told = rf"has version {SECOND.number}; this program knows versions up to {SECOND.number - 1}.*newer Farthing"
    with pytest.raises(StoreError, match=told):
        await SqliteStore(path, InPlace()).open()


async def test_a_migration_makes_a_copy_first(path: Path) -> None:
    newer = SqliteStore(path, InPlace(), migrations=[*shipped_migrations(), SECOND])
    await newer.open()
    assert [a.opening.attempt_id for a in await newer.attempts_after("", 9)] == ["att_000001"]
    await newer.close()
    copy = path.with_name(f"farthing.db.before-{SECOND.number:04d}")
    assert copy.stat().st_mode & 0o777 == 0o600
    old = SqliteStore(copy, InPlace())
    await old.open()
    assert await old.known(["att_000001"]) == {"att_000001"}
    await old.close()


async def test_a_migration_that_fails_leaves_the_tables_as_they_were(path: Path) -> None:
    broken = Migration(
        SECOND.number, "broken.sql", "CREATE TABLE half (x INTEGER) STRICT; INSERT INTO nowhere VALUES (1);"
    )
    with pytest.raises(StoreError, match="nowhere"):
        await SqliteStore(path, InPlace(), migrations=[*shipped_migrations(), broken]).open()
    store = SqliteStore(path, InPlace())
    await store.open()
    assert store.connections.writer is not None
    assert store.connections.writer.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'half'").get == 0
    await store.close()


async def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE theirs (x)")
    other.close()
    with pytest.raises(StoreError, match="another program"):
        await SqliteStore(path, InPlace()).open()


async def test_a_file_that_is_no_database_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "farthing.db"
    path.write_bytes(b"not a database at all, but long enough to be looked at" * 50)
    with pytest.raises(
        StoreError, match=r"farthing\.db' cannot be used: file is not a database.*farthing restore PATH --replace"
    ):
        await SqliteStore(path, InPlace()).open()


async def test_a_file_that_was_cut_to_nothing_is_no_new_ledger(path: Path) -> None:
    os.truncate(path, 0)
    with pytest.raises(StoreError, match=r"is empty: it was cut to nothing.*restore a backup.*ledger new"):
        await SqliteStore(path, InPlace()).open()


def test_a_new_database_has_a_header_as_soon_as_it_has_its_name(tmp_path: Path) -> None:
    path = tmp_path / "farthing.db"
    open_database(path, []).close()
    with path.open("rb") as file:
        assert file.read(16) == b"SQLite format 3\0"
    assert [one.name for one in tmp_path.iterdir()] == ["farthing.db"]
    open_database(path, shipped_migrations()).close()  # a start that died before its tables were made


def test_processes_that_make_a_database_at_once_agree_on_one(tmp_path: Path) -> None:
    path = tmp_path / "farthing.db"
    # Processes and not threads: closing a file gives away all the locks that its process has on it.
    made = [subprocess.Popen([sys.executable, "-c", _OPENS, str(path)]) for _ in range(4)]
    assert [process.wait(30) for process in made] == [0] * 4
    assert inspect_database(path).version == len(shipped_migrations())
    assert not list(tmp_path.glob("*.new-*"))


_OPENS = """
import pathlib, sys
from farthing.storage.sqlite.database import open_database, shipped_migrations
open_database(pathlib.Path(sys.argv[1]), shipped_migrations()).close()
"""


async def test_totals_that_were_spoiled_are_right_again_and_others_saw_the_old_ones_until_then(path: Path) -> None:
    store = SqliteStore(path, InPlace())
    await store.open()
    await store.append([attempt(2, started_at_us=NOON_US - DAY_US)])
    right = await store.daily_totals()
    with sqlite3.connect(path) as other:
        other.execute("UPDATE daily_totals SET cost_nanousd = 1 WHERE day = '2026-11-18'")
        other.execute("DELETE FROM daily_totals WHERE day = '2026-11-17'")
    other.close()
    done = await rebuild(store)
    assert done.totals == 2
    assert [(one.kind, one.subject.split()[0]) for one in done.differed] == [
        ("totals", "2026-11-17"),
        ("totals", "2026-11-18"),
    ]
    assert "cost_nanousd is 1, the attempts add up to 1001" in done.differed[1].message
    assert await store.daily_totals() == right
    await store.close()


async def test_totals_that_cannot_be_made_again_stay_as_they_were(path: Path) -> None:
    store = SqliteStore(path, InPlace())
    await store.open()
    before = await store.daily_totals()
    with sqlite3.connect(path) as other:
        other.execute("DROP VIEW attempt_sums")
    other.close()
    with pytest.raises(StoreError):
        await rebuild(store)
    assert await store.daily_totals() == before
    await store.close()


async def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="gone"):
        await SqliteStore(tmp_path / "gone" / "farthing.db", InPlace()).open()


async def test_a_store_that_is_not_open_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is not open"):
        await SqliteStore(tmp_path / "farthing.db", InPlace()).known([])


async def test_a_batch_that_fails_leaves_nothing_behind(path: Path) -> None:
    store = SqliteStore(path, InPlace())
    await store.open()
    with pytest.raises(RowsRefused):
        await store.append([attempt(2), attempt(3, cost_nanousd=1 << 64)])
    assert await store.known(["att_000002"]) == set()
    assert await store.append([attempt(2)]) == 1
    await store.close()


async def test_a_total_that_no_longer_fits_stops_at_the_largest_and_refuses_nothing(path: Path) -> None:
    store = SqliteStore(path, InPlace())
    await store.open()
    await store.append([attempt(2, cost_nanousd=(1 << 63) - 10_000)])
    assert await store.append([attempt(3, cost_nanousd=10_000)]) == 1
    assert await store.append([attempt(4, cost_nanousd=10_000)]) == 1
    (total,) = await store.daily_totals()
    assert (total.cost_nanousd, total.attempts) == ((1 << 63) - 1, 4)
    await store.close()


async def test_a_batch_whose_own_sum_does_not_fit_is_added_row_by_row(path: Path) -> None:
    store = SqliteStore(path, InPlace())
    await store.open()
    most = (1 << 63) - 1
    assert await store.append([attempt(2, cost_nanousd=most), attempt(3, cost_nanousd=most), attempt(4)]) == 3
    (total,) = await store.daily_totals()
    assert (total.cost_nanousd, total.attempts) == (most, 4)
    await store.close()


async def test_rows_that_cannot_be_kept_are_told_from_a_store_that_is_away(path: Path) -> None:
    store = SqliteStore(path, InPlace())
    await store.open()
    for wrong in (attempt(2, error_message="\ud800"), attempt(2, outcome=None), attempt(2, http_status="x")):
        with pytest.raises(RowsRefused, match="refuses these attempts"):
            await store.append([attempt(3), wrong])
    assert await store.known(["att_000003"]) == set()
    await store.close()


async def test_a_database_that_is_deleted_or_replaced_is_noticed(path: Path) -> None:
    store = SqliteStore(path, InPlace())
    await store.open()
    assert await store.intact()
    away = path.rename(path.with_name("away"))  # noqa: ASYNC240 - nothing else runs here
    assert not await store.intact()
    path.write_bytes(away.read_bytes())  # noqa: ASYNC240 - as above
    assert not await store.intact()
    away.rename(path)
    assert await store.intact()
    await store.close()


async def test_a_database_locked_by_another_process_is_a_store_error(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("farthing.storage.sqlite.database.BUSY_TIMEOUT_MS", 1)
    store = SqliteStore(path, InPlace())
    await store.open()
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match=r"locked.*another process"):
        await store.append([attempt(2)])
    other.execute("ROLLBACK")
    assert await store.append([attempt(2)]) == 1
    other.close()
    await store.close()


def test_columns_stand_in_the_order_of_rows() -> None:
    text = query("attempt_insert")
    listed = re.search(r"\((.*?)\)", text.split("INSERT INTO attempts")[1], re.DOTALL)
    assert listed is not None
    assert tuple(name.strip() for name in listed[1].split(",")) == COLUMNS
    table = re.search(r"CREATE TABLE attempts \((.*?)\n\) STRICT", shipped_migrations()[0].script, re.DOTALL)
    assert table is not None
    lines = [line.split()[0] for line in table[1].strip().splitlines() if not line.strip().startswith("--")]
    added = [
        name for later in shipped_migrations()[1:] for name in re.findall(r"attempts ADD COLUMN (\w+)", later.script)
    ]
    assert tuple(lines) == tuple(name for name in COLUMNS if name not in added)
    assert {*lines, *added} == {*COLUMNS}


def test_every_query_says_what_it_is() -> None:
    folder = Path(query.__wrapped__.__code__.co_filename).parent / "queries"
    files = sorted(folder.glob("*.sql"))
    assert len(files) > 15
    assert [file.name for file in files if not file.read_text().startswith("-- ")] == []


def test_sums_in_sql_stand_in_the_types_order() -> None:
    costs = re.findall(r" AS (\w+),?$", query("costs"), re.MULTILINE)
    short = {"cost": "cost_nanousd", "label": "group", "reported_only": "reported_only_nanousd"}
    short |= {"reported_cost": "reported_cost_nanousd", "comparable_cost": "comparable_cost_nanousd"}
    assert tuple(short.get(name, name) for name in costs) == CostsRow.__struct_fields__
    totals = re.findall(r" AS (\w+),?$", query("daily_totals_recomputed"), re.MULTILINE)
    assert tuple(totals) == DailyTotal.__struct_fields__[4:]


async def test_keys_of_older_tables_go_on_counting_and_are_read_as_new(tmp_path: Path) -> None:
    names = [migration.name[5:] for migration in shipped_migrations()]
    before = shipped_migrations()[: names.index("keys_that_live.sql")]
    path = tmp_path / "farthing.db"
    old = open_database(path, before)
    for number in (1, 2, 3):
        told = (f"key_{number}", f"k{number}", "ft-abcdef", bytes([number]) * 32, number, "acme", "blue", "s1", 2**60)
        old.execute(
            "INSERT INTO keys (id, name, shown, digest, created_at_us, organisation, team, session, expires_at_us)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            told,
        )
    old.execute("DELETE FROM keys WHERE id = 'key_2'")
    counter: Any = old.execute("SELECT counter FROM changes").get
    old.close()
    store = SqliteStore(path, InPlace())
    await store.open()
    records = await store.changed_keys(0, 10)
    assert [(one.id, one.name, one.team, one.session, one.expires_at_us) for one in records] == [
        ("key_1", "k1", "blue", "s1", 2**60),
        ("key_3", "k3", "blue", "s1", 2**60),
    ]
    assert await store.change_counter() > max(counter, records[-1].changed)
    assert await store.add_key(msgspec.structs.replace(records[0], id="key_4", name="k4", digest=b"4" * 32))
    assert keys_in_use(path) == 3
    await store.close()
