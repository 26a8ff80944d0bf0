"""The OpenAI face: chat completions, responses, legacy completions, embeddings and models.

What surprised us: Codex, which speaks responses and nothing else, calls six times again after a 402 and stops at a 429
that names no time to wait, so responses have a face of their own for refusals.
"""

import re
from collections.abc import Mapping, Sequence

import msgspec

from farthing.errors import FarthingError, MoneyError
from farthing.server.faces.protocol import RenderedError, Route, error_headers
from farthing.types.models import ListedModel

_TYPES = {401: "authentication_error", 402: "insufficient_quota", 403: "permission_error", 429: "rate_limit_error"}
_CHAT = Route(action="chat.completions", wire="openai_chat")
_COMPLETIONS = Route(action="completions", wire="openai_completions")
_EMBEDDINGS = Route(action="embeddings", wire="openai_embeddings", streamed=False)
_RESPONSES = Route(action="responses", wire="openai_responses")
_LIST = Route(action="list_models", wire="openai_chat")
_MODEL = re.compile(r"(?:/v1)?/models/(.+)")
_NOT_SERVED = (
    "/assistants",
    "/audio",
    "/batches",
    "/chat/completions/",  # completions that OpenAI has stored: by id, and their messages
    "/chatkit",
    "/containers",
    "/conversations",
    "/evals",
    "/files",
    "/fine_tuning",
    "/images",
    "/moderations",
    "/realtime",
    "/responses/",  # by id, its input items, cancel, compact, input_tokens
    "/threads",
    "/uploads",
    "/vector_stores",
    "/videos",
)
_NOT_SERVED_METHODS = (
    "DELETE /models/",
    "GET /chat/completions",  # the list of stored ones
    "GET /responses",  # responses over a WebSocket
)


class OpenAIFace:
    """What the OpenAI SDKs, and the many that speak like them, expect."""

    name = "openai"
    routes: Mapping[tuple[str, str], Route] = {
        ("POST", "/v1/chat/completions"): _CHAT,
        ("POST", "/chat/completions"): _CHAT,
        ("POST", "/v1/completions"): _COMPLETIONS,
        ("POST", "/completions"): _COMPLETIONS,
        ("POST", "/v1/embeddings"): _EMBEDDINGS,
        ("POST", "/embeddings"): _EMBEDDINGS,
        ("GET", "/v1/models"): _LIST,
        ("GET", "/models"): _LIST,
    }
    not_served: tuple[str, ...] = (
        "/v1/organization",
        "/v1/projects",
        "/v1/skills",
        *(base + path for path in _NOT_SERVED for base in ("/v1", "")),
        *(f"{method} {base}{path}" for method, path in map(str.split, _NOT_SERVED_METHODS) for base in ("/v1", "")),
    )

    def match(self, method: str, path: str) -> Route | None:
        """See `Face.match`: one model by its name; the path has come without its percent signs."""
        found = _MODEL.fullmatch(path) if method == "GET" else None
        return None if found is None else Route(action="show_model", wire="openai_chat", model=found.group(1))

    def render(self, error: FarthingError) -> RenderedError:
        """See `Face.render`. A refusal about money must stop the client."""
        return error.status, error_headers(error), self.render_refusal(error.status, error.code, str(error))

    def render_refusal(self, status: int, code: str, message: str) -> bytes:
        """See `Face.render_refusal`."""
        kind = _TYPES.get(status) or ("invalid_request_error" if status < 500 else "server_error")
        return msgspec.json.encode({"error": {"message": message, "type": kind, "param": None, "code": code}})

    def render_models(self, models: Sequence[ListedModel]) -> bytes:
        """See `Face.render_models`."""
        return msgspec.json.encode({"object": "list", "data": [_row(model) for model in models]})

    def render_model(self, model: ListedModel) -> bytes:
        """See `Face.render_model`."""
        return msgspec.json.encode(_row(model))


class ResponsesFace(OpenAIFace):
    """The same dialect where it is asked for responses."""

    routes: Mapping[tuple[str, str], Route] = {
        ("POST", "/v1/responses"): _RESPONSES,
        ("POST", "/responses"): _RESPONSES,
    }
    not_served: tuple[str, ...] = ()

    def match(self, method: str, path: str) -> Route | None:  # noqa: ARG002 - what has a name in its path is the OpenAI face's
        """See `Face.match`: it has none of its own."""
        return None

    def render(self, error: FarthingError) -> RenderedError:
        """See `Face.render`. A refusal about money is a 429 without `Retry-After`, which stops Codex and the SDKs."""
        if not isinstance(error, MoneyError):
            return super().render(error)
        headers = [header for header in error_headers(error) if header[0] != b"retry-after"]
        body = {"message": str(error), "type": "insufficient_quota", "param": None, "code": error.code}
        return 429, headers, msgspec.json.encode({"error": body})


def _row(model: ListedModel) -> dict[str, str | int]:
    return {"id": model.id, "object": "model", "created": 0, "owned_by": model.ref.provider}
