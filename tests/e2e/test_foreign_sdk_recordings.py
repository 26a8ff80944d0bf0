"""The official SDKs, answered by recordings of providers that speak other formats.

What an SDK parsed is compared with what the recording says, read by code that shares nothing with the product, and the
ledger's costs with sums over the recorded counts.
"""

import dataclasses
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.e2e.foreign import anthropic_clients, google_clients, ollama_clients, openai_clients
from tests.e2e.foreign.house import Ask, Told
from tests.e2e.foreign.recorded import PROVIDERS, chosen, cost_nanousd, told_in
from tests.e2e.recordings.exchanges import Exchange, load
from tests.e2e.recordings.replay import Replay, running_replay
from tests.e2e.support import Gateway, request, running_gateway

RECORDINGS = os.environ.get("FARTHING_RECORDINGS", "")
pytestmark = [
    pytest.mark.recordings,
    pytest.mark.skipif(not RECORDINGS, reason="no recordings: set FARTHING_RECORDINGS to their folder"),
]
LEAST_PLAYED = 32
"""Of 36 to 59 for each client; fewer means that the test quietly lost some."""
MODEL = "m"
RESPONSES_MODEL = "gpt-5.6-m"
PRICES = {"input": 2_000, "output": 10_000, "cache_read": 500, "cache_write_5m": 2_500, "cache_write_1h": 4_000}
"""Nanodollars a token: twice as many dollars for a million of them as the settings say, in thousandths."""
BASES = {"anthropic": "", "gemini": "", "ollama": "", "openai": "/v1", "groq": "/openai/v1", "mistral": "/v1"}
Caller = Callable[[str, str, Ask], Told]
CALLERS: dict[str, tuple[str, Caller, Caller]] = {
    "chat": ("openai_chat", openai_clients.chat_whole, openai_clients.chat_streamed),
    "responses": ("openai_responses", openai_clients.responses_whole, openai_clients.responses_streamed),
    "anthropic": ("anthropic_messages", anthropic_clients.whole, anthropic_clients.streamed),
    "google": ("gemini", google_clients.whole, google_clients.streamed),
    "ollama": ("ollama", ollama_clients.whole, ollama_clients.streamed),
}
SPEAKS_BOTH = {("openai_responses", "groq"), ("openai_chat", "openai")}


@cache
def exchanges() -> list[Exchange]:
    return chosen(load(Path(RECORDINGS)))


@dataclass(frozen=True)
class Stage:
    """The gateway in front of the replay server."""

    gateway: Gateway
    key: str
    replay: Replay

    def play(self, slug: str, provider: str) -> None:
        """Let the next request to a provider be answered by this recording."""
        body = json.dumps({"slug": slug, "times": 1, "provider": provider}).encode()
        assert request(self.replay.port, "POST", "/__force", body).status == 200


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with running_replay(Path(RECORDINGS)) as replay:
        rows = [
            f'  {name}: {{kind: {name}, base_url: "http://127.0.0.1:{replay.port}/{name}{base}", credential: env:K}}'
            for name, base in BASES.items()
        ]
        priced = ", ".join(f"{name}: {price / 1_000}" for name, price in PRICES.items())
        prices = [f'  - {{model: "{name}:*", {priced}}}' for name in BASES]
        settings = "\n".join(("providers:", *rows, "prices:", *prices, ""))
        with running_gateway(tmp_path_factory.mktemp("recorded") / "home", settings, K="sk-real") as gateway:
            key = gateway.new_key()
            # The lists of models are asked for once, here, so that they do not take an answer that waits for a call.
            request(gateway.port, "GET", "/v1/models", headers={"authorization": f"Bearer {key}"})
            yield Stage(gateway, key, replay)


@pytest.mark.parametrize("client", CALLERS)
def test_a_client_reads_what_another_provider_was_recorded_to_say(stage: Stage, client: str) -> None:
    face, whole, streamed = CALLERS[client]
    before = len(stage.gateway.attempts())
    played: list[Exchange] = []
    problems: list[str] = []
    for exchange in exchanges():
        if PROVIDERS[exchange.provider] == face or (face, exchange.provider) in SPEAKS_BOTH:
            continue
        played.append(exchange)
        stage.play(exchange.slug, exchange.provider)
        model = RESPONSES_MODEL if exchange.provider == "openai" else MODEL
        call = whole if exchange.kind == "json" else streamed
        try:
            told = call(stage.gateway.url, stage.key, Ask(f"{exchange.provider}:{model}", "thinking tools"))
        except Exception as error:  # noqa: BLE001 - told with all the others
            problems.append(f"{exchange.slug}: {type(error).__name__}: {error}")
            continue
        said = told_in(exchange)
        assert said is not None
        problems += [f"{exchange.slug}: {line}" for line in differences(told, said)]
    assert not problems, "\n".join(problems)
    assert len(played) >= LEAST_PLAYED
    attempts = stage.gateway.attempts()[before:]
    assert len(attempts) == len(played)
    for exchange, attempt in zip(played, attempts, strict=True):
        assert attempt.cost_nanousd == cost_nanousd(exchange, PRICES), exchange.slug
        assert attempt.cost_basis == "reported", exchange.slug
    stage.gateway.verify()


def differences(told: Told, said: Told) -> list[str]:
    found = []
    for field in dataclasses.fields(Told):
        was, is_told = getattr(said, field.name), getattr(told, field.name)
        if field.name in ("cached", "reasoning") and is_told is None:
            continue  # the client's format has no word for it
        if field.name != "call_ids" and was != is_told:
            found.append(f"{field.name} was {was!r} and is told as {is_told!r}")
    return found
