"""Embeddings as OpenAI's /v1/embeddings has them."""

from typing import Any

import msgspec

from farthing.types.embeddings import EmbeddingAnswer, EmbeddingRequest, ToEmbed
from farthing.types.usage import Usage
from farthing.wire.lenient import UNREADABLE
from farthing.wire.translators.embeddings.vectors import to_base64, vector, vector_of
from farthing.wire.translators.reading import (
    answer_members,
    extras,
    one_of,
    refuse,
    request_members,
    text_at,
    whole_at,
)

_KNOWN = frozenset({"model", "input", "dimensions", "encoding_format", "user"})
_FORMATS = {"float": False, "base64": True}
_INPUTS = "a text, a list of texts, a list of tokens, or a list of lists of tokens"


class _Embedding(msgspec.Struct, gc=False):
    embedding: msgspec.Raw
    index: int | None = None


class _Answer(msgspec.Struct, gc=False):
    data: list[_Embedding]
    model: str | None = None


_answers = msgspec.json.Decoder(_Answer)


def read_request(body: bytes, model: str) -> EmbeddingRequest:
    """Read a client's request."""
    members = request_members(body)
    return EmbeddingRequest(
        origin="openai_embeddings",
        model=model,
        inputs=_inputs(members.get("input")),
        dimensions=whole_at(members, "dimensions", least=1),
        base64=bool(one_of(members, "encoding_format", _FORMATS)),
        user=text_at(members, "user"),
        extra=extras(members, _KNOWN),
    )


def _inputs(value: object) -> tuple[ToEmbed, ...]:
    if isinstance(value, str):
        return (ToEmbed(value),)
    if not isinstance(value, list) or not value:
        refuse("input", value, _INPUTS)
    if _are_tokens(value):
        return (ToEmbed(tuple(value)),)
    inputs: list[ToEmbed] = []
    texts = isinstance(value[0], str)
    for at, item in enumerate(value):
        if texts and isinstance(item, str):
            inputs.append(ToEmbed(item))
        elif not texts and isinstance(item, list) and item and _are_tokens(item):
            inputs.append(ToEmbed(tuple(item)))
        else:
            refuse(f"input[{at}]", item, _INPUTS)
    return tuple(inputs)


def _are_tokens(value: list[Any]) -> bool:
    return all(isinstance(number, int) and not isinstance(number, bool) and number >= 0 for number in value)


def write_request(request: EmbeddingRequest) -> bytes:
    """Write a request for a provider; the vectors are to be lists of numbers, as they are unless asked otherwise."""
    members: dict[str, Any] = {"model": request.model, "input": [item.content for item in request.inputs]}
    if request.dimensions is not None:
        members["dimensions"] = request.dimensions
    if request.user is not None:
        members["user"] = request.user
    if request.base64:
        members["encoding_format"] = "base64"
    if request.origin == "openai_embeddings":
        members |= {name: msgspec.Raw(raw) for name, raw in request.extra.items()}
    return msgspec.json.encode(members)


def read_answer(body: bytes) -> EmbeddingAnswer:
    """Read a provider's answer; vectors that say their place are put there."""
    try:
        answer = _answers.decode(body)
    except UNREADABLE:
        return _read_loosely(body)
    found = answer.data
    if all(item.index is not None for item in found):
        found.sort(key=lambda item: item.index or 0)
    return EmbeddingAnswer(model=answer.model or None, vectors=tuple(vector(item.embedding) for item in found))


def _read_loosely(body: bytes) -> EmbeddingAnswer:
    members = answer_members(body)
    model, data = members.get("model"), members.get("data")
    return EmbeddingAnswer(
        model=model if isinstance(model, str) and model else None,
        vectors=tuple(
            vector_of(item.get("embedding")) if isinstance(item, dict) else ()
            for item in (data if isinstance(data, list) else ())
        ),
    )


def write_answer(answer: EmbeddingAnswer, usage: Usage | None, asked: EmbeddingRequest) -> bytes:
    """Write an answer for a client, in the encoding that it asked for."""
    # Its clients read the counts unasked; where nobody knows them, what stands there says nothing.
    tokens = 0 if usage is None or usage.input_tokens is None else usage.input_tokens
    return msgspec.json.encode(
        {
            "object": "list",
            "data": [
                {
                    "object": "embedding",
                    "index": index,
                    "embedding": to_base64(numbers) if asked.base64 else numbers,
                }
                for index, numbers in enumerate(answer.vectors)
            ],
            "model": answer.model or asked.model,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }
    )
