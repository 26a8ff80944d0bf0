r"""Read JSON that is nearly JSON: what providers and clients send after cutting a character in two.

A raw byte that is no UTF-8, or half of a surrogate pair (`"\ud83d"`: legal JSON, no Unicode), would hide a whole event
and the usage in it. So what cannot be read is read once more from a copy with replacement characters; the bytes that go
on to the other side are never the copy.
"""

import re
from typing import TypeVar

import msgspec

T = TypeVar("T")

UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError, ArithmeticError)
"""Everything that decoding JSON raises; `UnicodeDecodeError` is no `MsgspecError`, and absurd numbers are neither."""

_SURROGATES = re.compile(
    rb"\\u(?:([dD][89abAB][0-9a-fA-F]{2})(\\u[dD][c-fC-F][0-9a-fA-F]{2})?|([dD][c-fC-F][0-9a-fA-F]{2}))"
)
_REPLACEMENT = b"\\ufffd"
MAX_MENDED = 100_000
"""Surrogate escapes that are looked at, 50 ms of them: as many emoji as a novel has words. Beyond them nothing is
mended, and what cannot be read stays so."""

MAX_OBJECTS = 100_000
"""Objects and lists in JSON that is over a megabyte, unless they are of some size. What models write has 20 bytes in
each, even in log probabilities; `{},` over and over costs a second for every 10 MB, and says nothing."""
_LARGE_BYTES = 1 << 20
_LEAST_BYTES = 8


def decode(decoder: msgspec.json.Decoder[T], data: bytes | msgspec.Raw) -> T | None:
    """Return what `decoder` makes of `data`, or of a mended copy; `None` where it makes nothing of either.

    Nothing is made of what is large and consists of next to nothing but brackets.

    Raises:
        ValidationError: it is JSON, and not of the decoder's type.
    """
    if len(data) > _LARGE_BYTES and _is_brackets(bytes(data)):
        return None
    try:
        return decoder.decode(data)
    except msgspec.ValidationError:
        raise
    except UNREADABLE:
        pass
    raw = bytes(data)
    mended = with_whole_characters(raw if raw.isascii() else raw.decode("utf-8", "replace").encode())
    if mended == raw:
        return None
    try:
        return decoder.decode(mended)
    except msgspec.ValidationError:
        raise
    except UNREADABLE:
        return None


def _is_brackets(data: bytes) -> bool:
    objects = data.count(b"{") + data.count(b"[")
    return objects > MAX_OBJECTS and len(data) < objects * _LEAST_BYTES


def with_whole_characters(data: bytes) -> bytes:
    """Return JSON with lone surrogate escapes replaced by the replacement character's, which has the same length."""
    if b"\\ud" not in data and b"\\uD" not in data:
        return data  # told ten times as fast as by the expression
    return _SURROGATES.sub(_mend, data, count=MAX_MENDED)


def _mend(found: re.Match[bytes]) -> bytes:
    high, low, lone = found.groups()
    if _backslashes_before(found.string, found.start()) % 2:
        # Its backslash is itself escaped, so this is text; what follows may be a real escape.
        return found.group() if low is None else found.group()[: -len(low)] + _REPLACEMENT
    return _REPLACEMENT if lone is not None or (high is not None and low is None) else found.group()


def _backslashes_before(data: bytes, end: int) -> int:
    """Return how many there are; looked for in ever larger steps, because there may be millions."""
    size = 16
    while True:
        step = data[max(0, end - size) : end]
        found = len(step) - len(step.rstrip(b"\\"))
        if found < len(step) or size >= end:
            return found
        size *= 4
