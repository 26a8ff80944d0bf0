"""The PostgreSQL store: the ledger's batches, each one statement, and what is asked of them; and the keys.

A batch goes as one JSON text, which costs the event loop 2 us a row; an array for each column costs it 11, and more
numbers than 32,767 a statement does not take (measured 2026-11). Keeping the rows and adding up what is new is the same
statement: one round trip, all of it or nothing.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from itertools import groupby
from typing import Any

import msgspec

from farthing.errors import StoreError
from farthing.storage.postgres.admin import PostgresAdmin
from farthing.storage.postgres.alerts import PostgresAlerts
from farthing.storage.postgres.budgets import PostgresBudgets
from farthing.storage.postgres.complaints import rows_refused
from farthing.storage.postgres.connections import Connections, Session
from farthing.storage.postgres.costs import costs_statement
from farthing.storage.postgres.credentials import PostgresCredentials
from farthing.storage.postgres.database import Migration
from farthing.storage.postgres.history import PostgresHistory
from farthing.storage.postgres.keys import PostgresKeys
from farthing.storage.postgres.limits import PostgresLimits, PostgresWindows
from farthing.storage.postgres.outcomes import PostgresOutcomes
from farthing.storage.postgres.retention import PostgresRetention
from farthing.storage.postgres.rollups import of_each
from farthing.storage.postgres.settings import PostgresSettings
from farthing.storage.postgres.spending import spending_row_of, spending_statement
from farthing.storage.postgres.sql import query
from farthing.storage.postgres.texts import kept_value, needs_care, told_row
from farthing.storage.protocols import MAX_GROUPS
from farthing.storage.rows import COLUMNS, Row, attempt_of, costs_row_of, daily_total_of, quoted, row_of
from farthing.types.budgets import Budget, scarcest
from farthing.types.calls import Attempt
from farthing.types.ledger import EVERYTHING, CostsBy, CostsFilter, CostsRow, DailyTotal, Glance, KeySpent, Spent
from farthing.types.spending import SpendingBy, SpendingRow, SpendingScope

_AFTER_EVERY_ID = "\U0010ffff"  # sorts behind every character an id can hold
_LARGEST = (1 << 63) - 1


class PostgresStore(PostgresKeys):
    """See `storage/protocols.py`. `url` is PostgreSQL's own; `?search_path=NAME` chooses a schema.

    Without `upgrades` tables of an older program are refused instead of brought up to date: for commands, which must
    not change them under the servers of other hosts. Without `makes` a schema without our tables is refused: for
    whoever knows that there were some. With a callers' clock that is trusted budgets do not ask for the server's.
    """

    def __init__(
        self,
        url: str,
        *,
        migrations: Sequence[Migration] | None = None,
        upgrades: bool = True,
        makes: bool = True,
        trusts_callers_clock: bool = False,
    ) -> None:
        super().__init__(Connections(url, migrations=migrations, upgrades=upgrades, makes=makes))
        self.budgets = PostgresBudgets(self.connections, trusts_callers_clock=trusts_callers_clock)
        self.credentials = PostgresCredentials(self.connections)
        self.limits = PostgresLimits(self.connections)
        self.windows = PostgresWindows(self.connections)
        self.admin = PostgresAdmin(self.connections)
        self.alerts = PostgresAlerts(self.connections)
        self.history = PostgresHistory(self.connections)
        self.settings = PostgresSettings(self.connections)
        self.outcomes = PostgresOutcomes(self.connections)
        self.retention = PostgresRetention(self.connections)

    async def open(self) -> None:
        """See `Store.open`."""
        await self.connections.open()

    async def close(self) -> None:
        """See `Store.close`."""
        await self.connections.close()

    async def append(self, attempts: Sequence[Attempt], holder: str = "") -> int:
        """See `LedgerStore.append`."""
        if not attempts:
            return 0
        return await self.connections.repeatable(lambda session: self._append(session, attempts, holder))

    async def intact(self) -> bool:
        """See `LedgerStore.intact`: tables that were made anew hold nothing of ours, and newer ones are not for us."""
        return await self.connections.intact()

    async def known(self, attempt_ids: Collection[str]) -> set[str]:
        """See `LedgerStore.known`."""
        return {row[0] for row in await self.connections.all("attempts_known", list(attempt_ids))}

    async def costs(
        self,
        by: CostsBy | None,
        since_us: int | None = None,
        until_us: int | None = None,
        only: CostsFilter = EVERYTHING,
        limit: int | None = None,
    ) -> list[CostsRow]:
        """See `LedgerStore.costs`."""
        statement, arguments = costs_statement(by, since_us, until_us, only, limit)
        rows = await self.connections.ask(statement, *arguments)
        if not rows and by is None:
            rows = [(None, *[0] * (len(CostsRow.__struct_fields__) - 1))]
        return [costs_row_of((row[0], *map(_whole, row[1:]))) for row in rows]

    async def roll_up(self, _limit: int) -> int:
        """See `LedgerStore.roll_up`. Nothing to do: what keeps a line adds it to the sums."""
        return 0

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
        statement, arguments = spending_statement(by, scope, since_us, until_us, limit)
        rows = await self.connections.ask(statement, *arguments)
        return [spending_row_of(row, len(by)) for row in rows]

    async def attempts_begun(self, after_us: int, after_id: str, until_us: int, limit: int) -> list[Attempt]:
        """See `LedgerStore.attempts_begun`."""
        rows = await self.connections.all("attempts_begun", after_us, after_id, until_us, limit)
        return [attempt_of(row) for row in rows]

    async def recent(self, limit: int, before_call_id: str | None = None) -> list[list[Attempt]]:
        """See `LedgerStore.recent`."""
        attempts = map(attempt_of, await self.connections.all("recent", limit, before_call_id))
        return [list(tries) for _, tries in groupby(attempts, key=lambda attempt: attempt.opening.call_id)]

    async def call(self, call_id: str) -> list[Attempt]:
        """See `LedgerStore.call`."""
        return [attempt_of(row) for row in await self.connections.all("call", call_id)]

    async def call_ids(self, prefix: str, limit: int) -> list[str]:
        """See `LedgerStore.call_ids`."""
        return [row[0] for row in await self.connections.all("call_ids", prefix, prefix + _AFTER_EVERY_ID, limit)]

    async def attempts_after(self, attempt_id: str, limit: int) -> list[Attempt]:
        """See `LedgerStore.attempts_after`."""
        return [attempt_of(row) for row in await self.connections.all("attempts_after", attempt_id, limit)]

    async def attempts_of(self, attempt_ids: Collection[str]) -> list[Attempt]:
        """See `LedgerStore.attempts_of`."""
        return [attempt_of(row) for row in await self.connections.all("attempts_of", list(attempt_ids))]

    async def attempts_from(self, place: str, limit: int) -> tuple[list[Attempt], str]:
        """See `Movable.attempts_from`: in order of id, because the server does not tell which came first."""
        page = await self.attempts_after(place, limit)
        return page, page[-1].opening.attempt_id if page else place

    async def tables(self) -> dict[str, list[str]]:
        """See `Movable.tables`."""
        found: dict[str, list[str]] = {}
        for table, column in await self.connections.all("tables"):
            found.setdefault(table, []).append(column)
        return found

    async def rows(self, table: str, columns: Sequence[str]) -> list[dict[str, Any]]:
        """See `Movable.rows`."""
        sql = f"SELECT {', '.join(map(quoted, columns))} FROM {quoted(table)}"  # noqa: S608 - names cannot be bound
        rows = await self.connections.read(lambda session: session.connection.fetch(sql))
        return [dict(zip(columns, told_row(row), strict=True)) for row in rows]

    async def replace(self, tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """See `Movable.replace`."""

        async def replace(session: Session) -> None:
            for table, rows in tables.items():
                await session.connection.execute(f"DELETE FROM {quoted(table)}")  # noqa: S608 - as above
                await _put(session, table, rows)

        await self.connections.transaction(replace)

    async def page(
        self, table: str, columns: Sequence[str], order: str, after: Any, limit: int
    ) -> list[dict[str, Any]]:
        """See `Movable.page`."""
        listed, first = ", ".join(map(quoted, columns)), quoted(order)
        sql = f"SELECT {listed} FROM {quoted(table)} WHERE {first} > $1 ORDER BY {first} LIMIT $2"  # noqa: S608 - as above
        rows = await self.connections.ask(sql, after, limit)
        return [dict(zip(columns, row, strict=True)) for row in rows]

    async def add(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """See `Movable.add`."""
        await self.connections.transaction(lambda session: _put(session, table, rows))

    async def drop_expired(self) -> None:
        """See `Movable.drop_expired`."""
        await self.connections.change("expired_drop")

    async def repeated_tries(self, limit: int) -> list[tuple[str, int, int]]:
        """See `LedgerStore.repeated_tries`."""
        return [(row[0], row[1], row[2]) for row in await self.connections.all("repeated_tries", limit)]

    async def key_spent(self, key_id: str) -> KeySpent:
        """See `LedgerStore.key_spent`."""
        (row,) = await self.connections.all("key_spent", key_id)
        return KeySpent(**dict(zip(KeySpent.__struct_fields__, row, strict=True)))

    async def daily_totals(self) -> list[DailyTotal]:
        """See `LedgerStore.daily_totals`."""
        return [_total(row) for row in await self.connections.all("daily_totals")]

    async def daily_totals_recomputed(self) -> list[DailyTotal]:
        """See `LedgerStore.daily_totals_recomputed`."""
        return [_total(row) for row in await self.connections.whole(query("daily_totals_recomputed"))]

    async def rebuild_totals(self) -> tuple[list[DailyTotal], list[DailyTotal]]:
        """See `LedgerStore.rebuild_totals`."""
        before, after = await self.connections.transaction(_rebuild_totals)
        return [_total(row) for row in before], [_total(row) for row in after]

    async def damage(self) -> list[str]:
        """See `LedgerStore.damage`: PostgreSQL has no check of its own for a client to ask; what it reads is whole."""
        wrong = []
        for statement in (query("rollups_wrong"), *of_each("rollups_differ")[:-1]):
            wrong += await self.connections.whole(statement)
        return [
            f"sums of day {day} since 1970: {kept} attempts of {cost} nanodollars, the ledger has {again} of {theirs}"
            for day, kept, again, cost, theirs in wrong
        ]

    async def glance(self, today_us: int, session: str | None, session_since_us: int, now_us: int) -> Glance:
        """Return a few sums for a status line, and what is left at `now_us`."""

        async def spent(asked: Session, since_us: int, session: str | None) -> Spent:
            row = await asked.one("spent", since_us, session)
            assert row is not None, "sums of nothing are a row, too"
            return Spent(*map(int, row))

        async def look(asked: Session) -> Glance:
            model = await asked.one("last_model", session_since_us, session)
            in_session = None if session is None else await spent(asked, session_since_us, session)
            rules = await asked.all("budgets_at_a_glance", now_us, session)
            left = scarcest((msgspec.json.decode(rule, type=Budget), int(spent)) for rule, spent in rules)
            return Glance(await spent(asked, today_us, None), in_session, None if model is None else model[0], left)

        return await self.connections.read(look)

    async def _append(self, session: Session, attempts: Sequence[Attempt], holder: str) -> int:
        row = await self._posted(session, attempts, holder, old=False)
        if row[2]:
            async with session.connection.transaction():
                await session.all("retention_lock")
                row = await self._posted(session, attempts, holder, old=True)
        new: int = row[0]
        return new

    async def _posted(self, session: Session, attempts: Sequence[Attempt], holder: str, *, old: bool) -> Sequence[Any]:
        """Return how many were new, the tables' version, and whether they are so old that expired ids must be seen.

        What expires and what is posted again, both at once, must not miss each other: so then one waits for the other.
        """
        version = len(self.connections.migrations)
        try:
            row = await session.connection.fetchrow(_append_statement(), _encoded(attempts), version, holder, old)
        except Exception as error:
            refused = rows_refused(self.connections.address, error)
            if refused is None:
                raise
            raise refused from error
        assert row is not None, "the statement tells two numbers and a yes or no"
        if row[1] != version:
            address = self.connections.address
            raise StoreError(
                f"The ledger's database {address} has version {row[1]} by now; this program writes {version}.",
                hint="restart this host with the newer Farthing; until then its calls wait in the journal.",
            )
        told: Sequence[Any] = row
        return told


@cache
def _append_statement() -> str:
    return query("attempts_append").format(sums="".join(of_each("attempts_append_sums")).rstrip())


_Line = msgspec.defstruct("_Line", [(name, Any, None) for name in COLUMNS], omit_defaults=True, gc=False)
"""An attempt, flat, so that it is encoded as an object of its columns; what is `None` is left out."""

_encode = msgspec.json.Encoder().encode


def _encoded(attempts: Sequence[Attempt]) -> str:
    """Return attempts as a JSON array, each id once: the first of two counts."""
    rows = {attempt.opening.attempt_id: row_of(attempt) for attempt in reversed(attempts)}.values()
    encoded = _encode([_Line(*row) for row in rows])
    if needs_care(encoded):
        encoded = _encode([_Line(*map(kept_value, row)) for row in rows])
    return encoded.decode()


_ROWS_AT_ONCE = 1_000


def _as_json(value: Any) -> Any:
    """Return a value as JSON takes it and the server reads it from there."""
    return f"\\x{value.hex()}" if isinstance(value, bytes) else kept_value(value)


async def _put(session: Session, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        some = [{name: _as_json(value) for name, value in row.items()} for row in rows[start:][:_ROWS_AT_ONCE]]
        listed = ", ".join(map(quoted, some[0]))
        sql = (
            f"INSERT INTO {quoted(table)} ({listed}) SELECT {listed}"  # noqa: S608 - names of tables are ours
            f" FROM json_populate_recordset(NULL::{quoted(table)}, $1::json)"
        )
        await session.connection.execute(sql, _encode(some).decode())


async def _rebuild_totals(session: Session) -> tuple[list[Row], list[Row]]:
    await session.run("daily_totals_lock")
    before = await session.all("daily_totals")
    totals = (query("daily_totals_clear"), query("daily_totals_remade"))
    for statement in (*totals, *of_each("rollups_clear"), *of_each("rollups_remade")):
        await session.whole(statement)
    return before, await session.all("daily_totals")


def _total(row: Row) -> DailyTotal:
    return daily_total_of((*row[:4], *map(_whole, row[4:])))


def _whole(value: Any) -> int:
    """Return a sum as the integer it is, and the one ratio as the store's kind; PostgreSQL adds up in decimals."""
    return min(int(value), _LARGEST) if isinstance(value, float) else int(value)
