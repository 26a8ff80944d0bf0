"""The report of a day, a week or a month: what was used and paid, by what, against the time before, and what to do.

A running period is compared with the same stretch of the one before it, from its beginning: half a month against half
a month. Fixed costs stand beside what calls cost, and budgets are told by whoever keeps them.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal, assert_never

import msgspec

from farthing.ledger.fixed_costs import Amortised, amortised
from farthing.ledger.money_by_kind import PRICED_BY, MoneyByKind, SheetOf, money_by_kind
from farthing.ledger.recommendations import (
    OUTCOME_THRESHOLD_NANOUSD,
    Outcomes,
    Priced,
    Recommendation,
    Repeated,
    caching,
    cheaper_models,
    cost_per_outcome,
    local_share,
    wants_caching,
)
from farthing.storage.protocols import LedgerStore
from farthing.types.fixed_costs import FixedCost
from farthing.types.prices import PriceSheet
from farthing.types.spending import SpendingRow, SpendingScope

PeriodName = Literal["day", "week", "month"]

MOST_SESSIONS = 10_000
"""Sessions of one model that are looked at for caching, the dearest: they hold the saving, and 5 MB."""


class Period(msgspec.Struct, frozen=True):
    """A UTC day, ISO week (from Monday) or calendar month; `until_us` is its end, or now while it runs."""

    name: PeriodName
    since_us: int
    until_us: int
    before_since_us: int
    before_until_us: int
    running: bool


class BudgetUse(msgspec.Struct, frozen=True):
    """A budget as whoever keeps it tells it; `spent_nanousd` of `limit_nanousd` in its own period."""

    name: str
    limit_nanousd: int
    spent_nanousd: int
    period: str


class Prices(msgspec.Struct, frozen=True):
    """How the report asks for prices: `booked` as `SheetOf`, and whom a model may be compared with, by its name."""

    booked: SheetOf
    today: Callable[[str, str], PriceSheet | None]
    candidates: Callable[[Sequence[SpendingRow]], dict[str, Sequence[Priced]]]


class SpendingReport(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is shown, and nothing about how."""

    period: Period
    scope: tuple[SpendingScope, ...]
    total: SpendingRow
    before: SpendingRow
    kinds: MoneyByKind
    by_model: tuple[SpendingRow, ...]
    by_project: tuple[SpendingRow, ...]
    fixed: tuple[Amortised, ...]
    budgets: tuple[BudgetUse, ...]
    recommendations: tuple[Recommendation, ...]


def period_of(name: PeriodName, at_us: int, now_us: int) -> Period:
    """Return the period that a moment lies in, and the stretch of the one before that it is compared with."""
    begins, ends, before = _bounds(name, datetime.fromtimestamp(at_us // 1_000_000, UTC))
    running = _us(begins) <= now_us < _us(ends)
    until_us = min(now_us, _us(ends)) if running else _us(ends)
    # A short month may be over before the stretch is.
    elapsed_us = until_us - _us(begins) if running else _us(ends) - _us(begins)
    before_until_us = min(_us(before) + elapsed_us, _us(begins)) if running else _us(begins)
    return Period(name, _us(begins), until_us, _us(before), before_until_us, running)


def _bounds(name: PeriodName, at: datetime) -> tuple[datetime, datetime, datetime]:
    """Return where the period begins and ends, and where the one before it began."""
    day = at.replace(hour=0, minute=0, second=0, microsecond=0)
    match name:
        case "day":
            return day, day + timedelta(days=1), day - timedelta(days=1)
        case "week":
            monday = day - timedelta(days=day.weekday())
            return monday, monday + timedelta(days=7), monday - timedelta(days=7)
        case "month":
            first = day.replace(day=1)
            return first, (first + timedelta(days=31)).replace(day=1), (first - timedelta(days=1)).replace(day=1)
    assert_never(name)


async def spending_report(
    store: LedgerStore,
    period: Period,
    prices: Prices,
    *,
    scope: Sequence[SpendingScope] = (),
    fixed_costs: Sequence[FixedCost] = (),
    budgets: Sequence[BudgetUse] = (),
    outcomes: Sequence[Outcomes] = (),
    local_target_percent: int | None = None,
    outcome_threshold_nanousd: int = OUTCOME_THRESHOLD_NANOUSD,
) -> SpendingReport:
    """Return the report; `scope` leaves out all that is not in it, also from advice."""
    since_us, until_us = period.since_us, period.until_us
    (total,) = await store.spending((), since_us=since_us, until_us=until_us, scope=scope)
    (before,) = await store.spending((), since_us=period.before_since_us, until_us=period.before_until_us, scope=scope)
    priced = await store.spending(PRICED_BY, since_us=since_us, until_us=until_us, scope=scope)
    by_model = await store.spending(("provider", "model"), since_us=since_us, until_us=until_us, scope=scope)
    by_project = await store.spending(("project",), since_us=since_us, until_us=until_us, scope=scope)
    advice = [
        *cheaper_models(by_model, prices.candidates(by_model)),
        *caching(await _repeated(store, period, by_model, scope, prices)),
        *local_share(total, local_target_percent),
        *cost_per_outcome(outcomes, outcome_threshold_nanousd),
    ]
    return SpendingReport(
        period=period,
        scope=tuple(scope),
        total=total,
        before=before,
        kinds=money_by_kind(priced, prices.booked),
        by_model=tuple(by_model),
        by_project=tuple(by_project),
        fixed=amortised(fixed_costs, since_us, until_us),
        budgets=tuple(budgets),
        recommendations=tuple(advice),
    )


async def _repeated(
    store: LedgerStore,
    period: Period,
    by_model: Sequence[SpendingRow],
    scope: Sequence[SpendingScope],
    prices: Prices,
) -> list[Repeated]:
    found = []
    for row in by_model:
        provider, model = row.groups
        sheet = prices.today(provider or "", model or "") if wants_caching(row) else None
        if sheet is None:
            continue
        of_model = (*scope, SpendingScope("provider", provider), SpendingScope("model", model))
        sessions = await store.spending(
            ("session",),
            since_us=period.since_us,
            until_us=period.until_us,
            scope=of_model,
            limit=MOST_SESSIONS,
        )
        found.append(Repeated(row, sessions, sheet))
    return found


def _us(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
