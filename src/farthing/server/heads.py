"""A request's head: how its headers are collected, and what is remembered of it for the next one on its connection.

Clients keep a connection and repeat their head on it to the byte, but for the body's length. Whose key it is and what
goes on to the provider need then not be found again, and where the whole request came in one read its head need not
even be parsed again; whether the key still counts is looked up every time.
"""

from collections.abc import Callable, Mapping, Sequence

MAX_LINES_BYTES = 4_096
"""Longer heads are read anew each time: what is kept stays as long as the connection, and agents send under 2 KB."""
_LENGTH = b"content-length"
_LENGTH_LINE = b"\r\ncontent-length:"
_END = b"\r\n\r\n"
_MOST_DIGITS = 15
"""Of a body's length; 10^15 bytes are over every bound."""
_READ_ANEW = (b"transfer-encoding", b"expect", b"upgrade")
"""Headers that change what comes after a head."""

Headers = list[tuple[bytes, bytes]]


class Head:
    """A head whose key has counted: `method`, `target`, `headers` and `named` as an exchange has them."""

    __slots__ = (
        "_after",
        "_at",
        "_before",
        "_known",
        "_length",
        "_whole",
        "digest",
        "headers",
        "lines",
        "method",
        "named",
        "target",
    )

    def __init__(
        self,
        method: bytes,
        target: bytes,
        headers: Headers,
        named: Mapping[bytes, bytes],
        *,
        digest: bytes,
        lines: bytes,
        raw: bytes = b"",
    ) -> None:
        """`digest` is that of the key, `lines` go on, `raw` is all of it as it came; empty where that is not known."""
        self.method = method
        self.target = target
        self.headers = headers
        self.named = named
        self.digest = digest
        self.lines = lines
        self._known = list(headers)
        self._at = next((at for at, (name, _) in enumerate(headers) if name == _LENGTH), -1)
        self._before, digits, self._after = _around_length(raw, named) if self._at >= 0 else _NOT_KNOWN
        self._whole = raw if digits else b""
        """All of it, with the length that the last body had."""
        self._length = int(digits or 0)

    def is_repeated(self, headers: Sequence[tuple[bytes, bytes]]) -> bool:
        """Return whether the headers say the same; of the body's length, only whether it stands in the same place."""
        if headers is self.headers:
            return True
        at, known = self._at, self._known
        if at >= 0:
            if len(headers) != len(known) or headers[at][0] != _LENGTH:
                return False
            known[at] = headers[at]
        return known == headers

    def body_in(self, data: bytes) -> bytes | None:
        """Return the body of a request that begins with this head again; `None` where it does not, or is not all here.

        Then `headers` and `named` have the length of this body.
        """
        whole = self._whole
        if whole and data.startswith(whole):
            body = data[len(whole) :]
            return body if len(body) == self._length else None
        before, after = self._before, self._after
        if not before or not data.startswith(before):
            return None
        at = data.find(b"\r", len(before), len(before) + _MOST_DIGITS + 1)
        digits = data[len(before) : at]
        # `isdigit` of bytes knows the ten digits of ASCII, and no sign, space or point.
        if at < 0 or not digits.isdigit() or not data.startswith(after, at):
            return None
        body = data[at + len(after) :]
        if int(digits) != len(body):
            return None
        self._say_length(digits)
        return body

    def _say_length(self, digits: bytes) -> None:
        """The exchange before may still be looked at, so it keeps what it has."""
        headers = self.headers.copy()
        headers[self._at] = (_LENGTH, digits)
        self.headers, self.named = headers, {**self.named, _LENGTH: digits}
        self._whole, self._length = self._before + digits + self._after, int(digits)


_NOT_KNOWN = (b"", b"", b"")


def _around_length(raw: bytes, named: Mapping[bytes, bytes]) -> tuple[bytes, bytes, bytes]:
    """Return what stands before the digits of the body's length, the digits, and what stands after them.

    Empty where a head like this has to be parsed each time.
    """
    if any(name in named for name in _READ_ANEW) or named.get(b"connection", b"keep-alive").lower() != b"keep-alive":
        return _NOT_KNOWN
    lowered = raw.lower()
    at = lowered.find(_LENGTH_LINE)
    if lowered.count(_LENGTH_LINE) != 1 or not raw.partition(b"\r\n")[0].endswith(b" HTTP/1.1"):
        return _NOT_KNOWN
    at += len(_LENGTH_LINE)
    end = raw.index(b"\r", at)
    digits = raw[at:end].strip(b" \t")
    if not digits.isdigit() or digits != named[_LENGTH]:
        return _NOT_KNOWN
    start = raw.index(digits, at)
    return raw[:start], digits, raw[start + len(digits) :]


def head_of(data: bytes, body_bytes: int) -> bytes:
    """Return the head of a request that came whole in one read, and alone; empty where it did not."""
    body_at = data.find(_END, 0, MAX_LINES_BYTES) + len(_END)
    return data[:body_at] if body_at >= len(_END) and len(data) - body_at == body_bytes else b""


def into(collected: Headers) -> Callable[[bytes, bytes], None]:
    """Return what the parser calls for each header, and for each trailer.

    It knows no more than the list: a method that looks at its connection costs twice as much, a dozen times a request.
    How many headers there may be is looked at when all are here, how many bytes in `_parse`.
    """

    def on_header(name: bytes, value: bytes, append: Callable[[tuple[bytes, bytes]], None] = collected.append) -> None:
        append((name.lower(), value))

    return on_header
