"""The report of a day, a week or a month: what was used and paid, by what, against the time before, and what to do.

A running period is compared with the same stretch of the one before it, from its beginning: half a month against half
a month. Fixed costs stand beside what calls cost, and so does how much of each budget was used.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from farthing.ledger.budget_use import BudgetUse, budget_uses
from farthing.ledger.fixed_costs import Amortised, amortised
from farthing.ledger.money_by_kind import PRICED_BY, MoneyByKind, SheetOf, money_by_kind
from farthing.ledger.periods import period_at
from farthing.ledger.recommendations import (
    MIN_OUTCOMES,
    OUTCOME_THRESHOLD_NANOUSD,
    Priced,
    Recommendation,
    Repeated,
    caching,
    calls_as_outcomes,
    cheaper_models,
    cost_per_outcome,
    local_share,
    may_cost_too_much,
    wants_caching,
)
from farthing.ledger.told_outcomes import told_outcomes
from farthing.storage.protocols import LedgerStore, Store
from farthing.types.fixed_costs import FixedCost
from farthing.types.ledger import US_PER_DAY
from farthing.types.prices import PriceSheet
from farthing.types.report_facts import ReportKind
from farthing.types.spending import SpendingBy, SpendingRow, SpendingScope

PeriodName = Literal["day", "week", "month"]

MOST_SESSIONS = 10_000
"""Sessions of one model that are looked at for caching, the dearest: they hold the saving, and 5 MB."""

_LATELY_US = (US_PER_DAY // 24, US_PER_DAY)
"""The ends of a period whose lines are read before all of it is: of three million a month 5,000, then 110,000."""


class Period(msgspec.Struct, frozen=True):
    """A day, a week (from Monday) or a calendar month of a zone; `until_us` is its end, or now while it runs."""

    name: PeriodName
    since_us: int
    until_us: int
    before_since_us: int
    before_until_us: int
    running: bool
    time_zone: str = "UTC"


class Group(msgspec.Struct, frozen=True):
    """The sums of a time by one thing, dearest first."""

    by: SpendingBy
    rows: tuple[SpendingRow, ...]


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
    groups: tuple[Group, ...]
    """By whatever else was asked for."""
    fixed: tuple[Amortised, ...]
    budgets: tuple[BudgetUse, ...]
    recommendations: tuple[Recommendation, ...]

    @property
    def by_kind(self) -> tuple[ReportKind, ...]:
        """What the money went into, each kind with its tokens; they add up to the total."""
        total, kinds = self.total, self.kinds
        afresh = total.input_tokens - total.cache_read_input_tokens - total.cache_creation_input_tokens
        parts = (
            ("input read afresh", max(0, afresh), kinds.input_nanousd),
            ("read from cache", total.cache_read_input_tokens, kinds.cache_read_nanousd),
            ("written to cache", total.cache_creation_input_tokens, kinds.cache_write_nanousd),
            ("output", total.output_tokens, kinds.output_nanousd),
        )
        # Tokens whose money is within what is not split did not cost nothing.
        found = [
            ReportKind(name=name, tokens=tokens, nanousd=nanousd or (None if tokens and kinds.unsplit_nanousd else 0))
            for name, tokens, nanousd in parts
        ]
        rest = (("fees for requests", kinds.fees_nanousd), ("not split", kinds.unsplit_nanousd))
        return (*found, *(ReportKind(name=name, tokens=None, nanousd=nanousd) for name, nanousd in rest if nanousd))


def period_of(name: PeriodName, at_us: int, now_us: int, time_zone: str = "UTC") -> Period:
    """Return the period that a moment lies in, and the stretch of the one before that it is compared with.

    Raises:
        InvalidRequest: this machine does not know the time zone.
    """
    begins_us, ends_us = period_at(name, at_us, time_zone)
    before_us, _ = period_at(name, begins_us - 1, time_zone)
    assert ends_us is not None, "a day, a week and a month end"
    running = begins_us <= now_us < ends_us
    until_us = now_us if running else ends_us
    # A short month may be over before the stretch is.
    before_until_us = min(before_us + until_us - begins_us, begins_us) if running else begins_us
    return Period(name, begins_us, until_us, before_us, before_until_us, running, time_zone)


async def spending_report(
    store: Store,
    period: Period,
    prices: Prices,
    *,
    scope: Sequence[SpendingScope] = (),
    budgets_in: Sequence[SpendingScope] | None = None,
    by: Sequence[SpendingBy] = (),
    fixed_costs: Sequence[FixedCost] = (),
    local_target_percent: int | None = None,
    outcome_threshold_nanousd: int = OUTCOME_THRESHOLD_NANOUSD,
) -> SpendingReport:
    """Return the report; `scope` leaves out all that is not in it, also from advice.

    Budgets are those in `budgets_in` where it is given: they may name less of what calls are known by.
    """
    since_us, until_us = period.since_us, period.until_us
    (total,) = await store.spending((), since_us=since_us, until_us=until_us, scope=scope)
    (before,) = await store.spending((), since_us=period.before_since_us, until_us=period.before_until_us, scope=scope)
    priced = await store.spending(PRICED_BY, since_us=since_us, until_us=until_us, scope=scope)
    by_model = await store.spending(("provider", "model"), since_us=since_us, until_us=until_us, scope=scope)
    by_project = await store.spending(("project",), since_us=since_us, until_us=until_us, scope=scope)
    told = await told_outcomes(store, since_us, until_us, costs_since_us=period.before_since_us, scope=scope)
    are_told = any(one.told >= MIN_OUTCOMES for one in told)  # else an answer that came to its end must do
    answered = [] if are_told else await _answered(store, period, by_model, scope, outcome_threshold_nanousd)
    groups = [
        Group(one, tuple(await store.spending((one,), since_us=since_us, until_us=until_us, scope=scope))) for one in by
    ]
    within = scope if budgets_in is None else budgets_in
    outcomes = told if are_told else calls_as_outcomes(by_model, answered)
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
        groups=tuple(groups),
        fixed=amortised(fixed_costs, since_us, until_us),
        budgets=tuple(await budget_uses(store, period.name, since_us, until_us, within, running=period.running)),
        recommendations=tuple(advice),
    )


async def _answered(
    store: LedgerStore,
    period: Period,
    by_model: Sequence[SpendingRow],
    scope: Sequence[SpendingScope],
    threshold_nanousd: int,
) -> list[SpendingRow]:
    """Return which calls ended well, by (provider, model); none where no model's can cost too much.

    Only the lines know that, and a month of them may be millions. But nearly always those of the last hour are enough
    to say that a call which ended well costs less than the threshold, however many more there are.
    """
    ended_well = (*scope, SpendingScope("outcome", "ok"))
    dear = [row for row in by_model if may_cost_too_much(row, threshold_nanousd)]
    answered: list[SpendingRow] = []
    since_us, until_us = period.since_us, period.until_us
    for from_us in (*[until_us - lately_us for lately_us in _LATELY_US if lately_us < until_us - since_us], since_us):
        if not dear:
            return []
        answered = await store.spending(("provider", "model"), since_us=from_us, until_us=until_us, scope=ended_well)
        calls = {row.groups: row.calls for row in answered}
        dear = [row for row in dear if may_cost_too_much(row, threshold_nanousd, calls.get(row.groups, 0))]
    return answered


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
