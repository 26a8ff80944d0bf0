"""A spending report as data for programs: money as exact text and whole nanodollars, moments as ISO 8601."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from farthing.ledger.recommendations import Recommendation
from farthing.ledger.spending_report import SpendingReport
from farthing.types.money import usd_text
from farthing.types.spending import SpendingRow


def report_as_data(told: SpendingReport) -> dict[str, Any]:
    """Return the report for JSON: money as exact text and whole nanodollars, moments as ISO 8601."""
    period = told.period
    return {
        "period": period.name,
        "since": _iso(period.since_us),
        "until": _iso(period.until_us),
        "running": period.running,
        "time_zone": period.time_zone,
        "scope": [{"by": one.by, "value": one.value} for one in told.scope],
        "total": _row(told.total),
        "before": {
            "since": _iso(period.before_since_us),
            "until": _iso(period.before_until_us),
            **_row(told.before),
        },
        "money_by_kind": _with_text(msgspec.structs.asdict(told.kinds)),
        "cache_hit_percent": _percent_of(told.total.cache_read_input_tokens, told.total.input_tokens),
        "free_percent": _percent_of(told.total.free_tokens, told.total.input_tokens + told.total.output_tokens),
        "by_model": [{"provider": r.groups[0], "model": r.groups[1], **_row(r)} for r in told.by_model],
        "by_project": [{"project": row.groups[0], **_row(row)} for row in told.by_project],
        **{f"by_{one.by}": [{one.by: row.groups[0], **_row(row)} for row in one.rows] for one in told.groups},
        "fixed_costs": [
            {"name": one.cost.name, "per": one.cost.per, **_with_text({"nanousd": one.nanousd})} for one in told.fixed
        ],
        "budgets": [_with_text(msgspec.structs.asdict(one)) for one in told.budgets],
        "recommendations": [_advice_as_data(one) for one in told.recommendations],
    }


def _advice_as_data(one: Recommendation) -> dict[str, Any]:
    return {
        "kind": one.kind,
        "subject": one.subject,
        "advice": one.advice,
        "arithmetic": [{"what": what, **_with_text({"nanousd": nanousd})} for what, nanousd in one.arithmetic],
        **_with_text({"saves_nanousd": one.saves_nanousd}),
        "sample": one.sample,
        "of": one.of,
    }


def _row(row: SpendingRow) -> dict[str, Any]:
    counts = {name: getattr(row, name) for name in row.__struct_fields__ if name not in ("groups", "cost_nanousd")}
    return {**counts, **_with_text({"nanousd": row.known_cost_nanousd})}


def _with_text(told: dict[str, Any]) -> dict[str, Any]:
    """Put the exact dollars beside every amount in nanodollars."""
    found: dict[str, Any] = {}
    for name, value in told.items():
        found[name] = value
        if name.endswith("nanousd"):
            found[name.removesuffix("nanousd") + "usd"] = None if value is None else usd_text(value)
    return found


def _percent_of(part: int, whole: int) -> str | None:
    return None if whole <= 0 else f"{part * 1000 // whole / 10:.1f}"


def _iso(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1_000_000, UTC).isoformat().replace("+00:00", "Z")
