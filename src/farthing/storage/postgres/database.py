"""The tables of a PostgreSQL store: made, brought up to date, and recognised.

All steps run in one transaction under an advisory lock, so that hosts which start together make them once, and a crash
leaves the old tables or the new ones. Every batch of the ledger looks at the version it was written for (see
`queries/attempts_append.sql`): a host that is still of the older program stops posting when a newer one has migrated,
and its journal keeps what it answers until it is restarted. PostgreSQL keeps no copy from before; pg_dump makes one.
"""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import msgspec

from farthing.errors import StoreError
from farthing.storage.postgres.address import Address
from farthing.storage.postgres.sql import query

if TYPE_CHECKING:
    from asyncpg import Connection

OLDEST_SERVER = 14
"""The oldest PostgreSQL that is still mended by its makers in 2026."""
MIGRATION_TIMEOUT_S = 3_600.0
"""Of one step. An index of ten million lines takes 7 s, and sums of them minutes; ten times as many are within this."""


class Migration(msgspec.Struct, frozen=True):
    """One step of the tables: `number` is the version it leads to, `name` its file's name."""

    number: int
    name: str
    script: str


class Installation(msgspec.Struct, frozen=True):
    """What tells one set of tables from another that stands at the same address: made when they were."""

    identity: str
    version: int


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


async def prepare(
    connection: "Connection[Any]", migrations: Sequence[Migration], address: Address, *, upgrades: bool, makes: bool
) -> Installation:
    """Bring the tables up to date, or make them; return whose they are.

    Raises:
        StoreError: the server or its tables cannot be used; nothing was changed.
    """
    await _refuse_unfit(connection, address)
    found = await installed(connection)
    if found is None or found.version != len(migrations):
        async with connection.transaction():
            await connection.execute(query("migration_lock"))
            found = await installed(connection)  # another host may have been faster while we waited
            version = 0 if found is None else found.version
            if version > len(migrations):
                raise StoreError(
                    f"The ledger's database {address} has version {version}; this program knows versions up to"
                    f" {len(migrations)}.",
                    hint="install the newer Farthing here, too; an older one must not write into it.",
                )
            if 0 < version < len(migrations) and not upgrades:
                raise StoreError(
                    f"The ledger's database {address} is of an older Farthing (version {version}, ours is"
                    f" {len(migrations)}).",
                    hint='"farthing serve" of this version brings it up to date; restart the other hosts with it, too.',
                )
            if found is None:
                _refuse_lost(address, makes=makes)
                await _refuse_foreign(connection, address)
            for migration in migrations[version:]:
                await connection.execute(migration.script, timeout=MIGRATION_TIMEOUT_S)
            await connection.execute(query("version_set"), len(migrations))
        found = await installed(connection)
    assert found is not None, "the first migration makes the row"
    return found


async def installed(connection: "Connection[Any]") -> Installation | None:
    """Return whose tables these are; `None` where there are none."""
    if not await connection.fetchval(query("tables_there")):
        return None
    row = await connection.fetchrow(query("installation"))
    return None if row is None else Installation(row[0], row[1])


async def _refuse_unfit(connection: "Connection[Any]", address: Address) -> None:
    row = await connection.fetchrow(query("server"))
    assert row is not None, "settings are always told"
    if row[0] // 10_000 < OLDEST_SERVER:
        raise StoreError(
            f"The server of {address} is PostgreSQL {row[0] // 10_000}; Farthing needs {OLDEST_SERVER} or newer."
        )
    if row[1] != "UTF8":
        raise StoreError(
            f"The database {address} keeps texts as {row[1]}; the ledger holds any Unicode.",
            hint="make another: createdb --encoding=UTF8 --template=template0 NAME.",
        )
    if row[2] is None:
        raise StoreError(
            f"The schema that {address} names does not exist.", hint="make it (CREATE SCHEMA), or name another."
        )


def _refuse_lost(address: Address, *, makes: bool) -> None:
    """Raise where there are no tables although there were: an empty ledger looks like one that cost nothing."""
    if not makes:
        raise StoreError(
            f"The ledger's database {address} has no tables of Farthing.",
            hint="check the URL, or restore a dump of the database (pg_restore); without one,"
            ' "farthing ledger new" begins a new ledger.',
        )


async def _refuse_foreign(connection: "Connection[Any]", address: Address) -> None:
    names = [row[0] for row in await connection.fetch(query("tables_foreign"))]
    if names:
        raise StoreError(
            f"The schema of {address} has tables of another program: {', '.join(map(repr, names))}.",
            hint="make a schema of its own, and add ?search_path=NAME to the URL.",
        )
