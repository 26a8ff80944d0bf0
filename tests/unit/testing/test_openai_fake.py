import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import msgspec
import openai
import pytest

from farthing.testing.fake_provider import FakeProvider
from farthing.testing.fakes.account import Tariff
from farthing.testing.fakes.openai_dialects import DIALECTS
from farthing.testing.fakes.script import Fault, Reply, ToolCall
from farthing.wire.openai_chat import ChatStreamMeter
from farthing.wire.openai_usage import read_usage

StartFake = Callable[..., Awaitable[FakeProvider]]

WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}},
    },
}
HELLO: Any = [{"role": "user", "content": "Say hello."}]


@asynccontextmanager
async def client_of(fake: FakeProvider, key: str = "any") -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=fake.url, api_key=key, max_retries=0, timeout=10) as client:
        yield client


async def raw_events(client: openai.AsyncOpenAI, **body: Any) -> list[str]:
    async with client.chat.completions.with_streaming_response.create(stream=True, **body) as answer:
        text: str = await answer.text()
    return text.removesuffix("\n\n").split("\n\n")


def chunks(events: list[str]) -> list[dict[str, Any]]:
    return [json.loads(event[6:]) for event in events if event.startswith("data: {")]


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_whole_answer_tells_the_usage_that_is_on_the_account(start_fake: StartFake, dialect: str) -> None:
    fake = await start_fake(dialect)
    async with client_of(fake) as client:
        answer = await client.chat.completions.create(model="fake-model", messages=HELLO)
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    (line,) = fake.account.lines
    assert answer.usage is not None
    assert read_usage(answer.usage.model_dump(exclude_none=True)) == line.usage
    assert (line.ended, line.told) == ("answered", True)


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_stream_ends_in_done_and_adds_up_to_the_account(start_fake: StartFake, dialect: str) -> None:
    fake = await start_fake(dialect)
    fake.next(Reply(tokens=21, reasoning_tokens=7))
    text = ""
    async with client_of(fake) as client:
        stream = await client.chat.completions.create(
            model="fake-model", messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
        usages = []
        async for chunk in stream:
            if chunk.usage is not None:
                usages.append(chunk.usage)
            for choice in chunk.choices:
                if isinstance(choice.delta.content, str):
                    text += choice.delta.content
    (line,) = fake.account.lines
    assert len(text.split()) == 21
    assert line.usage.output_tokens == 28
    assert line.usage.reasoning_output_tokens == 7
    assert line.told
    assert usages[-1].prompt_tokens == line.usage.input_tokens
    assert usages[-1].completion_tokens == 28


async def test_openai_tells_usage_only_when_asked_and_null_before_it(start_fake: StartFake) -> None:
    fake = await start_fake("openai")
    async with client_of(fake) as client:
        silent = await raw_events(client, model="fake-model", messages=HELLO)
        told = await raw_events(client, model="fake-model", messages=HELLO, stream_options={"include_usage": True})
    assert all("usage" not in chunk for chunk in chunks(silent))
    *before, last = chunks(told)
    assert all(chunk["usage"] is None for chunk in before)
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] > 0
    assert told[-1] == "data: [DONE]"
    assert [line.told for line in fake.account.lines] == [False, True]


async def test_vendors_put_usage_where_they_were_seen_to_put_it(start_fake: StartFake) -> None:
    seen = {}
    for dialect in ("openrouter", "groq", "deepseek", "mistral"):
        fake = await start_fake(dialect, tariffs={"fake-model": Tariff("1", "3")})
        async with client_of(fake) as client:
            seen[dialect] = await raw_events(client, model="fake-model", messages=HELLO)
    assert seen["openrouter"][0] == ": OPENROUTER PROCESSING"
    last = {dialect: chunks(events)[-1] for dialect, events in seen.items()}
    assert last["openrouter"]["usage"]["cost"] > 0
    assert last["openrouter"]["choices"]
    assert last["groq"]["x_groq"]["usage"] == last["groq"]["usage"]
    assert "prompt_cache_miss_tokens" in last["deepseek"]["usage"]
    for dialect in ("groq", "deepseek", "mistral"):
        assert last[dialect]["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_tools_are_called_with_arguments_that_fit_their_schema(start_fake: StartFake, dialect: str) -> None:
    fake = await start_fake(dialect)
    async with client_of(fake) as client:
        whole = await client.chat.completions.create(
            model="fake-model", messages=HELLO, tools=[WEATHER], tool_choice="required"
        )
        fake.next(Reply(tools=(ToolCall("weather", '{"city":"Oslo","days":3}'),), tokens=2))
        stream = await client.chat.completions.create(model="fake-model", messages=HELLO, tools=[WEATHER], stream=True)
        arguments, finish = "", None
        async for chunk in stream:
            for choice in chunk.choices:
                finish = choice.finish_reason or finish
                for call in choice.delta.tool_calls or ():
                    assert call.function is not None
                    arguments += call.function.arguments or ""
    calls = whole.choices[0].message.tool_calls
    assert calls is not None
    assert calls[0].type == "function"
    assert set(json.loads(calls[0].function.arguments)) == {"city", "days"}
    assert json.loads(arguments) == {"city": "Oslo", "days": 3}
    assert whole.choices[0].finish_reason == finish == "tool_calls"


async def test_several_answers_come_interleaved_and_are_billed_together(start_fake: StartFake) -> None:
    fake = await start_fake("openai")
    fake.next(Reply(tokens=10))
    async with client_of(fake) as client:
        events = chunks(await raw_events(client, model="fake-model", messages=HELLO, n=3))
    indexes = [chunk["choices"][0]["index"] for chunk in events if chunk["choices"][0]["delta"].get("content")]
    assert indexes[:6] == [0, 1, 2, 0, 1, 2]
    assert fake.account.lines[0].usage.output_tokens == 30


async def test_an_answer_stops_at_the_limit_that_was_asked_for(start_fake: StartFake) -> None:
    fake = await start_fake("openai")
    async with client_of(fake) as client:
        answer = await client.chat.completions.create(model="fake-model", messages=HELLO, max_completion_tokens=3)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 3


async def test_a_repeated_prefix_is_read_from_the_cache_in_whole_steps(start_fake: StartFake) -> None:
    fake = await start_fake("openai")
    long: Any = [{"role": "system", "content": "Know this. " * 900}, *HELLO]
    async with client_of(fake) as client:
        for _ in range(2):
            await client.chat.completions.create(model="fake-model", messages=long)
    first, second = (line.usage.cache_read_input_tokens for line in fake.account.lines)
    assert first == 0
    assert second >= 1024
    assert second % 128 == 0


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ("unauthorized", 401),
        ("rate_limited", 429),
        ("quota_exhausted", 429),
        ("server_error", 500),
        ("overloaded", 503),
        ("html", 502),
    ],
)
async def test_errors_have_their_status_and_cost_nothing(start_fake: StartFake, fault: Fault, status: int) -> None:
    fake = await start_fake("openai", tariffs={"fake-model": Tariff("1", "1")})
    fake.next(Reply(fault=fault, retry_after_s=7))
    async with client_of(fake) as client:
        with pytest.raises(openai.APIStatusError) as caught:
            await client.chat.completions.create(model="fake-model", messages=HELLO)
    assert caught.value.status_code == status
    assert caught.value.response.headers.get("retry-after") == ("7" if fault == "rate_limited" else None)
    (line,) = fake.account.lines
    assert (line.ended, line.status, line.nanousd, line.usage.output_tokens) == ("refused", status, 0, 0)


async def test_a_wrong_key_is_refused(start_fake: StartFake) -> None:
    fake = await start_fake("openai", key="right")
    async with client_of(fake, "wrong") as client:
        with pytest.raises(openai.AuthenticationError):
            await client.chat.completions.create(model="fake-model", messages=HELLO)
    async with client_of(fake, "right") as client:
        assert (await client.chat.completions.create(model="fake-model", messages=HELLO)).choices


async def test_a_model_that_is_not_there_is_404_with_its_name(start_fake: StartFake) -> None:
    fake = await start_fake("openai", models=("fake-model",), only_these_models=True)
    async with client_of(fake) as client:
        with pytest.raises(openai.NotFoundError, match="other"):
            await client.chat.completions.create(model="other", messages=HELLO)
        assert [model.id async for model in client.models.list()] == ["fake-model"]


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_an_error_within_a_stream_is_seen_by_the_products_own_meter(start_fake: StartFake, dialect: str) -> None:
    fake = await start_fake(dialect)
    fake.next(Reply(tokens=10, reasoning_tokens=0, fault="error_in_answer", fault_after_tokens=4))
    async with client_of(fake) as client:
        events = await raw_events(client, model="fake-model", messages=HELLO)
    heard: list[str] = []
    meter = ChatStreamMeter(on_text=heard.append, strip_usage=False)
    meter.feed("".join(event + "\n\n" for event in events).encode())
    assert meter.failed
    assert not meter.terminal
    assert len("".join(heard).split()) == 4
    assert fake.account.lines[0].usage.output_tokens == 4


async def test_a_cut_stream_is_billed_for_what_came_out(start_fake: StartFake) -> None:
    fake = await start_fake("openai", tariffs={"fake-model": Tariff("0", "2")})
    fake.next(Reply(tokens=10, fault="cut", fault_after_tokens=6))
    async with client_of(fake) as client:
        with pytest.raises(httpx2.RemoteProtocolError):
            await raw_events(client, model="fake-model", messages=HELLO)
    (line,) = fake.account.lines
    assert (line.ended, line.usage.output_tokens, line.told) == ("broken", 6, False)
    assert line.nanousd == 6 * 2 * 1_000


async def test_a_client_that_leaves_is_billed_for_what_was_produced_until_then(start_fake: StartFake) -> None:
    fake = await start_fake("openai")
    fake.next(Reply(tokens=1000, token_delay_s=0.002))
    async with client_of(fake) as client:
        stream = await client.chat.completions.create(model="fake-model", messages=HELLO, stream=True)
        async with stream:
            got = 0
            async for chunk in stream:
                got += bool(chunk.choices[0].delta.content)
                if got == 5:
                    break
    async with asyncio.timeout(5):
        await fake.account.reaches(1)
    (line,) = fake.account.lines
    assert line.ended == "client_gone"
    assert line.usage.output_tokens is not None
    assert 5 <= line.usage.output_tokens < 1000


async def test_a_stalled_stream_waits_for_the_client_to_give_up(start_fake: StartFake) -> None:
    fake = await start_fake("openai")
    fake.next(Reply(tokens=10, fault="stall", fault_after_tokens=2))
    async with client_of(fake) as client:
        with pytest.raises(httpx2.ReadTimeout):
            await raw_events(client.with_options(timeout=0.3), model="fake-model", messages=HELLO)
    async with asyncio.timeout(5):
        await fake.account.reaches(1)
    assert fake.account.lines[0].usage.output_tokens == 2


async def test_the_account_can_be_read_and_replies_queued_over_http(start_fake: StartFake) -> None:
    fake = await start_fake("openai")
    queued = msgspec.json.encode([Reply(tokens=4)])
    assert json.loads(await http(fake.port, "POST", "/__next", queued)) == {"waiting": 1}
    async with client_of(fake) as client:
        await client.chat.completions.create(model="fake-model", messages=HELLO)
    account = json.loads(await http(fake.port, "GET", "/__account"))
    assert account["totals"]["output_tokens"] == 4
    assert account["requests"][0]["ended"] == "answered"
    assert "unknown field" in await http(fake.port, "POST", "/__next", b'[{"wrong": 1}]')


async def http(port: int, method: str, path: str, body: bytes = b"") -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    answer_head = await reader.readuntil(b"\r\n\r\n")
    length = int(answer_head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    text = await reader.readexactly(length)
    writer.close()
    return text.decode()
