import asyncio
import threading
from functools import partial

import pytest

from farthing.errors import StoreError
from farthing.storage.offload import ThreadOffload


async def test_work_runs_in_order_on_one_other_thread() -> None:
    offload = ThreadOffload()
    ran: list[tuple[int, int]] = []

    def work(number: int) -> int:
        ran.append((number, threading.get_ident()))
        return number

    results = await asyncio.gather(*(offload.run(partial(work, number)) for number in range(20)))
    await offload.close()
    assert results == list(range(20))
    assert [number for number, _ in ran] == list(range(20))
    assert len({thread for _, thread in ran} - {threading.get_ident()}) == 1


async def test_a_cancelled_wait_does_not_undo_the_work() -> None:
    offload = ThreadOffload()
    gate, done = threading.Event(), threading.Event()
    first = asyncio.create_task(offload.run(gate.wait))
    second = asyncio.create_task(offload.run(done.set))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    gate.set()
    await first
    await offload.close()
    assert done.is_set()


async def test_the_queue_is_bounded() -> None:
    offload = ThreadOffload(max_waiting=2)
    gate = threading.Event()
    tasks = [asyncio.create_task(offload.run(gate.wait)) for _ in range(5)]
    await asyncio.sleep(0)
    assert offload._executor._work_queue.qsize() <= 2
    gate.set()
    assert await asyncio.gather(*tasks) == [True] * 5
    await offload.close()


async def test_what_the_work_raises_arrives() -> None:
    offload = ThreadOffload()
    with pytest.raises(ZeroDivisionError):
        await offload.run(lambda: 1 // 0)
    await offload.close()


async def test_a_closed_offload_takes_nothing_more() -> None:
    offload = ThreadOffload()
    await offload.close()
    await offload.close()
    with pytest.raises(StoreError, match="closed"):
        await offload.run(lambda: 1)
