"""Compressed bodies, both ways, within bounds.

A client's compressed request is decoded before it is read and sent on plain; a provider that compresses although it was
asked not to is decoded for the meter, and the client gets it plain, in pieces: no more is unpacked than is asked for.

What surprised us: 236 KB can be 99 MB, a gzip body may have any number of members (RFC 1952, 2.2) and each of nothing
costs 5 us, and zlib copies all that it has not yet looked at whenever it stops, which makes many members of a large
body cost its square. So it is given a little at a time.
"""

import asyncio
import zlib
from typing import Protocol

from farthing.errors import ProviderCut, ProviderMisbehaved, RequestTooLarge, UnsupportedEncoding
from farthing.providers.pool import Answer, HeldBodies, Sink
from farthing.providers.pool.held import read_to_end

MAX_STREAM_BYTES = 1 << 30
"""The most that a compressed stream may unpack to."""
PIECE_BYTES = 256 << 10
"""The most that is unpacked of an answer before somebody asks for more: what an answer that is not compressed may hold
unread. It takes 1 ms."""
MAX_ANSWER_MEMBERS = 150_000
"""The longest answer, 128,000 tokens, should each come as a member of its own; all of them together cost 1 s."""
MAX_REQUEST_MEMBERS = 1_000
"""Programs that compress in blocks write one member for each 64 KB at least, which are 512 in the largest request."""
MAX_RATIO = 200
"""How many times larger an answer may be unpacked, from `_RATIO_COUNTS_BYTES` on; a stream of the same token for ever
is 30 times, and a bomb 1,000 times."""
_RATIO_COUNTS_BYTES = 16 << 20
_STEP_BYTES = 16 << 10
"""What zlib is given at a time, and at most copies again."""
_STEPS = 64
"""Steps without a plain byte after which it is somebody else's turn; members of nothing take one each."""

_WBITS = {b"gzip": 31, b"x-gzip": 31, b"deflate": 15}


def decode_request(body: bytes, encoding: bytes, max_bytes: int) -> bytes:
    """Return a request body decoded.

    Raises:
        UnsupportedEncoding: an encoding other than gzip or deflate, or damaged data.
        RequestTooLarge: more than `max_bytes` once decoded.
    """
    encoding = encoding.strip().lower()
    if encoding in (b"", b"identity"):
        return body
    if encoding not in _WBITS:
        raise UnsupportedEncoding(
            f"content-encoding '{encoding.decode('latin-1')}' is not decoded here; known: gzip, deflate, identity",
            hint="send the body plain",
        )
    unpacker = _Unpacker(_WBITS[encoding], MAX_REQUEST_MEMBERS)
    unpacker.feed(body)
    pieces: list[bytes] = []
    size = 0
    try:
        while not unpacker.spent:
            piece = unpacker.piece(max_bytes - size + 1)
            size += len(piece)
            if size > max_bytes:
                raise RequestTooLarge(f"the decoded body is over the bound of {max_bytes} bytes", hint="send less")
            pieces.append(piece)
    except zlib.error as error:
        raise UnsupportedEncoding(f"the body is not whole {encoding.decode()}: {error}", hint="send it plain") from None
    if not unpacker.whole:
        raise UnsupportedEncoding(f"the body is not whole {encoding.decode()}: it ends early", hint="send it plain")
    return b"".join(pieces)


class _Unpacker:
    """Unpacks a body's members one after the other, no more at a time than it is asked for."""

    __slots__ = ("_at", "_decoder", "_full", "_members_left", "_packed", "_wbits")

    def __init__(self, wbits: int, max_members: int) -> None:
        self._wbits = wbits
        self._decoder = zlib.decompressobj(wbits)
        self._members_left = max_members
        self._packed = memoryview(b"")
        self._at = 0
        self._full = False

    def feed(self, packed: bytes) -> None:
        """Take what follows; only once the last was `spent`."""
        self._packed, self._at = memoryview(packed), 0

    @property
    def spent(self) -> bool:
        """Whether nothing comes any more of what it was fed."""
        return self._at == len(self._packed) and not self._full

    @property
    def whole(self) -> bool:
        """Whether the body may end here."""
        return self.spent and self._decoder.eof

    def piece(self, max_bytes: int) -> bytes:
        """Return what comes next, at most `max_bytes`; empty where it takes longer or more to tell.

        Raises:
            zlib.error: the data is damaged, or has more members than it may.
        """
        for _ in range(_STEPS):
            if self.spent:
                break
            if self._decoder.eof:
                self._members_left -= 1
                if self._members_left == 0:
                    raise zlib.error("it has more members than are taken")
                self._decoder = zlib.decompressobj(self._wbits)
            decoder = self._decoder
            packed = self._packed[self._at : self._at + _STEP_BYTES]
            plain = decoder.decompress(packed, max_bytes)
            # The one holds what follows a member's end, the other what had no room; never both.
            self._at += len(packed) - len(decoder.unused_data) - len(decoder.unconsumed_tail)
            self._full = len(plain) == max_bytes and not decoder.eof
            if plain:
                return plain
        return b""


class Readable(Protocol):
    """An answer that is read as it arrives; `farthing.providers.pool.Answer` is one."""

    status: int
    sink: Sink | None

    @property
    def complete(self) -> bool:
        """Whether all of it has been read."""
        ...

    async def next_chunk(self) -> bytes:
        """Return what arrived since the last call, empty at the end."""
        ...

    async def read(self, limit_bytes: int, held: HeldBodies | None = None) -> bytes:
        """Return the rest, counted in `held` until it is whole."""
        ...

    def cancel(self) -> None:
        """Give it up."""
        ...


class DecodedAnswer:
    """An answer that came compressed although it was asked not to, read plain."""

    def __init__(self, answer: Answer, encoding: bytes) -> None:
        """Raise `ProviderMisbehaved` for an encoding that was neither asked for nor is known."""
        name = encoding.strip().lower()
        if name not in _WBITS:
            raise ProviderMisbehaved(
                f"the answer came as '{name.decode('latin-1')}' although identity was asked for",
                hint="the provider, or a proxy before it, ignores accept-encoding",
            )
        self._answer = answer
        self._unpacker = _Unpacker(_WBITS[name], MAX_ANSWER_MEMBERS)
        self._packed_bytes = self._plain_bytes = 0
        self.status = answer.status
        self.sink: Sink | None = None  # taken and not used: what is decoded here is read by `next_chunk` alone

    @property
    def complete(self) -> bool:
        """See `Readable.complete`."""
        return self._answer.complete and self._unpacker.spent

    async def next_chunk(self) -> bytes:
        """See `Readable.next_chunk`; what is returned has at most `PIECE_BYTES`.

        Raises:
            ProviderCut: the compressed data ends early.
            ProviderMisbehaved: it is damaged, or over a bound once decoded.
        """
        unpacker = self._unpacker
        while True:
            if unpacker.spent:
                data = await self._answer.next_chunk()
                if not data:
                    if self._packed_bytes and not unpacker.whole:
                        raise ProviderCut("the compressed answer ended before it was whole", hint="try again")
                    return b""
                self._packed_bytes += len(data)
                unpacker.feed(data)
            else:
                await asyncio.sleep(0)  # nothing else here waits, however much a little of it unpacks to
            plain = self._piece()
            if plain:
                return plain

    async def read(self, limit_bytes: int, held: HeldBodies | None = None) -> bytes:
        """See `Readable.read`."""
        return await read_to_end(self, limit_bytes, held, lambda: _too_large(limit_bytes))

    def cancel(self) -> None:
        """See `Readable.cancel`."""
        self._answer.cancel()

    def _piece(self) -> bytes:
        try:
            plain = self._unpacker.piece(PIECE_BYTES)
        except zlib.error as error:
            raise ProviderMisbehaved(f"the compressed answer is damaged: {error}") from None
        self._plain_bytes += len(plain)
        if self._plain_bytes > _RATIO_COUNTS_BYTES:
            if self._plain_bytes > MAX_STREAM_BYTES:
                raise _too_large(MAX_STREAM_BYTES)
            if self._plain_bytes > MAX_RATIO * self._packed_bytes:
                raise ProviderMisbehaved(
                    f"the answer's {self._packed_bytes} bytes unpack to over {MAX_RATIO} times as many"
                )
        return plain


def _too_large(bound_bytes: int) -> ProviderMisbehaved:
    return ProviderMisbehaved(f"the answer is over the bound of {bound_bytes} bytes once decoded")
