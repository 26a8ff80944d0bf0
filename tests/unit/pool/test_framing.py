"""How an answer's bytes become an answer, however they arrive."""

import asyncio
import gzip
from collections.abc import Iterable
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farthing.errors import ProviderCut, ProviderMisbehaved
from farthing.providers.pool import Answer, Origin, Pool, PoolLimits, Timeouts
from tests.unit.pool.memory import MemoryConnect
from tests.unit.pool.upstream import CHUNKED, HEAD, OK, Line, always, ask, ask_whole, once, until, upstream

_ORIGIN = Origin("http", "upstream.invalid", 80)
_EVENTS = [b'data: {"delta":"%d"}\n\n' % number for number in range(5)] + [b"data: [DONE]\n\n"]


def _chunks(pieces: Iterable[bytes], extension: bytes = b"") -> bytes:
    return b"".join(b"%x%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces)


_ZIPPED = gzip.compress(b"left as it is")
_WHOLE_ANSWERS = {
    "length": (b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nhello world", 200, b"hello world"),
    "empty": (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 200, b""),
    "no reason": (b"HTTP/1.1 529\r\ncontent-length: 2\r\n\r\nno", 529, b"no"),
    "chunked": (CHUNKED + _chunks(_EVENTS) + b"0\r\n\r\n", 200, b"".join(_EVENTS)),
    "extensions": (CHUNKED + _chunks(_EVENTS, b';a=b;c="d"') + b"0;z\r\n\r\n", 200, b"".join(_EVENTS)),
    "trailers": (CHUNKED + _chunks(_EVENTS) + b"0\r\nx-sum: 1\r\nx-other: 2\r\n\r\n", 200, b"".join(_EVENTS)),
    "continue": (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, 200, b"ok"),
    "early hints": (b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" * 2 + OK, 200, b"ok"),
    "no content": (b"HTTP/1.1 204 No Content\r\nx: y\r\n\r\n", 204, b""),
    "not modified": (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n", 304, b""),
    "gzip": (
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n%b" % (len(_ZIPPED), _ZIPPED),
        200,
        _ZIPPED,
    ),
    "old and kept": (
        b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok",
        200,
        b"ok",
    ),
}
_ENDED_BY_CLOSE = {
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
    "connection: close": b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end",
}


class _Given:
    """A pool over memory with one request on its way."""

    def __init__(self, limits: PoolLimits | None = None) -> None:
        self.connect = MemoryConnect()
        self.pool = Pool(connect=self.connect, limits=limits)

    async def send(self, head: bytes = HEAD % 0) -> "asyncio.Task[Answer]":
        before = self._writes()
        task = asyncio.create_task(self.pool.send(_ORIGIN, head, (), Timeouts()))
        await until(lambda: self._writes() > before)
        return task

    def _writes(self) -> int:
        return sum(len(transport.written) for transport in self.connect.transports)

    def feed(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            self.connect.transports[-1].protocol.data_received(piece)


def _every_byte(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


@pytest.mark.parametrize("name", _WHOLE_ANSWERS)
async def test_answer_in_single_bytes_is_the_same_and_its_connection_is_kept(name: str) -> None:
    raw, status, body = _WHOLE_ANSWERS[name]
    given_ = _Given()
    for _ in range(2):
        sending = await given_.send()
        given_.feed(_every_byte(raw))
        answer = await sending
        assert (answer.status, await answer.read(1000)) == (status, body)
        assert await answer.next_chunk() == b""
        assert all(name not in (b"x-sum", b"x-other", b"link") for name, _ in answer.headers)
    assert len(given_.connect.transports) == 1
    assert given_.pool.stats.idle == 1
    await given_.pool.close()


@pytest.mark.parametrize("name", _WHOLE_ANSWERS)
async def test_answer_split_at_any_place_is_the_same_over_a_socket(name: str, pool: Pool) -> None:
    raw, status, body = _WHOLE_ANSWERS[name]
    place = 0

    async def serve(line: Line) -> None:
        nonlocal place
        while await line.request():
            await line.send(raw[:place])
            await asyncio.sleep(0)  # lets the first part leave on its own where the loop agrees
            await line.send(raw[place:])
            place += 1

    async with upstream(serve) as up:
        for _ in range(len(raw)):
            answer = await ask(pool, up.origin)
            assert (answer.status, await answer.read(1000)) == (status, body)
        assert up.connections == 1


@settings(max_examples=200, deadline=None)
@given(
    bodies=st.lists(st.lists(st.binary(min_size=1, max_size=40), max_size=6), min_size=1, max_size=3),
    trailers=st.booleans(),
    cuts=st.lists(st.integers(0, 600), max_size=30),
)
async def test_arbitrary_splits_never_change_a_body(bodies: list[list[bytes]], trailers: bool, cuts: list[int]) -> None:
    given_ = _Given()
    tail = b"0\r\nx-t: 1\r\n\r\n" if trailers else b"0\r\n\r\n"
    for body in bodies:
        raw = CHUNKED + _chunks(body) + tail
        places = sorted({0, len(raw), *(cut for cut in cuts if cut < len(raw))})
        sending = await given_.send()
        given_.feed(raw[start:end] for start, end in pairwise(places))
        answer = await sending
        assert await answer.read(10_000) == b"".join(body)
        assert answer.headers == [(b"transfer-encoding", b"chunked")]
    assert len(given_.connect.transports) == 1
    await given_.pool.close()


@pytest.mark.parametrize("name", [*_WHOLE_ANSWERS])
async def test_answer_cut_at_any_place_is_never_whole(name: str) -> None:
    raw, _, body = _WHOLE_ANSWERS[name]
    for place in range(len(raw)):
        given_ = _Given()
        sending = await given_.send()
        given_.feed([raw[:place]] if place else [])
        given_.connect.transports[-1].end()
        arrived = b""
        with pytest.raises(ProviderCut):  # noqa: PT012 - it may come with the head or with the body
            answer = await sending
            while chunk := await answer.next_chunk():
                arrived += chunk
        assert body.startswith(arrived)
        assert given_.pool.stats.open == 0


@pytest.mark.parametrize("name", _ENDED_BY_CLOSE)
async def test_answer_without_length_ends_with_its_connection_where_that_was_said(name: str, pool: Pool) -> None:
    async with upstream(once(_ENDED_BY_CLOSE[name])) as up:
        assert await ask_whole(pool, up.origin) == b"until the end"
        assert await ask_whole(pool, up.origin) == b"until the end"
        assert up.connections == 2


async def test_chunks_that_arrive_together_are_read_together() -> None:
    given_ = _Given()
    sending = await given_.send()
    given_.feed([CHUNKED + _chunks(_EVENTS[:3])])
    answer = await sending
    assert await answer.next_chunk() == b"".join(_EVENTS[:3])
    given_.feed([_chunks([piece]) for piece in _EVENTS[3:]])
    assert await answer.next_chunk() == b"".join(_EVENTS[3:])
    given_.feed([b"0\r\n\r\n"])
    assert await answer.next_chunk() == b""
    await given_.pool.close()


async def test_headers_keep_order_duplicates_and_values_and_lose_case() -> None:
    given_ = _Given()
    sending = await given_.send()
    given_.feed([b"HTTP/1.1 429 Slow Down\r\nX-B: Two\r\nx-a: \xe9\r\nX-b: 1\r\nContent-Length: 0\r\n\r\n"])
    answer = await sending
    assert (answer.status, answer.reason) == (429, b"Slow Down")
    assert answer.headers == [(b"x-b", b"Two"), (b"x-a", b"\xe9"), (b"x-b", b"1"), (b"content-length", b"0")]
    await given_.pool.close()


async def test_head_request_has_no_body_whatever_the_length_says(pool: Pool) -> None:
    async with upstream(always(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n")) as up:
        head = b"HEAD / HTTP/1.1\r\nhost: upstream\r\ncontent-length: 0\r\n\r\n"
        answer = await pool.send(up.origin, head, (), Timeouts())
        assert await answer.read(10) == b""
        assert pool.stats.open == 0


_WRONG = {
    "not HTTP": b"<html>hello</html>",
    "TLS alert": b"\x15\x03\x01\x00\x02\x02\x28",
    "bare line feeds": b"HTTP/1.1 200 OK\ncontent-length: 2\n\nok",
    "two lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok!",
    "length and chunks": CHUNKED.replace(b"\r\n\r\n", b"\r\ncontent-length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
    "negative length": b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
    "unknown coding": b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nxx",
    "no end": b"HTTP/1.1 200 OK\r\n\r\nxx",
    "upgrade": b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    "folded header": b"HTTP/1.1 200 OK\r\na: b\r\n c\r\ncontent-length: 0\r\n\r\n",
    "header of 70 KB": b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70_000 + b"\r\ncontent-length: 0\r\n\r\n",
    "header without end": b"HTTP/1.1 200 OK\r\nx: " + b"y" * 300_000,
    "201 headers": b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 201 + b"\r\n",
    "201 headers without end": b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 202,
    "hints without end": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 4000,
}


@pytest.mark.parametrize("name", _WRONG)
async def test_answer_that_is_not_proper_http_is_refused_and_costs_its_connection(name: str, pool: Pool) -> None:
    async def serve(line: Line) -> None:
        await line.request()
        with suppress(ConnectionError):
            await line.send(_WRONG[name])
        await line.client_left()

    async with upstream(serve) as up:
        with pytest.raises(ProviderMisbehaved, match=str(up.origin)):
            await ask(pool, up.origin)
        assert pool.stats.open == 0
        await up.left()


_WRONG_LATER = {
    "bad chunk": b"zz\r\n",
    "trailers without end": b"0\r\n" + b"x: y\r\n" * 90_000,
    "trailer of 300 KB": b"0\r\nx: " + b"y" * 300_000,
    "extension of 300 KB": b"2;" + b"y" * 300_000,
}


@pytest.mark.parametrize("name", _WRONG_LATER)
async def test_wrong_framing_after_good_output_gives_the_output_and_then_the_error(name: str, pool: Pool) -> None:
    async def serve(line: Line) -> None:
        await line.request()
        with suppress(ConnectionError):
            await line.send(CHUNKED + _chunks(_EVENTS) + _WRONG_LATER[name])
        await line.client_left()

    async with upstream(serve) as up:
        answer = await ask(pool, up.origin)
        arrived = b""
        with pytest.raises(ProviderMisbehaved):  # noqa: PT012 - what came before it is looked at
            while True:
                arrived += await answer.next_chunk()
        assert arrived == b"".join(_EVENTS)
        assert pool.stats.open == 0


@pytest.mark.parametrize(
    "extra",
    [OK, OK[:9], b"H", b"garbage", CHUNKED + b"4\r\nevil\r\n0\r\n\r\n"],
    ids=["whole answer", "begun answer", "one byte", "garbage", "chunked answer"],
)
async def test_bytes_behind_a_whole_answer_are_nobodys_and_cost_the_connection(extra: bytes) -> None:
    given_ = _Given()
    sending = await given_.send()
    given_.feed([b"HTTP/1.1 200 Fine\r\nx: y\r\ncontent-length: 3\r\n\r\nyes" + extra])
    answer = await sending
    assert (answer.status, answer.reason, len(answer.headers)) == (200, b"Fine", 2)
    assert await answer.read(100) == b"yes"
    assert given_.pool.stats.open == 0


async def test_body_after_no_content_is_dropped_with_the_connection(pool: Pool) -> None:
    async with upstream(always(b"HTTP/1.1 204 No Content\r\ncontent-length: 4\r\n\r\nevil")) as up:
        assert await ask_whole(pool, up.origin) == b""
        assert await ask_whole(pool, up.origin) == b""
        assert up.connections == 2


async def test_bytes_on_an_idle_connection_drop_it_and_reach_no_answer() -> None:
    given_ = _Given()
    sending = await given_.send()
    given_.feed([OK])
    await (await sending).read(10)
    assert given_.pool.stats.idle == 1
    given_.feed([b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n"])
    assert given_.pool.stats.open == 0
    sending = await given_.send()
    given_.feed([OK])
    assert (await sending).status == 200
    assert len(given_.connect.transports) == 2
    await given_.pool.close()


async def test_body_over_the_readers_limit_is_refused_and_cancelled(pool: Pool) -> None:
    async with upstream(once(b"HTTP/1.1 200 OK\r\ncontent-length: 90000\r\n\r\n" + b"x" * 40_000)) as up:
        answer = await ask(pool, up.origin)
        with pytest.raises(ProviderMisbehaved, match="1000 bytes"):
            await answer.read(1000)
        assert pool.stats.open == 0
