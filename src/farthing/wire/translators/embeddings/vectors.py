"""Vectors as providers write them: lists of numbers, or bytes in base64.

What surprised us: OpenAI's SDK asks for base64 unless it is told otherwise, and compatible providers use the same
member for other bytes: Perplexity sends a signed byte for each number, and nothing in its answer says so. Read as
floats those are absurd, and no vector that a model makes is: that tells them apart.
"""

import sys
from array import array
from base64 import b64decode, b64encode
from binascii import Error

import msgspec

from farthing.wire.lenient import UNREADABLE

_FLOAT_BYTES = 4
_SANE = 1e6
"""Models make vectors of length 1, or of numbers up to some hundreds; bytes at random exceed this in every second."""

_numbers = msgspec.json.Decoder(list[float])


def vector(raw: msgspec.Raw) -> tuple[float, ...]:
    """Return a vector that stands in JSON; one that cannot be read is empty, so that the others keep their places."""
    try:
        if bytes(raw).startswith(b'"'):
            return from_base64(msgspec.json.decode(raw, type=str))
        return tuple(_numbers.decode(raw))
    except UNREADABLE:
        return ()


def vector_of(value: object) -> tuple[float, ...]:
    """Return the same of what is decoded already."""
    if isinstance(value, str):
        return from_base64(value)
    try:
        return tuple(msgspec.convert(value, list[float]))
    except UNREADABLE:
        return ()


def from_base64(text: str) -> tuple[float, ...]:
    """Return a vector that came as base64; an empty one where it is none."""
    try:
        data = b64decode(text, validate=True)
    except (Error, ValueError):
        return ()
    if len(data) % _FLOAT_BYTES == 0:
        floats = array("f", data)
        if sys.byteorder == "big":
            floats.byteswap()
        if all(-_SANE < number < _SANE for number in floats):  # false for what is not a number, too
            return tuple(floats)
    return tuple(float(number) for number in array("b", data))


def to_base64(numbers: tuple[float, ...]) -> str:
    """Return a vector as OpenAI's clients take it apart: little-endian floats of 32 bits."""
    floats = array("f", numbers)
    if sys.byteorder == "big":
        floats.byteswap()
    return b64encode(floats.tobytes()).decode()
