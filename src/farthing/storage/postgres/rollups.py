"""Where costs and reports are read from: sums by hour and group, which the statement that keeps the lines keeps, too.

There is no tail to add, as SQLite has one, because no row's number tells what was already added; and the sums of a
batch are a few rows. Only the parts of an hour at the ends of the time that is asked for are read line by line.

What surprised us is that calls do not add up: one that tried two models is one call of each and one of both. It is
counted with the first of its attempts that came, once for each question that can be asked; where a time begins in the
midst of a call, that is looked for, by the order in which they were tried.

There are four tables of sums (`rows.ROLLED`): by everything, which may be 300,000 groups a month, and by less, from
which most questions are answered.
"""

from collections.abc import Callable, Collection

from farthing.storage.postgres.sql import query
from farthing.storage.rows import ROLLED, calls_counted, calls_of_sums, quoted, sums_for

US_PER_HOUR = 3_600_000_000
LATE_US = 2 * US_PER_HOUR
"""How far from its first attempt a call's others are looked for; no answer may take longer than an hour."""

_ALIKE = {
    "calls": "TRUE",
    "day_calls": "e.started_at_us / 86400000000 = attempts.started_at_us / 86400000000",
    "provider_calls": "e.provider = attempts.provider",
    "model_calls": "e.provider = attempts.provider AND e.model = attempts.model",
    "priced_calls": (
        "e.provider = attempts.provider AND e.model = attempts.model"
        " AND e.model_served IS NOT DISTINCT FROM attempts.model_served"
        " AND e.price_id IS NOT DISTINCT FROM attempts.price_id"
        " AND e.service_tier IS NOT DISTINCT FROM attempts.service_tier"
    ),
}
"""By the column that counts calls: when two attempts of a call are one call to the question."""


def rolled(
    known_by: Collection[str],
    since_us: int | None,
    until_us: int | None,
    bind: Callable[[int], str],
    same: str | None = None,
) -> tuple[str, str] | None:
    """Return what counts calls, and where to read from in the place of `all_sums`.

    `bind` takes a number and returns what stands for it. `same` is when a call's earlier attempt `e` was of what the
    question has for the model of a later one, `a`, where those may be two. `None` where the sums do not know what is
    asked by, or the time holds no whole hour.
    """
    first = None if since_us is None else -(-since_us // US_PER_HOUR)
    last = None if until_us is None else until_us // US_PER_HOUR
    calls, sums = calls_counted(known_by, since_us, until_us), sums_for(known_by)
    if calls is None or sums is None or (first is not None and last is not None and first >= last):
        return None
    columns = ", ".join(map(quoted, sums.columns))
    began = "{}started_at_us >= {} AND {}started_at_us < {}".format
    others = []
    for start, end in _ends(since_us, until_us, first, last):
        which = began("", bind(start), "", bind(end))
        others += [query(name).format(which=which, columns=columns) for name in ("rolled_lines", "rolled_gone")]
    asked = (("e.started_at_us >= {}", since_us), ("e.started_at_us < {}", until_us))
    within = " AND ".join(part.format(bind(bound)) for part, bound in asked if bound is not None) or "TRUE"
    for start, end in _edges(since_us, until_us):
        span = began("", bind(start), "", bind(end))
        others.append(query("rolled_late").format(span=span, within=within, alike=_ALIKE[calls], columns=columns))
    if same is not None:
        others.append(query("rolled_elsewhere").format(within=within, same=same, columns=columns))
    wanted = (("hour >= {}", first), ("hour < {}", last))
    hours = " AND ".join(part.format(bind(bound)) for part, bound in wanted if bound is not None) or "TRUE"
    source = query("rolled").format(table=sums.table, columns=columns, hours=hours, others="\n".join(others))
    return calls_of_sums(calls), source


def of_each(name: str) -> list[str]:
    """Return a statement for each table of sums."""
    parts = {"named": query("rollups_named"), "summed": query("rollups_summed")}
    return [
        query(name).format(table=sums.table, columns=", ".join(map(quoted, sums.columns)), **parts) for sums in ROLLED
    ]


def _ends(since_us: int | None, until_us: int | None, first: int | None, last: int | None) -> list[tuple[int, int]]:
    """Return the parts of hours at both ends of a time."""
    ends = []
    if since_us is not None and first is not None and first * US_PER_HOUR > since_us:
        ends.append((since_us, first * US_PER_HOUR))
    if until_us is not None and last is not None and last * US_PER_HOUR < until_us:
        ends.append((last * US_PER_HOUR, until_us))
    return ends


def _edges(since_us: int | None, until_us: int | None) -> list[tuple[int, int]]:
    """Return where at both ends there may be attempts of calls whose first one came outside."""
    if since_us is not None and until_us is not None and until_us - since_us <= 2 * LATE_US:
        return [(since_us, until_us)]
    beginning = [] if since_us is None else [(since_us, since_us + LATE_US)]
    return beginning if until_us is None else [*beginning, (until_us - LATE_US, until_us)]
