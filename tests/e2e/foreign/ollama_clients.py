"""The ollama package's ways to ask, and what it makes of the answers."""

import asyncio
from collections.abc import Iterable
from typing import Any

import ollama

from tests.e2e.foreign.house import WEATHER, Ask, Told

_FINISHES = {"stop": "end", "length": "length"}


def host(url: str, key: str) -> str:
    """Return the address of a client that sends no key: it stands in the path."""
    return f"{url}/k/{key}"


def request(ask: Ask) -> dict[str, Any]:
    asked: dict[str, Any] = {
        "model": ask.model,
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": ask.prompt}],
        "options": {"num_predict": ask.max_tokens},
    }
    if ask.tools:
        function = {"name": "weather", "description": "Tells the weather.", "parameters": WEATHER}
        asked["tools"] = [{"type": "function", "function": function}]
    if ask.thinks:
        asked["think"] = True
    return asked


def told_by(lines: Iterable[ollama.ChatResponse]) -> Told:
    told, last = Told(), None
    for last in lines:
        message = last.message
        told.text += message.content or ""
        told.thinking += message.thinking or ""
        told.calls += [(call.function.name, dict(call.function.arguments)) for call in message.tool_calls or ()]
    assert last is not None
    assert last.done
    told.finish = "tools" if told.calls else _FINISHES[str(last.done_reason)]  # Ollama's word after a call is stop
    told.input_tokens, told.output_tokens = last.prompt_eval_count, last.eval_count
    return told


def whole(url: str, key: str, ask: Ask) -> Told:
    with ollama.Client(host=host(url, key)) as sdk:
        return told_by([sdk.chat(**request(ask))])


def streamed(url: str, key: str, ask: Ask) -> Told:
    with ollama.Client(host=host(url, key)) as sdk:
        return told_by(sdk.chat(**request(ask), stream=True))


def async_streamed(url: str, key: str, ask: Ask) -> Told:
    async def run() -> Told:
        async with ollama.AsyncClient(host=host(url, key)) as sdk:
            return told_by([line async for line in await sdk.chat(**request(ask), stream=True)])

    return asyncio.run(run())
