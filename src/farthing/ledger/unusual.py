"""What is unusual: an hour that is much dearer than such hours are, and a provider that fails far more than it does.

Both compare with the past by numbers that a few odd hours cannot move: median, median deviation, quantiles. Where the
past is too short to say what is usual, nothing is said. What surprised us: for who works now and then the median hour
is 0 and so is its deviation, and then anything would be unusual; so the dearest hundredth of all hours counts too, and
a least amount below which nobody wants to be woken.
"""

import math
from collections.abc import Sequence

import msgspec

from farthing.types.history import HOUR_US, HourTotal, ProviderOutcomes
from farthing.types.money import NANOUSD_PER_USD

LOOK_BACK_DAYS = 28
"""Four of each weekday."""
MIN_DAYS = 7
MIN_SAMPLE = 24
"""Comparable hours: with fewer, a deviation of six says nothing."""
LEAST_NANOUSD = NANOUSD_PER_USD
"""A dollar in an hour; less is not worth a message."""
_DEVIATIONS_PERCENT = 890
"""Six standard deviations: a median deviation is 0.6745 of one where hours scatter normally."""
_TIMES_THE_DEAREST = 2
"""Twice the dearest hundredth of the hours."""
_US_PER_DAY = 24 * HOUR_US

WINDOW_US = 600_000_000
"""Failures are counted over ten minutes."""
MIN_FAILED, MIN_USUAL = 10, 200
"""Failures that are a burst at least, and attempts that say what is usual."""
LEAST_PERCENT, LEAST_TIMES = 20, 3
"""One in five fails, and three times as many as usual."""
_STANDARD_ERRORS = 6.0


class Unusual(msgspec.Struct, frozen=True, kw_only=True):
    """An hour that is dearer than it should be; amounts are nanodollars."""

    hour_us: int
    spent_nanousd: int
    usual_nanousd: int
    bound_nanousd: int
    sample_hours: int


def unusual_hour(hours: Sequence[HourTotal], now_us: int) -> Unusual | None:
    """Return this hour or the one before it where it is unusual, else `None`.

    `hours` are in order, and hours without calls may be missing. This hour counts as far as it is: what it has spent
    already it cannot take back.
    """
    spent = {one.hour_us: one.spent_nanousd for one in hours}
    this_us = now_us // HOUR_US * HOUR_US
    for hour_us in (this_us, this_us - HOUR_US):
        found = _compared(spent, hour_us)
        if found is not None:
            return found
    return None


def is_burst(lately: ProviderOutcomes, usual: ProviderOutcomes | None) -> bool:
    """Whether a provider fails more than can be chance."""
    if usual is None or usual.attempts < MIN_USUAL or lately.failed < MIN_FAILED:
        return False
    rate, before = lately.failed / lately.attempts, usual.failed / usual.attempts
    chance = math.sqrt(max(before * (1 - before), 1 / usual.attempts) / lately.attempts)
    return rate * 100 >= LEAST_PERCENT and rate >= LEAST_TIMES * before and rate > before + _STANDARD_ERRORS * chance


def _compared(spent: dict[int, int], hour_us: int) -> Unusual | None:
    amount = spent.get(hour_us, 0)
    first_us = min((at for at in spent if at >= hour_us - LOOK_BACK_DAYS * _US_PER_DAY), default=hour_us)
    if amount < LEAST_NANOUSD or hour_us - first_us < MIN_DAYS * _US_PER_DAY:
        return None
    past = [(at, spent.get(at, 0)) for at in range(first_us, hour_us, HOUR_US)]
    like = sorted(value for at, value in past if _comparable(at, hour_us))
    if len(like) < MIN_SAMPLE:  # then any day's, of which most are of the week and dearer: better silent than wrong
        like = sorted(value for at, value in past if _same_time(at, hour_us))
    if len(like) < MIN_SAMPLE:
        return None
    median = _middle(like)
    deviation = _middle(sorted(abs(value - median) for value in like))
    everything = sorted(value for _, value in past)
    dearest = everything[len(everything) * 99 // 100]
    bound = max(median + deviation * _DEVIATIONS_PERCENT // 100, _TIMES_THE_DEAREST * dearest, LEAST_NANOUSD)
    if amount <= bound:
        return None
    return Unusual(
        hour_us=hour_us, spent_nanousd=amount, usual_nanousd=median, bound_nanousd=bound, sample_hours=len(like)
    )


def _comparable(at_us: int, hour_us: int) -> bool:
    """Whether two hours are of about the same time of the day, and both of the week or both of its end (UTC)."""
    return _same_time(at_us, hour_us) and _is_weekend(at_us) == _is_weekend(hour_us)


def _same_time(at_us: int, hour_us: int) -> bool:
    return (at_us - hour_us) // HOUR_US % 24 in (0, 1, 23)


def _is_weekend(at_us: int) -> bool:
    return (at_us // _US_PER_DAY + 3) % 7 >= 5  # 1970 began on a Thursday


def _middle(values: Sequence[int]) -> int:
    return values[len(values) // 2]
