"""Five clients with different habits, so that each thing that happens to real money happens here.

A coding agent whose conversation grows and is cached; a chat that streams; a batch job that does not; a reader who
leaves when the answer bores them; and one whose provider keeps failing.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import msgspec

from farthing.testing.demo.house import House, Key
from farthing.testing.http_client import Heard, post

KEYS = [
    Key("ada-agent", "checkout", "ada"),
    Key("support-chat", "helpdesk", "ben"),
    Key("nightly-batch", "reports", "ops"),
    Key("cho-reader", "docs", "cho"),
    Key("eli-lab", "experiments", "eli"),
]

_FILE = "def total(cart):\n    return sum(item.price * item.count for item in cart)  # prices are whole cents\n\n"
_RULES = "You are a careful programmer. Read before you write, run the tests, keep the change small. " * 60
_TOOLS: list[Any] = [
    {
        "name": name,
        "description": "Works on the files of the project. " * 6,
        "input_schema": {"type": "object", "properties": {"path": {"type": "string"}, "line": {"type": "integer"}}},
    }
    for name in ("read_file", "edit_file", "run_tests")
]
_MAX_MESSAGES = 40
"""After so many the agent begins anew, as people do when the context is full."""


class Client:
    """One client: its key, its dice, and how long it goes on."""

    def __init__(self, house: House, key: Key, seed: int, is_over: Callable[[], bool]) -> None:
        self.name = key.name
        self.dice = random.Random(f"{seed} {key.name}")
        self.is_over = is_over
        self._house = house

    async def ask(
        self,
        path: str,
        body: Mapping[str, Any],
        headers: Mapping[str, str] | None = None,
        *,
        leave_after_events: int | None = None,
    ) -> Heard:
        """Send a request to the gateway."""
        return await post(
            self._house.port,
            path,
            msgspec.json.encode(body),
            {"authorization": f"Bearer {self._house.keys[self.name]}", **(headers or {})},
            leave_after_events=leave_after_events,
        )

    async def pause(self, seconds: float) -> None:
        """Do what people do between calls."""
        await asyncio.sleep(self.dice.uniform(0.5, 1.5) * seconds)


async def coding_agent(client: Client) -> None:
    """Work through tool calls; system, tools and history are marked for the provider's cache, as agents do."""
    mark = {"type": "ephemeral"}
    system = [{"type": "text", "text": _RULES, "cache_control": {**mark, "ttl": "1h"}}]
    headers = {"x-claude-code-session-id": "demo-session", "x-farthing-branch": "fix-rounding"}
    messages: list[Any] = []
    while not client.is_over():
        if not messages or len(messages) > _MAX_MESSAGES:
            messages = [
                {"role": "user", "content": [{"type": "text", "text": "The total is a cent off. Find out why."}]}
            ]
        last = messages[-1]
        marked = {**last, "content": [*last["content"][:-1], {**last["content"][-1], "cache_control": mark}]}
        heard = await client.ask(
            "/v1/messages",
            {
                "model": "claude-sonnet-4-5",
                "max_tokens": 1000,
                "system": system,
                "tools": _TOOLS,
                "thinking": {"type": "enabled", "budget_tokens": 1024},
                "messages": [*messages[:-1], marked],
            },
            headers,
        )
        if heard.status == 200:
            content = msgspec.json.decode(heard.body)["content"]
            calls = [part for part in content if part["type"] == "tool_use"]
            results: list[Any] = [
                {"type": "tool_result", "tool_use_id": call["id"], "content": _FILE * client.dice.randint(2, 12)}
                for call in calls
            ]
            said = results or [{"type": "text", "text": "Go on with the next one."}]
            messages += [{"role": "assistant", "content": content}, {"role": "user", "content": said}]
        await client.pause(0.4)


async def support_chat(client: Client) -> None:
    """Answer customers, streamed, by the alias `fast`; never asks for usage, and gets none."""
    number = 0
    while not client.is_over():
        number += 1
        question = f"Customer {number}: where is my parcel? " + "It was sent last week. " * client.dice.randint(1, 9)
        messages = [{"role": "system", "content": "Be kind and short."}, {"role": "user", "content": question}]
        body = {"model": "fast", "messages": messages, "stream": True}
        await client.ask("/v1/chat/completions", body, {"x-farthing-session": f"ticket-{number}"})
        await client.pause(0.5)


async def nightly_batch(client: Client) -> None:
    """Summarise many documents, two at a time, without streaming, on the smallest model."""
    number = 0

    async def summarise(document: int) -> None:
        text = f"Summarise document {document}. " + "Revenue was flat, costs were not. " * client.dice.randint(20, 90)
        body = {"model": "gpt-5-nano", "messages": [{"role": "user", "content": text}], "max_completion_tokens": 80}
        await client.ask("/v1/chat/completions", body, {"x-farthing-task": "summaries"})

    while not client.is_over():
        await asyncio.gather(*(summarise(number + offset) for offset in range(2)))
        number += 2
        await client.pause(0.6)


async def fickle_reader(client: Client) -> None:
    """Ask for something long and leave in the middle of two answers out of three."""
    number = 0
    while not client.is_over():
        number += 1
        messages = [{"role": "user", "content": f"Explain chapter {number} of the manual, in detail."}]
        body = {"model": "openrouter/qwen/qwen3-coder", "messages": messages, "stream": True}
        stays = number % 3 == 0
        leave_after = None if stays else client.dice.randint(12, 40)
        await client.ask("/v1/chat/completions", body, leave_after_events=leave_after)
        await client.pause(0.8)


async def unlucky_lab(client: Client) -> None:
    """Meet rate limits, failures, errors within a stream and cut streams, and now and then misspell a model."""
    number = 0
    while not client.is_over():
        number += 1
        model = "lama-3.3" if number % 9 == 5 else "llama-3.3-70b-versatile"
        messages = [{"role": "user", "content": f"Try experiment {number}."}]
        await client.ask("/v1/chat/completions", {"model": model, "messages": messages, "stream": number % 2 == 0})
        await client.pause(0.5)


HABITS: dict[str, Callable[[Client], Coroutine[Any, Any, None]]] = {
    "ada-agent": coding_agent,
    "support-chat": support_chat,
    "nightly-batch": nightly_batch,
    "cho-reader": fickle_reader,
    "eli-lab": unlucky_lab,
}
