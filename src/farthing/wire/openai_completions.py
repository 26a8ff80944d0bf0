"""OpenAI's legacy completions, which servers of open models still offer.

Usage is that of chat completions, and so are its places in a stream. What surprised us: an answer without a word
leaves `completion_tokens` out; with `n` or several prompts each choice ends for itself. With `echo` the prompt comes
back as text: where such a stream is cut before its usage, the estimate counts it as written.
"""

from typing import Any

import msgspec

from farthing.types.usage import UsageHabits
from farthing.wire import openai_choices
from farthing.wire.error_words import error_inside
from farthing.wire.lenient import UNREADABLE, decode
from farthing.wire.meter import ABSENT, OnText, Reading, present_error
from farthing.wire.openai_choices import Books, ChoicesMeter
from farthing.wire.openai_usage import USUAL, plain_usage


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


class _PlainChoice(msgspec.Struct, gc=False):
    text: str
    index: int = 0
    finish_reason: str | None = None


class _PlainChunk(msgspec.Struct, gc=False):
    """A piece of text as it should be."""

    choices: list[_PlainChoice]
    model: str | None = None
    service_tier: str | None = None
    usage: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT


_plain_chunks = msgspec.json.Decoder(_PlainChunk)
_answers = msgspec.json.Decoder(_Answer)
_choices = msgspec.json.Decoder(list[_Choice])


def read_answer(body: bytes, on_text: OnText, habits: UsageHabits = USUAL) -> Reading:
    """Read a whole, not streamed, completion; `on_text` is told its text only where it reports no usage."""
    answer = _decode(body)
    if answer is None:
        return Reading(finished=False)
    if len(answer.choices) > _LEAST_CHOICES and len(answer.error) in _NOTHING:
        usage = plain_usage(answer.usage, habits)
        if usage is not None and usage.output_tokens:
            model, tier = answer.model, answer.service_tier
            return Reading(
                usage=usage,
                model_served=model if isinstance(model, str) else None,
                service_tier=tier if isinstance(tier, str) else None,
                finished=True,
            )
    books = Books(habits)
    _note(books, answer)
    choices = _choices_of(answer)
    reading = books.reading(finished=bool(choices) and books.error is None)
    if not reading.counted:
        for choice in choices or ():
            if choice.text and isinstance(choice.text, str):
                on_text(choice.text)
    return reading


_LEAST_CHOICES = 3  # `[]` has none
_NOTHING = (0, 4)  # the lengths of what is absent, and of `null`


def _note(books: Books, answer: _Answer) -> bool:
    """Take what an answer or a chunk says; whether it counted usage."""
    if answer.model and isinstance(answer.model, str):
        books.model = answer.model
    if answer.service_tier and isinstance(answer.service_tier, str):
        books.service_tier = answer.service_tier
    error = present_error(answer.error)
    if error is not None:
        books.error = error
    return books.note_usage(answer.usage)


class CompletionsStreamMeter(ChoicesMeter):
    """Reads a stream of completions while it flows by; see `StreamMeter`."""

    __slots__ = ()

    def read(self, event: bytes) -> bool:
        """See `EventMeter.read`; an event that is a piece of text and nothing else, as nearly all are, is read fast."""
        if event[:7] == b"data: {" and self._read_plainly(event):
            return True
        return super().read(event)

    def _read_plainly(self, event: bytes) -> bool:
        """Take such an event; False, and nothing taken, where it is another."""
        try:
            chunk = _plain_chunks.decode(event[6:])
        except UNREADABLE:
            return False
        if len(chunk.choices) != 1 or chunk.error is not ABSENT:
            return False
        if chunk.usage is not ABSENT and len(chunk.usage) not in _NOTHING:
            return False
        choice = chunk.choices[0]
        if not choice.text or choice.finish_reason:
            return False
        books = self._books
        if chunk.model:
            books.model = chunk.model
        if chunk.service_tier:
            books.service_tier = chunk.service_tier
        self.has_output = self._said_since_usage = True
        self._begun.add(choice.index)
        self._on_text(choice.text)
        return True

    def read_data(self, data: bytes) -> bool | None:
        """See `ChoicesMeter.read_data`."""
        chunk = _decode(data)
        if chunk is None:
            return None
        counted = _note(self._books, chunk)
        if chunk.choices is ABSENT and not counted and self._books.error is None and error_inside(data) is not None:
            self._books.error = self._fail_oddly(data)
            return False
        failed = self._books.error is not None
        if failed:
            self._fail()
        if counted:
            self._said_since_usage = False
        choices = _choices_of(chunk)
        if not choices:
            self._accounted = self._accounted or counted
            return failed or not (self._strip_usage and counted and choices is not None)
        for choice in choices:
            index = choice.index if isinstance(choice.index, int) else 0
            if choice.text and isinstance(choice.text, str):
                self.has_output = True
                self._begun.add(index)
                self._said_since_usage = not counted
                self._on_text(choice.text)
            if choice.finish_reason:
                self._finish(index, choice.finish_reason)
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
error_event = openai_choices.error_event
