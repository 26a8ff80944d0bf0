"""What every format's meter tells, and how counts are read from objects that nobody promised us.

A meter never raises over an answer's contents: what it cannot read it leaves out, and the answer goes on.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Protocol

import msgspec

from farthing.types.money import nanousd_from_usd
from farthing.types.usage import Usage, UsageFlag
from farthing.wire.lenient import decode

OnText = Callable[[str], object]
"""Told each piece of text that a model produced, in order; the caller estimates tokens from it."""

MAX_COUNT = 1 << 30
"""No count beyond this is believed: a billion tokens are a hundred times the largest context, and sums of such counts
must fit into the store's 64 bits."""


MAX_TEXT = 2_000
"""Characters of a provider's words that are kept; the longest recorded error has 1,100."""


class Reading(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What an answer said about itself. `usage` is `None` where it gave none.

    `usage_final` is false where more was produced after the last count of it: the beginning of a stream says nothing of
    its end. `error_status` is the status that the error inside an answer gives itself, where it gives one.
    """

    usage: Usage | None = None
    usage_final: bool = True
    model_served: str | None = None
    service_tier: str | None = None
    reported_cost_nanousd: int | None = None
    finished: bool = False
    pending: bool = False
    error_code: str | None = None
    error_message: str | None = None
    error_status: int | None = None


class StreamMeter(Protocol):
    """Reads a stream while it flows by.

    `has_output`: the first content, thinking or tool delta, or a finish, has passed. `terminal`: the format's own last
    event has passed, so that usage will not change any more. `failed`: the provider sent an error inside the stream.
    """

    has_output: bool
    terminal: bool
    failed: bool

    def feed(self, data: bytes) -> bytes:
        """Take what arrived; return what the client gets: whole events, less what only we had asked for."""
        ...

    def rest(self) -> bytes:
        """Read and return what came after the last blank line: at the end of an answer that is an event, too."""
        ...

    def reading(self) -> Reading:
        """Return what is known so far."""
        ...


class Counts:
    """Reads token counts from a decoded object and remembers what was wrong with them."""

    __slots__ = ("flags",)

    def __init__(self) -> None:
        self.flags: list[UsageFlag] = []

    def total(self, source: Any, name: str) -> int | None:
        """Return the count under `name`; `None` where there is none."""
        if not isinstance(source, dict):
            return None
        value = source.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | Decimal) or not -MAX_COUNT <= value <= MAX_COUNT:
            # Compared before it is converted: 1e999999 as a whole number has a million digits.
            self.flag("malformed_count")
            return None
        if isinstance(value, Decimal) and value == value.to_integral_value():
            value = int(value)
        if not isinstance(value, int):
            self.flag("malformed_count")
            return None
        if value < 0:
            self.flag("negative_count")
            return 0
        return value

    def part(self, source: Any, name: str) -> int:
        """Return the count under `name`, 0 where there is none."""
        return self.total(source, name) or 0

    def flag(self, flag: UsageFlag) -> None:
        """Remember that something is wrong."""
        if flag not in self.flags:
            self.flags.append(flag)


ABSENT = msgspec.Raw()
"""What a raw member is that was not sent (msgspec knows no `Raw | None`)."""


def present(raw: msgspec.Raw) -> bytes | None:
    """Return a raw member's bytes; `None` where it was absent or null."""
    if raw is ABSENT:
        return None
    data = bytes(raw)
    return None if data == b"null" else data


_exact = msgspec.json.Decoder(float_hook=Decimal)


def decode_exact(raw: bytes) -> Any:
    """Decode JSON with decimals kept exact; `None` where it cannot be decoded."""
    try:
        return decode(_exact, raw)
    except msgspec.ValidationError:  # a whole number of thousands of digits
        return None


def cost_nanousd(value: Any) -> int | None:
    """Return an amount of dollars that a provider reported in nanodollars; `None` where it is no amount."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not 0 <= value < MAX_COUNT:
        return None
    return nanousd_from_usd(Decimal(value))


def error_text(error: Any) -> tuple[str, str]:
    """Return code and message of a provider's error, whatever its shape."""
    if isinstance(error, dict):
        code = error.get("code") or error.get("type") or error.get("status") or "error"
        message = error.get("message") or error.get("detail") or error.get("error") or error.get("errors") or ""
        return str(code)[:MAX_TEXT], (message if isinstance(message, str) else str(message))[:MAX_TEXT]
    return "error", str(error)[:MAX_TEXT]


def error_status(error: Any) -> int | None:
    """Return the HTTP status, 400 to 599, that an error names as its own; `None` where it names none."""
    if not isinstance(error, dict):
        return None
    for name in ("status_code", "code", "status"):  # Groq's code is a word, and its status has a name of its own
        value = error.get(name)
        if isinstance(value, str) and len(value) == 3 and value.isascii() and value.isdigit():
            value = int(value)
        if isinstance(value, int) and 400 <= value <= 599:
            return value
    return None


def check_parts(counts: Counts, input_tokens: int | None, read: int, written: int) -> None:
    """Flag cache classes that do not fit into the input that they are parts of."""
    if input_tokens is None:
        return
    if read > input_tokens or written > input_tokens:
        counts.flag("cache_exceeds_input")
    elif read + written > input_tokens:
        counts.flag("cache_classes_overlap")
