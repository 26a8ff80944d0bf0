"""The statement that adds up costs: one query, and what is put into it for a group and for each condition.

Only conditions that are asked for stand in it, so that the index of starts is followed; what people said is given
beside it and never written into it. Tags stand in one column with commas between them, and become rows.
"""

from typing import Any

from farthing.storage.postgres.rollups import rolled
from farthing.storage.postgres.sql import query
from farthing.storage.rows import calls_of_lines, quoted, same_model
from farthing.types.ledger import CostsBy, CostsFilter

_KEY_NAME = "coalesce(keys.name, nullif(attempts.key_name, ''), attempts.key_id)"
EACH_TAG = "unnest(string_to_array(attempts.tags, ',')) AS one"
TAGS = f"SELECT DISTINCT btrim(one, ' ') AS value FROM {EACH_TAG} WHERE btrim(one, ' ') <> ''"  # noqa: S608
TAG_JOIN = f"LEFT JOIN LATERAL ({TAGS}) AS tag ON TRUE"
_LABELS: dict[CostsBy, str] = {
    "model": "attempts.provider || ':' || attempts.model",
    "key": _KEY_NAME,
    "tag": "tag.value",
    "day": "to_char(date '1970-01-01' + (attempts.started_at_us / 86400000000)::integer, 'YYYY-MM-DD')",
}
_MANY: tuple[CostsBy, ...] = ("session", "conversation")
"""Of which a month has a hundred thousand, and a thousand are shown: which those are is asked by their cost alone, as
to keep eighteen sums of each takes longer than to read the rows twice (0.30 s for 0.25 s). Not so of tasks."""
_CONDITIONS = {
    "model": "(attempts.model = {} OR attempts.provider || ':' || attempts.model = {})",
    "key": f"(attempts.key_id = {{}} OR {_KEY_NAME} = {{}})",
    "tag": f"{{}} <> '' AND EXISTS (SELECT 1 FROM {EACH_TAG} WHERE btrim(one, ' ') = {{}})",  # noqa: S608 - see above
}


def costs_statement(
    by: CostsBy | None, since_us: int | None, until_us: int | None, only: CostsFilter, limit: int | None = None
) -> tuple[str, list[Any]]:
    """Return the statement and its arguments; the columns are those of `CostsRow`."""
    meant: dict[str, str] = {}
    arguments: list[Any] = []
    for name in only.__struct_fields__:
        if (value := getattr(only, name)) is not None:
            arguments.append(value)
            plain = f"attempts.{quoted(name)} = {{}}"
            meant[name] = _CONDITIONS.get(name, plain).replace("{}", f"${len(arguments)}::text")
    known_by = {*meant, *([] if by is None else [by])} | ({"provider"} if by == "model" else set())
    same = None if by == "model" else same_model(meant.get("model"), known_by)
    conditions = list(meant.values())

    def bind(number: int) -> str:
        arguments.append(number)
        return f"${len(arguments)}::bigint"

    found = rolled(known_by, since_us, until_us, bind, same)
    calls, lines = found or (calls_of_lines(known_by), "all_sums AS attempts")
    if found is None:  # sums by hour are of the time that is asked for
        asked = (("attempts.started_at_us >= {}", since_us), ("attempts.started_at_us < {}", until_us))
        conditions += [part.format(bind(at_us)) for part, at_us in asked if at_us is not None]
    asked_for = {
        "label": "NULL" if by is None else _LABELS.get(by, f"attempts.{quoted(by)}"),
        "source": _source(lines, by, only),
        "first": "min(0)" if by == "day" else "-coalesce(sum(cost_nanousd), 0)",
        "limit": "" if limit is None else f"LIMIT {limit:d}",
    }
    if by in _MANY and limit is not None:
        conditions.append(query("costs_dearest").format(conditions=" AND ".join(conditions) or "TRUE", **asked_for))
    statement = query("costs").format(calls=calls, conditions=" AND ".join(conditions) or "TRUE", **asked_for)
    return statement, arguments


def _source(lines: str, by: CostsBy | None, only: CostsFilter) -> str:
    source = f"{lines} {TAG_JOIN}" if by == "tag" else lines
    return f"{source} LEFT JOIN keys ON keys.id = attempts.key_id" if by == "key" or only.key is not None else source
