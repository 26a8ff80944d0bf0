"""A chunk of Gemini's, which is a whole answer, too: its parts as the wire names them, and how one is read.

Everything is optional because what is empty is left out. A chunk with a field of a type that nobody documents is read
again, and what can be believed of each member is kept.
"""

from typing import Any

import msgspec

from farthing.wire.lenient import UNREADABLE, decode
from farthing.wire.meter import ABSENT


class _Call(msgspec.Struct, gc=False):
    name: str | None = None
    args: msgspec.Raw = ABSENT


class _Code(msgspec.Struct, gc=False):
    code: str | None = None


class _ToolCall(msgspec.Struct, gc=False):
    toolType: str | None = None  # noqa: N815 - the wire's names here and below
    args: msgspec.Raw = ABSENT


class Part(msgspec.Struct, gc=False):
    """A piece of what a candidate says or does."""

    text: str | None = None
    functionCall: _Call | None = None  # noqa: N815
    executableCode: _Code | None = None  # noqa: N815
    toolCall: _ToolCall | None = None  # noqa: N815
    inlineData: msgspec.Raw = ABSENT  # noqa: N815
    codeExecutionResult: msgspec.Raw = ABSENT  # noqa: N815


class Content(msgspec.Struct, gc=False):
    """What a candidate says."""

    parts: list[Part] | None = None


class _Grounding(msgspec.Struct, gc=False):
    webSearchQueries: list[str] | None = None  # noqa: N815
    imageSearchQueries: list[str] | None = None  # noqa: N815


class Candidate(msgspec.Struct, gc=False):
    """One of the answers."""

    content: Content | None = None
    finishReason: str | int | None = None  # noqa: N815
    index: int | None = None
    groundingMetadata: _Grounding | None = None  # noqa: N815


class _Feedback(msgspec.Struct, gc=False):
    blockReason: str | int | None = None  # noqa: N815


class Chunk(msgspec.Struct, gc=False):
    """A whole answer or one chunk; everything is optional because what is empty is left out."""

    candidates: list[Candidate] | None = None
    usageMetadata: dict[str, msgspec.Raw] | None = None  # noqa: N815
    modelVersion: str | None = None  # noqa: N815
    promptFeedback: _Feedback | None = None  # noqa: N815
    error: msgspec.Raw = ABSENT
    embedding: msgspec.Raw = ABSENT
    embeddings: msgspec.Raw = ABSENT


_answers = msgspec.json.Decoder(Chunk)
_anything = msgspec.json.Decoder()


def read_chunk(data: bytes) -> Chunk | None:
    """Return the chunk in `data`; `None` where it is no JSON object. Never raises."""
    try:
        return decode(_answers, data)
    except msgspec.ValidationError:
        return _decode_loosely(data)


def _decode_loosely(data: bytes) -> Chunk | None:
    """Read a chunk with a field of a type that nobody documents: what can be believed of each member."""
    try:
        loose = decode(_anything, data)
    except msgspec.ValidationError:
        return None
    if not isinstance(loose, dict):
        return None
    candidates, usage, feedback = loose.get("candidates"), loose.get("usageMetadata"), loose.get("promptFeedback")
    model = loose.get("modelVersion")
    return Chunk(
        candidates=[_loose_candidate(candidate) for candidate in candidates] if isinstance(candidates, list) else None,
        usageMetadata={str(name): _raw(value) for name, value in usage.items()} if isinstance(usage, dict) else None,
        modelVersion=model if isinstance(model, str) else None,
        promptFeedback=_Feedback(_reason(feedback, "blockReason")),
        error=_raw(loose["error"]) if "error" in loose else ABSENT,
        embedding=_raw(loose["embedding"]) if "embedding" in loose else ABSENT,
        embeddings=_raw(loose["embeddings"]) if "embeddings" in loose else ABSENT,
    )


def _loose_candidate(candidate: Any) -> Candidate:
    if not isinstance(candidate, dict):
        return Candidate(content=Content([Part(text=_raw_text(candidate))]))
    try:
        content = msgspec.json.decode(_raw(candidate.get("content")), type=Content | None)
    except UNREADABLE:
        content = Content([Part(text=_raw_text(candidate.get("content")))])
    try:
        grounding = msgspec.convert(candidate.get("groundingMetadata"), _Grounding | None)
    except UNREADABLE:
        grounding = None
    index = candidate.get("index")
    return Candidate(
        content=content,
        finishReason=_reason(candidate, "finishReason"),
        index=index if isinstance(index, int) else None,
        groundingMetadata=grounding,
    )


def _reason(source: Any, name: str) -> str | int | None:
    reason = source.get(name) if isinstance(source, dict) else None
    return reason if isinstance(reason, str | int) else None


def _raw_text(value: Any) -> str:
    return bytes(_raw(value)).decode("utf-8", "replace")


def _raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))
