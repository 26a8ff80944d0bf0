"""Compressed bodies, both ways, within a bound.

A client's compressed request is decoded before it is read and sent on plain; a provider that compresses although it was
asked not to is decoded for the meter, and the client gets it plain. A bomb stops at the bound.
"""

import zlib
from typing import Protocol

from farthing.errors import ProviderCut, ProviderMisbehaved, RequestTooLarge, UnsupportedEncoding
from farthing.providers.pool import Answer, Sink

MAX_STREAM_BYTES = 1 << 30
"""The most that a compressed stream may unpack to."""

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
    decoder = zlib.decompressobj(_WBITS[encoding])
    try:
        plain = decoder.decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise UnsupportedEncoding(f"the body is not whole {encoding.decode()}: {error}", hint="send it plain") from None
    if len(plain) > max_bytes:
        raise RequestTooLarge(f"the decoded body is over the bound of {max_bytes} bytes", hint="send less")
    if not decoder.eof:
        raise UnsupportedEncoding(f"the body is not whole {encoding.decode()}: it ends early", hint="send it plain")
    return plain


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

    async def read(self, limit_bytes: int) -> bytes:
        """Return the rest."""
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
        self._wbits = _WBITS[name]
        self._decoder = zlib.decompressobj(self._wbits)
        self._begun = False
        self._plain_bytes = 0
        self.status = answer.status
        self.sink: Sink | None = None  # taken and not used: what is decoded here is read by `next_chunk` alone

    @property
    def complete(self) -> bool:
        """See `Readable.complete`."""
        return self._answer.complete

    async def next_chunk(self, limit_bytes: int = MAX_STREAM_BYTES) -> bytes:
        """See `Readable.next_chunk`.

        Raises:
            ProviderCut: the compressed data ends early.
            ProviderMisbehaved: it is damaged, or over the bound once decoded.
        """
        while True:
            data = await self._answer.next_chunk()
            if not data:
                if self._begun and not self._decoder.eof:
                    raise ProviderCut("the compressed answer ended before it was whole", hint="try again")
                return b""
            plain = self._decode(data, limit_bytes)
            if plain:
                return plain

    async def read(self, limit_bytes: int) -> bytes:
        """See `Readable.read`."""
        pieces = []
        while piece := await self.next_chunk(limit_bytes):
            pieces.append(piece)
        return b"".join(pieces)

    def cancel(self) -> None:
        """See `Readable.cancel`."""
        self._answer.cancel()

    def _decode(self, data: bytes, limit_bytes: int) -> bytes:
        plain = b""
        while data:
            if self._decoder.eof:  # another member follows (RFC 1952, 2.2)
                self._decoder = zlib.decompressobj(self._wbits)
            self._begun = True
            room = limit_bytes - self._plain_bytes
            try:
                piece = self._decoder.decompress(data, room + 1)
            except zlib.error as error:
                raise ProviderMisbehaved(f"the compressed answer is damaged: {error}") from None
            self._plain_bytes += len(piece)
            if len(piece) > room:
                raise ProviderMisbehaved(f"the answer is over the bound of {limit_bytes} bytes once decoded")
            plain += piece
            data = self._decoder.unused_data
        return plain
