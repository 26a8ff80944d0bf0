"""Makes the statement that sums what was spent, by any few of the things that an attempt is known by."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from farthing.storage.rows import calls_of_lines, same_model
from farthing.storage.sqlite.costs import EACH_TAG_ONCE, TAGS
from farthing.storage.sqlite.rollups import rolled
from farthing.storage.sqlite.sql import query
from farthing.types.spending import SpendingBy, SpendingRow, SpendingScope

_EXPRESSIONS: Mapping[SpendingBy, str] = {
    "day": "date(attempts.started_at_us / 1000000, 'unixepoch')",
    "provider": "attempts.provider",
    "model": "attempts.model",
    "model_served": "coalesce(attempts.model_served, attempts.model)",
    "operation": "attempts.operation",
    "key": "coalesce(keys.name, nullif(attempts.key_name, ''), attempts.key_id)",
    "organisation": "attempts.organisation",
    "team": "attempts.team",
    "project": "attempts.project",
    "user": "attempts.user",
    "session": "attempts.session",
    "conversation": "attempts.conversation",
    "task": "attempts.task",
    "sub_agent": "attempts.sub_agent",
    "branch": "attempts.branch",
    "pull_request": "attempts.pull_request",
    "tag": "nullif(trim(tag.value), '')",
    "tags": f"""(
        SELECT group_concat(one, ',')
        FROM (SELECT DISTINCT trim(value) AS one FROM {TAGS} WHERE trim(value) <> '' ORDER BY one)
    )""",  # noqa: S608 - nothing here was said by anybody
    "face": "attempts.face",
    "outcome": "attempts.outcome",
    "price_id": "attempts.price_id",
    "service_tier": "attempts.service_tier",
}

KEYS_JOIN = "LEFT JOIN keys ON keys.id = attempts.key_id"


def spending_statement(
    by: Sequence[SpendingBy], scope: Sequence[SpendingScope], since_us: int | None, until_us: int | None, limit: int
) -> tuple[str, dict[str, Any]]:
    """Return the statement and its bindings; the columns are the groups and then those of `SpendingRow`."""
    scoped = tuple(one.by for one in scope)
    same = same_model(None, {*by, *scoped})
    found = rolled({*by, *scoped}, since_us, until_us, same)
    calls, lines, bound = found or (calls_of_lines({*by, *scoped}), "all_sums AS attempts", {})
    # Sums by hour are of the time that is asked for; lines of it are found by their index where no bound may be NULL.
    asked = (("started_at_us >= :since", since_us), ("started_at_us < :until", until_us))
    within = " AND ".join(part for part, bound in asked if bound is not None and found is None) or "TRUE"
    text = _statement(tuple(by), scoped).replace("--calls--", calls).replace("--time--", within)
    text = text.replace("all_sums AS attempts", lines)
    values = {f"scope{place}": one.value for place, one in enumerate(scope)}
    return text, {"since": since_us, "until": until_us, "limit": limit, **values, **bound}


@cache
def _statement(by: tuple[SpendingBy, ...], scope: tuple[SpendingBy, ...]) -> str:
    columns = "".join(f"{_EXPRESSIONS[one]} AS g{place},\n    " for place, one in enumerate(by))
    only = "".join(f"\n    AND {_condition(one, f':scope{place}')}" for place, one in enumerate(scope))
    if "tag" in by:
        only += f"\n    AND ({EACH_TAG_ONCE})"
    names = [f"g{place}" for place in range(len(by))]
    order = f"GROUP BY {', '.join(names)}\nORDER BY cost DESC, " if by else ""
    text = query("spending").replace("    --groups--\n    ", f"    {columns}").replace("--scope--", only)
    text = text.replace("--tags--", f"CROSS JOIN {TAGS} AS tag" if "tag" in by else "")
    text = text.replace("--keys--", KEYS_JOIN if "key" in {*by, *scope} else "")
    return text.replace("--grouping--", order + ", ".join(f"{name} NULLS LAST" for name in names))


def _condition(by: SpendingBy, value: str) -> str:
    if by != "tag":
        return f"{_EXPRESSIONS[by]} IS {value}"
    has = f"EXISTS (SELECT 1 FROM {TAGS} AS one WHERE trim(one.value) = {value})"  # noqa: S608 - a name, no value
    return f"({has} AND {value} <> '' OR {value} IS NULL AND trim(coalesce(attempts.tags, ''), ' ,') = '')"


def spending_row_of(row: tuple[Any, ...], groups: int) -> SpendingRow:
    """Return the row, whose first columns are the groups and whose others stand in the type's order."""
    return SpendingRow(groups=row[:groups], **dict(zip(SpendingRow.__struct_fields__[1:], row[groups:], strict=True)))
