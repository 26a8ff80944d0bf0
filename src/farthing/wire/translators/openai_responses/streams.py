"""Read a provider's stream of a response.

What surprised us: the same is told up to four times (delta, done, item done, completed), and not everybody sends all
of it: items may come whole, without deltas, and xAI's encrypted reasoning is there at the end only. So what was
streamed is taken from the deltas, and what was not from the first whole that comes.
"""

from typing import Any

import msgspec

from farthing.types.chat import Opened, Part, Refusal, StreamEvent, Text, Thinking, ToolCall
from farthing.wire.lenient import decode
from farthing.wire.meter import ABSENT
from farthing.wire.sse import EventSplitter, event_data
from farthing.wire.translators.borders import Borders
from farthing.wire.translators.openai_responses import items
from farthing.wire.translators.openai_responses.answers import finish_reason, text_or_none
from farthing.wire.translators.protocol import NewId
from farthing.wire.translators.reading import answer_members

_ENDS = frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled"})
_ARGUMENTS = frozenset({"response.function_call_arguments.delta", "response.custom_tool_call_input.delta"})
_TEXT, _REFUSAL = Text(""), Refusal("")


class _Event(msgspec.Struct, gc=False):
    type: Any = None
    delta: Any = None
    item_id: Any = None
    output_index: Any = None
    content_index: Any = None
    summary_index: Any = None
    logprobs: msgspec.Raw = ABSENT
    item: msgspec.Raw = ABSENT
    part: msgspec.Raw = ABSENT
    annotation: msgspec.Raw = ABSENT
    response: msgspec.Raw = ABSENT


_events = msgspec.json.Decoder(_Event)


class Decoder:
    """See `StreamDecoder`."""

    __slots__ = (
        "_borders",
        "_calls",
        "_cited",
        "_done",
        "_events",
        "_new_id",
        "_open_place",
        "_opened",
        "_parts",
        "_splitter",
        "_told",
    )

    def __init__(self, new_id: NewId) -> None:
        self._new_id = new_id
        self._splitter = EventSplitter()
        self._events: list[StreamEvent] = []
        self._borders = Borders(self._events)
        self._opened = False
        self._calls: dict[object, ToolCall] = {}
        """The calls that are not over, by their places in the output."""
        self._told: dict[object, object] = {}
        """The items that are not over and of which something was told, and which part of them was last."""
        self._done: set[object] = set()
        """The places of items that are over."""
        self._open_place: object = None
        """The place of the part that is open."""
        self._cited = 0
        """Citations that the open text has."""
        self._parts: list[Part] = []
        """What tells how the answer ends: calls and refusals."""

    def feed(self, data: bytes) -> list[StreamEvent]:
        """See `StreamDecoder.feed`."""
        for event in self._splitter.feed(data):
            read = event_data(event)
            if read and read != b"[DONE]":
                self._read(read)
        return self._taken()

    def rest(self) -> list[StreamEvent]:
        """See `StreamDecoder.rest`. A response that has not told its end is not owed one."""
        self._borders.end()
        return self._taken()

    def _taken(self) -> list[StreamEvent]:
        taken = self._events[:]
        self._events.clear()
        return taken

    def _read(self, data: bytes) -> None:
        try:
            event = decode(_events, data)
        except msgspec.ValidationError:
            return
        if event is None or not isinstance(event.type, str) or self._borders.finished:
            return
        kind = event.type
        if kind == "response.output_text.delta":
            self._say(_TEXT, event, event.content_index)
        elif kind in _ARGUMENTS:
            call = self._calls.get(_place(event))
            if call is not None:
                self._say(call, event, None)
        elif kind == "response.reasoning_summary_text.delta":
            self._think(event, "summary", event.summary_index)
        elif kind == "response.reasoning_text.delta":
            self._think(event, "content", event.content_index)
        elif kind == "response.refusal.delta":
            self._say(_REFUSAL, event, event.content_index)
        elif kind == "response.output_item.added":
            self._begin(event)
        elif kind == "response.output_item.done":
            self._end_item(_place(event), _members(event.item))
        elif kind == "response.content_part.done":
            self._end_part(event)
        elif kind == "response.output_text.annotation.added":
            self._cite(_members(event.annotation))
        elif kind in _ENDS:
            self._open(event.response)
            self._finish(kind, _members(event.response))
        elif event.response is not ABSENT:
            self._open(event.response)

    def _open(self, raw: msgspec.Raw) -> None:
        if self._opened or self._borders.count:
            return
        self._opened = True
        response = _members(raw)
        self._events.append(Opened(text_or_none(response.get("id")), text_or_none(response.get("model"))))

    def _begin(self, event: _Event) -> None:
        item, place = _members(event.item), _place(event)
        if item.get("type") in ("function_call", "custom_tool_call") and place not in self._done:
            call = items.read_call({**item, "arguments": "", "input": ""}, self._new_id)
            call = msgspec.structs.replace(call, arguments="")
            self._calls[place] = call
            self._parts.append(call)
            self._open_place = place
            self._borders.grow(call, "", key=(place, None))

    def _say(self, part: Text | Refusal | ToolCall, event: _Event, within: object) -> None:
        delta, place = event.delta, _place(event)
        if not isinstance(delta, str) or place in self._done:
            return
        self._told[place] = within
        self._open_place = place
        logprobs = None
        if event.logprobs is not ABSENT and len(event.logprobs) > 2 and event.logprobs != b"null":
            logprobs = bytes(event.logprobs)
        if not delta and logprobs is None:
            return
        key = (place, within if isinstance(within, int) else None)
        self._borders.grow(part, delta, key=key, logprobs=logprobs)

    def _think(self, event: _Event, member: str, index: object) -> None:
        """Take a piece of a thought; what is told both in full and summed up counts as it came first."""
        delta, place = event.delta, _place(event)
        if not isinstance(delta, str) or not delta or place in self._done:
            return
        before = self._told.get(place)
        if isinstance(before, tuple):
            if before[0] != member:
                return
            if before[1] != index:
                delta = items.PARAGRAPH + delta
        self._told[place] = (member, index)
        self._open_place = place
        self._borders.grow(Thinking("", id=text_or_none(event.item_id)), delta, key=(place, None))

    def _cite(self, annotation: dict[str, Any]) -> None:
        citation = items.read_citation(annotation)
        if citation is not None and isinstance(self._borders.open, Text):
            self._cited += 1
            self._borders.cite(citation)

    def _end_part(self, event: _Event) -> None:
        """End a text that was streamed, with the citations that nobody has told yet."""
        part = _members(event.part)
        if isinstance(self._borders.open, Text) and part.get("type") == "output_text":
            self._cite_rest(part)
        if isinstance(self._borders.open, Text | Refusal):
            self._note_refusal()
            self._borders.end()
        self._cited = 0

    def _cite_rest(self, part: object) -> None:
        if isinstance(part, dict):
            for citation in items.read_citations(part.get("annotations"))[self._cited :]:
                self._borders.cite(citation)

    def _note_refusal(self) -> None:
        if isinstance(self._borders.open, Refusal):
            self._parts.append(_REFUSAL)

    def _end_item(self, place: object, item: dict[str, Any]) -> None:
        if place in self._done:
            return
        if place is not None:
            self._done.add(place)
        told = place in self._told
        call = self._calls.get(place)
        if call is None and not told:
            self._whole(item)
        elif place == self._open_place and self._borders.open is not None:
            if call is not None:
                self._end_call(call, place, item, told=told)
            else:
                self._end_told(item)
        self._told.pop(place, None)
        self._calls.pop(place, None)
        self._cited = 0

    def _end_call(self, call: ToolCall, place: object, item: dict[str, Any], *, told: bool) -> None:
        given = item.get("input" if call.custom else "arguments")
        if not told:
            text = given if isinstance(given, str) and given else "" if call.custom else "{}"
            self._borders.grow(call, text, key=(place, None))
        self._borders.end()

    def _end_told(self, item: dict[str, Any]) -> None:
        content = item.get("content")
        if isinstance(self._borders.open, Text) and isinstance(content, list) and content:
            self._cite_rest(content[-1])
        if isinstance(self._borders.open, Thinking):
            signature = items.read_thinking(item).signature
            if signature is not None:
                self._borders.seal(signature)
        self._note_refusal()
        self._borders.end()

    def _whole(self, item: dict[str, Any]) -> None:
        """Take an item of which nothing was streamed."""
        tokens = items.read_logprobs(item)
        logprobs = items.json_or_none(tokens) if tokens else None
        for part in items.read_item(item, self._new_id):
            if isinstance(part, ToolCall | Refusal):
                self._parts.append(part)
            if logprobs is not None and isinstance(part, Text):
                self._borders.end()
                self._borders.grow(_TEXT, part.text, logprobs=logprobs)
                self._borders.end(part)
                logprobs = None
            else:
                self._borders.whole(part)

    def _finish(self, kind: str, response: dict[str, Any]) -> None:
        output = response.get("output")
        if not self._borders.count and isinstance(output, list):
            for item in output:
                self._whole(item if isinstance(item, dict) else {})
        self._note_refusal()
        if not isinstance(response.get("status"), str):
            response = {**response, "status": kind.removeprefix("response.")}
        reason = finish_reason(response, self._parts)
        self._borders.finish(reason if reason is not None else "stop")


def _members(raw: msgspec.Raw) -> dict[str, Any]:
    return {} if raw is ABSENT else answer_members(bytes(raw))


def _place(event: _Event) -> object:
    """Return where in the output an event belongs; providers that do not count name the item."""
    index = event.output_index
    if isinstance(index, int):
        return index
    return event.item_id if isinstance(event.item_id, str) else None
