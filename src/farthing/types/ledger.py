"""What the ledger tells: totals, groups of costs, findings. Integers only; money in nanodollars, `None` is unknown.

`add_up` lives here because every store must make its daily totals by the same rule, and stores do not know one another.
"""

from collections.abc import Iterable
from datetime import date
from typing import Literal

import msgspec

from farthing.types.budgets import BudgetLeft
from farthing.types.calls import Attempt, CostBasis, Outcome

CostsBy = Literal[
    "model",
    "provider",
    "key",
    "organisation",
    "team",
    "project",
    "user",
    "session",
    "conversation",
    "task",
    "sub_agent",
    "branch",
    "pull_request",
    "tag",
    "face",
    "day",
]


class CostsFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which attempts are meant: those for which all of this holds; `None` is no condition.

    `model` is `provider:model`, or the model's name at any provider; `key` an id, or the key's name of now; `tag` one
    of an attempt's tags. The others are what an attempt says itself, letter for letter.
    """

    model: str | None = None
    provider: str | None = None
    key: str | None = None
    organisation: str | None = None
    team: str | None = None
    project: str | None = None
    user: str | None = None
    session: str | None = None
    conversation: str | None = None
    task: str | None = None
    sub_agent: str | None = None
    branch: str | None = None
    pull_request: str | None = None
    tag: str | None = None
    face: str | None = None


EVERYTHING = CostsFilter()

US_PER_DAY = 86_400_000_000
_DAY_ZERO = date(1970, 1, 1).toordinal()


class CostsRow(msgspec.Struct, frozen=True, kw_only=True):
    """What one group cost. `group` is `None` for attempts without that attribution, and for the total of everything.

    `cost_nanousd` adds up the attempts whose cost is known; `unknown_cost_attempts` says how many it is silent about,
    and `unknown_usage_attempts` how many the token sums are silent about. Where providers report costs themselves,
    `reported_cost_nanousd` and `comparable_cost_nanousd` are their sum and ours over the same attempts (those where
    both are known), `comparable_attempts` their number, and `largest_difference_ppm` how far ours is from theirs at
    most, in millionths of theirs (not counting where they reported 0); `reported_only_nanousd` is what they reported
    where we knew no price.
    """

    group: str | None
    calls: int
    attempts: int
    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int
    cache_creation_input_tokens: int
    reasoning_output_tokens: int
    web_search_requests: int
    cost_nanousd: int
    unknown_cost_attempts: int
    estimated_attempts: int
    unknown_usage_attempts: int
    reported_cost_nanousd: int
    comparable_cost_nanousd: int
    reported_only_nanousd: int
    comparable_attempts: int
    largest_difference_ppm: int


class DailyTotal(msgspec.Struct, frozen=True, kw_only=True):
    """The sum of one UTC day's attempts by key, provider and model; the day is the one the attempt began on."""

    day: str
    key_id: str
    provider: str
    model: str
    attempts: int
    unknown_cost_attempts: int
    estimated_attempts: int
    unknown_usage_attempts: int
    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int
    cache_creation_5m_input_tokens: int
    cache_creation_1h_input_tokens: int
    reasoning_output_tokens: int
    web_search_requests: int
    cost_nanousd: int


class KeySpent(msgspec.Struct, frozen=True, kw_only=True):
    """What was spent with one key; the sum is over the attempts whose cost is known."""

    attempts: int = 0
    unknown_cost_attempts: int = 0
    estimated_attempts: int = 0
    cost_nanousd: int = 0


class CallLine(msgspec.Struct, frozen=True, kw_only=True):
    """One call in a list of calls; what was tried, what came of it, what it cost.

    `provider`, `model`, `outcome` and `http_status` are the last attempt's. Tokens are sums over the attempts, `None`
    when none of them is known; the cost is `None` as soon as one attempt's is unknown, because the sum is then too.
    """

    call_id: str
    started_at_us: int
    ended_at_us: int
    face: str
    operation: str
    provider: str
    model_asked: str
    model: str
    streamed: bool
    key_id: str
    key_name: str
    project: str | None
    session: str | None
    attempts: int
    outcome: Outcome
    http_status: int | None
    input_tokens: int | None
    output_tokens: int | None
    cache_read_input_tokens: int
    cache_creation_input_tokens: int
    cost_nanousd: int | None
    cost_basis: CostBasis
    first_output_us: int | None


class Spent(msgspec.Struct, frozen=True):
    """What is known of a time: the sum, how many attempts it is silent about, and how many there were."""

    cost_nanousd: int
    unknown_cost_attempts: int
    attempts: int


class Glance(msgspec.Struct, frozen=True):
    """The sum since a moment; of a session, where one was asked for, over a longer time; and the model called last.

    `budget` is the scarcest of those that are about all calls or the session, of what was called in this period.
    """

    today: Spent
    session: Spent | None
    last_model: str | None
    budget: BudgetLeft | None = None


FindingKind = Literal[
    "damaged_store",  # the database's own check complains
    "damaged_journal",  # a journal line cannot be read
    "unposted",  # the journal has an end that the store has not
    "disagrees_with_journal",  # journal and store tell different things of one attempt
    "duplicate",  # two lines for one try of one call
    "cost_and_basis",  # the cost is unknown and the basis is not, or the other way round
    "negative",  # a count or an amount below zero
    "usage_parts",  # parts exceed the total they are parts of, and no flag says that the provider said so
    "cost_not_reproducible",  # usage times price is not the cost
    "totals",  # a daily total is not what its attempts add up to
    "account",  # what a budget's account was charged with is not what its attempts add up to
]


class Finding(msgspec.Struct, frozen=True):
    """Something that `farthing ledger verify` found wrong: what kind, where, and the two values that disagree."""

    kind: FindingKind
    subject: str
    message: str


def utc_day(at_us: int) -> str:
    """Return the UTC day of a time, such as `2026-11-21`."""
    return date.fromordinal(_DAY_ZERO + at_us // US_PER_DAY).isoformat()


def add_up(attempts: Iterable[Attempt]) -> list[DailyTotal]:
    """Return the daily totals of these attempts, in order of first appearance."""
    sums: dict[tuple[int, str, str, str], list[int]] = {}
    for attempt in attempts:
        opening, usage, cost = attempt.opening, attempt.usage, attempt.cost_nanousd
        group = (
            opening.started_at_us // US_PER_DAY,
            opening.attribution.key_id,
            opening.provider,
            opening.model,
        )
        total = sums.get(group)
        if total is None:
            total = sums[group] = [0] * 12
        total[0] += 1
        if cost is None:
            total[1] += 1
        else:
            total[11] += cost
        if attempt.cost_basis == "estimated":
            total[2] += 1
        if usage.input_tokens is None or usage.output_tokens is None:
            total[3] += 1
        total[4] += usage.input_tokens or 0
        total[5] += usage.output_tokens or 0
        total[6] += usage.cache_read_input_tokens
        total[7] += usage.cache_creation_5m_input_tokens
        total[8] += usage.cache_creation_1h_input_tokens
        total[9] += usage.reasoning_output_tokens
        total[10] += usage.web_search_requests
    return [_daily_total(group, total) for group, total in sums.items()]


def _daily_total(group: tuple[int, str, str, str], total: list[int]) -> DailyTotal:
    day_number, key_id, provider, model = group
    return DailyTotal(
        day=utc_day(day_number * US_PER_DAY),
        key_id=key_id,
        provider=provider,
        model=model,
        attempts=total[0],
        unknown_cost_attempts=total[1],
        estimated_attempts=total[2],
        unknown_usage_attempts=total[3],
        input_tokens=total[4],
        output_tokens=total[5],
        cache_read_input_tokens=total[6],
        cache_creation_5m_input_tokens=total[7],
        cache_creation_1h_input_tokens=total[8],
        reasoning_output_tokens=total[9],
        web_search_requests=total[10],
        cost_nanousd=total[11],
    )
