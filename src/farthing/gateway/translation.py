"""A call whose client and provider speak different formats: the request is decoded and encoded, and so is the answer.

Everything else of a call stays as it is: its attempt, its meter, its errors. What is lost is computed from what the two
formats declare (`wire/translators/features.py`), and refused or told by the operator's policy. The translators are
imported when the first call needs them: a gateway that only passes through never pays for them.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

import msgspec

from farthing.errors import ProviderMisbehaved
from farthing.gateway.attempts import LiveAttempt
from farthing.gateway.losses import LossPolicy, refusal
from farthing.gateway.signatures import Signatures
from farthing.gateway.translated_stream import SIGNS_OF_LIFE, TranslatedMeter
from farthing.providers.protocol import Operation, Provider
from farthing.types.chat import ChatAnswer, ChatRequest, Part
from farthing.types.identity import IdSource
from farthing.types.models import ModelRef
from farthing.types.providers import KnownProvider, WireFormat
from farthing.types.usage import Usage
from farthing.wire.meter import StreamMeter
from farthing.wire.translators.assembly import answer_of, events_of
from farthing.wire.translators.features import Used, lost, used_by
from farthing.wire.translators.protocol import Asked, NewId, Translator, encode_all
from farthing.wire.translators.reading import MAX_OBJECTS, is_crowd
from farthing.wire.translators.registry import CHAT_FORMATS, translator
from farthing.wire.translators.tool_names import RestoredStream, ToolNames

ANSWER_ROOM_TOKENS = 4_096
"""Room that a local model's context leaves for an answer whose length nobody bounded: as Ollama's own default."""
MAX_TARGETS = 1_024
"""Choices that are remembered: providers times models of a busy house."""
_CHAT_OPERATIONS: dict[WireFormat, tuple[Operation, Operation]] = {
    "openai_chat": ("chat.completions", "chat.completions"),
    "openai_responses": ("responses", "responses"),
    "openai_completions": ("completions", "completions"),
    "anthropic_messages": ("messages", "messages"),
    "gemini": ("generate_content", "stream_generate_content"),
    "ollama": ("ollama_chat", "ollama_chat"),
}
"""How a format is asked for words, whole and as a stream."""
_RESPONSES_FIRST = re.compile(r"(?:.*/)?gpt-(?:5\.[2-9]|[6-9])")
"""OpenAI's models that refuse tools in a chat completion, unless they are told not to think (from 5.2 on, 2026)."""
_CONTENT_TYPES: dict[WireFormat, bytes] = {"ollama": b"content-type: application/x-ndjson"}
_EVENTS = b"content-type: text/event-stream; charset=utf-8"
_JSON = b"content-type: application/json"


class Translation:
    """One call for words on its way from one format to another and back; see `Translated`."""

    __slots__ = (
        "_asked",
        "_face",
        "_key_id",
        "_names",
        "_other",
        "_signatures",
        "body",
        "losses",
        "operation",
        "query",
        "wire",
    )

    def __init__(
        self,
        face: Translator,
        other: Translator,
        asked: Asked,
        body: bytes,
        *,
        names: ToolNames | None,
        losses: Sequence[str],
        signatures: Signatures,
        key_id: str,
    ) -> None:
        self.wire = other.wire
        self.operation = _operation(other.wire, asked.request)
        self.body = body
        self.query = b"alt=sse" if self.operation == "stream_generate_content" else b""
        self.losses = tuple(losses)
        self._asked = asked
        self._face = face
        self._other = other
        self._names = names
        self._signatures = signatures
        self._key_id = key_id

    def content_type(self, *, streamed: bool) -> bytes:
        """See `Translated.content_type`."""
        if not streamed or self._asked.array:
            return _JSON
        return _CONTENT_TYPES.get(self._face.wire, _EVENTS)

    def meter(self, inner: StreamMeter, attempt: LiveAttempt) -> TranslatedMeter:
        """See `Translated.meter`."""
        return TranslatedMeter(
            inner,
            self._other.stream_decoder(self._asked.new_id),
            self._face.stream_encoder(self._known(attempt)),
            names=None if self._names is None else RestoredStream(self._names),
            usage_of=attempt.so_far,
            on_answer=self._remember,
            sign_of_life=SIGNS_OF_LIFE.get(self._face.wire, b""),
        )

    def whole(self, body: bytes, usage: Usage, attempt: LiveAttempt, *, streamed: bool) -> bytes:
        """See `Translated.whole`; raises `ProviderMisbehaved` for an answer that would keep everybody waiting."""
        if is_crowd(body):
            raise ProviderMisbehaved(f"the answer has more than {MAX_OBJECTS} objects, and would have to be translated")
        return self._for_client(self._other.read_answer(body, self._asked.new_id), usage, attempt, streamed=streamed)

    def collected(self, events: bytes, usage: Usage, attempt: LiveAttempt) -> bytes:
        """See `Translated.collected`."""
        decoder = self._other.stream_decoder(self._asked.new_id)
        return self._for_client(answer_of([*decoder.feed(events), *decoder.rest()]), usage, attempt, streamed=False)

    def _for_client(self, answer: ChatAnswer, usage: Usage, attempt: LiveAttempt, *, streamed: bool) -> bytes:
        if self._names is not None:
            answer = self._names.answer(answer)
        if answer.choices:
            self._remember(answer.choices[0].content)
        asked = self._known(attempt)
        if streamed:
            return encode_all(self._face.stream_encoder(asked), events_of(answer, usage))
        return self._face.write_answer(answer, usage, asked)

    def _known(self, attempt: LiveAttempt) -> Asked:
        return msgspec.structs.replace(self._asked, input_tokens_estimate=attempt.opening.input_tokens_estimate)

    def _remember(self, parts: Sequence[Part]) -> None:
        self._signatures.remember(self._key_id, self._asked.request.messages, parts)


class Translations:
    """Translates calls; one per line-up, with the signatures of all of them."""

    def __init__(self, policy: LossPolicy, signatures: Signatures, ids: IdSource) -> None:
        self.policy = policy
        self._signatures = signatures
        self._ids = ids

    def begin(
        self,
        request: ChatRequest,
        *,
        asked: str,
        call_id: str,
        ref: ModelRef,
        provider: Provider,
        key_id: str,
        now_s: int,
        context_tokens: int | None = None,
        array: bool = False,
    ) -> Translation:
        """Translate a client's request for a provider.

        Raises:
            LostInTranslation: the provider's format cannot carry what the request needs.
            InvalidRequest: the request is wrong in itself.
        """
        used = used_by(request)
        other, losses = self._target(used, provider, ref.model, request)
        refused = self.policy.refused(losses)
        if refused:
            raise refusal(refused, ref, other.wire, request.origin)
        sent = msgspec.structs.replace(
            request,
            model=ref.model,
            usage_in_stream=provider.asks_for_usage,
            context_tokens=request.context_tokens or context_tokens,
        )
        sent = self._signatures.restored(key_id, sent, other.wire)
        names = ToolNames(request, other.carries)
        sent = names.applied(sent) if names.changes else sent
        new_id = new_ids(self._ids)
        left_out: list[Used] = []
        body = other.write_request(sent, new_id, left_out)
        if refused := self.policy.refused(left_out):
            raise refusal(refused, ref, other.wire, request.origin)
        return Translation(
            translator(request.origin),
            other,
            Asked(
                request=request,
                model=asked,
                answer_id=call_id.rpartition("_")[2],
                created_s=now_s,
                input_tokens_estimate=0,  # the attempt knows it, which begins later
                new_id=new_id,
                array=array,
            ),
            body,
            names=names if names.changes else None,
            losses=self.policy.warned([*losses, *left_out]),
            signatures=self._signatures,
            key_id=key_id,
        )

    def _target(
        self, used: Sequence[Used], provider: Provider, model: str, request: ChatRequest
    ) -> tuple[Translator, list[Used]]:
        """Return the provider's format that loses nothing which is refused, else its first, and what it loses."""
        found: tuple[Translator, list[Used]] | None = None
        for wire in targets(provider.known, model, raw_prompt=request.raw_prompt):
            other = translator(wire)
            losses = lost(used, other.carries)
            if not self.policy.refused(losses):
                return other, losses
            found = found or (other, losses)
        assert found is not None, f"provider '{provider.name}' has no format for words"
        return found


@lru_cache(maxsize=MAX_TARGETS)
def targets(known: KnownProvider, model: str, *, raw_prompt: bool) -> tuple[WireFormat, ...]:
    """Return the formats that a provider can be asked in for a model's words, the best first.

    It hangs on the model alone, so that a conversation stays in one format and in one prompt cache.
    """
    wires = dict.fromkeys((known.wire, *known.also))
    if "openai_responses" in wires and _RESPONSES_FIRST.match(model):
        wires = dict.fromkeys(("openai_responses", *wires))
    return tuple(wire for wire in wires if wire in CHAT_FORMATS and (wire != "openai_completions" or raw_prompt))


def _operation(wire: WireFormat, request: ChatRequest) -> Operation:
    if wire == "ollama" and request.raw_prompt:
        return "ollama_generate"
    return _CHAT_OPERATIONS[wire][request.streamed]


def new_ids(ids: IdSource) -> NewId:
    """Return what makes ids with the prefix of a format."""

    def new_id(prefix: str) -> str:
        return prefix + ids.new("").removeprefix("_")

    return new_id
