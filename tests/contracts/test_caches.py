"""What every cache that processes share does."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from farthing.clock import SystemClock
from farthing.errors import StoreError
from farthing.storage.cache_protocols import SharedCache
from farthing.storage.memory.cache import MAX_ENTRIES, MemoryCache
from farthing.storage.redis.cache import RedisCache
from tests.redis_server import RedisServer, running_redis


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


@pytest.fixture(params=["memory", "redis"])
async def cache(request: pytest.FixtureRequest) -> AsyncIterator[SharedCache]:
    if request.param == "memory":
        yield MemoryCache(SystemClock())
        return
    found = RedisCache(request.getfixturevalue("redis_server").url, prefix=f"{time.monotonic_ns()}:".encode())
    yield found
    await found.close()


async def test_what_is_kept_is_found_in_the_order_that_was_asked_for(cache: SharedCache) -> None:
    await cache.put({b"a": b"1", b"\x00\xff": b"\x80" * 100_000}, keep_s=60)
    assert await cache.get([b"\x00\xff", b"none", b"a", b"a"], keep_s=60) == [b"\x80" * 100_000, None, b"1", b"1"]
    assert await cache.get([], keep_s=60) == []
    await cache.put({}, keep_s=60)


async def test_what_was_kept_first_stays(cache: SharedCache) -> None:
    await cache.put({b"a": b"1"}, keep_s=60)
    await cache.put({b"a": b"2", b"b": b"3"}, keep_s=60)
    assert await cache.get([b"a", b"b"], keep_s=60) == [b"1", b"3"]


async def test_what_nobody_asks_for_is_forgotten_and_what_is_asked_for_stays(cache: SharedCache) -> None:
    await cache.put({b"a": b"1", b"b": b"2", b"c": b"3"}, keep_s=1)
    await cache.get([b"a"], keep_s=60)
    await cache.put({b"b": b"4"}, keep_s=60)
    await asyncio.sleep(1.1)
    assert await cache.get([b"a", b"b", b"c"], keep_s=60) == [b"1", b"2", None]


async def test_two_that_share_it_keep_one_of_what_both_tell(cache: SharedCache) -> None:
    await asyncio.gather(*(cache.put({b"a": b"%d" % number}, keep_s=60) for number in range(50)))
    found = await asyncio.gather(*(cache.get([b"a"], keep_s=60) for _ in range(50)))
    assert len({one for (one,) in found}) == 1


async def test_memory_keeps_no_more_than_its_bound() -> None:
    cache = MemoryCache(SystemClock())
    await cache.put({b"%d" % number: b"" for number in range(MAX_ENTRIES + 10)}, keep_s=60)
    assert (await cache.get([b"9", b"10"], keep_s=60)) == [None, b""]


async def test_a_redis_that_is_gone_or_frozen_is_an_error_soon() -> None:
    with running_redis() as server:
        cache = RedisCache(server.url)
        await cache.put({b"a": b"1"}, keep_s=60)
        server.freeze()
        began = time.monotonic()
        with pytest.raises(StoreError):
            await cache.get([b"a"], keep_s=60)
        with pytest.raises(StoreError):
            await cache.put({b"b": b"1"}, keep_s=60)
        assert time.monotonic() - began < 2
        server.thaw()
        server.stop()
        with pytest.raises(StoreError):
            await cache.get([b"a"], keep_s=60)
        server.start()
        assert await cache.get([b"b"], keep_s=60) == [None]
        await cache.close()
