"""What a provider's headers tell of an account: its limits, what is left of them, and how long to stay away.

There are three families. OpenAI's (`x-ratelimit-remaining-tokens`), which most vendors took up with names of their own
behind the last dash (`-requests-day`, `-req-minute`) or without any; Anthropic's, which has the kind in the middle
(`anthropic-ratelimit-input-tokens-remaining`); and the IETF's draft (`ratelimit-remaining`). A reset is a Go duration,
a moment in RFC 3339, an epoch in seconds or milliseconds, or seconds from now.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Literal

from farthing.providers.error_mapping import MAX_WAIT_S, duration_s, until_s
from farthing.types.credentials import Learned

Headers = Iterable[tuple[bytes, bytes]]

MAX_KINDS = 8
"""Anthropic tells six, everybody else fewer."""
_MAX_NAME = 40
_NUMBER = re.compile(r"[0-9]{1,15}(\.[0-9]{1,9})?", re.ASCII)
_FAMILIES = (b"x-ratelimit-", b"anthropic-ratelimit-", b"ratelimit-")
_EVERYTHING = "requests"
"""What a limit without a kind counts, wherever it is explained."""

_Figure = Literal["limit", "remaining", "reset"]
_FIGURES: tuple[_Figure, ...] = ("limit", "remaining", "reset")


def learned(headers: Headers, now_us: int) -> tuple[Learned, ...]:
    """Return the limits that an answer tells of, in order of name; what cannot be read is left out. Never raises."""
    found: dict[str, dict[str, int]] = {}
    for name, value in headers:
        if not name.startswith(_FAMILIES):
            continue
        named = _kind_and_figure(name)
        if named is None:
            continue
        kind, figure = named
        number = _moment_us(value, now_us) if figure == "reset" else _count(value)
        if number is not None and (kind in found or len(found) < MAX_KINDS):
            found.setdefault(kind, {})[figure] = number
    return tuple(
        Learned(kind, told.get("limit"), told.get("remaining"), told.get("reset"))
        for kind, told in sorted(found.items())
    )


def retry_after_s(headers: Headers, now_us: int) -> Decimal | None:
    """Return the seconds that `retry-after` or `retry-after-ms` asks to stay away, at most a day; `None` for none."""
    told = {name: value for name, value in headers if name.startswith(b"retry-after")}
    value = told.get(b"retry-after", b"").strip()
    if (milliseconds := _number(told.get(b"retry-after-ms", b""))) is not None:
        wait_s = milliseconds / 1_000
    elif (seconds := _number(value)) is not None:
        wait_s = seconds
    elif (at_us := _http_date_us(value)) is not None:
        wait_s = Decimal(at_us - now_us) / 1_000_000
    else:
        return None
    return min(max(wait_s, Decimal(0)), Decimal(MAX_WAIT_S))


def _kind_and_figure(name: bytes) -> tuple[str, _Figure] | None:
    family = next(family for family in _FAMILIES if name.startswith(family))
    parts = name[len(family) :].decode("latin-1")[:_MAX_NAME].split("-")
    for figure in _FIGURES:
        if figure in (parts[0], parts[-1]):
            rest = parts[1:] if parts[0] == figure else parts[:-1]
            return "-".join(rest) or _EVERYTHING, figure
    return None


def _count(value: bytes) -> int | None:
    """Return a whole number, rounded down: with 0.4 requests left there is none."""
    number = _number(value)
    return None if number is None else int(number)


def _number(value: bytes) -> Decimal | None:
    """Return a number that is not below 0; behind a `;` the IETF's draft names the window."""
    text = value.decode("latin-1").partition(";")[0].strip()
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def _moment_us(value: bytes, now_us: int) -> int | None:
    text = value.decode("latin-1").strip()
    wait_s = duration_s(text)
    if wait_s is None and (number := _number(value)) is not None:
        wait_s = until_s(number, now_us)
    if wait_s is not None:
        return now_us + int(min(wait_s, Decimal(MAX_WAIT_S)) * 1_000_000)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return _epoch_us(at)


def _http_date_us(value: bytes) -> int | None:
    try:
        return _epoch_us(parsedate_to_datetime(value.decode("latin-1")))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _epoch_us(at: datetime) -> int | None:
    try:
        return round(at.replace(tzinfo=at.tzinfo or UTC).timestamp() * 1_000_000)
    except (OverflowError, ValueError):
        return None
