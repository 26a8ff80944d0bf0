"""Four times run, each with its own words; one timer sees to all of them."""

import asyncio
import socket

import pytest

from farthing.errors import ProviderTimeout
from farthing.providers.pool import Origin, Pool, Timeouts, nothing_sent
from tests.unit.pool.upstream import CHUNKED, OK, Certificates, Line, ask, until, upstream


async def _silent(line: Line) -> None:
    await line.client_left()


async def test_no_answer_ends_as_first_byte_timeout(pool: Pool) -> None:
    async with upstream(_silent) as up:
        with pytest.raises(ProviderTimeout, match=r"0\.05 s \(first byte timeout\)") as caught:
            await ask(pool, up.origin, timeouts=Timeouts(first_byte_s=0.05))
        assert not nothing_sent(caught.value)
        assert pool.stats.open == 0
        await up.left()


async def test_head_that_drips_does_not_outlast_the_first_byte_timeout(pool: Pool) -> None:
    async def serve(line: Line) -> None:
        await line.send(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n")
        while True:
            await line.send(b"x: y\r\n")
            await asyncio.sleep(0.05)

    async with upstream(serve) as up:
        with pytest.raises(ProviderTimeout, match="first byte timeout"):
            await ask(pool, up.origin, timeouts=Timeouts(first_byte_s=0.1))


async def test_silence_in_the_body_ends_as_idle_timeout_after_what_arrived(pool: Pool) -> None:
    async def serve(line: Line) -> None:
        await line.request()
        await line.send(CHUNKED + b"5\r\nhello\r\n")
        await line.client_left()

    async with upstream(serve) as up:
        answer = await ask(pool, up.origin, timeouts=Timeouts(idle_s=0.05))
        assert await answer.next_chunk() == b"hello"
        with pytest.raises(ProviderTimeout, match="idle timeout"):
            await answer.next_chunk()
        await up.left()


async def test_slow_drip_does_not_outlast_the_total_timeout_but_is_not_idle(pool: Pool) -> None:
    async def serve(line: Line) -> None:
        await line.request()
        await line.send(CHUNKED)
        while True:
            await line.send(b"1\r\nx\r\n")
            await asyncio.sleep(0.02)

    async with upstream(serve) as up:
        answer = await ask(pool, up.origin, timeouts=Timeouts(idle_s=0.3, total_s=1))
        with pytest.raises(ProviderTimeout, match="total timeout"):
            await answer.read(10_000)


async def test_reader_that_is_slow_itself_does_not_run_into_the_idle_timeout(pool: Pool) -> None:
    body = b"x" * 16_000_000

    async def serve(line: Line) -> None:
        await line.request()
        await line.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))

    async with upstream(serve) as up:
        answer = await ask(pool, up.origin, timeouts=Timeouts(idle_s=0.05))
        await asyncio.sleep(0.8)  # three sweeps pass with the reading paused
        size = 0
        while chunk := await answer.next_chunk():
            size += len(chunk)
        assert size == len(body)


async def test_tls_handshake_that_hangs_ends_as_connect_timeout_and_nothing_was_sent(
    pool: Pool, certificates: Certificates
) -> None:
    async with upstream(_silent) as up:
        origin = Origin("https", "localhost", up.origin.port, certificates.ca_file)
        with pytest.raises(ProviderTimeout, match="connect timeout") as caught:
            await ask(pool, origin, timeouts=Timeouts(connect_s=0.05))
        assert nothing_sent(caught.value)
        assert pool.stats.open == 0
        await up.left()


async def test_cancel_while_connecting_leaves_no_connection(pool: Pool, certificates: Certificates) -> None:
    async with upstream(_silent) as up:
        origin = Origin("https", "localhost", up.origin.port, certificates.ca_file)
        sending = asyncio.create_task(ask(pool, origin))
        await until(lambda: up.connections)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert pool.stats.open == 0
        await up.left()


async def test_address_that_takes_no_connections_ends_as_connect_timeout(pool: Pool) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        try:
            for filler in fillers:  # fills the backlog, so that the kernel drops what comes after
                filler.setblocking(False)
                filler.connect_ex(address)
            with pytest.raises(ProviderTimeout, match="connect timeout"):
                await ask(pool, Origin("http", *address), timeouts=Timeouts(connect_s=0.1))
        finally:
            for filler in fillers:
                filler.close()


async def test_first_byte_time_is_told_on_the_loops_clock(pool: Pool) -> None:
    loop = asyncio.get_running_loop()
    go = asyncio.Event()

    async def serve(line: Line) -> None:
        await line.request()
        await go.wait()
        await line.send(OK)

    async with upstream(serve) as up:
        before = loop.time()
        sending = asyncio.create_task(ask(pool, up.origin))
        await asyncio.sleep(0.05)
        go.set()
        answer = await sending
        assert before + 0.04 <= answer.received_at <= loop.time()
