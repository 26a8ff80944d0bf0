"""Sessions that the official SDKs hold for many turns, each with its own objects sent back as they came.

Whatever a client was given (thoughts, seals, calls) is part of its history from then on, so that a history which is not
written the same way twice shows in what the provider gets.
"""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import anthropic
import httpx2
import ollama
import openai
from google import genai
from google.genai import types

from tests.e2e.foreign import anthropic_clients, google_clients, ollama_clients, openai_clients
from tests.e2e.foreign.house import Ask

SYSTEM = "You are careful, and tell the weather. " * 150
"""Longer than what any provider's prompt cache begins at: 1,024 tokens."""
Turn = Callable[[str], list[bytes]]
"""Says something, runs the tools that are called, and returns each body that was sent, as the client wrote it."""


class _Sent:
    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def hooks(self) -> Any:
        return {"request": [lambda request: self.bodies.append(request.content)]}

    def taken(self) -> list[bytes]:
        bodies, self.bodies = self.bodies, []
        return bodies


def chat(stack: ExitStack, url: str, key: str, model: str) -> Turn:
    sent = _Sent()
    http = stack.enter_context(httpx2.Client(event_hooks=sent.hooks()))
    sdk = stack.enter_context(openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, http_client=http))
    body = openai_clients.chat_request(Ask(model, "thinking tools"))
    body["messages"] = [{"role": "developer", "content": SYSTEM}]

    def turn(text: str) -> list[bytes]:
        body["messages"].append({"role": "user", "content": text})
        while True:
            message = sdk.chat.completions.create(**body).choices[0].message
            body["messages"].append(message)
            calls = message.tool_calls or []
            body["messages"] += [{"role": "tool", "tool_call_id": call.id, "content": "warm"} for call in calls]
            if not calls:
                return sent.taken()

    return turn


def responses(stack: ExitStack, url: str, key: str, model: str) -> Turn:
    sent = _Sent()
    http = stack.enter_context(httpx2.Client(event_hooks=sent.hooks()))
    sdk = stack.enter_context(openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, http_client=http))
    body = openai_clients.responses_request(Ask(model, "thinking tools"))
    body |= {"instructions": SYSTEM, "input": [], "store": False, "include": ["reasoning.encrypted_content"]}

    def turn(text: str) -> list[bytes]:
        body["input"].append({"role": "user", "content": text})
        while True:
            with sdk.responses.stream(**body) as stream:
                output = stream.until_done().get_final_response().output
            body["input"] += [item.to_dict(exclude_none=True) for item in output]
            for item in body["input"]:
                item.pop("parsed_arguments", None)
                for part in item["content"] if isinstance(item.get("content"), list) else ():
                    part.pop("parsed", None)
            calls = [item for item in output if item.type == "function_call"]
            body["input"] += [
                {"type": "function_call_output", "call_id": call.call_id, "output": "warm"} for call in calls
            ]
            if not calls:
                return sent.taken()

    return turn


def claude(stack: ExitStack, url: str, key: str, model: str) -> Turn:
    sent = _Sent()
    http = stack.enter_context(httpx2.Client(event_hooks=sent.hooks()))
    sdk = stack.enter_context(
        anthropic.Anthropic(base_url=url, auth_token=key, api_key=None, max_retries=0, http_client=http)
    )
    body = anthropic_clients.request(Ask(model, "thinking tools"))
    body |= {"system": [{"type": "text", "text": SYSTEM, "cache_control": {"type": "ephemeral"}}], "messages": []}

    def turn(text: str) -> list[bytes]:
        body["messages"].append({"role": "user", "content": text})
        while True:
            with sdk.messages.stream(**body) as stream:
                content = stream.get_final_message().content
            body["messages"].append({"role": "assistant", "content": content})
            results = [
                {"type": "tool_result", "tool_use_id": block.id, "content": "warm"}
                for block in content
                if block.type == "tool_use"
            ]
            if not results:
                return sent.taken()
            body["messages"].append({"role": "user", "content": results})

    return turn


def google(stack: ExitStack, url: str, key: str, model: str) -> Turn:
    sent = _Sent()
    options = types.HttpOptions(base_url=url, client_args={"event_hooks": sent.hooks()})
    sdk = stack.enter_context(genai.Client(api_key=key, http_options=options))
    config = google_clients.config(Ask(model, "thinking tools")).model_copy(update={"system_instruction": SYSTEM})
    contents: list[types.Content] = []

    def turn(text: str) -> list[bytes]:
        contents.append(types.Content(role="user", parts=[types.Part(text=text)]))
        while True:
            asked: Any = list(contents)
            answer = sdk.models.generate_content(model=model, contents=asked, config=config)
            assert answer.candidates
            content = answer.candidates[0].content
            assert content is not None
            contents.append(content)
            results = [
                types.Part(
                    function_response=types.FunctionResponse(id=call.id, name=call.name, response={"result": "warm"})
                )
                for call in answer.function_calls or ()
            ]
            if not results:
                return sent.taken()
            contents.append(types.Content(role="user", parts=results))

    return turn


def local(stack: ExitStack, url: str, key: str, model: str) -> Turn:
    sent = _Sent()
    sdk = stack.enter_context(ollama.Client(host=ollama_clients.host(url, key), event_hooks=sent.hooks()))
    body = ollama_clients.request(Ask(model, "thinking tools"))
    body["messages"] = [{"role": "system", "content": SYSTEM}]

    def turn(text: str) -> list[bytes]:
        body["messages"].append({"role": "user", "content": text})
        while True:
            message = sdk.chat(**body).message
            body["messages"].append(message)
            calls = message.tool_calls or []
            body["messages"] += [{"role": "tool", "tool_name": call.function.name, "content": "warm"} for call in calls]
            if not calls:
                return sent.taken()

    return turn
