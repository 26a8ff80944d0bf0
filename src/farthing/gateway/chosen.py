"""A call whose model and credential are chosen, and the request that is made of it for a provider."""

from collections.abc import Iterator

import msgspec

from farthing.catalog.token_estimate import TokenFamily, estimate_request_tokens
from farthing.gateway.accounts import Account
from farthing.gateway.answer_limits import with_limit
from farthing.gateway.call import Reply, Request
from farthing.gateway.headers import for_other_format
from farthing.gateway.lineup import Lineup
from farthing.gateway.translated import Translated
from farthing.providers.protocol import Operation, Provider
from farthing.types.calls import Attribution
from farthing.types.models import ModelRef
from farthing.types.providers import WireFormat
from farthing.wire.peek import Envelope


class Sent(msgspec.Struct, frozen=True, gc=False):
    """A request on its way to a provider: in which format, for what, and its bytes."""

    wire: WireFormat
    operation: Operation
    head: bytes
    pieces: list[bytes]
    strip_usage: bool
    """Whether a usage chunk will come that the client did not ask for."""
    told: tuple[bytes, ...] = ()
    """What the head of the answer tells of it."""
    losses: str | None = None
    """What its translation left out, for the ledger."""


class Chosen(msgspec.Struct, frozen=True, gc=False):
    """A call whose model is chosen, and that may be paid for."""

    request: Request
    lineup: Lineup
    provider: Provider
    account: Account
    """The credential that this provider is called with."""
    ref: ModelRef
    asked: str
    """The model, as the client named it."""
    envelope: Envelope
    streamed: bool
    call_id: str
    attribution: Attribution
    family: TokenFamily
    """Of the model's tokenizer."""
    ordinals: Iterator[int]
    """Numbers the tries."""
    router: str | None = None
    """The router that the model was chosen by."""
    follows: bool = False
    """Whether another model was tried for the call before: then it was counted as a request already."""
    why: tuple[str, ...] = ()
    """Why the router chose it, or whose key is bound to it."""

    @property
    def is_foreign(self) -> bool:
        """Whether its provider has to be asked in another format than the client's."""
        wire = self.request.wire
        return not self.provider.known.speaks(wire) or (self.ref, wire) in self.lineup.lacking

    def note_sent(self, translation: Translated | Reply) -> None:
        """Note by how much a request is longer than the client's as it is translated: thoughts that were kept are."""
        if not isinstance(translation, Reply):
            envelope = self.envelope
            envelope.added_bytes = max(0, len(translation.body) - len(envelope.body))

    def estimated_tokens(self) -> int:
        """Return about how many tokens the request has, having looked at it: 5 us, and only once."""
        envelope = self.envelope
        if not envelope.tokens:
            envelope.tokens = estimate_request_tokens(envelope.body, self.family)
        return envelope.tokens

    def by(self, account: Account) -> "Chosen":
        """Return the call as it is made with another credential."""
        return msgspec.structs.replace(self, account=account, provider=account.provider)

    def limited(self, output_limit: int) -> "Chosen":
        """Return the call with the limit to its answer that money sets."""
        members = with_limit(self.envelope, self.request.wire, self.provider, output_limit)
        body = b"".join(self.envelope.spliced(members))
        return msgspec.structs.replace(self, envelope=Envelope(body))


def in_other_format(translation: Translated, chosen: Chosen) -> Sent:
    """Return the request as it is translated for a provider."""
    body, operation, losses = translation.body, translation.operation, translation.losses
    lines = for_other_format(chosen.request.headers.lines)
    head = chosen.provider.request_head(operation, translation.query, lines, len(body), chosen.ref.model)
    told = (b"x-farthing-loss: " + ", ".join(losses).encode("ascii", "replace"),) if losses else ()
    return Sent(
        translation.wire, operation, head, [body], strip_usage=False, told=told, losses=",".join(losses) or None
    )
