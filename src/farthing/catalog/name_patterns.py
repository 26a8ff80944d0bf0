r"""Patterns for names of models: the operator's `*`, and the regular expressions that a price list may hold.

Names come from clients and expressions from a list that was downloaded, so neither may be able to make the other slow.
A `*` costs one search each. Of regular expressions a small part is allowed, in which nothing can be repeated without a
bound but one `.*`: all that the list of 2026 uses (`^claude-opus-5[-@]\d{8}$`, `^(?!.*-tts(?:$|-))`).
"""

import re
from functools import cache

_LONGEST = 200
_MOST_CHOICES = 4
"""Each `?` or `|` can double the ways to try; 16 ways of 200 characters are 20 us."""
_PIECE = re.compile(
    r"\\[.\[\]()@/:_-]|(?:\\d|\[[A-Za-z0-9@./:_-]{1,30}\]|[A-Za-z0-9@/:=_~-])(?:\{[0-9]{1,2}\})?"
    r"|\(\?:|\(\?!|\(|\)|\.\*|[|?^$]",
    re.ASCII,
)


def fits(pattern: str, text: str) -> bool:
    """Whether `text` is `pattern`, where each `*` stands for any text. Linear: names come from clients."""
    first, *rest = pattern.split("*")
    if not rest:
        return text == pattern
    *middle, last = rest
    if not text.startswith(first) or not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for part in middle:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return at <= end


def checked_regex(text: str) -> str:
    """Return the expression, which can be searched for in any name in time that grows with its length.

    Raises:
        ValueError: it is not of the allowed part; the message completes a sentence about it.
    """
    pieces = _PIECE.findall(text)
    if len(text) > _LONGEST or "".join(pieces) != text or not text.startswith("^"):
        raise ValueError("is not of the simple kind that is allowed")
    if pieces.count(".*") > 1 or sum(piece in ("?", "|") for piece in pieces) > _MOST_CHOICES:
        raise ValueError("could be slow on a long name")
    try:
        compiled(text)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from None
    return text


@cache
def compiled(text: str) -> re.Pattern[str]:
    """Return the compiled expression; as many are kept as the lists have."""
    return re.compile(text, re.ASCII)
