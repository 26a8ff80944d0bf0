"""OpenAI responses, as OpenAI, Azure, xAI, OpenRouter and DeepSeek send them.

What surprised us: usage comes only in the last event, so a stream that was cut has none; that event is
`response.completed`, `response.incomplete` or `response.failed`, and `[DONE]` follows it at OpenRouter only; xAI counts
reasoning inside the output here and outside in its chat completions, so no habit of a provider's applies; an error
comes as an `error` event with its words at the top level [documented] or in `error` [sent], or in `response.error`.

Server tools. OpenAI bills a web search per `web_search_call` whose action is `search`, not for opening a page or
finding text in one, and not per query; newer answers count them in `tool_usage`, xAI in its usage, and those counts
go first (where both are recorded, they agree). File search, code interpreter, containers and image generation have
fees that no price list of ours has: the line is flagged `server_tools_unpriced`, its cost is that of its tokens.
"""

from collections.abc import Iterator
from typing import Annotated, Any

import msgspec

from farthing.types.usage import Usage, UsageFlag, UsageHabits
from farthing.wire.lenient import UNREADABLE, decode
from farthing.wire.meter import (
    ABSENT,
    MAX_COUNT,
    Counts,
    OnText,
    Reading,
    check_parts,
    decode_exact,
    error_status,
    error_text,
    present,
)
from farthing.wire.openai_usage import USUAL, reported_cost_nanousd
from farthing.wire.sse import EventSplitter, event_data

_ENDS = {"response.completed", "response.incomplete", "response.failed", "response.cancelled", "response.done"}
_ENDED = {"completed", "incomplete", "failed", "cancelled"}
_PENDING = {"queued", "in_progress"}
_NOT_WRITTEN = {"response.audio.delta", "response.shell_call_output_content.delta"}
"""Deltas that are no text of the model's: sound in base64, and what a command printed."""
_UNPRICED_TOOLS = {"file_search_call", "code_interpreter_call", "image_generation_call"}
_UNPRICED_COUNTS = ("code_interpreter_calls", "file_search_calls", "document_search_calls", "image_generation_calls")
_TOOL_MARKS = (b'"web_search_call"', b'"shell_call"', *(b'"%b"' % kind.encode() for kind in sorted(_UNPRICED_TOOLS)))
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


class _Item(msgspec.Struct, gc=False):
    """What an item of the output says and does; an image's bytes are not among it."""

    type: Any = None
    status: Any = None
    name: Any = None
    arguments: Any = None
    input: Any = None
    code: Any = None
    content: Any = None
    summary: Any = None
    action: Any = None
    environment: Any = None


_Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]


class _Given(msgspec.Struct, gc=False):
    cached_tokens: _Count | None = None
    cache_write_tokens: _Count | None = None
    audio_tokens: msgspec.Raw = ABSENT
    image_tokens: msgspec.Raw = ABSENT


class _Made(msgspec.Struct, gc=False):
    reasoning_tokens: _Count | None = None
    audio_tokens: msgspec.Raw = ABSENT
    image_tokens: msgspec.Raw = ABSENT


class _PlainUsage(msgspec.Struct, gc=False):
    """The usage that nearly every answer has; whatever else is in it goes the long way."""

    input_tokens: _Count
    output_tokens: _Count
    total_tokens: _Count
    input_tokens_details: _Given | None = None
    output_tokens_details: _Made | None = None
    server_side_tool_usage_details: msgspec.Raw = ABSENT
    cost: msgspec.Raw = ABSENT
    cost_in_usd_ticks: msgspec.Raw = ABSENT


_NOTHING_GIVEN, _NOTHING_MADE = _Given(), _Made()
_events = msgspec.json.Decoder(_Event)
_plain_usages = msgspec.json.Decoder(_PlainUsage)
_responses = msgspec.json.Decoder(_Response)
_items = msgspec.json.Decoder(_Item)
_raws = msgspec.json.Decoder(list[msgspec.Raw])


def read_answer(body: bytes, on_text: OnText, habits: UsageHabits = USUAL) -> Reading:  # noqa: ARG001 - nobody has any in this format
    """Read a whole, not streamed, response; `on_text` is told its text only where it reports no usage.

    A response that runs in the background is not finished, and what it will cost is not known here.
    """
    response = _response(body)
    if response is None:
        return Reading(finished=False)
    books = _Books()
    books.note(response)
    items = books.end(response)
    status = response.status
    ended = status in _ENDED if isinstance(status, str) else len(response.output) > len(b"[]")
    reading = books.reading(finished=ended)
    if isinstance(status, str) and status in _PENDING and reading.usage is None:
        return msgspec.structs.replace(reading, pending=True)
    if reading.usage is None or not reading.usage.known:
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


def read_usage(usage: Any, tools: "_Tools | None" = None) -> Usage | None:
    """Return the usage in our shape; `None` where there is nothing to read. Never raises."""
    tools = tools or _Tools()
    if not isinstance(usage, dict) or not usage:
        return tools.usage()
    counts = Counts()
    given, made = usage.get("input_tokens_details"), usage.get("output_tokens_details")
    input_tokens = counts.total(usage, "input_tokens")
    output_tokens = counts.total(usage, "output_tokens")
    total = counts.total(usage, "total_tokens")
    if total is not None and input_tokens is not None and output_tokens is None:
        output_tokens = max(0, total - input_tokens)
    reasoning = counts.part(made, "reasoning_tokens")
    cached, written = counts.part(given, "cached_tokens"), counts.part(given, "cache_write_tokens")
    if total is not None and (input_tokens or 0) + (output_tokens or 0) != total:
        counts.flag("total_disagrees")
    if output_tokens is not None and reasoning > output_tokens:
        counts.flag("reasoning_exceeds_output")
        if "total_disagrees" not in counts.flags and total is not None:
            reasoning = output_tokens  # the total confirms the output; reasoning is counted by another tokenizer
    check_parts(counts, input_tokens, cached, written)
    searches = tools.searches
    of_server = usage.get("server_side_tool_usage_details")
    if isinstance(of_server, dict):
        searches = counts.part(of_server, "web_search_calls") + counts.part(of_server, "x_search_calls")
    if tools.unpriced or any(counts.part(of_server, name) for name in _UNPRICED_COUNTS):
        counts.flag("server_tools_unpriced")
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cache_read_input_tokens=cached,
        cache_creation_5m_input_tokens=written,
        input_audio_tokens=counts.part(given, "audio_tokens"),
        input_image_tokens=counts.part(given, "image_tokens"),
        reasoning_output_tokens=reasoning,
        output_audio_tokens=counts.part(made, "audio_tokens"),
        output_image_tokens=counts.part(made, "image_tokens"),
        web_search_requests=searches,
        flags=tuple(counts.flags),
    )


def _plain_usage(raw: bytes) -> Usage | None:
    """Return a usage without anything odd in it, in a quarter of the time that `read_usage` takes; else `None`."""
    try:
        plain = _plain_usages.decode(raw)
    except UNREADABLE:
        return None
    given, made = plain.input_tokens_details or _NOTHING_GIVEN, plain.output_tokens_details or _NOTHING_MADE
    cached, written = given.cached_tokens or 0, given.cache_write_tokens or 0
    reasoning = made.reasoning_tokens or 0
    odd = (given.audio_tokens, given.image_tokens, made.audio_tokens, made.image_tokens, plain.cost)
    if (
        plain.input_tokens + plain.output_tokens != plain.total_tokens
        or cached + written > plain.input_tokens
        or reasoning > plain.output_tokens
        or any(len(member) for member in odd)
        or plain.cost_in_usd_ticks is not ABSENT
        or plain.server_side_tool_usage_details is not ABSENT
    ):
        return None
    return Usage(
        input_tokens=plain.input_tokens,
        output_tokens=plain.output_tokens,
        cache_read_input_tokens=cached,
        cache_creation_5m_input_tokens=written,
        reasoning_output_tokens=reasoning,
    )


class _Tools:
    """What the provider's own tools did: how often they searched, and whether they did what we have no price for."""

    __slots__ = ("searches", "unpriced")

    def __init__(self) -> None:
        self.searches = 0
        self.unpriced = False

    def note(self, item: _Item) -> None:
        """Take an item of the output; one that failed was not billed."""
        kind, action = item.type, item.action
        if item.status == "failed" or not isinstance(kind, str):
            return
        if kind == "web_search_call":
            what = action.get("type") if isinstance(action, dict) else None
            self.searches += what is None or what == "search"
        elif kind in _UNPRICED_TOOLS:
            self.unpriced = True
        elif kind == "shell_call" and isinstance(item.environment, dict):
            where = item.environment.get("type")
            self.unpriced = self.unpriced or (isinstance(where, str) and where.startswith("container"))

    @property
    def used(self) -> bool:
        """Whether there is anything to bill, or to say."""
        return self.searches > 0 or self.unpriced

    def usage(self) -> Usage | None:
        """Return what is known where no tokens were counted: totals stay unknown, and searches are billed."""
        if not self.used:
            return None
        flags: tuple[UsageFlag, ...] = ("server_tools_unpriced",) if self.unpriced else ()
        return Usage(web_search_requests=self.searches, flags=flags)


class _Books:
    """The parts of a response that say something about it; the last of each counts."""

    __slots__ = ("_usage", "error", "model", "service_tier", "tools")

    def __init__(self) -> None:
        self._usage: bytes | None = None
        self.error: bytes | None = None
        self.model: str | None = None
        self.service_tier: str | None = None
        self.tools = _Tools()

    def note(self, response: _Response) -> bool:
        """Take what a response says; whether it counted usage."""
        if response.model and isinstance(response.model, str):
            self.model = response.model
        if response.service_tier and isinstance(response.service_tier, str):
            self.service_tier = response.service_tier
        error, usage = present(response.error), present(response.usage)
        if error is not None:
            self.error = error
        if usage is None or usage == b"{}":
            return False
        self._usage = usage
        return True

    def end(self, response: _Response) -> list[_Item]:
        """Take the last word on what tools did; returns the output's items where they had to be looked at."""
        items: list[_Item] = []
        output = bytes(response.output)
        if any(mark in output for mark in _TOOL_MARKS):
            items = _output(response)
            seen = _Tools()
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

    def reading(self, *, finished: bool, usage_final: bool = True) -> Reading:
        counted, cost = None, None
        usage = _plain_usage(self._usage) if self._usage is not None and not self.tools.used else None
        if usage is None:
            counted = decode_exact(self._usage) if self._usage is not None else None
            usage, cost = read_usage(counted, self.tools), reported_cost_nanousd(counted)
        error = decode_exact(self.error) if self.error is not None else None
        code, message = error_text(error) if self.error is not None else (None, None)
        return Reading(
            usage=usage,
            usage_final=usage_final,
            model_served=self.model,
            service_tier=self.service_tier,
            reported_cost_nanousd=cost,
            finished=finished,
            error_code=code,
            error_message=message,
            error_status=error_status(error),
        )


class ResponsesStreamMeter:
    """Reads a stream of responses while it flows by; see `StreamMeter`."""

    __slots__ = (
        "_books",
        "_item_spoke",
        "_on_text",
        "_said_since_usage",
        "_splitter",
        "_spoke",
        "failed",
        "has_output",
        "terminal",
    )

    def __init__(self, on_text: OnText, habits: UsageHabits = USUAL, *, strip_usage: bool = False) -> None:  # noqa: ARG002 - the format tells usage unasked, and nobody has habits in it
        self.has_output = False
        self.terminal = False
        self.failed = False
        self._books = _Books()
        self._item_spoke = False
        self._on_text = on_text
        self._said_since_usage = False
        self._splitter = EventSplitter()
        self._spoke = False

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
        """See `StreamMeter.reading`. `[DONE]` alone is no end: the client has got no response."""
        return self._books.reading(finished=self.terminal, usage_final=not self._said_since_usage)

    def _read(self, event: bytes) -> None:
        data = event_data(event)
        if not data or data == b"[DONE]":
            return
        try:
            read = decode(_events, data)
        except msgspec.ValidationError:
            return
        if read is None:
            return
        kind = read.type if isinstance(read.type, str) and read.type else _name(event)
        if kind.endswith(".delta"):
            if read.delta and kind not in _NOT_WRITTEN:
                self._item_spoke = True
                self._say(read.delta if isinstance(read.delta, str) else msgspec.json.encode(read.delta).decode())
        elif kind in _ENDS:
            self._end(kind, read.response)
        elif kind == "response.output_item.added":
            self._item_begins(_item(read.item))
        elif kind == "response.output_item.done":
            self._item_ends(_item(read.item))
        elif kind == "error" or (not kind and present(read.error) is not None):
            told = msgspec.json.encode({"code": read.code, "message": read.message})
            self._books.error = present(read.error) or told
            self.failed = self.has_output = True
        elif read.response is not ABSENT:  # created, queued, in progress
            response = _response(read.response)
            if response is not None and self._books.note(response):
                self._said_since_usage = False

    def _item_begins(self, item: _Item | None) -> None:
        """A call begins with its tool's name; a message or a thought begins with nothing."""
        self._item_spoke = False
        if item is not None and item.name and isinstance(item.name, str):
            self._say(item.name)

    def _item_ends(self, item: _Item | None) -> None:
        if item is None:
            return
        self.has_output = True
        self._books.tools.note(item)
        if not self._item_spoke:  # it came at once, without deltas
            for text in _texts(item, name=False):
                self._say(text)
        self._item_spoke = False

    def _end(self, kind: str, raw: msgspec.Raw) -> None:
        self.has_output = self.terminal = True
        books, response = self._books, _response(raw)
        if response is not None:
            if books.note(response):
                self._said_since_usage = False
            items = books.end(response)
            usage = None if self._spoke else self.reading().usage
            if not self._spoke and (usage is None or not usage.known):
                for item in items or _output(response):
                    for text in _texts(item, name=True):
                        self._say(text)
        if kind == "response.failed" or books.error is not None:
            self.failed = True
            books.error = books.error or b"{}"

    def _say(self, text: str) -> None:
        self.has_output = self._spoke = self._said_since_usage = True
        self._on_text(text)


def _name(event: bytes) -> str:
    """Return the event's name, for senders that leave the type out of its data."""
    first = event.split(b"\n", 1)[0]
    return first[6:].strip().decode("ascii", "replace") if first.startswith(b"event:") else ""


def _texts(item: _Item, *, name: bool) -> Iterator[str]:
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


def _output(response: _Response) -> list[_Item]:
    try:
        raws = decode(_raws, response.output)
    except msgspec.ValidationError:
        return []
    return [item for raw in raws or () if (item := _item(raw)) is not None]


def _item(raw: msgspec.Raw) -> _Item | None:
    try:
        return decode(_items, raw)
    except msgspec.ValidationError:
        return None


stream_meter = ResponsesStreamMeter
