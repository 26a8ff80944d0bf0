"""A JSON array that arrives piece by piece: cut it after each whole element, without reading what is in them.

Gemini streams like this where a client does not ask for events. Each byte is looked at once: brackets are counted in
runs, and what is between two runs is passed over by one search. Elements are handed on with the bracket, comma and
white space before them, so that the pieces together are exactly what came in. A lone object in the array's place is an
array of one.
"""

import re

import msgspec

from farthing.errors import ProviderMisbehaved
from farthing.wire.lenient import decode
from farthing.wire.sse import LARGE_BYTES, MAX_EVENT_BYTES, MAX_PARTS, refuse_crumbs

_TO_BRACKETS = re.compile(rb'(?:[^"{}\[\]]++|"[^"\\]*+(?:\\.[^"\\]*+)*+")*+([{\[]++|[}\]]++|")?', re.DOTALL)
"""Up to a run of brackets that open or close; or up to the quote of a text whose end has not come."""
_TO_QUOTE = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+(["\\])?', re.DOTALL)
"""Up to the end of a text; or up to a backslash of which it has not come what it escapes."""
_OPENING = b"{["
_BEFORE = b"[, \t\r\n"
MAX_ELEMENTS = 50_000
"""Elements of an array that came whole: the longest answers have 65,536 tokens, several in each."""


class _Object(msgspec.Struct, gc=False):
    """An element of which nothing is read."""


_lists = msgspec.json.Decoder(list[msgspec.Raw])
_objects = msgspec.json.Decoder(list[_Object])


class ArraySplitter:
    """Collects bytes until an element is whole; `closed` says that the array, or the lone object, has ended.

    `begun` says that an element has been handed on, so that whoever appends one knows whether a comma is due.
    """

    __slots__ = ("_depth", "_escaped", "_held", "_held_bytes", "_in_text", "_outer", "begun", "closed")

    def __init__(self, *, lone: bool = False) -> None:
        self.begun = False
        self.closed = False
        self._held: list[bytes] = []  # joined once, when the element ends: a large one comes in hundreds of pieces
        self._held_bytes = 0
        self._depth = 0
        self._in_text = False
        self._escaped = False
        self._outer = 0 if lone else 1

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        """Return the elements that `data` completes, each with what stands before it, and what follows the last.

        Raises:
            ProviderMisbehaved: the element that has begun is over the bound, or there are absurdly many small ones.
        """
        ends = self._ends(data)
        if not ends:
            if self.closed:
                return [], self.rest() + data
            self._hold(data)
            return [], b""
        refuse_crumbs(len(ends), len(data))
        self.begun = True
        first, start = data[: ends[0]], ends[0]
        if self._held:
            first = self.rest() + first
        elements = [first]
        for end in ends[1:]:
            elements.append(data[start:end])
            start = end
        after = data[start:] if start < len(data) else b""
        if self.closed:
            return elements, after
        self._hold(after)
        return elements, b""

    def rest(self) -> bytes:
        """Return and forget what came after the last whole element."""
        rest = b"".join(self._held)
        self._held.clear()
        self._held_bytes = 0
        return rest

    def _ends(self, data: bytes) -> list[int]:
        """Return where in `data` elements end."""
        ends: list[int] = []
        at, size, depth, outer = 0, len(data), self._depth, self._outer
        if self.closed or not data:
            return ends
        if self._in_text:
            at = self._end_of_text(data, 0)
        while at < size:
            found = _TO_BRACKETS.match(data, at)
            assert found is not None, "it takes anything, and nothing too"
            at, brackets = found.end(), found.start(1)
            if brackets < 0:
                break
            if data[brackets] == _QUOTE:
                at = self._end_of_text(data, at)
            elif data[brackets] in _OPENING:
                depth += at - brackets
            else:
                if outer <= depth - 1 and depth - (at - brackets) <= outer:
                    ends.append(brackets + depth - outer)
                    if len(ends) > MAX_PARTS:
                        break  # it is refused
                depth -= at - brackets
                if depth <= 0:
                    self.closed = True
                    break
        self._depth = depth
        return ends

    def _end_of_text(self, data: bytes, at: int) -> int:
        """Return where the text ends that `data` is in at `at`; `len(data)` where that has not come."""
        found = _TO_QUOTE.match(data, at + self._escaped)
        if found is None:
            return len(data)
        ending = found.group(1)
        self._in_text, self._escaped = ending != b'"', ending == b"\\"
        return found.end()

    def _hold(self, data: bytes) -> None:
        if not data:
            return
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > MAX_EVENT_BYTES:
            raise ProviderMisbehaved(f"a part of the stream is over {MAX_EVENT_BYTES} bytes and still not whole")


_QUOTE = 0x22


def element_of(piece: bytes) -> bytes:
    """Return the element in a piece, without what stands before it."""
    return piece.lstrip(_BEFORE)


def elements_of(body: bytes) -> list[bytes]:
    """Return the elements of an array that came whole; none where it is no array, or one of something else.

    Raises:
        ProviderMisbehaved: there are absurdly many.
    """
    try:
        if len(body) > LARGE_BYTES and not decode(_objects, body):
            return []  # told at the first number, where the list of them would take seconds
        found = decode(_lists, body) or ()
    except msgspec.ValidationError:
        return []
    if len(found) > MAX_ELEMENTS:
        raise ProviderMisbehaved(f"an answer in {len(found)} parts; at most {MAX_ELEMENTS} are read")
    return [bytes(raw) for raw in found]
