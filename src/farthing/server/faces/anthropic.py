"""The Anthropic face: messages, count_tokens and models."""

from collections.abc import Mapping, Sequence

import msgspec

from farthing.errors import FarthingError
from farthing.server.faces.protocol import RenderedError, Route, error_headers
from farthing.types.models import ListedModel

_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
_EPOCH = "1970-01-01T00:00:00Z"


class AnthropicFace:
    """What the Anthropic SDKs and Claude Code expect."""

    name = "anthropic"
    routes: Mapping[tuple[str, str], Route] = {
        ("POST", "/v1/messages"): Route(action="messages", wire="anthropic_messages"),
        ("POST", "/v1/messages/count_tokens"): Route(action="count_tokens", wire="anthropic_messages", streamed=False),
    }
    not_served: tuple[str, ...] = ("/v1/messages/batches", "/v1/files", "/v1/organizations")

    def match(self, method: str, path: str) -> Route | None:  # noqa: ARG002 - the paths that it shares are found by the OpenAI face
        """See `Face.match`: it has none of its own; its list of models shares a path with the OpenAI face."""
        return None

    def render(self, error: FarthingError) -> RenderedError:
        """See `Face.render`. Claude Code stops at 402 and 403 and keeps retrying at 429 and 5xx."""
        return error.status, error_headers(error), self.render_refusal(error.status, error.code, str(error))

    def render_refusal(self, status: int, code: str, message: str) -> bytes:
        """See `Face.render_refusal`."""
        kind = _TYPES.get(status) or ("invalid_request_error" if status < 500 else "api_error")
        return msgspec.json.encode({"type": "error", "error": {"type": kind, "message": message, "code": code}})

    def render_models(self, models: Sequence[ListedModel]) -> bytes:
        """See `Face.render_models`."""
        rows = [_row(model) for model in models]
        return msgspec.json.encode(
            {
                "data": rows,
                "has_more": False,
                "first_id": rows[0]["id"] if rows else None,
                "last_id": rows[-1]["id"] if rows else None,
            }
        )

    def render_model(self, model: ListedModel) -> bytes:
        """See `Face.render_model`."""
        return msgspec.json.encode(_row(model))


def _row(model: ListedModel) -> dict[str, str]:
    return {"type": "model", "id": model.id, "display_name": model.id, "created_at": _EPOCH}
