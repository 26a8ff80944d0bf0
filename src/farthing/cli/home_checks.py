"""What `farthing doctor` looks at in the home: whose it is, database, pepper, admin, journal."""

import asyncio
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from farthing.cli.checks import Found
from farthing.config.lock import holder
from farthing.config.paths import DIRECTORY_MODE, FILE_MODE, Home
from farthing.config.storage_place import database_of
from farthing.errors import ConfigError, StoreError
from farthing.ledger.journal_reader import segments, unreadable
from farthing.server.admin.token import chosen_token
from farthing.storage.sqlite.database import is_read_only, refuse_lost
from farthing.storage.sqlite.inspection import inspect_database, keys_in_use

_FOLDERS = ("", "journal", "prices")
"""In a home; what else is there is not read by a gateway."""


def check_home(home: Home) -> Iterator[Found]:
    """Yield whether the home is there, ours, and nobody else's to read."""
    if not home.path.exists():
        yield Found("ok", "home", f"{home.path} is not there yet; the first start makes it")
        return
    if not home.path.is_dir():
        yield Found("problem", "home", f"{home.path} is no folder", "choose another with --home or FARTHING_HOME")
        return
    if is_read_only(home.path):
        told = f"{home.path} is on a file system that can only be read: nothing can be served from it"
        yield Found(
            "problem", "home", told, "mount it so that it can be written; backup, costs and calls work meanwhile"
        )
        return
    if not os.access(home.path, os.R_OK | os.W_OK | os.X_OK):
        yield Found("problem", "home", f"{home.path} cannot be written", "check who owns it")
        return
    wide = [path for path in _kept(home) if os.name == "posix" and path.stat().st_mode & 0o077]
    for path in wide:
        mode = DIRECTORY_MODE if path.is_dir() else FILE_MODE
        yield Found("warning", "home", f"{path} can be read by others", f"chmod {mode:o} {path}")
    foreign = list(_foreign(home)) if os.name == "posix" else []
    for path, uid, owner in foreign:
        told = f"{path} belongs to another account (uid {uid}) than the home (uid {owner}), which cannot use it then"
        yield Found("warning", "home", told, f"chown {owner} {path}")
    if not wide and not foreign:
        yield Found("ok", "home", str(home.path))


def is_closed(home: Home) -> bool:
    """Whether the home is there and we may not look into it, so that there is nothing more to say."""
    return home.path.is_dir() and not os.access(home.path, os.R_OK | os.X_OK)


def _kept(home: Home) -> list[Path]:
    named = (home.path, home.journal, home.settings, home.database, home.pepper)
    return [path for path in named if path.exists()]


def _foreign(home: Home) -> Iterator[tuple[Path, int, int]]:
    owner = home.path.stat().st_uid
    for folder in _FOLDERS:
        place = home.path / folder
        for path in sorted(place.iterdir()) if place.is_dir() else ():
            state = path.lstat()
            if state.st_uid != owner and not state.st_mode & 0o004:
                yield path, state.st_uid, owner


def check_database(home: Home) -> Iterator[Found]:
    """Yield the version and the soundness of the ledger's database; nothing is migrated."""
    try:
        if (url := database_of(home, os.environ)) is not None:
            yield from _check_shared(url)
            return
    except ConfigError as error:
        yield Found("problem", "database", error.message, error.hint)
        return
    try:
        refuse_lost(home.database)
        if not home.database.exists():
            yield Found("ok", "database", "is not there yet; the first start makes it")
            return
        state = inspect_database(home.database)
    except StoreError as error:
        yield Found("problem", "database", error.message, error.hint)
        return
    if not state.ours:
        told = f"{home.database} is a database of another program"
        yield Found("problem", "database", told, "choose another home with --home")
    elif state.version > state.newest:
        told = f"has version {state.version}; this program knows versions up to {state.newest}"
        yield Found("problem", "database", told, "install the newer Farthing again")
    elif state.damage:
        told = f"is damaged: {'; '.join(state.damage)}"
        yield Found("problem", "database", told, 'stop the server, restore a copy, and run "farthing ledger verify"')
    elif state.version < state.newest:
        yield Found(
            "ok", "database", f"version {state.version}; the next start brings it to {state.newest}, after a copy"
        )
    else:
        yield Found("ok", "database", f"version {state.version}, whole")


def _check_shared(url: str) -> Iterator[Found]:
    from farthing.storage.postgres import PostgresStore  # noqa: PLC0415  (for those who use it)

    async def look() -> str:
        store = PostgresStore(url, upgrades=False, makes=False)
        try:
            await store.open()
            assert store.connections.installation is not None, "it is open"
            return f"{store.connections.address}, version {store.connections.installation.version}"
        finally:
            await store.close()

    try:
        yield Found("ok", "database", asyncio.run(look()))
    except StoreError as error:
        yield Found("problem", "database", error.message, error.hint)


def check_pepper(home: Home) -> Iterator[Found]:
    """Yield whether the secret is there under which the keys were made."""
    if home.pepper.exists():
        if not os.access(home.pepper, os.R_OK):
            yield Found("problem", "pepper", f"{home.pepper} cannot be read", "check who owns it")
        return
    try:
        lost = 0 if database_of(home, os.environ) is not None else keys_in_use(home.database)
    except (StoreError, ConfigError):
        return  # what is wrong with the database is told already
    if lost:
        told = f"{home.pepper} is missing: no key verifies, and no start is possible"
        hint = 'put it back from a copy or a backup; without one, "farthing keys revoke --all", and new keys'
        yield Found("problem", "pepper", told, hint)


def check_admin(environment: Mapping[str, str]) -> Iterator[Found]:
    """Yield what is wrong with an admin token that the environment sets."""
    try:
        chosen_token(environment)
    except ConfigError as error:
        yield Found("problem", "admin", error.message, error.hint)


def check_journal(home: Home) -> Iterator[Found]:
    """Yield whether the journal can be written, and whether a dead server left something in it."""
    if not home.journal.exists():
        yield Found("ok", "journal", "is not there yet; the first start makes it")
        return
    if not os.access(home.journal, os.W_OK | os.X_OK):
        told = f"{home.journal} cannot be written: every call would be refused"
        yield Found("problem", "journal", told, "check who owns it")
        return
    files = segments(home.journal)
    damaged = unreadable(files)
    for damage in damaged:
        yield Found("problem", "journal", f"{damage.path} {damage.reason}")
    left = len(files) - len(damaged)
    if left and holder(home.lock) is None:
        told = f"a server that ended without order left {left} {'file' if left == 1 else 'files'}"
        yield Found("warning", "journal", told, 'the next start settles them, as "farthing costs" does')
    elif not damaged:
        yield Found("ok", "journal", f"{home.journal} can be written")
