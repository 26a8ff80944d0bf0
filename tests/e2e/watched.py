"""A provider that knows what each key had under way, and crowds of calls whose answers are counted."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from farthing.testing.fake_provider import FakeProvider, in_thread
from farthing.testing.fakes.http_server import Exchange
from farthing.testing.fakes.script import Script
from farthing.testing.http_client import Heard, post
from tests.e2e.budget_load import TARIFF, TOKENS, ask
from tests.e2e.support import Gateway

CHAT = "/v1/chat/completions"


class Watched(FakeProvider):
    """A provider that knows which keys were used, and how many calls each had under way at most."""

    def __init__(self, delay_s: float = 0.05) -> None:
        script = Script(tokens=(TOKENS, TOKENS), first_output_delay_s=delay_s)
        super().__init__(script=script, tariffs={"fake-model": TARIFF})
        self.under_way: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.served: Counter[str] = Counter()

    async def _answer(self, exchange: Exchange, *more: Any) -> None:
        key = dict(exchange.request.headers)["authorization"].removeprefix("Bearer ")
        self.served[key] += 1
        self.under_way[key] += 1
        self.most[key] = max(self.most[key], self.under_way[key])
        try:
            await super()._answer(exchange, *more)
        finally:
            self.under_way[key] -= 1


@contextmanager
def watched(delay_s: float = 0.05) -> Iterator[Watched]:
    fake = Watched(delay_s)
    with in_thread(fake):
        yield fake


def crowd(gateway: Gateway, key: str, calls: int, provider: str = "openai") -> list[Heard]:
    headers = {"authorization": f"Bearer {key}"}

    async def run() -> list[Heard]:
        bodies = [json.dumps(ask(number) | {"model": f"{provider}:fake-model"}).encode() for number in range(calls)]
        return await asyncio.gather(*(post(gateway.port, CHAT, body, headers) for body in bodies))

    return asyncio.run(run())


def usage(heard: list[Heard]) -> list[tuple[int, int]]:
    """Return the tokens that were read and written by each call that was let in."""
    told = [json.loads(one.body)["usage"] for one in heard if one.status == 200]
    return [(one["prompt_tokens"], one["completion_tokens"]) for one in told]
