"""Copy a database that may be in use, and say whether a copy can be used.

SQLite's own backup takes all pages under one read transaction, so the copy is what one moment's reader would see, and a
gateway goes on committing beside it. The copy is a single file: it leaves the write-ahead log behind.
"""

import os
from pathlib import Path

import apsw

from farthing.errors import StoreError
from farthing.storage.sqlite.database import FILE_MODE, open_reader, store_error
from farthing.storage.sqlite.inspection import inspect_database


def copy_database(source: Path, target: Path) -> None:
    """Write a consistent copy of the database at `source` into the new file `target`.

    Raises:
        StoreError: the database cannot be read, or there is no room for the copy.
    """
    reader = open_reader(source)
    try:
        os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL, FILE_MODE))
        copy = apsw.Connection(str(target), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            with copy.backup("main", reader, "main") as backup:
                while not backup.done:
                    backup.step(-1)  # all at once: in portions it begins anew whenever the gateway commits between two
            copy.pragma("journal_mode", "DELETE")
        finally:
            copy.close()
    except apsw.Error as error:
        raise store_error(source, error) from error
    except OSError as error:
        raise StoreError(
            f"The copy {str(target)!r} cannot be written: {error.strerror or error}.",
            hint="choose another place, or make room.",
        ) from error
    finally:
        reader.close()


def usable_version(copy: Path) -> int:
    """Return the version of a copy's tables, having looked at every page.

    Raises:
        StoreError: it is damaged, not ours, or newer than this program.
    """
    state = inspect_database(copy)
    if state.damage:
        raise StoreError(
            f"The database is damaged: {'; '.join(state.damage)}.",
            hint='"farthing ledger verify" shows more; an earlier backup may be whole.',
        )
    if not state.ours:
        raise StoreError(
            f"{copy.name!r} is a database of another program.", hint="choose another home with --home or FARTHING_HOME."
        )
    if state.version > state.newest:
        raise StoreError(
            f"The database has version {state.version}; this program knows versions up to {state.newest}.",
            hint="install the newer Farthing again.",
        )
    return state.version
