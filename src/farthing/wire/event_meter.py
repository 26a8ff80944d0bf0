"""What meters of server-sent events have in common: how events are cut, kept back and handed on.

Nothing that says anything goes to the client after a format's last event: by then the attempt is settled, so that it
would be had for nothing. Comments do, and the `[DONE]` that OpenRouter puts behind a format that has its own end.
"""

import msgspec

from farthing.wire.error_words import MAX_TEXT, error_text
from farthing.wire.meter import OnText, Reading, decode_exact, in_short
from farthing.wire.sse import EventSplitter, event_data

_NOTHING_MORE = (b"", b"[DONE]")
_NAME_BYTES = 256
"""How far a name is looked for; the longest has 43."""


class EventMeter:
    """A meter of events; a format says in `read` what one of them tells. See `StreamMeter`."""

    __slots__ = (
        "_instead",
        "_on_text",
        "_said_since_usage",
        "_splitter",
        "failed",
        "has_finish",
        "has_output",
        "suspect",
        "terminal",
    )

    def __init__(self, on_text: OnText) -> None:
        self.has_output = False
        self.has_finish = False
        self.terminal = False
        self.failed = False
        self.suspect = False
        self._instead = b""
        self._on_text = on_text
        self._said_since_usage = False
        self._splitter = EventSplitter()

    def read(self, event: bytes) -> bool:
        """Take one event; whether the client gets it."""
        raise NotImplementedError

    def reading(self) -> Reading:
        """See `StreamMeter.reading`."""
        raise NotImplementedError

    def error_event(self, code: str, message: str) -> bytes:
        """See `StreamMeter.error_event`."""
        raise NotImplementedError

    def feed(self, data: bytes) -> bytes:
        """See `StreamMeter.feed`."""
        events = self._splitter.feed(data)
        if len(events) == 1 and not self.terminal:
            return events[0] if self.read(events[0]) else self._in_its_place()
        return b"".join([event if self._passes(event) else self._in_its_place() for event in events])

    def rest(self) -> bytes:
        """See `StreamMeter.rest`."""
        rest = self._splitter.rest()
        return rest if rest and self._passes(rest) else self._in_its_place()

    def _passes(self, event: bytes) -> bool:
        return event_data(event) in _NOTHING_MORE if self.terminal else self.read(event)

    def _in_its_place(self) -> bytes:
        """Return what the client gets instead of the event that it does not get."""
        instead, self._instead = self._instead, b""
        return instead

    def _fail(self) -> None:
        self.failed = self.suspect = True

    def _fail_oddly(self, error: bytes) -> bytes:
        """Fail with an error that no client of the format would see as one: it gets the format's own in its place."""
        self._fail()
        error = in_short(error)
        code, message = error_text(decode_exact(error))
        self._instead = self.error_event(code, message or "the provider sent an error without words")
        return error


def event_name(event: bytes) -> str:
    """Return an event's name; empty where it has none, or has it after its data."""
    lines = event[:_NAME_BYTES].splitlines()
    return lines[0][6:].strip().decode("ascii", "replace") if lines and lines[0].startswith(b"event:") else ""


def in_words(data: bytes) -> bytes:
    """Return data that is no JSON object as a text in JSON."""
    return msgspec.json.encode(data[:MAX_TEXT].decode("utf-8", "replace"))
