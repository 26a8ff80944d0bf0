"""What chat completions and the legacy ones have in common: choices that end one by one, and where usage is noted."""

import msgspec

from farthing.types.usage import UsageHabits
from farthing.wire.error_words import error_status, error_text
from farthing.wire.event_meter import EventMeter, event_name, in_words
from farthing.wire.meter import OnText, Reading, decode_exact, present
from farthing.wire.openai_usage import USUAL, read_usage, reported_cost_nanousd, search_tier
from farthing.wire.sse import event_data


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

    def reading(self, *, finished: bool, usage_final: bool = True, beyond_text: bool = False) -> Reading:
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
            beyond_text=beyond_text,
            error_code=code,
            error_message=message,
            error_status=error_status(error),
        )


class ChoicesMeter(EventMeter):
    """Reads a stream of choices while it flows by; a format says in `read_data` what the data of an event tells.

    With `strip_usage` the extra chunk that only we asked for (`choices: []` with usage) is kept from the client. So is
    a `[DONE]` after text that nothing has finished and no chunk of its own has counted: such a stream was cut, and who
    sees `[DONE]` takes it for whole. OpenAI's sound ends without a finish, and with usage (two recorded streams).
    """

    __slots__ = ("_accounted", "_begun", "_beyond_text", "_books", "_finished", "_strip_usage")

    def __init__(self, on_text: OnText, habits: UsageHabits = USUAL, *, strip_usage: bool = False) -> None:
        super().__init__(on_text)
        self._accounted = False
        self._begun: set[int] = set()
        self._beyond_text = False
        self._books = Books(habits)
        self._finished: set[int] = set()
        self._strip_usage = strip_usage

    def read_data(self, data: bytes) -> bool | None:
        """Take the data of one event; whether the client gets it, `None` where it cannot be read."""
        raise NotImplementedError

    def read(self, event: bytes) -> bool:
        """See `EventMeter.read`. An event that calls itself an error is one, whatever its data."""
        data = event_data(event)
        if data == b"[DONE]":
            self.terminal = self.failed or self.has_finish or self._accounted or not self.has_output
            return self.terminal
        passes = self.read_data(data) if data else True
        if event.startswith(b"event:") and not self.failed and event_name(event) == "error":
            self._books.error = self._fail_oddly(in_words(data) if passes is None else data or b"{}")
            return False
        if passes is None:
            self.suspect = passes = True
        return passes

    def reading(self) -> Reading:
        """See `StreamMeter.reading`. With `n > 1` every choice that has begun must have finished."""
        finished = self.terminal or (bool(self._finished) and self._begun <= self._finished)
        return self._books.reading(
            finished=finished, usage_final=not self._said_since_usage, beyond_text=self._beyond_text
        )

    def error_event(self, code: str, message: str) -> bytes:
        """See `StreamMeter.error_event`."""
        return error_event(code, message)

    def _finish(self, index: int, reason: object) -> None:
        self.has_finish = True
        self._finished.add(index)
        if reason == "error":
            self._fail()


def error_event(code: str, message: str) -> bytes:
    """Return the event that tells a client that its stream ended badly."""
    error = {"error": {"message": message, "type": "provider_error", "param": None, "code": code}}
    return b"data: %b\n\n" % msgspec.json.encode(error)
