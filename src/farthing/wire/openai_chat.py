"""OpenAI chat completions, as OpenAI and the many that speak like it send them.

What surprised us: where usage sits differs (its own chunk with `choices: []`, the finish chunk, a chunk after it, or
`x_groq`); a stream may end without `[DONE]` and be whole; an error may come inside a 200; reasoning has two names; the
cached part is inside `prompt_tokens`, and OpenRouter's cache writes too.
"""

from typing import Annotated, Any

import msgspec

from farthing.types.usage import Usage, UsageHabits
from farthing.wire.lenient import UNREADABLE, decode
from farthing.wire.meter import (
    ABSENT,
    MAX_COUNT,
    Counts,
    OnText,
    Reading,
    check_parts,
    cost_nanousd,
    decode_exact,
    error_text,
    present,
)
from farthing.wire.sse import EventSplitter, event_data

_USUAL = UsageHabits()


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


class _Choice(msgspec.Struct, gc=False):
    index: int = 0
    delta: _Message | None = None
    message: _Message | None = None
    finish_reason: str | None = None


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
    usage: msgspec.Raw = ABSENT
    service_tier: str | None = None
    x_groq: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT


_Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]


class _PromptDetails(msgspec.Struct, gc=False):
    cached_tokens: _Count | None = None
    cache_write_tokens: _Count | None = None
    audio_tokens: _Count | None = None


class _CompletionDetails(msgspec.Struct, gc=False):
    reasoning_tokens: _Count | None = None
    audio_tokens: _Count | None = None


class _PlainUsage(msgspec.Struct, gc=False):
    """The usage that nearly every answer has; whatever else is in it goes the long way."""

    prompt_tokens: _Count
    completion_tokens: _Count
    total_tokens: _Count
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None
    prompt_cache_hit_tokens: msgspec.Raw = ABSENT
    server_tool_use: msgspec.Raw = ABSENT
    server_tool_use_details: msgspec.Raw = ABSENT
    cost: msgspec.Raw = ABSENT


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
_plain_usages = msgspec.json.Decoder(_PlainUsage)
_loose = msgspec.json.Decoder(_Loose)


def read_usage(usage: Any, habits: UsageHabits = _USUAL) -> Usage | None:
    """Return the usage in our shape; `None` where there is nothing to read. Never raises."""
    if not isinstance(usage, dict) or not usage:
        return None
    counts = Counts()
    prompt, completion = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
    server_tools = usage.get("server_tool_use") or usage.get("server_tool_use_details")
    cached = counts.part(prompt, "cached_tokens") or counts.part(usage, "prompt_cache_hit_tokens")
    input_tokens = counts.total(usage, "prompt_tokens")
    hit, miss = counts.total(usage, "prompt_cache_hit_tokens"), counts.total(usage, "prompt_cache_miss_tokens")
    if input_tokens is None and hit is not None and miss is not None:
        input_tokens = hit + miss
    output_tokens = counts.total(usage, "completion_tokens")
    total = counts.total(usage, "total_tokens")
    if total is not None and input_tokens is not None and output_tokens is None:
        output_tokens = max(0, total - input_tokens)
    reasoning = counts.part(completion, "reasoning_tokens")
    if habits.reasoning_outside and output_tokens is not None:
        output_tokens += reasoning
    if total is not None and (input_tokens or 0) + (output_tokens or 0) != total:
        counts.flag("total_disagrees")
    elif total is not None and output_tokens is not None and reasoning > output_tokens:
        # The total confirms that reasoning is inside the output: its count is another tokenizer's, and is cut.
        # OpenRouter charges exactly the output then (reported costs of three recorded answers, 2026).
        counts.flag("reasoning_exceeds_output")
        reasoning = output_tokens
    if output_tokens is not None and reasoning > output_tokens:
        counts.flag("reasoning_exceeds_output")
    written = counts.part(prompt, "cache_write_tokens")
    check_parts(counts, input_tokens, cached, written)
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cache_read_input_tokens=cached,
        cache_creation_5m_input_tokens=written,
        input_audio_tokens=counts.part(prompt, "audio_tokens"),
        reasoning_output_tokens=reasoning,
        output_audio_tokens=counts.part(completion, "audio_tokens"),
        web_search_requests=counts.part(server_tools, "web_search_requests"),
        flags=tuple(counts.flags),
    )


def read_answer(body: bytes, on_text: OnText, habits: UsageHabits = _USUAL) -> Reading:
    """Read a whole, not streamed, completion; `on_text` is told its text only where it reports no usage."""
    try:
        facts = _facts.decode(body)
    except UNREADABLE:
        return _read_closely(body, on_text, habits)
    usage = _plain_usage(facts.usage)
    if usage is None or present(facts.error) is not None or len(facts.choices) < _LEAST_CHOICES:
        return _read_closely(body, on_text, habits)
    return Reading(usage=usage, model_served=facts.model, service_tier=facts.service_tier, finished=True)


_LEAST_CHOICES = 3  # `[]` has none
_NO_USAGE = (0, 4)  # the lengths of an absent usage, and of `null`


def _plain_usage(raw: msgspec.Raw) -> Usage | None:
    """Return a usage without anything odd in it, in a tenth of the time that `read_usage` takes; else `None`."""
    try:
        plain = _plain_usages.decode(raw)
    except UNREADABLE:
        return None
    prompt, completion = plain.prompt_tokens_details, plain.completion_tokens_details
    reasoning = (completion.reasoning_tokens or 0) if completion is not None else 0
    cached = (prompt.cached_tokens or 0) if prompt is not None else 0
    written = (prompt.cache_write_tokens or 0) if prompt is not None else 0
    if (
        plain.prompt_tokens + plain.completion_tokens != plain.total_tokens
        or cached + written > plain.prompt_tokens
        or reasoning > plain.completion_tokens
        or plain.cost is not ABSENT
        or plain.prompt_cache_hit_tokens is not ABSENT
        or plain.server_tool_use is not ABSENT
        or plain.server_tool_use_details is not ABSENT
    ):
        return None
    return Usage(
        input_tokens=plain.prompt_tokens,
        output_tokens=plain.completion_tokens,
        cache_read_input_tokens=cached,
        cache_creation_5m_input_tokens=written,
        input_audio_tokens=(prompt.audio_tokens or 0) if prompt is not None else 0,
        reasoning_output_tokens=reasoning,
        output_audio_tokens=(completion.audio_tokens or 0) if completion is not None else 0,
    )


def _read_closely(body: bytes, on_text: OnText, habits: UsageHabits) -> Reading:
    books = _Books(habits)
    answer = _decode(body)
    if answer is None:
        return Reading(finished=False)
    books.note(answer)
    reading = books.reading(finished=bool(answer.choices))
    if reading.usage is None:
        for choice in answer.choices or ():
            if choice.message is not None:
                _tell(choice.message, on_text)
    return reading


def error_event(code: str, message: str) -> bytes:
    """Return the event that tells a client that its stream ended badly."""
    error = {"error": {"message": message, "type": "provider_error", "param": None, "code": code}}
    return b"data: %b\n\n" % msgspec.json.encode(error)


class _Books:
    """The parts of an answer that say something about it; the last of each counts."""

    __slots__ = ("_habits", "error", "model", "service_tier", "usage")

    def __init__(self, habits: UsageHabits) -> None:
        self._habits = habits
        self.model: str | None = None
        self.service_tier: str | None = None
        self.usage: bytes | None = None
        self.error: bytes | None = None

    def note(self, answer: _Answer) -> bool:
        """Take what an answer or a chunk says; whether it counted usage."""
        if answer.model:
            self.model = answer.model
        if answer.service_tier:
            self.service_tier = answer.service_tier
        if answer.usage is ABSENT and answer.x_groq is ABSENT and answer.error is ABSENT:
            return False
        usage, groq, error = present(answer.usage), present(answer.x_groq), present(answer.error)
        if usage is not None and usage != b"{}":
            self.usage = usage
        elif groq is not None and self.usage is None:
            nested = decode_exact(groq)
            if isinstance(nested, dict) and nested.get("usage"):
                self.usage = msgspec.json.encode(nested["usage"])
        if error is not None:
            self.error = error
        return usage is not None or groq is not None

    def reading(self, *, finished: bool, usage_final: bool = True) -> Reading:
        usage = decode_exact(self.usage) if self.usage is not None else None
        code, message = error_text(decode_exact(self.error)) if self.error is not None else (None, None)
        return Reading(
            usage=read_usage(usage, self._habits),
            usage_final=usage_final,
            model_served=self.model,
            service_tier=self.service_tier,
            reported_cost_nanousd=cost_nanousd(usage.get("cost")) if isinstance(usage, dict) else None,
            finished=finished,
            error_code=code,
            error_message=message,
        )


class ChatStreamMeter:
    """Reads a chat completion stream while it flows by; see `StreamMeter`.

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

    def __init__(self, on_text: OnText, habits: UsageHabits = _USUAL, *, strip_usage: bool = False) -> None:
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
        if (
            data.startswith(b"data: {")
            and data.find(b"\n") == len(data) - 2
            and not self._splitter.held
            and self._read_plainly(data)
        ):
            return data
        events = self._splitter.feed(data)
        if len(events) == 1:
            return events[0] if self._read(events[0]) else b""
        return b"".join([event for event in events if self._read(event)])

    def rest(self) -> bytes:
        """See `StreamMeter.rest`."""
        rest = self._splitter.rest()
        return rest if not rest or self._read(rest) else b""

    def reading(self) -> Reading:
        """See `StreamMeter.reading`. With `n > 1` every choice that has begun must have finished."""
        finished = self.terminal or (bool(self._finished) and self._begun <= self._finished)
        return self._books.reading(finished=finished, usage_final=not self._said_since_usage)

    def _read_plainly(self, event: bytes) -> bool:
        """Take an event that is a piece of text and nothing else, as nearly all are; False, and nothing taken, else."""
        try:
            chunk = _answers.decode(event[6:])
        except UNREADABLE:
            return False
        choices = chunk.choices
        if not choices or len(choices) != 1 or len(chunk.usage) not in _NO_USAGE or chunk.x_groq is not ABSENT:
            return False
        choice = choices[0]
        delta = choice.delta
        if delta is None or choice.finish_reason or chunk.error is not ABSENT:
            return False
        text = delta.content
        if not text:
            text = delta.reasoning_content or delta.reasoning
        elif delta.reasoning_content or delta.reasoning:
            return False
        if not text or not isinstance(text, str) or delta.tool_calls or delta.function_call or delta.refusal:
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
        books = self._books
        counted = books.note(chunk)
        if books.error is not None:
            self.failed = self.has_output = True
        if counted:
            self._said_since_usage = False
        if not chunk.choices:
            ours = self._strip_usage and counted and chunk.choices is not None
            return not ours or present(chunk.error) is not None
        for choice in chunk.choices:
            message = choice.delta or choice.message
            if message is not None and _tell(message, self._on_text):
                self.has_output = True
                self._begun.add(choice.index)
                self._said_since_usage = not counted
            if choice.finish_reason:  # some servers send "" with every chunk
                self.has_output = True
                self._finished.add(choice.index)
                self.failed = self.failed or choice.finish_reason == "error"
        return True


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
    return said


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
