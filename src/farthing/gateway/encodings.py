"""Compressed bodies, both ways, within a bound.

A client's compressed request is decoded before it is read and sent on plain; a provider that compresses although it was
asked not to is decoded for the meter, and the client gets it plain. A bomb stops at the bound.
"""

import zlib

from farthing.errors import ProviderMisbehaved, RequestTooLarge, UnsupportedEncoding

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


class AnswerDecoder:
    """Decodes a provider's answer piece by piece."""

    def __init__(self, encoding: bytes, max_bytes: int) -> None:
        """Raise `ProviderMisbehaved` for an encoding that was neither asked for nor is known."""
        name = encoding.strip().lower()
        if name not in _WBITS:
            raise ProviderMisbehaved(
                f"the answer came as '{name.decode('latin-1')}' although identity was asked for",
                hint="the provider, or a proxy before it, ignores accept-encoding",
            )
        self._decoder = zlib.decompressobj(_WBITS[name])
        self._left = max_bytes

    def feed(self, data: bytes) -> bytes:
        """Return what `data` decodes to."""
        try:
            plain = self._decoder.decompress(data, self._left)
        except zlib.error as error:
            raise ProviderMisbehaved(f"the compressed answer is damaged: {error}") from None
        self._left -= len(plain)
        if self._decoder.unconsumed_tail:
            raise ProviderMisbehaved("the answer is over the bound once decoded")
        return plain
