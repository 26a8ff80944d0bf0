"""Understands moments and spans of time as people write them. UTC, as everything at rest.

`--since` looks back: a date, a moment, a span before now, or `today`. What ends looks ahead: 30d is in thirty days.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from farthing.clock import SystemClock

_SPAN = re.compile(r"([0-9]{1,5})([mhdw])", re.ASCII)
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def since_us(text: str, now_us: int) -> int:
    """Return the moment in microseconds since 1970 UTC.

    Raises:
        ValueError: the text is none of the forms.
    """
    now = datetime.fromtimestamp(now_us / 1_000_000, UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    span = _SPAN.fullmatch(text)
    if text == "today":
        moment = midnight
    elif text == "yesterday":
        moment = midnight - timedelta(days=1)
    elif span:
        return max(0, now_us - timedelta(**{_UNITS[span[2]]: int(span[1])}) // timedelta(microseconds=1))
    else:
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return max(0, (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1))


def ahead_us(text: str, now_us: int) -> int:
    """Return a moment that is to come, in microseconds since 1970 UTC: a date, a moment, or a span from now.

    Raises:
        ValueError: the text is none of the forms, or the moment is over.
    """
    span = _SPAN.fullmatch(text)
    if span:
        return now_us + timedelta(**{_UNITS[span[2]]: int(span[1])}) // timedelta(microseconds=1)
    moment = datetime.fromisoformat(text)
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    at_us = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    if at_us <= now_us:
        raise ValueError(f"{text} is over")
    return at_us


class Since(click.ParamType[int]):
    """The type of `--since`; its value is microseconds since 1970 UTC."""

    name = "when"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """See `since_us`."""
        if isinstance(value, int):
            return value
        try:
            return since_us(str(value), SystemClock().now_us())
        except ValueError:
            self.fail(
                f"{value!r} is no moment; write 2026-11-01, 2026-11-01T09:30, 24h, 7d or today (UTC).", param, ctx
            )


class Ahead(click.ParamType[int]):
    """The type of what ends; its value is microseconds since 1970 UTC."""

    name = "when"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """See `ahead_us`."""
        if isinstance(value, int):
            return value
        try:
            return ahead_us(str(value), SystemClock().now_us())
        except ValueError:
            self.fail(
                f"{value!r} is no moment to come; write 30d, 12h, 2027-01-31 or 2027-01-31T18:00 (UTC).", param, ctx
            )


class Span(click.ParamType[int]):
    """A length of time; its value is seconds."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Understand `90m`, `24h`, `7d`, `2w` and `0`."""
        if isinstance(value, int):
            return value
        span = _SPAN.fullmatch(str(value))
        if value == "0":
            return 0
        if span is None:
            self.fail(f"{value!r} is no length of time; write 90m, 24h, 7d or 0.", param, ctx)
        return timedelta(**{_UNITS[span[2]]: int(span[1])}) // timedelta(seconds=1)
