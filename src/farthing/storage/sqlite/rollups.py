"""Sums by hour and group, made from behind the ledger, and the statement that answers costs from them.

Appending knows nothing of this: small batches are rolled up when nobody is in a hurry (`roll_up`), and whatever is not
yet is added to an answer attempt by attempt, as are the parts of an hour at the ends of the time that is asked for. So
an answer is the same however far the roll-up has come.

What surprised us is that calls do not add up: one that tried two models is one call of each and one of both. It is
counted with the first of its attempts that came, once for each question that can be asked; where a time begins in the
midst of a call, that is looked for. What cannot be answered so (sessions, conversations, tasks, branches) is not rolled
up: there may be as many of them as attempts.
"""

from typing import Any

import apsw

from farthing.storage.sqlite.costs import costs_pieces
from farthing.storage.sqlite.sql import query
from farthing.types.ledger import CostsBy, CostsFilter

US_PER_HOUR = 3_600_000_000
LATE_HOURS = 2
"""How far from its first attempt a call's others are looked for where a time begins or ends; no answer may take longer
than an hour (`timeouts.total_s`)."""

_ROLLED = frozenset({"face", "provider", "model", "key", "organisation", "team", "project", "user", "tag", "day"})


def rolled_statement(
    by: CostsBy | None, since_us: int | None, until_us: int | None, only: CostsFilter
) -> tuple[str, dict[str, Any]] | None:
    """Return the statement and its bindings, as `costs_statement` does; `None` where the roll-up cannot answer it."""
    asked = {name for name in only.__struct_fields__ if getattr(only, name) is not None}
    counted = _counted(by, asked)
    first = None if since_us is None else -(-since_us // US_PER_HOUR)
    last = None if until_us is None else until_us // US_PER_HOUR
    if counted is None or (first is not None and last is not None and first >= last):
        return None
    calls, alike = counted
    told, label, source, conditions = costs_pieces(by, only)
    within = " AND ".join(
        part
        for part, bound in (("e.started_at_us >= :since", since_us), ("e.started_at_us < :until", until_us))
        if bound is not None
    )
    pieces = {
        "label": label,
        "source": source,
        "conditions": " AND ".join(conditions) or "TRUE",
        "within": within or "TRUE",
        "alike": alike,
    }
    others = [query("costs_part").format(**pieces, span=span) for span in _spans(since_us, until_us, first, last)]
    edges = _edges(first, last)
    for place in range(len(edges)):
        span = f"{_UP_TO} AND attempts.started_at_us >= :from{place} AND attempts.started_at_us < :to{place}"
        others.append(query("costs_late").format(**pieces, span=span))
    hours = [part for part, bound in ((":first <= hour", first), ("hour < :last", last)) if bound is not None]
    statement = query("costs_rolled").format(
        label=label.replace("attempts.started_at_us / 1000000", "rollups.hour * 3600"),
        calls=calls,
        groups=source.replace("attempts", "rollup_groups AS attempts", 1),
        hours=" AND ".join(hours) or "TRUE",
        conditions=pieces["conditions"],
        others="\n".join(others),
        first="NULL" if by == "day" else "-sum(cost_nanousd)",
    )
    bindings = {**told, "since": since_us, "until": until_us, "first": first, "last": last}
    bindings["first_us"] = None if first is None else first * US_PER_HOUR
    for place, (start, end) in enumerate(edges):
        bindings[f"from{place}"], bindings[f"to{place}"] = start * US_PER_HOUR, end * US_PER_HOUR
    bindings["last_us"] = None if last is None else last * US_PER_HOUR
    return statement, bindings


_AFTER = "attempts.rowid > (SELECT rolled_to FROM rollup_state)"
_UP_TO = "attempts.rowid <= (SELECT rolled_to FROM rollup_state)"


def _spans(since_us: int | None, until_us: int | None, first: int | None, last: int | None) -> list[str]:
    """Return what is read attempt by attempt: what came last, and parts of hours. The plus keeps an index away."""
    lately = _AFTER
    lately += "" if since_us is None else " AND +attempts.started_at_us >= :since"
    lately += "" if until_us is None else " AND +attempts.started_at_us < :until"
    spans = [lately]
    if since_us is not None and first is not None and first * US_PER_HOUR > since_us:
        spans.append(f"{_UP_TO} AND attempts.started_at_us >= :since AND attempts.started_at_us < :first_us")
    if until_us is not None and last is not None and last * US_PER_HOUR < until_us:
        spans.append(f"{_UP_TO} AND attempts.started_at_us >= :last_us AND attempts.started_at_us < :until")
    return spans


def _edges(first: int | None, last: int | None) -> list[tuple[int, int]]:
    """Return the hours at both ends in which there may be attempts of calls whose first one came outside."""
    if first is not None and last is not None and last - first <= 2 * LATE_HOURS:
        return [(first, last)]
    beginning = [] if first is None else [(first, first + LATE_HOURS)]
    return beginning if last is None else [*beginning, (last - LATE_HOURS, last)]


def _counted(by: CostsBy | None, asked: set[str]) -> tuple[str, str] | None:
    """Return which column counts calls, and when two attempts of a call are one call to the question."""
    if not (asked | {by} - {None}) <= _ROLLED:
        return None
    parts = (asked | {by}) & {"model", "provider", "day"}
    if not parts:
        return "calls", "TRUE"
    if parts == {"day"}:
        return "day_calls", "e.started_at_us / 86400000000 = attempts.started_at_us / 86400000000"
    if parts == {"provider"}:
        return "provider_calls", "e.provider = attempts.provider"
    if "day" in parts or (by != "model" and "model" in asked):
        return None  # a model's name may be served by two providers, and a day has many models
    return "model_calls", "e.provider = attempts.provider AND e.model = attempts.model"


def roll_up(connection: apsw.Connection, limit: int) -> int:
    """Add up to `limit` attempts to the roll-up, inside of a transaction; return how many."""
    span: Any = connection.execute(query("rollup_span"), {"limit": limit}).fetchone()
    first, last = span
    if first == last:
        return 0
    _add(connection, first, last)
    connection.execute(query("rollup_done"), (last,))
    return int(last - first)


def _add(connection: apsw.Connection, first: int, last: int) -> None:
    bindings = {"first": first, "last": last}
    connection.execute(query("rollup_groups_add"), bindings)
    try:
        connection.execute(query("rollup_add"), bindings)
    except apsw.SQLError:
        if last - first == 1:
            raise
        for row in range(first, last):  # their sum does not fit 64 bits; one by one they do
            _add(connection, row, row + 1)


def begin_anew(connection: apsw.Connection) -> None:
    """Forget what is rolled up, inside of a transaction; it is made again from behind."""
    connection.execute(query("rollups_clear"))
    connection.execute(query("rollup_done"), (0,))


def what_is_wrong(connection: apsw.Connection) -> list[str]:
    """Return on which days the roll-up is not what the attempts add up to."""
    return [
        f"roll-up of day {day} since 1970: {kept} attempts of {cost} nanodollars, the ledger has {again} of {theirs}"
        for day, kept, again, cost, theirs in connection.execute(query("rollups_wrong"))
    ]
