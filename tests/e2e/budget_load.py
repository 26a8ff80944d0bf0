"""Many calls at once against a gateway with budgets, and a provider that keeps account of what it would bill."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from farthing.testing.fake_provider import FakeProvider, in_thread
from farthing.testing.fakes.account import Account, Line, Tariff
from farthing.testing.fakes.script import Script
from farthing.testing.fakes.wire_format import Asked
from farthing.testing.http_client import Heard, post

TOKENS = 20
PROMPT = "say something about the order of these words " * 2
TARIFF = Tariff(input="1", output="4")
PRICES = 'prices:\n  - {model: "openai:fake-model", input: 1, output: 4}\n'


def settings(url: str, more: str) -> str:
    return f"version: 1\nproviders:\n  openai: {{base_url: {url}, credential: env:KEY}}\n{PRICES}{more}\n"


def ask(number: int, *, limit: int | None = TOKENS, stream: bool = False) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": "openai:fake-model",
        "messages": [{"role": "user", "content": f"{PROMPT}{number:06d}"}],
    }
    if limit is not None:
        body["max_tokens"] = limit
    return {**body, "stream": True} if stream else body


@contextmanager
def provider(*, delay_s: float = 0.05, watch: "Watch | None" = None) -> Iterator[FakeProvider]:
    """Run a provider on a thread of its own; every answer has `TOKENS` tokens."""
    script = Script(tokens=(TOKENS, TOKENS), first_output_delay_s=delay_s)
    fake = FakeProvider(script=script, tariffs={"fake-model": TARIFF}, player=watch.begins if watch else None)
    if watch is not None:
        fake.account = watch
    with in_thread(fake):
        yield fake


class Watch(Account):
    """A provider's account that knows when requests came, and how many were under way at once."""

    def __init__(self) -> None:
        super().__init__({"fake-model": TARIFF})
        self.now = self.most = 0
        self.began_s: list[float] = []

    def begins(self, _: Asked) -> None:
        """Count a request that begins; it is answered as the script says."""
        self.now += 1
        self.began_s.append(time.monotonic())
        self.most = max(self.most, self.now)

    def close(self, **ended: Any) -> Line:
        """See `Account.close`; the fake comes here before it reads what its client sends next."""
        self.now -= 1
        return super().close(**ended)


async def calls_at_once(
    port: int, key: str, bodies: list[dict[str, Any]], more: Mapping[str, str] | None = None
) -> Counter[int]:
    """Make all of these calls at the same moment; return how often each status came."""
    headers = {"authorization": f"Bearer {key}", **(more or {})}

    async def one(body: dict[str, Any]) -> Heard:
        return await post(port, "/v1/chat/completions", json.dumps(body).encode(), headers)

    return Counter(heard.status for heard in await asyncio.gather(*map(one, bodies)))
