"""Read and write whole answers. One is read as a stream of a single piece, so that both tell the same.

A client of this format has one text, its thoughts beside it, and calls: several texts of an answer are joined, and
where a text is cited is counted in the joined one.
"""

from typing import Any

import msgspec

from farthing.types.chat import (
    Audio,
    ChatAnswer,
    Choice,
    FinishReason,
    Image,
    Part,
    Refusal,
    StreamEvent,
    Text,
    Thinking,
    ToolCall,
)
from farthing.types.usage import Usage
from farthing.wire.translators.assembly import answer_of
from farthing.wire.translators.openai_chat.media import url_of
from farthing.wire.translators.openai_chat.streams import ChunkReader
from farthing.wire.translators.openai_chat.usage_words import written_usage
from farthing.wire.translators.protocol import Asked, NewId
from farthing.wire.translators.reading import answer_members

_Json = dict[str, Any]

_FINISHES: dict[FinishReason, str] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "refusal": "content_filter",
    "pause": "stop",
    "error": "error",
}
_TIERS = frozenset(["auto", "default", "flex", "scale", "priority", "fast"])


def read_answer(body: bytes, new_id: NewId) -> ChatAnswer:
    """See `Translator.read_answer`."""
    members = answer_members(body)
    reader = ChunkReader(new_id, "message")
    events: list[StreamEvent] = [*reader.take(members), *reader.rest()]
    created, tier = members.get("created"), members.get("service_tier")
    return msgspec.structs.replace(
        answer_of(events),
        created_s=created if isinstance(created, int) and 0 <= created < 1 << 40 else None,
        service_tier=tier if isinstance(tier, str) else None,
    )


def write_answer(answer: ChatAnswer, usage: Usage | None, asked: Asked) -> bytes:
    """See `Translator.write_answer`."""
    written: _Json = {
        "id": f"chatcmpl-{asked.answer_id}",
        "object": "chat.completion",
        "created": asked.created_s,
        "model": asked.model,
        "choices": [_choice(choice, asked) for choice in answer.choices],
        "usage": written_usage(usage),
    }
    if answer.service_tier in _TIERS:
        written["service_tier"] = answer.service_tier
    return msgspec.json.encode(written)


def _choice(choice: Choice, asked: Asked) -> _Json:
    legacy = asked.request.legacy_functions
    message = _message(choice.content, asked)
    reason = finish_word(choice.finish_reason or "stop", refused=message["refusal"] is not None, legacy=legacy)
    logprobs = None
    if choice.logprobs is not None:
        logprobs = {"content": msgspec.Raw(choice.logprobs), "refusal": None}
    return {"index": choice.index, "message": message, "logprobs": logprobs, "finish_reason": reason}


def finish_word(reason: FinishReason, *, refused: bool, legacy: bool) -> str:
    """Return OpenAI's word; a refusal that is told as such is a `stop`, and one that is not is the filter's."""
    if reason == "refusal" and refused:
        return "stop"
    return "function_call" if legacy and reason == "tool_calls" else _FINISHES[reason]


def _message(content: tuple[Part, ...], asked: Asked) -> _Json:
    message: _Json = {"role": "assistant", "content": None, "refusal": None}
    texts: list[str] = []
    thoughts: list[str] = []
    refusals: list[str] = []
    calls: list[_Json] = []
    annotations: list[_Json] = []
    length = 0
    for part in content:
        match part:
            case Text():
                annotations.extend(cited(part, length))
                texts.append(part.text)
                length += len(part.text)
            case Thinking() if part.text:
                thoughts.append(part.text)
            case Refusal():
                refusals.append(part.text)
            case ToolCall():
                calls.append(written_call(part))
            case Audio():
                message["audio"] = written_audio(part, asked)
            case Image() if (image := written_image(part)) is not None:
                message.setdefault("images", []).append(image)
            case _:
                pass
    if texts:
        message["content"] = "".join(texts)
    if refusals:
        message["refusal"] = "".join(refusals)
    if thoughts:
        message["reasoning_content"] = "".join(thoughts)
    if annotations:
        message["annotations"] = annotations
    if calls and asked.request.legacy_functions and "function" in calls[0]:
        message["function_call"] = calls[0]["function"]
    elif calls:
        message["tool_calls"] = calls
    return message


def written_call(call: ToolCall) -> _Json:
    """Return a call as a client gets it."""
    if call.custom:
        return {"id": call.id, "type": "custom", "custom": {"name": call.name, "input": call.arguments}}
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments or "{}"}}


def cited(text: Text, before: int) -> list[_Json]:
    """Return what a text cites that has an address; `before` are the characters in front of it.

    A citation that does not say what of the text it supports is taken to support all of it.
    """
    return [
        {
            "type": "url_citation",
            "url_citation": {
                "start_index": before + (0 if citation.start is None else citation.start),
                "end_index": before + (len(text.text) if citation.end is None else citation.end),
                "title": citation.title or "",
                "url": citation.url,
            },
        }
        for citation in text.citations
        if citation.url is not None
    ]


def written_image(image: Image) -> _Json | None:
    """Return a picture that a model made as OpenRouter's clients know it; OpenAI has no place for one."""
    url = url_of(image.source)
    return None if url is None else {"type": "image_url", "image_url": {"url": url}}


def written_audio(audio: Audio, asked: Asked) -> _Json:
    """Return sound; what it needs and is not known is empty, and it expires when it is made: nobody keeps it."""
    data = getattr(audio.source, "data", "")
    return {
        "id": audio.id or asked.new_id("audio_"),
        "data": data,
        "expires_at": asked.created_s,
        "transcript": audio.transcript or "",
    }
