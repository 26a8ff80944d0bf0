"""A request's head: how its headers are collected, and what is remembered of it for the next one on its connection.

Clients keep a connection and repeat their head on it to the byte, but for the body's length. Whose key it is and what
goes on to the provider need then not be found again, which would cost 3 us; whether the key still counts is looked up
every time.
"""

from collections.abc import Callable, Sequence

MAX_LINES_BYTES = 4_096
"""Longer heads are read anew each time: what is kept stays as long as the connection, and agents send under 2 KB."""
_LENGTH = b"content-length"


class Head:
    """A head whose key has counted."""

    __slots__ = ("_at", "_headers", "digest", "lines")

    def __init__(self, headers: Sequence[tuple[bytes, bytes]], digest: bytes, lines: bytes) -> None:
        """`digest` is that of the key, and `lines` go on."""
        self._headers = list(headers)
        self._at = next((at for at, (name, _) in enumerate(headers) if name == _LENGTH), -1)
        self.digest = digest
        self.lines = lines

    def is_repeated(self, headers: Sequence[tuple[bytes, bytes]]) -> bool:
        """Return whether the headers say the same; of the body's length, only whether it stands in the same place."""
        at, known = self._at, self._headers
        if at >= 0:
            if len(headers) != len(known) or headers[at][0] != _LENGTH:
                return False
            known[at] = headers[at]
        return known == headers


def into(collected: list[tuple[bytes, bytes]]) -> Callable[[bytes, bytes], None]:
    """Return what the parser calls for each header, and for each trailer.

    It knows no more than the list: a method that looks at its connection costs twice as much, a dozen times a request.
    How many headers there may be is looked at when all are here, how many bytes in `_parse`.
    """

    def on_header(name: bytes, value: bytes, append: Callable[[tuple[bytes, bytes]], None] = collected.append) -> None:
        append((name.lower(), value))

    return on_header
