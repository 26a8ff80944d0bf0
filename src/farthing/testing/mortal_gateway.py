"""A `farthing serve` that kills itself at a named point, or whose clock can be stepped: for tests of crashes.

    python -m farthing.testing.mortal_gateway --die settled --after 3 -- serve --home DIR --port 3000

The product knows nothing of this. The gateway's journal, store and clock are replaced by mortal ones where they are
taken from, before the command line runs; everything else is the real thing.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from farthing import app
from farthing.cli import main as command_line
from farthing.clock import Clock, SystemClock
from farthing.ledger import Ledger
from farthing.ledger import ledger as ledger_module
from farthing.ledger.journal import MAX_SEGMENT_BYTES, SystemFiles
from farthing.ledger.recovery import Recovered
from farthing.storage import chosen, postgres
from farthing.storage.sqlite import SqliteStore, database
from farthing.storage.sqlite.budgets import SqliteBudgets
from farthing.storage.sqlite.database import Migration, shipped_migrations
from farthing.testing.crash_points import CrashPoint
from farthing.testing.mortal_postgres import (
    MortalPostgres,
    postgres_migrations_with_next,
    watch_postgres_migration,
)
from farthing.testing.mortality import AT_COMMITS, Death, die
from farthing.types.budgets import LeaseAnswer, LeaseAsk
from farthing.types.calls import Attempt
from farthing.types.offload import Offload

_NEVER_S = 3_600.0


_AT_LINES: dict[bytes, tuple[CrashPoint | None, CrashPoint, CrashPoint]] = {
    b'{"begin"': (CrashPoint.BEFORE_BEGIN, CrashPoint.BEGIN_TORN, CrashPoint.BEGUN),
    b'{"checkpoint"': (None, CrashPoint.CHECKPOINT_TORN, CrashPoint.CHECKPOINTED),
    b'{"end"': (CrashPoint.BEFORE_SETTLE, CrashPoint.END_TORN, CrashPoint.SETTLED),
    b'{"ended"': (CrashPoint.BEFORE_SETTLE, CrashPoint.END_TORN, CrashPoint.SETTLED),
}


class MortalFiles:
    """See `Files`: the system's own, and death before, in the middle of and after a line or a new segment."""

    truncate = staticmethod(os.ftruncate)
    close = staticmethod(os.close)

    def __init__(self, death: Death) -> None:
        self._death = death
        self._system = SystemFiles()

    def open(self, path: Path) -> int:
        """See `Files.open`."""
        self._death.reached(CrashPoint.SEGMENT_WANTED)
        descriptor = self._system.open(path)
        self._death.reached(CrashPoint.SEGMENT_MADE)
        return descriptor

    def write(self, descriptor: int, data: bytes) -> int:
        """See `Files.write`."""
        before, torn, after = _AT_LINES.get(data[: data.find(b":")], (None, None, None))
        self._death.reached(before)
        if self._death.due(torn):
            os.write(descriptor, data[: len(data) // 2])
            die()
        written = os.write(descriptor, data)
        self._death.reached(after)
        return written

    def identity(self, at: int | Path) -> tuple[int, int] | None:
        """See `Files.identity`."""
        return self._system.identity(at)


class MortalBudgets(SqliteBudgets):
    """Budgets in SQLite, and death where something is leased."""

    def __init__(self, store: "MortalStore", death: Death) -> None:
        super().__init__(store.connections)
        self._store = store
        self._death = death

    async def exchange(self, holder: str, asks: Sequence[LeaseAsk], *, now_us: int, until_us: int) -> list[LeaseAnswer]:
        """See `BudgetStore.exchange`."""
        needed = any(ask.need_nanousd for ask in asks)
        async with self._store.one_at_a_time:
            await self._store.on_commit(CrashPoint.LEASING if needed else None)
            answers = await super().exchange(holder, asks, now_us=now_us, until_us=until_us)
            await self._store.on_commit(None)
        self._death.reached(CrashPoint.LEASED if needed else None)
        return answers


class MortalStore(SqliteStore):
    """SQLite, and death in the middle of its transactions."""

    phase = "starting"

    def __init__(self, path: Path, writes: Offload, *, death: Death, migrations: Sequence[Migration]) -> None:
        super().__init__(path, writes, migrations=migrations)
        self._death = death
        self.budgets = MortalBudgets(self, death)
        self.one_at_a_time = asyncio.Lock()
        """Held from saying at which commit to die until that is done: others commit as well."""

    async def on_commit(self, point: CrashPoint | None) -> None:
        """Die at the next commit, where this is the point; said on the connection's own thread, which may be busy."""
        await self.connections.write(lambda connection: connection.set_commit_hook(lambda: not self._goes_on(point)))

    async def append(self, attempts: Sequence[Attempt], holder: str = "") -> int:
        """See `LedgerStore.append`."""
        inserted, committing, committed = AT_COMMITS[self.phase]

        def listen(connection: Any) -> None:
            connection.exec_trace = lambda _, sql, __: self._goes_on(inserted if _ADDS_UP in sql else None)
            connection.set_wal_hook(lambda *_: 0 if self._goes_on(committed) else 1)

        async with self.one_at_a_time:
            if attempts:
                await self.on_commit(committing)
                await self.connections.write(listen)
            return await super().append(attempts, holder)

    def _goes_on(self, point: CrashPoint | None) -> bool:
        self._death.reached(point)
        return True


_ADDS_UP = "INTO daily_totals"


class MortalLedger(Ledger):
    """The ledger, and death before and after it closes; `death` also goes into its files."""

    def __init__(self, *arguments: Any, death: Death, segment_bytes: int, **options: Any) -> None:
        super().__init__(*arguments, **options | {"files": MortalFiles(death), "max_segment_bytes": segment_bytes})
        self._death = death

    async def start(self) -> Recovered:
        """See `Ledger.start`."""
        recovered = await super().start()
        self._enter("serving")
        return recovered

    async def close(self) -> None:
        """See `Ledger.close`."""
        self._death.reached(CrashPoint.CLOSING)
        self._enter("closing")
        await super().close()
        self._death.reached(CrashPoint.CLOSED)

    def _enter(self, phase: str) -> None:
        assert isinstance(self._store, MortalStore | MortalPostgres)
        self._store.phase = phase


class SteppableClock:
    """The system's clock, set wrong by as many seconds as a file says."""

    def __init__(self, offset_s: Path) -> None:
        self._offset_s = offset_s
        self._system = SystemClock()

    def now_us(self) -> int:
        """See `Clock.now_us`."""
        return self._system.now_us() + int(self._offset_s.read_text(encoding="ascii")) * 1_000_000

    def monotonic(self) -> float:
        """See `Clock.monotonic`: nobody can step that."""
        return self._system.monotonic()


def migrations_with_next() -> tuple[Migration, ...]:
    """Return the migrations that are shipped and one that is not."""
    shipped = shipped_migrations()
    script = "ALTER TABLE keys ADD COLUMN note TEXT;\nCREATE INDEX attempts_by_end ON attempts (ended_at_us);"
    return *shipped, Migration(len(shipped) + 1, "next.sql", script)


def _watch_migration(death: Death) -> None:
    migrate: Any = vars(database)["_migrate"]

    def watched(connection: Any, *arguments: Any) -> None:
        def look(_: object, sql: str, __: object) -> bool:
            if sql.startswith("VACUUM INTO") and death.due(CrashPoint.MIGRATION_COPYING):
                connection.set_progress_handler(die, 200)  # in the middle of the work
            if '"user_version"(' in sql:  # it is set, after the tables were changed
                death.reached(CrashPoint.MIGRATING)
            return True

        def committed(*_: object) -> int:
            death.reached(CrashPoint.MIGRATED)
            return 0

        connection.exec_trace = look
        connection.set_wal_hook(committed)
        migrate(connection, *arguments)
        connection.exec_trace = None

    setattr(database, "_migrate", watched)  # noqa: B010 - a plain assignment to a module's function is a type error


def main() -> None:
    """Put the mortal parts in place and run the command line."""
    parser = argparse.ArgumentParser(prog="mortal_gateway", description=__doc__.partition("\n")[0])
    parser.add_argument("--die", type=CrashPoint, choices=list(CrashPoint), help="where")
    parser.add_argument("--after", type=int, default=1, help="the how manieth time")
    parser.add_argument("--batch", type=int, default=1_000, help="how many attempts go to the store at once")
    parser.add_argument("--segment-bytes", type=int, default=MAX_SEGMENT_BYTES, help="when the journal is cut")
    parser.add_argument("--next-tables", action="store_true", help="as the next version would have them")
    parser.add_argument("--clock", type=Path, help="a file with the seconds by which the clock is wrong")
    parser.add_argument("arguments", nargs="+", help="farthing's own")
    told = parser.parse_args()
    death = Death(told.die, told.after)
    migrations = migrations_with_next() if told.next_tables else shipped_migrations()

    def clock() -> Clock:
        return SteppableClock(told.clock)

    def store(path: Path, writes: Offload, **_: Any) -> SqliteStore:
        return MortalStore(path, writes, death=death, migrations=migrations)

    def postgres_store(url: str, **how: Any) -> MortalPostgres:
        migrations = {"migrations": postgres_migrations_with_next()} if told.next_tables else {}
        return MortalPostgres(url, death=death, **migrations, **how)

    def ledger(*arguments: Any, **options: Any) -> Ledger:
        return MortalLedger(*arguments, death=death, segment_bytes=told.segment_bytes, **options)

    replaced: dict[str, Any] = {"Ledger": ledger}
    if told.clock is not None:
        replaced["SystemClock"] = clock
    vars(app).update(replaced)
    vars(chosen).update(SqliteStore=store)
    vars(postgres).update(PostgresStore=postgres_store)
    if told.die is not None:  # only a whole batch goes to the store, so that it is known what is in it
        vars(ledger_module).update(FLUSH_ROWS=told.batch, LINGER_S=_NEVER_S)
    _watch_migration(death)
    watch_postgres_migration(death)
    sys.argv[1:] = told.arguments
    command_line()


if __name__ == "__main__":
    main()
