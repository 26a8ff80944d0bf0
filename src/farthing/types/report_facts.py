"""A report that is sent to somebody: its figures, bounded so that it fits a message; who sends it finds the words."""

from typing import Literal

import msgspec

from farthing.types.budgets import Period

MOST_LINES = 10
"""Models and projects in a report that is sent, the dearest; the page and the admin API have them all."""


class ReportLine(msgspec.Struct, frozen=True, kw_only=True):
    """The sums of one model or project; `nanousd` is `None` where the cost of none of it is known."""

    name: str
    calls: int
    input_tokens: int
    output_tokens: int
    nanousd: int | None


class ReportKind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of what money went into; fees and what cannot be split have no tokens.

    `nanousd` is `None` where the money of these tokens is in what cannot be split.
    """

    name: str
    tokens: int | None
    nanousd: int | None


class ReportBudget(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a budget was used, over `periods` of its periods."""

    name: str
    subject: str
    period: Period
    periods: int
    spent_nanousd: int
    limit_nanousd: int
    fullest_permille: int | None


class ReportAmount(msgspec.Struct, frozen=True, kw_only=True):
    """An amount, and what it is."""

    name: str
    nanousd: int


class ReportAdvice(msgspec.Struct, frozen=True, kw_only=True):
    """A recommendation with its arithmetic, and how many `of` what it rests on."""

    subject: str
    advice: str
    arithmetic: tuple[ReportAmount, ...]
    saves_nanousd: int | None
    sample: int
    of: str


class ReportMade(msgspec.Struct, frozen=True, kw_only=True, tag="report"):
    """The report of a day, a week or a month that is over, for the channels that it is meant for."""

    name: str
    channels: tuple[str, ...]
    period: Literal["day", "week", "month"]
    time_zone: str
    since_us: int
    until_us: int
    scope: str
    """In words; empty where it is about everything."""
    team: str | None
    """Whose alone it is, where it is about one team."""
    calls: int
    attempts: int
    failed_attempts: int
    unknown_cost_attempts: int
    spent_nanousd: int | None
    before_attempts: int
    before_nanousd: int | None
    kinds: tuple[ReportKind, ...]
    by_model: tuple[ReportLine, ...]
    by_project: tuple[ReportLine, ...]
    budgets: tuple[ReportBudget, ...]
    fixed: tuple[ReportAmount, ...]
    advice: tuple[ReportAdvice, ...]
