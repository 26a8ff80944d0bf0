"""Embeddings as Gemini's embedContent and batchEmbedContents have them.

What surprised us: Google's own SDK sends a batch for one text too, and spells members either way (`taskType`,
`task_type`), as all of Google's JSON may be.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from farthing.types.chat import Foreign
from farthing.types.embeddings import EmbeddingAnswer, EmbeddingRequest, ToEmbed
from farthing.types.usage import Usage
from farthing.wire.lenient import UNREADABLE
from farthing.wire.translators.embeddings.vectors import vector, vector_of
from farthing.wire.translators.reading import (
    answer_members,
    as_json,
    extras,
    object_at,
    objects_at,
    refuse,
    request_members,
    text_at,
    whole_at,
)

_SPELLINGS = {"task_type": "taskType", "output_dimensionality": "outputDimensionality"}
_KNOWN = frozenset({"model", "content", "taskType", "title", "outputDimensionality"})
_SAYS_NOTHING = "TASK_TYPE_UNSPECIFIED"


class _Values(msgspec.Struct, gc=False):
    values: msgspec.Raw


class _Answer(msgspec.Struct, gc=False):
    embedding: _Values | None = None
    embeddings: list[_Values] | None = None


_answers = msgspec.json.Decoder(_Answer)


def read_one(body: bytes, model: str) -> EmbeddingRequest:
    """Read a client's embedContent."""
    extra: dict[str, bytes] = {}
    item, dimensions = _item(request_members(body), "", extra)
    return EmbeddingRequest(origin="gemini", model=model, inputs=(item,), dimensions=dimensions, extra=extra)


def read_batch(body: bytes, model: str) -> EmbeddingRequest:
    """Read a client's batchEmbedContents; all of its vectors have to be of one size."""
    members = request_members(body)
    extra = extras(members, ("requests", "model"))
    items: list[ToEmbed] = []
    wanted: int | None = None
    for at, request in enumerate(objects_at(members, "requests")):
        item, dimensions = _item(request, f"requests[{at}]", extra)
        if at and dimensions != wanted:
            refuse(f"requests[{at}].outputDimensionality", dimensions, "the same in all requests of a batch")
        wanted = dimensions
        items.append(item)
    if not items:
        refuse("requests", members.get("requests"), "a list of requests")
    return EmbeddingRequest(origin="gemini", model=model, inputs=tuple(items), dimensions=wanted, extra=extra)


def _item(members: Mapping[str, Any], path: str, extra: dict[str, bytes]) -> tuple[ToEmbed, int | None]:
    members = {_SPELLINGS.get(name, name): value for name, value in members.items()}
    for name, raw in extras(members, _KNOWN).items():
        extra[f"{path}.{name}" if path else name] = raw
    content = object_at(members, "content", path)
    inner = f"{path}.content" if path else "content"
    parts = objects_at(content, "parts", inner) if content is not None else []
    if content is None or not parts:
        refuse(f"{inner}.parts" if content is not None else inner, None, "a list of parts")
    texts = [part["text"] for part in parts if part.keys() == {"text"} and isinstance(part["text"], str)]
    task = text_at(members, "taskType", path)
    item = ToEmbed(
        "".join(texts) if len(texts) == len(parts) else Foreign("gemini", "content", as_json(content)),
        task=None if task == _SAYS_NOTHING else task,
        title=text_at(members, "title", path),
    )
    return item, whole_at(members, "outputDimensionality", path, least=1)


def write_request(request: EmbeddingRequest) -> bytes:
    """Write a batch for a provider."""
    name = request.model if request.model.startswith(("models/", "tunedModels/")) else f"models/{request.model}"
    batch: list[dict[str, Any]] = []
    for item in request.inputs:
        content = item.content
        single: dict[str, Any] = {
            "model": name,
            "content": msgspec.Raw(content.raw) if isinstance(content, Foreign) else {"parts": [{"text": content}]},
        }
        if item.task is not None:
            single["taskType"] = item.task
        if item.title is not None:
            single["title"] = item.title
        if request.dimensions is not None:
            single["outputDimensionality"] = request.dimensions
        batch.append(single)
    return msgspec.json.encode({"requests": batch})


def read_answer(body: bytes) -> EmbeddingAnswer:
    """Read a provider's answer of either kind."""
    try:
        answer = _answers.decode(body)
    except UNREADABLE:
        return _read_loosely(body)
    listed = answer.embeddings
    if listed is None:
        listed = [] if answer.embedding is None else [answer.embedding]
    return EmbeddingAnswer(model=None, vectors=tuple(vector(item.values) for item in listed))


def _read_loosely(body: bytes) -> EmbeddingAnswer:
    members = answer_members(body)
    listed = members.get("embeddings", [members.get("embedding")])
    return EmbeddingAnswer(
        model=None,
        vectors=tuple(
            vector_of(item.get("values")) if isinstance(item, dict) else ()
            for item in (listed if isinstance(listed, list) else ())
        ),
    )


def write_one(answer: EmbeddingAnswer, usage: Usage | None, asked: EmbeddingRequest) -> bytes:  # noqa: ARG001 - its answers do not name the model
    """Write the answer to embedContent."""
    first = answer.vectors[0] if answer.vectors else ()
    return msgspec.json.encode({"embedding": {"values": first}, **_usage(usage)})


def write_batch(answer: EmbeddingAnswer, usage: Usage | None, asked: EmbeddingRequest) -> bytes:  # noqa: ARG001 - its answers do not name the model
    """Write the answer to batchEmbedContents."""
    return msgspec.json.encode({"embeddings": [{"values": numbers} for numbers in answer.vectors], **_usage(usage)})


def _usage(usage: Usage | None) -> dict[str, Any]:
    if usage is None or usage.input_tokens is None:
        return {}
    return {"usageMetadata": {"promptTokenCount": usage.input_tokens, "totalTokenCount": usage.input_tokens}}
