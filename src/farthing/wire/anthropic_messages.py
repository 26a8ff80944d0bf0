"""Anthropic messages.

What surprised us: `input_tokens` leaves the cache out, so our inclusive total is a sum; a stream's usage comes in two
halves that must be merged, and the second may correct the first upwards (server tools) while leaving the split of
cache lifetimes out; an error may come as an event of its own.
"""

from typing import Any

import msgspec

from farthing.types.usage import Usage, UsageHabits
from farthing.wire.lenient import decode
from farthing.wire.meter import ABSENT, Counts, OnText, Reading, decode_exact, error_text, present
from farthing.wire.sse import EventSplitter, event_data


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


_USUAL = UsageHabits()
_events = msgspec.json.Decoder(_Event)
_messages = msgspec.json.Decoder(_Message)


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
    usage = _exact(message.usage)
    reading = read_usage(usage)
    content, error = present(message.content), present(message.error)
    if reading is None and content is not None:
        on_text(content.decode("utf-8", "replace"))
    code, text = error_text(decode_exact(error)) if error is not None else (None, None)
    return Reading(
        usage=reading,
        model_served=message.model,
        service_tier=_tier(usage),
        finished=message.type == "message",
        error_code=code,
        error_message=text,
    )


def error_event(code: str, message: str) -> bytes:
    """Return the event that tells a client that its stream ended badly."""
    error = {"type": "error", "error": {"type": "api_error", "message": message, "code": code}}
    return b"event: error\ndata: %b\n\n" % msgspec.json.encode(error)


class MessagesStreamMeter:
    """Reads a messages stream while it flows by; see `StreamMeter`."""

    __slots__ = (
        "_error",
        "_finished",
        "_model",
        "_on_text",
        "_said_since_usage",
        "_splitter",
        "_usage",
        "failed",
        "has_output",
        "terminal",
    )

    def __init__(self, on_text: OnText, habits: UsageHabits = _USUAL, *, strip_usage: bool = False) -> None:  # noqa: ARG002 - the format tells usage unasked, and nobody has habits in it
        self.has_output = False
        self.terminal = False
        self.failed = False
        self._error: bytes | None = None
        self._finished = False
        self._model: str | None = None
        self._on_text = on_text
        self._said_since_usage = False
        self._splitter = EventSplitter()
        self._usage: dict[str, Any] = {}

    def feed(self, data: bytes) -> bytes:
        """See `StreamMeter.feed`."""
        events = self._splitter.feed(data)
        for event in events:
            self._read(event)
        return events[0] if len(events) == 1 else b"".join(events)

    def rest(self) -> bytes:
        """See `StreamMeter.rest`."""
        rest = self._splitter.rest()
        if rest:
            self._read(rest)
        return rest

    def reading(self) -> Reading:
        """See `StreamMeter.reading`."""
        code, text = error_text(decode_exact(self._error)) if self._error is not None else (None, None)
        return Reading(
            usage=read_usage(self._usage),
            usage_final=not self._said_since_usage,
            model_served=self._model,
            service_tier=_tier(self._usage),
            finished=self._finished,
            error_code=code,
            error_message=text,
        )

    def _read(self, event: bytes) -> None:
        data = event_data(event)
        if not data:
            return
        try:
            read = decode(_events, data)
        except msgspec.ValidationError:
            return
        if read is None:
            return
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
                    self.has_output = self._finished = True
            case "message_stop":
                self.has_output = self._finished = self.terminal = True
            case "error":
                self._error = present(read.error) or b"{}"
                self.failed = self.has_output = True
            case _:
                pass  # pings and block ends say nothing about money

    def _produced(self, event: _Event) -> None:
        delta, block = event.delta, event.content_block
        text = None
        if delta is not None:
            self.has_output = True
            text = delta.text or delta.thinking or delta.partial_json
        elif block is not None:
            text = block.name or block.text or block.thinking
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
