"""How each exchange is sent to the gateway, and what the provider must get of it."""

import hashlib
import json
import zlib
from dataclasses import dataclass
from typing import Any

from farthing.providers.protocol import Operation
from farthing.types.providers import WireFormat
from tests.e2e.recordings.entries import Entry
from tests.e2e.recordings.exchanges import Exchange

CREDENTIAL = "sk-upstream"
_UNNAMED = "the-only-model"
"""What we ask for where the recorded client named no model: its server has one only."""

_PATHS: dict[Operation, str] = {
    "chat.completions": "/v1/chat/completions",
    "completions": "/v1/completions",
    "responses": "/v1/responses",
    "embeddings": "/v1/embeddings",
    "messages": "/v1/messages",
    "count_tokens": "/v1/messages/count_tokens",
    "ollama_chat": "/api/chat",
    "ollama_generate": "/api/generate",
    "ollama_embed": "/api/embed",
    "ollama_embeddings": "/api/embeddings",
    "ollama_show": "/api/show",
}
_CREDENTIAL_HEADERS = {"anthropic": ("x-api-key", ""), "gemini": ("x-goog-api-key", ""), "azure": ("api-key", "")}
"""Where a kind of provider takes its key, if not as a bearer token."""


@dataclass(frozen=True)
class Sent:
    """A request to the gateway."""

    path: str
    body: bytes
    headers: dict[str, str]


def request_of(exchange: Exchange, entry: Entry, key: str) -> Sent:
    """Return the recorded request as a client of the gateway sends it: its key, its model's full name."""
    asked = exchange.asked
    assert asked is not None
    name = f"{entry.name}:{exchange.model or _UNNAMED}"
    headers = {"content-type": "application/json", "x-replay-slug": exchange.slug, **exchange.headers}
    query = exchange.query
    if asked.wire == "gemini":
        path = asked.path.replace("/models/", f"/models/{entry.name}:")
        body = exchange.body
        if zlib.crc32(exchange.slug.encode()) % 2:  # both are usual: the SDKs send the header, examples the query
            query = f"{query}&key={key}" if query else f"key={key}"
        else:
            headers["x-goog-api-key"] = key
    else:
        path = _PATHS[asked.operation]
        body = {**exchange.body, "model": name}
        headers |= {"x-api-key": key} if asked.wire == "anthropic_messages" else {"authorization": f"Bearer {key}"}
    return Sent(f"{path}?{query}" if query else path, compact(body), headers)


def bare_request(exchange: Exchange, key: str) -> Sent:
    """Return a recorded request for what has no place in the gateway, as it is but for the key."""
    headers = {"content-type": "application/json", **exchange.headers, "x-api-key": key}
    if dialect_of(exchange) == "anthropic_messages":
        headers.setdefault("anthropic-version", "2023-06-01")  # all its clients send it; some recordings dropped it
    body = exchange.body.encode() if isinstance(exchange.body, str) else compact(exchange.body)
    return Sent(exchange.path, b"" if exchange.body is None else body, headers)


def dialect_of(exchange: Exchange) -> WireFormat:
    """Return the format whose errors the sender of a request expects."""
    if exchange.provider == "anthropic":
        return "anthropic_messages"
    if "v1beta" in exchange.path:
        return "gemini"
    return "ollama" if exchange.path.startswith("/api/") else "openai_chat"


def expected_body(exchange: Exchange, entry: Entry) -> dict[str, Any]:
    """Return the body that the provider must get: the client's, and a request for usage where it must be asked for."""
    asked = exchange.asked
    assert asked is not None
    body = dict(exchange.body)
    if asked.wire != "gemini":
        body["model"] = exchange.model or _UNNAMED
    if we_ask_for_usage(exchange, entry):
        body["stream_options"] = {**(body.get("stream_options") or {}), "include_usage": True}
    return body


def we_ask_for_usage(exchange: Exchange, entry: Entry) -> bool:
    """Whether the provider is asked for usage that the client did not ask for."""
    asked = exchange.asked
    assert asked is not None
    return (
        asked.wire in ("openai_chat", "openai_completions")
        and entry.known.stream_usage == "ask"
        and exchange.body.get("stream") is True
        and not client_asks_for_usage(exchange)
    )


def asks_for_stream(exchange: Exchange) -> bool:
    """Whether the recorded request asks for a stream; one was answered with one that it had not asked for."""
    asked = exchange.asked
    assert asked is not None
    by_itself = asked.operation in ("stream_generate_content", "ollama_chat", "ollama_generate")
    return by_itself if asked.wire == "gemini" else bool(exchange.body.get("stream", by_itself))


def client_asks_for_usage(exchange: Exchange) -> bool:
    """Whether the recorded client asked for a stream's usage itself."""
    return bool((exchange.body.get("stream_options") or {}).get("include_usage"))


def check_upstream_side(exchange: Exchange, entry: Entry, calls: list[dict[str, Any]]) -> str | None:
    """Return what the provider got that was not what the recorded client sent, in so far as it may differ."""
    assert len(calls) == 1, f"{exchange.slug} was sent {len(calls)} times"
    call, expected = calls[0], expected_body(exchange, entry)
    assert call["method"] == "POST"
    assert call["provider"] == exchange.provider
    assert call["path"] == exchange.path, f"{exchange.slug}: sent to {call['path']}, recorded at {exchange.path}"
    assert call["query"] == exchange.query, f"{exchange.slug}: {call['query']!r} is not {exchange.query!r}"
    odd = {
        name: call["body"].get(name)
        for name in {*expected, *call["body"]}
        if call["body"].get(name) != expected.get(name)
    }
    assert call["body"] == expected, f"{exchange.slug}: sent {str(odd)[:300]}"
    assert call["body_bytes"] == len(compact(expected)), f"{exchange.slug}: not the client's bytes"
    assert list(call["body"]) == list(expected), f"{exchange.slug}: the order of members changed"
    headers = call["headers"]
    assert headers["accept-encoding"] == "identity"
    for name, value in exchange.headers.items():
        if name != "content-type":
            assert headers.get(name) == value, f"{exchange.slug}: {name} is {headers.get(name)!r}, not {value!r}"
    credentials = {name: value for name, value in headers.items() if str(value).startswith("sha256:")}
    header, scheme = _CREDENTIAL_HEADERS.get(entry.known.kind, ("authorization", "Bearer "))
    digest = hashlib.sha256(f"{scheme}{CREDENTIAL}".encode()).hexdigest()[:12]
    assert credentials == {header: f"sha256:{digest}"}, f"{exchange.slug}: other credentials: {credentials}"
    if exchange.model is None:
        return "named no model: one is asked for"
    if expected.get("model") != exchange.body.get("model"):
        return "the deployment in the path is the model that is asked for"
    return None


def compact(body: Any) -> bytes:
    """Return JSON as most clients write it."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
