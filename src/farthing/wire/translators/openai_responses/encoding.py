"""Write a stream of a response for a client, event for event as OpenAI sends it.

Codex acts on whole items (`response.output_item.done`) and on the last event, and repeats a stream that lacks it; the
SDK builds the answer from everything and refuses an event of an item that was not announced. Neighbouring texts are
parts of one message, which therefore ends only where something else begins. What surprised us: a failed stream sends
both an `error`, which is what the SDK raises at, and `response.failed`, which is what Codex reads.
"""

from typing import Any

import msgspec

from farthing.types.chat import (
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
from farthing.wire.translators.openai_responses import items
from farthing.wire.translators.openai_responses.answers import FAILED, ItemWriter, ended_as
from farthing.wire.translators.openai_responses.response_object import ResponseObject, failure
from farthing.wire.translators.protocol import Asked

_encode = msgspec.json.encode
_Message = dict[str, Any]


class Encoder:
    """See `StreamEncoder`."""

    __slots__ = (
        "_asked",
        "_before",
        "_grown",
        "_id",
        "_items",
        "_logprobs",
        "_output",
        "_reason",
        "_refused",
        "_response",
        "_said",
        "_seq",
        "_tail",
    )

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._items = ItemWriter(asked)
        self._response: ResponseObject | None = None
        self._seq = 0
        self._output: list[bytes] = []
        """Items that are over."""
        self._id = ""
        """The open item's."""
        self._said: list[_Message] | None = None
        """The parts of the open message; `None` where no message is open."""
        self._before = self._tail = b""
        """What stands before and behind the text in each event of the open part."""
        self._grown = False
        self._logprobs: list[bytes] = []
        self._reason: FinishReason | None = None
        self._refused = False

    def write(self, event: StreamEvent) -> bytes:
        """See `StreamEncoder.write`."""
        match event:
            case PartGrew():
                return self._grow(event) if event.choice == 0 else b""
            case Opened():
                return self._open(event.model)
            case PartBegan():
                return self._open() + self._begin(event.part) if event.choice == 0 else b""
            case PartEnded():
                return self._end(event.part) if event.choice == 0 else b""
            case Finished():
                if event.choice == 0:
                    self._reason = event.reason
                return b""
            case Closed():
                return self._close(event)

    def error(self, code: str, message: str) -> bytes:
        """See `StreamEncoder.error`."""
        opening = self._open()
        assert self._response is not None
        said = {"code": code, "message": message, "param": None}
        told = self._event("error", **said, error={"type": "provider_error", **said})
        response = self._response.written("failed", self._output, error=failure(code, message))
        return opening + told + self._event("response.failed", response=msgspec.Raw(response))

    # ---- events

    def _event(self, kind: str, **members: Any) -> bytes:
        data = _encode({"type": kind, "sequence_number": self._seq, **members})
        self._seq += 1
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)

    def _of_item(self, kind: str, **members: Any) -> bytes:
        return self._event(kind, item_id=self._id, output_index=len(self._output), **members)

    def _of_part(self, kind: str, **members: Any) -> bytes:
        assert self._said is not None
        return self._of_item(kind, content_index=len(self._said), **members)

    def _add(self, item: Any) -> bytes:
        return self._event("response.output_item.added", output_index=len(self._output), item=item)

    def _done(self, item: bytes) -> bytes:
        event = self._event("response.output_item.done", output_index=len(self._output), item=msgspec.Raw(item))
        self._output.append(item)
        return event

    def _prepare(self, kind: str, index: bytes = b"", behind: bytes = b"") -> None:
        """Write what the events of the open part have in common."""
        self._before = b'event: %b\ndata: {"type":"%b","item_id":%b,"output_index":%d,%b"delta":' % (
            kind.encode(),
            kind.encode(),
            _encode(self._id),
            len(self._output),
            index,
        )
        self._tail = behind
        self._grown = False

    # ---- the beginning and the end

    def _open(self, model: str | None = None) -> bytes:
        if self._response is not None:
            return b""
        self._response = ResponseObject(self._asked, model)
        response = msgspec.Raw(self._response.written("in_progress", []))
        return self._event("response.created", response=response) + self._event(
            "response.in_progress", response=response
        )

    def _close(self, closed: Closed) -> bytes:
        status, incomplete = ended_as(self._reason, (Refusal(""),) if self._refused else ())
        told = self._open() + self._end_message("incomplete" if status == "incomplete" else "completed")
        assert self._response is not None
        error = failure("server_error", FAILED) if status == "failed" else None
        response = self._response.written(status, self._output, closed.usage, incomplete=incomplete, error=error)
        return told + self._event(f"response.{status}", response=msgspec.Raw(response))

    def _end_message(self, status: str = "completed") -> bytes:
        if self._said is None:
            return b""
        item = _encode(items.message_item(self._id, status, self._said))
        self._said = None
        return self._done(item)

    # ---- parts

    def _begin(self, part: Part) -> bytes:
        if isinstance(part, Text | Refusal):
            return self._begin_said(part)
        ended = self._end_message()
        if isinstance(part, Thinking):
            self._id = self._items.thinking_id(part)
            self._prepare("response.reasoning_summary_text.delta", b'"summary_index":0,')
            added = self._add({"id": self._id, "type": "reasoning", "summary": []})
        elif isinstance(part, ToolCall):
            self._id = self._items.new_id("ctc" if part.custom else "fc")
            kind = "custom_tool_call_input" if part.custom else "function_call_arguments"
            self._prepare(f"response.{kind}.delta")
            added = self._add(items.call_item(self._id, "in_progress", part, ""))
        else:
            return ended
        return ended + added

    def _begin_said(self, part: Text | Refusal) -> bytes:
        opened = b""
        if self._said is None:
            self._id = self._items.new_id("msg")
            opened = self._add(items.message_item(self._id, "in_progress", []))
            self._said = []
        index = b'"content_index":%d,' % len(self._said)
        if isinstance(part, Text):
            self._logprobs = []
            self._prepare("response.output_text.delta", index, b',"logprobs":[]')
            shown = items.text_part(Text(""))
        else:
            self._refused = True
            self._prepare("response.refusal.delta", index)
            shown = items.refusal_part(Refusal(""))
        return opened + self._of_part("response.content_part.added", part=shown)

    def _grow(self, event: PartGrew) -> bytes:
        tail = self._tail
        told = b""
        if not self._grown:
            self._grown = True
            if b"reasoning_summary" in self._before:
                told = self._of_item(
                    "response.reasoning_summary_part.added", summary_index=0, part={"type": "summary_text", "text": ""}
                )
        if event.logprobs is not None and tail:
            logprobs = items.whole_logprobs(event.logprobs)
            self._logprobs.append(logprobs)
            tail = b',"logprobs":' + logprobs
        self._seq += 1
        return b'%b%b%b%b,"sequence_number":%d}\n\n' % (told, self._before, _encode(event.text), tail, self._seq - 1)

    def _end(self, part: Part) -> bytes:
        match part:
            case Text():
                return self._end_text(part)
            case Refusal():
                told = self._of_part("response.refusal.done", refusal=part.text)
                return told + self._end_said(items.refusal_part(part))
            case Thinking():
                return self._end_thinking(part)
            case ToolCall():
                return self._end_call(part)
            case _:
                item = self._items.whole(part)
                return b"" if item is None else self._add(msgspec.Raw(item)) + self._done(item)

    def _end_text(self, part: Text) -> bytes:
        logprobs = joined(self._logprobs)
        written = items.text_part(part, logprobs)
        told = b"".join(
            [
                self._of_part("response.output_text.annotation.added", annotation_index=at, annotation=annotation)
                for at, annotation in enumerate(written["annotations"])
            ]
        )
        told += self._of_part("response.output_text.done", logprobs=msgspec.Raw(logprobs), text=part.text)
        return told + self._end_said(written)

    def _end_said(self, written: _Message) -> bytes:
        told = self._of_part("response.content_part.done", part=written)
        assert self._said is not None
        self._said.append(written)
        return told

    def _end_thinking(self, part: Thinking) -> bytes:
        told = b""
        if self._grown:
            summed = {"type": "summary_text", "text": part.text}
            told = self._of_item("response.reasoning_summary_text.done", summary_index=0, text=part.text)
            told += self._of_item("response.reasoning_summary_part.done", summary_index=0, part=summed)
        return told + self._done(_encode(self._items.thinking(self._id, part)))

    def _end_call(self, part: ToolCall) -> bytes:
        given = items.given_of(part)
        told = b""
        if given and not self._grown:
            told = self._grow(PartGrew(0, given))
        if part.custom:
            told += self._of_item("response.custom_tool_call_input.done", input=given)
        else:
            told += self._of_item("response.function_call_arguments.done", arguments=given)
        return told + self._done(_encode(items.call_item(self._id, "completed", part, given)))


def joined(lists: list[bytes]) -> bytes:
    """Return one JSON list of several."""
    if len(lists) < 2:
        return lists[0] if lists else b"[]"
    inner = [piece.strip()[1:-1].strip() for piece in lists]
    return b"[%b]" % b",".join([piece for piece in inner if piece])
