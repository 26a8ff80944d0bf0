"""Sums by hour and group, made from behind the ledger, and where costs and reports are read from because of them.

Appending knows nothing of this: small batches are rolled up when nobody is in a hurry (`roll_up`), and whatever is not
yet is added to an answer line by line, as are the parts of an hour at the ends of the time that is asked for. So an
answer is the same however far the roll-up has come.

What surprised us is that calls do not add up: one that tried two models is one call of each and one of both. It is
counted with the first of its attempts that came, once for each question that can be asked; where a time begins in the
midst of a call, that is looked for.

A month by everything may be some 300,000 groups, and most questions are about a few dozen: so there are sums by models,
by keys and by what is worked on, too, each with as many groups as those make, and a question is answered from the
smallest that knows what it is asked by (`rows.ROLLED`).
"""

from collections.abc import Collection
from typing import Any

import apsw

from farthing.storage.rows import ROLLED, calls_counted, calls_of_sums, sums_for
from farthing.storage.sqlite.sql import query

US_PER_HOUR = 3_600_000_000
LATE_US = 2 * US_PER_HOUR
"""How far from its first attempt a call's others are looked for where a time begins or ends; no answer may take longer
than an hour (`timeouts.total_s`)."""

_ALIKE = {
    "calls": "TRUE",
    "day_calls": "e.started_at_us / 86400000000 = attempts.started_at_us / 86400000000",
    "provider_calls": "e.provider = attempts.provider",
    "model_calls": "e.provider = attempts.provider AND e.model = attempts.model",
    "priced_calls": (
        "e.provider = attempts.provider AND e.model = attempts.model AND e.model_served IS attempts.model_served"
        " AND e.price_id IS attempts.price_id AND e.service_tier IS attempts.service_tier"
    ),
}
"""By the column that counts calls: when two attempts of a call are one call to the question."""


def rolled(
    known_by: Collection[str],
    since_us: int | None,
    until_us: int | None,
    same: str | None = None,
    *,
    counts_calls: bool = True,
) -> tuple[str, str, dict[str, Any]] | None:
    """Return what counts calls, where to read from in the place of `all_sums`, and what is bound.

    `same` is when a call's earlier attempt `e` was of what the question has for the model of a later one, `a`, where
    those may be two. Who does not count calls spares that their first attempts are looked for around the ends of the
    time, among all lines of hours. `None` where the roll-up does not know what is asked by, or the time holds no whole
    hour.
    """
    first = None if since_us is None else -(-since_us // US_PER_HOUR)
    last = None if until_us is None else until_us // US_PER_HOUR
    calls, sums = calls_counted(known_by, since_us, until_us), sums_for(known_by)
    if calls is None or sums is None or (first is not None and last is not None and first >= last):
        return None
    columns = ", ".join(sums.columns)
    ends = _ends(since_us, until_us, first, last)
    lines = [_lately(since_us, until_us), *(_UP_TO.format(end) for end in ends)]
    read = [query("rollup_lines").format(which=which) for which in lines]
    read += [query("rollup_gone").format(which=end) for end in ends]
    others = [query("rolled_lines").format(lines=one, columns=columns) for one in read]
    asked = (("e.started_at_us >= :since", since_us), ("e.started_at_us < :until", until_us))
    within = " AND ".join(part for part, bound in asked if bound is not None) or "TRUE"
    bindings: dict[str, Any] = {"first": first, "last": last}
    bindings |= {"first_us": (first or 0) * US_PER_HOUR, "last_us": (last or 0) * US_PER_HOUR}
    for place, (start, end) in enumerate(_edges(since_us, until_us) if counts_calls else ()):
        span = f"started_at_us >= :from{place} AND started_at_us < :to{place}"
        others.append(query("rolled_late").format(span=span, within=within, alike=_ALIKE[calls], columns=columns))
        bindings[f"from{place}"], bindings[f"to{place}"] = start, end
    if same is not None:
        others.append(query("rolled_elsewhere").format(within=within, same=same, columns=columns))
    hours = [part for part, bound in ((":first <= hour", first), ("hour < :last", last)) if bound is not None]
    source = query("rolled").format(
        table=sums.table, columns=columns, hours=" AND ".join(hours) or "TRUE", others="\n".join(others)
    )
    return calls_of_sums(calls), source, bindings


_UP_TO = "place <= (SELECT rolled_to FROM rollup_state) AND {}"


def _lately(since_us: int | None, until_us: int | None) -> str:
    """Return which lines are not rolled up yet. The plus keeps an index away."""
    which = "place > (SELECT rolled_to FROM rollup_state)"
    which += "" if since_us is None else " AND +started_at_us >= :since"
    return which + ("" if until_us is None else " AND +started_at_us < :until")


def _ends(since_us: int | None, until_us: int | None, first: int | None, last: int | None) -> list[str]:
    """Return the parts of hours at both ends of a time."""
    ends = []
    if since_us is not None and first is not None and first * US_PER_HOUR > since_us:
        ends.append("started_at_us >= :since AND started_at_us < :first_us")
    if until_us is not None and last is not None and last * US_PER_HOUR < until_us:
        ends.append("started_at_us >= :last_us AND started_at_us < :until")
    return ends


def _edges(since_us: int | None, until_us: int | None) -> list[tuple[int, int]]:
    """Return where at both ends there may be attempts of calls whose first one came outside."""
    if since_us is not None and until_us is not None and until_us - since_us <= 2 * LATE_US:
        return [(since_us, until_us)]
    beginning = [] if since_us is None else [(since_us, since_us + LATE_US)]
    return beginning if until_us is None else [*beginning, (until_us - LATE_US, until_us)]


def roll_up(connection: apsw.Connection, limit: int) -> int:
    """Add up to `limit` attempts to the roll-up, inside of a transaction; return how many."""
    span: Any = connection.execute(query("rollup_span"), {"limit": limit}).fetchone()
    first, last = span
    if first == last:
        return 0
    _add(connection, _LINES, first, last)
    connection.execute(query("rollup_done"), (last,))
    return int(last - first)


_LINES = ("place", "rollup_lines")
_GONE = ("id", "rollup_gone")


def _add(connection: apsw.Connection, rows: tuple[str, str], first: int, last: int) -> None:
    place, batch = rows
    which = f"{place} > :first AND {place} <= :last"
    fill = query("rollup_batch_fill").format(batch=query(batch).format(which=which))
    connection.execute(query("rollup_batch"))
    try:
        with connection:  # a point to go back to
            connection.execute(fill, {"first": first, "last": last})
            for sums in ROLLED:
                names = {"table": sums.table, "columns": ", ".join(sums.columns)}
                connection.execute(query("rollup_groups_add").format(**names))
                connection.execute(query("rollup_add").format(**names))
            connection.execute(query("rollup_batch_clear"))
    except apsw.SQLError:
        if last - first == 1:
            raise
        for row in range(first, last):  # their sum does not fit 64 bits; one by one they do
            _add(connection, rows, row, row + 1)


def begin_anew(connection: apsw.Connection, last_gone: int) -> None:
    """Forget what is rolled up, inside of a transaction; it is made again from behind.

    But for the sums of lines that are gone, up to the row `last_gone` of those: they are added at once.
    """
    for sums in ROLLED:
        connection.execute(query("rollups_clear").format(table=sums.table))
    connection.execute(query("rollup_done"), (0,))
    _add(connection, _GONE, 0, last_gone)


def what_is_wrong(connection: apsw.Connection) -> list[str]:
    """Return on which days the roll-up is not what the attempts add up to."""
    wrong: list[Any] = connection.execute(query("rollups_wrong")).fetchall()
    for sums in ROLLED[:-1]:
        wrong += connection.execute(query("rollups_differ").format(table=sums.table)).fetchall()
    return [
        f"roll-up of day {day} since 1970: {kept} attempts of {cost} nanodollars, the ledger has {again} of {theirs}"
        for day, kept, again, cost, theirs in wrong
    ]
