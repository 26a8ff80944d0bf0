"""OpenAI's responses, both ways: what Codex speaks, and OpenAI, Azure, xAI, OpenRouter and DeepSeek serve.

Not carried: sound and film; several answers, seeds, penalties, biases and stop sequences, which the format has not; and
breakpoints of the prompt cache, which only the newest models take (a model that does not know them refuses the call).
Encrypted reasoning is this format's signature. A client that asks for it (`reasoning.encrypted_content`) and is
answered by another provider is given a mark in its place.
"""

from farthing.types.chat import ChatAnswer, ChatRequest
from farthing.types.providers import WireFormat
from farthing.types.usage import Usage
from farthing.wire.translators.features import Feature, Used
from farthing.wire.translators.openai_responses.answers import read_answer, write_answer
from farthing.wire.translators.openai_responses.encoding import Encoder
from farthing.wire.translators.openai_responses.requests import read_request
from farthing.wire.translators.openai_responses.streams import Decoder
from farthing.wire.translators.openai_responses.writing import write_request
from farthing.wire.translators.protocol import Asked, NewId, StreamDecoder, StreamEncoder
from farthing.wire.translators.reading import Body


class ResponsesTranslator:
    """See `Translator`."""

    wire: WireFormat = "openai_responses"
    carries = frozenset(
        {
            Feature.LATE_SYSTEM,
            Feature.IMAGES,
            Feature.LINKED_IMAGES,
            Feature.IMAGE_DETAIL,
            Feature.DOCUMENTS,
            Feature.DOCUMENT_NAME,
            Feature.LINKED_DOCUMENTS,
            Feature.REASONING,
            Feature.THINKING_HISTORY,
            Feature.TOOLS,
            Feature.STRICT_TOOLS,
            Feature.CUSTOM_TOOLS,
            Feature.TOOL_GRAMMAR,
            Feature.TOOL_NAMESPACES,
            Feature.TOOL_CHOICE,
            Feature.ALLOWED_TOOLS,
            Feature.PARALLEL_TOOL_CALLS,
            Feature.TOOL_IMAGES,
            Feature.JSON_OBJECT,
            Feature.JSON_SCHEMA,
            Feature.SCHEMA_NAME,
            Feature.STRICT_SCHEMA,
            Feature.LOGPROBS,
            Feature.VERBOSITY,
            Feature.MAX_OUTPUT_TOKENS,
            Feature.TEMPERATURE,
            Feature.HIGH_TEMPERATURE,
            Feature.TOP_P,
            Feature.SERVICE_TIER,
            Feature.USER,
            Feature.METADATA,
            Feature.PROMPT_CACHE_KEY,
            Feature.STORE,
        }
    )
    answers_carry = frozenset({"text", "thinking", "tool_call", "refusal", "image", "citations", "logprobs"})

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
        return Decoder(new_id)

    def stream_encoder(self, asked: Asked) -> StreamEncoder:
        """See `Translator.stream_encoder`."""
        return Encoder(asked)


TRANSLATOR = ResponsesTranslator()
