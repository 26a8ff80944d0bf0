"""Limits that several hosts share through a Redis: together they let in what there is, and no more."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.budget_load import ask, calls_at_once, provider, settings
from tests.e2e.serving import said, serving, until
from tests.redis_server import RedisServer, running_redis

CHAT = "/v1/chat/completions"


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


def shared(url: str, redis: RedisServer, rate: str) -> str:
    return settings(url, f"storage: {{redis: '{redis.url}'}}\nlimits:\n  all: {{{rate}}}\n")


@pytest.mark.parametrize("of", ["all", "credentials"])
def test_two_hosts_with_ledgers_of_their_own_let_in_what_there_is(tmp_path: Path, redis: RedisServer, of: str) -> None:
    calls, fitting = 200, 50
    with ExitStack() as stack:
        fake = stack.enter_context(provider())
        text = shared(fake.url, redis, f"requests_per_day: {fitting}")
        if of == "credentials":  # two with a half each, in the place of the limit
            half = f"requests_per_day: {fitting // 2}"
            two = f"credentials: [{{source: env:KEY, {half}}}, {{source: env:OTHER, {half}}}]"
            text = shared(fake.url, redis, "requests_per_day: 1000000").replace("credential: env:KEY", two)
        more = ("--workers", "2")
        homes = [stack.enter_context(serving(tmp_path / name, text, *more, OTHER="sk-other")) for name in ("a", "b")]
        keys = [home.new_key() for home in homes]

        async def crowd() -> Counter[int]:
            bodies = [ask(number) for number in range(calls // 2)]
            each = (calls_at_once(home.port, key, bodies) for home, key in zip(homes, keys, strict=True))
            return sum(await asyncio.gather(*each), Counter())

        seen = asyncio.run(crowd())
        assert set(seen) <= {200, 429}, seen
        assert fitting * 0.95 <= seen[200] <= fitting, seen


def test_without_the_redis_each_goes_on_within_what_it_had_and_comes_back(tmp_path: Path, redis: RedisServer) -> None:
    with provider() as fake:
        text = shared(fake.url, redis, "requests_per_minute: 160")
        with serving(tmp_path, text) as gateway:
            key = gateway.new_key()
            assert gateway.post(CHAT, ask(0), key).status == 200
            redis.freeze()
            seen = Counter(gateway.post(CHAT, ask(number), key).status for number in range(1, 30))
            assert set(seen) == {200, 429}, "a sixteenth of the limit was leased ahead"
            assert 9 <= seen[200] <= 20
            slowest_s = max(_took(lambda: gateway.post(CHAT, ask(99), key)) for _ in range(5))
            assert slowest_s < 3
            assert "limits' store is away" in said(tmp_path)
            redis.thaw()
            until(lambda: gateway.post(CHAT, ask(100), key).status == 200, "it is back")
            until(lambda: "limits' store is back" in said(tmp_path), "it is told")
            redis.stop()
            assert {gateway.post(CHAT, ask(number), key).status for number in range(3)} <= {200, 429}
            redis.start()
            until(lambda: gateway.post(CHAT, ask(101), key).status == 200, "it is back again")


def _took(work: object) -> float:
    assert callable(work)
    began = time.monotonic()
    work()
    return time.monotonic() - began
