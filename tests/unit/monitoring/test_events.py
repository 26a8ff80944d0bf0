"""News reaches its readers in order, is bounded, and cannot harm whoever publishes it."""

import asyncio
import logging

import pytest

from farthing.events import BATCH, News


async def test_news_comes_in_order_and_in_batches() -> None:
    news, got = News[int](), list[int]()
    news.subscribe(got.extend)
    for number in range(BATCH + 5):
        news.publish(number)
    assert got == []
    await asyncio.sleep(0)
    assert got == list(range(BATCH + 5))
    news.publish(-1)
    news.deliver()
    assert got[-1] == -1


async def test_a_lonely_event_comes_without_company() -> None:
    news, came = News[int](), asyncio.Event()
    news.subscribe(lambda _: came.set())
    news.publish(1)
    async with asyncio.timeout(5):
        await came.wait()


async def test_without_readers_nothing_is_kept() -> None:
    news, got = News[int](), list[int]()
    news.publish(1)
    end = news.subscribe(got.extend)
    news.publish(2)
    end()
    news.publish(3)
    assert got == [2]
    assert news.dropped == 0


async def test_what_is_beyond_the_bound_is_dropped_and_counted() -> None:
    news, got = News[int](max_waiting=BATCH + 3), list[int]()
    news.subscribe(got.extend)
    for number in range(BATCH + 10):
        news.publish(number)
    news.deliver()
    assert (got, news.dropped) == ([*range(BATCH + 3)], 7)


async def test_a_reader_that_fails_harms_neither_publisher_nor_the_others(caplog: pytest.LogCaptureFixture) -> None:
    news, got = News[int](), list[int]()

    def fail(_: object) -> None:
        raise ValueError("a reader's own mistake")

    news.subscribe(fail)
    news.subscribe(got.extend)
    news.publish(1)
    with caplog.at_level(logging.ERROR):
        news.deliver()
    assert (got, news.failed) == ([1], 1)
    assert "A reader of events failed" in caplog.text
