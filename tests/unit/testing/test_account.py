import asyncio
from collections.abc import Awaitable, Callable
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.testing.fake_provider import FakeProvider, in_thread, new_format
from farthing.testing.fakes.account import Tariff, added
from farthing.testing.fakes.script import Reply, Script
from farthing.types.usage import Usage

StartFake = Callable[..., Awaitable[FakeProvider]]
MESSAGES: Any = [{"role": "user", "content": "Say hello."}]


@given(
    st.integers(0, 10**7), st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6)
)
def test_a_bill_is_the_decimal_sum_of_its_lines(fresh: int, read: int, short: int, long: int, output: int) -> None:
    usage = Usage(
        input_tokens=fresh + read + short + long,
        output_tokens=output,
        cache_read_input_tokens=read,
        cache_creation_5m_input_tokens=short,
        cache_creation_1h_input_tokens=long,
    )
    by_hand = (
        fresh * Decimal("3.1") + read * Decimal("0.31") + short * Decimal("3.875") + long * Decimal("6.2")
    ) + output * Decimal("15.00025")
    expected = int((by_hand * 1000).quantize(Decimal(1), ROUND_HALF_EVEN))
    assert Tariff("3.1", "15.00025", "0.31", "3.875", "6.2").nanousd(usage) == expected


async def test_the_same_seed_and_requests_make_the_same_account(start_fake: StartFake) -> None:
    accounts = []
    for order in ([0, 1, 1, 2], [1, 2, 0, 1]):
        fake = await start_fake("openai", script=Script(7, faults={"server_error": 0.3}))
        async with openai.AsyncOpenAI(base_url=fake.url, api_key="any", max_retries=0) as client:
            for number in order:
                try:
                    await client.chat.completions.create(model=f"model-{number}", messages=MESSAGES)
                except openai.InternalServerError:
                    continue
        accounts.append(
            sorted(
                (line.model_asked, line.request_id, line.status, line.usage.output_tokens)
                for line in fake.account.lines
            )
        )
    assert accounts[0] == accounts[1]


async def test_totals_are_the_sum_of_the_lines(start_fake: StartFake) -> None:
    fake = await start_fake(
        "openai", tariffs={"dear": Tariff("1", "2")}, script=Script(3, faults={"rate_limited": 0.2})
    )
    async with openai.AsyncOpenAI(base_url=fake.url, api_key="any", max_retries=0) as client:
        for number in range(30):
            try:
                await client.chat.completions.create(model="dear" if number % 2 else "priceless", messages=MESSAGES)
            except openai.RateLimitError:
                continue
    lines, totals = fake.account.lines, fake.account.totals()
    assert totals.requests == len(lines) == 30
    assert totals.refused == sum(line.ended == "refused" for line in lines) > 0
    assert totals.output_tokens == sum(line.usage.output_tokens or 0 for line in lines)
    assert totals.nanousd == sum(line.nanousd or 0 for line in lines) > 0
    assert totals.unpriced == sum(line.nanousd is None for line in lines) > 0
    assert added([totals, totals]).requests == 60


def test_faults_cannot_be_likelier_than_certain() -> None:
    with pytest.raises(ValueError, match=r"1\.2"):
        Script(faults={"cut": 0.6, "stall": 0.6})


def test_an_unknown_format_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="anthropic"):
        new_format("gopher")


def test_fakes_serve_programs_that_have_no_loop() -> None:
    fake = FakeProvider("openai")
    fake.next(Reply(tokens=3))
    with in_thread(fake), openai.OpenAI(base_url=fake.url, api_key="any", max_retries=0) as client:
        answer = client.chat.completions.create(model="fake-model", messages=MESSAGES)
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 3


async def test_closing_a_fake_bills_what_is_under_way_and_makes_no_noise() -> None:
    noise: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: noise.append(context))
    fake = FakeProvider("openai")
    await fake.start()
    fake.next(Reply(tokens=100, token_delay_s=1))
    idle = await asyncio.open_connection("127.0.0.1", fake.port)
    async with openai.AsyncOpenAI(base_url=fake.url, api_key="any", max_retries=0) as client:
        stream = await client.chat.completions.create(model="fake-model", messages=MESSAGES, stream=True)
        await anext(aiter(stream))
        await fake.close()
        await stream.close()
    assert await idle[0].read() == b""
    idle[1].close()
    assert [line.ended for line in fake.account.lines] == ["client_gone"]
    assert noise == []


async def test_what_is_not_http_ends_the_connection(start_fake: StartFake) -> None:
    fake = await start_fake("openai")
    reader, writer = await asyncio.open_connection("127.0.0.1", fake.port)
    writer.write(b"hello\r\n\r\n")
    assert await reader.read() == b""
    writer.close()
