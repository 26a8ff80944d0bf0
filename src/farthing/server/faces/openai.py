"""The OpenAI face: chat completions and models."""

import re
from collections.abc import Mapping, Sequence
from urllib.parse import unquote

import msgspec

from farthing.errors import FarthingError
from farthing.server.faces.protocol import RenderedError, Route, error_headers
from farthing.types.models import ListedModel

_TYPES = {401: "authentication_error", 402: "insufficient_quota", 403: "permission_error", 429: "rate_limit_error"}
_CHAT = Route(action="chat.completions", wire="openai_chat")
_LIST = Route(action="list_models", wire="openai_chat")
_MODEL = re.compile(r"(?:/v1)?/models/(.+)")


class OpenAIFace:
    """What the OpenAI SDKs, and the many that speak like them, expect."""

    name = "openai"
    routes: Mapping[tuple[str, str], Route] = {
        ("POST", "/v1/chat/completions"): _CHAT,
        ("POST", "/chat/completions"): _CHAT,
        ("GET", "/v1/models"): _LIST,
        ("GET", "/models"): _LIST,
    }
    not_served: tuple[str, ...] = (
        "/v1/realtime",
        "/v1/assistants",
        "/v1/threads",
        "/v1/images",
        "/v1/audio",
        "/v1/videos",
    )

    def match(self, method: str, path: str) -> Route | None:
        """See `Face.match`: one model by its name."""
        found = _MODEL.fullmatch(path) if method == "GET" else None
        return None if found is None else Route(action="show_model", wire="openai_chat", model=unquote(found.group(1)))

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


def _row(model: ListedModel) -> dict[str, str | int]:
    return {"id": model.id, "object": "model", "created": 0, "owned_by": model.ref.provider}
