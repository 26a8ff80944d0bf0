"""What a provider's error answer says, whatever its shape, and what its clients are to do: wait, or give up.

There is no common shape: `{"error": {...}}`, `{"detail": "..."}`, `{"detail": [...]}`, `{"message": ...}`, a string, an
HTML page from a proxy, or nothing. The status and the message are kept; the content type is not believed, because
providers send JSON as an event stream or as octets.

How long to wait has no common shape either: `Retry-After`, `retry-after-ms`, a reset in epoch milliseconds (OpenRouter,
once in a header and once in the body), Go durations such as `1m26.4s` (OpenAI), or RetryInfo in the body (Gemini).
"""

import math
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from farthing.types.providers import WireFormat
from farthing.wire.error_words import alone, words_of
from farthing.wire.lenient import UNREADABLE

BOM = b"\xef\xbb\xbf"
"""The mark that some servers put before their JSON, and no parser of JSON takes."""
MAX_MESSAGE_CHARS = 2_000
"""Longer messages are cut in logs and in our own rendering; the longest recorded one has 1,100 characters."""
_MAX_CODE_CHARS = 200
MAX_WAIT_S = 86_400
"""No client is told to wait for longer than a day; the longest limit that is known is renewed at midnight."""
_NEVER_AGAIN = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
"""429s of OpenAI that no waiting mends; every SDK retries a 429 unless it is told not to."""
_DURATION = re.compile(
    r"(?:(\d{1,6})h)?(?:(\d{1,6})m(?!s))?(?:(\d{1,9}(?:\.\d{1,9})?)s)?(?:(\d{1,9}(?:\.\d{1,9})?)ms)?"
)
_NUMBER = re.compile(r"\d{1,15}(?:\.\d{1,9})?")
_TITLE = re.compile(rb"<title>(.*?)</title>", re.IGNORECASE | re.DOTALL)


class UpstreamError(msgspec.Struct, frozen=True):
    """A provider's refusal; `in_shape` says whether its body is already what a client of that format expects."""

    status: int
    code: str
    message: str
    in_shape: bool


def read_error(wire: WireFormat, status: int, body: bytes) -> UpstreamError:
    """Read the body of an answer whose status is 400 or more. Never raises."""
    body = body.removeprefix(BOM)
    try:
        error = msgspec.json.decode(body)
    except UNREADABLE:
        return UpstreamError(status, f"http_{status}", _plain(status, body), in_shape=False)
    listed, error = isinstance(error, list), alone(error)
    inner = error.get("error") if isinstance(error, dict) else None
    message = words_of(inner if inner is not None else error)
    code = _code(inner) or _code(error) or f"http_{status}"
    in_shape = isinstance(inner, dict) and isinstance(inner.get("message"), str) and (not listed or wire == "gemini")
    if wire == "anthropic_messages":
        in_shape = in_shape and error.get("type") == "error"
    elif wire == "ollama":
        in_shape = isinstance(inner, str)
    elif wire == "gemini" and isinstance(inner, dict) and isinstance(inner.get("status"), str):
        in_shape, code = in_shape and isinstance(inner.get("code"), int), inner["status"][:_MAX_CODE_CHARS] or code
    elif wire == "gemini":
        in_shape = False
    return UpstreamError(status, code, (message or f"the provider answered {status}")[:MAX_MESSAGE_CHARS], in_shape)


def advice_to_client(
    error: UpstreamError, headers: Iterable[tuple[bytes, bytes]], body: bytes, now_us: int
) -> list[tuple[bytes, bytes]]:
    """Return the headers that the client of a refused call needs, in place of those of the same name, where it got any.

    `retry-after` in whole seconds, rounded up; or, where nothing is won by waiting, `x-should-retry: false`, which the
    official SDKs obey.
    """
    told = {name: value.decode("latin-1").strip() for name, value in headers}
    if error.code in _NEVER_AGAIN:
        return [(b"x-should-retry", b"false")]
    if b"retry-after" in told or error.status not in (429, 503, 529):
        return []
    wait_s = _wait_s(told, body, now_us)
    return [] if wait_s is None else [(b"retry-after", b"%d" % min(math.ceil(wait_s), MAX_WAIT_S))]


def _wait_s(told: Mapping[bytes, str], body: bytes, now_us: int) -> Decimal | None:
    if _NUMBER.fullmatch(milliseconds := told.get(b"retry-after-ms", "")):
        return Decimal(milliseconds) / 1_000
    try:
        decoded = alone(msgspec.json.decode(body.removeprefix(BOM)))
    except UNREADABLE:
        decoded = None
    inner = decoded.get("error") if isinstance(decoded, dict) else None
    inner = inner if isinstance(inner, dict) else {}
    for detail in inner["details"] if isinstance(inner.get("details"), list) else ():
        if isinstance(detail, dict) and (wait_s := duration_s(detail.get("retryDelay"))) is not None:
            return wait_s
    reset = told.get(b"x-ratelimit-reset") or _reset_in_body(inner)
    if isinstance(reset, str) and _NUMBER.fullmatch(reset):
        return until_s(Decimal(reset), now_us)
    return _family_reset_s(told)


def _reset_in_body(error: Mapping[str, Any]) -> Any:
    """Return the reset that OpenRouter repeats in `error.metadata.headers`."""
    metadata = error.get("metadata")
    headers = metadata.get("headers") if isinstance(metadata, dict) else None
    return headers.get("X-RateLimit-Reset") if isinstance(headers, dict) else None


def until_s(reset: Decimal, now_us: int) -> Decimal:
    """Return the seconds until a reset: epoch milliseconds, epoch seconds, or seconds from now, by its size."""
    if reset < 100_000_000:
        return reset
    at_us = reset * (1_000 if reset > 100_000_000_000 else 1_000_000)
    return max(Decimal(0), (at_us - now_us) / 1_000_000)


def _family_reset_s(told: Mapping[bytes, str]) -> Decimal | None:
    """Return when the exhausted one of OpenAI's limits is renewed; the soonest where none says that it is used up."""
    resets: list[Decimal] = []
    for kind in (b"requests", b"tokens"):
        wait_s = duration_s(told.get(b"x-ratelimit-reset-" + kind))
        if wait_s is None:
            continue
        if told.get(b"x-ratelimit-remaining-" + kind) == "0":
            return wait_s
        resets.append(wait_s)
    return min(resets, default=None)


def duration_s(value: Any) -> Decimal | None:
    """Read `22s`, `1m26.4s` or `120ms`; `None` where it is none of the kind."""
    found = _DURATION.fullmatch(value) if isinstance(value, str) and value else None
    if found is None:
        return None
    hours, minutes, seconds, milliseconds = (Decimal(part or 0) for part in found.groups())
    return hours * 3_600 + minutes * 60 + seconds + milliseconds / 1_000


def _code(error: Any) -> str | None:
    if not isinstance(error, dict):
        return None
    for name in ("code", "type", "status"):
        value = error.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool) and value not in ("error", ""):
            return str(value)[:_MAX_CODE_CHARS]
    several = error.get("errors")  # Cloudflare's
    first = several[0] if isinstance(several, list) and several else None
    return _code({"code": first.get("code")}) if isinstance(first, dict) else None


def _plain(status: int, body: bytes) -> str:
    title = _TITLE.search(body)
    text = (title.group(1) if title else body).decode("utf-8", "replace").strip()
    return text[:MAX_MESSAGE_CHARS] or f"the provider answered {status} without a word"
