"""OpenAI's legacy completions, which servers of open models still offer.

Usage is that of chat completions, and so are its places in a stream. What surprised us: an answer without a word
leaves `completion_tokens` out; with `n` or several prompts each choice ends for itself. With `echo` the prompt comes
back as text: where such a stream is cut before its usage, the estimate counts it as written.
"""

from typing import Any

import msgspec

from farthing.types.usage import UsageHabits
from farthing.wire import openai_chat
from farthing.wire.lenient import decode
from farthing.wire.meter import ABSENT, OnText, Reading, decode_exact, error_status, error_text, present
from farthing.wire.openai_usage import USUAL, read_usage, reported_cost_nanousd
from farthing.wire.sse import EventSplitter, event_data


class _Choice(msgspec.Struct, gc=False):
    index: Any = 0
    text: Any = None
    finish_reason: Any = None


class _Answer(msgspec.Struct, gc=False):
    """A whole completion or one chunk; nothing is believed to have the type that it should."""

    choices: msgspec.Raw = ABSENT
    model: Any = None
    usage: msgspec.Raw = ABSENT
    service_tier: Any = None
    error: msgspec.Raw = ABSENT


_answers = msgspec.json.Decoder(_Answer)
_choices = msgspec.json.Decoder(list[_Choice])


def read_answer(body: bytes, on_text: OnText, habits: UsageHabits = USUAL) -> Reading:
    """Read a whole, not streamed, completion; `on_text` is told its text only where it reports no usage."""
    answer = _decode(body)
    if answer is None:
        return Reading(finished=False)
    books = _Books(habits)
    books.note(answer)
    choices = _choices_of(answer)
    reading = books.reading(finished=bool(choices))
    if reading.usage is None:
        for choice in choices or ():
            if choice.text and isinstance(choice.text, str):
                on_text(choice.text)
    return reading


class _Books:
    """The parts of an answer that say something about it; the last of each counts."""

    __slots__ = ("_habits", "error", "model", "service_tier", "usage")

    def __init__(self, habits: UsageHabits) -> None:
        self._habits = habits
        self.error: bytes | None = None
        self.model: str | None = None
        self.service_tier: str | None = None
        self.usage: bytes | None = None

    def note(self, answer: _Answer) -> bool:
        """Take what an answer or a chunk says; whether it counted usage."""
        if answer.model and isinstance(answer.model, str):
            self.model = answer.model
        if answer.service_tier and isinstance(answer.service_tier, str):
            self.service_tier = answer.service_tier
        usage, error = present(answer.usage), present(answer.error)
        if error is not None:
            self.error = error
        if usage is not None and usage != b"{}":
            self.usage = usage
        return usage is not None

    def reading(self, *, finished: bool, usage_final: bool = True) -> Reading:
        usage = decode_exact(self.usage) if self.usage is not None else None
        error = decode_exact(self.error) if self.error is not None else None
        code, message = error_text(error) if self.error is not None else (None, None)
        return Reading(
            usage=read_usage(usage, self._habits),
            usage_final=usage_final,
            model_served=self.model,
            service_tier=self.service_tier,
            reported_cost_nanousd=reported_cost_nanousd(usage),
            finished=finished,
            error_code=code,
            error_message=message,
            error_status=error_status(error),
        )


class CompletionsStreamMeter:
    """Reads a stream of completions while it flows by; see `StreamMeter`.

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
        self._books = _Books(habits)
        self._finished: set[int] = set()
        self._on_text = on_text
        self._said_since_usage = False
        self._splitter = EventSplitter()
        self._strip_usage = strip_usage

    def feed(self, data: bytes) -> bytes:
        """See `StreamMeter.feed`."""
        events = self._splitter.feed(data)
        if len(events) == 1:
            return events[0] if self._read(events[0]) else b""
        return b"".join([event for event in events if self._read(event)])

    def rest(self) -> bytes:
        """See `StreamMeter.rest`."""
        rest = self._splitter.rest()
        return rest if not rest or self._read(rest) else b""

    def reading(self) -> Reading:
        """See `StreamMeter.reading`. Every choice that has begun must have finished."""
        finished = self.terminal or (bool(self._finished) and self._begun <= self._finished)
        return self._books.reading(finished=finished, usage_final=not self._said_since_usage)

    def _read(self, event: bytes) -> bool:
        """Take one event; whether the client gets it."""
        data = event_data(event)
        if not data:
            return True
        if data == b"[DONE]":
            self.terminal = True
            return True
        chunk = _decode(data)
        if chunk is None:
            return True
        counted = self._books.note(chunk)
        failed = present(chunk.error) is not None
        if failed:
            self.failed = self.has_output = True
        if counted:
            self._said_since_usage = False
        choices = _choices_of(chunk)
        if not choices:
            return failed or not (self._strip_usage and counted and choices is not None)
        for choice in choices:
            index = choice.index if isinstance(choice.index, int) else 0
            if choice.text and isinstance(choice.text, str):
                self.has_output = True
                self._begun.add(index)
                self._said_since_usage = not counted
                self._on_text(choice.text)
            if choice.finish_reason:
                self.has_output = True
                self._finished.add(index)
                self.failed = self.failed or choice.finish_reason == "error"
        return True


def _decode(data: bytes) -> _Answer | None:
    try:
        return decode(_answers, data)
    except msgspec.ValidationError:
        return None


def _choices_of(answer: _Answer) -> list[_Choice] | None:
    """Return the choices; `None` where there are none that can be read."""
    try:
        return decode(_choices, answer.choices)
    except msgspec.ValidationError:
        return None


stream_meter = CompletionsStreamMeter
error_event = openai_chat.error_event
