"""How good forecasts were: made anew for periods that are over, each with nothing but what was known then.

At a quarter, a half and three quarters of each past period a forecast is made and compared with how it ended. That says
how often the interval held what came, and how far the forecast was off in the middle.
"""

from collections.abc import Iterator, Sequence

import msgspec

from farthing.ledger.forecast import LOOK_BACK_DAYS, forecast
from farthing.ledger.periods import period_at
from farthing.types.budgets import Period
from farthing.types.history import HOUR_US, HourTotal

PERIODS: dict[Period, int] = {"day": 28, "week": 12, "month": 6}
"""Past periods that are looked at: 84 forecasts of a day take 0.3 s, 18 of a month as much."""
LOOKS_BACK_US = (6 * 31 + LOOK_BACK_DAYS) * 24 * HOUR_US
"""How far back hours are wanted for all of it."""
_CUTS = (1, 2, 3)


class Backtest(msgspec.Struct, frozen=True, kw_only=True):
    """What came of past forecasts: of `forecasts` in `periods`, the interval held `covered`.

    `median_error_permille` is how far the forecast was from the end, in thousandths of it, in the middle case.
    """

    periods: int
    forecasts: int
    covered: int
    median_error_permille: int


def backtest(
    hours: Sequence[HourTotal], *, period: Period, now_us: int, time_zone: str = "UTC", reset_day: int = 1
) -> Backtest | None:
    """Return how good forecasts of such periods were, or `None` where none could be made.

    `hours` are in order; hours without calls may be missing.
    """
    errors: list[int] = []
    covered = periods = 0
    for start_us, end_us in _past(period, now_us, time_zone, reset_day):
        inside = [one for one in hours if start_us <= one.hour_us < end_us]
        actual = sum(one.spent_nanousd for one in inside)
        if not actual:
            continue
        before = len(errors)
        for cut in _CUTS:
            at_us = (start_us + (end_us - start_us) * cut // 4) // HOUR_US * HOUR_US
            spent = sum(one.spent_nanousd for one in inside if one.hour_us < at_us)
            known = [one for one in hours if one.hour_us < at_us]
            made = forecast(known, now_us=at_us, end_us=end_us, spent_nanousd=spent, time_zone=time_zone)
            if made is not None:
                covered += made.low_nanousd <= actual <= made.high_nanousd
                errors.append(abs(made.expected_nanousd - actual) * 1000 // actual)
        periods += len(errors) > before
    if not errors:
        return None
    middle = sorted(errors)[len(errors) // 2]
    return Backtest(periods=periods, forecasts=len(errors), covered=covered, median_error_permille=middle)


def _past(period: Period, now_us: int, time_zone: str, reset_day: int) -> Iterator[tuple[int, int]]:
    """Yield the periods that are over, the youngest first."""
    start_us, _ = period_at(period, now_us, time_zone, reset_day)
    for _ in range(PERIODS.get(period, 0)):
        before_us, end_us = period_at(period, start_us - 1, time_zone, reset_day)
        assert end_us is not None, "what has no end is not looked at"
        yield before_us, end_us
        start_us = before_us
