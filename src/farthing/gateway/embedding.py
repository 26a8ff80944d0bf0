"""Texts that are to become vectors, asked in one format and answered by a provider of another."""

from typing import cast

import msgspec

from farthing.errors import NotServed, ProviderMisbehaved
from farthing.gateway.attempts import LiveAttempt
from farthing.gateway.losses import LossPolicy, refusal
from farthing.providers.protocol import Operation, Provider
from farthing.types.embeddings import EmbeddingAnswer, EmbeddingRequest
from farthing.types.models import ModelRef
from farthing.types.providers import WireFormat
from farthing.types.usage import Usage
from farthing.wire.meter import StreamMeter
from farthing.wire.translators import embeddings
from farthing.wire.translators.embeddings import CARRIES, EmbeddingOperation
from farthing.wire.translators.features import lost

EMBEDDING_OPERATIONS: frozenset[Operation] = frozenset(
    {"embeddings", "embed_content", "batch_embed_contents", "ollama_embed", "ollama_embeddings"}
)


class Embedding:
    """A request for vectors on its way to a provider of another format and back; see `Translated`."""

    def __init__(
        self,
        operation: Operation,
        body: bytes,
        *,
        asked: str,
        ref: ModelRef,
        provider: Provider,
        policy: LossPolicy,
    ) -> None:
        """Translate a request.

        Raises:
            NotServed: the provider makes no vectors.
            LostInTranslation: its format cannot carry what the request needs.
            InvalidRequest: the request is wrong in itself.
        """
        self._operation = cast("EmbeddingOperation", operation)
        self._asked: EmbeddingRequest = embeddings.read_request(self._operation, body, model=asked)
        self.wire = _target(provider, ref)
        losses = lost(embeddings.used_by(self._asked), CARRIES[self.wire])
        if refused := policy.refused(losses):
            raise refusal(refused, ref, self.wire, self._asked.origin)
        self.losses = tuple(policy.warned(losses))
        sent = msgspec.structs.replace(self._asked, model=ref.model)
        self._sent_as, self.body = embeddings.write_request(self.wire, sent)
        self.operation: Operation = self._sent_as
        self.query = b""

    def content_type(self, *, streamed: bool) -> bytes:  # noqa: ARG002 - vectors are never streamed
        """See `Translated.content_type`."""
        return b"content-type: application/json"

    def meter(self, inner: StreamMeter, attempt: LiveAttempt) -> StreamMeter:  # noqa: ARG002 - vectors are never streamed
        """See `Translated.meter`."""
        return inner

    def whole(self, body: bytes, usage: Usage, attempt: LiveAttempt, *, streamed: bool) -> bytes:  # noqa: ARG002 - vectors are never streamed
        """See `Translated.whole`."""
        answer = embeddings.read_answer(self._sent_as, body)
        self._check(answer)
        return embeddings.write_answer(self._operation, answer, usage, self._asked)

    def _check(self, answer: EmbeddingAnswer) -> None:
        """Raise unless every text has its vector: one too few, and all that follow belong to another text."""
        asked, vectors = self._asked.inputs, answer.vectors
        missing = len(vectors) != len(asked) or any(
            not vector and item.content for item, vector in zip(asked, vectors, strict=True)
        )
        if missing and any(item.content for item in asked):  # of an empty text some make nothing
            found = sum(1 for vector in vectors if vector)
            raise ProviderMisbehaved(f"the provider answered {len(asked)} texts with {found} vectors")

    def collected(self, events: bytes, usage: Usage, attempt: LiveAttempt) -> bytes:
        """See `Translated.collected`."""
        return self.whole(events, usage, attempt, streamed=False)


def _target(provider: Provider, ref: ModelRef) -> WireFormat:
    for wire in (provider.known.wire, *provider.known.also):
        if wire in CARRIES:
            return wire
    raise NotServed(f"provider '{ref.provider}' makes no embeddings", hint="ask another provider's model for them")
