"""What declared fixed costs come to in a time, and how they are spread over groups: exact, and to the last nanodollar.

They stand beside what calls cost and are never added to it: a call on a subscription costs nothing more, and a report
that said otherwise would advise against the cheapest thing there is.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import msgspec

from farthing.types.fixed_costs import FixedCost
from farthing.types.ledger import US_PER_DAY


class Amortised(msgspec.Struct, frozen=True):
    """A fixed cost, and what of it falls into a time."""

    cost: FixedCost
    nanousd: int


def amortised(costs: Sequence[FixedCost], since_us: int, until_us: int) -> tuple[Amortised, ...]:
    """Return each cost's share of the time `[since_us, until_us)`, rounded once, half to even."""
    return tuple(Amortised(cost, round(_share(cost, since_us, until_us))) for cost in costs)


def _share(cost: FixedCost, since_us: int, until_us: int) -> Fraction:
    if cost.per == "day":
        return Fraction(cost.nanousd * max(0, until_us - since_us), US_PER_DAY)
    share, begins_us = Fraction(0), _month_begins_us(since_us)
    while begins_us < until_us:
        ends_us = _month_begins_us(begins_us + 31 * US_PER_DAY)
        within_us = min(ends_us, until_us) - max(begins_us, since_us)
        share += Fraction(cost.nanousd * within_us, ends_us - begins_us)
        begins_us = ends_us
    return share


def _month_begins_us(at_us: int) -> int:
    at = datetime.fromtimestamp(at_us // 1_000_000, UTC)
    first = at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (first - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


Group = str | None


def spread(nanousd: int, weights: Mapping[Group, int]) -> dict[Group, int]:
    """Return the amount in parts as the weights are, which add up to it; all of it to `None` where all weigh nothing.

    What is left over by rounding down goes, a nanodollar each, to the largest remainders.
    """
    total = sum(weights.values())
    if total <= 0:
        return {None: nanousd}
    parts = {group: divmod(nanousd * weight, total) for group, weight in weights.items() if weight}
    left = nanousd - sum(whole for whole, _ in parts.values())
    order = sorted(parts, key=lambda group: (-parts[group][1], group is None, group or ""))
    shares = {group: whole for group, (whole, _) in parts.items()}
    for group in order[:left]:
        shares[group] += 1
    return shares
