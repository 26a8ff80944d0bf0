"""What attempts in memory cost, by group."""

from collections.abc import Iterable, Mapping

from farthing.types.budgets import tags_of
from farthing.types.calls import Attempt
from farthing.types.ledger import CostsBy, CostsFilter, CostsRow, utc_day


def costs_rows(
    attempts: Iterable[Attempt], by: CostsBy | None, only: CostsFilter, names: Mapping[str, str]
) -> list[CostsRow]:
    """Return the groups of `LedgerStore.costs`; `names` are those of the keys, by id."""
    conditions = [(name, value) for name in only.__struct_fields__ if (value := getattr(only, name)) is not None]
    groups: dict[str | None, list[Attempt]] = {} if by else {None: []}
    for attempt in attempts:
        if all(_fits(name, value, attempt, names) for name, value in conditions):
            for group in _groups(by, attempt, names):
                groups.setdefault(group, []).append(attempt)
    rows = [_costs_row(group, members) for group, members in groups.items()]
    rows.sort(key=lambda row: (row.group is None, row.group or ""))
    if by != "day":
        rows.sort(key=lambda row: -row.cost_nanousd)
    return rows


def _fits(name: str, value: str, attempt: Attempt, names: Mapping[str, str]) -> bool:
    opening = attempt.opening
    match name:
        case "model":
            return value in (opening.model, f"{opening.provider}:{opening.model}")
        case "key":
            return value in (opening.attribution.key_id, _key_name(attempt, names))
        case "tag":
            return value in tags_of(opening.attribution)
        case "provider" | "face":
            return bool(getattr(opening, name) == value)
        case _:
            return bool(getattr(opening.attribution, name) == value)


def _groups(by: CostsBy | None, attempt: Attempt, names: Mapping[str, str]) -> list[str | None]:
    opening = attempt.opening
    match by:
        case None:
            return [None]
        case "model":
            return [f"{opening.provider}:{opening.model}"]
        case "key":
            return [_key_name(attempt, names)]
        case "day":
            return [utc_day(opening.started_at_us)]
        case "tag":
            return [*tags_of(opening.attribution)] or [None]
        case "provider" | "face":
            return [str(getattr(opening, by))]
        case _:
            told: str | None = getattr(opening.attribution, by)
            return [told]


def _key_name(attempt: Attempt, names: Mapping[str, str]) -> str:
    attribution = attempt.opening.attribution
    return names.get(attribution.key_id) or attribution.key_name or attribution.key_id


def _costs_row(group: str | None, attempts: Iterable[Attempt]) -> CostsRow:
    members = list(attempts)
    usages = [attempt.usage for attempt in members]
    both = [a for a in members if a.reported_cost_nanousd is not None and a.cost_nanousd is not None]
    return CostsRow(
        group=group,
        calls=len({attempt.opening.call_id for attempt in members}),
        attempts=len(members),
        input_tokens=sum(usage.input_tokens or 0 for usage in usages),
        output_tokens=sum(usage.output_tokens or 0 for usage in usages),
        cache_read_input_tokens=sum(usage.cache_read_input_tokens for usage in usages),
        cache_creation_input_tokens=sum(usage.cache_creation_input_tokens for usage in usages),
        reasoning_output_tokens=sum(usage.reasoning_output_tokens for usage in usages),
        web_search_requests=sum(usage.web_search_requests for usage in usages),
        cost_nanousd=sum(attempt.cost_nanousd or 0 for attempt in members),
        unknown_cost_attempts=sum(attempt.cost_nanousd is None for attempt in members),
        estimated_attempts=sum(attempt.cost_basis == "estimated" for attempt in members),
        unknown_usage_attempts=sum(not usage.known for usage in usages),
        reported_cost_nanousd=sum(attempt.reported_cost_nanousd or 0 for attempt in both),
        comparable_cost_nanousd=sum(attempt.cost_nanousd or 0 for attempt in both),
        reported_only_nanousd=sum(a.reported_cost_nanousd or 0 for a in members if a.cost_nanousd is None),
        comparable_attempts=len(both),
        largest_difference_ppm=max((_difference_ppm(attempt) for attempt in both), default=0),
    )


def _difference_ppm(attempt: Attempt) -> int:
    """Return how far our cost is from the reported one; the same division, in floats, as SQLite's."""
    ours, theirs = attempt.cost_nanousd, attempt.reported_cost_nanousd
    if ours is None or not theirs or theirs < 0:
        return 0
    return min(int(abs(ours - theirs) * 1_000_000.0 / theirs), _LARGEST)


_LARGEST = (1 << 63) - 1
