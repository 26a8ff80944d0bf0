"""The official SDKs, through the gateway, in front of fakes that speak the real formats; the ledger agrees."""

from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from farthing.testing.fake_provider import FakeProvider, in_thread
from farthing.testing.fakes.account import Tariff
from farthing.testing.fakes.script import Reply, ToolCall
from tests.e2e.support import Gateway, running_gateway

OPENAI, CLAUDE = "gpt-5-mini", "claude-haiku-4-5"
MESSAGES: Any = [{"role": "user", "content": "What is the weather in Paris? " * 20}]
TOOLS: Any = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}]


@pytest.fixture(scope="module")
def fakes() -> Iterator[dict[str, FakeProvider]]:
    found = {
        "openai": FakeProvider(
            "openai", models=(OPENAI,), tariffs={OPENAI: Tariff(input="0.25", output="2", cache_read="0.025")}
        ),
        "anthropic": FakeProvider(
            "anthropic",
            models=(CLAUDE,),
            tariffs={
                CLAUDE: Tariff(input="1", output="5", cache_read="0.1", cache_write_5m="1.25", cache_write_1h="2")
            },
        ),
    }
    with in_thread(*found.values()):
        yield found


@pytest.fixture(scope="module")
def gateway(fakes: dict[str, FakeProvider], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    rows = "".join(f"  {name}: {{base_url: {fake.url}, credential: env:K}}\n" for name, fake in fakes.items())
    text = f"providers:\n{rows}models:\n  fast: openai:{OPENAI}\n"
    with running_gateway(tmp_path_factory.mktemp("home"), text, K="sk") as running:
        yield running
        running.verify()


@pytest.fixture(scope="module")
def key(gateway: Gateway) -> str:
    return gateway.new_key("sdk")


@pytest.fixture
def chat(gateway: Gateway, key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0)


@pytest.fixture
def claude(gateway: Gateway, key: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=gateway.url, auth_token=key, max_retries=0)


def agrees(gateway: Gateway, fake: FakeProvider) -> None:
    """The last line of the ledger is the last line of the provider's account, to the token and the nanodollar."""
    attempt, line = gateway.attempts()[-1], fake.account.lines[-1]
    assert line.told
    assert attempt.cost_basis == "reported"
    assert (attempt.usage.input_tokens, attempt.usage.output_tokens) == (
        line.usage.input_tokens,
        line.usage.output_tokens,
    )
    assert attempt.cost_nanousd == line.nanousd


@pytest.mark.parametrize("model", [OPENAI, "fast", f"openai:{OPENAI}", f"openai/{OPENAI}"])
def test_openai_whole(chat: openai.OpenAI, gateway: Gateway, fakes: dict[str, FakeProvider], model: str) -> None:
    answer = chat.chat.completions.create(model=model, messages=MESSAGES)
    assert answer.choices[0].message.content
    agrees(gateway, fakes["openai"])


@pytest.mark.parametrize("asked", [True, False])
def test_openai_streamed(chat: openai.OpenAI, gateway: Gateway, fakes: dict[str, FakeProvider], asked: bool) -> None:
    options: Any = {"stream_options": {"include_usage": True}} if asked else {}
    chunks = list(chat.chat.completions.create(model=OPENAI, messages=MESSAGES, stream=True, **options))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert [chunk for chunk in chunks if chunk.usage is not None] if asked else all(chunk.choices for chunk in chunks)
    agrees(gateway, fakes["openai"])


def test_openai_tools(chat: openai.OpenAI, gateway: Gateway, fakes: dict[str, FakeProvider]) -> None:
    fakes["openai"].next(Reply(tools=(ToolCall("weather", '{"city": "Paris"}'),)))
    with chat.chat.completions.stream(model=OPENAI, messages=MESSAGES, tools=TOOLS) as stream:
        final = stream.get_final_completion()
    (call,) = final.choices[0].message.tool_calls or []
    assert call.function.name == "weather"
    agrees(gateway, fakes["openai"])


def test_openai_lists_what_can_be_asked_for(chat: openai.OpenAI) -> None:
    names = [model.id for model in chat.models.list()]
    assert names[0] == "fast"
    assert OPENAI in names
    assert CLAUDE in names


def test_anthropic_whole(claude: anthropic.Anthropic, gateway: Gateway, fakes: dict[str, FakeProvider]) -> None:
    answer = claude.messages.create(model=CLAUDE, max_tokens=200, messages=MESSAGES)
    assert answer.content
    agrees(gateway, fakes["anthropic"])


def test_anthropic_streamed_with_thinking(
    claude: anthropic.Anthropic, gateway: Gateway, fakes: dict[str, FakeProvider]
) -> None:
    fakes["anthropic"].next(Reply(tokens=30, reasoning_tokens=20))
    thinking: Any = {"type": "enabled", "budget_tokens": 1024}
    with claude.messages.stream(model=CLAUDE, max_tokens=2000, messages=MESSAGES, thinking=thinking) as stream:
        final = stream.get_final_message()
    assert [block.type for block in final.content] == ["thinking", "text"]
    agrees(gateway, fakes["anthropic"])


def test_anthropic_prompt_cache_is_written_then_read(
    claude: anthropic.Anthropic, gateway: Gateway, fakes: dict[str, FakeProvider]
) -> None:
    system: Any = [{"type": "text", "text": "Be brief. " * 800, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    for _ in range(2):
        claude.messages.create(model=CLAUDE, max_tokens=50, system=system, messages=MESSAGES)
        agrees(gateway, fakes["anthropic"])
    first, second = [attempt.usage for attempt in gateway.attempts()[-2:]]
    assert first.cache_creation_1h_input_tokens == second.cache_read_input_tokens > 0


def test_anthropic_counts_tokens_for_nothing(claude: anthropic.Anthropic, gateway: Gateway) -> None:
    assert claude.messages.count_tokens(model=CLAUDE, messages=MESSAGES).input_tokens > 0
    assert gateway.attempts()[-1].cost_nanousd == 0


def test_anthropic_lists_models_in_its_own_shape(claude: anthropic.Anthropic) -> None:
    assert CLAUDE in [model.id for model in claude.models.list(limit=1000)]


def test_a_session_is_told_apart_by_its_headers(chat: openai.OpenAI, gateway: Gateway) -> None:
    headers = {"x-farthing-project": "moon", "x-farthing-session": "s-1", "x-farthing-branch": "main"}
    chat.chat.completions.create(model="fast", messages=MESSAGES, extra_headers=headers)
    for by, group in (("project", "moon"), ("session", "s-1"), ("branch", "main"), ("key", "sdk")):
        assert group in [row[by] for row in gateway.costs("--by", by)["groups"]]
