"""The store of a home: the file in it, or the PostgreSQL that its settings name.

The one place below the doors that knows more than one backend. asyncpg is loaded only where there is such a URL.
"""

from pathlib import Path

from farthing.storage.protocols import Store
from farthing.storage.sqlite import SqliteStore
from farthing.types.offload import Offload


def store_of(
    url: str | None,
    database: Path,
    offload: Offload,
    *,
    upgrades: bool = True,
    makes: bool = True,
    read_only: bool = False,
) -> Store:
    """Return the store behind `url`, or where there is none the file `database`; it is not open yet.

    See `PostgresStore` for `upgrades` and `makes` and `SqliteStore` for `read_only`; each is for that one alone.
    """
    if url is None:
        return SqliteStore(database, offload, read_only=read_only)
    from farthing.storage.postgres import PostgresStore  # noqa: PLC0415  (for those who use it)

    return PostgresStore(url, upgrades=upgrades, makes=makes)
