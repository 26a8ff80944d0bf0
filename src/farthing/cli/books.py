"""Opens the ledger of a home for the commands that read it, so that no answered call is missing from what they show.

The journal is ahead of the store: beside a living server by a batch, after `kill -9` by whatever was not posted. So
before anything is read, a home that nobody serves has its journals posted, and one that is served is waited for.

Reading never makes a database. A home that has none yet reads as an empty ledger; one that has lost it is told so, and
so is a folder that is no home. Where the file system can only be read, what the journals hold is left out and told.
Where the ledger is a database that hosts share, only this host's journals are looked after, and others may write.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import msgspec

from farthing.auth import KeyRing, load_pepper
from farthing.auth.keys import agree_on_pepper
from farthing.auth.master_key import MasterKeys
from farthing.auth.vault import Held, Vault
from farthing.catalog.prices import price_book
from farthing.cli.audit import audited
from farthing.cli.context import current_settings, say
from farthing.clock import SystemClock
from farthing.config.lock import HomeLock, holder
from farthing.config.paths import Home
from farthing.config.schema import Settings
from farthing.config.storage_place import database_of, home_name
from farthing.errors import HomeLocked, StoreError
from farthing.ledger.journal_reader import segments
from farthing.ledger.recovery import THIS_HOME, recover, wait_for_store
from farthing.storage.chosen import store_of
from farthing.storage.memory import MemoryStore
from farthing.storage.offload import ThreadOffload
from farthing.storage.protocols import Store
from farthing.storage.sqlite import SqliteStore
from farthing.storage.sqlite.database import is_read_only, make_database, refuse_lost
from farthing.storage.sqlite.inspection import keys_in_use, migrations_wait
from farthing.types.identity import IdSource
from farthing.types.settings import StoredSetting

T = TypeVar("T")


class Books(msgspec.Struct, frozen=True):
    """An open ledger; `live` says that a server writes to it at the same time."""

    home: Home
    store: Store
    offload: ThreadOffload
    live: bool


def read_books(home: Home, question: Callable[[Books], Awaitable[T]]) -> T:
    """Return the answer to `question`, asked of an up-to-date ledger.

    Raises:
        StoreError: the ledger cannot be used, or was lost.
        ConfigError: there is no such home; or a crash left attempts to be priced, and the settings are wrong.
    """
    home.recognise()

    async def read() -> T:
        async with _open_books(home) as books:
            return await question(books)

    return asyncio.run(read())


def make_key(home: Home, work: Callable[[KeyRing], Awaitable[T]]) -> T:
    """Return what `work` makes of the keys of a home, which is made where there is none.

    Raises:
        StoreError: the store or the pepper cannot be used, or was lost.
    """
    if not home.path.exists():
        say(f"made the home {home.path}")
    home.create()
    makes, is_new = not home.outlived_the_database(), not home.pepper.exists()
    try:
        return _with_ring(home, home_pepper(home), work, makes=makes)
    except StoreError:
        if is_new and not home.database.exists():  # no key was made under it; see `Farthing.open`
            home.pepper.unlink(missing_ok=True)
        raise


def change_keys(home: Home, work: Callable[[KeyRing], Awaitable[T]]) -> T:
    """Return what `work` does with keys that are there. It works without the pepper, which only new keys need.

    Raises:
        ConfigError: there is no such home.
        StoreError: the store cannot be used, or was lost.
    """
    home.recognise()
    return _with_ring(home, b"", work)


def rotate_key(home: Home, work: Callable[[KeyRing], Awaitable[T]]) -> T:
    """Return what `work` makes in the place of keys that are there; it needs the pepper under which they were made.

    Raises:
        ConfigError: there is no such home.
        StoreError: the store or the pepper cannot be used, or was lost.
    """
    home.recognise()
    return _with_ring(home, home_pepper(home), work)


def home_pepper(home: Home) -> bytes:
    """Return the pepper of a home, made where there is none yet.

    Raises:
        StoreError: it or the database was lost, or cannot be used.
    """
    if database_of(home, os.environ) is not None:
        return load_pepper(home.pepper, os.urandom)  # whether it is the right one is told when the store is open
    make_database(home.database)  # before the pepper: one without a database tells that this was lost
    return load_pepper(home.pepper, os.urandom, lambda: keys_in_use(home.database))


def read_store(home: Home, question: Callable[[Store], Awaitable[T]]) -> T:
    """Return the answer to a question for which the journal does not matter.

    Raises:
        ConfigError: there is no such home.
        StoreError: the store cannot be used, or was lost.
    """
    home.recognise()

    async def read() -> T:
        if (url := database_of(home, os.environ)) is not None:
            async with _open_shared(home, url) as (store, _):
                return await question(store)
        refuse_lost(home.database)
        if not home.database.exists():
            return await question(MemoryStore())
        async with _open_store(home, read_only=is_read_only(home.path)) as (store, _):
            return await question(store)

    return asyncio.run(read())


def settings_that_hold(home: Home) -> tuple[Settings, list[StoredSetting]]:
    """Return the settings of a home with what the admin API has beside the file, and those of the latter that hold.

    Where the store cannot be read it is said, and the file is all there is: who mends things starts from that.

    Raises:
        ConfigError: with a line for each mistake of the file.
    """
    from farthing.config.stored import with_stored  # noqa: PLC0415  (few commands need it)
    from farthing.providers.registry import known_providers  # noqa: PLC0415

    declared = current_settings(home)
    if not home.path.is_dir() or (database_of(home, os.environ) is None and not home.database.exists()):
        return declared, []
    try:
        stored = read_store(home, lambda store: store.settings.all())
    except StoreError as error:
        say(f"warning: what was set through the admin API is not known: {error.message}")
        return declared, []
    found = with_stored(declared, stored, known_providers(), os.environ)
    return found.settings, [one for one in stored if one.path not in found.problems]


def change_store(home: Home, work: Callable[[Store], Awaitable[T]]) -> T:
    """Return what `work` does with the store of a home.

    Raises:
        ConfigError: there is no such home.
        StoreError: the store cannot be used, or was lost.
    """
    home.recognise()
    url = database_of(home, os.environ)

    async def run() -> T:
        async with _open_store(home) if url is None else _open_shared(home, url) as (store, _):
            return await work(store)

    return asyncio.run(run())


def with_vault(home: Home, work: Callable[[Vault], Awaitable[T]], *, make: bool = False, read_only: bool = False) -> T:
    """Return what `work` does with the vault of a home; with `make`, of one that is made where there is none.

    With `read_only` nothing is changed, and tables of an older Farthing stay as they are.

    Raises:
        ConfigError: there is no such home.
        StoreError: the store cannot be used, or was lost.
    """
    if make:
        if not home.path.exists():
            say(f"made the home {home.path}")
        home.create()
    else:
        home.recognise()
    url = database_of(home, os.environ)
    if url is None and make:
        make_database(home.database)
    elif url is None:
        refuse_lost(home.database)
    makes = make and not home.outlived_the_database()

    async def run() -> T:
        if url is not None:
            async with _open_shared(home, url, makes=makes) as (store, offload):
                return await work(_vault(home, store, offload))
        if not home.database.exists():  # a home that nothing was served from yet
            offload = ThreadOffload()
            try:
                return await work(_vault(home, MemoryStore(), offload))
            finally:
                await offload.close()
        async with _open_store(home, read_only=read_only or is_read_only(home.path)) as (store, offload):
            return await work(_vault(home, store, offload))

    return asyncio.run(run())


def held_in(home: Home) -> list[Held]:
    """Return the vault's credentials, opened where that can be; none where there is no home or no vault.

    Raises:
        StoreError: the store cannot be used, was lost, or has older tables.
    """
    if not home.path.is_dir() or (database_of(home, os.environ) is None and not home.database.exists()):
        return []
    return with_vault(home, lambda vault: vault.held(), read_only=True)


def _vault(home: Home, store: Store, offload: ThreadOffload) -> Vault:
    clock = SystemClock()
    keys = MasterKeys(home.master_key, os.environ, os.urandom)
    ids = IdSource(clock, os.urandom)
    return Vault(store.credentials, keys, offload, clock=clock, ids=ids, random_bytes=os.urandom)


def _with_ring(home: Home, pepper: bytes, work: Callable[[KeyRing], Awaitable[T]], *, makes: bool = False) -> T:
    url = database_of(home, os.environ)

    async def run() -> T:
        clock = SystemClock()
        async with _open_store(home) if url is None else _open_shared(home, url, makes=makes) as (store, _):
            if pepper:
                await agree_on_pepper(store, pepper, home.pepper)
            ids = IdSource(clock, os.urandom)
            return await work(KeyRing(store, pepper, clock=clock, ids=ids, random_bytes=os.urandom))

    return asyncio.run(run())


@asynccontextmanager
async def _open_store(home: Home, *, read_only: bool = False) -> AsyncIterator[tuple[Store, ThreadOffload]]:
    if not read_only:
        refuse_to_migrate_under(home)
    offload = ThreadOffload()
    store = SqliteStore(home.database, offload, read_only=read_only)
    try:
        await store.open()
        yield audited(store), offload
    finally:
        await store.close()
        await offload.close()


@asynccontextmanager
async def _open_shared(home: Home, url: str, *, makes: bool = False) -> AsyncIterator[tuple[Store, ThreadOffload]]:
    """Open the database that hosts share: its tables are made by who may, and brought up to date by servers only."""
    offload = ThreadOffload()
    store = store_of(url, home.database, offload, upgrades=False, makes=makes)
    try:
        await store.open()
        yield audited(store), offload
    finally:
        await store.close()
        await offload.close()


def refuse_to_migrate_under(home: Home) -> None:
    """Leave the tables as they are while an older Farthing writes them; it brings them up to date when it starts anew.

    Raises:
        StoreError: they are older than this program's, and somebody serves this home.
    """
    if home.database.exists() and migrations_wait(home.database) and (pid := holder(home.lock)) is not None:
        who = f"process {pid}" if pid else "another process"
        raise StoreError(
            f"The ledger of {str(home.path)!r} is of an older Farthing, which is still running ({who}).",
            hint="restart it with this version first: that brings the ledger up to date",
        )


@asynccontextmanager
async def _open_books(home: Home) -> AsyncIterator[Books]:
    if (url := database_of(home, os.environ)) is not None:
        async with _open_shared(home, url) as (store, offload):
            if not is_read_only(home.path):
                await _catch_up(home, store, offload, home_name(home, os.urandom))
            yield Books(home, store, offload, live=True)  # other hosts may be at work
        return
    refuse_lost(home.database)
    if not home.database.exists():
        offload = ThreadOffload()
        try:
            yield Books(home, MemoryStore(), offload, live=False)
        finally:
            await offload.close()
        return
    if is_read_only(home.path):
        if left := segments(home.journal):
            say(f"warning: {str(home.path)!r} can only be read; what is in {len(left)} of its journals is not shown.")
        async with _open_store(home, read_only=True) as (store, offload):
            yield Books(home, store, offload, live=False)
        return
    async with _open_store(home) as (store, offload):
        yield Books(home, store, offload, live=await _catch_up(home, store, offload))


async def _catch_up(home: Home, store: Store, offload: ThreadOffload, name: str = THIS_HOME) -> bool:
    """Bring the store up to date with the journal; return whether a server is at work."""
    try:
        lock = HomeLock.acquire(home.lock, "recovery")
    except HomeLocked:
        missing = await wait_for_store(store, home.journal, offload)
        if missing:
            say(f"warning: {missing} ended attempts are in the journal and not yet in the ledger; they are not shown.")
        return True
    with lock:
        await post_journals(home, store, offload, name)
    return False


async def post_journals(home: Home, store: Store, offload: ThreadOffload, name: str) -> None:
    """Post what the journals of a home hold that nobody serves; the caller holds its lock. `name` is what it leases as.

    Raises:
        StoreError: the store cannot be used.
        ConfigError: a crash left attempts to be priced, and the settings are wrong.
    """
    if not segments(home.journal):
        return
    from farthing.gateway.crash_prices import price_at_crash  # noqa: PLC0415  (the whole gateway; only after a crash)
    from farthing.gateway.layers import settings_with_stored  # noqa: PLC0415

    settings = await settings_with_stored(current_settings(home), store, os.environ, offload)
    at_crash = price_at_crash(settings, price_book(settings.prices, home.prices))
    now_us = SystemClock().now_us()
    recovered = await recover(
        store, home.journal, offload, now_us=now_us, price_at_crash=at_crash, budgets=store.budgets, home=name
    )
    for damage in recovered.damage:
        say(f"warning: {damage}")
    if recovered.refused:
        told = f"warning: the store refuses {len(recovered.refused)} attempts"
        say(f'{told}; "farthing ledger verify" shows them.')
