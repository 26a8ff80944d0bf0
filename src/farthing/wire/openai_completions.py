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
from farthing.wire.meter import ABSENT, OnText, Reading, present
from farthing.wire.openai_choices import Books, ChoicesMeter
from farthing.wire.openai_usage import USUAL
from farthing.wire.sse import event_data


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
    books = Books(habits)
    _note(books, answer)
    choices = _choices_of(answer)
    reading = books.reading(finished=bool(choices))
    if reading.usage is None:
        for choice in choices or ():
            if choice.text and isinstance(choice.text, str):
                on_text(choice.text)
    return reading


def _note(books: Books, answer: _Answer) -> bool:
    """Take what an answer or a chunk says; whether it counted usage."""
    if answer.model and isinstance(answer.model, str):
        books.model = answer.model
    if answer.service_tier and isinstance(answer.service_tier, str):
        books.service_tier = answer.service_tier
    error = present(answer.error)
    if error is not None:
        books.error = error
    return books.note_usage(answer.usage)


class CompletionsStreamMeter(ChoicesMeter):
    """Reads a stream of completions while it flows by; see `StreamMeter`."""

    __slots__ = ()

    def read(self, event: bytes) -> bool:
        """See `ChoicesMeter.read`."""
        data = event_data(event)
        if not data:
            return True
        if data == b"[DONE]":
            self.terminal = True
            return True
        chunk = _decode(data)
        if chunk is None:
            return True
        counted = _note(self._books, chunk)
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
