"""OpenAI chat completions, as OpenAI and the many that speak like it send them.

What surprised us: where usage sits differs (its own chunk with `choices: []`, the finish chunk, a chunk after it,
every chunk, Moonshot's `choices[0].usage`, or old Groq's `x_groq`); a stream may end without `[DONE]` and be whole; an
error may come inside a 200; reasoning has two names. How usage is counted differs too: see `openai_usage`.
"""

from typing import Any

import msgspec

from farthing.types.usage import UsageHabits
from farthing.wire import openai_choices
from farthing.wire.error_words import error_inside
from farthing.wire.lenient import UNREADABLE, decode
from farthing.wire.meter import ABSENT, OnText, Reading, decode_exact, present, present_error
from farthing.wire.openai_choices import Books, ChoicesMeter
from farthing.wire.openai_usage import USUAL, PlainUsage, usage_of


class _Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(msgspec.Struct, gc=False):
    function: _Function | None = None


class _Message(msgspec.Struct, gc=False):
    content: Any = None  # text, or Mistral's list of parts
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None
    function_call: _Function | None = None
    audio: msgspec.Raw = ABSENT
    images: msgspec.Raw = ABSENT  # OpenRouter's


class _Choice(msgspec.Struct, gc=False):
    index: int = 0
    delta: _Message | None = None
    message: _Message | None = None
    finish_reason: str | None = None
    usage: msgspec.Raw = ABSENT


class _Answer(msgspec.Struct, gc=False):
    """A whole completion or one chunk; everything is optional because providers leave things out."""

    choices: list[_Choice] | None = None
    model: str | None = None
    usage: msgspec.Raw = ABSENT
    x_groq: msgspec.Raw = ABSENT
    service_tier: str | None = None
    error: msgspec.Raw = ABSENT


class _Facts(msgspec.Struct, gc=False):
    """What a whole completion says about itself; its text is not looked at."""

    choices: msgspec.Raw = ABSENT
    model: str | None = None
    usage: PlainUsage | None = None
    service_tier: str | None = None
    x_groq: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT


class _Loose(msgspec.Struct, gc=False):
    """The same with nothing believed: what is read when a field has a type that nobody documents."""

    choices: Any = None
    model: Any = None
    usage: Any = None
    x_groq: Any = None
    service_tier: Any = None
    error: Any = None


_answers = msgspec.json.Decoder(_Answer)
_facts = msgspec.json.Decoder(_Facts)
_loose = msgspec.json.Decoder(_Loose)


def read_answer(body: bytes, on_text: OnText, habits: UsageHabits = USUAL) -> Reading:
    """Read a whole, not streamed, completion; `on_text` is told its text only where it reports no usage."""
    try:
        facts = _facts.decode(body)
    except UNREADABLE:
        return _read_closely(body, on_text, habits)
    usage = None if facts.usage is None else usage_of(facts.usage, habits)
    if usage is None or not usage.output_tokens or len(facts.choices) < _LEAST_CHOICES:
        return _read_closely(body, on_text, habits)
    if len(facts.error) not in _NOTHING:
        return _read_closely(body, on_text, habits)
    return Reading(usage=usage, model_served=facts.model, service_tier=facts.service_tier, finished=True)


_LEAST_CHOICES = 3  # `[]` has none
_NOTHING = (0, 4)  # the lengths of what is absent, and of `null`


def _read_closely(body: bytes, on_text: OnText, habits: UsageHabits) -> Reading:
    books = Books(habits)
    answer = _decode(body)
    if answer is None:
        return Reading(finished=False)
    _note(books, answer)
    choices = answer.choices or ()
    beyond_text = any(choice.message is not None and _is_beyond_text(choice.message) for choice in choices)
    reading = books.reading(finished=bool(choices) and books.error is None, beyond_text=beyond_text)
    if not reading.counted:
        for choice in choices:
            if choice.message is not None:
                _tell(choice.message, on_text)
    return reading


def _note(books: Books, answer: _Answer) -> bool:
    """Take what an answer or a chunk says; whether it counted usage."""
    if answer.model:
        books.model = answer.model
    if answer.service_tier:
        books.service_tier = answer.service_tier
    if answer.usage is ABSENT and answer.x_groq is ABSENT and answer.error is ABSENT:
        return False
    counted = books.note_usage(answer.usage)
    groq, error = present(answer.x_groq), present_error(answer.error)
    if groq is not None and books.usage is None:
        nested = decode_exact(groq)
        if isinstance(nested, dict) and nested.get("usage"):
            books.usage = msgspec.json.encode(nested["usage"])
            counted = True
    if error is not None:
        books.error = error
    return counted


class ChatStreamMeter(ChoicesMeter):
    """Reads a chat completion stream while it flows by; see `StreamMeter`."""

    __slots__ = ()

    def feed(self, data: bytes) -> bytes:
        """See `StreamMeter.feed`."""
        if (
            data.startswith(b"data: {")
            and data.find(b"\n") == len(data) - 2
            and not self._splitter.held
            and not self.terminal
            and self._read_plainly(data)
        ):
            return data
        return super().feed(data)

    def _read_plainly(self, event: bytes) -> bool:
        """Take an event that is a piece of text and nothing else, as nearly all are; False, and nothing taken, else."""
        try:
            chunk = _answers.decode(event[6:])
        except UNREADABLE:
            return False
        choices = chunk.choices
        if not choices or len(choices) != 1 or chunk.x_groq is not ABSENT:
            return False
        if chunk.usage is not ABSENT and len(chunk.usage) not in _NOTHING:
            return False
        choice = choices[0]
        delta = choice.delta
        if delta is None or choice.finish_reason or chunk.error is not ABSENT or choice.usage is not ABSENT:
            return False
        text = delta.content
        if not text:
            text = delta.reasoning_content or delta.reasoning
        elif delta.reasoning_content or delta.reasoning:
            return False
        if not text or not isinstance(text, str) or delta.tool_calls or delta.function_call or delta.refusal:
            return False
        if delta.audio is not ABSENT or delta.images is not ABSENT:
            return False
        self._on_text(text)
        books = self._books
        if chunk.model:
            books.model = chunk.model
        if chunk.service_tier:
            books.service_tier = chunk.service_tier
        self.has_output = self._said_since_usage = True
        self._begun.add(choice.index)
        return True

    def read_data(self, data: bytes) -> bool | None:
        """See `ChoicesMeter.read_data`."""
        chunk = _decode(data)
        if chunk is None:
            return None
        books = self._books
        counted = _note(books, chunk)
        if chunk.choices is None and not counted and books.error is None and error_inside(data) is not None:
            books.error = self._fail_oddly(data)
            return False
        if books.error is not None:
            self._fail()
        if counted:
            self._said_since_usage = False
        if not chunk.choices:
            self._accounted = self._accounted or counted
            ours = self._strip_usage and counted and chunk.choices is not None
            return not ours or present_error(chunk.error) is not None
        for choice in chunk.choices:
            if choice.usage is not ABSENT and present(chunk.usage) is None:
                counted = books.note_usage(choice.usage) or counted
                self._said_since_usage = self._said_since_usage and not counted
            message = choice.delta or choice.message
            if message is not None and self._tell(message):
                self.has_output = True
                self._begun.add(choice.index)
                self._said_since_usage = not counted
            if choice.finish_reason:  # some servers send "" with every chunk
                self._finish(choice.index, choice.finish_reason)
        return True

    def _tell(self, message: _Message) -> bool:
        said = _tell(message, self._on_text)
        if _is_beyond_text(message):
            self._beyond_text = said = True
        return said


def _is_beyond_text(message: _Message) -> bool:
    """Whether there is sound or a picture in it; an `audio` that only says when it expires has none."""
    if message.images is not ABSENT and len(message.images) > len(b"null"):
        return True
    return message.audio is not ABSENT and b'"data"' in bytes(message.audio)


def _tell(message: _Message, on_text: OnText) -> bool:
    """Tell `on_text` what a message or a delta says; whether it said anything."""
    said = False
    content = message.content
    if content:
        said = True
        on_text(content if isinstance(content, str) else msgspec.json.encode(content).decode())
    for text in (message.reasoning_content or message.reasoning, message.refusal):
        if text:
            said = True
            on_text(text)
    calls = [call.function for call in message.tool_calls] if message.tool_calls else []
    for function in (*calls, message.function_call):
        if function is not None:
            said = True
            on_text((function.name or "") + (function.arguments or ""))
    transcript = _transcript(message.audio) if message.audio is not ABSENT else ""
    if transcript:
        said = True
        on_text(transcript)
    return said


def _transcript(audio: msgspec.Raw) -> str:
    told = decode_exact(bytes(audio))
    transcript = told.get("transcript") if isinstance(told, dict) else None
    return transcript if isinstance(transcript, str) else ""


def _decode(data: bytes) -> _Answer | None:
    try:
        return decode(_answers, data)
    except msgspec.ValidationError:
        return _decode_loosely(data)


def _decode_loosely(data: bytes) -> _Answer | None:
    try:
        loose = decode(_loose, data)
    except msgspec.ValidationError:
        return None
    if loose is None:
        return None
    choices: list[_Choice] | None = None
    if isinstance(loose.choices, list):
        choices = []
        for choice in loose.choices:
            try:
                choices.append(msgspec.convert(choice, _Choice, strict=False))
            except UNREADABLE:
                choices.append(_Choice(message=_Message(content=choice)))
    return _Answer(
        choices=choices,
        model=loose.model if isinstance(loose.model, str) else None,
        usage=_raw(loose.usage),
        x_groq=_raw(loose.x_groq),
        service_tier=loose.service_tier if isinstance(loose.service_tier, str) else None,
        error=_raw(loose.error),
    )


def _raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


stream_meter = ChatStreamMeter
error_event = openai_choices.error_event
