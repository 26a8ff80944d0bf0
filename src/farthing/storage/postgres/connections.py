"""The connections of a PostgreSQL store: a small pool, and the server's complaints turned into ours.

Every part of the store asks through these. What surprised us: a pool gives out connections whose server was restarted
meanwhile, so a question is asked once more over a new one; a change is not, because it may have been made. asyncpg
gives nothing that says how long a statement may take on the server's side, so a client that is stopped in the middle
of a transaction would hold its locks, and with them every other host: the server is told to end such a session.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from farthing.errors import StoreError
from farthing.storage.postgres.address import Address
from farthing.storage.postgres.complaints import complaints, is_about_the_connection
from farthing.storage.postgres.database import Installation, Migration, installed, prepare, shipped_migrations
from farthing.storage.postgres.sql import query
from farthing.storage.postgres.texts import kept_value, told_row

if TYPE_CHECKING:
    from asyncpg import Connection, Pool

T = TypeVar("T")

MAX_CONNECTIONS = 4
"""Of one process: the ledger's batch, a lease, a poll of the keys, and one more. PostgreSQL takes 100 unless it is told
otherwise: six hosts with four workers each."""
CONNECT_TIMEOUT_S = 5.0
"""A server in the same place answers within milliseconds; one that is far away or waking up within a second or two."""
STATEMENT_TIMEOUT_S = 60.0
"""The longest question over a time, by what no sums know, takes seconds of each million lines."""
WHOLE_TIMEOUT_S = 3_600.0
"""A statement that reads or writes the whole ledger, to prove or to make sums of it, takes some ten seconds of each
million lines on a busy machine: this is enough for a hundred million of them."""
ACQUIRE_TIMEOUT_S = 10.0
"""How long a statement waits for one of the connections; whoever waits longer is told that the server is too slow."""
IDLE_S = 300.0
"""An unused connection is closed after this: firewalls forget them later than that."""
MAX_PREPARED_BYTES = 64 * 1024
"""Longer statements are parsed and planned each time. asyncpg's own bound is 15 KB, and the statement that keeps a
batch has 37: that took more than to run it."""
TRANSACTION_IDLE_MS = 15_000
"""A transaction in which nothing happens for so long belongs to a process that was stopped; the server ends it."""


class Session:
    """One connection, within a transaction or alone: asks named queries, with texts kept as `texts.py` says."""

    def __init__(self, connection: "Connection[Any]") -> None:
        self.connection = connection

    async def all(self, name: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """Return every row of a named query."""
        return await self.ask(query(name), *arguments)

    async def one(self, name: str, *arguments: Any) -> tuple[Any, ...] | None:
        """Return the first row of a named query, or `None`."""
        row = await self.connection.fetchrow(query(name), *map(kept_value, arguments))
        return None if row is None else told_row(row)

    async def ask(self, statement: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """Return every row of a statement that was put together."""
        rows = await self.connection.fetch(statement, *map(kept_value, arguments))
        return [told_row(row) for row in rows]

    async def whole(self, statement: str) -> list[tuple[Any, ...]]:
        """Return every row of a statement over the whole ledger, which takes as long as it takes."""
        rows = await self.connection.fetch(statement, timeout=WHOLE_TIMEOUT_S)
        return [told_row(row) for row in rows]

    async def run(self, name: str) -> None:
        """Run a named statement that changes no row."""
        await self.connection.execute(query(name))

    async def change(self, name: str, *arguments: Any) -> int:
        """Run a named statement; return how many rows it changed."""
        status = await self.connection.execute(query(name), *map(kept_value, arguments))
        return int(status.rpartition(" ")[2])


class Connections:
    """Runs statements over a pool that belongs to the event loop it was opened on."""

    def __init__(
        self,
        url: str,
        *,
        migrations: Sequence[Migration] | None = None,
        upgrades: bool = True,
        makes: bool = True,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        """Without `upgrades` older tables are refused, without `makes` a schema that has none."""
        self.address = Address(url)
        self.migrations = shipped_migrations() if migrations is None else migrations
        self._upgrades = upgrades
        self._makes = makes
        self._max_connections = max_connections
        self._pool: Pool[Any] | None = None
        self.installation: Installation | None = None

    async def open(self) -> None:
        """Connect and bring the tables up to date; opening again changes nothing.

        Raises:
            StoreError: the server cannot be reached or used, or its tables are newer than the program.
        """
        if self._pool is not None:
            return
        with complaints(self.address):
            pool = await self._new_pool()
            try:
                async with pool.acquire() as connection:
                    self.installation = await prepare(
                        connection, self.migrations, self.address, upgrades=self._upgrades, makes=self._makes
                    )
            except BaseException:
                pool.terminate()
                raise
        self._pool = pool

    async def close(self) -> None:
        """Let go of the server; closing twice changes nothing."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            async with asyncio.timeout(ACQUIRE_TIMEOUT_S):
                await pool.close()
        except TimeoutError:  # the server does not say goodbye; what was not committed is taken back by it
            pool.terminate()

    async def intact(self) -> bool:
        """Return whether the tables are still those that were opened: not made anew, and not a newer program's."""
        return self.installation is not None and await self._asked(_installed) == self.installation

    async def all(self, name: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """Return every row of a named query."""
        return await self.read(lambda session: session.all(name, *arguments))

    async def ask(self, statement: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """Return every row of a statement that was put together, and changes nothing."""
        return await self.read(lambda session: session.ask(statement, *arguments))

    async def whole(self, statement: str) -> list[tuple[Any, ...]]:
        """Return every row of a statement over the whole ledger; see `Session.whole`."""
        return await self.read(lambda session: session.whole(statement))

    async def change(self, name: str, *arguments: Any) -> bool:
        """Run a named statement alone; return whether it changed a row."""
        return await self._asked(lambda session: session.change(name, *arguments)) > 0

    async def transaction(self, work: Callable[[Session], Awaitable[T]]) -> T:
        """Return what `work` returns, in one transaction that is taken back where it raises."""

        async def within(session: Session) -> T:
            async with session.connection.transaction():
                return await work(session)

        return await self._asked(within)

    async def read(self, work: Callable[[Session], Awaitable[T]]) -> T:
        """Return what `work` returns, which only asks: over a broken connection it is asked once more, over another."""
        return await self._asked(work, again=True)

    async def repeatable(self, work: Callable[[Session], Awaitable[T]]) -> T:
        """Return what `work` returns, which changes nothing where it is done twice; asked again as `read` does."""
        return await self._asked(work, again=True)

    async def _asked(self, work: Callable[[Session], Awaitable[T]], *, again: bool = False) -> T:
        if self._pool is None:
            raise StoreError(f"The ledger's database {self.address} is not open.")
        with complaints(self.address):
            try:
                return await self._over_one(self._pool, work)
            except Exception as error:
                if not (again and is_about_the_connection(error)):
                    raise
            return await self._over_one(self._pool, work)

    async def _over_one(self, pool: "Pool[Any]", work: Callable[[Session], Awaitable[T]]) -> T:
        async with pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
            return await work(Session(connection))

    async def _new_pool(self) -> "Pool[Any]":
        try:
            import asyncpg  # noqa: PLC0415  (an extra, and 60 ms: for those who use it)
        except ImportError as error:
            raise StoreError(
                "The ledger's database is PostgreSQL, and what speaks to it is not installed.",
                hint='pip install "farthing[postgres]"',
            ) from error
        return await asyncpg.create_pool(
            self.address.url,
            min_size=0,  # with a floor the pool logs a stack for each try to get one back from a server that is away
            max_size=self._max_connections,
            max_inactive_connection_lifetime=IDLE_S,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=STATEMENT_TIMEOUT_S,
            max_cacheable_statement_size=MAX_PREPARED_BYTES,
            reset=_nothing,
            server_settings={
                "application_name": "farthing",
                "idle_in_transaction_session_timeout": str(TRANSACTION_IDLE_MS),
                "jit": "off",  # to compile a query of twenty sums takes longer than to answer it
            },
        )


async def _nothing(_: Any) -> None:
    """Leave a session as it is when it goes back to the pool: nobody here sets anything, and it saves a round trip."""


async def _installed(session: Session) -> Installation | None:
    return await installed(session.connection)
