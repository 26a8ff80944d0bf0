"""Lines of JSON (NDJSON): cut a byte stream into whole lines.

A line feed cannot stand inside a JSON value, so it always ends one; CRLF needs no care, because a carriage return is
white space to JSON. Only whole lines are handed on, so that what we append after a cut begins a line of its own.
"""

from farthing.errors import ProviderMisbehaved
from farthing.wire.sse import LARGE_BYTES, refuse_crumbs

MAX_LINE_BYTES = 32 << 20
"""The largest line kept while incomplete: an image in base64 is a few MB, a context of a million tokens about 7."""


class LineSplitter:
    """Collects bytes until a line is whole; `held_bytes` of the beginning of one are kept."""

    __slots__ = ("_pieces", "held_bytes")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []  # joined once, when the line ends: a large one comes in hundreds of pieces
        self.held_bytes = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that `data` completes, each with its line feed.

        Raises:
            ProviderMisbehaved: the line that has begun is over the bound, or there are absurdly many.
        """
        end = data.rfind(b"\n") + 1
        if not end:
            self._hold(data)
            return []
        whole, rest = data[:end], data[end:]
        if self._pieces:
            whole = b"".join(self._pieces) + whole
            self._pieces.clear()
            self.held_bytes = 0
        self._hold(rest)
        if len(whole) > LARGE_BYTES:
            refuse_crumbs(whole.count(b"\n"), len(whole))
        lines = whole.split(b"\n")
        lines.pop()
        refuse_crumbs(len(lines), len(whole))
        return [line + b"\n" for line in lines]

    def rest(self) -> bytes:
        """Return and forget what came after the last whole line."""
        rest = b"".join(self._pieces)
        self._pieces.clear()
        self.held_bytes = 0
        return rest

    def _hold(self, data: bytes) -> None:
        if not data:
            return
        self._pieces.append(data)
        self.held_bytes += len(data)
        if self.held_bytes > MAX_LINE_BYTES:
            raise ProviderMisbehaved(f"a line of the stream is over {MAX_LINE_BYTES} bytes and still not whole")
