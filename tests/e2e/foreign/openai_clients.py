"""The openai package's ways to ask, and what it makes of the answers."""

import asyncio
import json
from typing import Any

import openai
from openai.types.chat import ChatCompletion
from openai.types.responses import Response

from tests.e2e.foreign.house import WEATHER, Ask, Told

_FINISHES = {"stop": "end", "length": "length", "tool_calls": "tools"}


def client(url: str, key: str, *, retries: int = 0) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=retries)


def async_client(url: str, key: str, *, retries: int = 0) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=retries)


# ---- chat completions


def chat_request(ask: Ask) -> dict[str, Any]:
    asked: dict[str, Any] = {
        "model": ask.model,
        "max_completion_tokens": ask.max_tokens,
        "messages": [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": ask.prompt}],
    }
    if ask.tools:
        function = {"name": "weather", "description": "Tells the weather.", "parameters": WEATHER}
        asked["tools"] = [{"type": "function", "function": function}]
    if ask.thinks:
        asked["reasoning_effort"] = "medium"
    return asked


def chat_told(completion: ChatCompletion) -> Told:
    (choice,) = completion.choices
    message, usage = choice.message, completion.usage
    assert usage is not None
    assert usage.prompt_tokens_details is not None
    assert usage.completion_tokens_details is not None
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    calls = message.tool_calls or []
    return Told(
        text=message.content or "",
        thinking=(message.model_extra or {}).get("reasoning_content") or "",
        calls=[(call.function.name, json.loads(call.function.arguments)) for call in calls if call.type == "function"],
        finish=_FINISHES[choice.finish_reason],
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        cached=usage.prompt_tokens_details.cached_tokens,
        reasoning=usage.completion_tokens_details.reasoning_tokens,
        call_ids=[call.id for call in calls],
    )


def chat_whole(url: str, key: str, ask: Ask) -> Told:
    with client(url, key) as sdk:
        return chat_told(sdk.chat.completions.create(**chat_request(ask)))


def chat_streamed(url: str, key: str, ask: Ask) -> Told:
    """By the accumulator, which also puts the thoughts together: it joins what it does not know."""
    options: Any = {"include_usage": True}
    with client(url, key) as sdk, sdk.chat.completions.stream(**chat_request(ask), stream_options=options) as stream:
        for _ in stream:
            pass
        return chat_told(_without_length_error(stream))


def chat_async_whole(url: str, key: str, ask: Ask) -> Told:
    async def run() -> Told:
        async with async_client(url, key) as sdk:
            return chat_told(await sdk.chat.completions.create(**chat_request(ask)))

    return asyncio.run(run())


def chat_async_streamed(url: str, key: str, ask: Ask) -> Told:
    async def run() -> Told:
        options: Any = {"include_usage": True}
        async with (
            async_client(url, key) as sdk,
            sdk.chat.completions.stream(**chat_request(ask), stream_options=options) as stream,
        ):
            async for _ in stream:
                pass
            return chat_told(stream.current_completion_snapshot)

    return asyncio.run(run())


def _without_length_error(stream: Any) -> ChatCompletion:
    """Return what the accumulator has: `get_final_completion` raises where the answer was cut at its length."""
    found: ChatCompletion = stream.current_completion_snapshot
    return found


# ---- responses


def responses_request(ask: Ask) -> dict[str, Any]:
    asked: dict[str, Any] = {
        "model": ask.model,
        "instructions": "Be brief.",
        "input": ask.prompt,
        "max_output_tokens": ask.max_tokens,
    }
    if ask.tools:
        function = {"name": "weather", "description": "Tells the weather.", "parameters": WEATHER, "strict": False}
        asked["tools"] = [{"type": "function", **function}]
    if ask.thinks:
        asked["reasoning"] = {"effort": "medium", "summary": "auto"}
    return asked


def responses_told(response: Response) -> Told:
    told, usage = Told(), response.usage
    assert usage is not None
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens
    for item in response.output:
        match item.type:
            case "reasoning":
                told.thinking += "".join(part.text for part in item.summary)
            case "message":
                told.text += "".join(part.text for part in item.content if part.type == "output_text")
            case "function_call":
                told.calls.append((item.name, json.loads(item.arguments)))
                told.call_ids.append(item.call_id)
            case other:
                raise AssertionError(other)
    cut = response.incomplete_details
    if cut is not None:
        assert (response.status, cut.reason) == ("incomplete", "max_output_tokens")
    else:
        assert response.status == "completed"
    told.finish = "length" if cut is not None else "tools" if told.calls else "end"
    told.input_tokens, told.output_tokens = usage.input_tokens, usage.output_tokens
    told.cached = usage.input_tokens_details.cached_tokens
    told.reasoning = usage.output_tokens_details.reasoning_tokens
    return told


def responses_whole(url: str, key: str, ask: Ask) -> Told:
    with client(url, key) as sdk:
        return responses_told(sdk.responses.create(**responses_request(ask)))


def responses_streamed(url: str, key: str, ask: Ask) -> Told:
    with client(url, key) as sdk, sdk.responses.stream(**responses_request(ask)) as stream:
        last = list(stream)[-1]
        assert last.type in ("response.completed", "response.incomplete")
        return responses_told(last.response)


def responses_async_streamed(url: str, key: str, ask: Ask) -> Told:
    async def run() -> Told:
        async with async_client(url, key) as sdk, sdk.responses.stream(**responses_request(ask)) as stream:
            last = [event async for event in stream][-1]
            assert last.type in ("response.completed", "response.incomplete")
            return responses_told(last.response)

    return asyncio.run(run())
