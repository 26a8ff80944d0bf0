"""What a period will come to, and how often the interval holds what came."""

import pytest

from farthing.ledger.backtest import backtest
from farthing.ledger.forecast import MIN_HOURS, forecast
from farthing.types.history import HOUR_US, HourTotal
from tests.unit.ledger.spending_samples import BEGIN_US, DAY_US, made_up

USD = 10**9


def hours_of(*spent: int, begin_us: int = BEGIN_US) -> list[HourTotal]:
    return [
        HourTotal(hour_us=begin_us + number * HOUR_US, spent_nanousd=amount, attempts=1, failed=0)
        for number, amount in enumerate(spent)
        if amount
    ]


def test_even_spending_goes_on_evenly() -> None:
    hours = hours_of(*[USD] * (24 * 20 + 6))
    now_us = BEGIN_US + 20 * DAY_US + 6 * HOUR_US
    made = forecast(hours, now_us=now_us, end_us=BEGIN_US + 21 * DAY_US, spent_nanousd=6 * USD, limit_nanousd=20 * USD)
    assert made is not None
    assert (made.low_nanousd, made.expected_nanousd, made.high_nanousd) == (24 * USD, 24 * USD, 24 * USD)
    assert made.reached_at_us == made.reached_from_us == BEGIN_US + 20 * DAY_US + 20 * HOUR_US
    assert (made.basis, made.sample) == ("days", 20)


def test_the_hour_that_goes_on_counts_as_far_as_it_is() -> None:
    hours = [*hours_of(*[USD] * (24 * 20 + 6)), *hours_of(USD // 2, begin_us=BEGIN_US + 20 * DAY_US + 6 * HOUR_US)]
    now_us = BEGIN_US + 20 * DAY_US + 6 * HOUR_US + HOUR_US // 2
    spent = 6 * USD + USD // 2
    made = forecast(hours, now_us=now_us, end_us=BEGIN_US + 21 * DAY_US, spent_nanousd=spent, limit_nanousd=7 * USD)
    assert made is not None
    assert made.expected_nanousd == 24 * USD
    assert made.reached_at_us == BEGIN_US + 20 * DAY_US + 7 * HOUR_US


def test_a_limit_that_is_far_is_not_reached() -> None:
    hours = made_up(1, 40)
    now_us = BEGIN_US + 40 * DAY_US - 6 * HOUR_US
    known = [one for one in hours if one.hour_us < now_us]
    made = forecast(known, now_us=now_us, end_us=BEGIN_US + 40 * DAY_US, spent_nanousd=0, limit_nanousd=10**6 * USD)
    assert made is not None
    assert made.reached_at_us is made.reached_from_us is made.reached_until_us is None


def test_a_limit_that_is_spent_is_reached_when_anything_more_is() -> None:
    hours = hours_of(*[USD] * 30)
    now_us = BEGIN_US + 30 * HOUR_US
    made = forecast(hours, now_us=now_us, end_us=now_us + 5 * HOUR_US, spent_nanousd=9 * USD, limit_nanousd=8 * USD)
    assert made is not None
    assert made.reached_at_us == now_us


def test_a_weekend_is_not_taken_for_work() -> None:
    """2026-02-07 is a Saturday: what office hours spend on Fridays is not expected of it."""
    hours = made_up(2, 36)
    now_us = BEGIN_US + 37 * DAY_US
    known = [one for one in hours if one.hour_us < now_us]
    saturday = forecast(known, now_us=now_us, end_us=now_us + DAY_US, spent_nanousd=0)
    monday = forecast(known, now_us=now_us, end_us=now_us + 3 * DAY_US, spent_nanousd=0)
    assert saturday is not None
    assert monday is not None
    assert saturday.expected_nanousd * 3 < monday.expected_nanousd


def test_few_hours_are_drawn_one_by_one_and_too_few_say_nothing() -> None:
    hours = hours_of(*[USD] * MIN_HOURS)
    now_us = BEGIN_US + MIN_HOURS * HOUR_US
    made = forecast(hours, now_us=now_us, end_us=BEGIN_US + DAY_US, spent_nanousd=MIN_HOURS * USD)
    assert made is not None
    assert (made.expected_nanousd, made.basis, made.sample) == (24 * USD, "hours", MIN_HOURS)
    assert forecast(hours[1:], now_us=now_us, end_us=BEGIN_US + DAY_US, spent_nanousd=0) is None
    assert forecast([], now_us=now_us, end_us=BEGIN_US + DAY_US, spent_nanousd=0) is None


def test_what_comes_after_now_is_not_looked_at() -> None:
    hours = made_up(3, 30)
    now_us = BEGIN_US + 25 * DAY_US + 13 * HOUR_US
    known = [one for one in hours if one.hour_us < now_us]
    end_us = BEGIN_US + 26 * DAY_US
    assert forecast(hours, now_us=now_us, end_us=end_us, spent_nanousd=5) == forecast(
        known, now_us=now_us, end_us=end_us, spent_nanousd=5
    )


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Asia/Kolkata", "America/Sao_Paulo"])
def test_days_of_23_and_25_hours_are_days(zone: str) -> None:
    """The last days of March 2026 lie in it, when clocks change in Berlin."""
    hours = hours_of(*[USD] * (24 * 100))
    now_us = BEGIN_US + 95 * DAY_US
    made = forecast(hours, now_us=now_us, end_us=now_us + 2 * DAY_US, spent_nanousd=0, time_zone=zone)
    assert made is not None
    assert abs(made.expected_nanousd - 48 * USD) <= 2 * USD


SHAPES = {
    "office hours": {},
    "round the clock": {"office": False},
    "a level that wanders": {"drift": 0.08},
    "dear days now and then": {"dear_days": 0.07},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_interval_holds_what_came_about_as_often_as_it_says(shape: str) -> None:
    """Measured over made-up ledgers: see docs/alerts.md for longer runs."""
    forecasts = covered = 0
    errors = []
    for seed in range(2):
        hours = made_up(seed, 100, **SHAPES[shape])  # type: ignore[arg-type]
        told = backtest(hours, period="day", now_us=BEGIN_US + 100 * DAY_US)
        assert told is not None
        assert (told.periods, told.forecasts) == (28, 84)
        forecasts, covered = forecasts + told.forecasts, covered + told.covered
        errors.append(told.median_error_permille)
    assert 0.70 <= covered / forecasts <= 0.92
    assert max(errors) < 300


def test_a_month_is_foreseen_from_the_weeks_before_it() -> None:
    told = backtest(made_up(5, 240), period="month", now_us=BEGIN_US + 240 * DAY_US)
    assert told is not None
    assert told.periods == 6
    assert told.covered * 100 >= 60 * told.forecasts
    assert told.median_error_permille < 250


def test_nothing_past_is_nothing_to_judge_by() -> None:
    assert backtest([], period="day", now_us=BEGIN_US) is None
    assert backtest(made_up(1, 30), period="total", now_us=BEGIN_US + 30 * DAY_US) is None
