"""What a face hands to the gateway, and what it gets back."""

import asyncio
from typing import Protocol

import msgspec

from farthing.gateway.headers import RequestHeaders
from farthing.gateway.metered_stream import MeteredStream
from farthing.providers.error_mapping import UpstreamError
from farthing.providers.protocol import Operation
from farthing.types.principal import Principal
from farthing.types.providers import WireFormat
from farthing.wire.conversations import Conversation


class Client(Protocol):
    """Whoever waits for the answer."""

    @property
    def conversation(self) -> Conversation:
        """What it sent last."""
        ...

    @property
    def left(self) -> bool:
        """Whether it is gone."""
        ...

    def hold(self, size: int) -> None:
        """Count what is in memory for it until its answer is out; raises `Overloaded` where it is too much."""
        ...

    def stay(self) -> None:
        """Have its call go on for a while should it leave: a provider has it, and its answer tells what it cost."""
        ...

    def end_stay(self) -> None:
        """Have its call end again when it leaves."""
        ...


class Request(msgspec.Struct, frozen=True, gc=False):
    """One call as it came in; `body` is as the client sent it."""

    face: str
    wire: WireFormat
    operation: Operation
    model: str | None
    """The model, where the path names it; else the body does."""
    streamed: bool | None
    """Whether a stream was asked for, where that is not for the body to say."""
    streams_by_default: bool
    """What a body without `stream` means."""
    query: bytes
    headers: RequestHeaders
    body: bytes
    principal: Principal
    client: Client


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """An answer: a whole `body`, or a `stream` that must be read to its end or abandoned.

    `refusal` is set where the provider refused in a shape that this face's clients do not know: the face renders it.
    """

    status: int
    lines: list[bytes]
    """The head's, each `name: value`."""
    body: bytes = b""
    stream: MeteredStream | None = None
    refusal: UpstreamError | None = None


def for_who_is_there(reply: Reply, client: Client) -> Reply:
    """Return a reply, where its client has not left meanwhile: then what it cost is known, and nothing more is done."""
    client.end_stay()
    if client.left:
        if reply.stream is not None:
            reply.stream.stop()
        raise asyncio.CancelledError
    return reply
