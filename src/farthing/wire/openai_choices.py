"""What chat completions and the legacy ones have in common: choices that end one by one, and where usage is noted."""

import msgspec

from farthing.types.usage import UsageHabits
from farthing.wire.meter import OnText, Reading, decode_exact, error_status, error_text, present
from farthing.wire.openai_usage import USUAL, read_usage, reported_cost_nanousd, search_tier
from farthing.wire.sse import EventSplitter


class Books:
    """The parts of an answer that say something about it; the last of each counts."""

    __slots__ = ("_habits", "error", "model", "service_tier", "usage")

    def __init__(self, habits: UsageHabits) -> None:
        self._habits = habits
        self.model: str | None = None
        self.service_tier: str | None = None
        self.usage: bytes | None = None
        self.error: bytes | None = None

    def note_usage(self, raw: msgspec.Raw) -> bool:
        """Take the usage that stands in a choice; whether it counted any."""
        usage = present(raw)
        if usage is None or usage == b"{}":
            return False
        self.usage = usage
        return True

    def reading(self, *, finished: bool, usage_final: bool = True) -> Reading:
        """Return what has been noted."""
        usage = decode_exact(self.usage) if self.usage is not None else None
        error = decode_exact(self.error) if self.error is not None else None
        code, message = error_text(error) if self.error is not None else (None, None)
        return Reading(
            usage=read_usage(usage, self._habits),
            usage_final=usage_final,
            model_served=self.model,
            service_tier=self.service_tier or search_tier(usage),
            reported_cost_nanousd=reported_cost_nanousd(usage),
            finished=finished,
            error_code=code,
            error_message=message,
            error_status=error_status(error),
        )


class ChoicesMeter:
    """Reads a stream of choices while it flows by; a format says in `read` what one event tells.

    With `strip_usage` the extra chunk that only we asked for (`choices: []` with usage) is kept from the client.
    """

    __slots__ = (
        "_begun",
        "_books",
        "_finished",
        "_on_text",
        "_said_since_usage",
        "_splitter",
        "_strip_usage",
        "failed",
        "has_output",
        "terminal",
    )

    def __init__(self, on_text: OnText, habits: UsageHabits = USUAL, *, strip_usage: bool = False) -> None:
        self.has_output = False
        self.terminal = False
        self.failed = False
        self._begun: set[int] = set()
        self._books = Books(habits)
        self._finished: set[int] = set()
        self._on_text = on_text
        self._said_since_usage = False
        self._splitter = EventSplitter()
        self._strip_usage = strip_usage

    def read(self, event: bytes) -> bool:
        """Take one event; whether the client gets it."""
        raise NotImplementedError

    def feed(self, data: bytes) -> bytes:
        """See `StreamMeter.feed`."""
        events = self._splitter.feed(data)
        if len(events) == 1:
            return events[0] if self.read(events[0]) else b""
        return b"".join([event for event in events if self.read(event)])

    def rest(self) -> bytes:
        """See `StreamMeter.rest`."""
        rest = self._splitter.rest()
        return rest if not rest or self.read(rest) else b""

    def reading(self) -> Reading:
        """See `StreamMeter.reading`. With `n > 1` every choice that has begun must have finished."""
        finished = self.terminal or (bool(self._finished) and self._begun <= self._finished)
        return self._books.reading(finished=finished, usage_final=not self._said_since_usage)
