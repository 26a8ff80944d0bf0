"""Read and write legacy completions, whole or in pieces, which have one shape here: choices of text.

Whatever is no text cannot be told to such a client: thoughts and calls are left out, and a refusal is text. Log
probabilities are lists for each member of a token, and know no bytes.
"""

from typing import Any

import msgspec

from farthing.types.chat import (
    ChatAnswer,
    Choice,
    Closed,
    Finished,
    FinishReason,
    PartBegan,
    PartGrew,
    Refusal,
    StreamEvent,
    Text,
)
from farthing.types.usage import Usage
from farthing.wire import openai_completions
from farthing.wire.sse import EventSplitter, event_data
from farthing.wire.translators.assembly import answer_of
from farthing.wire.translators.openai_chat.streams import ChunkReader
from farthing.wire.translators.openai_chat.usage_words import written_usage
from farthing.wire.translators.protocol import Asked, NewId
from farthing.wire.translators.reading import answer_members

_FINISHES: dict[FinishReason, str] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "stop",
    "content_filter": "content_filter",
    "refusal": "content_filter",
    "pause": "stop",
    "error": "error",
}


def read_answer(body: bytes, new_id: NewId) -> ChatAnswer:
    """See `Translator.read_answer`."""
    members = answer_members(body)
    reader = ChunkReader(new_id, "message")
    events: list[StreamEvent] = [*reader.take(_as_chat(members, "message")), *reader.rest()]
    created = members.get("created")
    return msgspec.structs.replace(
        answer_of(events), created_s=created if isinstance(created, int) and 0 <= created < 1 << 40 else None
    )


def _as_chat(members: dict[str, Any], where: str) -> dict[str, Any]:
    """Return an answer or a chunk as those of chats are: the text of a choice is the content of its message."""
    choices = members.get("choices")
    if not isinstance(choices, list):
        return members
    told = [{**choice, where: {"content": choice.get("text")}} for choice in choices if isinstance(choice, dict)]
    return {**members, "choices": told}


class CompletionsStreamDecoder:
    """See `StreamDecoder`."""

    __slots__ = ("_chunks", "_splitter")

    def __init__(self, new_id: NewId) -> None:
        self._chunks = ChunkReader(new_id, "delta")
        self._splitter = EventSplitter()

    def feed(self, data: bytes) -> list[StreamEvent]:
        """See `StreamDecoder.feed`."""
        return [told for event in self._splitter.feed(data) for told in self._event(event)]

    def rest(self) -> list[StreamEvent]:
        """See `StreamDecoder.rest`."""
        return [*self._event(self._splitter.rest()), *self._chunks.rest()]

    def _event(self, event: bytes) -> list[StreamEvent]:
        data = event_data(event)
        if data == b"[DONE]":
            return self._chunks.rest()
        return self._chunks.take(_as_chat(answer_members(data), "delta")) if data else []


def write_answer(answer: ChatAnswer, usage: Usage | None, asked: Asked) -> bytes:
    """See `Translator.write_answer`."""
    return msgspec.json.encode(
        {
            "id": f"cmpl-{asked.answer_id}",
            "object": "text_completion",
            "created": asked.created_s,
            "model": asked.model,
            "choices": [_choice(choice) for choice in answer.choices],
            "usage": written_usage(usage),
        }
    )


def _choice(choice: Choice) -> dict[str, Any]:
    return {
        "text": "".join([part.text for part in choice.content if isinstance(part, Text | Refusal)]),
        "index": choice.index,
        "logprobs": None if choice.logprobs is None else _logprobs(choice.logprobs, 0),
        "finish_reason": _FINISHES[choice.finish_reason or "stop"],
    }


class _Token(msgspec.Struct, gc=False):
    token: str
    logprob: float
    top_logprobs: list["_Token"] = []


_tokens = msgspec.json.Decoder(list[_Token])


def _logprobs(listed: bytes, offset: int) -> dict[str, Any] | None:
    try:
        tokens = _tokens.decode(listed)
    except msgspec.MsgspecError:
        return None
    offsets = []
    for token in tokens:
        offsets.append(offset)
        offset += len(token.token)
    return {
        "tokens": [token.token for token in tokens],
        "token_logprobs": [token.logprob for token in tokens],
        "top_logprobs": [{top.token: top.logprob for top in token.top_logprobs} for token in tokens],
        "text_offset": offsets,
    }


class CompletionsStreamEncoder:
    """See `StreamEncoder`."""

    __slots__ = ("_asked", "_lengths", "_telling", "_with_usage")

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._with_usage = asked.request.usage_in_stream
        self._telling: set[int] = set()
        """The choices whose open part is told."""
        self._lengths: dict[int, int] = {}

    def write(self, event: StreamEvent) -> bytes:
        """See `StreamEncoder.write`."""
        match event:
            case PartBegan():
                if isinstance(event.part, Text | Refusal):
                    self._telling.add(event.choice)
                else:
                    self._telling.discard(event.choice)
                return b""
            case PartGrew() if event.choice in self._telling:
                before = self._lengths.get(event.choice, 0)
                self._lengths[event.choice] = before + len(event.text)
                logprobs = None if event.logprobs is None else _logprobs(event.logprobs, before)
                return self._chunk([_piece(event.choice, event.text, logprobs, None)])
            case Finished():
                return self._chunk([_piece(event.choice, "", None, _FINISHES[event.reason])])
            case Closed():
                usage = written_usage(event.usage) if self._with_usage else None
                counted = self._chunk([], usage) if usage is not None else b""
                return counted + b"data: [DONE]\n\n"
            case _:
                return b""

    def error(self, code: str, message: str) -> bytes:
        """See `StreamEncoder.error`."""
        return openai_completions.error_event(code, message)

    def _chunk(self, choices: list[dict[str, Any]], usage: dict[str, Any] | None = None) -> bytes:
        chunk: dict[str, Any] = {
            "id": f"cmpl-{self._asked.answer_id}",
            "object": "text_completion",
            "created": self._asked.created_s,
            "choices": choices,
            "model": self._asked.model,
        }
        if self._with_usage:
            chunk["usage"] = usage
        return b"data: %b\n\n" % msgspec.json.encode(chunk)


def _piece(index: int, text: str, logprobs: dict[str, Any] | None, reason: str | None) -> dict[str, Any]:
    return {"text": text, "index": index, "logprobs": logprobs, "finish_reason": reason}
