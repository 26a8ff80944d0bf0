"""The items of a response, which are the items of the next request's input: messages, thoughts, calls.

One reader for both, as lenient as answers need it; what a client must mend is checked before. What surprised us:
reasoning has its text in `summary` (OpenAI, xAI) or in `content` (DeepSeek, OpenRouter), and never in both.
"""

from typing import Any

import msgspec

from farthing.types.chat import Citation, Foreign, Image, Inline, Part, Refusal, Signature, Text, Thinking, ToolCall
from farthing.wire.lenient import UNREADABLE
from farthing.wire.translators.marks import is_marked, marked, unmarked
from farthing.wire.translators.openai_responses.tools import WIRE
from farthing.wire.translators.protocol import NewId

PARAGRAPH = "\n\n"
"""Between the parts of a summary, which are paragraphs with a heading each."""


def read_item(item: dict[str, Any], new_id: NewId) -> list[Part]:
    """Return what an item of an answer says; what cannot be read is left out."""
    kind = item.get("type")
    if kind == "message":
        content = item.get("content")
        read = [read_said(part) for part in content] if isinstance(content, list) else []
        return [part for part in read if part is not None]
    if kind in ("function_call", "custom_tool_call"):
        return [read_call(item, new_id)]
    if kind == "reasoning":
        thinking = read_thinking(item)
        return [thinking] if thinking.text or thinking.signature is not None else []
    if kind == "image_generation_call" and _text(item, "result"):
        return [Image(Inline(f"image/{_text(item, 'output_format') or 'png'}", item["result"]))]
    if isinstance(kind, str):
        raw = json_or_none(item)
        return [] if raw is None else [Foreign(WIRE, kind, raw)]
    return []


def read_said(part: object) -> Text | Refusal | None:
    """Return a part of an assistant's message."""
    if not isinstance(part, dict):
        return None
    if part.get("type") == "refusal":
        return Refusal(_text(part, "refusal"))
    if isinstance(part.get("text"), str):
        return Text(part["text"], citations=read_citations(part.get("annotations")))
    return None


def read_citations(annotations: object) -> tuple[Citation, ...]:
    """Return what a text's annotations cite."""
    if not isinstance(annotations, list) or not annotations:
        return ()
    read = [read_citation(annotation) for annotation in annotations]
    return tuple(citation for citation in read if citation is not None)


def read_citation(annotation: object) -> Citation | None:
    """Return what one annotation cites."""
    raw = json_or_none(annotation) if isinstance(annotation, dict) else None
    if raw is None or not isinstance(annotation, dict):
        return None
    return Citation(
        WIRE,
        raw,
        _text(annotation, "url") or None,
        _text(annotation, "title") or None,
        _position(annotation.get("start_index")),
        _position(annotation.get("end_index")),
    )


def read_call(item: dict[str, Any], new_id: NewId) -> ToolCall:
    """Return a call; its id is the one that results are given under, not the item's."""
    custom = item.get("type") == "custom_tool_call"
    given = _text(item, "input") if custom else _text(item, "arguments") or "{}"
    return ToolCall(
        _text(item, "call_id") or _text(item, "id") or new_id("call_"),
        _text(item, "name"),
        given,
        custom,
        _text(item, "namespace") or None,
    )


def read_thinking(item: dict[str, Any]) -> Thinking:
    """Return a thought, in full where it is there, or else its summary; a mark of ours stays a mark."""
    text = PARAGRAPH.join(_texts(item.get("content")) or _texts(item.get("summary")))
    sealed = _text(item, "encrypted_content")
    signature = seal(sealed) if sealed else None
    return Thinking(text, signature, redacted=not text and signature is not None, id=_text(item, "id") or None)


def seal(value: str) -> Signature | None:
    """Return what encrypted content is: a provider's, or a mark of ours for another's."""
    return unmarked(value) if is_marked(value) else Signature(WIRE, value)


def read_logprobs(item: dict[str, Any]) -> list[Any]:
    """Return the log probabilities of a message's texts."""
    content = item.get("content") if item.get("type") == "message" else None
    found: list[Any] = []
    for part in content if isinstance(content, list) else ():
        tokens = part.get("logprobs") if isinstance(part, dict) else None
        if isinstance(tokens, list):
            found.extend(tokens)
    return found


def json_or_none(value: object) -> bytes | None:
    """Return decoded JSON as JSON again; `None` for what was too odd to be written."""
    try:
        return msgspec.json.encode(value)
    except UNREADABLE:
        return None


def _texts(parts: object) -> list[str]:
    if not isinstance(parts, list):
        return []
    return [part["text"] for part in parts if isinstance(part, dict) and _text(part, "text")]


def _text(members: dict[str, Any], name: str) -> str:
    value = members.get(name)
    return value if isinstance(value, str) else ""


def _position(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


# ---- writing


def message_item(item_id: str, status: str, content: list[Any]) -> dict[str, Any]:
    """Return a message of the assistant."""
    return {"id": item_id, "type": "message", "status": status, "content": content, "role": "assistant"}


UNLIKELY = -9999.0
"""What OpenAI says of a token that is not among the likeliest."""


def whole_logprobs(logprobs: bytes) -> bytes:
    """Return log probabilities with the members that OpenAI always sends; Together and Hugging Face leave some out."""
    try:
        tokens = msgspec.json.decode(logprobs)
        return msgspec.json.encode([_whole_token(token) for token in tokens if isinstance(token, dict)])
    except (*UNREADABLE, TypeError):
        return b"[]"


def _whole_token(token: dict[str, Any], *, of_others: bool = True) -> dict[str, Any]:
    text, probability = _text(token, "token"), token.get("logprob")
    whole = {**token, "token": text}
    if not isinstance(token.get("bytes"), list):
        whole["bytes"] = list(text.encode("utf-8", "replace"))
    if not isinstance(probability, int | float):
        whole["logprob"] = UNLIKELY
    if of_others:
        others = token.get("top_logprobs")
        others = others if isinstance(others, list) else []
        whole["top_logprobs"] = [_whole_token(other, of_others=False) for other in others if isinstance(other, dict)]
    return whole


def text_part(part: Text, logprobs: bytes | None = None) -> dict[str, Any]:
    """Return a text of a message; `logprobs` are whole."""
    return {
        "type": "output_text",
        "annotations": annotations(part),
        "logprobs": msgspec.Raw(logprobs or b"[]"),
        "text": part.text,
    }


def refusal_part(part: Refusal) -> dict[str, Any]:
    """Return a refusal in a message."""
    return {"type": "refusal", "refusal": part.text}


def annotations(part: Text) -> list[Any]:
    """Return what a text cites: as it came, or as an address; a citation without one cannot be told."""
    written: list[Any] = []
    for citation in part.citations:
        if citation.origin == WIRE:
            written.append(msgspec.Raw(citation.raw))
        elif citation.url is not None:
            start, end = citation.start, citation.end
            written.append(
                {
                    "type": "url_citation",
                    "end_index": len(part.text) if end is None else end,
                    "start_index": start or 0,
                    "title": citation.title or citation.url,
                    "url": citation.url,
                }
            )
    return written


def call_item(item_id: str, status: str, call: ToolCall, given: str) -> dict[str, Any]:
    """Return a call as an item, with what it is given so far; Codex finds the tool by `namespace` and `name`."""
    item = {"id": item_id, "type": "custom_tool_call" if call.custom else "function_call", "status": status}
    item["input" if call.custom else "arguments"] = given
    item["call_id"] = call.id
    item["name"] = call.name
    if call.namespace is not None:
        item["namespace"] = call.namespace
    return item


def given_of(call: ToolCall) -> str:
    """Return what a call is given; clients decode arguments without looking whether there are any."""
    return call.arguments if call.custom else call.arguments or "{}"


def thinking_item(item_id: str, thinking: Thinking, *, sealed: bool) -> dict[str, Any]:
    """Return a thought as an item; `sealed` says that the client asked for what it can give back."""
    summary = [{"type": "summary_text", "text": thinking.text}] if thinking.text else []
    item: dict[str, Any] = {"id": item_id, "type": "reasoning", "summary": summary}
    signature = thinking.signature
    if signature is not None and signature.origin == WIRE:
        item["encrypted_content"] = signature.value
    elif sealed:
        item["encrypted_content"] = marked(signature)
    return item


def image_item(item_id: str, image: Inline) -> dict[str, Any]:
    """Return a picture that a model made."""
    kind = image.media_type.removeprefix("image/")
    item = {"id": item_id, "type": "image_generation_call", "status": "completed", "result": image.data}
    return item if kind == "png" else {**item, "output_format": kind}
