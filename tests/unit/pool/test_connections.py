"""Which connection a request gets, how many there may be, and what a cut or a cancel leaves behind."""

import asyncio
import gc
import random

import pytest

from farthing.errors import Draining, ProviderBusy, ProviderCut, ProviderUnreachable
from farthing.providers.pool import Answer, Origin, Pool, PoolLimits, PoolStats, nothing_sent
from farthing.providers.pool.connection import Connection
from tests.unit.pool.memory import MemoryConnect
from tests.unit.pool.upstream import CHUNKED, HEAD, OK, TIMEOUTS, Line, always, ask, ask_whole, once, until, upstream

_ORIGIN = Origin("http", "upstream.invalid", 80)


async def _turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_requests_one_after_the_other_share_a_connection(pool: Pool) -> None:
    async with upstream(always(OK)) as up:
        for number in range(5):
            assert await ask_whole(pool, up.origin, b"%d" % number) == b"ok"
        assert up.connections == 1
        assert [request[-1:] for request in up.requests] == [b"0", b"1", b"2", b"3", b"4"]
        assert pool.stats == PoolStats(open=1, idle=1, in_use=0, waiting=0)


async def test_connection_serves_again_while_its_last_answer_is_still_unread(pool: Pool) -> None:
    async with upstream(always(OK)) as up:
        first, second = await ask(pool, up.origin), await ask(pool, up.origin)
        assert await second.read(10) == b"ok"
        assert await first.read(10) == b"ok"
        assert up.connections == 1


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok", OK.replace(b"/1.1", b"/1.0")],
    ids=["said", "HTTP/1.0"],
)
async def test_connection_is_not_kept_where_the_provider_does_not_keep_it(answer: bytes, pool: Pool) -> None:
    async with upstream(once(answer)) as up:
        assert await ask_whole(pool, up.origin) == b"ok"
        assert pool.stats.open == 0
        assert await ask_whole(pool, up.origin) == b"ok"
        assert up.connections == 2


async def test_connection_that_the_provider_closed_while_idle_is_passed_over(pool: Pool) -> None:
    async with upstream(once(OK)) as up:
        assert await ask_whole(pool, up.origin) == b"ok"
        await up.left()
        await until(lambda: not pool.stats.open)
        assert await ask_whole(pool, up.origin) == b"ok"
        assert len(up.requests) == 2


async def test_connection_closed_after_the_request_was_written_is_reported_and_never_sent_again(pool: Pool) -> None:
    async def serve(line: Line) -> None:
        await line.request()
        await line.send(OK)
        await line.request()

    async with upstream(serve) as up:
        await ask_whole(pool, up.origin)
        with pytest.raises(ProviderCut, match="before it answered") as caught:
            await ask(pool, up.origin)
        assert not nothing_sent(caught.value)
        assert "billed" in str(caught.value)
        assert len(up.requests) == 2
        assert pool.stats.open == 0


async def test_reset_in_the_middle_of_an_answer_is_a_cut_after_what_arrived(pool: Pool) -> None:
    go = asyncio.Event()

    async def serve(line: Line) -> None:
        await line.request()
        await line.send(CHUNKED + b"5\r\nhello\r\n")
        await go.wait()
        line.writer.transport.abort()

    async with upstream(serve) as up:
        answer = await ask(pool, up.origin)
        assert await answer.next_chunk() == b"hello"
        go.set()
        with pytest.raises(ProviderCut, match="in the middle"):
            await answer.next_chunk()


async def test_last_used_connection_is_used_first_and_old_ones_are_dropped() -> None:
    connect = MemoryConnect()
    pool = Pool(connect=connect, limits=PoolLimits(keep_alive_s=0.1))
    sending = [asyncio.create_task(pool.send(_ORIGIN, HEAD % 0, (), TIMEOUTS)) for _ in range(2)]
    await _turns()
    first, second = connect.transports
    first.protocol.data_received(OK)
    second.protocol.data_received(OK)
    await asyncio.gather(*sending)
    again = asyncio.create_task(pool.send(_ORIGIN, HEAD % 0, (), TIMEOUTS))
    await _turns()
    assert (len(first.written), len(second.written)) == (1, 2)
    second.protocol.data_received(OK)
    await again
    await until(lambda: not pool.stats.open)
    assert first.gone
    assert second.gone
    await pool.close()


@pytest.mark.parametrize(("announced", "kept"), [(b"timeout=5, max=100", 4.0), (b"timeout=600", 55.0), (b"x", 55.0)])
async def test_idle_time_that_the_provider_announces_is_undercut(announced: bytes, kept: float) -> None:
    connect = MemoryConnect()
    pool = Pool(connect=connect)
    sending = asyncio.create_task(pool.send(_ORIGIN, HEAD % 0, (), TIMEOUTS))
    await _turns()
    connect.transports[0].protocol.data_received(
        b"HTTP/1.1 200 OK\r\nKeep-Alive: " + announced + b"\r\ncontent-length: 0\r\n\r\n"
    )
    await sending
    (lane,) = pool._lanes.values()
    assert lane.idle[0].keep_alive_s == kept
    await pool.close()


async def test_over_the_bound_requests_wait_their_turn_and_then_are_refused() -> None:
    connect = MemoryConnect()
    pool = Pool(connect=connect, limits=PoolLimits(max_connections=1, max_waiting=2))
    order: list[int] = []

    async def one(number: int) -> None:
        await pool.send(_ORIGIN, HEAD % 0, (), TIMEOUTS)
        order.append(number)

    tasks = [asyncio.create_task(one(number)) for number in range(3)]
    await _turns()
    assert pool.stats == PoolStats(open=1, idle=0, in_use=1, waiting=2)
    with pytest.raises(ProviderBusy, match=r"1 connections .* 2 requests wait") as caught:
        await one(3)
    assert nothing_sent(caught.value)
    assert caught.value.retry_after_s == 1
    for _ in range(3):
        connect.transports[0].protocol.data_received(OK)
        await _turns()
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2]
    assert len(connect.transports) == 1
    await pool.close()


async def test_waiting_ends_in_time() -> None:
    pool = Pool(connect=MemoryConnect(), limits=PoolLimits(max_connections=1, wait_s=0.01))
    holder = asyncio.create_task(pool.send(_ORIGIN, HEAD % 0, (), TIMEOUTS))
    await _turns()
    with pytest.raises(ProviderBusy, match=r"stayed taken for 0\.01 s"):
        await pool.send(_ORIGIN, HEAD % 0, (), TIMEOUTS)
    assert pool.stats == PoolStats(open=1, idle=0, in_use=1, waiting=0)
    await pool.close()
    with pytest.raises(ProviderCut):
        await holder


async def test_cancelled_waiter_leaves_no_trace_even_when_it_was_served_in_the_same_moment() -> None:
    connect = MemoryConnect()
    pool = Pool(connect=connect, limits=PoolLimits(max_connections=1))
    holder = asyncio.create_task(pool.send(_ORIGIN, HEAD % 0, (), TIMEOUTS))
    await _turns()
    early, late, last = (asyncio.create_task(pool.send(_ORIGIN, HEAD % 0, (), TIMEOUTS)) for _ in range(3))
    await _turns()
    early.cancel()
    await _turns()
    assert pool.stats.waiting == 2
    connect.transports[0].protocol.data_received(OK)  # the connection goes to `late`
    late.cancel()  # which is gone before it can use it
    await _turns()
    assert len(connect.transports[0].written) == 2
    connect.transports[0].protocol.data_received(OK)
    assert (await last).status == 200
    await holder
    assert pool.stats == PoolStats(open=1, idle=1, in_use=0, waiting=0)
    await pool.close()


async def test_waiter_whose_connection_dies_on_the_way_to_it_opens_another() -> None:
    connect = MemoryConnect()
    pool = Pool(connect=connect, limits=PoolLimits(max_connections=1))
    holder = asyncio.create_task(pool.send(_ORIGIN, HEAD % 0, (), TIMEOUTS))
    await _turns()
    waiting = asyncio.create_task(pool.send(_ORIGIN, HEAD % 0, (), TIMEOUTS))
    await _turns()
    connect.transports[0].protocol.data_received(OK)
    connect.transports[0].end()
    await _turns()
    assert len(connect.transports) == 2
    connect.transports[1].protocol.data_received(OK)
    assert (await waiting).status == 200
    await holder
    assert pool.stats == PoolStats(open=1, idle=1, in_use=0, waiting=0)
    await pool.close()


async def test_slot_of_a_cancelled_answer_goes_to_the_first_who_waits() -> None:
    connect = MemoryConnect()
    pool = Pool(connect=connect, limits=PoolLimits(max_connections=1))
    holder = asyncio.create_task(pool.send(_ORIGIN, HEAD % 0, (), TIMEOUTS))
    await _turns()
    waiting = asyncio.create_task(pool.send(_ORIGIN, HEAD % 0, (), TIMEOUTS))
    await _turns()
    holder.cancel()
    await _turns()
    assert connect.transports[0].gone
    connect.transports[1].protocol.data_received(OK)
    assert (await waiting).status == 200
    await pool.close()


async def test_failed_connect_gives_its_slot_on() -> None:
    class FailsOnce(MemoryConnect):
        failed = False

    connect = FailsOnce()
    go = asyncio.Event()

    async def connect_or_fail(*arguments: object) -> object:
        if not connect.failed:
            connect.failed = True
            await go.wait()
            raise ConnectionRefusedError
        return await connect(*arguments)  # type: ignore[arg-type]  # passed through as they came

    pool = Pool(connect=connect_or_fail, limits=PoolLimits(max_connections=1))  # type: ignore[arg-type]  # as above
    failing = asyncio.create_task(pool.send(_ORIGIN, HEAD % 0, (), TIMEOUTS))
    await _turns()
    waiting = asyncio.create_task(pool.send(_ORIGIN, HEAD % 0, (), TIMEOUTS))
    await _turns()
    go.set()
    with pytest.raises(ProviderUnreachable, match="refused"):
        await failing
    await _turns()
    connect.transports[0].protocol.data_received(OK)
    assert (await waiting).status == 200
    await pool.close()


async def test_cancelling_send_before_the_head_closes_the_connection_at_once(pool: Pool) -> None:
    asked = asyncio.Event()

    async def serve(line: Line) -> None:
        await line.request()
        asked.set()
        await line.client_left()

    async with upstream(serve) as up:
        sending = asyncio.create_task(ask(pool, up.origin))
        await asked.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert pool.stats.open == 0
        await up.left()


async def test_cancelling_an_answer_wakes_its_reader_and_twice_changes_nothing(pool: Pool) -> None:
    async def serve(line: Line) -> None:
        await line.request()
        await line.send(CHUNKED + b"5\r\nhello\r\n")
        await line.client_left()

    async with upstream(serve) as up:
        answer = await ask(pool, up.origin)
        assert await answer.next_chunk() == b"hello"
        reading = asyncio.create_task(answer.next_chunk())
        await _turns(1)
        answer.cancel()
        answer.cancel()
        assert pool.stats.open == 0
        with pytest.raises(ProviderCut, match="cancelled on this side"):
            await reading
        await up.left()


async def test_cancelling_a_whole_answer_keeps_connection_and_bytes(pool: Pool) -> None:
    async with upstream(always(OK)) as up:
        answer = await ask(pool, up.origin)
        answer.cancel()
        assert await answer.read(10) == b"ok"
        assert pool.stats.idle == 1


async def test_closing_the_pool_cuts_answers_refuses_waiters_and_takes_nothing_more() -> None:
    pool = Pool(limits=PoolLimits(max_connections=1))

    async def serve(line: Line) -> None:
        await line.request()
        await line.send(CHUNKED)
        await line.client_left()

    async with upstream(serve) as up:
        answer = await ask(pool, up.origin)
        waiting = asyncio.create_task(ask(pool, up.origin))
        await _turns(1)
        await pool.close()
        with pytest.raises(ProviderCut, match="stopping"):
            await answer.next_chunk()
        with pytest.raises(Draining) as caught:
            await waiting
        assert nothing_sent(caught.value)
        with pytest.raises(Draining):
            await ask(pool, up.origin)
        assert pool.stats == PoolStats(open=0, idle=0, in_use=0, waiting=0)
        await up.left()


async def test_thousand_requests_with_random_cancels_leave_nothing_behind() -> None:
    before = _connections()  # a simulated crash drops its connections without a goodbye
    await _storm()
    assert _connections() <= before


def _connections() -> int:
    gc.collect()
    return sum(isinstance(one, Connection) for one in gc.get_objects())


async def _storm() -> None:
    chance = random.Random(20261120)
    pool = Pool(limits=PoolLimits(max_connections=8, max_waiting=64))
    stream = CHUNKED + b"4\r\ntick\r\n" * 20

    async def serve(line: Line) -> None:
        while request := await line.request():
            match request[-1:]:
                case b"0":
                    return
                case b"1":
                    await line.send(stream)
                    return
                case b"2" | b"3":
                    await line.send(stream)
                    await line.send(b"0\r\n\r\n")
                case _:
                    await line.send(OK)

    async def one(number: int) -> int:
        answer: Answer | None = None
        try:
            answer = await ask(pool, up.origin, b"%d" % number)
            return len(await answer.read(1000))
        except (ProviderCut, ProviderBusy):
            return 0
        finally:
            if answer is not None:
                answer.cancel()

    async with upstream(serve) as up:
        for _ in range(20):
            tasks = [asyncio.create_task(one(chance.randrange(10))) for _ in range(50)]
            for task in tasks:
                if chance.random() < 0.4:
                    asyncio.get_running_loop().call_later(chance.random() * 0.02, task.cancel)
            await asyncio.wait(tasks)
            assert pool.stats.in_use == 0
            assert pool.stats.waiting == 0
            assert pool.stats.open <= 8
            served = [task.result() for task in tasks if not task.cancelled()]
            assert set(served) <= {0, 2, 80}
        await pool.close()
        await up.left()
        assert pool._timer is None
        assert all(not lane.connections and lane.slots_taken == 0 for lane in pool._lanes.values())
