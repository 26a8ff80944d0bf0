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
_BACKSLASH = 0x5C
_REPLACEMENT = b"\\ufffd"


def decode(decoder: msgspec.json.Decoder[T], data: bytes | msgspec.Raw) -> T | None:
    """Return what `decoder` makes of `data`, or of a mended copy; `None` where it makes nothing of either.

    Raises:
        ValidationError: it is JSON, and not of the decoder's type.
    """
    try:
        return decoder.decode(data)
    except msgspec.ValidationError:
        raise
    except UNREADABLE:
        pass
    raw = bytes(data)
    mended = with_whole_characters(raw.decode("utf-8", "replace").encode())
    if mended == raw:
        return None
    try:
        return decoder.decode(mended)
    except msgspec.ValidationError:
        raise
    except UNREADABLE:
        return None


def with_whole_characters(data: bytes) -> bytes:
    """Return JSON with lone surrogate escapes replaced by the replacement character's, which has the same length."""
    return _SURROGATES.sub(_mend, data)


def _mend(found: re.Match[bytes]) -> bytes:
    high, low, lone = found.groups()
    before = at = found.start()
    while before and found.string[before - 1] == _BACKSLASH:
        before -= 1
    if (at - before) % 2:  # its backslash is itself escaped, so this is text; what follows may be a real escape
        return found.group() if low is None else found.group()[: -len(low)] + _REPLACEMENT
    return _REPLACEMENT if lone is not None or (high is not None and low is None) else found.group()
