"""The SQLite store: one connection that writes, and where it is given a second thread, one that reads beside it.

Appending tries the plain insert first and looks for attempts that are kept already only when one collides: that is the
case after a crash, never in daily life, and looking costs as much as inserting.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from itertools import chain, groupby
from pathlib import Path
from typing import Any

import apsw
import msgspec

from farthing.storage.protocols import MAX_GROUPS, RowsRefused
from farthing.storage.rows import Row, attempt_of, costs_row_of, daily_total_of, quoted, row_of
from farthing.storage.sqlite.admin import SqliteAdmin
from farthing.storage.sqlite.alerts import SqliteAlerts
from farthing.storage.sqlite.budgets import SqliteBudgets, charge
from farthing.storage.sqlite.connections import Connections
from farthing.storage.sqlite.costs import costs_statement
from farthing.storage.sqlite.credentials import SqliteCredentials
from farthing.storage.sqlite.database import Migration
from farthing.storage.sqlite.history import SqliteHistory
from farthing.storage.sqlite.keys import SqliteKeys
from farthing.storage.sqlite.limits import SqliteLimits, SqliteWindows
from farthing.storage.sqlite.outcomes import SqliteOutcomes
from farthing.storage.sqlite.retention import SqliteRetention
from farthing.storage.sqlite.rollups import begin_anew, roll_up, what_is_wrong
from farthing.storage.sqlite.settings import SqliteSettings
from farthing.storage.sqlite.spending import spending_row_of, spending_statement
from farthing.storage.sqlite.sql import query
from farthing.types.calls import Attempt
from farthing.types.ledger import EVERYTHING, CostsBy, CostsFilter, CostsRow, DailyTotal, KeySpent
from farthing.types.offload import Offload
from farthing.types.spending import SpendingBy, SpendingRow, SpendingScope

_ABOUT_ROWS = (apsw.ConstraintError, apsw.MismatchError, apsw.TooBigError, OverflowError, TypeError, ValueError)
"""What SQLite and apsw raise of values: a wrong type, a text that is no Unicode, a number beyond 64 bits."""

_AFTER_EVERY_ID = "\U0010ffff"  # sorts behind every character an id can hold


class SqliteStore(SqliteKeys):
    """See `storage/protocols.py`. `reads`, where given, lets questions run beside the ledger's commits.

    With `read_only` nothing is made, migrated or written: for a file system on which nothing can be.
    """

    def __init__(
        self,
        path: Path,
        writes: Offload,
        reads: Offload | None = None,
        *,
        migrations: Sequence[Migration] | None = None,
        read_only: bool = False,
    ) -> None:
        super().__init__(Connections(path, writes, reads, migrations=migrations, read_only=read_only))
        self.budgets = SqliteBudgets(self.connections)
        self.credentials = SqliteCredentials(self.connections)
        self.limits = SqliteLimits(self.connections)
        self.windows = SqliteWindows(self.connections)
        self.admin = SqliteAdmin(self.connections)
        self.alerts = SqliteAlerts(self.connections)
        self.history = SqliteHistory(self.connections)
        self.settings = SqliteSettings(self.connections)
        self.outcomes = SqliteOutcomes(self.connections)
        self.retention = SqliteRetention(self.connections)

    async def open(self) -> None:
        """See `Store.open`; migrates, having made a copy first."""
        await self.connections.open()

    async def close(self) -> None:
        """See `Store.close`; the offloads stay open, they belong to the caller."""
        await self.connections.close()

    async def append(self, attempts: Sequence[Attempt], holder: str = "") -> int:
        """See `LedgerStore.append`."""
        return await self.connections.write(lambda connection: self._append_or_refuse(connection, attempts, holder))

    async def intact(self) -> bool:
        """See `LedgerStore.intact`: SQLite goes on writing into a file that was deleted, and nobody will find it."""
        return await self.connections.intact()

    async def known(self, attempt_ids: Collection[str]) -> set[str]:
        """See `LedgerStore.known`."""
        return await self.connections.read(lambda connection: _known(connection, attempt_ids))

    async def costs(
        self,
        by: CostsBy | None,
        since_us: int | None = None,
        until_us: int | None = None,
        only: CostsFilter = EVERYTHING,
        limit: int | None = None,
    ) -> list[CostsRow]:
        """See `LedgerStore.costs`."""
        statement, bindings = costs_statement(by, since_us, until_us, only, limit)
        rows = await self.connections.read(lambda connection: connection.execute(statement, bindings).fetchall())
        if not rows and by is None:
            rows = [(None, *[0] * (len(CostsRow.__struct_fields__) - 1))]
        return [costs_row_of(row) for row in rows]

    async def roll_up(self, limit: int) -> int:
        """See `LedgerStore.roll_up`."""
        return await self.connections.transaction(lambda connection: roll_up(connection, limit))

    async def spending(
        self,
        by: Sequence[SpendingBy],
        *,
        since_us: int | None = None,
        until_us: int | None = None,
        scope: Sequence[SpendingScope] = (),
        limit: int = MAX_GROUPS,
    ) -> list[SpendingRow]:
        """See `LedgerStore.spending`."""
        statement, bindings = spending_statement(by, scope, since_us, until_us, limit)
        rows = await self.connections.read(lambda connection: connection.execute(statement, bindings).fetchall())
        return [spending_row_of(row, len(by)) for row in rows]

    async def attempts_begun(self, after_us: int, after_id: str, until_us: int, limit: int) -> list[Attempt]:
        """See `LedgerStore.attempts_begun`."""
        bindings = {"after_us": after_us, "after_id": after_id, "until": until_us, "limit": limit}
        return [attempt_of(row) for row in await self.connections.all("attempts_begun", bindings)]

    async def recent(self, limit: int, before_call_id: str | None = None) -> list[list[Attempt]]:
        """See `LedgerStore.recent`."""
        rows = await self.connections.all("recent", {"limit": limit, "before": before_call_id})
        attempts = map(attempt_of, rows)
        return [list(tries) for _, tries in groupby(attempts, key=lambda attempt: attempt.opening.call_id)]

    async def call(self, call_id: str) -> list[Attempt]:
        """See `LedgerStore.call`."""
        return [attempt_of(row) for row in await self.connections.all("call", (call_id,))]

    async def call_ids(self, prefix: str, limit: int) -> list[str]:
        """See `LedgerStore.call_ids`."""
        bindings = {"low": prefix, "high": prefix + _AFTER_EVERY_ID, "limit": limit}
        return [row[0] for row in await self.connections.all("call_ids", bindings)]

    async def attempts_after(self, attempt_id: str, limit: int) -> list[Attempt]:
        """See `LedgerStore.attempts_after`."""
        return [attempt_of(row) for row in await self.connections.all("attempts_after", (attempt_id, limit))]

    async def attempts_of(self, attempt_ids: Collection[str]) -> list[Attempt]:
        """See `LedgerStore.attempts_of`."""
        return [attempt_of(row) for row in await self.connections.all("attempts_of", (_json(attempt_ids),))]

    async def attempts_from(self, place: str, limit: int) -> tuple[list[Attempt], str]:
        """See `Movable.attempts_from`: rows are numbered as they come."""
        rows = await self.connections.all("attempts_from", (int(place or 0), limit))
        return [attempt_of(row[1:]) for row in rows], str(rows[-1][0]) if rows else place

    async def tables(self) -> dict[str, list[str]]:
        """See `Movable.tables`."""
        found: dict[str, list[str]] = {}
        for table, column in await self.connections.all("tables", ()):
            found.setdefault(table, []).append(column)
        return found

    async def rows(self, table: str, columns: Sequence[str]) -> list[dict[str, Any]]:
        """See `Movable.rows`."""
        listed = ", ".join(map(quoted, columns))
        sql = f"SELECT {listed} FROM {quoted(table)}"  # noqa: S608 - names of tables cannot be bound; these are ours
        rows = await self.connections.read(lambda connection: connection.execute(sql).fetchall())
        return [dict(zip(columns, row, strict=True)) for row in rows]

    async def replace(self, tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """See `Movable.replace`."""

        def replace(connection: apsw.Connection) -> None:
            for table, rows in tables.items():
                connection.execute(f"DELETE FROM {quoted(table)}")  # noqa: S608 - as above
                _put(connection, table, rows)

        await self.connections.transaction(replace)

    async def page(
        self, table: str, columns: Sequence[str], order: str, after: Any, limit: int
    ) -> list[dict[str, Any]]:
        """See `Movable.page`."""
        listed, first = ", ".join(map(quoted, columns)), quoted(order)
        sql = f"SELECT {listed} FROM {quoted(table)} WHERE {first} > ? ORDER BY {first} LIMIT ?"  # noqa: S608 - as above
        rows = await self.connections.read(lambda connection: connection.execute(sql, (after, limit)).fetchall())
        return [dict(zip(columns, row, strict=True)) for row in rows]

    async def add(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """See `Movable.add`."""
        await self.connections.transaction(lambda connection: _put(connection, table, rows))

    async def drop_expired(self) -> None:
        """See `Movable.drop_expired`."""
        await self.connections.change("expired_drop", {})

    async def repeated_tries(self, limit: int) -> list[tuple[str, int, int]]:
        """See `LedgerStore.repeated_tries`."""
        return [(row[0], row[1], row[2]) for row in await self.connections.all("repeated_tries", (limit,))]

    async def key_spent(self, key_id: str) -> KeySpent:
        """See `LedgerStore.key_spent`."""
        (row,) = await self.connections.all("key_spent", (key_id,))
        return KeySpent(**dict(zip(KeySpent.__struct_fields__, row, strict=True)))

    async def daily_totals(self) -> list[DailyTotal]:
        """See `LedgerStore.daily_totals`."""
        return [daily_total_of(row) for row in await self.connections.all("daily_totals", ())]

    async def daily_totals_recomputed(self) -> list[DailyTotal]:
        """See `LedgerStore.daily_totals_recomputed`."""
        return [daily_total_of(row) for row in await self.connections.all("daily_totals_recomputed", ())]

    async def rebuild_totals(self) -> tuple[list[DailyTotal], list[DailyTotal]]:
        """See `LedgerStore.rebuild_totals`."""
        before, after = await self.connections.transaction(_rebuild_totals)
        return [daily_total_of(row) for row in before], [daily_total_of(row) for row in after]

    async def damage(self) -> list[str]:
        """See `LedgerStore.damage`."""
        return await self.connections.read(_damage)

    def _append_or_refuse(self, connection: apsw.Connection, attempts: Sequence[Attempt], holder: str) -> int:
        try:
            return _append(connection, attempts, holder)
        except _ABOUT_ROWS as error:
            message = f"The ledger's database {str(self.connections.path)!r} refuses these attempts: {error}."
            raise RowsRefused(message, hint="they are set aside in the journal's folder.") from error


def _put(connection: apsw.Connection, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    for row in rows:
        listed, places = ", ".join(map(quoted, row)), ", ".join("?" * len(row))
        sql = f"INSERT INTO {quoted(table)} ({listed}) VALUES ({places})"  # noqa: S608 - names of tables are ours
        connection.execute(sql, tuple(row.values()))


def _append(connection: apsw.Connection, attempts: Sequence[Attempt], holder: str) -> int:
    connection.execute("BEGIN IMMEDIATE")
    try:
        attempts = new = _not_expired(connection, attempts)
        try:
            _insert(connection, attempts)
        except apsw.ConstraintError:
            # Some are kept already. A failed statement ends the loop and not the transaction: begin it anew.
            connection.execute("ROLLBACK")
            connection.execute("BEGIN IMMEDIATE")
            kept = _known(connection, [attempt.opening.attempt_id for attempt in attempts])
            by_id = {a.opening.attempt_id: a for a in reversed(attempts) if a.opening.attempt_id not in kept}
            new = list(by_id.values())
            _insert(connection, new)
        if new:
            last = connection.last_insert_rowid()
            _add_to_totals(connection, last - len(new), last)
            charge(connection, last - len(new), last, holder)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return len(new)


def _rebuild_totals(connection: apsw.Connection) -> tuple[list[Row], list[Row]]:
    """Other processes read the old totals until the new ones are committed; a gateway's batch waits, or comes again."""
    before = connection.execute(query("daily_totals")).fetchall()
    connection.execute(query("daily_totals_clear"))
    last: Any = connection.execute(query("attempts_last")).get
    _add_to_totals(connection, 0, last)
    gone: Any = connection.execute(query("expired_last")).get
    _add_to_totals(connection, 0, gone, _GONE)
    begin_anew(connection, gone)
    return before, connection.execute(query("daily_totals")).fetchall()


_LINES = ("attempt_sums", "place")
_GONE = ("expired_sums", "id")


def _add_to_totals(connection: apsw.Connection, first: int, last: int, rows: tuple[str, str] = _LINES) -> None:
    """Add the rows after `first` up to `last` to their days; Python would take seven times as long."""
    lines, place = rows
    _add(connection, query("daily_total_add").format(lines=lines, place=place), first, last)


def _add(connection: apsw.Connection, statement: str, first: int, last: int) -> None:
    try:
        connection.execute(statement, {"first": first, "last": last})
    except apsw.SQLError:
        if last - first == 1:
            raise
        # Their sum does not fit 64 bits. One by one they do, and the total stops at the largest integer.
        for row in range(first, last):
            _add(connection, statement, row, row + 1)


def _insert(connection: apsw.Connection, attempts: Sequence[Attempt]) -> None:
    """Insert with few statements: each gives the interpreter's lock away once and has to win it back.

    Row by row, that made the event loop's thread wait so often that an attempt cost it 26 us more (measured 2026-11).
    """
    start = 0
    for at_once in _ROWS_AT_ONCE:
        statement = _insert_statement(at_once)
        while len(attempts) - start >= at_once:
            rows = map(row_of, attempts[start : start + at_once])
            connection.execute(statement, tuple(chain.from_iterable(rows)))
            start += at_once


@cache
def _insert_statement(rows: int) -> str:
    head, _, row = query("attempt_insert").partition("VALUES")
    compact = "".join(row.split())
    return f"{head}VALUES {','.join([compact] * rows)}"


_ROWS_AT_ONCE = (128, 16, 1)
"""128 rows are 13 KB of statement; apsw keeps none above 16 KB prepared."""


def _known(connection: apsw.Connection, attempt_ids: Collection[str]) -> set[str]:
    return {row[0] for row in connection.execute(query("attempts_known"), {"ids": _json(attempt_ids)})}


def _not_expired(connection: apsw.Connection, attempts: Sequence[Attempt]) -> Sequence[Attempt]:
    """Leave out what was here once and has expired; only what began before lines are kept may have."""
    kept_from: Any = connection.execute(query("kept_from")).get
    if not kept_from or all(attempt.opening.started_at_us >= kept_from for attempt in attempts):
        return attempts
    gone = _known(connection, [attempt.opening.attempt_id for attempt in attempts])
    return [attempt for attempt in attempts if attempt.opening.attempt_id not in gone]


def _damage(connection: apsw.Connection) -> list[str]:
    found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(100)")]
    return what_is_wrong(connection) if found == ["ok"] else found


def _json(attempt_ids: Collection[str]) -> str:
    return msgspec.json.encode(list(attempt_ids)).decode()
