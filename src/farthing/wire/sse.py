"""Server-sent events: cut a byte stream into whole events, and read the data of one.

Lines may end in LF, CRLF or CR and providers use the first two; comments (`: keep-alive`) are events without data.
Only whole events are handed on, so that what we append after a cut never lands in the middle of one.
"""

import re

from farthing.errors import ProviderMisbehaved

MAX_EVENT_BYTES = 32 << 20
"""The largest event kept while incomplete: an image in base64 is a few MB, a request body at most 32."""
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
            if b"\n" not in data and b"\r" not in data and not self.held.endswith(b"\r"):
                # Joined once a line ends: joining and searching each time would take a giant event's square.
                self._more += data
                self._check_bound()
                return []
            data = b"".join((self.held, self._more, data))
            self._more.clear()
        elif len(data) > 2 and data.find(b"\n\n") == len(data) - 2 and b"\r" not in data:
            return [data]  # one whole event, as nearly always while a stream flows
        if b"\r" not in data:
            events = data.split(b"\n\n")
            self.held = events.pop()
            whole = [event + b"\n\n" for event in events]
        else:
            whole, start = [], 0
            for end in _END.finditer(data):
                if end.end() == len(data) and data.endswith(b"\r") and not data.endswith(b"\r\r"):
                    break  # a line feed that belongs to this blank line may still come
                whole.append(data[start : end.end()])
                start = end.end()
            self.held = data[start:]
        self._check_bound()
        return whole

    def rest(self) -> bytes:
        """Return and forget what came after the last whole event."""
        rest, self.held = self.held + self._more, b""
        self._more.clear()
        return rest

    def _check_bound(self) -> None:
        if len(self.held) + len(self._more) > MAX_EVENT_BYTES:
            raise ProviderMisbehaved(f"an event of the stream is over {MAX_EVENT_BYTES} bytes and still not whole")


def event_data(event: bytes) -> bytes:
    """Return the data of one event, its lines joined; empty where it has none (a comment, a bare name)."""
    start = event.find(b"\n") + 1 if event.startswith(b"event: ") else 0
    if event.startswith(b"data: ", start) and event.find(b"\n", start) == len(event) - 2:
        return event[start + 6 : -2]
    lines = [line for line in event.splitlines() if line.startswith(b"data")]
    if len(lines) == 1 and lines[0].startswith(b"data:"):
        return lines[0][5:].removeprefix(b" ")
    return b"\n".join(line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:"))
