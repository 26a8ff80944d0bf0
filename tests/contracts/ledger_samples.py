"""Attempts, clocks and offloads for the tests of storage, ledger and auth."""

import asyncio
import random
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from farthing.types.calls import Attempt, Attribution, Opening
from farthing.types.usage import Usage

T = TypeVar("T")

NOON_US = 1_795_000_000_000_000  # 2026-11-18 11:06:40 UTC
DAY_US = 86_400_000_000


class SetClock:
    """Shows the time it was set to."""

    def __init__(self, now_us: int = NOON_US) -> None:
        self.time_us = now_us

    def now_us(self) -> int:
        return self.time_us

    def monotonic(self) -> float:
        return self.time_us / 1e6


class InPlace:
    """An offload that runs the work in place, as the simulator's does."""

    async def run(self, work: Callable[[], T]) -> T:
        return work()

    async def close(self) -> None:
        pass


async def until(condition: Callable[[], object]) -> None:
    """Wait for what a background task brings about; fail after five seconds."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is waited for announces itself to nobody
            await asyncio.sleep(0.001)


def seeded_bytes(seed: int) -> Callable[[int], bytes]:
    return random.Random(seed).randbytes


def opening(number: int, *, call: int | None = None, **changes: Any) -> Opening:
    attribution = {name: changes.pop(name) for name in list(changes) if name in Attribution.__struct_fields__}
    made = Opening(
        attempt_id=f"att_{number:06d}",
        call_id=f"call_{number if call is None else call:06d}",
        ordinal=1,
        started_at_us=NOON_US + number,
        face="openai",
        operation="chat",
        provider="openai",
        model_asked="fast",
        model="gpt-5-mini",
        streamed=True,
        input_tokens_estimate=90,
        attribution=msgspec.structs.replace(Attribution(key_id="key_1", key_name="laptop"), **attribution),
    )
    return msgspec.structs.replace(made, **changes)


def attempt(number: int, *, begun: Opening | None = None, **changes: Any) -> Attempt:
    at_opening = {name: changes.pop(name) for name in list(changes) if name in _OPENING_FIELDS}
    made = Attempt(
        opening=begun or opening(number, **at_opening),
        ended_at_us=NOON_US + number + 2_000_000,
        outcome="ok",
        http_status=200,
        usage=Usage(input_tokens=100, output_tokens=20, cache_read_input_tokens=60),
        cost_nanousd=1_000 + number,
        cost_basis="reported",
        price_id="openai/gpt-5-mini",
    )
    return msgspec.structs.replace(made, **changes)


_OPENING_FIELDS = {"call", *Opening.__struct_fields__, *Attribution.__struct_fields__}


def full_attempt(number: int) -> Attempt:
    """An attempt in which nothing is at its default."""
    return Attempt(
        opening=msgspec.structs.replace(
            opening(number),
            ordinal=2,
            streamed=False,
            credential="vault:work",
            reasons="'größte' is a router (order)\n'a:m' is chosen",
            attribution=Attribution(
                "key_9",
                "Größe 🚀",
                "acme",
                "blue",
                "web",
                "ann",
                "s",
                "c",
                "t",
                "call_0",
                "planner",
                "main",
                "#12",
                "a,b",
            ),
        ),
        ended_at_us=NOON_US + 5,
        outcome="provider_cut",
        http_status=502,
        usage=Usage(
            input_tokens=1,
            output_tokens=2,
            cache_read_input_tokens=3,
            cache_creation_5m_input_tokens=4,
            cache_creation_1h_input_tokens=5,
            input_audio_tokens=6,
            cache_read_audio_tokens=7,
            reasoning_output_tokens=8,
            output_audio_tokens=9,
            input_image_tokens=5,
            output_image_tokens=2,
            web_search_requests=10,
            flags=("cache_exceeds_input", "reasoning_exceeds_output"),
        ),
        cost_nanousd=10**15,
        cost_basis="estimated",
        price_id="p",
        reported_cost_nanousd=11,
        model_served="m",
        service_tier="flex",
        first_output_us=12,
        upstream_request_id="r\0r",
        error_code="e",
        error_message="it broke\nhere",
    )
