"""The statement that adds up costs: one query, and what is put into it for a group and for each condition.

Only conditions that are asked for stand in it, so that SQLite can follow the index of starts; what people said is bound
and never written into it. Tags stand in one column with commas between them: as a JSON array they become rows.
"""

from typing import Any

from farthing.storage.rows import calls_of_lines, same_model
from farthing.storage.sqlite.rollups import rolled
from farthing.storage.sqlite.sql import query
from farthing.types.ledger import CostsBy, CostsFilter

_KEY_NAME = "coalesce(keys.name, nullif(attempts.key_name, ''), attempts.key_id)"
TAGS = """json_each('[' || replace(json_quote(attempts.tags), ',', '","') || ']')"""
EACH_TAG_ONCE = f"""(
    trim(tag.value) <> '' OR attempts.tags IS NULL OR trim(attempts.tags, ' ,') = ''
) AND NOT EXISTS (
    SELECT 1 FROM {TAGS} AS earlier WHERE earlier.key < tag.key AND trim(earlier.value) = trim(tag.value)
)"""  # noqa: S608 - nothing here was said by anybody

_LABELS: dict[CostsBy, str] = {
    "model": "attempts.provider || ':' || attempts.model",
    "key": _KEY_NAME,
    "tag": "nullif(trim(tag.value), '')",
    "day": "date(attempts.started_at_us / 1000000, 'unixepoch')",
}
_CONDITIONS = {
    "model": "(attempts.model = :model OR attempts.provider || ':' || attempts.model = :model)",
    "key": f"(attempts.key_id = :key OR {_KEY_NAME} = :key)",
    "tag": f":tag <> '' AND EXISTS (SELECT 1 FROM {TAGS} AS one WHERE trim(one.value) = :tag)",  # noqa: S608 - as above
}


def costs_statement(
    by: CostsBy | None, since_us: int | None, until_us: int | None, only: CostsFilter, limit: int | None = None
) -> tuple[str, dict[str, Any]]:
    """Return the statement and its bindings; the columns are those of `CostsRow`."""
    told = {name: value for name in only.__struct_fields__ if (value := getattr(only, name)) is not None}
    known_by = {*told, *([] if by is None else [by])} | ({"provider"} if by == "model" else set())
    meant = {name: _CONDITIONS.get(name, f"attempts.{name} = :{name}") for name in told}
    same = None if by == "model" else same_model(meant.get("model"), known_by)
    found = rolled(known_by, since_us, until_us, same)
    calls, lines, bound = found or (calls_of_lines(known_by), "all_sums AS attempts", {})
    conditions = list(meant.values())
    if by == "tag":
        conditions.append(EACH_TAG_ONCE)
    if since_us is not None and found is None:  # sums by hour are of the time that is asked for
        conditions.append("attempts.started_at_us >= :since")
    if until_us is not None and found is None:
        conditions.append("attempts.started_at_us < :until")
    statement = query("costs").format(
        label="NULL" if by is None else _LABELS.get(by, f"attempts.{by}"),
        calls=calls,
        source=_source(lines, by, only),
        conditions=" AND ".join(conditions) or "TRUE",
        first="NULL" if by == "day" else "-coalesce(sum(cost_nanousd), 0)",
        limit="" if limit is None else f"LIMIT {limit:d}",
    )
    return statement, {**told, "since": since_us, "until": until_us, **bound}


def _source(lines: str, by: CostsBy | None, only: CostsFilter) -> str:
    source = f"{lines}, {TAGS} AS tag" if by == "tag" else lines
    return f"{source} LEFT JOIN keys ON keys.id = attempts.key_id" if by == "key" or only.key is not None else source
