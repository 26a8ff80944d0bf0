"""Periods follow each other without a gap and without an overlap, wherever clocks are set and however."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest

from farthing.ledger.periods import period_at
from farthing.types.budgets import Period

_S = 1_000_000
MOMENTS: dict[str, tuple[Period, str, int, str]] = {
    "half an hour is skipped": ("hour", "Australia/Lord_Howe", 1, "2026-10-03T13:00"),
    "half an hour is repeated": ("hour", "Australia/Lord_Howe", 1, "2027-04-03T13:00"),
    "an hour is skipped": ("hour", "America/St_Johns", 1, "2026-03-08T03:00"),
    "an hour is repeated": ("hour", "Europe/Berlin", 1, "2026-10-24T22:00"),
    "a zone that is off by three quarters": ("hour", "Asia/Kathmandu", 1, "2026-06-01T00:00"),
    "midnight is skipped": ("day", "Africa/Cairo", 1, "2026-04-20T00:00"),
    "midnight is repeated": ("day", "America/Havana", 1, "2026-10-28T00:00"),
    "weeks from Sunday on": ("week", "America/Santiago", 7, "2026-08-20T00:00"),
    "months that have no 31st": ("month", "Asia/Beirut", 31, "2027-01-15T00:00"),
    "months that have no 30th but one": ("month", "Pacific/Chatham", 30, "2028-01-15T00:00"),
    "a leap day": ("month", "UTC", 29, "2028-01-15T00:00"),
}


@pytest.mark.parametrize("case", MOMENTS)
def test_every_moment_belongs_to_one_period(case: str) -> None:
    period, zone, day, first = MOMENTS[case]
    at_us = int(datetime.fromisoformat(first).replace(tzinfo=UTC).timestamp()) * _S
    spans = [period_at(period, at_us, zone, day)]
    for _ in range(8):
        _, end = spans[-1]
        assert end is not None
        spans.append(period_at(period, end, zone, day))
    for (start, end), (following, _) in pairwise(spans):
        assert end is not None
        assert following == end
        for moment in (start, start + 1, (start + end) // 2, end - _S, end - 1):
            assert period_at(period, moment, zone, day) == (start, end)


def test_the_hour_in_which_a_clock_is_set_by_half_of_one_ends_there() -> None:
    set_at = int(datetime(2026, 10, 3, 15, 30, tzinfo=UTC).timestamp()) * _S  # 2:00 becomes 2:30
    assert period_at("hour", set_at - 1, "Australia/Lord_Howe") == (set_at - 3_600 * _S, set_at)
    assert period_at("hour", set_at, "Australia/Lord_Howe") == (set_at, set_at + 1_800 * _S)
