"""What a provider's error answer says, whatever its shape.

There is no common shape: `{"error": {...}}`, `{"detail": "..."}`, `{"detail": [...]}`, `{"message": ...}`, a string, an
HTML page from a proxy, or nothing. The status and the message are kept; the content type is not believed, because
providers send JSON as an event stream or as octets.
"""

import re
from typing import Any

import msgspec

from farthing.types.providers import WireFormat
from farthing.wire.lenient import UNREADABLE

MAX_MESSAGE_CHARS = 2_000
"""Longer messages are cut in logs and in our own rendering; the longest recorded one has 1,100 characters."""
_MAX_CODE_CHARS = 200
_MAX_DEPTH = 5
"""How deep in an error its message may stand; the deepest recorded one is two levels down."""
_TITLE = re.compile(rb"<title>(.*?)</title>", re.IGNORECASE | re.DOTALL)


class UpstreamError(msgspec.Struct, frozen=True):
    """A provider's refusal; `in_shape` says whether its body is already what a client of that format expects."""

    status: int
    code: str
    message: str
    in_shape: bool


def read_error(wire: WireFormat, status: int, body: bytes) -> UpstreamError:
    """Read the body of an answer whose status is 400 or more. Never raises."""
    try:
        error = msgspec.json.decode(body)
    except UNREADABLE:
        return UpstreamError(status, f"http_{status}", _plain(status, body), in_shape=False)
    inner = error.get("error") if isinstance(error, dict) else None
    message = _message(inner if inner is not None else error)
    code = _code(inner) or _code(error) or f"http_{status}"
    in_shape = isinstance(inner, dict) and isinstance(inner.get("message"), str)
    if wire == "anthropic_messages":
        in_shape = in_shape and error.get("type") == "error"
    return UpstreamError(status, code, (message or f"the provider answered {status}")[:MAX_MESSAGE_CHARS], in_shape)


def _message(error: Any, depth: int = 0) -> str:
    if isinstance(error, str):
        return error
    if depth > _MAX_DEPTH:
        return ""
    if isinstance(error, dict):
        for name in ("message", "detail", "error", "msg", "errors"):
            if error.get(name):
                return _message(error[name], depth + 1)
    if isinstance(error, list):
        return "; ".join(_message(part, depth + 1) for part in error)
    return "" if error is None else msgspec.json.encode(error).decode()


def _code(error: Any) -> str | None:
    if not isinstance(error, dict):
        return None
    for name in ("code", "type", "status"):
        value = error.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool) and value != "error":
            return str(value)[:_MAX_CODE_CHARS]
    return None


def _plain(status: int, body: bytes) -> str:
    title = _TITLE.search(body)
    text = (title.group(1) if title else body).decode("utf-8", "replace").strip()
    return text[:MAX_MESSAGE_CHARS] or f"the provider answered {status} without a word"
