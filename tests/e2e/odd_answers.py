"""A gateway before providers of every format, each of whose answers a test names in a header of its request."""

import json
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from farthing.types.calls import Attempt
from tests.e2e.support import Answer, Gateway, running_gateway
from tests.e2e.upstream import Script, upstream

OURS = "sk-operators/secret-key"
"""Our credential, with a character that JSON may write in two ways."""
_NAMED = re.compile(rb"x-script: (\w+)\r\n")

PATHS: dict[str, tuple[str, dict[str, Any], str]] = {
    "chat": ("/v1/chat/completions", {"model": "openai:m", "messages": [{"role": "user", "content": "hello"}]}, ""),
    "completions": ("/v1/completions", {"model": "openai:m", "prompt": "hello"}, ""),
    "responses": ("/v1/responses", {"model": "openai:m", "input": "hello"}, ""),
    "embeddings": ("/v1/embeddings", {"model": "openai:m", "input": "hello"}, ""),
    "messages": ("/v1/messages", {"model": "anthropic:m", "max_tokens": 9, "messages": []}, ""),
    "gemini": ("/v1beta/models/gemini:m:generateContent", {"contents": []}, ""),
    "ollama": ("/api/chat", {"model": "oll:m", "messages": [], "stream": False}, ""),
}
STREAMED: dict[str, tuple[str, dict[str, Any]]] = {
    name: (path, {**body, "stream": True}) for name, (path, body, _) in PATHS.items()
} | {"gemini": ("/v1beta/models/gemini:m:streamGenerateContent?alt=sse", {"contents": []})}


class OddProviders:
    """The gateway, and the answers that its providers know by name."""

    def __init__(self, gateway: Gateway, scripts: dict[str, Script]) -> None:
        self.gateway = gateway
        self._key = gateway.new_key()
        self._scripts = scripts

    def ask(self, wire: str, script: Script, *, streamed: bool = False) -> Answer:
        """Ask in a format; the provider answers as `script` says."""
        self._scripts["it"] = script
        path, body = STREAMED[wire] if streamed else PATHS[wire][:2]
        return self.gateway.post(path, body, self._key, {"x-script": "it"})

    def last(self) -> Attempt:
        """Return the last line of the ledger."""
        return self.lasts(1)[0]

    def lasts(self, count: int) -> list[Attempt]:
        """Return the last lines of the ledger, in order; asking costs 0.3 s, for however many."""
        return sorted(self.gateway.attempts(), key=lambda attempt: attempt.opening.started_at_us)[-count:]


@contextmanager
def odd_providers(home: Path) -> Iterator[OddProviders]:
    scripts: dict[str, Script] = {}

    def serve(connection: socket.socket, request: bytes) -> None:
        named = _NAMED.search(request)
        assert named is not None, request
        scripts[named.group(1).decode()](connection, request)

    with upstream(serve) as provider:
        settings = f"""
providers:
  openai: {{base_url: {provider.url}/v1, credential: env:KEY}}
  gemini: {{base_url: {provider.url}, credential: env:KEY}}
  anthropic: {{base_url: {provider.url}, credential: env:KEY}}
  oll: {{kind: ollama, base_url: {provider.url}, credential: env:KEY, free: false}}
prices:
  - {{model: "openai:*", input: 1, output: 2}}
  - {{model: "gemini:*", input: 1, output: 2}}
  - {{model: "anthropic:*", input: 1, output: 2}}
  - {{model: "oll:*", input: 1, output: 2}}
"""
        with running_gateway(home, settings, KEY=OURS) as gateway:
            yield OddProviders(gateway, scripts)
            gateway.verify()


def sse(*events: Any, name: str | None = None) -> bytes:
    """Write events; what is no text is written as JSON."""
    start = f"event: {name}\n" if name else ""
    return "".join(
        f"{start}data: {event if isinstance(event, str) else json.dumps(event)}\n\n" for event in events
    ).encode()


def lines(*values: Any) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def said(wire: str, text: str, **usage: Any) -> dict[str, Any]:
    """Return a whole answer of a format that says `text`, with its usage as the format has it."""
    match wire:
        case "chat":
            message = {"role": "assistant", "content": text}
            return {"model": "m", "choices": [{"message": message, "finish_reason": "stop"}], "usage": usage}
        case "completions":
            return {"model": "m", "choices": [{"text": text, "finish_reason": "stop"}], "usage": usage}
        case "responses":
            part = {"type": "message", "content": [{"type": "output_text", "text": text}]}
            return {"status": "completed", "model": "m", "output": [part] if text else [], "usage": usage}
        case "embeddings":
            return {"object": "list", "data": [{"embedding": [0.1]}] if text else [], "model": "m", "usage": usage}
        case "messages":
            content = [{"type": "text", "text": text}] if text else []
            return {"type": "message", "model": "m", "content": content, "stop_reason": "end_turn", "usage": usage}
        case "gemini":
            candidate = {"content": {"parts": [{"text": text}] if text else []}, "finishReason": "STOP"}
            return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "m"}
        case _:
            return {"model": "m", "message": {"role": "assistant", "content": text}, "done": True, **usage}
