"""The connections of a SQLite store: one that writes, and where there is a second thread, one that reads beside it.

Every part of the store asks through these, so that its statements run on the thread that owns the connection, and
SQLite's complaints become ours.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import apsw

from farthing.errors import StoreError
from farthing.storage.sqlite.database import (
    Migration,
    open_current,
    open_database,
    open_reader,
    shipped_migrations,
    store_error,
)
from farthing.storage.sqlite.sql import query
from farthing.types.offload import Offload

T = TypeVar("T")


class Connections:
    """Runs statements on the right connection and thread; see `SqliteStore` for what the arguments mean."""

    def __init__(
        self,
        path: Path,
        writes: Offload,
        reads: Offload | None = None,
        *,
        migrations: Sequence[Migration] | None = None,
        read_only: bool = False,
    ) -> None:
        self.path = path
        self._read_only = read_only
        self._writes = writes
        self._reads = reads
        self._migrations = shipped_migrations() if migrations is None else migrations
        self.writer: apsw.Connection | None = None
        self._reader: apsw.Connection | None = None
        self._identity: tuple[int, int] | None = None

    async def open(self) -> None:
        """Open the database and bring its tables up to date; opening again changes nothing."""
        if self.writer is not None:
            return
        self.writer = await self._writes.run(self._connect)
        self._identity = await self._writes.run(lambda: _identity(self.path))
        if self._reads is not None:
            self._reader = await self._reads.run(lambda: open_reader(self.path))

    async def close(self) -> None:
        """Let go of the database; closing twice changes nothing."""
        reader, self._reader = self._reader, None
        writer, self.writer = self.writer, None
        if reader is not None and self._reads is not None:
            await self._reads.run(reader.close)
        if writer is not None:
            await self._writes.run(writer.close)

    async def intact(self) -> bool:
        """Return whether the file that was opened still stands at its path."""
        return self._identity is not None and self._identity == await self._writes.run(lambda: _identity(self.path))

    async def all(self, name: str, bindings: Any) -> list[tuple[Any, ...]]:
        """Return every row of a named query."""
        return await self.read(lambda connection: connection.execute(query(name), bindings).fetchall())

    async def change(self, name: str, bindings: Any) -> bool:
        """Run a named statement alone; return whether it changed a row."""

        def change(connection: apsw.Connection) -> bool:
            connection.execute(query(name), bindings)
            return connection.changes() > 0

        return await self.write(change)

    async def write(self, work: Callable[[apsw.Connection], T]) -> T:
        """Return what `work` returns, on the connection that writes."""
        return await self._writes.run(lambda: self._guarded(self.writer, work))

    async def transaction(self, work: Callable[[apsw.Connection], T]) -> T:
        """Return what `work` returns, in one transaction that is taken back where it raises."""
        return await self.write(lambda connection: in_transaction(connection, work))

    async def read(self, work: Callable[[apsw.Connection], T]) -> T:
        """Return what `work` returns, on the connection that reads where there is one."""
        if self._reads is None:
            return await self.write(work)
        return await self._reads.run(lambda: self._guarded(self._reader, work))

    def _connect(self) -> apsw.Connection:
        if self._read_only:
            return open_current(self.path, self._migrations)
        return open_database(self.path, self._migrations)

    def _guarded(self, connection: apsw.Connection | None, work: Callable[[apsw.Connection], T]) -> T:
        """Run `work` on the connection's own thread; SQLite's errors become ours."""
        if connection is None:
            raise StoreError(f"The ledger's database {str(self.path)!r} is not open.")
        try:
            return work(connection)
        except apsw.Error as error:
            raise store_error(self.path, error) from error


def in_transaction(connection: apsw.Connection, work: Callable[[apsw.Connection], T]) -> T:
    """Run `work` in a transaction that waits for other writers at its beginning, not in its middle."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        result = work(connection)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return result


def _identity(path: Path) -> tuple[int, int] | None:
    """Return which file stands at the path, by device and number; `None` where there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116 - os.stat is the call that is meant
    except OSError:
        return None
    return found.st_dev, found.st_ino
