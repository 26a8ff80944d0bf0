"""Streams of /api/chat and /api/generate: lines of JSON, the last of which is `done`.

What surprised us: a tool call comes whole in one line; thinking and text stand in lines of their own, but may share
one; and a line may have log probabilities and no text, where a token is only half a character.
"""

from typing import Any

import msgspec

from farthing.types.chat import (
    Audio,
    Closed,
    Finished,
    FinishReason,
    Opened,
    Part,
    PartBegan,
    PartEnded,
    PartGrew,
    Refusal,
    StreamEvent,
    Text,
    Thinking,
    ToolCall,
)
from farthing.wire.lenient import UNREADABLE
from farthing.wire.ollama import error_event
from farthing.wire.translators.borders import Borders
from farthing.wire.translators.ollama.answers import (
    calls,
    ending,
    finish_reason,
    logprobs,
    on_one_line,
    pictures,
    raw_logprobs,
    timestamp,
    written_message,
)
from farthing.wire.translators.protocol import Asked, NewId
from farthing.wire.translators.reading import answer_members

_ABSENT = msgspec.Raw(b"null")
_TEXT = Text("")
_THINKING = Thinking("")
_encode = msgspec.json.encode


class _Message(msgspec.Struct, gc=False):
    content: str | None = None
    thinking: str | None = None
    tool_calls: msgspec.Raw = _ABSENT
    images: msgspec.Raw = _ABSENT


class _Line(msgspec.Struct, gc=False):
    """A line as nearly all are; others are read member by member."""

    model: str = ""
    message: _Message | None = None
    response: str | None = None
    thinking: str | None = None
    done: bool = False
    done_reason: str | None = None
    logprobs: msgspec.Raw = _ABSENT
    tool_calls: msgspec.Raw = _ABSENT
    images: msgspec.Raw = _ABSENT


_lines = msgspec.json.Decoder(_Line)


class Decoder:
    """Reads the lines of one stream; see `StreamDecoder`."""

    __slots__ = ("_borders", "_called", "_new_id", "_opened", "_pending")

    def __init__(self, new_id: NewId) -> None:
        self._new_id = new_id
        self._borders = Borders([])
        self._opened = False
        self._called = False
        self._pending: list[bytes] = []
        """Log probabilities that came before the part that they belong to."""

    def feed(self, data: bytes) -> list[StreamEvent]:
        """See `StreamDecoder.feed`."""
        events: list[StreamEvent] = []
        self._borders.events = events
        if data.find(b"\n") in (-1, len(data) - 1):
            self._read(data)
        else:
            for line in data.split(b"\n"):
                if line:
                    self._read(line)
        return events

    def rest(self) -> list[StreamEvent]:
        """See `StreamDecoder.rest`; a stream without a last line did not finish, and no reason is made up for it."""
        events: list[StreamEvent] = []
        self._borders.events = events
        self._borders.end()
        return events

    def _read(self, data: bytes) -> None:
        borders = self._borders
        if borders.finished:
            return
        try:
            line = _lines.decode(data)
        except UNREADABLE:
            self._read_oddity(data)
            return
        if not self._opened:
            self._open(line.model)
        message = line.message
        if message is None:
            self._grow(line.thinking, line.response, line.logprobs)
            if line.tool_calls is not _ABSENT or line.images is not _ABSENT:
                self._whole(_decoded(line.images), _decoded(line.tool_calls))
        else:
            self._grow(message.thinking, message.content, line.logprobs)
            if message.tool_calls is not _ABSENT or message.images is not _ABSENT:
                self._whole(_decoded(message.images), _decoded(message.tool_calls))
        if line.done:
            self._finish({"done": True, "done_reason": line.done_reason})

    def _read_oddity(self, data: bytes) -> None:
        members = answer_members(data)
        if not members:
            return
        if not self._opened:
            self._open(members.get("model"))
        inner = members.get("message")
        message: dict[str, Any] = inner if isinstance(inner, dict) else members
        text, thinking = message.get("content", message.get("response")), message.get("thinking")
        found = logprobs(members.get("logprobs"))
        self._grow(
            thinking if isinstance(thinking, str) else None,
            text if isinstance(text, str) else None,
            _ABSENT if found is None else msgspec.Raw(found),
        )
        self._whole(message.get("images"), message.get("tool_calls"))
        if members.get("done") is True:
            self._finish(members)

    def _open(self, model: object) -> None:
        self._opened = True
        self._borders.events.append(Opened(None, model if isinstance(model, str) and model else None))

    def _grow(self, thinking: str | None, text: str | None, tokens: msgspec.Raw) -> None:
        borders = self._borders
        probabilities = None if tokens is _ABSENT else raw_logprobs(tokens)
        if not text and not thinking:
            if probabilities is not None:
                self._grow_unheard(probabilities)
            return
        if self._pending:
            probabilities = self._with_pending(probabilities)
        if thinking:
            borders.grow(_THINKING, thinking, logprobs=probabilities)
            probabilities = None
        if text:
            borders.grow(_TEXT, text, logprobs=probabilities)

    def _grow_unheard(self, probabilities: bytes) -> None:
        """Take log probabilities that come without any text."""
        is_open = self._borders.open
        if isinstance(is_open, Text | Thinking):
            self._borders.grow(is_open, "", logprobs=probabilities)
        else:
            self._pending.append(probabilities)

    def _with_pending(self, found: bytes | None) -> bytes:
        lists = self._pending if found is None else [*self._pending, found]
        self._pending = []
        return b"[%b]" % b",".join([listed[1:-1] for listed in lists])

    def _whole(self, images: object, listed: object) -> None:
        for picture in pictures(images):
            self._borders.whole(picture)
        for call in calls(listed, self._new_id):
            self._called = True
            self._borders.whole(call)

    def _finish(self, members: dict[str, Any]) -> None:
        reason = finish_reason(members, called=self._called)
        if reason is not None:
            self._borders.finish(reason)


def _decoded(raw: msgspec.Raw) -> object:
    if raw is _ABSENT:
        return None
    try:
        return msgspec.json.decode(raw)
    except UNREADABLE:
        return None


class Encoder:
    """Writes one stream for a client of either path; see `StreamEncoder`."""

    __slots__ = ("_asked", "_calls", "_end", "_generate", "_grows", "_head", "_model", "_reason")

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._generate = asked.request.raw_prompt
        self._grows: bytes | None = None
        """What stands between a line's head and the text that the open part grew by; `None` where it comes whole."""
        self._end = b""
        self._calls = 0
        self._reason: FinishReason | None = None
        self._head = b""
        self._set_head(asked.model)

    def write(self, event: StreamEvent) -> bytes:
        """See `StreamEncoder.write`: a line for each piece of text, and one for each call when it is whole."""
        if isinstance(event, PartGrew):
            return self._grown(event) if event.choice == 0 else b""
        if isinstance(event, Closed):
            return self._closed(event)
        if isinstance(event, Opened):
            self._set_head(event.model or self._asked.model)
            return b""
        if event.choice != 0:
            return b""  # Ollama gives one answer; `carries` says so
        if isinstance(event, PartBegan):
            self._began(event.part)
        elif isinstance(event, PartEnded):
            return self._ended(event.part)
        elif isinstance(event, Finished):
            self._reason = event.reason
        return b""

    def error(self, code: str, message: str) -> bytes:
        """See `StreamEncoder.error`."""
        return error_event(code, message)

    def _set_head(self, model: str) -> None:
        head = b'{"model":%b,"created_at":%b,' % (_encode(model), _encode(timestamp(self._asked.created_s)))
        self._head = head if self._generate else head + b'"message":{"role":"assistant",'
        self._end = b"}\n" if self._generate else b"}}\n"

    def _began(self, part: Part) -> None:
        text = b'"response":' if self._generate else b'"content":'
        if isinstance(part, Text | Refusal):
            self._grows = text
        elif isinstance(part, Thinking):
            self._grows = text + b'"","thinking":'
        else:
            self._grows = None

    def _grown(self, event: PartGrew) -> bytes:
        if self._grows is None:
            return b""
        line = b"%b%b%b" % (self._head, self._grows, _encode(event.text))
        return self._closed_line(line, event.logprobs)

    def _closed_line(self, line: bytes, tokens: bytes | None) -> bytes:
        """Return the line whose message is written but for its closing brace."""
        if not self._generate:
            line += b"}"
        if tokens is None:
            return line + b',"done":false}\n'
        return b'%b,"done":false,"logprobs":%b}\n' % (line, _encode(on_one_line(tokens)))

    def _ended(self, part: Part) -> bytes:
        if isinstance(part, Audio) and part.transcript:
            text = b'"response":' if self._generate else b'"content":'
            return self._closed_line(b"%b%b%b" % (self._head, text, _encode(part.transcript)), None)
        if not isinstance(part, ToolCall):
            return b""
        message = written_message((part,))
        message["tool_calls"][0]["function"]["index"] = self._calls
        self._calls += 1
        if self._generate:
            message = {"response": message.pop("content"), **message}
        return self._closed_line(self._head + _encode(message)[1:-1], None)

    def _closed(self, event: Closed) -> bytes:
        last = _encode(ending(self._reason or "stop", event.usage))
        return b"%b%b%b,%b\n" % (
            self._head,
            b'"response":""' if self._generate else b'"content":""',
            b"" if self._generate else b"}",
            last[1:],
        )
