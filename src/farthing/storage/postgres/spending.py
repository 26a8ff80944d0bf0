"""Makes the statement that sums what was spent, by any few of the things that an attempt is known by."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from farthing.storage.postgres.costs import EACH_TAG, TAG_JOIN, TAGS
from farthing.storage.postgres.rollups import rolled
from farthing.storage.postgres.sql import query
from farthing.storage.rows import calls_of_lines, same_model
from farthing.types.spending import SpendingBy, SpendingRow, SpendingScope

_EXPRESSIONS: Mapping[SpendingBy, str] = {
    "day": "to_char(date '1970-01-01' + (attempts.started_at_us / 86400000000)::integer, 'YYYY-MM-DD')",
    "provider": "attempts.provider",
    "model": "attempts.model",
    "model_served": "coalesce(attempts.model_served, attempts.model)",
    "operation": "attempts.operation",
    "key": "coalesce(keys.name, nullif(attempts.key_name, ''), attempts.key_id)",
    "organisation": "attempts.organisation",
    "team": "attempts.team",
    "project": "attempts.project",
    "user": 'attempts."user"',
    "session": "attempts.session",
    "conversation": "attempts.conversation",
    "task": "attempts.task",
    "sub_agent": "attempts.sub_agent",
    "branch": "attempts.branch",
    "pull_request": "attempts.pull_request",
    "tag": "tag.value",
    "tags": f"""(SELECT string_agg(value, ',' ORDER BY value COLLATE "C") FROM ({TAGS}) AS one)""",  # noqa: S608
    "face": "attempts.face",
    "outcome": "attempts.outcome",
    "price_id": "attempts.price_id",
    "service_tier": "attempts.service_tier",
}

KEYS_JOIN = "LEFT JOIN keys ON keys.id = attempts.key_id"


def spending_statement(
    by: Sequence[SpendingBy], scope: Sequence[SpendingScope], since_us: int | None, until_us: int | None, limit: int
) -> tuple[str, list[Any]]:
    """Return the statement and its arguments; the columns are the groups and then those of `SpendingRow`."""
    scoped = tuple(one.by for one in scope)
    arguments: list[Any] = [since_us, until_us, limit, *(one.value for one in scope)]

    def bind(number: int) -> str:
        arguments.append(number)
        return f"${len(arguments)}::bigint"

    same = same_model(None, {*by, *scoped})
    found = rolled({*by, *scoped}, since_us, until_us, bind, same)
    calls, lines = found or (calls_of_lines({*by, *scoped}), "all_sums AS attempts")
    text = _statement(tuple(by), scoped).replace("--calls--", calls).replace("all_sums AS attempts", lines)
    if found is not None:  # sums by hour are of the time that is asked for, and the server would guess how many fit
        text = text.replace("started_at_us >= $1)", "TRUE)").replace("started_at_us < $2)", "TRUE)")
    return text, arguments


@cache
def _statement(by: tuple[SpendingBy, ...], scope: tuple[SpendingBy, ...]) -> str:
    columns = "".join(f'({_EXPRESSIONS[one]})::text COLLATE "C",\n    ' for one in by)
    only = "".join(f"\n    AND {_condition(one, f'${place}::text')}" for place, one in enumerate(scope, 4))
    places = [str(place) for place in range(1, len(by) + 1)]
    order = f"GROUP BY {', '.join(places)}\nORDER BY cost DESC, " if by else ""
    text = query("spending").replace("    --groups--\n    ", f"    {columns}").replace("--scope--", only)
    text = text.replace("--tags--", TAG_JOIN if "tag" in by else "")
    text = text.replace("--keys--", KEYS_JOIN if "key" in {*by, *scope} else "")
    return text.replace("--grouping--", order + ", ".join(f"{place} NULLS LAST" for place in places))


def _condition(by: SpendingBy, value: str) -> str:
    if by != "tag":
        return f"{_EXPRESSIONS[by]} IS NOT DISTINCT FROM {value}"
    has = f"EXISTS (SELECT 1 FROM {EACH_TAG} WHERE btrim(one, ' ') = {value})"  # noqa: S608 - a place, no value
    return f"({has} AND {value} <> '' OR {value} IS NULL AND NOT EXISTS ({TAGS}))"


def spending_row_of(row: Sequence[Any], groups: int) -> SpendingRow:
    """Return the row, whose first columns are the groups and whose others stand in the type's order."""
    sums = map(int, row[groups:])
    named = dict(zip(SpendingRow.__struct_fields__[1:], sums, strict=True))
    return SpendingRow(groups=tuple(row[:groups]), **named)
