"""The recorded exchanges, and which operation of the gateway each of them is.

What an exchange asked for is read from its path, because the recordings' own names for it (`embeddings`, `chat`) stand
for several formats. What Farthing does not serve has a reason here, so that nothing is left out in silence.
"""

import json
import re
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from farthing.providers.protocol import Operation
from farthing.types.providers import WireFormat


@dataclass(frozen=True)
class Asked:
    """What a recorded path asks for: where its provider's paths begin, which it is of them, and the model in it."""

    operation: Operation
    wire: WireFormat
    base: str
    path: str
    model: str | None = None


@dataclass(frozen=True)
class Exchange:
    """One recorded request and its answer."""

    slug: str
    provider: str
    api: str
    method: str
    path: str
    query: str
    body: Any
    headers: dict[str, str]
    features: frozenset[str]
    answer: dict[str, Any] = field(repr=False)
    usage: dict[str, Any] | None = field(repr=False)
    usage_events: list[dict[str, Any]] = field(repr=False)

    @cached_property
    def recorded(self) -> bytes:
        """The bytes of the answer, as the replay server sends them."""
        if self.answer["body_kind"] == "json":
            exact = self.answer.get("body_text")
            if exact is None:
                exact = json.dumps(self.answer["body"], ensure_ascii=False, separators=(",", ":"))
            return str(exact).encode()
        return (self.answer["body"] or "").encode()

    @property
    def status(self) -> int:
        return int(self.answer["status"])

    @property
    def kind(self) -> str:
        """What the recording says that the answer's body is: `json`, `sse`, `ndjson`, `text` or `empty`."""
        return str(self.answer["body_kind"])

    @cached_property
    def asked(self) -> Asked | None:
        """What it asks for; `None` where that is no operation of ours."""
        return asked_for(self.method, self.path)

    @property
    def model(self) -> str | None:
        """The model that its path or its body names."""
        if self.asked is not None and self.asked.model is not None:
            return self.asked.model
        model = self.body.get("model") if isinstance(self.body, dict) else None
        return model if isinstance(model, str) and model else None


_ENDINGS: tuple[tuple[str, Operation, WireFormat], ...] = (
    ("/v1/messages/count_tokens", "count_tokens", "anthropic_messages"),
    ("/v1/messages", "messages", "anthropic_messages"),
    ("/chat/completions", "chat.completions", "openai_chat"),
    ("/completions", "completions", "openai_completions"),
    ("/responses", "responses", "openai_responses"),
    ("/api/embeddings", "ollama_embeddings", "ollama"),
    ("/embeddings", "embeddings", "openai_embeddings"),
    ("/api/chat", "ollama_chat", "ollama"),
    ("/api/generate", "ollama_generate", "ollama"),
    ("/api/embed", "ollama_embed", "ollama"),
    ("/api/show", "ollama_show", "ollama"),
)
"""How a path ends when the body names the model; the first that fits counts."""

_VERBS: dict[str, Operation] = {
    "generateContent": "generate_content",
    "streamGenerateContent": "stream_generate_content",
    "countTokens": "count_tokens",
    "embedContent": "embed_content",
    "batchEmbedContents": "batch_embed_contents",
}
_MODEL_IN_PATH = re.compile(r"(?P<base>.*?)(?P<path>/v1(?:beta)?/models/(?P<model>[^/:]+):(?P<verb>[A-Za-z]+))")

_DEPLOYMENT = re.compile(r"(?P<base>.*/openai)/deployments/(?P<model>[^/]+)(?P<path>/.+)")
"""Azure's old style: the deployment in the path is the model that is asked for."""


def asked_for(method: str, path: str) -> Asked | None:
    """Return what a recorded request asks for."""
    if method != "POST":
        return None
    found = _MODEL_IN_PATH.fullmatch(path)
    if found is not None and found["verb"] in _VERBS:
        return Asked(_VERBS[found["verb"]], "gemini", found["base"], found["path"], unquote(found["model"]))
    found = _DEPLOYMENT.fullmatch(path)
    if found is not None:
        path = found["base"] + found["path"]
    for ending, operation, wire in _ENDINGS:
        if path.endswith(ending):
            return Asked(operation, wire, path.removesuffix(ending), ending, found and unquote(found["model"]))
    return None


NOT_SERVED = "files, batches, images, audio, stored answers and the like are refused with 501"
_NOT_OURS = (
    ("bedrock", "", "Bedrock's own formats are signed and binary"),
    ("vertex", "", "Vertex names project, place and publisher in its paths"),
    ("cohere", "", "Cohere's own formats"),
    ("cloudflare", "run", "Cloudflare's own format"),
    ("", "rerank", "reranking is no format of ours"),
    ("", "models", "lists of models are answered by the gateway itself"),
    ("", "api/tags", "lists of models are answered by the gateway itself"),
)
"""Provider and api (empty: any) of what is left out, and why."""


def reason_to_leave_out(exchange: Exchange) -> str | None:
    """Return why an exchange is not played; `None` where it is."""
    if exchange.asked is not None:
        return None if isinstance(exchange.body, dict) else "its request body is no JSON object"
    for provider, api, reason in _NOT_OURS:
        if provider in ("", exchange.provider) and api in ("", exchange.api):
            return reason
    return NOT_SERVED


def load(folder: Path) -> list[Exchange]:
    """Return every recorded exchange."""
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    return [_read(folder / "exchanges" / f"{row['slug']}.json") for row in index]


def load_documented(folder: Path) -> list[Exchange]:
    """Return what was written by hand after what providers document: failures, but for two whose streams are well."""
    return [_described(_read(file)) for file in sorted((folder / "documented").rglob("*.json"))]


def _described(exchange: Exchange) -> Exchange:
    """Return it with the usage and the features that nobody computed for the documented ones."""
    events = [line[5:] for line in exchange.recorded.splitlines() if line.startswith(b"data: {")]
    if exchange.kind != "sse" or any(b'"error"' in event for event in events):
        return exchange
    last = json.loads(events[-1])
    usage = last.get("usage") or last.get("usageMetadata")
    return replace(exchange, usage=usage, features=exchange.features - {"error_in_200"})


def _read(file: Path) -> Exchange:
    row = json.loads(file.read_text(encoding="utf-8"))
    request = row["request"]
    path, _, query = request["path"].partition("?")
    return Exchange(
        slug=row["slug"],
        provider=row["provider"],
        api=row["api"],
        method=request["method"],
        path=path.replace("//", "/"),  # a slash too many in two clients' settings
        query=query,
        body=request["body"],
        headers=request["headers"],
        features=frozenset(row["features"]),
        answer=row["response"],
        usage=row.get("usage"),
        usage_events=row.get("usage_events") or [],
    )
