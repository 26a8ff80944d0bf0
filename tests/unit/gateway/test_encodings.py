import gzip
import zlib
from typing import cast

import pytest

from farthing.errors import ProviderCut, ProviderMisbehaved, RequestTooLarge, UnsupportedEncoding
from farthing.gateway.encodings import DecodedAnswer, decode_request
from farthing.providers.pool import Answer

BODY = b'{"model":"m"}' * 50


@pytest.mark.parametrize(
    ("encoding", "body"),
    [(b"gzip", gzip.compress(BODY)), (b"Deflate", zlib.compress(BODY)), (b"identity", BODY), (b"", BODY)],
)
def test_a_compressed_request_is_read_plain(encoding: bytes, body: bytes) -> None:
    assert decode_request(body, encoding, 10_000) == BODY


@pytest.mark.parametrize(
    ("encoding", "body"),
    [(b"br", b"x"), (b"gzip, gzip", b"x"), (b"gzip", b"not gzip"), (b"gzip", gzip.compress(BODY)[:-9])],
)
def test_what_cannot_be_decoded_is_refused_with_415(encoding: bytes, body: bytes) -> None:
    with pytest.raises(UnsupportedEncoding):
        decode_request(body, encoding, 10_000)


def test_a_bomb_stops_at_the_bound() -> None:
    with pytest.raises(RequestTooLarge, match="1000 bytes"):
        decode_request(gzip.compress(b"0" * 10_000_000), b"gzip", 1000)


class Packed:
    """An answer that arrives in these pieces."""

    status = 200
    sink = None

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)

    @property
    def complete(self) -> bool:
        return not self.pieces

    async def next_chunk(self) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""


def decoded(encoding: bytes, *pieces: bytes) -> DecodedAnswer:
    return DecodedAnswer(cast("Answer", Packed(*pieces)), encoding)


async def test_an_answer_that_is_compressed_against_our_wish_is_decoded_piece_by_piece() -> None:
    packed = gzip.compress(BODY)
    pieces = [packed[i : i + 5] for i in range(0, len(packed), 5)]
    assert await decoded(b"gzip", *pieces).read(10_000) == BODY


async def test_every_member_of_a_gzip_answer_is_read() -> None:
    assert await decoded(b"gzip", gzip.compress(BODY) + gzip.compress(b"more")).read(10_000) == BODY + b"more"


async def test_an_answer_is_bounded_and_damage_is_the_providers() -> None:
    with pytest.raises(ProviderMisbehaved, match="over the bound"):
        await decoded(b"gzip", gzip.compress(b"0" * 100_000)).read(100)
    with pytest.raises(ProviderMisbehaved, match="damaged"):
        await decoded(b"gzip", b"not gzip").read(100)
    with pytest.raises(ProviderMisbehaved, match="'br'"):
        decoded(b"br")
    with pytest.raises(ProviderCut, match="before it was whole"):
        await decoded(b"gzip", gzip.compress(BODY)[:-9]).read(10_000)
