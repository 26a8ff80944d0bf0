"""Look at a database file without bringing it up to date: which version it is, and whether it is whole."""

from pathlib import Path

import apsw
import msgspec

from farthing.storage.sqlite.database import APPLICATION_ID, open_reader, shipped_migrations, store_error
from farthing.storage.sqlite.sql import query

_MAX_COMPLAINTS = 5
"""Enough to see what kind of trouble it is."""


_EMPTY = "SELECT count(*) = 0 FROM sqlite_schema"  # whoever has made it, we can have it


class DatabaseState(msgspec.Struct, frozen=True):
    """What a file is: `version` is its tables', `newest` the one that this program knows."""

    ours: bool
    version: int
    newest: int
    damage: tuple[str, ...]


def inspect_database(path: Path) -> DatabaseState:
    """Return the state of the database at `path`; nothing is written.

    Raises:
        StoreError: it cannot be opened or is no database.
    """
    connection = open_reader(path)
    try:
        owner = connection.pragma("application_id")
        ours = owner == APPLICATION_ID or (owner == 0 and connection.execute(_EMPTY).get == 1)
        version = connection.pragma("user_version")
        rows = connection.execute(f"PRAGMA quick_check({_MAX_COMPLAINTS})").fetchall()
    except apsw.Error as error:
        raise store_error(path, error) from error
    finally:
        connection.close()
    damage = tuple(str(row[0]) for row in rows if row[0] != "ok")
    return DatabaseState(ours, version if isinstance(version, int) else 0, len(shipped_migrations()), damage)


def migrations_wait(path: Path) -> bool:
    """Return whether the tables of the database at `path` are older than this program's; nothing is written."""
    connection = open_reader(path)
    try:
        version = connection.pragma("user_version")
    except apsw.Error as error:
        raise store_error(path, error) from error
    finally:
        connection.close()
    return isinstance(version, int) and 0 < version < len(shipped_migrations())


def keys_in_use(path: Path) -> int:
    """Return how many keys count in the database at `path`; none where there is no database, or no table yet.

    Raises:
        StoreError: it cannot be read, or was lost.
    """
    if not path.exists():
        return 0
    connection = open_reader(path)
    try:
        if connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'keys'").get == 0:
            return 0
        count: int = connection.execute(query("keys_in_use")).get
    except apsw.Error as error:
        raise store_error(path, error) from error
    finally:
        connection.close()
    return count
