"""The anthropic package's ways to ask, and what it makes of the answers."""

import asyncio
from typing import Any

import anthropic
from anthropic.types import Message

from tests.e2e.foreign.house import WEATHER, Ask, Told

_FINISHES = {"end_turn": "end", "max_tokens": "length", "tool_use": "tools"}
THINKING_TOKENS = 1_024


def client(url: str, key: str, *, retries: int = 0) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=url, auth_token=key, api_key=None, max_retries=retries)


def request(ask: Ask) -> dict[str, Any]:
    asked: dict[str, Any] = {
        "model": ask.model,
        "max_tokens": ask.max_tokens,
        "system": [{"type": "text", "text": "Be brief."}],
        "messages": [{"role": "user", "content": ask.prompt}],
    }
    if ask.tools:
        asked["tools"] = [{"name": "weather", "description": "Tells the weather.", "input_schema": WEATHER}]
    if ask.thinks:
        asked["thinking"] = {"type": "enabled", "budget_tokens": THINKING_TOKENS}
    return asked


def told_by(message: Message) -> Told:
    usage = message.usage
    told = Told(finish=_FINISHES[str(message.stop_reason)], output_tokens=usage.output_tokens)
    for block in message.content:
        match block.type:
            case "thinking":
                assert block.signature, "a client sends it back, and Anthropic refuses thoughts without one"
                told.thinking += block.thinking
            case "text":
                told.text += block.text
            case "tool_use":
                told.calls.append((block.name, block.input))
                told.call_ids.append(block.id)
            case other:
                raise AssertionError(other)
    read, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    told.input_tokens, told.cached = usage.input_tokens + read + written, read
    return told


def whole(url: str, key: str, ask: Ask) -> Told:
    with client(url, key) as sdk:
        return told_by(sdk.messages.create(**request(ask)))


def streamed(url: str, key: str, ask: Ask) -> Told:
    with client(url, key) as sdk, sdk.messages.stream(**request(ask)) as stream:
        return told_by(stream.get_final_message())


def async_whole(url: str, key: str, ask: Ask) -> Told:
    async def run() -> Told:
        async with anthropic.AsyncAnthropic(base_url=url, auth_token=key, api_key=None, max_retries=0) as sdk:
            return told_by(await sdk.messages.create(**request(ask)))

    return asyncio.run(run())


def async_streamed(url: str, key: str, ask: Ask) -> Told:
    async def run() -> Told:
        async with (
            anthropic.AsyncAnthropic(base_url=url, auth_token=key, api_key=None, max_retries=0) as sdk,
            sdk.messages.stream(**request(ask)) as stream,
        ):
            return told_by(await stream.get_final_message())

    return asyncio.run(run())
