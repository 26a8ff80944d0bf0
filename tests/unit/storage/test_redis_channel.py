"""The channel of a real Redis: who listens hears, and nobody waits for one that is gone."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing

import pytest

from farthing.errors import StoreError
from farthing.events import News
from farthing.gateway.shared_calls import SharedCalls
from farthing.storage.redis.channel import RedisChannel
from farthing.types.calls import Attempt
from farthing.types.live import CallNews, news_of
from tests.contracts.ledger_samples import attempt
from tests.redis_server import RedisServer, running_redis


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


async def heard_by(channel: RedisChannel) -> "tuple[asyncio.Task[bytes], AsyncGenerator[bytes, None]]":
    """Return what will be the first message, when the channel knows of the listener."""
    listening = channel.listen()

    async def first() -> bytes:
        return await anext(listening)

    task = asyncio.create_task(first())
    async with asyncio.timeout(10):
        while await channel.publish(b"") == 0:  # noqa: ASYNC110 - only Redis knows
            await asyncio.sleep(0)
    return task, listening


async def test_who_listens_hears_and_is_counted(redis: RedisServer) -> None:
    one, two = (RedisChannel(redis.url, name="heard") for _ in range(2))
    assert await one.publish(b"to nobody") == 0
    task, listening = await heard_by(two)
    assert await one.publish(b"to somebody") == 1
    assert await task in (b"", b"to somebody")
    async with aclosing(listening):
        pass
    for channel in (one, two):
        await channel.close()


async def test_a_redis_that_is_away_is_told_as_such() -> None:
    channel = RedisChannel("unix:///nowhere/redis.sock")
    with pytest.raises(StoreError, match="Redis cannot be used"):
        await channel.publish(b"x")
    with pytest.raises(StoreError, match="Redis cannot be used"):
        await anext(channel.listen())
    await channel.close()


async def test_other_homes_are_told_of_calls_while_they_listen_and_ones_own_is_not(redis: RedisServer) -> None:
    here, sibling, there = (SharedCalls(RedisChannel(redis.url), home) for home in ("a", "a", "b"))
    news: News[Attempt] = News()
    told: dict[str, list[CallNews]] = {"sibling": [], "there": []}

    async def listen(name: str, shared: SharedCalls) -> None:
        async for calls in shared.elsewhere():
            told[name] += calls

    listening = [asyncio.create_task(listen("sibling", sibling)), asyncio.create_task(listen("there", there))]
    here.start(news)
    async with asyncio.timeout(20):
        number = 0
        while not told["there"]:  # what ends before it is known that somebody listens is told to nobody
            number += 1
            news.publish(attempt(number % 50))
            news.deliver()
            await asyncio.sleep(0.05)
    assert told["there"][0] in [news_of(attempt(one)) for one in range(51)]
    assert told["sibling"] == []
    for task in listening:
        task.cancel()
    await asyncio.wait(listening)
    for shared in (here, sibling, there):
        await shared.close()
    assert here.dropped == 0


async def test_what_a_lost_redis_did_not_take_is_counted() -> None:
    shared, news = SharedCalls(RedisChannel("unix:///nowhere/redis.sock"), "a"), News[Attempt]()
    shared._listened_to = True  # as it was before the Redis went
    shared.start(news)
    news.publish(attempt(1))
    news.deliver()
    async with asyncio.timeout(10):
        while shared.dropped == 0:  # noqa: ASYNC110 - a count, and no event
            await asyncio.sleep(0)
    assert not shared._listened_to
    await shared.close()
