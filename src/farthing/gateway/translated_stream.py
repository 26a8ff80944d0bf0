"""A provider's stream, told in the format of the client: the meter of the one, and what the other gets to read.

The provider's own meter reads usage, errors and ends, as it does where nothing is translated; what it hands on is
decoded into events, and those are written for the client. So billing, holding back and cutting know nothing of any
translation.
"""

from collections.abc import Callable

from farthing.errors import ProviderMisbehaved
from farthing.types.chat import Closed, Part, PartEnded, StreamEvent
from farthing.types.providers import WireFormat
from farthing.types.usage import Usage
from farthing.wire.meter import Reading, StreamMeter
from farthing.wire.translators.protocol import StreamDecoder, StreamEncoder
from farthing.wire.translators.tool_names import RestoredStream

MAX_STREAM_BYTES = 64 << 20
"""A part is kept until it is whole, so a stream that is translated has the bound of an answer that is not streamed."""
SIGNS_OF_LIFE: dict[WireFormat, bytes] = {
    "anthropic_messages": b'event: ping\ndata: {"type": "ping"}\n\n',
    "openai_chat": b": ping\n\n",
    "openai_completions": b": ping\n\n",
    "openai_responses": b": ping\n\n",
}
"""What tells a client that nothing has been said for a while and more will come; others' clients know no such thing."""
_PING_BYTES = 64
"""Where a provider's event calls itself a ping: in its name, or in the type that its data begin with."""
_TOLD = "the provider ended its stream with an error"


class TranslatedMeter:
    """Reads a provider's stream and writes the client's; see `StreamMeter`."""

    __slots__ = (
        "_begun",
        "_closed",
        "_decoder",
        "_encoder",
        "_inner",
        "_names",
        "_on_answer",
        "_parts",
        "_read_bytes",
        "_sign_of_life",
        "_usage_of",
        "failed",
        "has_finish",
        "has_output",
        "suspect",
        "terminal",
    )

    def __init__(
        self,
        inner: StreamMeter,
        decoder: StreamDecoder,
        encoder: StreamEncoder,
        *,
        names: RestoredStream | None,
        usage_of: Callable[[Reading], Usage],
        on_answer: Callable[[list[Part]], object],
        sign_of_life: bytes,
    ) -> None:
        """`usage_of` completes what the provider counted; `on_answer` is told the first choice's parts at the end.

        `sign_of_life` is what the client gets for a comment or a ping of the provider.
        """
        self._inner = inner
        self._decoder = decoder
        self._encoder = encoder
        self._names = names
        self._usage_of = usage_of
        self._on_answer = on_answer
        self._parts: list[Part] = []
        self._read_bytes = 0
        self._sign_of_life = sign_of_life
        self._begun = False
        self._closed = False
        self.has_output = self.has_finish = self.terminal = self.failed = self.suspect = False

    def feed(self, data: bytes) -> bytes:
        """See `StreamMeter.feed`."""
        self._read_bytes += len(data)
        if self._read_bytes > MAX_STREAM_BYTES:
            raise ProviderMisbehaved(f"a stream that is translated has over {MAX_STREAM_BYTES} bytes")
        inner = self._inner
        out = self._written(inner.feed(data))
        self._note()
        return out + self._close() if self.terminal else out

    def rest(self) -> bytes:
        """See `StreamMeter.rest`."""
        out = self._written(self._inner.rest())
        self._note()
        return out + self._close() if self._inner.reading().finished else out

    def reading(self) -> Reading:
        """See `StreamMeter.reading`."""
        return self._inner.reading()

    def error_event(self, code: str, message: str) -> bytes:
        """See `StreamMeter.error_event`."""
        self._closed = True
        return self._encoder.error(code, message)

    def _note(self) -> None:
        inner = self._inner
        self.has_output, self.has_finish = inner.has_output, inner.has_finish
        self.terminal, self.failed, self.suspect = inner.terminal, inner.failed, inner.suspect

    def _written(self, data: bytes) -> bytes:
        if not data or self._closed:
            return b""
        events = self._decoder.feed(data)
        out = self._told(events) if events else b""
        if out:
            self._begun = True
        elif self._begun and not events and (data.startswith(b":") or b"ping" in data[:_PING_BYTES]):
            out = self._sign_of_life
        if not self._inner.failed:
            return out
        reading = self._inner.reading()
        return out + self.error_event(reading.error_code or "provider_error", reading.error_message or _TOLD)

    def _close(self) -> bytes:
        """Tell the end, once; nothing of it where the stream has failed."""
        if self._closed or self._inner.failed:
            return b""
        out = self._told(self._decoder.rest())
        self._closed = True
        self._on_answer(self._parts)
        return out + self._encoder.write(Closed(self._usage_of(self._inner.reading())))

    def _told(self, events: list[StreamEvent]) -> bytes:
        write, names = self._encoder.write, self._names
        out = []
        for event in events:
            for told in (event,) if names is None else names.events(event):
                out.append(write(told))
                if isinstance(told, PartEnded) and told.choice == 0:
                    self._parts.append(told.part)
        return out[0] if len(out) == 1 else b"".join(out)
