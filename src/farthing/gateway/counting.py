"""How many tokens a request has, asked in one format and counted by a provider of another.

Anthropic and Google count for nothing, each in its own way. Nobody else does: there the count is our estimate, and the
answer says so in `x-farthing-estimated`.
"""

import msgspec

from farthing.gateway.attempts import LiveAttempt
from farthing.providers.protocol import Operation
from farthing.types.chat import ChatRequest
from farthing.types.providers import WireFormat
from farthing.types.usage import Usage
from farthing.wire.lenient import UNREADABLE
from farthing.wire.meter import StreamMeter
from farthing.wire.translators.gemini.counting import read_count_answer, write_count_answer, write_count_request
from farthing.wire.translators.protocol import NewId
from farthing.wire.translators.registry import translator

COUNTING_FORMATS: frozenset[WireFormat] = frozenset({"anthropic_messages", "gemini"})
"""Formats whose providers count."""
_COUNTED = ("model", "system", "tools", "tool_choice", "thinking", "output_config", "cache_control", "messages")
"""The members of a request that Anthropic takes in a request to count."""


class Counting:
    """A count of tokens on its way to a provider of another format and back; see `Translated`."""

    def __init__(self, face: WireFormat, wire: WireFormat, request: ChatRequest, new_id: NewId) -> None:
        self.wire = wire
        self.operation: Operation = "count_tokens"
        self.query = b""
        self.losses: tuple[str, ...] = ()
        self._face = face
        self.body = write_count_request(request) if wire == "gemini" else _asked_of_anthropic(request, new_id)

    def content_type(self, *, streamed: bool) -> bytes:  # noqa: ARG002 - a count is never streamed
        """See `Translated.content_type`."""
        return b"content-type: application/json"

    def meter(self, inner: StreamMeter, attempt: LiveAttempt) -> StreamMeter:  # noqa: ARG002 - a count is never streamed
        """See `Translated.meter`."""
        return inner

    def whole(self, body: bytes, usage: Usage, attempt: LiveAttempt, *, streamed: bool) -> bytes:  # noqa: ARG002 - a count costs nothing
        """See `Translated.whole`."""
        found = read_count_answer(body) if self.wire == "gemini" else _count_of_anthropic(body)
        return counted(self._face, attempt.opening.input_tokens_estimate if found is None else found)

    def collected(self, events: bytes, usage: Usage, attempt: LiveAttempt) -> bytes:
        """See `Translated.collected`."""
        return self.whole(events, usage, attempt, streamed=False)


def counted(face: WireFormat, tokens: int) -> bytes:
    """Return the answer that tells a client of this format how many tokens there are."""
    return write_count_answer(tokens) if face == "gemini" else b'{"input_tokens":%d}' % tokens


def _asked_of_anthropic(request: ChatRequest, new_id: NewId) -> bytes:
    written = translator("anthropic_messages").write_request(request, new_id)
    members = msgspec.json.decode(written, type=dict[str, msgspec.Raw])
    return msgspec.json.encode({name: members[name] for name in _COUNTED if name in members})


def _count_of_anthropic(body: bytes) -> int | None:
    try:
        told = msgspec.json.decode(body)
    except UNREADABLE:
        return None
    found = told.get("input_tokens") if isinstance(told, dict) else None
    return found if isinstance(found, int) and not isinstance(found, bool) and found >= 0 else None
