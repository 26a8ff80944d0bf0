"""The Ollama face: chat, generate, embeddings and models, as Ollama's clients and `ollama` itself ask for them.

Its clients send no key, so it stands in the path: `Client(host="http://127.0.0.1:3000/k/<key>")`. Some clients ask for
the version first and turn away from an old one, and `ollama list` cuts each digest without looking how long it is;
hence a version and digests that are made up, and say so here.
"""

import hashlib
from collections.abc import Mapping, Sequence

import msgspec

from farthing.errors import FarthingError
from farthing.server.faces.protocol import RenderedError, Route, error_headers
from farthing.types.models import ListedModel

_VERSION = "0.13.0"
"""The Ollama whose requests this face knows (thinking, tools, `/api/embed`). Copilot asks for 0.6.4 at least."""
_EPOCH = "1970-01-01T00:00:00Z"


class OllamaFace:
    """What Ollama's own SDKs, and the programs that were written for it, expect."""

    name = "ollama"
    routes: Mapping[tuple[str, str], Route] = {
        ("POST", "/api/chat"): Route(action="ollama_chat", wire="ollama", streams_by_default=True),
        ("POST", "/api/generate"): Route(action="ollama_generate", wire="ollama", streams_by_default=True),
        ("POST", "/api/embed"): Route(action="ollama_embed", wire="ollama", streamed=False),
        ("POST", "/api/embeddings"): Route(action="ollama_embeddings", wire="ollama", streamed=False),
        ("POST", "/api/show"): Route(action="ollama_show", wire="ollama", streamed=False),
        ("GET", "/api/tags"): Route(action="list_models", wire="ollama"),
        ("GET", "/api/version"): Route(action="fixed", wire="ollama", fixed=msgspec.json.encode({"version": _VERSION})),
        # Which models are in memory is the business of the machine that holds them; here none ever is. Passing this on
        # where there is one Ollama would change its meaning on the day that a second one is configured.
        ("GET", "/api/ps"): Route(action="fixed", wire="ollama", fixed=b'{"models":[]}'),
    }
    not_served: tuple[str, ...] = (
        "/api/pull",
        "/api/push",
        "/api/create",
        "/api/copy",
        "/api/delete",
        "/api/blobs",
    )

    def match(self, method: str, path: str) -> Route | None:  # noqa: ARG002 - no path of it holds a model's name
        """See `Face.match`: it has none."""
        return None

    def render(self, error: FarthingError) -> RenderedError:
        """See `Face.render`."""
        return error.status, error_headers(error), self.render_refusal(error.status, error.code, str(error))

    def render_refusal(self, status: int, code: str, message: str) -> bytes:  # noqa: ARG002 - the shape has a place for the message only
        """See `Face.render_refusal`."""
        return msgspec.json.encode({"error": message})

    def render_models(self, models: Sequence[ListedModel]) -> bytes:
        """See `Face.render_models`."""
        return msgspec.json.encode({"models": [_row(model) for model in models]})

    def render_model(self, model: ListedModel) -> bytes:
        """See `Face.render_model`."""
        return msgspec.json.encode(_row(model))


def _row(model: ListedModel) -> dict[str, object]:
    return {
        "name": model.id,
        "model": model.id,
        "modified_at": _EPOCH,
        "size": 0,
        # Clients tell models apart by it; it stands for provider and name, since we never see the weights.
        "digest": hashlib.sha256(str(model.ref).encode()).hexdigest(),
        "details": {
            "parent_model": "",
            "format": "",
            "family": "",
            "families": [],
            "parameter_size": "",
            "quantization_level": "",
        },
    }
