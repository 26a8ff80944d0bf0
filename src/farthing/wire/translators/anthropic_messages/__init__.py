"""Anthropic's messages, both ways.

What surprised us stands where it is met: `requests` (turns, and what hides in them), `generations` (what models
refuse), `answers` and `streams` (signatures, and who ends what).
"""

from farthing.types.chat import ChatAnswer, ChatRequest
from farthing.types.providers import WireFormat
from farthing.types.usage import Usage
from farthing.wire.translators.anthropic_messages import answers, request_writer, requests
from farthing.wire.translators.anthropic_messages.streams import MessagesDecoder, MessagesEncoder
from farthing.wire.translators.features import Feature, Used
from farthing.wire.translators.protocol import Asked, NewId
from farthing.wire.translators.reading import Body


class MessagesTranslator:
    """See `Translator`."""

    wire: WireFormat = "anthropic_messages"
    carries = frozenset(
        {
            Feature.PREFILL,
            Feature.IMAGES,
            Feature.LINKED_IMAGES,
            Feature.DOCUMENTS,
            Feature.DOCUMENT_NAME,
            Feature.LINKED_DOCUMENTS,
            Feature.DOCUMENT_CONTEXT,
            Feature.CITED,
            Feature.CACHE_MARKS,
            Feature.REASONING,
            Feature.REASONING_BUDGET,
            Feature.THINKING_HISTORY,
            Feature.TOOLS,
            Feature.STRICT_TOOLS,
            Feature.TOOL_CHOICE,
            Feature.PARALLEL_TOOL_CALLS,
            Feature.TOOL_ERRORS,
            Feature.TOOL_IMAGES,
            Feature.JSON_SCHEMA,
            Feature.STRICT_SCHEMA,
            Feature.STOP,
            Feature.MANY_STOPS,
            Feature.MAX_OUTPUT_TOKENS,
            Feature.TEMPERATURE,
            Feature.TOP_P,
            Feature.TOP_K,
            Feature.SERVICE_TIER,
            Feature.USER,
        }
    )
    answers_carry = frozenset({"text", "thinking", "tool_call", "citations"})

    def read_request(self, body: Body, *, model: str, streamed: bool) -> ChatRequest:
        """See `Translator.read_request`."""
        return requests.read_request(body, model=model, streamed=streamed)

    def write_request(self, request: ChatRequest, new_id: NewId, left_out: list[Used] | None = None) -> bytes:  # noqa: ARG002 - every id is known here
        """See `Translator.write_request`."""
        return request_writer.write_request(request, left_out)

    def read_answer(self, body: bytes, new_id: NewId) -> ChatAnswer:
        """See `Translator.read_answer`."""
        return answers.read_answer(body, new_id)

    def write_answer(self, answer: ChatAnswer, usage: Usage | None, asked: Asked) -> bytes:
        """See `Translator.write_answer`."""
        return answers.write_answer(answer, usage, asked)

    def stream_decoder(self, new_id: NewId) -> MessagesDecoder:
        """See `Translator.stream_decoder`."""
        return MessagesDecoder(new_id)

    def stream_encoder(self, asked: Asked) -> MessagesEncoder:
        """See `Translator.stream_encoder`."""
        return MessagesEncoder(asked)


TRANSLATOR = MessagesTranslator()
