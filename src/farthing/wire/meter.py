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

MAX_ERROR_BYTES = 1 << 18
"""The largest error inside an answer that is read; the longest recorded one has 3 KB."""


class Reading(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What an answer said about itself. `usage` is `None` where it gave none.

    `usage_final` is false where more was produced after the last count of it: the beginning of a stream says nothing of
    its end. `error_status` is the status that the error inside an answer gives itself, where it gives one.
    `beyond_text` says that a picture or sound was made, from which no tokens can be estimated.
    """

    usage: Usage | None = None
    usage_final: bool = True
    model_served: str | None = None
    service_tier: str | None = None
    reported_cost_nanousd: int | None = None
    finished: bool = False
    pending: bool = False
    beyond_text: bool = False
    error_code: str | None = None
    error_message: str | None = None
    error_status: int | None = None

    @property
    def counted(self) -> bool:
        """Whether it says how much was read and written; that nothing was written is only believed of an empty one."""
        return self.usage is not None and self.usage.known and bool(self.usage.output_tokens)


class StreamMeter(Protocol):
    """Reads a stream while it flows by.

    `has_output`: something that the model made has passed, be it text, a thought, a call or a picture. `has_finish`: it
    was said that something has finished; where there was output, a meter need not look. `terminal`: the format's own
    last event has passed; usage will not change any more, and of what follows nothing is handed on that says anything.
    `failed`: the provider sent an error inside the stream. `suspect`: it did, or sent what cannot be read, which may be
    an error.
    """

    has_output: bool
    has_finish: bool
    terminal: bool
    failed: bool
    suspect: bool

    def feed(self, data: bytes) -> bytes:
        """Take what arrived; return what the client gets: whole events, less what only we had asked for."""
        ...

    def rest(self) -> bytes:
        """Read and return what came after the last blank line: at the end of an answer that is an event, too."""
        ...

    def reading(self) -> Reading:
        """Return what is known so far."""
        ...

    def error_event(self, code: str, message: str) -> bytes:
        """Return what tells the client, here and now, that its stream ended badly."""
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
            return None
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


def present_error(raw: msgspec.Raw) -> bytes | None:
    """Return an error's bytes; `None` where it is absent, null, or empty, as some write where there was none."""
    if len(raw) > MAX_ERROR_BYTES:
        return in_short(bytes(raw))
    data = present(raw)
    return None if data in _NO_ERROR else data


def in_short(error: bytes) -> bytes:
    """Return an error's bytes, or words in their place where they are too many to be read again and again."""
    if len(error) <= MAX_ERROR_BYTES:
        return error
    return msgspec.json.encode(f"the provider sent an error of {len(error)} bytes, which nobody read")


_NO_ERROR = frozenset({b'""', b"false", b"0", b"{}", b"[]"})
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


def what_remains(rest: int, sent: Any) -> int | None:
    """Return the count that is left of a total; `None` where nothing is, and what was `sent` for it is no count."""
    return max(0, rest) if rest > 0 or sent is None else None


def check_parts(counts: Counts, input_tokens: int | None, read: int, written: int) -> None:
    """Flag cache classes that do not fit into the input that they are parts of."""
    if input_tokens is None:
        return
    if read > input_tokens or written > input_tokens:
        counts.flag("cache_exceeds_input")
    elif read + written > input_tokens:
        counts.flag("cache_classes_overlap")
