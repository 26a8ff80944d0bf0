from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from farthing.testing.fake_provider import FakeProvider

Start = Callable[..., Any]


@pytest.fixture
async def start_fake() -> AsyncIterator[Start]:
    async with AsyncExitStack() as stack:

        async def start(*arguments: Any, **options: Any) -> FakeProvider:
            provider = FakeProvider(*arguments, **options)
            await provider.start()
            stack.push_async_callback(provider.close)
            return provider

        yield start
