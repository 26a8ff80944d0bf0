"""A JSON array that arrives piece by piece: cut it after each whole element, without reading what is in them.

Gemini streams like this where a client does not ask for events. Each byte is looked at once, by a search for the next
byte that matters; elements are handed on with the bracket, comma and white space before them, so that the pieces
together are exactly what came in. A lone object in the array's place is an array of one.
"""

import re

from farthing.errors import ProviderMisbehaved
from farthing.wire.sse import MAX_EVENT_BYTES

_OUTSIDE = re.compile(rb'["{}\[\]]')
_IN_TEXT = re.compile(rb'["\\]')
_BEFORE = b"[, \t\r\n"


class ArraySplitter:
    """Collects bytes until an element is whole; `closed` says that the array, or the lone object, has ended.

    `begun` says that an element has been handed on, so that whoever appends one knows whether a comma is due.
    """

    __slots__ = ("_at", "_depth", "_in_text", "_outer", "begun", "closed", "held")

    def __init__(self, *, lone: bool = False) -> None:
        self.held = b""
        self.begun = False
        self.closed = False
        self._at = 0
        self._depth = 0
        self._in_text = False
        self._outer = 0 if lone else 1

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        """Return the elements that `data` completes, each with what stands before it, and what follows the last."""
        data = self.held + data if self.held else data
        elements: list[bytes] = []
        start, at, end = 0, self._at, len(data)
        while not self.closed:
            found = (_IN_TEXT if self._in_text else _OUTSIDE).search(data, at)
            if found is None:
                at = end
                break
            at = found.end()
            match found.group():
                case b"\\":
                    if at == end:  # what it escapes has not come
                        at -= 1
                        break
                    at += 1
                case b'"':
                    self._in_text = not self._in_text
                case b"{" | b"[":
                    self._depth += 1
                case _:
                    self._depth -= 1
                    if self._depth == self._outer:
                        elements.append(data[start:at])
                        start, self.begun = at, True
                    self.closed = self._depth <= 0
        if self.closed:
            self.held, self._at = b"", 0
            return elements, data[start:]
        self.held, self._at = data[start:], at - start
        if len(self.held) > MAX_EVENT_BYTES:
            raise ProviderMisbehaved(f"a part of the stream is over {MAX_EVENT_BYTES} bytes and still not whole")
        return elements, b""

    def rest(self) -> bytes:
        """Return and forget what came after the last whole element."""
        rest, self.held, self._at = self.held, b"", 0
        return rest


def element_of(piece: bytes) -> bytes:
    """Return the element in a piece, without what stands before it."""
    return piece.lstrip(_BEFORE)
