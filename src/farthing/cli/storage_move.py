"""Moves a home's ledger between its own file and a PostgreSQL, also while a gateway serves from the file.

Copying needs nobody's leave, because attempts are kept once. The switch needs the home's lock: nobody writes then, the
journals are posted, the rest is copied, both sides compared, the settings changed, and only then the old file renamed.
Killed before the settings are changed, the home is as it was; killed after it, every command says that there are two
ledgers until the same command has been run again.
"""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from farthing.auth import load_pepper
from farthing.auth.keys import agree_on_pepper
from farthing.cli.backup import stamp
from farthing.cli.books import post_journals, read_store, refuse_to_migrate_under
from farthing.cli.config_file import settings_file
from farthing.clock import SystemClock
from farthing.config.addresses import check_storage_url
from farthing.config.edit import set_setting, unset_setting
from farthing.config.home_files import write_whole
from farthing.config.lock import HomeLock, holder
from farthing.config.paths import Home
from farthing.config.schema import StorageSettings
from farthing.config.storage_place import database_of, database_url, home_name
from farthing.errors import ConfigError, HomeLocked
from farthing.ledger.recovery import THIS_HOME
from farthing.storage.moving import copy_attempts, finish
from farthing.storage.offload import ThreadOffload
from farthing.storage.postgres import PostgresStore
from farthing.storage.postgres.address import Address
from farthing.storage.protocols import Store
from farthing.storage.sqlite import SqliteStore
from farthing.storage.sqlite.database import begin_database, refuse_lost

_LOOK_S = 0.2
"""How often a gateway that is followed is looked at: the switch begins so long after it has ended."""


class Progress(msgspec.Struct, frozen=True):
    """How many attempts were copied, and whom we follow."""

    copied: int
    served_by: int | None = None


class Moved(msgspec.Struct, frozen=True):
    """What a move did: how many attempts there are, what the settings say, where the old database is."""

    attempts: int
    setting: str
    kept: Path | None


def state_of(home: Home) -> dict[str, Any]:
    """Return where a home's things are kept and how many there are.

    Raises:
        ConfigError: there is no such home.
        StoreError: the store cannot be used.
    """

    async def look(store: Store) -> dict[str, Any]:
        url = database_of(home, os.environ)
        return {
            "place": str(home.database) if url is None else str(Address(url)).strip("'"),
            "attempts": sum(total.attempts for total in await store.daily_totals()),
            "keys": len(await store.keys()),
            "budgets": len(await store.budgets.all()),
        }

    return read_store(home, look)


def move(home: Home, to: str, *, wait_s: float, told: Callable[[Progress], None]) -> Moved:
    """Move to a PostgreSQL (`env:NAME`, `file:/path`, a URL) or to `sqlite`; return what was done.

    Raises:
        ConfigError: there is no such home or place, or it is there already.
        HomeLocked: a gateway serves, and was not stopped in time, or may not serve at all.
        StoreError: a store cannot be used, or they did not agree in the end; nothing was switched.
    """
    home.recognise()
    if to == "sqlite":
        return asyncio.run(_back(home, told))
    return asyncio.run(_there(home, to, wait_s, told))


async def _there(home: Home, to: str, wait_s: float, told: Callable[[Progress], None]) -> Moved:
    setting, url = _place(home, to)
    says = settings_file(home).load().storage.url
    if says is not None and says != setting:
        raise ConfigError(f"storage.url is {says} already; {to!r} is another place. Nothing was changed.")
    refuse_lost(home.database)
    if not home.database.exists():
        raise ConfigError(f"There is no ledger in {str(home.path)!r} to move.", hint="set storage.url and start.")
    offload = ThreadOffload()
    source, target = SqliteStore(home.database, offload), PostgresStore(url)
    refuse_to_migrate_under(home)
    try:
        await source.open()
        await target.open()
        with await _followed(home, source, target, wait_s, told):
            attempts = await _switch_there(home, source, target, offload)
            if says is None:
                set_setting(settings_file(home), "storage.url", setting)
            await source.close()
            kept = _aside(home)
    finally:
        await source.close()
        await target.close()
        await offload.close()
    return Moved(attempts, f"storage.url: {setting}", kept)


async def _followed(
    home: Home, source: SqliteStore, target: PostgresStore, wait_s: float, told: Callable[[Progress], None]
) -> HomeLock:
    """Copy what there is and goes on to come, until nobody serves the home any more; return its lock, held."""
    note, copied, said = _Note(home, target), 0, False

    def count(new: int, place: str) -> None:
        nonlocal copied
        copied += new
        note.keep(place)

    end = asyncio.get_running_loop().time() + wait_s
    while True:
        await copy_attempts(source, target, note.place, count)
        try:
            lock = HomeLock.acquire(home.lock, "recovery")
        except HomeLocked:
            if asyncio.get_running_loop().time() > end:
                raise
            if not said:
                told(Progress(copied, holder(home.lock)))
                said = True
            await asyncio.sleep(_LOOK_S)
            continue
        told(Progress(copied))
        return lock


async def _switch_there(home: Home, source: SqliteStore, target: PostgresStore, offload: ThreadOffload) -> int:
    """Bring over the rest and look whether all of it is there; the lock is held."""
    await post_journals(home, source, offload, THIS_HOME)
    note = _Note(home, target)
    attempts = await finish(source, target, note.place, lambda _, place: note.keep(place))
    pepper = load_pepper(home.pepper, os.urandom)
    await agree_on_pepper(target, pepper, home.pepper)
    note.forget()
    return attempts


async def _back(home: Home, told: Callable[[Progress], None]) -> Moved:
    says = settings_file(home).load().storage
    url = database_url(says, os.environ)
    if url is None:
        raise ConfigError(f"The ledger is in {str(home.database)!r} already; nothing was changed.")
    copied = 0

    def count(new: int, _: str) -> None:
        nonlocal copied
        copied += new

    offload = ThreadOffload()
    with HomeLock.acquire(home.lock, "recovery"):
        source = PostgresStore(url, upgrades=False, makes=False)
        try:
            await source.open()
            await post_journals(home, source, offload, home_name(home, os.urandom))
            if not home.database.exists():  # else one of a try before, which is gone on with
                begin_database(home.database)
            target = SqliteStore(home.database, offload)
            try:
                await target.open()
                attempts = await finish(source, target, "", count)
            finally:
                await target.close()
        finally:
            await source.close()
            await offload.close()
        told(Progress(copied))
        unset_setting(settings_file(home), "storage.url")
    return Moved(attempts, "nothing of storage.url, so the ledger is a file of the home", None)


def _place(home: Home, to: str) -> tuple[str, str]:
    """Return what the settings are to say, and the URL; one with a password goes into a file of the home.

    Raises:
        ConfigError: it is no place.
    """
    parts = urlsplit(to)
    setting = to
    if parts.scheme in ("postgresql", "postgres") and (parts.password or "password" in parse_qs(parts.query)):
        path = home.path / "database.url"
        write_whole(path, to.encode())
        setting = f"file:{path}"
    try:
        check_storage_url(setting)
    except ValueError as error:
        raise ConfigError(f"The place to move to {error}") from error
    url = database_url(StorageSettings(url=setting), os.environ)
    assert url is not None, setting
    return setting, url


def _aside(home: Home) -> Path:
    """Rename the old database; its log is empty, because everybody has closed it."""
    kept = home.path / f"farthing.db.moved-{stamp(SystemClock().now_us())}"
    home.database.rename(kept)
    for name in ("farthing.db-wal", "farthing.db-shm"):
        (home.path / name).unlink(missing_ok=True)
    return kept


class _Note:
    """How far a copy has come, kept in the home; good for the tables it was begun with."""

    def __init__(self, home: Home, target: PostgresStore) -> None:
        assert target.connections.installation is not None, "it is open"
        self._path = home.path / "moving"
        self._identity = target.connections.installation.identity
        self.place = ""
        if self._path.exists():
            identity, _, place = self._path.read_text(encoding="ascii").partition(" ")
            self.place = place if identity == self._identity else ""

    def keep(self, place: str) -> None:
        """Note the place; a later note is worth more than one that survives a power cut: what is older only costs."""
        self.place = place
        write_whole(self._path, f"{self._identity} {place}".encode())

    def forget(self) -> None:
        """It is over."""
        self._path.unlink(missing_ok=True)
