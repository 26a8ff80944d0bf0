"""What a format's package offers: reading and writing its requests, answers and streams.

Readers of requests are strict, because the client can mend what is wrong: they raise `InvalidRequest` that names the
member, its value and what is allowed. Readers of answers are lenient, because nobody can: what cannot be read is left
out, and an answer is never failed for it. Nothing here looks at usage: the format's meter does, and hands it over.
"""

from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec

from farthing.types.chat import ChatAnswer, ChatRequest, StreamEvent
from farthing.types.providers import WireFormat
from farthing.types.usage import Usage
from farthing.wire.translators.features import Feature, Used
from farthing.wire.translators.reading import Body

NewId = Callable[[str], str]
"""Makes an id that begins with a prefix: `new_id("call_")`."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What must be known of the call to write its answer."""

    request: ChatRequest
    model: str
    """As the client named it."""
    answer_id: str
    """Letters and digits that are this answer's alone; a format puts its own prefix before them."""
    created_s: int
    input_tokens_estimate: int
    new_id: NewId
    array: bool = False
    """Whether a stream is to come as one JSON array: Gemini's, where the client did not ask for events."""


class StreamDecoder(Protocol):
    """Reads one stream of a provider. It never raises over contents; an error inside is the meter's to tell."""

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Take whole events of the format; return what they say. `Closed` is not among it: the caller knows the end."""
        ...

    def rest(self) -> list[StreamEvent]:
        """Return what is still to be said once everything came: the open part's end, and a finish that is owed."""
        ...


class StreamEncoder(Protocol):
    """Writes one stream for a client, event for event as its official clients expect."""

    def write(self, event: StreamEvent) -> bytes:
        """Return what the client gets for an event; maybe nothing yet."""
        ...

    def error(self, code: str, message: str) -> bytes:
        """Return what tells the client, here and now, that its stream ended badly."""
        ...


class Translator(Protocol):
    """One format, both ways."""

    wire: WireFormat
    carries: frozenset[Feature]
    """What its requests can carry; `UNKNOWN_FIELDS`, `FOREIGN_PARTS`, `SERVER_TOOLS` and `FILES` never are: what only
    one format knows, no other does."""
    answers_carry: frozenset[str]
    """What its answers can show: kinds of parts (tags of `types/chat.py`), and `citations`, `logprobs`, `several`."""

    def read_request(self, body: Body, *, model: str, streamed: bool) -> ChatRequest:
        """Read a client's request.

        `model` is the name that was asked for and `streamed` whether a stream was, wherever they stood.

        Raises:
            InvalidRequest: it is wrong; the message names the member's path, its value and what is allowed.
        """
        ...

    def write_request(self, request: ChatRequest, new_id: NewId, left_out: list[Used] | None = None) -> bytes:
        """Write a request for a provider, without what the format cannot carry. Raises `InvalidRequest` as well.

        To `left_out` is added what the format could carry, and this model or this history forbids.
        """
        ...

    def read_answer(self, body: bytes, new_id: NewId) -> ChatAnswer:
        """Read a whole answer of a provider."""
        ...

    def write_answer(self, answer: ChatAnswer, usage: Usage | None, asked: Asked) -> bytes:
        """Write a whole answer for a client; `usage` is in the face's own terms there."""
        ...

    def stream_decoder(self, new_id: NewId) -> StreamDecoder:
        """Return what reads one stream of a provider."""
        ...

    def stream_encoder(self, asked: Asked) -> StreamEncoder:
        """Return what writes one stream for a client."""
        ...


def encode_all(encoder: StreamEncoder, events: Iterable[StreamEvent]) -> bytes:
    """Return what a client gets for several events."""
    return b"".join([encoder.write(event) for event in events])
