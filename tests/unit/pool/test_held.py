"""Answers that are read whole are bounded together, not only each."""

import asyncio

import pytest

from farthing.errors import Overloaded
from farthing.providers.pool import HeldBodies, Pool
from farthing.providers.pool.held import UNCOUNTED_BYTES
from tests.unit.pool.upstream import Line, ask, until, upstream

MB = 1 << 20


def unfinished(size: int) -> bytes:
    """An answer that lacks one byte."""
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (size + 1) + bytes(size)


async def test_the_answer_that_is_too_much_ends_and_gives_back_what_it_held(pool: Pool) -> None:
    end, held = asyncio.Event(), HeldBodies(bound_bytes=11 * MB // 2)

    async def serve(line: Line) -> None:
        await line.request()
        await line.send(unfinished(3 * MB))
        await end.wait()
        await line.send(b"x")

    async with upstream(serve) as up:
        first, second = [await ask(pool, up.origin) for _ in range(2)]
        reading = [asyncio.create_task(one.read(8 * MB, held)) for one in (first, second)]
        await until(lambda: held.bytes >= 4 * MB)  # of each, all but what is not counted
        third = await ask(pool, up.origin)
        with pytest.raises(Overloaded, match=f"{11 * MB // 2} is the bound.*ask for a stream"):
            await third.read(8 * MB, held)
        assert 4 * MB <= held.bytes <= 5 * MB
        end.set()
        assert [len(await one) for one in reading] == [3 * MB + 1] * 2
        assert held.bytes == 0


async def test_a_small_answer_is_read_however_much_others_hold(pool: Pool) -> None:
    full = HeldBodies(bound_bytes=MB)
    full.add(MB)

    async def serve(line: Line) -> None:
        await line.request()
        for piece in (unfinished(UNCOUNTED_BYTES - 1), b"x"):
            await line.send(piece)

    async with upstream(serve) as up:
        answer = await ask(pool, up.origin)
        assert len(await answer.read(8 * MB, full)) == UNCOUNTED_BYTES
    assert full.bytes == MB


async def test_a_reader_that_leaves_gives_back_what_it_held(pool: Pool) -> None:
    held = HeldBodies()

    async def serve(line: Line) -> None:
        await line.request()
        await line.send(unfinished(3 * MB))
        await line.client_left()

    async with upstream(serve) as up:
        answer = await ask(pool, up.origin)
        reading = asyncio.create_task(answer.read(8 * MB, held))
        await until(lambda: held.bytes > MB)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        answer.cancel()
    assert held.bytes == 0
