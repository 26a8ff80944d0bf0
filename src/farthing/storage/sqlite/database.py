"""Open the database file, bring its tables up to date, and turn SQLite's complaints into ours.

A migration runs in one transaction together with the version it leads to, so that a crash leaves either the old tables
or the new ones. Before an existing store is migrated a copy of it is put beside it. A store with a version that this
program does not know is refused: an older program that writes into newer tables does damage that nobody sees.
"""

import os
import tempfile
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path

import apsw
import msgspec

from farthing.errors import StoreError

APPLICATION_ID = 0x46544847  # "FTHG", in the file's header, so that another program's database is recognised
FILE_MODE = 0o600
BUSY_TIMEOUT_MS = 5_000
"""How long a statement waits for another process's write. Our own take about a millisecond; a backup of a big store
takes seconds. The ledger tries again afterwards."""

RESTORING = "restoring"
"""A folder beside the database that holds a restore which was decided and not finished: until it is, nobody opens."""

SYNCHRONOUS = "FULL"
"""A commit is on the disk when it returns; NORMAL would lose the last commits with the power (WAL only)."""


class Migration(msgspec.Struct, frozen=True):
    """One step of the tables: `number` is the version it leads to, `name` its file's name."""

    number: int
    name: str
    script: str


@cache
def shipped_migrations() -> tuple[Migration, ...]:
    """Return the migrations in `migrations/`, in order, without gaps from 1."""
    found = sorted(
        (entry.name, entry.read_text(encoding="utf-8"))
        for entry in (files(__package__) / "migrations").iterdir()
        if entry.name.endswith(".sql")
    )
    migrations = tuple(Migration(int(name[:4]), name, script) for name, script in found)
    assert [one.number for one in migrations] == list(range(1, len(migrations) + 1)), found
    return migrations


def open_database(path: Path, migrations: Sequence[Migration]) -> apsw.Connection:
    """Return a connection for reading and writing to the up-to-date database at `path`, made where it is missing.

    Raises:
        StoreError: it cannot be opened, is no database of ours, or is newer than the program.
    """
    refuse_half_restored(path)
    try:
        if not path.exists():
            _make(path)
        os.close(os.open(path, os.O_RDWR))
        _refuse_empty(path)
        if os.name == "posix" and path.stat().st_mode & 0o077:
            path.chmod(FILE_MODE)
    except OSError as error:
        raise StoreError(
            f"The ledger's database {str(path)!r} cannot be opened: {error.strerror}.",
            hint="check the folder's owner and the free space.",
        ) from error
    except apsw.Error as error:
        raise store_error(path, error) from error
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            connection.set_busy_timeout(BUSY_TIMEOUT_MS)
            _check_owner(connection, path)
            connection.pragma("journal_mode", "WAL")
            connection.pragma("synchronous", SYNCHRONOUS)
            _migrate(connection, path, migrations)
        except BaseException:
            connection.close()
            raise
    except apsw.Error as error:
        raise store_error(path, error) from error
    return connection


def open_reader(path: Path) -> apsw.Connection:
    """Return a second connection, for reading only, to a database that `open_database` has opened."""
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    except apsw.Error as error:
        raise store_error(path, error) from error
    return connection


def store_error(path: Path, error: Exception) -> StoreError:
    """Return SQLite's complaint as ours, with the way out."""
    hints: list[tuple[type[Exception], str]] = [
        (apsw.BusyError, "another process is writing for long; try again."),
        (apsw.FullError, "the disk is full: make room."),
        (apsw.ReadOnlyError, "check who owns the file and its folder."),
        (apsw.CantOpenError, "check who owns the file and its folder."),
        (apsw.CorruptError, _RESTORE),
        (apsw.NotADBError, _RESTORE),
        (apsw.IOError, "check the disk; if the file was cut, stop the server and restore a backup."),
    ]
    hint = next((text for kind, text in hints if isinstance(error, kind)), None)
    return StoreError(f"The ledger's database {str(path)!r} cannot be used: {error}.", hint=hint)


_RESTORE = (
    'stop the server and restore a backup ("farthing restore PATH --replace" keeps what is there aside);'
    ' "farthing ledger verify" shows what is wrong.'
)


def refuse_half_restored(path: Path) -> None:
    """Raise where a restore into this database's folder was begun and not finished."""
    if path.with_name(RESTORING).exists():
        raise StoreError(
            f"A restore into {str(path.parent)!r} was interrupted.", hint='"farthing restore --finish" completes it.'
        )


def _make(path: Path) -> None:
    """Give a new database its name when it has a header, so that an empty file at that name is always a lost one."""
    descriptor, aside = tempfile.mkstemp(prefix=f"{path.name}.new-", dir=path.parent)  # for our eyes only
    os.close(descriptor)
    try:
        connection = apsw.Connection(aside, flags=apsw.SQLITE_OPEN_READWRITE)
        connection.pragma("application_id", APPLICATION_ID)
        connection.close()
        os.link(aside, path)
    except FileExistsError:
        pass  # another process was first; theirs counts
    finally:
        Path(aside).unlink()


def _refuse_empty(path: Path) -> None:
    if path.stat().st_size == 0:
        raise StoreError(
            f"The ledger's database {str(path)!r} is empty: it was cut to nothing.",
            hint='restore a backup ("farthing restore PATH --replace"); without one, remove the file to begin anew.',
        )


def _check_owner(connection: apsw.Connection, path: Path) -> None:
    owner = connection.pragma("application_id")
    empty = connection.execute("SELECT count(*) FROM sqlite_schema").get == 0
    if owner != APPLICATION_ID and not empty:
        raise StoreError(
            f"{str(path)!r} is a database of another program (application id {owner}).",
            hint="choose another home with --home or FARTHING_HOME.",
        )


def _migrate(connection: apsw.Connection, path: Path, migrations: Sequence[Migration]) -> None:
    newest = len(migrations)
    version = _version(connection, path, newest)
    if 0 < version < newest:
        _back_up(connection, path, version)
    for migration in migrations[version:]:
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Another process may have been faster while we waited for the lock.
            if _version(connection, path, newest) < migration.number:
                connection.execute(migration.script)
                connection.pragma("application_id", APPLICATION_ID)
                connection.pragma("user_version", migration.number)
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise


def _version(connection: apsw.Connection, path: Path, newest: int) -> int:
    version = connection.pragma("user_version")
    if not isinstance(version, int) or version > newest:
        raise StoreError(
            f"The ledger's database {str(path)!r} has version {version!r}; this program knows versions up to {newest}.",
            hint="install the newer Farthing again; an older one must not write into it.",
        )
    return version


def _back_up(connection: apsw.Connection, path: Path, version: int) -> None:
    """Put a copy beside the store; a copy that a failed try left behind is made anew."""
    target = path.with_name(f"{path.name}.before-{version + 1:04d}")
    try:
        target.unlink(missing_ok=True)
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE))
    except OSError as error:
        raise StoreError(
            f"The copy {str(target)!r}, made before the store is migrated, cannot be written: {error.strerror}.",
            hint="make room, or check the folder's owner.",
        ) from error
    connection.execute("VACUUM INTO ?", (str(target),))
