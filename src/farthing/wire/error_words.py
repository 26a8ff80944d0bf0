"""What a provider's error says, wherever it stands and whatever its shape.

There is no common shape: a text, `{"message": ..., "code": ...}`, `{"detail": ...}`, a list of several, or one of these
in a list of its own. An error inside a 200 is known by its words alone, and its status may be a number under three
names, or a word: `overloaded_error`, `RESOURCE_EXHAUSTED`.
"""

from typing import Any

import msgspec

from farthing.wire.lenient import UNREADABLE, decode
from farthing.wire.meter import Reading

MAX_TEXT = 2_000
"""Characters of a provider's words that are kept; the longest recorded error has 1,100."""
_MAX_DEPTH = 5
"""How deep in an error its message may stand; the deepest recorded one is two levels down."""
_SPEAKING = ("error", "detail", "errors", "message")
"""Members by which a body is known to be an error; the last only where it is a text: Ollama's answers have one, too."""
_STATUSES = {
    "context_length_exceeded": 400,
    "failed_precondition": 400,
    "invalid_argument": 400,
    "authentication_error": 401,
    "invalid_api_key": 401,
    "unauthenticated": 401,
    "billing_error": 402,
    "permission_denied": 403,
    "permission_error": 403,
    "model_not_found": 404,
    "not_found": 404,
    "not_found_error": 404,
    "request_too_large": 413,
    "insufficient_quota": 429,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "resource_exhausted": 429,
    "too_many_requests": 429,
    "api_error": 500,
    "internal": 500,
    "service_unavailable": 503,
    "unavailable": 503,
    "deadline_exceeded": 504,
    "timeout_error": 504,
    "overloaded": 529,
    "overloaded_error": 529,
}
"""The statuses that go with a word at OpenAI, Anthropic and Google. `invalid_request_error` is not among them: Alibaba
calls so what was its own fault, when it could not fetch a picture in time."""

_anything = msgspec.json.Decoder()


def error_inside(body: bytes) -> Reading | None:
    """Return what a body says that is no answer; `None` where it does not speak as errors do."""
    try:
        told = alone(decode(_anything, body))
    except msgspec.ValidationError:
        return None
    if not isinstance(told, dict):
        return None
    words = [told.get(name) for name in _SPEAKING]
    if not any(words[:-1]) and not (words[-1] and isinstance(words[-1], str)):
        return None
    inner = told.get("error") or told
    code, message = error_text(inner)
    code = error_text(told)[0] if code == "error" else code
    return Reading(error_code=code, error_message=message, error_status=error_status(inner) or error_status(told))


def error_text(error: Any) -> tuple[str, str]:
    """Return code and message of a provider's error, whatever its shape."""
    return _code(alone(error))[:MAX_TEXT], words_of(error)[:MAX_TEXT]


def error_status(error: Any, depth: int = 0) -> int | None:
    """Return the HTTP status, 400 to 599, that an error names as its own; `None` where it names none."""
    error = alone(error)
    if isinstance(error, str):
        return _STATUSES.get(error.lower())
    if not isinstance(error, dict) or depth > _MAX_DEPTH:
        return None
    named = None
    for name in ("status_code", "code", "status", "type"):  # Groq's code is a word, and its status has its own name
        value = error.get(name)
        if isinstance(value, str):
            named = named or _STATUSES.get(value.lower())
            value = int(value) if len(value) == 3 and value.isascii() and value.isdigit() else None
        if isinstance(value, int) and 400 <= value <= 599:
            return value
    return named or error_status(error.get("error"), depth + 1)


def _code(error: Any, depth: int = 0) -> str:
    if not isinstance(error, dict) or depth > _MAX_DEPTH:
        return "error"
    for name in ("code", "type", "status"):
        if error.get(name) and error[name] != "error":
            return str(error[name])
    return _code(error.get("error"), depth + 1)


def words_of(error: Any, depth: int = 0) -> str:
    """Return the message in an error, however deep it stands; the error itself where it has none."""
    if isinstance(error, str):
        return error
    if depth > _MAX_DEPTH:
        return ""
    if isinstance(error, dict):
        for name in ("message", "detail", "error", "msg", "errors"):
            if error.get(name):
                return words_of(error[name], depth + 1)
    if isinstance(error, list):
        return "; ".join(words_of(part, depth + 1) for part in error)
    if error is None or error == {}:
        return ""
    try:
        return msgspec.json.encode(error).decode()
    except UNREADABLE:  # a number that is too large to be written again
        return str(error)


def alone(error: Any) -> Any:
    """Return the error that Gemini puts into an array of one where the answer would have been a stream."""
    return error[0] if isinstance(error, list) and len(error) == 1 else error
