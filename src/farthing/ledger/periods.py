"""When a budget's period begins and ends, in its own time zone.

A day is from midnight to midnight as the zone's clocks show it, so it has 23 or 25 hours twice a year. What surprised
us: some zones change their clocks at midnight, and then there is no midnight on that day; the period begins with the
first moment that has its date. An hour is an hour of the zone's clock, which in some zones is off by half of one.
Lord Howe's clock is also set by half of one, and the hour in which that happens ends there.
"""

from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import assert_never
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from farthing.errors import InvalidRequest
from farthing.types.budgets import Period

_US = 1_000_000
_HOUR_US = 3_600 * _US
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_ZONES = 64
"""Zones that are kept read; a company has a handful."""


@lru_cache(maxsize=MAX_ZONES)
def zone_of(name: str) -> ZoneInfo:
    """Return the time zone.

    Raises:
        InvalidRequest: this machine does not know it.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidRequest(
            f"Unknown time zone {name!r}.",
            hint="write an IANA name, such as Europe/Berlin or UTC; on a minimal system install tzdata.",
        ) from None


def period_at(period: Period, at_us: int, time_zone: str = "UTC", reset_day: int = 1) -> tuple[int, int | None]:
    """Return when the period that `at_us` lies in begins and ends (the first moment after it), in microseconds.

    What has no end is (0, None): the whole, and a session, which has one account for all of its time.
    """
    match period:
        case "total" | "session":
            return 0, None
        case "hour":
            return _hour(at_us, zone_of(time_zone))
        case "day" | "week" | "month":
            zone = zone_of(time_zone)
            first, after = _dates(period, _local(at_us, zone).date(), reset_day)
            return _begins(first, zone), _begins(after, zone)
        case _:
            assert_never(period)


def _dates(period: Period, today: date, reset_day: int) -> tuple[date, date]:
    """Return the first day of the period and the first one after it."""
    if period == "day":
        return today, today + timedelta(days=1)
    if period == "week":
        first = today - timedelta(days=(today.isoweekday() - reset_day) % 7)
        return first, first + timedelta(days=7)
    this = _reset_date(today.year, today.month, reset_day)
    if today >= this:
        return this, _reset_date(*_next_month(this.year, this.month), reset_day)
    year, month = (today.year, today.month - 1) if today.month > 1 else (today.year - 1, 12)
    return _reset_date(year, month, reset_day), this


def _reset_date(year: int, month: int, day: int) -> date:
    return date(year, month, min(day, monthrange(year, month)[1]))


def _next_month(year: int, month: int) -> tuple[int, int]:
    return (year, month + 1) if month < 12 else (year + 1, 1)


def _hour(at_us: int, zone: ZoneInfo) -> tuple[int, int]:
    """Return the hour of the zone's clock. It ends where the clock is set, or half of one would be charged to two."""
    shift = _shift_us(at_us, zone)
    start = (at_us + shift) // _HOUR_US * _HOUR_US - shift
    end = start + _HOUR_US
    if _shift_us(start, zone) != shift:
        start = _clock_set(start, at_us, zone)
    if _shift_us(end - _US, zone) != shift:
        end = _clock_set(at_us, end - _US, zone)
    return start, end


def _shift_us(at_us: int, zone: ZoneInfo) -> int:
    offset = _local(at_us, zone).utcoffset() or timedelta()
    return int(offset.total_seconds()) * _US


def _clock_set(before_us: int, after_us: int, zone: ZoneInfo) -> int:
    """Return the first second between two moments that has the later one's offset."""
    shift = _shift_us(after_us, zone)
    low, high = before_us // _US, -(-after_us // _US)
    while high - low > 1:
        middle = (low + high) // 2
        if _shift_us(middle * _US, zone) == shift:
            high = middle
        else:
            low = middle
    return high * _US


def _local(at_us: int, zone: ZoneInfo) -> datetime:
    return (_EPOCH + timedelta(microseconds=at_us)).astimezone(zone)


def _begins(day: date, zone: ZoneInfo) -> int:
    """Return the first moment that has this date in the zone, which is midnight where there is one.

    Where clocks skip midnight, the time before the change and the time after it name the same moment with two offsets:
    the later offset gives the earlier moment, which is still the day before.
    """
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    candidates = {midnight.replace(fold=0).astimezone(UTC), midnight.replace(fold=1).astimezone(UTC)}
    fitting = [moment for moment in candidates if moment.astimezone(zone).date() == day]
    first = min(fitting) if fitting else max(candidates)
    return (first - _EPOCH) // timedelta(microseconds=1)
