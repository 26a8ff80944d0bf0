"""Texts as PostgreSQL keeps them: it refuses the character NUL, which JSON may carry and SQLite keeps.

A client may send it in a model's name or a session's, a provider in an error's message. To refuse the line would lose
money, and to leave the character out would make two sessions one. So it is written as two characters, an escape and a
digit; texts that hold the escape itself, which nobody types, are written so too, and everything comes back as it was.
What is no Unicode (a lone surrogate) no store takes.
"""

from collections.abc import Sequence
from typing import Any

_ESCAPE = "\x01"
_NUL_AS, _ESCAPE_AS = _ESCAPE + "0", _ESCAPE + "1"


def kept(text: str) -> str:
    """Return the text as it is kept."""
    if "\0" in text or _ESCAPE in text:
        return text.replace(_ESCAPE, _ESCAPE_AS).replace("\0", _NUL_AS)
    return text


def told(text: str) -> str:
    """Return a kept text as it was."""
    return text.replace(_NUL_AS, "\0").replace(_ESCAPE_AS, _ESCAPE) if _ESCAPE in text else text


def kept_value(value: Any) -> Any:
    """Return a value, or a list of values, as it is kept."""
    if isinstance(value, str):
        return kept(value)
    if isinstance(value, list):
        return [kept_value(one) for one in value]
    return value


def needs_care(encoded: bytes) -> bool:
    """Whether there is a NUL or an escape in a JSON text that msgspec wrote: it writes both as six characters."""
    return b"\\u0000" in encoded or b"\\u0001" in encoded


def told_row(row: Sequence[Any]) -> tuple[Any, ...]:
    """Return a row with its texts as they were."""
    return tuple([told(value) if type(value) is str and _ESCAPE in value else value for value in row])
