from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anthropic
import pytest

from farthing.testing.fake_provider import FakeProvider
from farthing.testing.fakes.account import Tariff
from farthing.testing.fakes.script import Fault, Reply, ToolCall
from farthing.wire.anthropic_messages import read_usage

StartFake = Callable[..., Awaitable[FakeProvider]]

HELLO: Any = [{"role": "user", "content": "Say hello."}]
SEARCH: Any = {
    "name": "search",
    "input_schema": {"type": "object", "properties": {"text": {"type": "string"}, "limit": {"type": "integer"}}},
}


class HandClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def now_us(self) -> int:
        return int(self.now_s * 1_000_000)

    def monotonic(self) -> float:
        return self.now_s


@asynccontextmanager
async def client_of(fake: FakeProvider) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(base_url=fake.url, api_key="any", max_retries=0, timeout=10) as client:
        yield client


async def test_a_whole_message_tells_the_usage_that_is_on_the_account(start_fake: StartFake) -> None:
    fake = await start_fake("anthropic")
    async with client_of(fake) as client:
        message = await client.messages.create(model="fake-model", max_tokens=100, messages=HELLO)
    assert message.stop_reason == "end_turn"
    assert message.content[0].type == "text"
    assert read_usage(message.usage.model_dump(exclude_none=True)) == fake.account.lines[0].usage


async def test_a_stream_thinks_signs_speaks_calls_and_adds_up(start_fake: StartFake) -> None:
    fake = await start_fake("anthropic")
    fake.next(Reply(tokens=9, reasoning_tokens=5, tools=(ToolCall("search", '{"text":"a b","limit":2}'),)))
    async with (
        client_of(fake) as client,
        client.messages.stream(
            model="fake-model",
            max_tokens=2000,
            messages=HELLO,
            tools=[SEARCH],
            thinking={"type": "enabled", "budget_tokens": 1024},
        ) as stream,
    ):
        kinds = [event.delta.type async for event in stream if event.type == "content_block_delta"]
        message = await stream.get_final_message()
    thought, said, called = message.content
    assert thought.type == "thinking"
    assert thought.signature
    assert said.type == "text"
    assert len(said.text.split()) == 9
    assert called.type == "tool_use"
    assert called.input == {"text": "a b", "limit": 2}
    assert message.stop_reason == "tool_use"
    assert list(dict.fromkeys(kinds)) == ["thinking_delta", "signature_delta", "text_delta", "input_json_delta"]
    (line,) = fake.account.lines
    assert line.usage.reasoning_output_tokens == 5
    assert message.usage.output_tokens == line.usage.output_tokens
    assert message.usage.input_tokens == line.usage.input_tokens


async def test_marked_prompts_are_written_then_read_then_forgotten(start_fake: StartFake) -> None:
    clock = HandClock()
    fake = await start_fake("anthropic", clock=clock)
    system: Any = [{"type": "text", "text": "Know this. " * 900, "cache_control": {"type": "ephemeral"}}]

    async def ask() -> tuple[int, int, int]:
        async with client_of(fake) as client:
            message = await client.messages.create(model="fake-model", max_tokens=50, messages=HELLO, system=system)
        usage = message.usage
        return usage.input_tokens, usage.cache_creation_input_tokens or 0, usage.cache_read_input_tokens or 0

    fresh, written, read = await ask()
    assert (written > 1024, read) == (True, 0)
    clock.now_s += 299
    assert await ask() == (fresh, 0, written)
    clock.now_s += 299
    assert await ask() == (fresh, 0, written), "reading begins the five minutes anew"
    clock.now_s += 301
    assert await ask() == (fresh, written, 0)


async def test_a_growing_conversation_reads_what_it_wrote_and_writes_what_is_new(start_fake: StartFake) -> None:
    fake = await start_fake("anthropic")
    mark = {"type": "ephemeral"}
    system: Any = [{"type": "text", "text": "Know this. " * 900, "cache_control": {**mark, "ttl": "1h"}}]
    first: Any = {"role": "user", "content": [{"type": "text", "text": "Go on. " * 99, "cache_control": mark}]}
    unmarked: Any = {"role": "user", "content": [{"type": "text", "text": "Go on. " * 99}]}
    async with client_of(fake) as client:
        for messages in ([first], [unmarked, {"role": "assistant", "content": "Yes."}, first]):
            await client.messages.create(model="fake-model", max_tokens=50, messages=messages, system=system)
    one, two = (line.usage for line in fake.account.lines)
    assert one.cache_creation_1h_input_tokens > 1024
    assert one.cache_creation_5m_input_tokens > 0
    assert two.cache_read_input_tokens == one.cache_creation_1h_input_tokens + one.cache_creation_5m_input_tokens
    assert two.cache_creation_1h_input_tokens == 0
    assert two.cache_creation_5m_input_tokens > 0


async def test_tokens_are_counted_as_they_would_be_billed(start_fake: StartFake) -> None:
    fake = await start_fake("anthropic")
    async with client_of(fake) as client:
        counted = await client.messages.count_tokens(model="fake-model", messages=HELLO, tools=[SEARCH])
        message = await client.messages.create(model="fake-model", max_tokens=9, messages=HELLO, tools=[SEARCH])
        assert [model.id async for model in client.models.list()] == ["fake-model"]
    assert counted.input_tokens == message.usage.input_tokens


@pytest.mark.parametrize(
    ("fault", "status"), [("unauthorized", 401), ("rate_limited", 429), ("server_error", 500), ("overloaded", 529)]
)
async def test_errors_have_their_status_and_cost_nothing(start_fake: StartFake, fault: Fault, status: int) -> None:
    fake = await start_fake("anthropic", tariffs={"fake-model": Tariff("1", "1")})
    fake.next(Reply(fault=fault))
    async with client_of(fake) as client:
        with pytest.raises(anthropic.APIStatusError) as caught:
            await client.messages.create(model="fake-model", max_tokens=9, messages=HELLO)
    assert caught.value.status_code == status
    assert caught.value.response.headers["request-id"] == fake.account.lines[0].request_id
    assert fake.account.totals().nanousd == 0


async def test_an_overload_within_a_stream_reaches_the_client_as_an_error(start_fake: StartFake) -> None:
    fake = await start_fake("anthropic")
    fake.next(Reply(tokens=40, fault="error_in_answer", fault_after_tokens=10))
    async with (
        client_of(fake) as client,
        client.messages.stream(model="fake-model", max_tokens=99, messages=HELLO) as stream,
    ):
        with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
            await stream.get_final_message()
    (line,) = fake.account.lines
    assert line.ended == "broken"
    assert line.usage.output_tokens is not None
    assert 10 <= line.usage.output_tokens < 40


async def test_nonsense_is_refused_in_the_formats_shape(start_fake: StartFake) -> None:
    fake = await start_fake("anthropic")
    nonsense: Any = [{"role": "nobody", "content": "x"}]
    async with client_of(fake) as client:
        with pytest.raises(anthropic.BadRequestError, match="expected shape"):
            await client.messages.create(model="fake-model", max_tokens=9, messages=nonsense)
