"""Read and write streams of messages.

What surprised us: blocks have explicit beginnings and ends, and their numbers are the only ones a client believes; the
arguments of a call come as pieces of JSON text beside an `input` that is empty, and of a server's tool likewise; a
signature comes as the last piece of its thought; the stop reason and the usage come together, after all content.
"""

from typing import Any

import msgspec

from farthing.types.chat import (
    Citation,
    Closed,
    Finished,
    FinishReason,
    Foreign,
    Opened,
    Part,
    PartBegan,
    PartEnded,
    PartGrew,
    Refusal,
    Signature,
    StreamEvent,
    Text,
    Thinking,
    ToolCall,
)
from farthing.types.usage import Usage
from farthing.wire.anthropic_messages import error_event
from farthing.wire.lenient import UNREADABLE
from farthing.wire.sse import EventSplitter, event_data
from farthing.wire.translators.anthropic_messages.answers import (
    block_of,
    citation_of,
    counts,
    explanation_of,
    is_redacted,
    part_of,
    reason_of,
    seal_of,
    stop_of,
    text_in,
    usage_members,
)
from farthing.wire.translators.anthropic_messages.block_writer import object_of
from farthing.wire.translators.anthropic_messages.blocks import WIRE, citation
from farthing.wire.translators.borders import Borders
from farthing.wire.translators.protocol import Asked, NewId
from farthing.wire.translators.reading import answer_members, as_json

# ---- reading


class _Delta(msgspec.Struct, gc=False):
    type: str = ""
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None


class _Event(msgspec.Struct, gc=False):
    type: str = ""
    delta: _Delta | None = None


_events = msgspec.json.Decoder(_Event)
_anything = msgspec.json.Decoder()
_GROWING = ("text_delta", "thinking_delta", "input_json_delta")


class MessagesDecoder:
    """Reads one stream; see `StreamDecoder`."""

    __slots__ = (
        "_borders",
        "_called",
        "_citations",
        "_events",
        "_foreign",
        "_grown",
        "_key",
        "_new_id",
        "_opened",
        "_part",
        "_splitter",
    )

    def __init__(self, new_id: NewId) -> None:
        self._new_id = new_id
        self._splitter = EventSplitter()
        self._events: list[StreamEvent] = []
        self._borders = Borders(self._events)
        self._opened = False
        self._called = False
        self._citations: list[Citation] = []
        """Of the open block; told at its end, because each would cost what all before it cost."""
        self._part: Part | None = None
        """The open block."""
        self._foreign: _ForeignBlock | None = None
        self._grown = False
        """Whether anything of it came."""
        self._key = 0

    def feed(self, data: bytes) -> list[StreamEvent]:
        """See `StreamDecoder.feed`."""
        for event in self._splitter.feed(data):
            self._read(event_data(event))
        return self._taken()

    def rest(self) -> list[StreamEvent]:
        """See `StreamDecoder.rest`."""
        if last := self._splitter.rest():
            self._read(event_data(last))
        if self._opened or self._borders.count:
            self._end()
            self._borders.finish("tool_calls" if self._called else "stop")
        return self._taken()

    def _taken(self) -> list[StreamEvent]:
        events = self._events
        if events:
            self._events = self._borders.events = []
        return events

    def _read(self, data: bytes) -> None:
        if not data or self._borders.finished:
            return
        try:
            event = _events.decode(data)
        except UNREADABLE:
            self._read_oddly(answer_members(data))
            return
        delta = event.delta
        if delta is None or event.type != "content_block_delta" or delta.type not in _GROWING:
            if event.type not in ("ping", "error"):
                self._read_oddly(answer_members(data))
            return
        part = self._part
        if part is None:
            if self._foreign is not None:
                self._foreign.grow(answer_members(data).get("delta"))
            return
        text = delta.text or delta.thinking or delta.partial_json
        if text:
            self._grown = True
            self._borders.grow(part, text, key=self._key)

    def _read_oddly(self, members: dict[str, Any]) -> None:
        """Read what comes once or twice in a stream, and what is not quite of the format."""
        match members.get("type"):
            case "message_start":
                message = members.get("message")
                if isinstance(message, dict) and not self._opened and not self._borders.count:
                    self._opened = True
                    self._events.append(Opened(text_in(message, "id"), text_in(message, "model")))
            case "content_block_start":
                self._end()
                block = members.get("content_block")
                if isinstance(block, dict):
                    self._begin(block)
            case "content_block_delta":
                delta = members.get("delta")
                if isinstance(delta, dict):
                    self._grow_oddly(delta)
            case "content_block_stop":
                self._end()
            case "message_delta":
                delta = members.get("delta")
                if isinstance(delta, dict):
                    self._finish(delta)
            case "message_stop":
                self._end()
                self._borders.finish("tool_calls" if self._called else "stop")

    def _begin(self, block: dict[str, Any]) -> None:
        part = part_of(block, self._new_id)
        if isinstance(part, Foreign):
            self._foreign = _ForeignBlock(part.kind, block)
            return
        if part is None:
            return
        if isinstance(part, Thinking) and part.redacted:
            self._borders.whole(part)
            return
        self._key += 1
        self._part, self._grown = part, False
        self._called = self._called or isinstance(part, ToolCall)
        begun = part.text if isinstance(part, Text | Thinking) else ""
        self._borders.grow(part, begun, key=self._key)
        if isinstance(part, Thinking) and part.signature is not None:
            self._borders.seal(part.signature)
        if isinstance(part, Text):
            self._citations = list(part.citations)

    def _grow_oddly(self, delta: dict[str, Any]) -> None:
        part = self._part
        if part is None:
            if self._foreign is not None:
                self._foreign.grow(delta)
            return
        match delta.get("type"):
            case "signature_delta":
                signature = text_in(delta, "signature")
                if signature and isinstance(part, Thinking):
                    self._borders.seal(Signature(WIRE, signature))
            case "citations_delta":
                raw = delta.get("citation")
                if isinstance(raw, dict) and (cited := citation(raw)) is not None:
                    self._citations.append(cited)
            case _:
                text = text_in(delta, "text") or text_in(delta, "thinking") or text_in(delta, "partial_json")
                if text:
                    self._grown = True
                    self._borders.grow(part, text, key=self._key)

    def _end(self) -> None:
        part, foreign = self._part, self._foreign
        self._part = self._foreign = None
        if foreign is not None:
            self._borders.whole(foreign.whole())
        if part is None:
            return
        if isinstance(part, ToolCall) and not self._grown:
            # Nothing grew: either there are no arguments, or they stood in the beginning already.
            self._borders.grow(part, part.arguments, key=self._key)
        if self._citations:
            self._borders.cite(*self._citations)
            self._citations = []
        self._borders.end()

    def _finish(self, delta: dict[str, Any]) -> None:
        reason = reason_of(delta.get("stop_reason"), called=self._called)
        if reason is None:
            return
        self._end()
        if (explained := explanation_of(delta)) is not None:
            self._borders.whole(explained)
        self._borders.finish(reason, text_in(delta, "stop_sequence"))


class _ForeignBlock:
    """A block of a kind that only this format knows, while it comes."""

    __slots__ = ("_block", "_kind", "_pieces")

    def __init__(self, kind: str, block: dict[str, Any]) -> None:
        self._kind = kind
        self._block = block
        self._pieces: dict[str, list[str]] = {}

    def grow(self, delta: Any) -> None:
        if isinstance(delta, dict):
            for name, value in delta.items():
                if name != "type" and isinstance(value, str):
                    self._pieces.setdefault(name, []).append(value)

    def whole(self) -> Foreign:
        block = self._block
        for name, pieces in self._pieces.items():
            text = "".join(pieces)
            if name != "partial_json":
                begun = block.get(name)
                block[name] = begun + text if isinstance(begun, str) else text
            elif text:
                try:
                    block["input"] = _anything.decode(text.encode("utf-8", "replace"))
                except UNREADABLE:
                    block["input"] = {}
        return Foreign(WIRE, self._kind, as_json(block))


# ---- writing

_START = b'event: content_block_start\ndata: {"type":"content_block_start","index":%d,"content_block":%b}\n\n'
_STOP = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n'
_DELTA = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":"%b","%b":'
_DELTA_END = b"}}\n\n"
_MESSAGE_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
_encode = msgspec.json.Encoder().encode


class MessagesEncoder:
    """Writes one stream; see `StreamEncoder`."""

    __slots__ = (
        "_asked",
        "_called",
        "_choice",
        "_delta",
        "_index",
        "_reason",
        "_refused",
        "_sequence",
        "_shown",
        "_start_event",
        "_started",
    )

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._started = False
        self._choice: int | None = None
        """The only choice that is shown: the first that says anything."""
        self._index = 0
        self._start_event = b""
        """How the open block begins, until it has: an empty block of text would be refused when it is sent back."""
        self._delta = b""
        """What comes before the text in each piece of the open block; nothing where none is open."""
        self._shown = False
        """Whether a piece of the open block was shown."""
        self._called = self._refused = False
        self._reason: FinishReason | None = None
        self._sequence: str | None = None

    def write(self, event: StreamEvent) -> bytes:
        """See `StreamEncoder.write`."""
        match event:
            case PartGrew():
                if not self._delta or not event.text or event.choice != self._choice:
                    return b""
                return self._grown(event.text)
            case Opened():
                return self._opened()
            case Closed():
                return self._opened() + self._closed(event.usage or Usage())
            case _:
                if self._choice is None:
                    self._choice = event.choice
                return self._opened() + self._written(event) if event.choice == self._choice else b""

    def error(self, code: str, message: str) -> bytes:
        """See `StreamEncoder.error`."""
        return error_event(code, message)

    def _opened(self) -> bytes:
        if self._started:
            return b""
        self._started = True
        asked = self._asked
        usage = usage_members(None, asked) | {"output_tokens": 1}  # Anthropic's own streams begin with 1 to 8
        message: dict[str, Any] = {
            "id": f"msg_{asked.answer_id}",
            "type": "message",
            "role": "assistant",
            "model": asked.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage,
        }
        return _event("message_start", message=message)

    def _grown(self, text: str) -> bytes:
        piece = b"%b%b%b" % (self._delta, _encode(text), _DELTA_END)
        self._shown = True
        if self._start_event:
            piece, self._start_event = self._start_event + piece, b""
        return piece

    def _written(self, event: PartBegan | PartEnded | Finished) -> bytes:
        match event:
            case PartBegan():
                return self._began(event.part)
            case PartEnded():
                return self._ended(event.part)
            case Finished():
                self._reason, self._sequence = event.reason, event.stop_sequence
                return b""

    def _began(self, part: Part) -> bytes:
        self._shown = False
        self._delta = self._start_event = b""
        match part:
            case Text() | Refusal():
                self._refused = self._refused or isinstance(part, Refusal)
                self._start_event = self._start_of({"type": "text", "text": ""})
                self._delta = self._delta_of(b"text_delta", b"text")
            case Thinking() if not is_redacted(part):
                self._delta = self._delta_of(b"thinking_delta", b"thinking")
                return self._start_of({"type": "thinking", "thinking": "", "signature": ""})
            case ToolCall():
                self._called = True
                if not part.custom:
                    self._delta = self._delta_of(b"input_json_delta", b"partial_json")
                return self._start_of({"type": "tool_use", "id": part.id, "name": part.name, "input": {}})
        return b""

    def _ended(self, part: Part) -> bytes:
        ends: list[bytes] = []
        match part:
            case Text() | Refusal():
                if not self._shown:
                    return b""
                if isinstance(part, Text):
                    ends = [
                        self._delta_of(b"citations_delta", b"citation") + _encode(raw) + _DELTA_END
                        for cited in part.citations
                        if (raw := citation_of(cited, part.text)) is not None
                    ]
            case Thinking() if not is_redacted(part):
                ends.append(self._delta_of(b"signature_delta", b"signature") + _encode(seal_of(part)) + _DELTA_END)
            case ToolCall():
                if not self._shown and part.arguments:
                    self._delta = self._delta_of(b"input_json_delta", b"partial_json")
                    ends.append(self._grown(bytes(object_of(part.arguments)).decode()))
            case _:
                block = block_of(part)
                if block is None:
                    return b""
                ends.append(self._start_of(block))
        ends.append(_STOP % self._index)
        self._delta = b""
        self._index += 1
        return b"".join(ends)

    def _closed(self, usage: Usage) -> bytes:
        reason, sequence = stop_of(self._reason, self._sequence, called=self._called, refused=self._refused)
        delta = {"stop_reason": reason, "stop_sequence": sequence}
        return _event("message_delta", delta=delta, usage=counts(usage, self._asked)) + _MESSAGE_STOP

    def _start_of(self, block: Any) -> bytes:
        return _START % (self._index, _encode(block))

    def _delta_of(self, kind: bytes, member: bytes) -> bytes:
        return _DELTA % (self._index, kind, member)


def _event(kind: str, **members: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), _encode({"type": kind, **members}))
