"""Server-sent events: cut a byte stream into whole events, and read the data of one.

Lines may end in LF, CRLF or CR and providers use the first two; comments (`: keep-alive`) are events without data.
Only whole events are handed on, so that what we append after a cut never lands in the middle of one.
"""

import re

from farthing.errors import ProviderMisbehaved

MAX_EVENT_BYTES = 32 << 20
"""The largest event kept while incomplete: an image in base64 is a few MB, a request body at most 32."""
MAX_PARTS = 150_000
"""Events, lines or elements in one piece: the longest answer, 128,000 tokens, should it come in one for each."""
MAX_CRUMBS = 4_096
"""Of them, if they are under `CRUMB_BYTES`; the smallest that say anything have 60, and each costs as much as a large
one. A read has at most 256 KB, which is at most 11,000 that are no crumbs."""
CRUMB_BYTES = 24
MAX_LINES = 50_000
"""Lines of one event; everybody sends one or two."""
LARGE_BYTES = 1 << 20
"""From here on parts are counted before they are cut."""
_END = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")


class EventSplitter:
    """Collects bytes until an event is whole; `held` is the beginning of one."""

    __slots__ = ("_more", "held")

    def __init__(self) -> None:
        self.held = b""
        self._more = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Return the events that `data` completes, each with its blank line."""
        if self.held:
            if not self._may_end(data):
                # Joined once the event ends: joining and searching each time would take a giant event's square.
                self._more += data
                self._check_bound()
                return []
            data = b"".join((self.held, self._more, data))
            self._more.clear()
        elif len(data) > 2 and data.find(b"\n\n") == len(data) - 2 and b"\r" not in data:
            return [data]  # one whole event, as nearly always while a stream flows
        if b"\r" not in data:
            if len(data) > LARGE_BYTES:
                refuse_crumbs(data.count(b"\n\n"), len(data))
            events = data.split(b"\n\n")
            refuse_crumbs(len(events), len(data))
            self.held = events.pop()
            whole = [event + b"\n\n" for event in events]
        else:
            whole, start = [], 0
            for end in _END.finditer(data):
                if end.end() == len(data) and data.endswith(b"\r") and not data.endswith(b"\r\r"):
                    break  # a line feed that belongs to this blank line may still come
                whole.append(data[start : end.end()])
                start = end.end()
                if len(whole) > MAX_PARTS:
                    break
            refuse_crumbs(len(whole), len(data))
            self.held = data[start:]
        self._check_bound()
        return whole

    def rest(self) -> bytes:
        """Return and forget what came after the last whole event."""
        rest, self.held = self.held + self._more, b""
        self._more.clear()
        return rest

    def _may_end(self, data: bytes) -> bool:
        """Whether `data` may end the event that has begun: a blank line has at most four bytes, some of them before."""
        more = self._more
        before = more[-3:] if len(more) > 2 else self.held[-3:] + more
        at_edge = before + data[:3]
        if b"\r" not in data and b"\r" not in before:
            return b"\n\n" in data or b"\n\n" in at_edge
        return _END.search(data) is not None or _END.search(at_edge) is not None

    def _check_bound(self) -> None:
        if len(self.held) + len(self._more) > MAX_EVENT_BYTES:
            raise ProviderMisbehaved(f"an event of the stream is over {MAX_EVENT_BYTES} bytes and still not whole")


def refuse_crumbs(parts: int, size: int) -> None:
    """Refuse so many parts of a stream in one piece of `size` bytes that reading them would keep everybody waiting.

    Raises:
        ProviderMisbehaved: they are that many.
    """
    if parts > MAX_CRUMBS and (parts > MAX_PARTS or size < parts * CRUMB_BYTES):
        raise ProviderMisbehaved(f"{parts} parts of the stream in {size} bytes, which is no answer")


def event_data(event: bytes) -> bytes:
    """Return the data of one event, its lines joined; empty where it has none (a comment, a bare name).

    Raises:
        ProviderMisbehaved: it has absurdly many lines.
    """
    start = event.find(b"\n") + 1 if event.startswith(b"event: ") else 0
    if event.startswith(b"data: ", start) and event.find(b"\n", start) == len(event) - 2:
        return event[start + 6 : -2]
    if len(event) > LARGE_BYTES and event.count(b"\n") + event.count(b"\r") > MAX_LINES:
        raise ProviderMisbehaved(f"an event of the stream has over {MAX_LINES} lines")
    lines = [line for line in event.splitlines() if line.startswith(b"data")]
    if len(lines) == 1 and lines[0].startswith(b"data:"):
        return lines[0][5:].removeprefix(b" ")
    return b"\n".join(line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:"))
