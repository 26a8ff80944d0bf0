"""Gemini's whole answers: read as a stream of one chunk, so that both ways of asking tell the same, and written."""

from typing import Any

import msgspec

from farthing.types.chat import ChatAnswer, Choice, Text, ToolCall
from farthing.types.usage import Usage
from farthing.wire.json_array import elements_of
from farthing.wire.translators.assembly import answer_of
from farthing.wire.translators.gemini.candidates import FINISHES, candidate_of, usage_metadata, written_part
from farthing.wire.translators.gemini.grounding import grounding_metadata
from farthing.wire.translators.gemini.logprobs import logprobs_result
from farthing.wire.translators.gemini.names import STAND_IN, signature_text
from farthing.wire.translators.gemini.streams import GeminiStreamDecoder
from farthing.wire.translators.protocol import Asked, NewId


def read_answer(body: bytes, new_id: NewId) -> ChatAnswer:
    """See `Translator.read_answer`. A stream's array that came whole is read as well."""
    decoder = GeminiStreamDecoder(new_id)
    for chunk in elements_of(body) if body.lstrip()[:1] == b"[" else (body,):
        decoder.take(chunk)
    return answer_of(decoder.rest())


def write_answer(answer: ChatAnswer, usage: Usage | None, asked: Asked) -> bytes:
    """See `Translator.write_answer`."""
    written: dict[str, Any] = {"candidates": [_candidate(choice) for choice in answer.choices]}
    if (counted := usage_metadata(usage)) is not None:
        written["usageMetadata"] = counted
    written["modelVersion"] = answer.model or asked.model
    written["responseId"] = asked.answer_id
    return msgspec.json.encode(written)


def _candidate(choice: Choice) -> dict[str, Any]:
    parts: list[Any] = []
    chunks: list[dict[str, Any]] = []
    supports: list[dict[str, Any]] = []
    said = ""
    stand_in: str | None = STAND_IN
    for part in choice.content:
        written = written_part(part, stand_in=stand_in)
        if isinstance(part, ToolCall):
            stand_in = None
        if written is not None:
            parts.append(written)
        if not isinstance(part, Text):
            said = ""
            continue
        if part.citations and (grounding := grounding_metadata(part.citations, part.text, said)) is not None:
            _join(chunks, supports, grounding)
        said = said + part.text if signature_text(part.signature) is None else ""
    candidate = candidate_of(parts, choice.index, FINISHES.get(choice.finish_reason or "stop"))
    if chunks:
        candidate["groundingMetadata"] = {"groundingChunks": chunks} | (
            {"groundingSupports": supports} if supports else {}
        )
    if choice.logprobs is not None and (result := logprobs_result(choice.logprobs)) is not None:
        candidate["logprobsResult"] = result
    return candidate


def _join(chunks: list[dict[str, Any]], supports: list[dict[str, Any]], grounding: dict[str, Any]) -> None:
    """Add one text's sources to those of the texts before it."""
    before = len(chunks)
    chunks += grounding["groundingChunks"]
    for support in grounding.get("groundingSupports", ()):
        moved = [before + at for at in support["groundingChunkIndices"]]
        supports.append({"segment": support["segment"], "groundingChunkIndices": moved})
