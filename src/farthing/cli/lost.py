"""Begin a new ledger where the old one is lost: asked for by name, and nothing is deleted.

Pepper and admin's link stay, so that the old database counts again should it be found and put back. The journal stays
too: it may hold answered calls, and they are posted to the new ledger.
"""

import asyncio
import os
from pathlib import Path

from farthing.cli.backup import stamp
from farthing.cli.replacing import keep_aside
from farthing.clock import SystemClock
from farthing.config.lock import HomeLock
from farthing.config.paths import Home
from farthing.config.storage_place import database_of
from farthing.errors import ConfigError, StoreError
from farthing.storage.postgres import PostgresStore
from farthing.storage.sqlite.database import begin_database, refuse_half_restored
from farthing.storage.sqlite.inspection import inspect_database


def begin_anew(home: Home) -> Path | None:
    """Put what is left of the database aside and begin a new one; return where the old one is kept.

    Raises:
        ConfigError: the database that is there is sound.
        HomeLocked: a gateway serves the home.
        StoreError: a restore is not finished, or the home cannot be written.
    """
    refuse_half_restored(home.database)
    if (url := database_of(home, os.environ)) is not None:
        with HomeLock.acquire(home.lock, "recovery"):
            asyncio.run(_begin_shared(url))
        return None
    with HomeLock.acquire(home.lock, "recovery"):
        _refuse_sound(home)
        old = home.path / f"replaced-{stamp(SystemClock().now_us())}"
        for name in ("farthing.db-wal", "farthing.db-shm", "farthing.db"):
            if (home.path / name).exists():
                keep_aside(home.path / name, old, stays=False)
        begin_database(home.database)
    return old if old.exists() else None


async def _begin_shared(url: str) -> None:
    """Make the tables where a shared database has none; nothing there is ever put aside by us."""
    looking = PostgresStore(url, upgrades=False, makes=False)
    try:
        await looking.open()
    except StoreError:
        pass  # none, or it cannot be used, which the next line tells
    else:
        address = looking.connections.address
        await looking.close()
        raise ConfigError(
            f"The ledger's database {address} has its tables; nothing was changed.",
            hint="another schema, named by ?search_path=NAME in the URL, has a ledger of its own.",
        )
    begun = PostgresStore(url, upgrades=False)
    try:
        await begun.open()
    finally:
        await begun.close()


def _refuse_sound(home: Home) -> None:
    if not home.database.exists():
        return
    try:
        state = inspect_database(home.database)
    except StoreError as error:
        if isinstance(error.__cause__, OSError):  # it is not known to be damaged: we may not look at it
            raise
        return
    if not state.damage:
        raise ConfigError(
            f"The ledger's database {str(home.database)!r} is whole; nothing was changed.",
            hint="another folder, named with --home, has a ledger of its own.",
        )
