"""Read and write whole messages.

What surprised us: `stop_reason` is what makes a client run its tools, and a refusal explains itself beside the content
(`stop_details`); a thought needs a signature, so one that has none of Anthropic's gets a mark (`marks.py`).
"""

from typing import Any

import msgspec

from farthing.types.chat import (
    ChatAnswer,
    Choice,
    Citation,
    FinishReason,
    Foreign,
    Part,
    Refusal,
    Signature,
    Text,
    Thinking,
    ToolCall,
)
from farthing.types.usage import Usage
from farthing.wire.translators.anthropic_messages.block_writer import Block, object_of
from farthing.wire.translators.anthropic_messages.blocks import WIRE, citation
from farthing.wire.translators.marks import marked
from farthing.wire.translators.protocol import Asked, NewId
from farthing.wire.translators.reading import answer_members, as_json

_REASONS: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "pause_turn": "pause",
    "refusal": "refusal",
}
_STOPS: dict[FinishReason | None, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
    "refusal": "refusal",
    "pause": "pause_turn",
    "error": "end_turn",
    None: "end_turn",
}
_TIERS = {"standard": "standard", "default": "standard", "priority": "priority", "batch": "batch"}


# ---- reading


def read_answer(body: bytes, new_id: NewId) -> ChatAnswer:
    """See `Translator.read_answer`."""
    members = answer_members(body)
    content = members.get("content")
    parts = [part for block in content if (part := part_of(block, new_id))] if isinstance(content, list) else []
    stop = members.get("stop_reason")
    if explained := explanation_of(members):
        parts.append(explained)
    called = any(isinstance(part, ToolCall) for part in parts)
    choice = Choice(tuple(parts), reason_of(stop, called=called), stop_sequence=text_in(members, "stop_sequence"))
    return ChatAnswer(
        id=text_in(members, "id"),
        model=text_in(members, "model"),
        choices=(choice,) if isinstance(content, list) else (),
    )


def part_of(block: Any, new_id: NewId) -> Part | None:
    """Return what a block of an answer is; `None` where it is nothing."""
    if not isinstance(block, dict) or not isinstance(kind := block.get("type"), str):
        return None
    match kind:
        case "text":
            return Text(text_in(block, "text") or "", citations=_citations(block.get("citations")))
        case "thinking":
            signature = text_in(block, "signature")
            return Thinking(text_in(block, "thinking") or "", Signature(WIRE, signature) if signature else None)
        case "redacted_thinking":
            return Thinking("", Signature(WIRE, text_in(block, "data") or ""), redacted=True)
        case "tool_use":
            given = block.get("input")
            return ToolCall(
                text_in(block, "id") or new_id("toolu_"),
                text_in(block, "name") or "",
                as_json(given).decode() if isinstance(given, dict) and given else "{}",
            )
        case _:
            return Foreign(WIRE, kind, as_json(block))


def reason_of(stop: Any, *, called: bool) -> FinishReason | None:
    """Return why an answer ended; one that calls tools does so for them, whatever it says."""
    if not isinstance(stop, str):
        return None
    reason = _REASONS.get(stop, "stop")
    return "tool_calls" if called and reason == "stop" else reason


def explanation_of(members: dict[str, Any]) -> Refusal | None:
    """Return what Anthropic says of a refusal, which is no part of the content."""
    details = members.get("stop_details")
    if not isinstance(details, dict) or members.get("stop_reason") != "refusal":
        return None
    explanation = text_in(details, "explanation")
    return Refusal(explanation) if explanation else None


def text_in(members: dict[str, Any], name: str) -> str | None:
    """Return a member that is a text."""
    value = members.get(name)
    return value if isinstance(value, str) else None


def _citations(raw: Any) -> tuple[Citation, ...]:
    if not isinstance(raw, list):
        return ()
    return tuple([cited for item in raw if isinstance(item, dict) and (cited := citation(item)) is not None])


# ---- writing


def write_answer(answer: ChatAnswer, usage: Usage | None, asked: Asked) -> bytes:
    """See `Translator.write_answer`."""
    choice = answer.choices[0] if answer.choices else Choice((), None)
    blocks = [block for part in choice.content if (block := block_of(part)) is not None]
    reason, sequence = stop_of(
        choice.finish_reason,
        choice.stop_sequence,
        called=any(isinstance(part, ToolCall) for part in choice.content),
        refused=any(isinstance(part, Refusal) for part in choice.content),
    )
    return msgspec.json.encode(
        {
            "id": f"msg_{asked.answer_id}",
            "type": "message",
            "role": "assistant",
            "model": asked.model,
            "content": blocks,
            "stop_reason": reason,
            "stop_sequence": sequence,
            "usage": usage_members(usage, asked, answer.service_tier),
        }
    )


def block_of(part: Part) -> Block | None:
    """Return the block of an answer that shows a part; `None` where there is none that could."""
    match part:
        case Text() if part.text:
            block: dict[str, Any] = {"type": "text", "text": part.text}
            if shown := [raw for cited in part.citations if (raw := citation_of(cited, part.text)) is not None]:
                block["citations"] = shown
            return block
        case Refusal() if part.text:
            return {"type": "text", "text": part.text}
        case Thinking():
            if is_redacted(part) and part.signature is not None:
                return {"type": "redacted_thinking", "data": part.signature.value}
            return {"type": "thinking", "thinking": part.text, "signature": seal_of(part)}
        case ToolCall():
            return {"type": "tool_use", "id": part.id, "name": part.name, "input": object_of(part.arguments)}
        case Foreign() if part.origin == WIRE:
            return msgspec.Raw(part.raw)
        case _:
            return None


def is_redacted(part: Thinking) -> bool:
    """Whether a thought is shown as a redacted one: only Anthropic's own are."""
    return part.redacted and part.signature is not None and part.signature.origin == WIRE


def seal_of(part: Thinking) -> str:
    """Return the signature that a client is shown: Anthropic's own, or a mark."""
    signature = part.signature
    return signature.value if signature is not None and signature.origin == WIRE else marked(signature)


def citation_of(cited: Citation, text: str) -> Any:
    """Return a citation as this format has it; another format's is one of a page that was found, if it has one."""
    if cited.origin == WIRE:
        return msgspec.Raw(cited.raw)
    if cited.url is None:
        return None
    return {
        "type": "web_search_result_location",
        "cited_text": text[cited.start or 0 : cited.end],
        "url": cited.url,
        "title": cited.title,
        "encrypted_index": marked(None),
    }


def stop_of(
    reason: FinishReason | None, sequence: str | None, *, called: bool, refused: bool
) -> tuple[str, str | None]:
    """Return the stop reason and the stop sequence of an answer."""
    if reason in ("stop", None):
        if called:
            return "tool_use", None
        if sequence is not None:
            return "stop_sequence", sequence
        if refused:
            return "refusal", None
    return _STOPS[reason], None


def usage_members(usage: Usage | None, asked: Asked, service_tier: str | None = None) -> dict[str, Any]:
    """Return the usage of a message; input is told without what came from the cache or went there."""
    members: dict[str, Any] = counts(usage or Usage(), asked)
    usage = usage or Usage()
    members["cache_creation"] = {
        "ephemeral_5m_input_tokens": usage.cache_creation_5m_input_tokens,
        "ephemeral_1h_input_tokens": usage.cache_creation_1h_input_tokens,
    }
    if service_tier in _TIERS:
        members["service_tier"] = _TIERS[service_tier]
    return members


def counts(usage: Usage, asked: Asked) -> dict[str, Any]:
    """Return the counts that an answer and the end of a stream tell alike."""
    total = asked.input_tokens_estimate if usage.input_tokens is None else usage.input_tokens
    written = usage.cache_creation_input_tokens
    members: dict[str, Any] = {
        "input_tokens": max(0, total - usage.cache_read_input_tokens - written),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": usage.cache_read_input_tokens,
        "output_tokens": usage.output_tokens or 0,
    }
    if usage.reasoning_output_tokens:
        members["output_tokens_details"] = {"thinking_tokens": usage.reasoning_output_tokens}
    if usage.web_search_requests:
        members["server_tool_use"] = {"web_search_requests": usage.web_search_requests, "web_fetch_requests": 0}
    return members
