"""Understands `--since`: a date, a moment, a span back from now, or `today`. UTC, as everything at rest."""

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
