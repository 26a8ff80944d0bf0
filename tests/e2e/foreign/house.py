"""A gateway with a fake provider of every format behind it, and what each of them really said.

The fakes make their answers up from dice, count them, and keep an account with tariffs and fractions of their own: what
a client was told and what the ledger has is held against that, and nothing of the product's own sums is used.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import msgspec

from farthing.testing.fake_provider import FakeProvider, in_thread
from farthing.testing.fakes.account import Tariff
from farthing.testing.fakes.script import Reply, ToolCall
from farthing.testing.fakes.wire_format import Event, Job, WireFormat
from tests.e2e.serving import until
from tests.e2e.support import Gateway, running_gateway

TARIFF = Tariff(input="2", output="10", cache_read="0.5", cache_write_5m="2.5", cache_write_1h="4")


@dataclass(frozen=True)
class Kind:
    """One provider of the house: how the gateway knows it, which fake plays it, and its model."""

    kind: str
    fake: str
    model: str
    wire: str


KINDS = {
    "mistral": Kind("mistral", "mistral", "mistral-m", "openai_chat"),
    "deepseek": Kind("deepseek", "deepseek", "deepseek-m", "openai_chat"),
    "openai": Kind("openai", "openai-responses", "gpt-5.6-m", "openai_responses"),
    "claude": Kind("anthropic", "anthropic", "claude-haiku-4-5", "anthropic_messages"),
    "google": Kind("gemini", "gemini", "gemini-2.5-flash", "gemini"),
    "local": Kind("ollama", "ollama", "qwen3:8b", "ollama"),
}


@dataclass
class Told:
    """What a client was told, in no format's words; `None` is what its format has no word for.

    Of usage, the totals are inclusive, whatever the format's own are.
    """

    text: str = ""
    thinking: str = ""
    calls: list[tuple[str, Any]] = field(default_factory=list)
    finish: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached: int | None = None
    reasoning: int | None = None
    call_ids: list[str] = field(default_factory=list)


class _Remembering:
    """A fake's format that keeps the jobs that it turned into bytes."""

    def __init__(self, inner: WireFormat) -> None:
        self._inner = inner
        self.jobs: list[Job] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def stream(self, job: Job) -> Iterator[Event]:
        self.jobs.append(job)
        return self._inner.stream(job)

    def whole(self, job: Job) -> bytes:
        self.jobs.append(job)
        return self._inner.whole(job)


class House:
    """The gateway, a key, and the fakes by name."""

    def __init__(self, gateway: Gateway, key: str, fakes: dict[str, FakeProvider], jobs: dict[str, list[Job]]) -> None:
        self.gateway = gateway
        self.key = key
        self.fakes = fakes
        self._jobs = jobs

    @property
    def url(self) -> str:
        return self.gateway.url

    def model(self, provider: str) -> str:
        """Return the name under which a client asks for a provider's model."""
        return f"{provider}:{KINDS[provider].model}"

    def next(self, provider: str, *replies: Reply) -> None:
        self.fakes[provider].next(*replies)

    def bodies(self, provider: str) -> list[bytes]:
        """Return what a provider was posted; lists of models, which the gateway asks for by itself, are not."""
        return [request.body for request in list(self.fakes[provider].requests) if request.method == "POST"]

    def sent(self, provider: str) -> Any:
        """Return the body that a provider was posted last."""
        return msgspec.json.decode(self.bodies(provider)[-1])

    def said(self, provider: str) -> Told:
        """Return what a provider said last."""
        job = self._jobs[provider][-1]
        answer, usage = job.answer, job.usage
        return Told(
            text="".join(answer.texts[0]),
            thinking="".join(answer.reasoning),
            calls=[(name, msgspec.json.decode("".join(pieces) or "{}")) for name, pieces in answer.tools],
            finish=answer.stop,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cached=usage.cache_read_input_tokens,
            reasoning=usage.reasoning_output_tokens,
        )

    def check_ledger(self) -> int:
        """Hold the ledger against every provider's account, line for line; return the number of lines."""
        count = 0
        attempts = [attempt for attempt in self.gateway.attempts() if attempt.opening.operation != "count_tokens"]
        for provider, fake in self.fakes.items():
            mine = [attempt for attempt in attempts if attempt.opening.provider == provider]
            until(lambda fake=fake, mine=mine: len(fake.account.lines) >= len(mine), f"{provider}'s account is behind")
            lines = fake.account.lines
            assert len(mine) == len(lines), provider
            for attempt, line in zip(mine, lines, strict=True):
                where = f"{provider} {line.request_id} {attempt.opening.call_id}"
                count += 1
                if line.ended == "broken":
                    assert attempt.outcome != "ok", where
                    continue  # what nobody was told is estimated
                assert attempt.cost_nanousd == line.nanousd, where
                if line.ended == "answered":
                    told = (attempt.usage.input_tokens, attempt.usage.output_tokens)
                    assert told == (line.usage.input_tokens, line.usage.output_tokens), where
                    assert attempt.usage.cache_read_input_tokens == line.usage.cache_read_input_tokens, where
                    assert attempt.cost_basis == "reported", where
        self.gateway.verify()
        return count


@contextlib.contextmanager
def open_house(home: Path, more: str = "") -> Iterator[House]:
    """Run the house until the block ends; `more` is added to the settings."""
    fakes = {
        name: FakeProvider(kind.fake, models=(kind.model,), tariffs={kind.model: TARIFF})
        for name, kind in KINDS.items()
    }
    jobs: dict[str, list[Job]] = {}
    for name, fake in fakes.items():
        remembering = _Remembering(fake.format)
        fake.format, jobs[name] = cast("WireFormat", remembering), remembering.jobs
    with in_thread(*fakes.values()):
        rows = [
            f"  {name}: {{kind: {kind.kind}, base_url: {fakes[name].url}, credential: env:K}}"
            for name, kind in KINDS.items()
        ]
        cached = ", ".join(f"{name}: {price}" for name, price in _prices().items())
        prices = [f'  - {{model: "{name}:*", {cached}}}' for name in KINDS]
        settings = "\n".join(("providers:", *rows, "prices:", *prices, more, ""))
        with running_gateway(home, settings, K="sk-real") as gateway:
            yield House(gateway, gateway.new_key(), fakes, jobs)


def _prices() -> dict[str, str]:
    found = msgspec.to_builtins(TARIFF)
    return {name: found[name] for name in ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")}


WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "array", "items": {"type": "integer"}}},
    "required": ["city"],
}
CALLS = (ToolCall("weather", '{"city":"Zürich","days":[1,2]}'), ToolCall("weather", '{"city":"Bern"}'))
REPLIES = {
    "text": Reply(text='Sunny: é ☃ 😀\nand "warm".', tools=(), reasoning_tokens=0),
    "thinking": Reply(text="It is sunny.", tools=(), reasoning_tokens=14),
    "tools": Reply(text="Let me look.", tools=CALLS, reasoning_tokens=0),
    "thinking tools": Reply(text="", tools=CALLS[:1], reasoning_tokens=9),
    "length": Reply(tokens=80, tools=(), reasoning_tokens=0),
}
"""What a provider says in each situation."""
SHORT_TOKENS = 12


@dataclass(frozen=True)
class Ask:
    """One question to one model in one situation."""

    model: str
    situation: str
    prompt: str = "What is the weather in Zürich and Bern?"

    @property
    def tools(self) -> bool:
        return "tools" in self.situation

    @property
    def thinks(self) -> bool:
        return "thinking" in self.situation

    @property
    def max_tokens(self) -> int:
        return SHORT_TOKENS if self.situation == "length" else 3_000
