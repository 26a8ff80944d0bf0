"""OpenAI's chat completions, and what the many that speak like it have made of them.

`requests` and `messages` read what a client asks, `writing` writes it for a provider; `reading_choices`, `streams` and
`answers` read what a provider answers; `answers` and `encoder` write it for a client. `thinking`, `media` and `vendors`
are about what the speakers of this format do not agree on.

Custom tools are read and not carried: only OpenAI takes them, all others refuse the request, and as a function with
one text they work everywhere. So are films and sound, which many of the others take: who does not says so aloud.
"""

from farthing.types.chat import ChatAnswer, ChatRequest
from farthing.types.providers import WireFormat
from farthing.types.usage import Usage
from farthing.wire.translators.features import Feature, Used
from farthing.wire.translators.openai_chat import answers, requests, writing
from farthing.wire.translators.openai_chat.encoder import ChatStreamEncoder
from farthing.wire.translators.openai_chat.streams import ChatStreamDecoder
from farthing.wire.translators.openai_chat.thinking import WIRE
from farthing.wire.translators.protocol import Asked, NewId, StreamDecoder, StreamEncoder, Translator
from farthing.wire.translators.reading import Body


class OpenAIChat:
    """See `Translator`."""

    wire: WireFormat = WIRE
    carries = frozenset(
        [
            Feature.LATE_SYSTEM,
            Feature.MESSAGE_NAME,
            Feature.IMAGES,
            Feature.LINKED_IMAGES,
            Feature.IMAGE_DETAIL,
            Feature.DOCUMENTS,
            Feature.DOCUMENT_NAME,
            Feature.AUDIO,
            Feature.VIDEO,
            Feature.REASONING,
            Feature.THINKING_HISTORY,
            Feature.TOOLS,
            Feature.STRICT_TOOLS,
            Feature.TOOL_CHOICE,
            Feature.ALLOWED_TOOLS,
            Feature.PARALLEL_TOOL_CALLS,
            Feature.JSON_OBJECT,
            Feature.JSON_SCHEMA,
            Feature.SCHEMA_NAME,
            Feature.STRICT_SCHEMA,
            Feature.SEVERAL,
            Feature.LOGPROBS,
            Feature.STOP,
            Feature.VERBOSITY,
            Feature.MAX_OUTPUT_TOKENS,
            Feature.TEMPERATURE,
            Feature.HIGH_TEMPERATURE,
            Feature.TOP_P,
            Feature.PENALTIES,
            Feature.SEED,
            Feature.LOGIT_BIAS,
            Feature.SERVICE_TIER,
            Feature.USER,
            Feature.METADATA,
            Feature.PROMPT_CACHE_KEY,
            Feature.STORE,
        ]
    )
    answers_carry = frozenset(
        ["text", "thinking", "tool_call", "refusal", "audio", "image", "citations", "logprobs", "several"]
    )

    def read_request(self, body: Body, *, model: str, streamed: bool) -> ChatRequest:
        """See `Translator.read_request`."""
        return requests.read_request(body, model=model, streamed=streamed)

    def write_request(self, request: ChatRequest, new_id: NewId, left_out: list[Used] | None = None) -> bytes:  # noqa: ARG002 - every call has its id by now
        """See `Translator.write_request`."""
        return writing.write_request(request, left_out)

    def read_answer(self, body: bytes, new_id: NewId) -> ChatAnswer:
        """See `Translator.read_answer`."""
        return answers.read_answer(body, new_id)

    def write_answer(self, answer: ChatAnswer, usage: Usage | None, asked: Asked) -> bytes:
        """See `Translator.write_answer`."""
        return answers.write_answer(answer, usage, asked)

    def stream_decoder(self, new_id: NewId) -> StreamDecoder:
        """See `Translator.stream_decoder`."""
        return ChatStreamDecoder(new_id)

    def stream_encoder(self, asked: Asked) -> StreamEncoder:
        """See `Translator.stream_encoder`."""
        return ChatStreamEncoder(asked)


TRANSLATOR: Translator = OpenAIChat()
