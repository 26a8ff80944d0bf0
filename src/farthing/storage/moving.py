"""Moves what one store keeps into another: `farthing storage migrate`.

Attempts are appended in batches, each once, so it may be begun again, and done while a gateway writes. The new store
adds its totals up itself; where they are the old one's, nothing is missing and nothing is there twice. What has expired
is copied page by page, when nobody writes any more. Everything else is small and changes in place: it is copied table
by table, in place of what a try before has left. Tables and columns have the same names in every backend, so a new one
needs nothing here.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from farthing.errors import StoreError
from farthing.storage.protocols import Store
from farthing.storage.rows import ROLLED
from farthing.types.calls import Attempt

PAGE_ROWS = 1_000
"""About a megabyte; between two pages whoever else uses the databases has his turn."""

MAX_TRIES = 3
"""How often all is looked through where totals disagree: if they do then, somebody still writes."""

Rows = Sequence[Mapping[str, Any]]

_ADDED_UP = frozenset({"attempts", "daily_totals", *(sums.table for sums in ROLLED)})
_EXPIRED = {"expired_attempts": "attempt_id", "expired_sums": "id"}
"""What may be as many rows as there were lines, and in which order they are copied."""
_OF_A_PROCESS = frozenset({"leases", "alert_leader"})
"""What lives as long as the processes do, and none does."""


class Movable(Store, Protocol):
    """What a store can do that others are filled from, and that is filled from others."""

    async def attempts_from(self, place: str, limit: int) -> tuple[list[Attempt], str]:
        """Return attempts behind a place, and the place behind them; `""` is before all.

        The order is the one in which they came, where the store knows it; else what comes late may come before.
        """
        ...

    async def tables(self) -> dict[str, list[str]]:
        """Return the columns of every table of ours."""
        ...

    async def rows(self, table: str, columns: Sequence[str]) -> Rows:
        """Return every row of a small table."""
        ...

    async def page(self, table: str, columns: Sequence[str], order: str, after: Any, limit: int) -> Rows:
        """Return up to `limit` rows in which the column `order` is greater than `after`, in that order."""
        ...

    async def replace(self, tables: Mapping[str, Rows]) -> None:
        """Put these rows in the place of what the tables hold, all or none."""
        ...

    async def add(self, table: str, rows: Rows) -> None:
        """Put these rows beside what the table holds."""
        ...

    async def drop_expired(self) -> None:
        """Delete attempts whose ids are among those that have expired: they were copied before they did."""
        ...


async def copy_attempts(source: Movable, target: Movable, place: str, copied: Callable[[int, str], None]) -> str:
    """Copy what stands behind a place, until there is no more; return the place reached.

    `copied` is told after each page how many were new, and the place to go on from.
    """
    while True:
        page, behind = await source.attempts_from(place, PAGE_ROWS)
        if not page:
            return place
        copied(await target.append(page), behind)
        place = behind


async def finish(source: Movable, target: Movable, place: str, copied: Callable[[int, str], None]) -> int:
    """Copy the rest, and prove that nothing is missing; return how many attempts there are.

    Only while nobody writes into the source.

    Raises:
        StoreError: the stores do not agree in the end.
    """
    for _ in range(MAX_TRIES):
        await copy_attempts(source, target, place, copied)
        if (await source.retention.retained()).expired:
            await _copy_expired(source, target)
        place = ""  # next time all of it: what came late may stand before the place
        if await _totals_agree(source, target):
            break
    else:
        raise StoreError(
            "The new ledger does not add up to the same as the old one; nothing was switched.",
            hint='stop every server that writes into the old one; "farthing ledger verify" looks at that one itself.',
        )
    await _copy_tables(source, target)
    if await source.keys() != await target.keys() or await source.budgets.all() != await target.budgets.all():
        raise StoreError("Keys and budgets are not the same in the new database; nothing was switched.")
    return sum(total.attempts for total in await target.daily_totals())


async def _copy_expired(source: Movable, target: Movable) -> None:
    theirs, ours = await source.tables(), await target.tables()
    await target.replace({table: [] for table in _EXPIRED})
    for table, order in _EXPIRED.items():
        columns = [column for column in theirs[table] if column in ours[table] and column != "id"]
        after: Any = "" if table == "expired_attempts" else 0
        while page := await source.page(table, [*columns, *{order} - {*columns}], order, after, PAGE_ROWS):
            after = page[-1][order]
            await target.add(table, [{name: row[name] for name in columns} for row in page])
    await target.drop_expired()
    await target.rebuild_totals()


async def _totals_agree(source: Store, target: Store) -> bool:
    return await source.daily_totals() == await target.daily_totals()


async def _copy_tables(source: Movable, target: Movable) -> None:
    theirs, ours = await source.tables(), await target.tables()
    copied = {}
    for table in sorted((theirs.keys() & ours.keys()) - _ADDED_UP - _OF_A_PROCESS - _EXPIRED.keys()):
        columns = [column for column in theirs[table] if column in ours[table]]
        copied[table] = await source.rows(table, columns)
    await target.replace(copied)
