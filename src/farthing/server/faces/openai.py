"""The OpenAI face: chat completions and models."""

from collections.abc import Mapping, Sequence

import msgspec

from farthing.errors import FarthingError
from farthing.server.faces.protocol import Action, RenderedError, error_headers
from farthing.types.models import ListedModel
from farthing.types.providers import WireFormat

_TYPES = {401: "authentication_error", 402: "insufficient_quota", 403: "permission_error", 429: "rate_limit_error"}


class OpenAIFace:
    """What the OpenAI SDKs, and the many that speak like them, expect."""

    name = "openai"
    wire: WireFormat = "openai_chat"
    routes: Mapping[tuple[str, str], Action] = {
        ("POST", "/v1/chat/completions"): "chat.completions",
        ("POST", "/chat/completions"): "chat.completions",
        ("GET", "/v1/models"): "list_models",
        ("GET", "/models"): "list_models",
    }

    def render(self, error: FarthingError) -> RenderedError:
        """See `Face.render`. A refusal about money must stop the client."""
        return error.status, error_headers(error), self.render_refusal(error.status, error.code, str(error))

    def render_refusal(self, status: int, code: str, message: str) -> bytes:
        """See `Face.render_refusal`."""
        kind = _TYPES.get(status) or ("invalid_request_error" if status < 500 else "server_error")
        return msgspec.json.encode({"error": {"message": message, "type": kind, "param": None, "code": code}})

    def render_models(self, models: Sequence[ListedModel]) -> bytes:
        """See `Face.render_models`."""
        rows = [{"id": m.id, "object": "model", "created": 0, "owned_by": m.ref.provider} for m in models]
        return msgspec.json.encode({"object": "list", "data": rows})
