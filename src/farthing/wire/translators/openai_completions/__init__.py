"""OpenAI's legacy completions: a text that is continued, for clients and servers of open models that still have them.

A conversation is no prompt: without the template of the very model it cannot be written as one, and is refused.
"""

from farthing.types.chat import ChatAnswer, ChatRequest
from farthing.types.usage import Usage
from farthing.wire.translators.features import Feature, Used
from farthing.wire.translators.openai_completions import answers, requests
from farthing.wire.translators.protocol import Asked, NewId, StreamDecoder, StreamEncoder, Translator
from farthing.wire.translators.reading import Body


class OpenAICompletions:
    """See `Translator`."""

    wire = requests.WIRE
    carries = frozenset(
        [
            Feature.SEVERAL,
            Feature.LOGPROBS,
            Feature.STOP,
            Feature.SUFFIX,
            Feature.ECHO,
            Feature.RAW_PROMPT,
            Feature.MAX_OUTPUT_TOKENS,
            Feature.TEMPERATURE,
            Feature.HIGH_TEMPERATURE,
            Feature.TOP_P,
            Feature.PENALTIES,
            Feature.SEED,
            Feature.LOGIT_BIAS,
            Feature.USER,
        ]
    )
    answers_carry = frozenset(["text", "logprobs", "several"])

    def read_request(self, body: Body, *, model: str, streamed: bool) -> ChatRequest:
        """See `Translator.read_request`."""
        return requests.read_request(body, model=model, streamed=streamed)

    def write_request(self, request: ChatRequest, new_id: NewId, left_out: list[Used] | None = None) -> bytes:  # noqa: ARG002 - what it declares, every model takes
        """See `Translator.write_request`."""
        return requests.write_request(request, new_id)

    def read_answer(self, body: bytes, new_id: NewId) -> ChatAnswer:
        """See `Translator.read_answer`."""
        return answers.read_answer(body, new_id)

    def write_answer(self, answer: ChatAnswer, usage: Usage | None, asked: Asked) -> bytes:
        """See `Translator.write_answer`."""
        return answers.write_answer(answer, usage, asked)

    def stream_decoder(self, new_id: NewId) -> StreamDecoder:
        """See `Translator.stream_decoder`."""
        return answers.CompletionsStreamDecoder(new_id)

    def stream_encoder(self, asked: Asked) -> StreamEncoder:
        """See `Translator.stream_encoder`."""
        return answers.CompletionsStreamEncoder(asked)


TRANSLATOR: Translator = OpenAICompletions()
