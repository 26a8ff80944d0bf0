"""Alerts: conditions that begin and end, and the facts that are told of them, each once.

A *condition* is something that holds or does not: an account is below a threshold, a key spends more than is usual.
Where it does not hold its level is 0, and the graver the higher. What moves it is a `Sighting`; when that makes it
graver or ends it, a `Fact` goes into the outbox in the same transaction. A fact's id follows from the condition, how
often it held, and the level, so whoever sees the same thing a second time writes no second fact.
"""

import hashlib
from typing import Literal

import msgspec

from farthing.types.budgets import Budget, BudgetAction, Period, Scope
from farthing.types.report_facts import ReportMade

FactKind = Literal["threshold", "unusual", "forecast", "errors", "report"]
FACT_KINDS: tuple[FactKind, ...] = ("threshold", "unusual", "forecast", "errors")
"""Those that a channel chooses of; a report names its channels."""

WhyOver = Literal["raised", "anew", "removed", "usual"]
"""Why a condition ended: there is more to spend, a new period began, the budget is gone, it is as usual again."""

DeliveryState = Literal["waiting", "delivered", "dead"]

FULL_LEVEL = 101
"""The level of an account of which nothing is left; one below `n` percent has 101 - n."""


class BudgetReached(msgspec.Struct, frozen=True, kw_only=True, tag="threshold"):
    """An account has less left than a threshold says; 0 percent: nothing."""

    budget_id: str
    budget: str
    account_id: str
    scope: str
    subject: Scope = Scope()
    period: Period
    left_percent: int
    action: BudgetAction | None
    limit_nanousd: int
    spent_nanousd: int
    unknown_nanousd: int
    """What of it calls of unknown cost were held at; they may have cost as much."""
    resets_at_us: int | None
    time_zone: str = "UTC"
    """The budget's, by which its moments are told to people."""


class UnusualSpend(msgspec.Struct, frozen=True, kw_only=True, tag="unusual"):
    """More was spent in an hour than this scope does."""

    scope: str
    subject: Scope = Scope()
    hour_us: int
    spent_nanousd: int
    usual_nanousd: int
    """The median of comparable hours."""
    bound_nanousd: int
    """Above this an hour is unusual."""
    sample_hours: int


class ForecastPassed(msgspec.Struct, frozen=True, kw_only=True, tag="forecast"):
    """At this pace the limit is reached before the period ends."""

    budget_id: str
    budget: str
    account_id: str
    scope: str
    subject: Scope = Scope()
    limit_nanousd: int
    spent_nanousd: int
    expected_nanousd: int
    low_nanousd: int
    high_nanousd: int
    interval_percent: int
    reached_at_us: int
    resets_at_us: int
    time_zone: str = "UTC"


class ErrorBurst(msgspec.Struct, frozen=True, kw_only=True, tag="errors"):
    """A provider fails more often than it does."""

    provider: str
    since_us: int
    attempts: int
    failed: int
    usual_ppm: int
    """How many of a million attempts fail otherwise."""
    sample_attempts: int


About = BudgetReached | UnusualSpend | ForecastPassed | ErrorBurst | ReportMade


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """Something to tell, once. `why_over` is `None` for what began, else it says why it ended."""

    id: str
    at_us: int
    about: About
    why_over: WhyOver | None = None

    @property
    def kind(self) -> FactKind:
        """Which of the kinds it is."""
        return kind_of(self.about)


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """How a condition is found to be. With level 0 it does not hold, `why_over` says why, and `about` may be left out.

    `until_us` is when it ends by itself unless it is seen again: with the period it is about, or some time after.
    `quiet_us`: where it ended less than so long ago, it is not told that it began again.
    """

    condition: str
    level: int
    at_us: int
    about: About | None = None
    budget_id: str | None = None
    until_us: int | None = None
    why_over: WhyOver = "usual"
    quiet_us: int = 0


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """How a condition stands: `times` is how often it ended or eased, `about` what was last told of it."""

    name: str
    times: int
    level: int
    changed_at_us: int
    about: About
    budget_id: str | None = None
    until_us: int | None = None
    told: bool = True
    """Whether its beginning was told; else its end is not told either."""


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One fact on its way to one channel. `tries` counts those that were begun, this one too."""

    fact: Fact
    channel: str
    tries: int


class DeliveryStanding(msgspec.Struct, frozen=True, kw_only=True):
    """How a delivery stands."""

    channel: str
    state: DeliveryState
    tries: int
    next_try_at_us: int | None = None
    delivered_at_us: int | None = None
    error: str | None = None


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A fact, and to whom it was told; before the gateway has looked where it goes, `routed` is False."""

    fact: Fact
    routed: bool
    deliveries: tuple[DeliveryStanding, ...] = ()


def kind_of(about: About) -> FactKind:
    """Return the kind of fact that this is told in."""
    match about:
        case BudgetReached():
            return "threshold"
        case UnusualSpend():
            return "unusual"
        case ForecastPassed():
            return "forecast"
        case ErrorBurst():
            return "errors"
        case ReportMade():
            return "report"


def moved(state: Condition | None, seen: Sighting) -> tuple[Condition | None, Fact | None]:
    """Return how a condition stands after a sighting (`None`: as it stood), and the fact to tell, if there is one."""
    level = 0 if state is None else state.level
    if seen.level == level:
        if state is None or not level or seen.until_us in (None, state.until_us):
            return None, None
        return msgspec.structs.replace(state, until_us=seen.until_us), None
    if seen.level > level:
        assert seen.about is not None, f"{seen.condition!r} holds, and nothing says what it is about"
        times = 0 if state is None else state.times
        quiet = state is not None and level == 0 and 0 <= seen.at_us - state.changed_at_us < seen.quiet_us
        now = Condition(
            name=seen.condition,
            times=times,
            level=seen.level,
            changed_at_us=seen.at_us,
            about=seen.about,
            budget_id=seen.budget_id,
            until_us=seen.until_us,
            told=not quiet,
        )
        fact = Fact(id=_fact_id(now.name, now.times, seen.level), at_us=seen.at_us, about=seen.about)
        return now, None if quiet else fact
    assert state is not None, "a condition that nobody saw cannot ease"
    about = seen.about or state.about
    eased = msgspec.structs.replace(
        state, times=state.times + 1, level=seen.level, changed_at_us=seen.at_us, about=about
    )
    # That a limit was not reached in a period that is over is no news, nor is it that a report was read.
    is_news = state.told and not (seen.why_over == "anew" and isinstance(about, ForecastPassed))
    is_news = is_news and not isinstance(about, ReportMade)
    if seen.level or not is_news:
        return eased, None
    return eased, Fact(id=_fact_id(state.name, state.times, 0), at_us=seen.at_us, about=about, why_over=seen.why_over)


def budget_level(budget: Budget, spent_nanousd: int) -> int:
    """Return the level of an account: 0 while no threshold is reached, `FULL_LEVEL` where nothing is left."""
    if not budget.enabled or spent_nanousd <= 0:
        return 0
    left = budget.limit_nanousd - spent_nanousd
    if left <= 0:
        return FULL_LEVEL
    reached = [one.left_percent for one in budget.thresholds if left * 100 < one.left_percent * budget.limit_nanousd]
    return FULL_LEVEL - min(reached) if reached else 0


def budget_action(budget: Budget, level: int) -> BudgetAction | None:
    """Return what holds at a level: of several thresholds at one line the last that the rule names."""
    if level >= FULL_LEVEL:
        return "refuse" if budget.policy == "hard" else "warn"
    found = [one.action for one in budget.thresholds if FULL_LEVEL - one.left_percent == level]
    return found[-1] if found else None


def budget_sighting(
    budget: Budget, account_id: str, subject: Scope, end_us: int | None, posted: int, unknown: int, at_us: int
) -> Sighting:
    """Return how an account is found to be, in nanodollars posted and unknown."""
    level = budget_level(budget, posted + unknown)
    about = BudgetReached(
        budget_id=budget.id,
        budget=budget.name,
        account_id=account_id,
        scope=str(subject),
        subject=subject,
        period=budget.period,
        left_percent=FULL_LEVEL - level if level else 100,
        action=budget_action(budget, level),
        limit_nanousd=budget.limit_nanousd,
        spent_nanousd=posted + unknown,
        unknown_nanousd=unknown,
        resets_at_us=end_us,
        time_zone=budget.time_zone,
    )
    return Sighting(
        condition=budget_condition(account_id),
        level=level,
        at_us=at_us,
        about=about,
        budget_id=budget.id,
        until_us=end_us,
        why_over="raised" if budget.enabled else "removed",
    )


def first_line_nanousd(budget: Budget) -> int:
    """Return what must at least be spent for any threshold to be reached."""
    most = max((one.left_percent for one in budget.thresholds), default=0)
    return budget.limit_nanousd - budget.limit_nanousd * most // 100


def first_fact_id(condition: str, level: int) -> str:
    """Return the id of the fact that is told when a condition holds for the first time."""
    return _fact_id(condition, 0, level)


def budget_condition(account_id: str) -> str:
    """Return the name of the condition that an account is below a threshold."""
    return f"threshold {account_id}"


def _fact_id(condition: str, times: int, level: int) -> str:
    """Return a name that fits into a header, whatever people call themselves."""
    told = f"{condition}\n{times}\n{level}"
    return f"alert_{hashlib.sha256(told.encode('utf-8', 'replace')).hexdigest()[:32]}"
