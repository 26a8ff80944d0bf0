"""Deletes old lines in SQLite: what they add up to is kept in the very transaction that deletes them.

A call goes as a whole, so that its attempts are counted as the one call they are; one that has a younger attempt stays
until that is old, too. Only what is rolled up goes: the roll-up finds its place by the numbers of rows. What surprised
us: SQLite gives the number of the last row again when that row is deleted, so the last one stays.
"""

from typing import Any

import apsw
import msgspec

from farthing.storage.sqlite.connections import Connections
from farthing.storage.sqlite.sql import query
from farthing.types.retention import Retained, Waiting


class SqliteRetention:
    """See `RetentionStore`."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def lead(self, holder: str, *, now_us: int, until_us: int) -> bool:
        """See `RetentionStore.lead`."""
        return await self._connections.change("expire_lead", {"holder": holder, "now": now_us, "until": until_us})

    async def expire(self, before_us: int, limit: int, now_us: int) -> int:
        """See `RetentionStore.expire`; where nothing is that old, nothing is written."""
        asked = {"before": before_us, "limit": limit}
        if not await self._connections.all("expire_rows", asked):
            return 0

        def expire(connection: apsw.Connection) -> int:
            rows: list[Any] = [row for (row,) in connection.execute(query("expire_rows"), asked)]
            _add_up(connection, rows)
            for name in ("expire_ids", "expire_delete"):
                connection.execute(query(name), {"rows": _json(rows)})
            connection.execute(query("expire_done"), {"before": before_us, "count": len(rows), "now": now_us})
            return len(rows)

        return await self._connections.transaction(expire)

    async def retained(self) -> Retained:
        """See `RetentionStore.retained`."""
        ((kept_from_us, expired, expired_at_us),) = await self._connections.all("retained", ())
        return Retained(kept_from_us=kept_from_us or None, expired=expired, expired_at_us=expired_at_us)

    async def waiting(self, before_us: int) -> Waiting:
        """See `RetentionStore.waiting`."""
        (row,) = await self._connections.all("expire_waiting", (before_us,))
        return Waiting(*row)


def _add_up(connection: apsw.Connection, rows: list[int]) -> None:
    try:
        connection.execute(query("expire_add"), {"rows": _json(rows)})
    except apsw.SQLError:
        if len(rows) <= 1:
            raise
        for row in rows:  # their sum does not fit 64 bits; one by one they do
            _add_up(connection, [row])


def _json(rows: list[int]) -> str:
    return msgspec.json.encode(rows).decode()
