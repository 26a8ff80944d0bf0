"""OpenAI responses, as OpenAI, Azure, xAI, OpenRouter and DeepSeek send them.

What surprised us: usage comes only in the last event, so a stream that was cut has none; that event is
`response.completed`, `response.incomplete` or `response.failed`, and `[DONE]` follows it at OpenRouter only; xAI counts
reasoning inside the output here and outside in its chat completions, so no habit of a provider's applies; an error
comes as an `error` event with its words at the top level [documented] or in `error` [sent], or in `response.error`.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from farthing.types.usage import UsageHabits
from farthing.wire.error_words import error_inside, error_status, error_text
from farthing.wire.event_meter import EventMeter, event_name, in_words
from farthing.wire.lenient import UNREADABLE, decode
from farthing.wire.meter import ABSENT, Counts, OnText, Reading, decode_exact, in_short, present, present_error
from farthing.wire.openai_responses_usage import TOOL_MARKS, Item, Tools, plain_usage, read_usage
from farthing.wire.openai_usage import USUAL, reported_cost_nanousd
from farthing.wire.sse import event_data

_ENDS = {"response.completed", "response.incomplete", "response.failed", "response.cancelled", "response.done"}
_ENDED = {"completed", "incomplete", "failed", "cancelled"}
_PENDING = {"queued", "in_progress"}
_NOT_WRITTEN = {"response.audio.delta", "response.shell_call_output_content.delta"}
"""Deltas that are no text of the model's: sound in base64, and what a command printed."""
_BEYOND_TEXT = {"response.audio.delta", "response.image_generation_call.partial_image"}
"""Sound and pictures, in base64."""
_A_CALL = b'_call"'
_LAST = (1 << 31) - 1
"""The sequence number of our own event: numbers only have to grow, and nobody counts with more than 31 bits."""


class _Event(msgspec.Struct, gc=False):
    type: Any = None
    delta: Any = None
    item: msgspec.Raw = ABSENT
    response: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT
    code: Any = None
    message: Any = None


class _Response(msgspec.Struct, gc=False):
    """A response less its instructions, tools and text."""

    model: Any = None
    status: Any = None
    service_tier: Any = None
    usage: msgspec.Raw = ABSENT
    tool_usage: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT
    output: msgspec.Raw = ABSENT


_events = msgspec.json.Decoder(_Event)
_responses = msgspec.json.Decoder(_Response)
_items = msgspec.json.Decoder(Item)
_raws = msgspec.json.Decoder(list[msgspec.Raw])


def read_answer(body: bytes, on_text: OnText, habits: UsageHabits = USUAL) -> Reading:  # noqa: ARG001 - nobody has any in this format
    """Read a whole, not streamed, response; `on_text` is told its text only where it reports no usage.

    A response that runs in the background is not finished, and what it will cost is not known here.
    """
    response = _response(body)
    if response is None:
        return Reading(finished=False)
    status = response.status
    ended = status in _ENDED if isinstance(status, str) else len(response.output) > len(b"[]")
    ended = ended and (response.output is not ABSENT or response.usage is not ABSENT)
    books = _Books()
    books.note(response)
    items = books.end(response)
    reading = books.reading(finished=ended)
    if isinstance(status, str) and status in _PENDING and reading.usage is None and books.error is None:
        return msgspec.structs.replace(reading, pending=True)
    if not reading.counted:
        for item in items or _output(response):
            for text in _texts(item, name=True):
                on_text(text)
    return reading


def error_event(code: str, message: str) -> bytes:
    """Return the event that tells a client that its stream ended badly.

    It has the words where OpenAI's description puts them, and in `error`, where its server puts them and its SDK looks.
    """
    said = {"code": code, "message": message, "param": None}
    event = {"type": "error", **said, "sequence_number": _LAST, "error": {"type": "provider_error", **said}}
    return b"event: error\ndata: %b\n\n" % msgspec.json.encode(event)


class _Books:
    """The parts of a response that say something about it; the last of each counts."""

    __slots__ = ("_usage", "error", "model", "service_tier", "tools")

    def __init__(self) -> None:
        self._usage: bytes | None = None
        self.error: bytes | None = None
        self.model: str | None = None
        self.service_tier: str | None = None
        self.tools = Tools()

    def note(self, response: _Response) -> bool:
        """Take what a response says; whether it counted usage."""
        if response.model and isinstance(response.model, str):
            self.model = response.model
        if response.service_tier and isinstance(response.service_tier, str):
            self.service_tier = response.service_tier
        error, usage = present_error(response.error), present(response.usage)
        if error is not None:
            self.error = error
        if usage is None or usage == b"{}":
            return False
        self._usage = usage
        return True

    def end(self, response: _Response) -> list[Item]:
        """Take the last word on what tools did; returns the output's items where they had to be looked at."""
        items: list[Item] = []
        output = bytes(response.output)
        if _A_CALL in output and any(mark in output for mark in TOOL_MARKS):
            items = _output(response)
            seen = Tools()
            for item in items:
                seen.note(item)
            self.tools.searches = max(self.tools.searches, seen.searches)
            self.tools.unpriced = self.tools.unpriced or seen.unpriced
        counted = present(response.tool_usage)
        of_tools = decode_exact(counted) if counted is not None else None
        if isinstance(of_tools, dict):
            requests = Counts().total(of_tools.get("web_search"), "num_requests")
            self.tools.searches = self.tools.searches if requests is None else requests
        return items

    def reading(self, *, finished: bool, usage_final: bool = True, beyond_text: bool = False) -> Reading:
        counted, cost = None, None
        usage = plain_usage(self._usage) if self._usage is not None and not self.tools.used else None
        if usage is None:
            counted = decode_exact(self._usage) if self._usage is not None else None
            usage, cost = read_usage(counted, self.tools), reported_cost_nanousd(counted)
        if self.error is None:
            return Reading(
                usage=usage,
                usage_final=usage_final,
                model_served=self.model,
                service_tier=self.service_tier,
                reported_cost_nanousd=cost,
                finished=finished,
                beyond_text=beyond_text,
            )
        error = decode_exact(self.error)
        code, message = error_text(error)
        return Reading(
            usage=usage,
            usage_final=usage_final,
            model_served=self.model,
            service_tier=self.service_tier,
            reported_cost_nanousd=cost,
            finished=finished,
            beyond_text=beyond_text,
            error_code=code,
            error_message=message,
            error_status=error_status(error),
        )


class ResponsesStreamMeter(EventMeter):
    """Reads a stream of responses while it flows by; see `StreamMeter`."""

    __slots__ = ("_beyond_text", "_books", "_item_spoke", "_spoke")

    def __init__(self, on_text: OnText, habits: UsageHabits = USUAL, *, strip_usage: bool = False) -> None:  # noqa: ARG002 - the format tells usage unasked, and nobody has habits in it
        super().__init__(on_text)
        self._beyond_text = False
        self._books = _Books()
        self._item_spoke = False
        self._spoke = False

    def reading(self) -> Reading:
        """See `StreamMeter.reading`. `[DONE]` alone is no end: the client has got no response."""
        return self._books.reading(
            finished=self.terminal, usage_final=not self._said_since_usage, beyond_text=self._beyond_text
        )

    def error_event(self, code: str, message: str) -> bytes:
        """See `StreamMeter.error_event`."""
        return error_event(code, message)

    def read(self, event: bytes) -> bool:
        """See `EventMeter.read`. A `[DONE]` before the end is kept back: who sees it takes the stream for whole."""
        data = event_data(event)
        if data == b"[DONE]":
            return self.failed
        if not data and not event.startswith(b"event:"):
            return True
        try:
            read = decode(_events, data)
        except msgspec.ValidationError:
            read = None
        if read is None:
            return self._read_oddity(event, data)
        kind = read.type if isinstance(read.type, str) and read.type else event_name(event)
        if kind.endswith(".delta") and kind not in _NOT_WRITTEN:
            if read.delta:
                self._item_spoke = True
                self._say(read.delta if isinstance(read.delta, str) else _written(read.delta))
        elif kind in _BEYOND_TEXT:
            self.has_output = self._beyond_text = self._said_since_usage = self._item_spoke = True
        elif kind in _ENDS:
            self._end(kind, read.response)
        elif kind == "response.output_item.added":
            self._item_begins(_item(read.item))
        elif kind == "response.output_item.done":
            self._item_ends(_item(read.item))
        elif read.type == "error" or present_error(read.error) is not None:
            self._books.error = present_error(read.error) or in_short(data)
            self._fail()
        elif read.response is not ABSENT:  # created, queued, in progress
            response = _response(read.response)
            if response is not None and self._books.note(response):
                self._said_since_usage = False
        elif kind == "error" or not kind.startswith("response."):
            return self._read_oddity(event, data)
        return True

    def _read_oddity(self, event: bytes, data: bytes) -> bool:
        """Take what the format does not know; whether the client gets it. Errors are known by name or by words."""
        told = error_inside(data)
        if told is not None or event_name(event) == "error":
            self._books.error = self._fail_oddly(data if told is not None else in_words(data))
            return False
        self.suspect = self.suspect or bool(data)
        return True

    def _item_begins(self, item: Item | None) -> None:
        """A call begins with its tool's name; a message or a thought begins with nothing."""
        self._item_spoke = False
        if item is not None and item.name and isinstance(item.name, str):
            self._say(item.name)

    def _item_ends(self, item: Item | None) -> None:
        if item is None:
            return
        self.has_output = True
        self._books.tools.note(item)
        if item.type == "image_generation_call":
            self._beyond_text = self._said_since_usage = True
        if not self._item_spoke:  # it came at once, without deltas
            for text in _texts(item, name=False):
                self._say(text)
        self._item_spoke = False

    def _end(self, kind: str, raw: msgspec.Raw) -> None:
        self.has_finish = self.terminal = True
        books, response = self._books, _response(raw)
        if response is not None:
            if books.note(response):
                self._said_since_usage = False
            items = books.end(response)
            if not self._spoke and not self.reading().counted:
                for item in items or _output(response):
                    for text in _texts(item, name=True):
                        self._say(text)
        if kind == "response.failed" or books.error is not None:
            self._fail()
            books.error = books.error or b"{}"

    def _say(self, text: str) -> None:
        self.has_output = self._spoke = self._said_since_usage = True
        self._on_text(text)


def _written(delta: Any) -> str:
    try:
        return msgspec.json.encode(delta).decode()
    except UNREADABLE:  # a number that is too large to be written again
        return str(delta)


def _texts(item: Item, *, name: bool) -> Iterator[str]:
    """Tell what the model wrote in an item: text, thoughts, arguments, code, commands."""
    for text in (item.name if name else None, item.arguments, item.input, item.code):
        if text and isinstance(text, str):
            yield text
    commands = item.action.get("commands") if isinstance(item.action, dict) else None
    for parts in (item.summary, item.content, commands):
        for part in parts if isinstance(parts, list) else ():
            said = part
            if isinstance(part, dict):
                said = part.get("text") or part.get("refusal") or part.get("transcript")
            if said and isinstance(said, str):
                yield said


def _response(raw: bytes | msgspec.Raw) -> _Response | None:
    try:
        return decode(_responses, raw)
    except msgspec.ValidationError:
        return None


def _output(response: _Response) -> list[Item]:
    try:
        raws = decode(_raws, response.output)
    except msgspec.ValidationError:
        return []
    return [item for raw in raws or () if (item := _item(raw)) is not None]


def _item(raw: msgspec.Raw) -> Item | None:
    try:
        return decode(_items, raw)
    except msgspec.ValidationError:
        return None


stream_meter = ResponsesStreamMeter
