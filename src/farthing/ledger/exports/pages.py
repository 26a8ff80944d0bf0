"""Reads attempts and sums for an export, a page at a time and in order of time."""

from collections.abc import AsyncIterator, Sequence

from farthing.ledger.reports import Record, attempt_record
from farthing.storage.protocols import LedgerStore
from farthing.types.calls import Attempt, Attribution, Opening
from farthing.types.ledger import US_PER_DAY
from farthing.types.money import usd_text
from farthing.types.spending import SpendingBy, SpendingRow
from farthing.types.usage import Usage

PAGE = 1_000
"""Attempts read at once, about 2 MB; larger pages are not faster."""

SUMMED_BY: tuple[SpendingBy, ...] = (
    *("day", "provider", "model", "operation", "key", "organisation"),
    *("team", "project", "user", "task", "branch"),
)
"""What a line of exported costs is known by; sessions are left out, because there are as many as calls."""

FOREVER_US = (1 << 63) - 1


async def attempts_between(store: LedgerStore, since_us: int | None, until_us: int | None) -> AsyncIterator[Attempt]:
    """Yield the attempts begun in `[since_us, until_us)`, in order of beginning."""
    after_us, after_id = since_us or 0, ""
    while page := await store.attempts_begun(after_us, after_id, FOREVER_US if until_us is None else until_us, PAGE):
        for attempt in page:
            yield attempt
        after_us, after_id = page[-1].opening.started_at_us, page[-1].opening.attempt_id


async def sums_between(
    store: LedgerStore,
    since_us: int | None,
    until_us: int | None,
    first_us: int,
    last_us: int,
    by: Sequence[SpendingBy] = SUMMED_BY,
) -> AsyncIterator[SpendingRow]:
    """Yield the sums of each UTC day by these groups, day by day; `first_us` and `last_us` are the days to look at.

    A day is asked for by itself, so that what is held is a day's groups.
    """
    for day in range(first_us // US_PER_DAY, last_us // US_PER_DAY + 1):
        begins_us, ends_us = day * US_PER_DAY, (day + 1) * US_PER_DAY
        since = begins_us if since_us is None else max(begins_us, since_us)
        until = ends_us if until_us is None else min(ends_us, until_us)
        if since < until:
            for row in await store.spending(by, since_us=since, until_us=until, limit=FOREVER_US):
                yield row


def attempt_columns() -> list[str]:
    """Return the names of what `exported_attempt` tells, in its order."""
    opening = [name for name in Opening.__struct_fields__ if name != "attribution"]
    ending = [name for name in Attempt.__struct_fields__ if name not in ("opening", "usage")]
    names = [*opening, *Attribution.__struct_fields__, *ending, *Usage.__struct_fields__]
    return [_PROMISED.get(name, name) for name in names] + ["usd"]


def exported_attempt(attempt: Attempt) -> Record:
    """Return everything known of an attempt, flat; `usd` is exact text, `nanousd` the same as a whole number."""
    return {_PROMISED.get(name, name): value for name, value in attempt_record(attempt).items()}


_PROMISED = {"cost_nanousd": "nanousd", "cost_usd": "usd"}


def sum_columns(by: Sequence[SpendingBy] = SUMMED_BY) -> list[str]:
    """Return the names of what `exported_sum` tells, in its order."""
    counts = [name for name in SpendingRow.__struct_fields__ if name not in ("groups", "cost_nanousd")]
    return [*by, *counts, "nanousd", "usd"]


def exported_sum(row: SpendingRow, by: Sequence[SpendingBy] = SUMMED_BY) -> Record:
    """Return a group's sums under the names of its groups; a sum over nothing that is known is `None`."""
    cost = row.known_cost_nanousd
    told: Record = {**dict(zip(by, row.groups, strict=True))}
    told |= {
        name: getattr(row, name) for name in SpendingRow.__struct_fields__ if name not in ("groups", "cost_nanousd")
    }
    return {**told, "nanousd": cost, "usd": None if cost is None else usd_text(cost)}
