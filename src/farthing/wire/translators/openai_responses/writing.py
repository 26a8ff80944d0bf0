"""Write a request for a provider of responses.

System messages stay items where they stand: xAI takes no `instructions`, and in the input they keep their place. Nobody
is asked to keep anything (`store: false`), and where the model thinks its encrypted reasoning is asked for, so that it
can be given back. What surprised us: a model that does not think refuses to be asked for that; OpenAI's first reasoning
models refuse a temperature; nothing under 16 output tokens is taken, so that is what a smaller limit becomes; call ids
may have 64 characters; DeepSeek takes a message between two calls for the end of the first, so what is said after a
call goes before it; and a result has no mark for an error, so its text says so.
"""

import re
from hashlib import blake2b
from typing import Any

import msgspec

from farthing.types.chat import (
    AnswerShape,
    Audio,
    ChatRequest,
    Document,
    Filed,
    Foreign,
    Image,
    Inline,
    Linked,
    Message,
    Part,
    Reasoning,
    Refusal,
    Source,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from farthing.wire.translators.efforts import effort_of
from farthing.wire.translators.features import Feature, Used, thoughts_of_others
from farthing.wire.translators.marks import is_marked
from farthing.wire.translators.openai_responses.requests import LOGPROBS, SEALS
from farthing.wire.translators.openai_responses.tools import WIRE, write_choice, write_tools

LEAST_OUTPUT_TOKENS = 16
"""OpenAI refuses less."""
MAX_CALL_ID_CHARS = 64
SERVICE_TIERS = frozenset({"auto", "default", "flex", "scale", "priority", "fast", "ultrafast"})
ERROR_WORDS = "Error: "
_THINKS = re.compile(r"(?:o[1-9]\b|gpt-(?:[5-9]|\d\d)(?!.*-chat)|grok-[4-9]|codex)")
"""Models that give encrypted reasoning unasked: recorded are o3, o4, gpt-5 to 5.6 and grok-4.3."""
_MAY_BE_REFUSED = {
    "temperature": Feature.TEMPERATURE,
    "top_p": Feature.TOP_P,
    "service_tier": Feature.SERVICE_TIER,
    "reasoning": Feature.REASONING,
}
"""What a request may ask for, and not every model takes."""
_FIXED_SAMPLING = re.compile(r"(?:o[1-9]|gpt-5)(?:-(?:mini|nano|pro|codex|preview))*(?:-\d{4}-\d\d-\d\d)?$")
"""Models that take no temperature and no `top_p`; later ones of the GPT-5 family do where they do not think."""


def write_request(request: ChatRequest, left_out: list[Used] | None = None) -> bytes:
    """See `Translator.write_request`. What grows comes last, so that a prompt's beginning stays as it is."""
    body: dict[str, Any] = {"model": request.model}
    if request.streamed:
        body["stream"] = True
    _add_tools(body, request)
    _add_shape(body, request)
    _add_sampling(body, request)
    _add_beside(body, request)
    if request.origin == WIRE:
        body |= {name: msgspec.Raw(raw) for name, raw in request.extra.items() if name not in body and "." not in name}
    if left_out is not None:
        asked = {name: getattr(request, name) is not None for name in _MAY_BE_REFUSED}
        left_out += [
            Used(feature, name) for name, feature in _MAY_BE_REFUSED.items() if asked[name] and name not in body
        ]
        left_out += thoughts_of_others(request, WIRE)
    body["input"] = [item for message in request.messages for item in _items(message)]
    return msgspec.json.encode(body)


def _add_tools(body: dict[str, Any], request: ChatRequest) -> None:
    tools = write_tools(request.tools, request.server_tools)
    if tools:
        body["tools"] = tools
    if request.tool_choice is not None:
        body["tool_choice"] = write_choice(request.tool_choice, request.tools)
    if request.parallel_tool_calls is not None:
        body["parallel_tool_calls"] = request.parallel_tool_calls


def _add_shape(body: dict[str, Any], request: ChatRequest) -> None:
    text: dict[str, Any] = {}
    if request.shape is not None:
        text["format"] = shape_member(request.shape)
    if request.verbosity is not None:
        text["verbosity"] = request.verbosity
    if text:
        body["text"] = text
    reasoning = {} if request.reasoning is None else reasoning_member(request.reasoning)
    if reasoning:
        body["reasoning"] = reasoning


def shape_member(shape: AnswerShape) -> dict[str, Any]:
    """Return `text.format`."""
    if shape.schema is None:
        return {"type": "json_object"}
    written: dict[str, Any] = {"type": "json_schema", "name": shape.name or "answer"}
    if shape.description is not None:
        written["description"] = shape.description
    written["schema"] = msgspec.Raw(shape.schema)
    if shape.strict is not None:
        written["strict"] = shape.strict
    return written


def reasoning_member(reasoning: Reasoning) -> dict[str, Any]:
    """Return `reasoning`. A summary is asked for only where the client wants one: OpenAI gives it to those it knows."""
    written: dict[str, Any] = {}
    if reasoning.effort is not None:
        written["effort"] = reasoning.effort
    elif reasoning.off:
        written["effort"] = "none"
    elif reasoning.budget_tokens is not None:
        written["effort"] = effort_of(reasoning.budget_tokens)
    if reasoning.shown:
        summary = reasoning.summary
        written["summary"] = summary if summary in ("concise", "detailed") else "auto"
    return written


def _add_sampling(body: dict[str, Any], request: ChatRequest) -> None:
    if request.max_output_tokens is not None:
        body["max_output_tokens"] = max(request.max_output_tokens, LEAST_OUTPUT_TOKENS)
    if not _FIXED_SAMPLING.match(_bare(request.model)):
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.top_p is not None:
            body["top_p"] = request.top_p
    if request.logprobs and request.top_logprobs is not None:
        body["top_logprobs"] = request.top_logprobs


def _add_beside(body: dict[str, Any], request: ChatRequest) -> None:
    include = [LOGPROBS] if request.logprobs else []
    if _thinks(request):
        include.append(SEALS)
    if request.origin == WIRE and "include" in request.extra:
        include += msgspec.json.decode(request.extra["include"], type=list[str])
    if include:
        body["include"] = include
    body["store"] = request.store is True
    if request.service_tier in SERVICE_TIERS:
        body["service_tier"] = request.service_tier
    if request.user is not None:
        body["user"] = request.user
    if request.metadata is not None:
        body["metadata"] = msgspec.Raw(request.metadata)
    if request.prompt_cache_key is not None:
        body["prompt_cache_key"] = request.prompt_cache_key


def _thinks(request: ChatRequest) -> bool:
    """Return whether the model is to be asked for its encrypted reasoning."""
    reasoning = request.reasoning
    if reasoning is not None:
        return not (reasoning.off or reasoning.effort == "none")
    return request.seals_asked or _THINKS.match(_bare(request.model)) is not None


def _bare(model: str) -> str:
    """Return a model's name without its vendor's; the longest recorded has 60 characters."""
    return model[-200:].rpartition("/")[2]


# ---- messages


def _items(message: Message) -> list[Any]:
    if message.role not in ("assistant", "tool"):
        given = [written for part in message.content if (written := _given(part)) is not None]
        return [_message(message.role, given)] if given else []
    items: list[Any] = []
    calls: list[Any] = []
    """Calls that stand behind one another, but for what was said between them."""
    said: list[Any] = []
    shown: list[Any] = []
    for part in message.content:
        if (spoken := _said(part)) is not None:
            said.append(spoken)
        elif isinstance(part, Image | Document):
            picture = _given(part)
            shown += [] if picture is None else [picture]
        elif (item := _item(part)) is not None:
            if said:
                items.append(_message("assistant", said))
                said = []
            if isinstance(part, ToolCall):
                calls.append(item)
            else:
                items += [*calls, item]
                calls = []
    if said:
        items.append(_message("assistant", said))
    items += calls
    if shown:  # pictures and files of an assistant: the format has them in messages of the user alone
        items.append(_message("user", shown))
    return items


def _message(role: str, content: list[Any]) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": content}


def _said(part: Part) -> dict[str, Any] | None:
    """Return a part of an assistant's message; a text with nothing in it is none."""
    match part:
        case Text() if part.text:
            said: dict[str, Any] = {"type": "output_text", "text": part.text}
            cited = [msgspec.Raw(citation.raw) for citation in part.citations if citation.origin == WIRE]
            return {**said, "annotations": cited} if cited else said
        case Refusal():
            return {"type": "refusal", "refusal": part.text}
        case Audio() if part.transcript:
            return {"type": "output_text", "text": part.transcript}
        case _:
            return None


def _given(part: Part) -> Any | None:
    """Return a part of a user's message, or of what a tool gave; `None` for what the format has not."""
    match part:
        case Text():
            return {"type": "input_text", "text": part.text}
        case Refusal():
            return {"type": "input_text", "text": part.text}
        case Image():
            found = _source(part.source, "image_url", "image_url")
            return None if found is None else {"type": "input_image", "detail": part.detail or "auto", **found}
        case Document():
            return _document(part)
        case Foreign() if part.origin == WIRE:
            return msgspec.Raw(part.raw)
        case Audio() if part.transcript:
            return {"type": "input_text", "text": part.transcript}
        case _:
            return None


def _document(part: Document) -> dict[str, Any] | None:
    found = _source(part.source, "file_data", "file_url")
    if found is None:
        return None
    written: dict[str, Any] = {"type": "input_file"}
    if isinstance(part.source, Inline):
        written["filename"] = part.name or _file_name(part.source.media_type)
    return written | found


def _file_name(media_type: str) -> str:
    """Return a name for a file that has none; OpenAI tells by its ending what it is."""
    return {"text/plain": "document.txt", "text/html": "document.html", "text/csv": "document.csv"}.get(
        media_type, "document.pdf"
    )


def _source(source: Source, inline: str, linked: str) -> dict[str, str] | None:
    match source:
        case Inline():
            return {inline: f"data:{source.media_type};base64,{source.data}"}
        case Linked():
            return {linked: source.url}
        case Filed():
            return {"file_id": source.id} if source.origin.startswith("openai_") else None


def _item(part: Part) -> Any | None:
    match part:
        case Thinking():
            return _thinking(part)
        case ToolCall():
            call: dict[str, Any] = {"type": "custom_tool_call" if part.custom else "function_call"}
            call["call_id"] = call_id(part.id)
            call["name"] = part.name
            if part.namespace is not None:
                call["namespace"] = part.namespace
            call["input" if part.custom else "arguments"] = part.arguments if part.custom else part.arguments or "{}"
            return call
        case ToolResult():
            return _result(part)
        case Foreign() if part.origin == WIRE:
            return msgspec.Raw(part.raw)
        case _:
            return None


def _thinking(part: Thinking) -> dict[str, Any] | None:
    """Return a thought that its provider has sealed; no other is of use to it.

    Without its id: OpenAI takes a reasoning item that has one only with the very item that followed it, by its id too.
    """
    signature = part.signature
    if signature is None or signature.origin != WIRE or is_marked(signature.value):
        return None
    summary = [{"type": "summary_text", "text": part.text}] if part.text else []
    return {"type": "reasoning", "summary": summary, "encrypted_content": signature.value}


def _result(part: ToolResult) -> dict[str, Any]:
    content = part.content
    if part.is_error:
        content = _with_error(content)
    output: Any
    if not content:
        output = ""
    elif len(content) == 1 and isinstance(content[0], Text):
        output = content[0].text
    else:
        output = [given for piece in content if (given := _given(piece)) is not None]
    kind = "custom_tool_call_output" if part.custom else "function_call_output"
    return {"type": kind, "call_id": call_id(part.call_id), "output": output}


def _with_error(content: tuple[Any, ...]) -> tuple[Any, ...]:
    first = content[0] if content else None
    if not isinstance(first, Text):
        return (Text(ERROR_WORDS.strip()), *content)
    if first.text.lower().startswith("error"):
        return content
    return (Text(ERROR_WORDS + first.text), *content[1:])


def call_id(given: str) -> str:
    """Return a call's id as OpenAI takes it: one that is too long becomes its hash, and always the same."""
    if len(given) <= MAX_CALL_ID_CHARS:
        return given
    return f"call_{blake2b(given.encode('utf-8', 'surrogatepass'), digest_size=16).hexdigest()}"
