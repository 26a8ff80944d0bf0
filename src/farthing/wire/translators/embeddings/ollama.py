"""Embeddings as Ollama's /api/embed has them, and the older /api/embeddings.

What surprised us: Ollama cuts a text that is too long unless it is told not to, as Google does and OpenAI does not; and
an empty text, or none, makes no vector: it loads the model.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from farthing.types.embeddings import EmbeddingAnswer, EmbeddingRequest, ToEmbed
from farthing.types.usage import Usage
from farthing.wire.lenient import UNREADABLE
from farthing.wire.translators.embeddings.vectors import vector, vector_of
from farthing.wire.translators.reading import (
    answer_members,
    extras,
    flag_at,
    needed_text,
    refuse,
    request_members,
    whole_at,
)

_KNOWN = frozenset({"model", "input", "truncate", "dimensions"})
_KNOWN_OLD = frozenset({"model", "prompt"})


class _Answer(msgspec.Struct, gc=False):
    model: str | None = None
    embeddings: list[msgspec.Raw] | None = None
    embedding: msgspec.Raw | None = None


_answers = msgspec.json.Decoder(_Answer)


def read_embed(body: bytes, model: str) -> EmbeddingRequest:
    """Read a client's request to /api/embed."""
    members = request_members(body)
    value = members.get("input")
    listed = value if isinstance(value, list) else [value] if value else []
    for at, text in enumerate(listed):
        if not isinstance(text, str):
            refuse("input" if listed is not value else f"input[{at}]", text, "a text or a list of texts")
    return EmbeddingRequest(
        origin="ollama",
        model=model,
        inputs=tuple(ToEmbed(text) for text in listed),
        dimensions=whole_at(members, "dimensions") or None,
        truncate=flag_at(members, "truncate"),
        extra=_extra(members, _KNOWN),
    )


def read_embeddings(body: bytes, model: str) -> EmbeddingRequest:
    """Read a client's request to the older /api/embeddings."""
    members = request_members(body)
    prompt = needed_text(members, "prompt")
    return EmbeddingRequest(
        origin="ollama",
        model=model,
        inputs=(ToEmbed(prompt),) if prompt else (),
        extra=_extra(members, _KNOWN_OLD),
    )


def _extra(members: Mapping[str, Any], known: frozenset[str]) -> dict[str, bytes]:
    found = extras(members, known)
    if found.get("options") == b"{}":
        del found["options"]  # clients send it empty
    return found


def write_request(request: EmbeddingRequest) -> bytes:
    """Write a request to /api/embed."""
    members: dict[str, Any] = {"model": request.model, "input": [item.content for item in request.inputs]}
    if request.truncate is not None:
        members["truncate"] = request.truncate
    elif request.origin == "openai_embeddings":
        members["truncate"] = False
    if request.dimensions is not None:
        members["dimensions"] = request.dimensions
    if request.origin == "ollama":
        members |= {name: msgspec.Raw(raw) for name, raw in request.extra.items()}
    return msgspec.json.encode(members)


def read_answer(body: bytes) -> EmbeddingAnswer:
    """Read a provider's answer of either kind."""
    try:
        answer = _answers.decode(body)
    except UNREADABLE:
        return _read_loosely(body)
    listed = answer.embeddings
    if listed is None:
        listed = [] if answer.embedding is None else [answer.embedding]
    return EmbeddingAnswer(model=answer.model or None, vectors=tuple(vector(raw) for raw in listed))


def _read_loosely(body: bytes) -> EmbeddingAnswer:
    members = answer_members(body)
    model = members.get("model")
    listed = members.get("embeddings", [members.get("embedding")])
    return EmbeddingAnswer(
        model=model if isinstance(model, str) and model else None,
        vectors=tuple(vector_of(item) for item in (listed if isinstance(listed, list) else ())),
    )


def write_embed(answer: EmbeddingAnswer, usage: Usage | None, asked: EmbeddingRequest) -> bytes:
    """Write the answer of /api/embed."""
    members: dict[str, Any] = {"model": answer.model or asked.model, "embeddings": answer.vectors}
    if usage is not None and usage.input_tokens is not None:
        members["prompt_eval_count"] = usage.input_tokens
    return msgspec.json.encode(members)


def write_embeddings(answer: EmbeddingAnswer, usage: Usage | None, asked: EmbeddingRequest) -> bytes:  # noqa: ARG001 - it tells neither model nor usage
    """Write the answer of the older /api/embeddings."""
    return msgspec.json.encode({"embedding": answer.vectors[0] if answer.vectors else ()})
