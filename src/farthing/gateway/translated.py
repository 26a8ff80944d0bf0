"""What the rest of the gateway needs to know of a call that was translated."""

from typing import Protocol

from farthing.gateway.attempts import LiveAttempt
from farthing.providers.protocol import Operation
from farthing.types.providers import WireFormat
from farthing.types.usage import Usage
from farthing.wire.meter import StreamMeter


class Translated(Protocol):
    """A call whose provider is asked in another format than the client's.

    `wire` and `operation` are the provider's, `body` and `query` what it is sent; `losses` are the names of what the
    client is told was left out.
    """

    wire: WireFormat
    operation: Operation
    body: bytes
    query: bytes
    losses: tuple[str, ...]

    def content_type(self, *, streamed: bool) -> bytes:
        """Return the line that tells a client what it gets."""
        ...

    def meter(self, inner: StreamMeter, attempt: LiveAttempt) -> StreamMeter:
        """Return what reads the provider's stream and writes the client's; `inner` is the provider's own."""
        ...

    def whole(self, body: bytes, usage: Usage, attempt: LiveAttempt, *, streamed: bool) -> bytes:
        """Return a provider's whole answer for the client, as a stream where it asked for one."""
        ...

    def collected(self, events: bytes, usage: Usage, attempt: LiveAttempt) -> bytes:
        """Return a whole answer for the client, where the provider sent events although none were asked for."""
        ...
