"""What the ledger recommends: each with its arithmetic and the sample it rests on, and silent where that is too small.

Nothing here knows whether a cheaper model would have done the work; it says what the same tokens would have cost, and
that is all it says. Free models are not among those: their machine is not free, and a share of calls that should be
local is a target to be set. The bounds below are where a number stops being an accident.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from farthing.ledger.money_by_kind import estimated_nanousd
from farthing.types.money import NANOUSD_PER_USD, trimmed_usd
from farthing.types.prices import PriceSheet
from farthing.types.spending import SpendingRow

RecommendationKind = Literal["cheaper_model", "caching", "local_share", "cost_per_outcome"]

MIN_ATTEMPTS = 50
"""Fewer calls than this are somebody trying something out."""
MIN_SAVING_NANOUSD = NANOUSD_PER_USD // 10
"""Ten cents in the time that is reported: below that, reading the advice costs more."""
MIN_SAVING_PERCENT = 20
"""Tokenizers of two makers differ by up to a fifth on the same text, so a smaller difference may be none."""
MIN_REPEATED_INPUT = 4_096
"""Input tokens of a mean call from which every provider that caches does so; below, some do not."""
MIN_CALLS_OF_A_SESSION = 3
"""A prefix that is read twice pays for being written; three calls make it certain at every provider's prices."""
CACHED_PERCENT = 5
"""Above this share of cache reads, caching is switched on and it is the prompts that differ."""
MIN_OUTCOMES = 20
"""Told outcomes below which a mean cost of success says nothing: one lucky run moves it by a tenth."""
MIN_LOCAL_ATTEMPTS = 50
"""As for attempts: a share of fewer calls is noise."""
OUTCOME_THRESHOLD_NANOUSD = NANOUSD_PER_USD
"""A dollar for one success, unless another threshold is given."""
MOST = 5
"""Recommendations of one kind that are told, the dearest first: more are a table, not advice."""


class Recommendation(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of advice. `saves_nanousd` is per time reported and an upper bound; `sample` is how many `of` what."""

    kind: RecommendationKind
    subject: str
    advice: str
    arithmetic: tuple[tuple[str, int], ...]
    saves_nanousd: int | None
    sample: int
    of: Literal["attempts", "outcomes"]


class Priced(msgspec.Struct, frozen=True):
    """A model that may be recommended, and today's price of it."""

    name: str
    sheet: PriceSheet


class Outcomes(msgspec.Struct, frozen=True):
    """What is known of the results of something; `cost_nanousd` is of all of them, of those that failed too."""

    subject: str
    told: int
    succeeded: int
    cost_nanousd: int


def cheaper_models(rows: Sequence[SpendingRow], candidates: Mapping[str, Sequence[Priced]]) -> list[Recommendation]:
    """Return models whose tokens cost less elsewhere; `rows` are by (provider, model), candidates by the two in one."""
    found = []
    for row in rows:
        provider, model = row.groups
        name = f"{provider}:{model}"
        known = row.attempts - row.unknown_cost_attempts
        if known != row.attempts or known < MIN_ATTEMPTS or row.cost_nanousd <= 0:
            continue

        def may_replace(one: Priced, name: str = name) -> bool:
            return one.name != name and not one.sheet.free

        priced = [(estimated_nanousd(row, one.sheet), one.name) for one in candidates.get(name, ()) if may_replace(one)]
        costs = [(cost, other) for cost, other in priced if cost is not None]
        if not costs:
            continue
        cost, other = min(costs)
        saves = row.cost_nanousd - cost
        if saves >= MIN_SAVING_NANOUSD and saves * 100 >= row.cost_nanousd * MIN_SAVING_PERCENT:
            found.append(
                Recommendation(
                    kind="cheaper_model",
                    subject=name,
                    advice=f"try {other} where it will do: the same tokens cost less there",
                    arithmetic=((f"cost on {name}", row.cost_nanousd), (f"the same tokens on {other}", cost)),
                    saves_nanousd=saves,
                    sample=known,
                    of="attempts",
                )
            )
    return _dearest(found)


class Repeated(msgspec.Struct, frozen=True):
    """A model whose input is large and hardly cached: its sums, its sums by session, and its price of today."""

    row: SpendingRow
    sessions: Sequence[SpendingRow]
    sheet: PriceSheet


def wants_caching(row: SpendingRow) -> bool:
    """Whether a model's sums, by (provider, model), make it worth looking at its sessions."""
    return (
        row.attempts >= MIN_ATTEMPTS
        and row.input_tokens >= MIN_REPEATED_INPUT * row.attempts
        and row.cache_read_input_tokens * 100 < row.input_tokens * CACHED_PERCENT
    )


def caching(models: Sequence[Repeated]) -> list[Recommendation]:
    """Return what reading from a cache could save, at most: all that a session's later calls read, at its price."""
    found = []
    for one in models:
        rates = one.sheet.bands[0].rates
        if rates.input is None or rates.cache_read is None or rates.cache_read >= rates.input:
            continue
        write = rates.input if rates.cache_write_5m is None else rates.cache_write_5m
        sessions = [row for row in one.sessions if row.groups[0] is not None and row.attempts >= MIN_CALLS_OF_A_SESSION]
        calls = sum(row.attempts for row in sessions)
        if calls < MIN_ATTEMPTS:
            continue
        # Every call but a session's first could read what the one before it read; the first pays for writing it.
        first = sum(row.input_tokens // row.attempts for row in sessions)
        again = sum(row.input_tokens for row in sessions) - first
        now = (first + again) * rates.input // 1_000_000_000
        then = (first * write + again * rates.cache_read) // 1_000_000_000
        if now - then >= MIN_SAVING_NANOUSD:
            name = ":".join(part or "" for part in one.row.groups)
            found.append(
                Recommendation(
                    kind="caching",
                    subject=name,
                    advice=f"let sessions read from the cache: {_percent(one.row)} of their input came from it",
                    arithmetic=(
                        (f"input of {len(sessions):,} sessions, read afresh", now),
                        ("the same, all but each first call from the cache", then),
                    ),
                    saves_nanousd=now - then,
                    sample=calls,
                    of="attempts",
                )
            )
    return _dearest(found)


def local_share(total: SpendingRow, target_percent: int | None) -> list[Recommendation]:
    """Return advice where fewer tokens than the target were had for nothing; none without a target."""
    tokens = total.input_tokens + total.output_tokens
    if target_percent is None or total.attempts < MIN_LOCAL_ATTEMPTS or tokens == 0:
        return []
    if total.free_tokens * 100 >= tokens * target_percent:
        return []
    paid = tokens - total.free_tokens
    missing = -(-tokens * target_percent // 100) - total.free_tokens
    return [
        Recommendation(
            kind="local_share",
            subject="everything",
            advice=f"{100 * total.free_tokens // tokens} % of tokens were free, the target is {target_percent} %",
            arithmetic=(
                (f"what {paid:,} paid tokens cost", total.cost_nanousd),
                (f"the part of it that {missing:,} more free tokens would save", total.cost_nanousd * missing // paid),
            ),
            saves_nanousd=total.cost_nanousd * missing // paid,
            sample=total.attempts,
            of="attempts",
        )
    ]


def may_cost_too_much(row: SpendingRow, threshold_nanousd: int, answered: int = 1) -> bool:
    """Whether it is worth asking how many of a model's calls were answered to their end; so many at least were."""
    knows_all = not row.unknown_cost_attempts
    return row.calls >= MIN_OUTCOMES and knows_all and row.cost_nanousd // max(1, answered) > threshold_nanousd


def calls_as_outcomes(rows: Sequence[SpendingRow], answered: Sequence[SpendingRow]) -> list[Outcomes]:
    """Return the calls of each model as outcomes: one that was answered to its end succeeded.

    Both are by (provider, model), `answered` over attempts that ended well. What a call was good for nobody knows here.
    """
    succeeded = {row.groups: row.calls for row in answered}
    return [
        Outcomes("calls of " + ":".join(part or "" for part in row.groups), row.calls, succeeded[row.groups], cost)
        for row in rows
        if row.groups in succeeded and not row.unknown_cost_attempts and (cost := row.cost_nanousd)
    ]


def cost_per_outcome(
    outcomes: Sequence[Outcomes], threshold_nanousd: int = OUTCOME_THRESHOLD_NANOUSD
) -> list[Recommendation]:
    """Return where a success costs more than the threshold; silent below `MIN_OUTCOMES` told outcomes."""
    found = []
    for one in outcomes:
        if one.told < MIN_OUTCOMES or one.succeeded == 0:
            continue
        each = one.cost_nanousd // one.succeeded
        if each > threshold_nanousd:
            found.append(
                Recommendation(
                    kind="cost_per_outcome",
                    subject=one.subject,
                    advice=f"{one.succeeded:,} of {one.told:,} succeeded; one of those costs more than"
                    f" ${trimmed_usd(threshold_nanousd)}",
                    arithmetic=(("cost of all of them", one.cost_nanousd), ("cost of one success", each)),
                    saves_nanousd=None,
                    sample=one.told,
                    of="outcomes",
                )
            )
    return sorted(found, key=lambda one: -one.arithmetic[1][1])[:MOST]


def _dearest(found: list[Recommendation]) -> list[Recommendation]:
    return sorted(found, key=lambda one: (-(one.saves_nanousd or 0), one.subject))[:MOST]


def _percent(row: SpendingRow) -> str:
    return f"{100 * row.cache_read_input_tokens // max(1, row.input_tokens)} %"
