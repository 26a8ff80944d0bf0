"""The google-genai package's ways to ask, and what it makes of the answers."""

import asyncio
from collections.abc import Iterable
from typing import Any

from google import genai
from google.genai import types

from tests.e2e.foreign.house import WEATHER, Ask, Told

_FINISHES = {types.FinishReason.STOP: "end", types.FinishReason.MAX_TOKENS: "length"}
THINKING_TOKENS = 1_024


def client(url: str, key: str, *, attempts: int | None = None) -> genai.Client:
    retry = types.HttpRetryOptions(attempts=attempts) if attempts else None
    return genai.Client(api_key=key, http_options=types.HttpOptions(base_url=url, retry_options=retry))


def config(ask: Ask) -> types.GenerateContentConfig:
    declared = types.FunctionDeclaration(
        name="weather", description="Tells the weather.", parameters_json_schema=WEATHER
    )
    thinking = types.ThinkingConfig(include_thoughts=True, thinking_budget=THINKING_TOKENS)
    return types.GenerateContentConfig(
        system_instruction="Be brief.",
        max_output_tokens=ask.max_tokens,
        tools=[types.Tool(function_declarations=[declared])] if ask.tools else None,
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        thinking_config=thinking if ask.thinks else None,
    )


def told_by(chunks: Iterable[types.GenerateContentResponse]) -> Told:
    """Join the chunks of a stream, or read the only one of an answer; usage is the last chunk's."""
    told, finish, usage = Told(), None, None
    for chunk in chunks:
        usage = chunk.usage_metadata or usage
        for candidate in chunk.candidates or ():
            finish = candidate.finish_reason or finish
            for part in (candidate.content.parts if candidate.content else None) or ():
                if part.function_call is not None:
                    told.calls.append((part.function_call.name or "", part.function_call.args))
                    told.call_ids.append(part.function_call.id or "")
                elif part.thought:
                    told.thinking += part.text or ""
                else:
                    told.text += part.text or ""
    assert finish is not None
    assert usage is not None
    told.finish = "tools" if told.calls else _FINISHES[finish]  # Gemini's word after a call is STOP
    told.input_tokens, told.cached = usage.prompt_token_count, usage.cached_content_token_count or 0
    told.reasoning = usage.thoughts_token_count or 0
    told.output_tokens = (usage.candidates_token_count or 0) + told.reasoning
    assert usage.total_token_count == (told.input_tokens or 0) + told.output_tokens
    return told


def asked(ask: Ask) -> dict[str, Any]:
    return {"model": ask.model, "contents": ask.prompt, "config": config(ask)}


def whole(url: str, key: str, ask: Ask) -> Told:
    with client(url, key) as sdk:
        return told_by([sdk.models.generate_content(**asked(ask))])


def streamed(url: str, key: str, ask: Ask) -> Told:
    with client(url, key) as sdk:
        return told_by(sdk.models.generate_content_stream(**asked(ask)))


def async_whole(url: str, key: str, ask: Ask) -> Told:
    async def run() -> Told:
        async with client(url, key).aio as sdk:
            return told_by([await sdk.models.generate_content(**asked(ask))])

    return asyncio.run(run())


def async_streamed(url: str, key: str, ask: Ask) -> Told:
    async def run() -> Told:
        async with client(url, key).aio as sdk:
            return told_by([chunk async for chunk in await sdk.models.generate_content_stream(**asked(ask))])

    return asyncio.run(run())
