"""Amounts and times as the admin API shows them: dollars as exact text beside nanodollars, times with their zone."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated

import msgspec

from farthing.types.money import nanousd_from_usd

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Limit = Annotated[int, msgspec.Meta(ge=1, le=1000, description="At most so many.")]
"""Of a page: a thousand keys are 600 KB."""
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
ZonedTime = Annotated[datetime, msgspec.Meta(tz=True)]


def time_of(at_us: int | None) -> datetime | None:
    """Return a time that may be none."""
    return None if at_us is None else _EPOCH + timedelta(microseconds=at_us)


def moment(at_us: int) -> datetime:
    """Return a time."""
    return _EPOCH + timedelta(microseconds=at_us)


def us_of(at: datetime | None) -> int | None:
    """Return a time in microseconds since 1970 UTC."""
    return None if at is None else (at - _EPOCH) // timedelta(microseconds=1)


def nanousd_of(usd: Decimal) -> int:
    """Return an amount that was checked when it was read: it is whole in nanodollars."""
    nanousd = nanousd_from_usd(usd)
    assert nanousd == usd * 10**9, f"{usd} dollars are no whole number of nanodollars"
    return nanousd
