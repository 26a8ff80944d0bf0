"""Anthropic messages.

What surprised us: `input_tokens` leaves the cache out, so our inclusive total is a sum; a stream's usage comes in two
halves that must be merged, and the second may correct the first upwards (server tools) while leaving the split of
cache lifetimes out; an error may come as an event of its own.
"""

from typing import Annotated, Any

import msgspec

from farthing.types.usage import Usage, UsageHabits
from farthing.wire.error_words import error_inside, error_status, error_text
from farthing.wire.event_meter import EventMeter, event_name, in_words
from farthing.wire.lenient import UNREADABLE, decode
from farthing.wire.meter import (
    ABSENT,
    MAX_COUNT,
    Counts,
    OnText,
    Reading,
    decode_exact,
    in_short,
    present,
    present_error,
)
from farthing.wire.sse import event_data


class _Message(msgspec.Struct, gc=False):
    model: str | None = None
    usage: msgspec.Raw = ABSENT
    content: msgspec.Raw = ABSENT
    stop_reason: str | None = None
    type: str | None = None
    error: msgspec.Raw = ABSENT


class _Block(msgspec.Struct, gc=False):
    type: str = ""
    name: str | None = None
    text: str | None = None
    thinking: str | None = None


class _Delta(msgspec.Struct, gc=False):
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None


class _Event(msgspec.Struct, gc=False):
    type: str = ""
    message: _Message | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT


_Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]


class _Thought(msgspec.Struct, gc=False):
    thinking_tokens: _Count | None = None


class _Lifetimes(msgspec.Struct, gc=False):
    ephemeral_5m_input_tokens: _Count = 0
    ephemeral_1h_input_tokens: _Count = 0


class _PlainUsage(msgspec.Struct, gc=False):
    """The usage that nearly every answer has; whatever else is in it goes the long way."""

    input_tokens: _Count
    output_tokens: Annotated[int, msgspec.Meta(gt=0, le=MAX_COUNT)]
    cache_creation_input_tokens: _Count | None = None
    cache_read_input_tokens: _Count | None = None
    cache_creation: _Lifetimes | None = None
    output_tokens_details: _Thought | None = None
    service_tier: str | None = None
    server_tool_use: None = None
    speed: None = None


_NOTHING = (0, 4)  # the lengths of what is absent, and of `null`
_USUAL = UsageHabits()
_events = msgspec.json.Decoder(_Event)
_messages = msgspec.json.Decoder(_Message)
_plain_usages = msgspec.json.Decoder(_PlainUsage)


def read_usage(usage: Any) -> Usage | None:
    """Return the usage in our shape; `None` where there is nothing to read. Never raises."""
    if not isinstance(usage, dict) or not usage:
        return None
    counts = Counts()
    split = usage.get("cache_creation")
    written_1h = counts.part(split, "ephemeral_1h_input_tokens")
    written_5m = counts.part(split, "ephemeral_5m_input_tokens")
    written = counts.total(usage, "cache_creation_input_tokens")
    if written is None:
        written = written_1h + written_5m
    if written_1h + written_5m != written:
        # The split is the first half's, the total the second's: what the split does not explain has the default life.
        written_1h = min(written_1h, written)
        written_5m = written - written_1h
    read = counts.part(usage, "cache_read_input_tokens")
    fresh = counts.total(usage, "input_tokens")
    output = counts.total(usage, "output_tokens")
    thinking = counts.part(usage.get("output_tokens_details"), "thinking_tokens")
    if output is not None and thinking > output:
        counts.flag("reasoning_exceeds_output")
    return Usage(
        input_tokens=None if fresh is None else fresh + read + written,
        output_tokens=output,
        cache_read_input_tokens=read,
        cache_creation_5m_input_tokens=written_5m,
        cache_creation_1h_input_tokens=written_1h,
        reasoning_output_tokens=thinking,
        web_search_requests=counts.part(usage.get("server_tool_use"), "web_search_requests"),
        flags=tuple(counts.flags),
    )


def read_answer(body: bytes, on_text: OnText, habits: UsageHabits = _USUAL) -> Reading:  # noqa: ARG001 - nobody has any here
    """Read a whole, not streamed, message; `on_text` is told its content only where it reports no usage."""
    try:
        message = decode(_messages, body)
    except msgspec.ValidationError:
        message = None
    if message is None:
        return Reading(finished=False)
    if message.type == "message" and len(message.error) in _NOTHING:
        plain = _plain_reading(message)
        if plain is not None:
            return plain
    usage = _exact(message.usage)
    told = present_error(message.error)
    error = decode_exact(told) if told is not None else None
    code, text = error_text(error) if error is not None else (None, None)
    reading = Reading(
        usage=read_usage(usage),
        model_served=message.model,
        service_tier=_tier(usage),
        finished=message.type == "message" and error is None,
        error_code=code,
        error_message=text,
        error_status=error_status(error),
    )
    content = present(message.content)
    if not reading.counted and content is not None and len(content) > _NO_CONTENT:
        on_text(content.decode("utf-8", "replace"))
    return reading


_NO_CONTENT = 2  # the length of `[]`


def _plain_reading(message: _Message) -> Reading | None:
    """Return what a message with a usual usage says, in a third of the time that the long way takes; else `None`."""
    try:
        plain = _plain_usages.decode(message.usage)
    except UNREADABLE:
        return None
    written, read = plain.cache_creation_input_tokens or 0, plain.cache_read_input_tokens or 0
    thinking = plain.output_tokens_details.thinking_tokens or 0 if plain.output_tokens_details is not None else 0
    hour = plain.cache_creation.ephemeral_1h_input_tokens if plain.cache_creation is not None else 0
    if thinking > plain.output_tokens or hour > written:
        return None
    if plain.cache_creation is not None and plain.cache_creation.ephemeral_5m_input_tokens + hour != written:
        return None
    return Reading(
        usage=Usage(
            input_tokens=plain.input_tokens + read + written,
            output_tokens=plain.output_tokens,
            cache_read_input_tokens=read,
            cache_creation_5m_input_tokens=written - hour,
            cache_creation_1h_input_tokens=hour,
            reasoning_output_tokens=thinking,
        ),
        model_served=message.model,
        service_tier=plain.service_tier,
        finished=True,
    )


def error_event(code: str, message: str) -> bytes:
    """Return the event that tells a client that its stream ended badly."""
    error = {"type": "error", "error": {"type": "api_error", "message": message, "code": code}}
    return b"event: error\ndata: %b\n\n" % msgspec.json.encode(error)


class MessagesStreamMeter(EventMeter):
    """Reads a messages stream while it flows by; see `StreamMeter`."""

    __slots__ = ("_error", "_finished", "_model", "_usage")

    def __init__(self, on_text: OnText, habits: UsageHabits = _USUAL, *, strip_usage: bool = False) -> None:  # noqa: ARG002 - the format tells usage unasked, and nobody has habits in it
        super().__init__(on_text)
        self._error: bytes | None = None
        self._finished = False
        self._model: str | None = None
        self._usage: dict[str, Any] = {}

    def reading(self) -> Reading:
        """See `StreamMeter.reading`."""
        error = decode_exact(self._error) if self._error is not None else None
        code, text = error_text(error) if self._error is not None else (None, None)
        return Reading(
            usage=read_usage(self._usage),
            usage_final=not self._said_since_usage,
            model_served=self._model,
            service_tier=_tier(self._usage),
            finished=self._finished,
            error_code=code,
            error_message=text,
            error_status=error_status(error),
        )

    def error_event(self, code: str, message: str) -> bytes:
        """See `StreamMeter.error_event`."""
        return error_event(code, message)

    def read(self, event: bytes) -> bool:
        """See `EventMeter.read`."""
        data = event_data(event)
        if not data and not event.startswith(b"event:"):
            return True
        try:
            read = decode(_events, data)
        except msgspec.ValidationError:
            read = None
        if read is None:
            return self._read_oddity(event, data)
        match read.type:
            case "content_block_delta" | "content_block_start":
                self._produced(read)
            case "message_start":
                if read.message is not None:
                    self._model = read.message.model
                    self._merge(read.message.usage)
            case "message_delta":
                if self._merge(read.usage):
                    self._said_since_usage = False
                if read.delta is not None and read.delta.stop_reason:
                    self.has_finish = self._finished = True
            case "message_stop":
                self.has_finish = self._finished = self.terminal = True
            case "ping" | "content_block_stop":
                pass  # says nothing about money
            case "error":
                self._error = present_error(read.error) or in_short(data)
                self._fail()
            case _:
                return self._read_oddity(event, data)
        return True

    def _read_oddity(self, event: bytes, data: bytes) -> bool:
        """Take what the format does not know; whether the client gets it. Errors are known by name or by words."""
        told = error_inside(data)
        if event_name(event) == "error":  # which is what Anthropic's own client goes by
            self._error = in_short(data) if told is not None else in_words(data)
            self._fail()
        elif told is not None:
            self._error = self._fail_oddly(data)
            return False
        self.suspect = self.suspect or bool(data)
        return True

    def _produced(self, event: _Event) -> None:
        delta, block = event.delta, event.content_block
        text = None
        if delta is not None:
            self.has_output = True
            text = delta.text or delta.thinking or delta.partial_json
        elif block is not None:
            text = block.name or block.text or block.thinking
            self.has_output = self.has_output or block.type == "redacted_thinking"
        if text:
            self.has_output = self._said_since_usage = True
            self._on_text(text)

    def _merge(self, raw: msgspec.Raw) -> bool:
        """Later counts overrule earlier ones, what the later half leaves out stays; whether the output was counted."""
        usage = _exact(raw)
        if isinstance(usage, dict):
            self._usage.update({name: value for name, value in usage.items() if value is not None})
            return usage.get("output_tokens") is not None
        return False


def _exact(raw: msgspec.Raw) -> Any:
    data = present(raw)
    return None if data is None else decode_exact(data)


def _tier(usage: Any) -> str | None:
    """Return the service tier; fast mode is told apart from it and priced like one."""
    if not isinstance(usage, dict):
        return None
    if usage.get("speed") == "fast":
        return "fast"
    tier = usage.get("service_tier")
    return tier if isinstance(tier, str) else None


stream_meter = MessagesStreamMeter
