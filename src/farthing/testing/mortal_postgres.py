"""PostgreSQL for a gateway that kills itself: death while the server works for it, before it commits, and after.

A process can die while its statement runs; the server does not notice, and may commit it after the next start has
posted the same. To die at that moment on purpose, the statement is made to wait: another transaction of ours has added
to the same totals, and does not commit.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from msgspec.structs import replace

from farthing.storage.postgres import PostgresStore, connections
from farthing.storage.postgres.budgets import PostgresBudgets
from farthing.storage.postgres.connections import Connections, Session
from farthing.storage.postgres.database import Migration, shipped_migrations
from farthing.storage.postgres.sql import query
from farthing.testing.crash_points import CrashPoint
from farthing.testing.mortality import AT_COMMITS, Death, die
from farthing.types.budgets import LeaseAnswer, LeaseAsk
from farthing.types.calls import Attempt

T = TypeVar("T")

_WAITS = "SELECT 1 FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted"
_LOOK_S = 0.005


class MortalPostgres(PostgresStore):
    """PostgreSQL, and death in the middle of its transactions."""

    phase = "starting"

    def __init__(self, url: str, *, death: Death, **how: Any) -> None:
        super().__init__(url, **how)
        self._death = death
        self.budgets = MortalPostgresBudgets(self.connections, death)

    async def append(self, attempts: Sequence[Attempt], holder: str = "") -> int:
        """See `LedgerStore.append`."""
        inserted, committing, committed = AT_COMMITS[self.phase]

        async def keep(session: Session) -> int:
            async with session.connection.transaction():
                added = await self._append(session, attempts, holder)
                self._death.reached(committing)
            self._death.reached(committed)
            return added

        if attempts and self._death.due(inserted):
            await self.connections.transaction(lambda session: self._die_beside(session, attempts, holder))
        return await self.connections.repeatable(keep) if attempts else 0

    async def _die_beside(self, session: Session, attempts: Sequence[Attempt], holder: str) -> None:
        """Die while the server has kept the attempts and waits to add up what they cost."""
        await self._append(session, [_other(attempt) for attempt in attempts], holder)
        posting = asyncio.create_task(super().append(attempts, holder))
        while not await session.connection.fetch(_WAITS):
            assert not posting.done(), "it waits for us"
            await asyncio.sleep(_LOOK_S)
        die()


def _other(attempt: Attempt) -> Attempt:
    opening = attempt.opening
    return replace(attempt, opening=replace(opening, attempt_id=f"{opening.attempt_id}-other"))


class MortalPostgresBudgets(PostgresBudgets):
    """Budgets in PostgreSQL, and death where something is leased."""

    def __init__(self, connections: Connections, death: Death) -> None:
        super().__init__(connections)
        self._death = death

    async def exchange(self, holder: str, asks: Sequence[LeaseAsk], *, now_us: int, until_us: int) -> list[LeaseAnswer]:
        """See `BudgetStore.exchange`."""
        if not any(ask.need_nanousd for ask in asks):
            return await super().exchange(holder, asks, now_us=now_us, until_us=until_us)
        mortal = PostgresBudgets(_Committing(self._connections, self._death))
        answers = await mortal.exchange(holder, asks, now_us=now_us, until_us=until_us)
        self._death.reached(CrashPoint.LEASED)
        return answers


class _Committing(Connections):
    """The connections of another, and death before a lease is committed."""

    def __init__(self, others: Connections, death: Death) -> None:
        vars(self).update(vars(others))
        self._death = death

    async def transaction(self, work: Callable[[Session], Awaitable[T]]) -> T:
        """See `Connections.transaction`."""

        async def within(session: Session) -> T:
            answer = await work(session)
            self._death.reached(CrashPoint.LEASING if isinstance(answer, list) else None)
            return answer

        return await super().transaction(within)


def postgres_migrations_with_next() -> tuple[Migration, ...]:
    """Return the migrations that are shipped and one that is not."""
    shipped = shipped_migrations()
    script = "ALTER TABLE keys ADD COLUMN note TEXT; CREATE INDEX attempts_by_end ON attempts (ended_at_us);"
    return *shipped, Migration(len(shipped) + 1, "next.sql", script)


def watch_postgres_migration(death: Death) -> None:
    """Die before a migration is committed, or after."""
    prepare: Any = vars(connections)["prepare"]

    async def watched(connection: Any, *arguments: Any, **options: Any) -> Any:
        return await prepare(_Migrating(connection, death), *arguments, **options)

    vars(connections).update(prepare=watched)


class _Migrating:
    """A connection, and death once the tables have changed."""

    def __init__(self, connection: Any, death: Death) -> None:
        self._connection = connection
        self._death = death
        self._changed = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    async def execute(self, statement: str, *arguments: Any, **options: Any) -> Any:
        status = await self._connection.execute(statement, *arguments, **options)
        if statement == query("version_set"):  # the last thing before it is committed
            self._changed = True
            self._death.reached(CrashPoint.MIGRATING)
        return status

    async def fetchval(self, statement: str, *arguments: Any) -> Any:
        if self._changed:  # the first thing after that
            self._death.reached(CrashPoint.MIGRATED)
        return await self._connection.fetchval(statement, *arguments)
