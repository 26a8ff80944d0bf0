"""Ollama's own chat and generate, both ways.

What came to /api/generate is read by `read_generate`; after that `raw_prompt` tells the two paths apart: it says which
of them a request is written for, and in whose shape the client's answer is.
"""

from farthing.types.chat import ChatAnswer, ChatRequest, Thinking
from farthing.types.providers import WireFormat
from farthing.types.usage import Usage
from farthing.wire.translators.assembly import answer_of
from farthing.wire.translators.features import Feature, Used
from farthing.wire.translators.ollama import answers, request_writer, requests
from farthing.wire.translators.ollama.streams import Decoder, Encoder
from farthing.wire.translators.protocol import Asked, NewId
from farthing.wire.translators.reading import Body


def read_generate(body: Body, *, model: str, streamed: bool) -> ChatRequest:
    """Read a request of /api/generate, as `Translator.read_request` reads one of /api/chat."""
    return requests.read_request(body, model=model, streamed=streamed, generate=True)


class OllamaTranslator:
    """See `Translator`."""

    wire: WireFormat = "ollama"
    # How much to think is not among it: whether a model can be told at all, only its name tells, and that barely.
    carries = frozenset(
        {
            Feature.LATE_SYSTEM,
            Feature.PREFILL,
            Feature.IMAGES,
            Feature.AUDIO,
            Feature.THINKING_HISTORY,
            Feature.TOOLS,
            Feature.TOOL_IMAGES,
            Feature.JSON_OBJECT,
            Feature.JSON_SCHEMA,
            Feature.LOGPROBS,
            Feature.STOP,
            Feature.MANY_STOPS,
            Feature.SUFFIX,
            Feature.RAW_PROMPT,
            Feature.MAX_OUTPUT_TOKENS,
            Feature.TEMPERATURE,
            Feature.HIGH_TEMPERATURE,
            Feature.TOP_P,
            Feature.TOP_K,
            Feature.PENALTIES,
            Feature.SEED,
            Feature.CONTEXT_TOKENS,
        }
    )
    answers_carry = frozenset({"text", "thinking", "tool_call", "logprobs"})

    def read_request(self, body: Body, *, model: str, streamed: bool) -> ChatRequest:
        """See `Translator.read_request`: a request of /api/chat."""
        return requests.read_request(body, model=model, streamed=streamed)

    def write_request(self, request: ChatRequest, new_id: NewId, left_out: list[Used] | None = None) -> bytes:  # noqa: ARG002 - every call has its id by now
        """See `Translator.write_request`: for /api/generate where `raw_prompt` is set, else for /api/chat."""
        if left_out is not None:
            left_out += [
                Used(Feature.THINKING_HISTORY, f"messages[{at}]")
                for at, message in enumerate(request.messages)
                if message.role == "assistant" and any(isinstance(p, Thinking) and not p.text for p in message.content)
            ]
        return request_writer.write_request(request)

    def read_answer(self, body: bytes, new_id: NewId) -> ChatAnswer:
        """See `Translator.read_answer`; lines where one object was expected are read as the stream that they are."""
        answer = answers.read_answer(body, new_id)
        if answer is None:
            decoder = Decoder(new_id)
            answer = answer_of([*decoder.feed(body), *decoder.rest()])
        return answer

    def write_answer(self, answer: ChatAnswer, usage: Usage | None, asked: Asked) -> bytes:
        """See `Translator.write_answer`."""
        return answers.write_answer(answer, usage, asked)

    def write_loaded(self, asked: Asked) -> bytes:
        """Return the answer to a request without messages, which only loads a model and costs nothing."""
        return answers.write_loaded(asked)

    def stream_decoder(self, new_id: NewId) -> Decoder:
        """See `Translator.stream_decoder`."""
        return Decoder(new_id)

    def stream_encoder(self, asked: Asked) -> Encoder:
        """See `Translator.stream_encoder`."""
        return Encoder(asked)


TRANSLATOR = OllamaTranslator()
