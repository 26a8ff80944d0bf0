"""Copies of a database in use, and what is said of a copy that cannot be used."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from farthing.errors import StoreError
from farthing.storage.sqlite import SqliteStore
from farthing.storage.sqlite.copies import copy_database, usable_version
from farthing.storage.sqlite.database import APPLICATION_ID, shipped_migrations
from tests.contracts.ledger_samples import InPlace


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    async def make() -> None:
        store = SqliteStore(tmp_path / "farthing.db", InPlace())
        await store.open()
        await store.close()

    asyncio.run(make())
    return tmp_path / "farthing.db"


def test_a_copy_holds_what_was_committed_beside_it_and_not_what_was_not(ledger: Path, tmp_path: Path) -> None:
    writer = sqlite3.connect(ledger, isolation_level=None)
    writer.execute("CREATE TABLE seen (n)")
    writer.execute("INSERT INTO seen VALUES (1)")
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("INSERT INTO seen VALUES (2)")
    copy_database(ledger, tmp_path / "copy")
    writer.execute("COMMIT")
    writer.close()
    copy = sqlite3.connect(tmp_path / "copy")
    assert copy.execute("SELECT n FROM seen").fetchall() == [(1,)]
    assert copy.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    copy.close()
    assert usable_version(tmp_path / "copy") == len(shipped_migrations())
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o600
    assert {path.name for path in tmp_path.iterdir() if path.name.startswith("copy")} == {"copy"}


def test_a_copy_is_never_written_over_a_file(ledger: Path, tmp_path: Path) -> None:
    (tmp_path / "copy").write_text("somebody's file")
    with pytest.raises(StoreError, match="cannot be written: File exists") as told:
        copy_database(ledger, tmp_path / "copy")
    assert told.value.hint == "choose another place, or make room."
    assert (tmp_path / "copy").read_text() == "somebody's file"


def test_a_place_that_is_not_there_is_named(ledger: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="No such file or directory"):
        copy_database(ledger, tmp_path / "none" / "copy")


def test_what_is_no_database_is_not_copied(tmp_path: Path) -> None:
    (tmp_path / "farthing.db").write_bytes(b"no database " * 1_000)
    with pytest.raises(StoreError):
        copy_database(tmp_path / "farthing.db", tmp_path / "copy")


def a_database(path: Path, *, application: int, version: int) -> Path:
    made = sqlite3.connect(path)
    made.execute(f"PRAGMA application_id = {application}")
    made.execute(f"PRAGMA user_version = {version}")
    made.execute("CREATE TABLE kept (id)")
    made.close()
    return path


def test_a_copy_of_another_programs_database_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="'theirs' is a database of another program"):
        usable_version(a_database(tmp_path / "theirs", application=7, version=1))


def test_a_copy_from_a_newer_program_cannot_be_used_and_the_way_out_is_told(tmp_path: Path) -> None:
    newer = a_database(tmp_path / "newer", application=APPLICATION_ID, version=9_999)
    with pytest.raises(StoreError, match="has version 9999; this program knows versions up to") as told:
        usable_version(newer)
    assert told.value.hint == "install the newer Farthing again."
