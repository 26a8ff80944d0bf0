"""Embeddings from one format into another: OpenAI's, Gemini's and Ollama's, each with its own paths.

There are no streams, and an answer is nothing but vectors, so that a function for each step will do. A client is
answered in the shape of the path that it called, and a provider asked on the one path that can take everything.
"""

from collections.abc import Callable, Mapping
from typing import Literal

from farthing.errors import InvalidRequest
from farthing.types.chat import Foreign
from farthing.types.embeddings import EmbeddingAnswer, EmbeddingRequest
from farthing.types.providers import WireFormat
from farthing.types.usage import Usage
from farthing.wire.translators.embeddings import gemini, ollama, openai
from farthing.wire.translators.features import Feature, Used

EmbeddingOperation = Literal["embeddings", "embed_content", "batch_embed_contents", "ollama_embed", "ollama_embeddings"]
"""Paths that take embeddings, by the names of `providers.protocol.Operation`."""

_Reader = Callable[[bytes, str], EmbeddingRequest]
_Writer = Callable[[EmbeddingAnswer, Usage | None, EmbeddingRequest], bytes]

_READ_REQUEST: Mapping[EmbeddingOperation, _Reader] = {
    "embeddings": openai.read_request,
    "embed_content": gemini.read_one,
    "batch_embed_contents": gemini.read_batch,
    "ollama_embed": ollama.read_embed,
    "ollama_embeddings": ollama.read_embeddings,
}
_READ_ANSWER: Mapping[EmbeddingOperation, Callable[[bytes], EmbeddingAnswer]] = {
    "embeddings": openai.read_answer,
    "embed_content": gemini.read_answer,
    "batch_embed_contents": gemini.read_answer,
    "ollama_embed": ollama.read_answer,
    "ollama_embeddings": ollama.read_answer,
}
_WRITE_ANSWER: Mapping[EmbeddingOperation, _Writer] = {
    "embeddings": openai.write_answer,
    "embed_content": gemini.write_one,
    "batch_embed_contents": gemini.write_batch,
    "ollama_embed": ollama.write_embed,
    "ollama_embeddings": ollama.write_embeddings,
}
_WRITE_REQUEST: Mapping[WireFormat, tuple[EmbeddingOperation, Callable[[EmbeddingRequest], bytes]]] = {
    "openai_embeddings": ("embeddings", openai.write_request),
    "gemini": ("batch_embed_contents", gemini.write_request),
    "ollama": ("ollama_embed", ollama.write_request),
}

CARRIES: Mapping[WireFormat, frozenset[Feature]] = {
    "openai_embeddings": frozenset({Feature.TOKEN_INPUT, Feature.USER}),
    "gemini": frozenset({Feature.TASK_TYPE, Feature.TITLE}),
    "ollama": frozenset({Feature.TRUNCATE}),
}
"""What each format's requests can carry; the sizes of vectors all can."""


def read_request(operation: EmbeddingOperation, body: bytes, *, model: str) -> EmbeddingRequest:
    """Read a client's request; `model` is the name that was asked for, wherever it stood.

    Raises:
        InvalidRequest: it is wrong; the message names the member's path, its value and what is allowed.
    """
    return _READ_REQUEST[operation](body, model)


def used_by(request: EmbeddingRequest) -> list[Used]:
    """Return every feature that a request uses, each once, where it is used first."""
    found: dict[Feature, Used] = {}
    for at, item in enumerate(request.inputs):
        where = f"inputs[{at}]"
        if isinstance(item.content, tuple):
            found.setdefault(Feature.TOKEN_INPUT, Used(Feature.TOKEN_INPUT, where))
        if isinstance(item.content, Foreign):
            found.setdefault(Feature.FOREIGN_PARTS, Used(Feature.FOREIGN_PARTS, where))
        if item.task is not None:
            found.setdefault(Feature.TASK_TYPE, Used(Feature.TASK_TYPE, f"{where}.task"))
        if item.title is not None:
            found.setdefault(Feature.TITLE, Used(Feature.TITLE, f"{where}.title"))
    if request.truncate is not None:
        found[Feature.TRUNCATE] = Used(Feature.TRUNCATE, "truncate")
    if request.user is not None:
        found[Feature.USER] = Used(Feature.USER, "user")
    return [*found.values(), *[Used(Feature.UNKNOWN_FIELDS, name) for name in request.extra]]


def write_request(wire: WireFormat, request: EmbeddingRequest) -> tuple[EmbeddingOperation, bytes]:
    """Return which path of a provider to call, and the body.

    Raises:
        InvalidRequest: there is something that cannot be embedded there at all, whatever else may be lost: leaving an
            input out would give its vector's place to the next one.
    """
    operation, write = _WRITE_REQUEST[wire]
    if not request.inputs:
        raise InvalidRequest('"input" is empty', hint="send at least one text")
    for at, item in enumerate(request.inputs):
        content = item.content
        if isinstance(content, Foreign) and content.origin != wire:
            raise InvalidRequest(f"input {at} is more than text, which '{request.model}' cannot take", hint="send text")
        if isinstance(content, tuple) and wire != "openai_embeddings":
            raise InvalidRequest(f"input {at} is tokens, which '{request.model}' cannot take", hint="send text")
    return operation, write(request)


def read_answer(operation: EmbeddingOperation, body: bytes) -> EmbeddingAnswer:
    """Read a provider's answer; what cannot be read is an empty vector in its place."""
    return _READ_ANSWER[operation](body)


def write_answer(
    operation: EmbeddingOperation, answer: EmbeddingAnswer, usage: Usage | None, asked: EmbeddingRequest
) -> bytes:
    """Write an answer for a client; `asked` is the request as it was read from it."""
    return _WRITE_ANSWER[operation](answer, usage, asked)
