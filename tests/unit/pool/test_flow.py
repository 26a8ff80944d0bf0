"""Neither side can make us hold more than a bound, and bodies arrive as they were."""

import asyncio
import random

import pytest

from farthing.errors import ProviderCut
from farthing.providers.pool import Origin, Pool, Timeouts
from tests.unit.pool.memory import MemoryConnect
from tests.unit.pool.upstream import (
    CHUNKED,
    HEAD,
    OK,
    TIMEOUTS,
    Certificates,
    Line,
    always,
    ask,
    ask_whole,
    until,
    upstream,
)

_SIZES = [0, 1, 16_000, 16_384, 17_000, 65_536, 262_000, 262_144, 262_500, 3_000_000]


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_request_bodies_of_every_size_arrive_as_they_were(
    tls: bool,
    pool: Pool,
    certificates: Certificates,
) -> None:
    context = certificates.context("localhost") if tls else None
    async with upstream(always(OK), tls=context, ca_file=certificates.ca_file) as up:
        for size in _SIZES:
            body = random.Random(size).randbytes(size)
            parts = [body[: size // 3], b"", body[size // 3 :]]
            answer = await pool.send(up.origin, HEAD % size, parts, TIMEOUTS)
            assert await answer.read(10) == b"ok"
            assert up.requests[-1] == HEAD % size + body
        assert up.connections == 1


async def test_large_body_waits_in_our_hands_while_the_provider_does_not_read() -> None:
    connect = MemoryConnect()
    pool = Pool(connect=connect)
    body = random.Random(1).randbytes(2_000_000)
    sending = asyncio.create_task(pool.send(Origin("http", "x.invalid", 80), HEAD % 0, (b"",), TIMEOUTS))
    await asyncio.sleep(0)
    (transport,) = connect.transports
    transport.protocol.data_received(OK)
    await sending
    transport.written.clear()
    transport.protocol.pause_writing()
    sending = asyncio.create_task(pool.send(Origin("http", "x.invalid", 80), HEAD % len(body), (body,), TIMEOUTS))
    await asyncio.sleep(0)
    assert transport.written == []
    transport.protocol.resume_writing()
    assert b"".join(transport.written) == HEAD % len(body) + body
    transport.protocol.data_received(OK)
    assert (await sending).status == 200
    assert pool.stats.idle == 1
    await pool.close()


async def test_provider_that_does_not_read_is_not_fed_more_than_a_piece(pool: Pool) -> None:
    go = asyncio.Event()
    body = b"x" * 30_000_000

    async def serve(line: Line) -> None:
        line.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a stream's transport can
        await go.wait()
        line.writer.transport.resume_reading()  # type: ignore[attr-defined]  # likewise
        await line.request()
        await line.send(OK)

    async with upstream(serve) as up:
        sending = asyncio.create_task(ask(pool, up.origin, body))
        await until(lambda: up.connections)
        await asyncio.sleep(0.05)  # the kernel's buffers fill
        (lane,) = pool._lanes.values()
        (connection,) = lane.connections
        assert connection._transport is not None
        assert connection._transport.get_write_buffer_size() <= 262_144 + 65_536
        go.set()
        assert await (await sending).read(10) == b"ok"
        assert len(up.requests[0]) == len(HEAD % len(body)) + len(body)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_answer_that_nobody_reads_stops_the_provider(
    tls: bool,
    pool: Pool,
    certificates: Certificates,
) -> None:
    body = random.Random(2).randbytes(30_000_000)
    sent = asyncio.Event()

    async def serve(line: Line) -> None:
        while await line.request():
            await line.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body))
            for start in range(0, len(body), 65_536):  # TLS takes one large write whole, whatever its buffer says
                await line.send(body[start : start + 65_536])
            sent.set()

    context = certificates.context("localhost") if tls else None
    async with upstream(serve, tls=context, ca_file=certificates.ca_file) as up:
        answer = await ask(pool, up.origin)
        await asyncio.sleep(0.1)  # the kernel's buffers fill
        assert not sent.is_set()
        assert sum(map(len, answer.arrived)) <= 600_000
        assert await answer.read(len(body)) == body
        assert await ask_whole(pool, up.origin) == body
        assert up.connections == 1


async def test_early_refusal_is_delivered_while_the_body_is_being_sent_and_costs_the_connection(pool: Pool) -> None:
    refusal = b"HTTP/1.1 413 Too Large\r\ncontent-length: 9\r\n\r\ntoo large"

    async def serve(line: Line) -> None:
        await line.reader.readuntil(b"\r\n\r\n")
        line.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a stream's transport can
        await line.send(refusal)
        await line.client_left()

    async with upstream(serve) as up:
        answer = await ask(pool, up.origin, b"x" * 30_000_000)
        assert (answer.status, await answer.read(100)) == (413, b"too large")
        assert pool.stats.open == 0


async def test_early_answer_in_pieces_is_whole_and_its_connection_is_not_used_again() -> None:
    connect = MemoryConnect()
    pool = Pool(connect=connect)
    origin = Origin("http", "x.invalid", 80)
    first = asyncio.create_task(pool.send(origin, HEAD % 0, (), TIMEOUTS))
    await asyncio.sleep(0)
    (transport,) = connect.transports
    transport.protocol.data_received(OK)
    await first
    transport.protocol.pause_writing()
    sending = asyncio.create_task(pool.send(origin, HEAD % 900_000, (b"x" * 900_000,), TIMEOUTS))
    await asyncio.sleep(0)
    transport.protocol.data_received(CHUNKED + b"5\r\nearly\r\n")
    answer = await sending
    assert await answer.next_chunk() == b"early"
    transport.protocol.data_received(b"0\r\n\r\n")
    assert await answer.next_chunk() == b""
    assert transport.gone
    assert pool.stats.open == 0
    await pool.close()


async def test_unread_answer_of_a_dead_provider_is_given_out_before_the_cut(pool: Pool) -> None:
    async def serve(line: Line) -> None:
        await line.request()
        await line.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")

    async with upstream(serve) as up:
        answer = await ask(pool, up.origin, timeouts=Timeouts())
        await up.left()
        await until(lambda: not pool.stats.open)
        assert await answer.next_chunk() == b"half"
        with pytest.raises(ProviderCut):
            await answer.next_chunk()
