import gzip
import zlib

import pytest

from farthing.errors import ProviderMisbehaved, RequestTooLarge, UnsupportedEncoding
from farthing.gateway.encodings import AnswerDecoder, decode_request

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


def test_an_answer_that_is_compressed_against_our_wish_is_decoded_piece_by_piece() -> None:
    packed = gzip.compress(BODY)
    decoder = AnswerDecoder(b"gzip", 10_000)
    assert b"".join(decoder.feed(packed[i : i + 5]) for i in range(0, len(packed), 5)) == BODY


def test_an_answer_is_bounded_and_damage_is_the_providers() -> None:
    with pytest.raises(ProviderMisbehaved, match="bound"):
        AnswerDecoder(b"gzip", 100).feed(gzip.compress(b"0" * 100_000))
    with pytest.raises(ProviderMisbehaved, match="damaged"):
        AnswerDecoder(b"gzip", 100).feed(b"not gzip")
    with pytest.raises(ProviderMisbehaved, match="'br'"):
        AnswerDecoder(b"br", 100)
