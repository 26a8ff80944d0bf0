"""What a candidate of Gemini's ends with, counts and shows: words that whole answers and streams share.

What surprised us: a call ends with `STOP` like everything else; counts of thoughts stand beside those of the answer.
Clients that ask for enums as numbers get `finishReason: 1`, and Google's two APIs number all beyond 5 differently.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from farthing.types.chat import FinishReason, Foreign, Part, Refusal, Text, Thinking, ToolCall
from farthing.types.usage import Usage
from farthing.wire.translators.gemini.chunks import on_one_line
from farthing.wire.translators.gemini.names import media_of, signature_text
from farthing.wire.translators.gemini.writing import object_of

FINISHES: Mapping[FinishReason, str] = {
    "stop": "STOP",
    "length": "MAX_TOKENS",
    "tool_calls": "STOP",
    "content_filter": "SAFETY",
    "refusal": "SAFETY",
    "pause": "OTHER",
    "error": "OTHER",
}
_UNFINISHED = (None, "", 0, "FINISH_REASON_UNSPECIFIED")
_REASONS: Mapping[object, FinishReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "LANGUAGE": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "MODEL_ARMOR": "content_filter",
    1: "stop",
    2: "length",
    3: "content_filter",
    4: "content_filter",
    6: "content_filter",  # a language that is not spoken, or a word that is not said
    7: "content_filter",
    8: "content_filter",
}


def read_reason(given: str | int | None) -> FinishReason | None:
    """Return why a candidate ended; `None` where it has not.

    What is neither an end nor a filter (`MALFORMED_FUNCTION_CALL`, `OTHER`, what will be named one day) is an error:
    the model was cut off in what it wanted to say, and who is told "stop" would take a half for the whole.
    """
    return None if given in _UNFINISHED else _REASONS.get(given, "error")


def final_reason(reason: FinishReason, *, called: bool) -> FinishReason:
    """Return why a candidate ended, knowing whether it called a function.

    A call that was not expected (`UNEXPECTED_TOOL_CALL`: of a function that nobody declared) is a call: the client
    answers that there is none of that name, and the model goes on.
    """
    return "tool_calls" if called and reason in ("stop", "error") else reason


def usage_metadata(usage: Usage | None) -> dict[str, Any] | None:
    """Return usage in Gemini's terms; none where nothing is known."""
    if usage is None or (usage.input_tokens is None and usage.output_tokens is None):
        return None
    counted: dict[str, Any] = {}
    if usage.input_tokens is not None:
        counted["promptTokenCount"] = usage.input_tokens
    if usage.cache_read_input_tokens:
        counted["cachedContentTokenCount"] = usage.cache_read_input_tokens
    if usage.output_tokens is not None:
        counted["candidatesTokenCount"] = max(0, usage.output_tokens - usage.reasoning_output_tokens)
        if usage.reasoning_output_tokens:
            counted["thoughtsTokenCount"] = min(usage.reasoning_output_tokens, usage.output_tokens)
    counted["totalTokenCount"] = (usage.input_tokens or 0) + (usage.output_tokens or 0)
    if usage.input_audio_tokens or usage.input_image_tokens:
        counted["promptTokensDetails"] = _details(
            usage.input_tokens, usage.input_audio_tokens, usage.input_image_tokens
        )
    if usage.output_audio_tokens or usage.output_image_tokens:
        said = counted.get("candidatesTokenCount")
        counted["candidatesTokensDetails"] = _details(said, usage.output_audio_tokens, usage.output_image_tokens)
    return counted


def _details(total: int | None, audio: int, image: int) -> list[dict[str, Any]]:
    text = max(0, (total or 0) - audio - image)
    rows = (("TEXT", text), ("AUDIO", audio), ("IMAGE", image))
    return [{"modality": modality, "tokenCount": count} for modality, count in rows if count]


def candidate_of(parts: list[Any], index: int, reason: str | None) -> dict[str, Any]:
    """Return a candidate; one that says nothing has no parts, as at Google."""
    content: dict[str, Any] = {"parts": parts, "role": "model"} if parts else {"role": "model"}
    candidate: dict[str, Any] = {"content": content}
    if reason is not None:
        candidate["finishReason"] = reason
    candidate["index"] = index
    return candidate


def written_part(part: Part, *, stand_in: str | None) -> Any:
    """Return a whole part of an answer; none where Gemini has nothing like it.

    `stand_in` is the signature of a call that has none which Gemini could read: without one, a conversation that comes
    back to Gemini would be refused.
    """
    match part:
        case Text() | Thinking():
            signature = signature_text(part.signature)
            thought = isinstance(part, Thinking)
            if not part.text and signature is None:
                return None
            written: dict[str, Any] = {"text": part.text}
            if thought:
                written["thought"] = True
            if signature is not None:
                written["thoughtSignature"] = signature
            return written
        case Refusal():
            return {"text": part.text} if part.text else None
        case ToolCall():
            call = {"id": part.id, "name": part.name, "args": object_of(part.arguments)}
            signature = signature_text(part.signature) or stand_in
            return {"functionCall": call} | ({} if signature is None else {"thoughtSignature": signature})
        case Foreign():
            return msgspec.Raw(on_one_line(part.raw)) if part.origin == "gemini" else None
        case _:
            return media_of(part)
