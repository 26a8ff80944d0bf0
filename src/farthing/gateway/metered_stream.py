"""A stream on its way to the client: counted, checkpointed, settled before its last bytes leave, and never lying.

What comes before the first real output (a content, thinking or tool delta, or a finish) is held for a while: until
then a failure can still be told by an HTTP status, also one that the provider tells inside its 200. Afterwards a cut
ends in the format's own error event. The end of the attempt is in the journal before the format's last event goes out,
so that a client that has seen it is never missing from the ledger.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from farthing.errors import FarthingError, ProviderCut, ProviderError, ProviderMisbehaved, ProviderTimeout, in_public
from farthing.gateway.attempts import LEFT, LiveAttempt
from farthing.gateway.discretion import discreet_text, make_discreet
from farthing.gateway.encodings import Readable
from farthing.providers.protocol import Provider
from farthing.types.calls import Outcome
from farthing.wire.error_words import error_inside
from farthing.wire.meter import Reading, StreamMeter

if TYPE_CHECKING:
    from farthing.gateway.call import Client

CHECKPOINT_S = 1.0
"""After a crash at most this much of a stream's production is guessed."""

HOLD_BYTES = 1 << 20
"""The most that is held before the first real output; a response that repeats a large request has 500 KB."""
MAX_SUSPECT_BYTES = 1 << 20
"""The largest event that is handed on although it may hold our credential: finding it takes 50 ms at worst, in which
everybody waits. The longest recorded error has 3 KB."""
_TOLD = "the provider ended its stream with an error"

Push = Callable[[bytes], bool]
"""Writes to the client at once and returns True; or returns False, having written nothing. Empty bytes only ask."""


class MeteredStream:
    """One streamed answer. Read `next` until it is `over`, or call `stop`."""

    __slots__ = (
        "_answer",
        "_attempt",
        "_checkpoint_at",
        "_client",
        "_failure",
        "_held",
        "_loop",
        "_meter",
        "_provider",
        "_push",
        "over",
    )

    def __init__(
        self,
        answer: Readable,
        meter: StreamMeter,
        attempt: LiveAttempt,
        provider: Provider,
        client: "Client",
    ) -> None:
        self._answer = answer
        self._attempt = attempt
        self._client = client
        self._failure: ProviderError | None = None
        self._held = b""
        self._push: Push | None = None
        self._loop = asyncio.get_running_loop()
        self._checkpoint_at = self._loop.time() + CHECKPOINT_S
        self._meter = meter
        self._provider = provider
        self.over = False

    async def open(self, first: bytes, hold_s: float, *, ended: bool) -> Reading | None:
        """Wait for the first real output; `first` is what has arrived already, and all of it if it has `ended`.

        Returns what the provider said of itself where the first real thing that it sent was an error: then the attempt
        is settled, nothing was handed out, and the stream is over. `None` where there is a stream to hand out.

        Raises:
            ProviderError: the answer failed before it; nothing was handed out and the attempt is settled.
        """
        held: list[bytes] = []
        try:
            if first:
                held.append(self._take(first))
            if ended:
                held.append(self._rest())
            if not ended and not self._speaks():
                held_bytes = len(held[0]) if held else 0
                async with asyncio.timeout(hold_s):
                    while not ended and not self._speaks() and held_bytes <= HOLD_BYTES:
                        data = await self._answer.next_chunk()
                        ended = not data
                        held.append(self._take(data) if data else self._rest())
                        held_bytes += len(held[-1])
        except TimeoutError:
            pass  # held long enough: what there is goes out, and falling back is over
        except ProviderError as error:
            self._settle_broken(error)
            raise
        except asyncio.CancelledError:
            self.stop()
            raise
        if ended and not self._speaks():
            told = error_inside(b"".join(held))
            if told is not None:
                self._attempt.settle_whole(told)
                self._finish()
                self._answer.cancel()
                return told
            cut = ProviderCut("the stream ended before it said anything", hint="try again")
            self._settle_broken(cut)
            raise cut
        if self._failed_unheard():
            if self._attempt.settled is None:
                self._settle_whole()
            self._finish()
            self._answer.cancel()
            return self._meter.reading()
        self._held = b"".join(held)
        return None

    def held(self) -> bytes:
        """Return what was held back while the stream opened; call it once, before `next`."""
        held, self._held = self._held, b""
        return held

    async def next(self, push: Push | None = None) -> bytes:
        """Return the next bytes for the client, empty when the stream is over. Never raises a `ProviderError`.

        While this waits and `push` takes them, events go straight from the provider's socket to the client's: waking a
        task for each costs 3 us (measured 2026-11).
        """
        if push is not None and self._push is None:
            self._push = push
            self._answer.sink = self._pushed
        while not self.over:
            try:
                data = await self._answer.next_chunk()
                out = self._take(data) if data else self._end()
            except ProviderError as error:
                return self._broke_off(self._failure or error)
            if self._meter.terminal and self._answer.complete:
                self._finish()
            if out:
                return out
        return b""

    def stop(self, error: FarthingError | None = None) -> bytes:
        """End the stream now, because the client left or (with `error`) because we must; return what to tell it."""
        self._finish()
        self._answer.cancel()
        if self._attempt.settled is not None:
            return b""
        told = error or FarthingError("the client left before the end of the stream")
        code = error.code if error is not None else LEFT
        self._attempt.settle_broken("cancelled", self._meter.reading(), code, told.message)
        return self._meter.error_event(code, str(told))

    def _pushed(self, data: bytes) -> bool:
        """Take what has just arrived, outside of any task; False where the client is not ready for it."""
        push = self._push
        if push is None or not push(b""):
            return False
        try:
            out = self._take(data)
        except ProviderError as error:
            self._failure = error
            self._answer.cancel()  # wakes whoever waits in `next`
            return True
        if out:
            push(out)
        return True

    def _finish(self) -> None:
        """Be over; and untie what would keep stream and answer alive for each other until a collection finds them."""
        self.over = True
        self._answer.sink = None
        self._push = None

    def _failed_unheard(self) -> bool:
        """Whether the provider sent an error before a word of its answer."""
        return self._meter.failed and not self._meter.has_output

    def _speaks(self) -> bool:
        meter = self._meter
        return meter.has_output or meter.has_finish or meter.terminal or meter.failed

    def _rest(self) -> bytes:
        rest = self._meter.rest()
        return self._discreet(rest) if self._meter.suspect else rest

    def _discreet(self, out: bytes) -> bytes:
        """Return what may be an error without our credential; what is too large to be looked through is told in short.

        Raises:
            ProviderMisbehaved: it is too large, and nobody can read it.
        """
        if len(out) <= MAX_SUSPECT_BYTES:
            return self._provider.redacted(out)
        if not self._meter.failed:
            raise ProviderMisbehaved(f"a part of the stream that cannot be read has {len(out)} bytes")
        reading = self._meter.reading()
        code, message = (discreet_text(self._provider, text) for text in (reading.error_code, reading.error_message))
        return self._meter.error_event(code or ProviderError.code, message or _TOLD)

    def _take(self, data: bytes) -> bytes:
        meter, attempt = self._meter, self._attempt
        had_output = meter.has_output
        out = meter.feed(data)
        if meter.has_output and not had_output:
            attempt.note_first_output()
        if meter.suspect:
            out = self._discreet(out)
        if meter.terminal:
            if attempt.settled is None:
                self._settle_whole()
        elif self._loop.time() >= self._checkpoint_at:
            self._checkpoint_at = self._loop.time() + CHECKPOINT_S
            attempt.checkpoint(self._meter.reading())
        return out

    def _end(self) -> bytes:
        """The provider ended its answer in order: whole, failed as it said itself, or cut all the same."""
        rest = self._rest()
        self._finish()
        if self._attempt.settled is None:
            if not self._meter.reading().finished and not self._meter.failed:
                return self._broke_off(ProviderCut("the stream ended before its answer was finished"))
            self._settle_whole()
        return rest

    def _settle_whole(self) -> None:
        reading = self._meter.reading()
        self._attempt.left = self._client.left
        if self._failed_unheard():
            # It costs nothing, unless the error came with usage; some finish with "error" and say no word about it.
            message = reading.error_message or _TOLD
            self._attempt.settle_whole(msgspec.structs.replace(reading, error_message=message))
        elif self._meter.failed:
            self._attempt.settle_broken("provider_error", reading, "provider_error", _TOLD)
        else:
            self._attempt.settle_whole(reading)

    def _broke_off(self, error: ProviderError) -> bytes:
        """The answer failed: settle, and tell the client in its own format. Nobody is told once all was said."""
        self._finish()
        if self._attempt.settled is not None:
            return b""
        make_discreet(self._provider, error)
        self._settle_broken(error)
        return self._meter.error_event(error.code, str(in_public(error)))

    def _settle_broken(self, error: ProviderError) -> None:
        self._answer.cancel()
        if self._attempt.settled is None:
            outcome: Outcome = "timeout" if isinstance(error, ProviderTimeout) else "provider_cut"
            self._attempt.settle_broken(outcome, self._meter.reading(), error.code, error.message)
