import asyncio
import gzip
import random
import zlib
from functools import partial
from typing import cast

import pytest

from farthing.errors import Overloaded, ProviderCut, ProviderMisbehaved, RequestTooLarge, UnsupportedEncoding
from farthing.gateway.encodings import MAX_RATIO, MAX_REQUEST_MEMBERS, PIECE_BYTES, DecodedAnswer, decode_request
from farthing.providers.pool import Answer, HeldBodies

gzip_of = partial(gzip.compress, mtime=0)  # or the names of these tests would hold the time
BODY = b'{"model":"m"}' * 50


@pytest.mark.parametrize(
    ("encoding", "body"),
    [(b"gzip", gzip_of(BODY)), (b"Deflate", zlib.compress(BODY)), (b"identity", BODY), (b"", BODY)],
)
def test_a_compressed_request_is_read_plain(encoding: bytes, body: bytes) -> None:
    assert decode_request(body, encoding, 10_000) == BODY


@pytest.mark.parametrize(
    ("encoding", "body"),
    [(b"br", b"x"), (b"gzip, gzip", b"x"), (b"gzip", b"not gzip"), (b"gzip", gzip_of(BODY)[:-9])],
)
def test_what_cannot_be_decoded_is_refused_with_415(encoding: bytes, body: bytes) -> None:
    with pytest.raises(UnsupportedEncoding):
        decode_request(body, encoding, 10_000)


def test_a_bomb_stops_at_the_bound() -> None:
    with pytest.raises(RequestTooLarge, match="1000 bytes"):
        decode_request(gzip_of(b"0" * 10_000_000), b"gzip", 1000)


class Packed:
    """An answer that arrives in these pieces."""

    status = 200
    sink = None

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True

    @property
    def complete(self) -> bool:
        return not self.pieces

    async def next_chunk(self) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""


def decoded(encoding: bytes, *pieces: bytes) -> DecodedAnswer:
    return DecodedAnswer(cast("Answer", Packed(*pieces)), encoding)


async def test_an_answer_that_is_compressed_against_our_wish_is_decoded_piece_by_piece() -> None:
    packed = gzip_of(BODY)
    pieces = [packed[i : i + 5] for i in range(0, len(packed), 5)]
    assert await decoded(b"gzip", *pieces).read(10_000) == BODY


async def test_every_member_of_a_gzip_answer_is_read() -> None:
    assert await decoded(b"gzip", gzip_of(BODY) + gzip_of(b"more")).read(10_000) == BODY + b"more"


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        (b"gzip", gzip_of(BODY[:20]) + gzip_of(BODY[20:])),
        (b"gzip", b"".join(gzip_of(BODY[at : at + 1]) for at in range(len(BODY)))),
        (b"gzip", gzip_of(b"") + gzip_of(BODY) + gzip_of(b"")),
        (b"deflate", zlib.compress(BODY[:20]) + zlib.compress(BODY[20:])),
    ],
    ids=["two", "one for each byte", "empty ones beside it", "deflate"],
)
def test_every_member_of_a_compressed_request_is_read(encoding: bytes, packed: bytes) -> None:
    assert decode_request(packed, encoding, 10_000) == BODY


@pytest.mark.parametrize("rest", [b"trailing garbage", b"\0", gzip_of(b"more")[:-1], gzip_of(b"")[:5]])
def test_a_compressed_request_with_something_behind_it_is_refused_and_not_cut(rest: bytes) -> None:
    with pytest.raises(UnsupportedEncoding, match="is not whole gzip"):
        decode_request(gzip_of(BODY) + rest, b"gzip", 10_000)


def test_the_bound_of_a_request_is_one_for_all_its_members() -> None:
    packed = gzip_of(b"0" * 600)
    assert decode_request(packed, b"gzip", 600) == b"0" * 600
    with pytest.raises(RequestTooLarge):
        decode_request(packed + packed, b"gzip", 1199)
    assert len(decode_request(packed + packed, b"gzip", 1200)) == 1200


def test_members_of_nothing_are_refused_before_they_cost_anything() -> None:
    with pytest.raises(UnsupportedEncoding, match="more members than are taken"):
        decode_request(gzip_of(b"") * (MAX_REQUEST_MEMBERS + 1), b"gzip", 10_000)
    assert decode_request(gzip_of(b"") * MAX_REQUEST_MEMBERS, b"gzip", 10_000) == b""


def test_a_large_request_is_read_whole_whatever_its_steps() -> None:
    body = random.Random(7).randbytes(300_000) + b"0" * 3_000_000
    blocks = b"".join(gzip_of(body[at : at + 65_536]) for at in range(0, len(body), 65_536))
    for packed in (gzip_of(body), blocks):
        assert decode_request(packed, b"gzip", len(body)) == body


async def test_no_more_of_an_answer_is_unpacked_than_is_asked_for() -> None:
    plain = bytes(4 << 20)
    answer = decoded(b"gzip", gzip_of(plain))  # all of it arrives at once
    sizes = []
    while not answer.complete:
        sizes.append(len(await answer.next_chunk()))
    assert sum(sizes) == len(plain)
    assert max(sizes) == PIECE_BYTES
    assert await answer.next_chunk() == b""


async def test_unpacking_a_bomb_leaves_others_their_turn() -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(others())
    assert len(await decoded(b"gzip", gzip_of(bytes(8 << 20))).read(8 << 20)) == 8 << 20
    other.cancel()
    assert turns >= (8 << 20) // PIECE_BYTES - 1


async def test_an_answer_that_unpacks_to_absurdly_much_is_refused_early() -> None:
    answer = decoded(b"gzip", gzip_of(bytes(64 << 20)))
    for _ in range((16 << 20) // PIECE_BYTES):
        assert len(await answer.next_chunk()) == PIECE_BYTES
    with pytest.raises(ProviderMisbehaved, match=f"over {MAX_RATIO} times"):
        await answer.next_chunk()


async def test_an_answer_of_endless_members_of_nothing_ends() -> None:
    empty = gzip_of(b"") * 10_000
    with pytest.raises(ProviderMisbehaved, match="more members than are taken"):
        await decoded(b"gzip", *[empty] * 16).next_chunk()


async def test_a_member_for_each_of_many_events_is_read() -> None:
    events = [b"data: %d\n\n" % number for number in range(5_000)]
    assert await decoded(b"gzip", b"".join(map(gzip_of, events))).read(1 << 20) == b"".join(events)


async def test_what_a_compressed_answer_unpacks_to_is_counted_among_what_is_held() -> None:
    held = HeldBodies(bound_bytes=1 << 20)
    packed = Packed(gzip_of(bytes(4 << 20)))
    with pytest.raises(Overloaded):
        await DecodedAnswer(cast("Answer", packed), b"gzip").read(8 << 20, held)
    assert held.bytes == 0
    assert packed.cancelled


async def test_an_answer_is_bounded_and_damage_is_the_providers() -> None:
    with pytest.raises(ProviderMisbehaved, match="over the bound"):
        await decoded(b"gzip", gzip_of(b"0" * 100_000)).read(100)
    with pytest.raises(ProviderMisbehaved, match="damaged"):
        await decoded(b"gzip", b"not gzip").read(100)
    with pytest.raises(ProviderMisbehaved, match="'br'"):
        decoded(b"br")
    with pytest.raises(ProviderCut, match="before it was whole"):
        await decoded(b"gzip", gzip_of(BODY)[:-9]).read(10_000)
