"""Facts in sentences: what happened, in figures, and what follows from it."""

from datetime import UTC, datetime, timedelta
from typing import assert_never
from zoneinfo import ZoneInfo

from farthing.monitoring.notify.channel import Message
from farthing.monitoring.notify.report_words import report_words
from farthing.types.alerts import BudgetReached, ErrorBurst, Fact, ForecastPassed, UnusualSpend, WhyOver
from farthing.types.budgets import BudgetAction
from farthing.types.money import rough_usd, trimmed_usd
from farthing.types.report_facts import ReportMade

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_FOLLOWS: dict[BudgetAction, str] = {
    "warn": "Calls go on.",
    "prefer_cheaper": "Routers prefer free and cheaper models now.",
    "emergency": "Routers choose the cheapest that can now.",
    "local_only": "Models that cost money are refused now.",
    "pause": "Calls that cost money are refused until somebody resumes it.",
    "refuse": "Calls that cost money are refused now.",
}
_WHY_OVER: dict[WhyOver, str] = {
    "raised": "enough is left again",
    "anew": "a new period began",
    "removed": "the budget is gone or switched off",
    "usual": "it is as usual again",
}


def message_of(fact: Fact) -> Message:
    """Return the fact in words."""
    title, text = _said(fact)
    return Message(fact.id, title, text, fact.at_us, fact)


def _said(fact: Fact) -> tuple[str, str]:
    about = fact.about
    match about:
        case BudgetReached():
            return _budget(about) if fact.why_over is None else _budget_over(about, fact.why_over)
        case UnusualSpend():
            return _unusual(about, fact.why_over)
        case ForecastPassed():
            return _forecast(about, fact.why_over)
        case ErrorBurst():
            return _errors(about, fact.why_over)
        case ReportMade():
            return report_words(about)
        case _:
            assert_never(about)


def _budget(about: BudgetReached) -> tuple[str, str]:
    named = _named(about.budget, about.scope)
    reached = "nothing is left" if about.left_percent == 0 else f"less than {about.left_percent} % is left"
    parts = [f"{_usd(about.spent_nanousd)} of {_usd(about.limit_nanousd)} is spent."]
    if about.unknown_nanousd:
        parts.append(f"{_usd(about.unknown_nanousd)} of that is what calls of unknown cost may have cost.")
    if about.action is not None:
        parts.append(_FOLLOWS[about.action])
    if about.resets_at_us is not None:
        parts.append(f"It begins anew at {_local(about.resets_at_us, about.time_zone)}.")
    return f"{named}: {reached}", " ".join(parts)


def _budget_over(about: BudgetReached, why: WhyOver) -> tuple[str, str]:
    spent = f"{_usd(about.spent_nanousd)} of {_usd(about.limit_nanousd)}"
    told = f"It stood at {spent}." if why == "anew" else f"{spent} is spent."
    return f"{_named(about.budget, about.scope)}: {_WHY_OVER[why]}", told


def _unusual(about: UnusualSpend, why: WhyOver | None) -> tuple[str, str]:
    if why is not None:
        return f"Spending of {about.scope}: {_WHY_OVER[why]}", f"It was {_usd(about.spent_nanousd)} in an hour."
    text = (
        f"{_usd(about.spent_nanousd)} in the hour from {_local(about.hour_us, 'UTC')}; usual is"
        f" {_rough(about.usual_nanousd)}, and up to {_rough(about.bound_nanousd)} would not be unusual"
        f" ({about.sample_hours} hours were looked at)."
    )
    return f"Unusual spending of {about.scope}", text


def _forecast(about: ForecastPassed, why: WhyOver | None) -> tuple[str, str]:
    named = _named(about.budget, about.scope)
    if why is not None:
        return f"{named}: {_WHY_OVER[why]}", f"At its pace {_usd(about.limit_nanousd)} would have been passed."
    text = (
        f"{_usd(about.spent_nanousd)} is spent; by {_local(about.resets_at_us, about.time_zone)} it would be"
        f" {_rough(about.expected_nanousd)}, with {about.interval_percent} % between {_rough(about.low_nanousd)} and"
        f" {_rough(about.high_nanousd)}."
    )
    reached = _local(about.reached_at_us, about.time_zone)
    return f"{named}: at this pace {_usd(about.limit_nanousd)} is reached at {reached}", text


def _errors(about: ErrorBurst, why: WhyOver | None) -> tuple[str, str]:
    if why is not None:
        return f"Errors of {about.provider}: {_WHY_OVER[why]}", f"{about.failed} of {about.attempts} attempts failed."
    text = (
        f"{about.failed} of {about.attempts} attempts since {_local(about.since_us, 'UTC')} failed; usual is"
        f" {about.usual_ppm / 10_000:.1f} % (of {about.sample_attempts})."
    )
    return f"{about.provider} fails more than usual", text


def _named(budget: str, scope: str) -> str:
    return f"Budget {budget!r}" + ("" if scope == "all calls" else f" ({scope})")


def _usd(nanousd: int) -> str:
    return f"${trimmed_usd(nanousd)}"


def _rough(nanousd: int) -> str:
    return f"${rough_usd(nanousd)}"


def _local(at_us: int, time_zone: str) -> str:
    """Return a moment as the budget's clock shows it, to the minute: `2026-11-22 15:40 (UTC)`."""
    zone = UTC if time_zone == "UTC" else ZoneInfo(time_zone)
    return f"{(_EPOCH + timedelta(microseconds=at_us)).astimezone(zone):%Y-%m-%d %H:%M} ({time_zone})"


def utc(at_us: int) -> str:
    """Return a moment in UTC for programs, to the second, such as `2026-11-22T15:40:00Z`."""
    return f"{_EPOCH + timedelta(microseconds=at_us):%Y-%m-%dT%H:%M:%SZ}"
