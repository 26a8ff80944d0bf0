"""Answers of /api/chat and /api/generate: one JSON object, as their streams' lines joined.

What surprised us: Ollama says `stop` where it called tools; its log probabilities have OpenAI's shape but leave out
what was not asked for; and it sends lines although one object was asked for where a proxy in between dropped `stream`.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from farthing.types.chat import (
    Audio,
    ChatAnswer,
    Choice,
    FinishReason,
    Image,
    Inline,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
)
from farthing.types.usage import Usage
from farthing.wire.lenient import UNREADABLE
from farthing.wire.translators.ollama.media import media_type
from farthing.wire.translators.ollama.request_writer import written_calls
from farthing.wire.translators.protocol import Asked, NewId
from farthing.wire.translators.reading import answer_members, as_json

_REASONS: Mapping[str, FinishReason] = {
    "length": "length",
    "content_filter": "content_filter",
    "refusal": "refusal",
    "pause": "pause",
    "error": "error",
}

_LAST_S = 253_402_300_799
"""The last second that a calendar has; some tell milliseconds where seconds are meant."""


class _Alternative(msgspec.Struct, kw_only=True, gc=False):
    token: str
    bytes: list[int] | None = None
    logprob: float


class _Token(msgspec.Struct, kw_only=True, gc=False):
    """A token in OpenAI's shape, whose clients want all of it; Ollama leaves out what is empty."""

    token: str
    bytes: list[int] | None = None
    logprob: float
    top_logprobs: list[_Alternative] = []


_tokens = msgspec.json.Decoder(list[_Token])


def read_answer(body: bytes, new_id: NewId) -> ChatAnswer | None:
    """Read a whole answer; `None` where the body is no single object."""
    members = answer_members(body)
    if not members:
        return None
    message = members.get("message")
    content = _content(message if isinstance(message, dict) else members, new_id)
    reason = finish_reason(members, called=any(isinstance(part, ToolCall) for part in content))
    model = members.get("model")
    choices = (
        (Choice(content, reason, logprobs=logprobs(members.get("logprobs"))),) if content or reason is not None else ()
    )
    return ChatAnswer(
        id=None,
        model=model if isinstance(model, str) and model else None,
        choices=choices,
        created_s=_seconds(members.get("created_at")),
    )


def _content(message: Mapping[str, Any], new_id: NewId) -> tuple[Part, ...]:
    parts: list[Part] = []
    thinking, text = message.get("thinking"), message.get("content", message.get("response"))
    if isinstance(thinking, str) and thinking:
        parts.append(Thinking(thinking))
    if isinstance(text, str) and text:
        parts.append(Text(text))
    parts += pictures(message.get("images"))
    parts += calls(message.get("tool_calls"), new_id)
    return tuple(parts)


def pictures(listed: object) -> list[Image | Audio]:
    """Return the pictures that a model made."""
    found: list[Image | Audio] = []
    for data in listed if isinstance(listed, list) else ():
        kind = media_type(data) if isinstance(data, str) else None
        if kind is not None:
            source = Inline(kind, data)
            found.append(Audio(source) if kind.startswith("audio/") else Image(source))
    return found


def calls(listed: object, new_id: NewId) -> list[ToolCall]:
    """Return tool calls; older versions give them no ids."""
    found: list[ToolCall] = []
    for call in listed if isinstance(listed, list) else ():
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict):
            continue
        name = function.get("name")
        if not isinstance(name, str) or not name:
            continue
        arguments, call_id = function.get("arguments"), call.get("id")
        found.append(
            ToolCall(
                call_id if isinstance(call_id, str) and call_id else new_id("call_"),
                name,
                _arguments(arguments),
            )
        )
    return found


def _arguments(value: object) -> str:
    """Return arguments as JSON text; a text is taken for JSON that somebody encoded twice."""
    if isinstance(value, str):
        return value or "{}"
    try:
        return as_json({} if value is None else value).decode()
    except UNREADABLE:
        return "{}"


def finish_reason(members: Mapping[str, Any], *, called: bool) -> FinishReason | None:
    """Return why an answer ended; `None` where it does not say that it did."""
    reason = members.get("done_reason")
    if members.get("done") is not True:
        return None
    found = _REASONS.get(reason, "stop") if isinstance(reason, str) else "stop"
    return "tool_calls" if found == "stop" and called else found


def logprobs(listed: object) -> bytes | None:
    """Return log probabilities in OpenAI's shape; `None` where there are none that can be read."""
    if not isinstance(listed, list) or not listed:
        return None
    try:
        return msgspec.json.encode(msgspec.convert(listed, list[_Token]))
    except UNREADABLE:
        return None


def raw_logprobs(listed: msgspec.Raw) -> bytes | None:
    """Return the same of a list that is not decoded yet."""
    try:
        found = _tokens.decode(listed)
        return msgspec.json.encode(found) if found else None
    except UNREADABLE:
        return None


def _seconds(value: object) -> int | None:
    if not isinstance(value, str):
        return None
    try:
        return int(datetime.fromisoformat(value).timestamp())
    except (ValueError, OverflowError):
        return None


# ---- for clients


def write_answer(answer: ChatAnswer, usage: Usage | None, asked: Asked) -> bytes:
    """Return a whole answer for a client of either path."""
    choice = answer.choices[0] if answer.choices else Choice((), "stop")
    message = written_message(choice.content)
    told_s = answer.created_s
    created_s = asked.created_s if told_s is None or not 0 <= told_s <= _LAST_S else told_s
    members = _head(answer.model or asked.model, created_s)
    if asked.request.raw_prompt:
        members["response"] = message.pop("content")
        members |= message
    else:
        members["message"] = {"role": "assistant", **message}
    if choice.logprobs is not None:
        members["logprobs"] = on_one_line(choice.logprobs)
    if choice.finish_reason is not None:
        members |= ending(choice.finish_reason, usage)
    else:
        members["done"] = False
    return msgspec.json.encode(members)


def write_loaded(asked: Asked) -> bytes:
    """Return the answer to a request without a prompt, which only loads the model: elsewhere it always is."""
    members = _head(asked.model, asked.created_s)
    if asked.request.raw_prompt:
        members["response"] = ""
    else:
        members["message"] = {"role": "assistant", "content": ""}
    return msgspec.json.encode({**members, "done": True, "done_reason": "load"})


def written_message(parts: tuple[Part, ...]) -> dict[str, Any]:
    """Return the members of a message that hold these parts; of sound what is said in it.

    Pictures are left out: Ollama's own client fails on an answer that holds one (0.6.3).
    """
    texts = [part.text for part in parts if isinstance(part, Text | Refusal)]
    texts += [part.transcript for part in parts if isinstance(part, Audio) and part.transcript]
    thoughts = [part.text for part in parts if isinstance(part, Thinking)]
    made = [part for part in parts if isinstance(part, ToolCall)]
    message: dict[str, Any] = {"content": "".join(texts)}
    if any(thoughts):
        message["thinking"] = "".join(thoughts)
    if made:
        message["tool_calls"] = written_calls(made)
    return message


def ending(reason: FinishReason, usage: Usage | None) -> dict[str, Any]:
    """Return the members of the last line. How long anything took is not known here, and left out."""
    members: dict[str, Any] = {"done": True, "done_reason": "stop" if reason == "tool_calls" else reason}
    if usage is not None:
        if usage.input_tokens is not None:
            members["prompt_eval_count"] = usage.input_tokens
        if usage.output_tokens is not None:
            members["eval_count"] = usage.output_tokens
    return members


def on_one_line(raw: bytes) -> msgspec.Raw | list[Any]:
    """Return JSON such that it can stand in a line of a stream."""
    if b"\n" not in raw and b"\r" not in raw:
        return msgspec.Raw(raw)
    try:
        found = msgspec.json.decode(raw)
    except UNREADABLE:
        return []
    return found if isinstance(found, list) else []


def _head(model: str, created_s: int) -> dict[str, Any]:
    return {"model": model, "created_at": timestamp(created_s)}


def timestamp(seconds: int) -> str:
    """Return seconds since 1970 as Ollama writes times."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
