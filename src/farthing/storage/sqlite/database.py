"""Open the database file, bring its tables up to date, and turn SQLite's complaints into ours.

Migrations run in one transaction together with the version they lead to, so that a crash leaves either the old tables
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

from farthing.config.home_files import give_to_owner, way_out
from farthing.config.paths import Home
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
    """Return a connection for reading and writing to the up-to-date database at `path`, made where there never was one.

    Raises:
        StoreError: it cannot be opened, was lost, is no database of ours, or is newer than the program.
    """
    make_database(path)
    try:
        os.close(os.open(path, os.O_RDWR))
        refuse_empty(path)
        if os.name == "posix" and path.stat().st_mode & 0o077:
            path.chmod(FILE_MODE)
    except OSError as error:
        raise _unusable(path, error) from error
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            connection.set_busy_timeout(BUSY_TIMEOUT_MS)
            _check_owner(connection, path)
            connection.pragma("journal_mode", "WAL")
            connection.pragma("synchronous", SYNCHRONOUS)
            # A batch that is inserted keeps what undoes it in a temporary file otherwise, and the roll-up its rows:
            # neither shall fail because another disk is full. A few MB at most.
            connection.pragma("temp_store", "MEMORY")
            _migrate(connection, path, migrations)
        except BaseException:
            connection.close()
            raise
    except apsw.Error as error:
        raise store_error(path, error) from error
    return connection


def open_reader(path: Path) -> apsw.Connection:
    """Return a connection for reading only, to a database that is there; nothing is migrated.

    On a file system that can only be read, SQLite cannot make the files that readers share. Where no log lies beside
    the database either, nobody is changing it, and it needs none.

    Raises:
        StoreError: it cannot be opened, or was lost.
    """
    refuse_lost(path)
    flags, name = apsw.SQLITE_OPEN_READONLY, str(path)
    log = path.with_name(f"{path.name}-wal")
    try:
        os.close(os.open(path, os.O_RDONLY))
        refuse_empty(path)
        if is_read_only(path.parent) and not (log.exists() and log.stat().st_size):
            flags, name = flags | apsw.SQLITE_OPEN_URI, f"{path.absolute().as_uri()}?immutable=1"
        connection = apsw.Connection(name, flags=flags)
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    except OSError as error:
        raise _unusable(path, error) from error
    except apsw.Error as error:
        raise store_error(path, error) from error
    return connection


def open_current(path: Path, migrations: Sequence[Migration]) -> apsw.Connection:
    """Return a connection for reading only to a database whose tables are up to date.

    Raises:
        StoreError: as `open_database`; or its tables are older, and cannot be brought up to date.
    """
    connection = open_reader(path)
    try:
        try:
            _check_owner(connection, path)
            is_current = _version(connection, path, len(migrations)) == len(migrations)
        except BaseException:
            connection.close()
            raise
    except apsw.Error as error:
        raise store_error(path, error) from error
    if not is_current:
        connection.close()
        raise StoreError(
            f"The ledger's database {str(path)!r} has older tables, and can only be read.",
            hint="copy the home to where it can be written.",
        )
    return connection


def is_read_only(folder: Path) -> bool:
    """Whether the folder's file system can only be read: mounted so, or made so by the system when its disk failed."""
    return os.name == "posix" and bool(os.statvfs(folder).f_flag & os.ST_RDONLY)


def make_database(path: Path) -> None:
    """Make the file of a new database, where there is none and never was one.

    Raises:
        StoreError: it was lost, a restore is not finished, or the folder cannot be written.
    """
    refuse_half_restored(path)
    refuse_lost(path)
    if not path.exists():
        begin_database(path)


def begin_database(path: Path) -> None:
    """Make the file of a new database; where another process was faster, theirs counts.

    Raises:
        StoreError: the folder cannot be written.
    """
    try:
        _make(path)
    except OSError as error:
        raise _unusable(path, error) from error
    except apsw.Error as error:
        raise store_error(path, error) from error


def refuse_lost(path: Path) -> None:
    """Raise where the file is missing and something is there that is made only beside it.

    A new and empty ledger in its place would look like one in which nothing was ever spent, and no client's key would
    count any more; and put back later, the old file would find the new one's log beside it.
    """
    try:
        left = Home(path.parent).outlived_the_database()
        lost = bool(left) and not path.exists()  # in this order: whoever makes both makes the database first
    except OSError as error:
        raise _unusable(path, error) from error
    if lost:
        raise StoreError(
            f"The ledger's database {str(path)!r} is missing; it was there before: {', '.join(left)} still"
            f" {'is' if len(left) == 1 else 'are'}.",
            hint=f"put the file back, or {_OR_A_BACKUP}",
        )


_OR_A_BACKUP = (
    'stop the server and restore a backup ("farthing restore PATH --replace");'
    ' without one, "farthing ledger new" begins a new ledger.'
)


def _unusable(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"The ledger's database {str(path)!r} cannot be opened: {error.strerror}.", hint=way_out(error, path.parent)
    )


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
    'stop the server and restore a backup ("farthing restore PATH --replace" keeps what is there aside); without one,'
    ' "farthing ledger new" begins a new ledger. "farthing ledger verify" shows what is wrong.'
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
    try:
        try:
            give_to_owner(descriptor, path.parent)  # what SQLite makes beside it follows its owner
        finally:
            os.close(descriptor)
        connection = apsw.Connection(aside, flags=apsw.SQLITE_OPEN_READWRITE)
        connection.pragma("application_id", APPLICATION_ID)
        connection.close()
        os.link(aside, path)
    except FileExistsError:
        pass  # another process was first; theirs counts
    finally:
        Path(aside).unlink()


def refuse_empty(path: Path) -> None:
    """Raise where the file holds nothing at all: a new one has a header from the beginning."""
    if path.stat().st_size == 0:
        raise StoreError(f"The ledger's database {str(path)!r} is empty: it was cut to nothing.", hint=_OR_A_BACKUP)


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
    if version == newest:
        return
    # All in one transaction: a process that opens a new database meanwhile must not find half of its tables, and take
    # them for an older program's, of which a copy is to be made.
    connection.execute("BEGIN IMMEDIATE")
    try:
        for migration in migrations[version:]:
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
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
        try:
            give_to_owner(descriptor, path.parent)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StoreError(
            f"The copy {str(target)!r}, made before the store is migrated, cannot be written: {error.strerror}.",
            hint="make room, or check the folder's owner.",
        ) from error
    connection.execute("VACUUM INTO ?", (str(target),))
