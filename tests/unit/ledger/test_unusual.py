"""What is told as unusual, and that ordinary days are not."""

import msgspec
import pytest

from farthing.ledger.unusual import LEAST_NANOUSD, is_burst, unusual_hour
from farthing.types.history import HOUR_US, HourTotal, ProviderOutcomes
from tests.unit.ledger.spending_samples import BEGIN_US, DAY_US, made_up

USD = 10**9


def dearer(hours: list[HourTotal], times: int) -> list[HourTotal]:
    """Return the same in dollars and tens of dollars: samples spend cents."""
    return [msgspec.structs.replace(one, spent_nanousd=one.spent_nanousd * times) for one in hours]


def with_hour(hours: list[HourTotal], at_us: int, spent: int) -> list[HourTotal]:
    made = HourTotal(hour_us=at_us, spent_nanousd=spent, attempts=9, failed=0)
    return [*(one for one in hours if one.hour_us < at_us), made]


@pytest.mark.parametrize("office", [True, False])
def test_a_month_of_ordinary_hours_tells_of_hardly_any(office: bool) -> None:
    """Days scatter by half their size and hours by all of theirs, as spending does."""
    hours = dearer(made_up(4, 60, office=office), 20)
    told = [
        at_us
        for at_us in range(BEGIN_US + 28 * DAY_US, BEGIN_US + 60 * DAY_US, HOUR_US)
        if unusual_hour([one for one in hours if one.hour_us < at_us], at_us - 1) is not None
    ]
    assert len(told) <= 4  # each unusual hour is seen twice: while it goes on, and an hour later


def test_an_hour_ten_times_as_dear_is_told_while_it_goes_on() -> None:
    hours = dearer(made_up(4, 60), 20)
    at_us = BEGIN_US + 56 * DAY_US + 14 * HOUR_US
    usual = sorted(one.spent_nanousd for one in hours)[len(hours) * 99 // 100]
    found = unusual_hour(with_hour(hours, at_us, usual * 10), at_us + 60_000_000)
    assert found is not None
    assert (found.hour_us, found.spent_nanousd) == (at_us, usual * 10)
    assert found.usual_nanousd < found.bound_nanousd < found.spent_nanousd
    assert found.sample_hours >= 24


def test_the_hour_before_is_told_too_because_its_last_calls_end_late() -> None:
    at_us = BEGIN_US + 56 * DAY_US + 14 * HOUR_US
    hours = with_hour(made_up(4, 60), at_us, 500 * USD)
    assert unusual_hour(hours, at_us + HOUR_US + 1) is not None
    assert unusual_hour(hours, at_us + 2 * HOUR_US + 1) is None


def test_too_short_a_past_says_nothing() -> None:
    at_us = BEGIN_US + 6 * DAY_US + 14 * HOUR_US
    assert unusual_hour(with_hour(made_up(4, 7), at_us, 500 * USD), at_us) is None
    assert unusual_hour([], at_us) is None


def test_small_change_wakes_nobody() -> None:
    at_us = BEGIN_US + 40 * DAY_US
    quiet = [
        HourTotal(hour_us=BEGIN_US + number * HOUR_US, spent_nanousd=1_000, attempts=1, failed=0)
        for number in range(24 * 40)
    ]
    assert unusual_hour(with_hour(quiet, at_us, LEAST_NANOUSD), at_us) is None
    assert unusual_hour(with_hour(quiet, at_us, LEAST_NANOUSD + 1), at_us) is not None


def outcomes(attempts: int, failed: int) -> ProviderOutcomes:
    return ProviderOutcomes(provider="openai", attempts=attempts, failed=failed)


@pytest.mark.parametrize(
    ("lately", "usual", "burst"),
    [
        (outcomes(40, 30), outcomes(10_000, 100), True),
        (outcomes(40, 9), outcomes(10_000, 100), False),  # too few
        (outcomes(1_000, 150), outcomes(10_000, 100), False),  # one in seven
        (outcomes(100, 60), outcomes(10_000, 4_000), False),  # it always fails
        (outcomes(40, 30), outcomes(199, 2), False),  # nobody knows what is usual
        (outcomes(40, 30), None, False),
        (outcomes(40, 30), outcomes(10_000, 0), True),
        (outcomes(0, 0), outcomes(10_000, 0), False),
    ],
)
def test_a_burst_is_more_failures_than_chance_makes(
    lately: ProviderOutcomes, usual: ProviderOutcomes | None, burst: bool
) -> None:
    assert is_burst(lately, usual) is burst
