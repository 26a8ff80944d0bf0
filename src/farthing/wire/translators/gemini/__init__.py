"""Gemini's generateContent and streamGenerateContent, both ways.

What it cannot carry of what others can: system messages after the first turn (they become words of the user), budgets
of thinking (Gemini 3 takes levels), thoughts without a signature of its own, and whether calls may be parallel.
"""

from farthing.types.chat import ChatAnswer, ChatRequest
from farthing.types.providers import WireFormat
from farthing.types.usage import Usage
from farthing.wire.translators.features import Feature, Used
from farthing.wire.translators.gemini.answers import read_answer, write_answer
from farthing.wire.translators.gemini.requests import read_request
from farthing.wire.translators.gemini.streams import GeminiStreamDecoder, GeminiStreamEncoder
from farthing.wire.translators.gemini.writing import write_request
from farthing.wire.translators.protocol import Asked, NewId, StreamDecoder, StreamEncoder
from farthing.wire.translators.reading import Body


class GeminiTranslator:
    """See `Translator`."""

    wire: WireFormat = "gemini"
    carries: frozenset[Feature] = frozenset(
        {
            Feature.PREFILL,
            Feature.IMAGES,
            Feature.LINKED_IMAGES,
            Feature.DOCUMENTS,
            Feature.LINKED_DOCUMENTS,
            Feature.AUDIO,
            Feature.LINKED_AUDIO,
            Feature.VIDEO,
            Feature.REASONING,
            Feature.TOOLS,
            Feature.TOOL_CHOICE,
            Feature.ALLOWED_TOOLS,
            Feature.TOOL_ERRORS,
            Feature.JSON_OBJECT,
            Feature.JSON_SCHEMA,
            Feature.SEVERAL,
            Feature.LOGPROBS,
            Feature.STOP,
            Feature.MAX_OUTPUT_TOKENS,
            Feature.TEMPERATURE,
            Feature.HIGH_TEMPERATURE,
            Feature.TOP_P,
            Feature.TOP_K,
            Feature.PENALTIES,
            Feature.SEED,
            Feature.SERVICE_TIER,
        }
    )
    answers_carry: frozenset[str] = frozenset(
        {"text", "thinking", "tool_call", "image", "document", "audio", "video", "citations", "logprobs", "several"}
    )

    def read_request(self, body: Body, *, model: str, streamed: bool) -> ChatRequest:
        """See `Translator.read_request`."""
        return read_request(body, model=model, streamed=streamed)

    def write_request(self, request: ChatRequest, new_id: NewId, left_out: list[Used] | None = None) -> bytes:  # noqa: ARG002 - every call has its id by now
        """See `Translator.write_request`."""
        return write_request(request, left_out)

    def read_answer(self, body: bytes, new_id: NewId) -> ChatAnswer:
        """See `Translator.read_answer`."""
        return read_answer(body, new_id)

    def write_answer(self, answer: ChatAnswer, usage: Usage | None, asked: Asked) -> bytes:
        """See `Translator.write_answer`."""
        return write_answer(answer, usage, asked)

    def stream_decoder(self, new_id: NewId) -> StreamDecoder:
        """See `Translator.stream_decoder`."""
        return GeminiStreamDecoder(new_id)

    def stream_encoder(self, asked: Asked) -> StreamEncoder:
        """See `Translator.stream_encoder`."""
        return GeminiStreamEncoder(asked)


TRANSLATOR = GeminiTranslator()
