"""The Gemini face: generateContent and its kin, where the path names the model and, after the last colon, the action.

A model's own name may hold colons and slashes (`models/gemini:gemini-2.5-flash:generateContent`), plain or encoded; the
path has come without its percent signs and is cut at the last colon. `/v1/models` it shares with the OpenAI face; who
is meant there is told by where only Gemini's clients put their key. Our list of models has one page: `pageSize` is a
wish, and no `nextPageToken` says that there is nothing more.
"""

import re
from collections.abc import Mapping, Sequence

import msgspec

from farthing.errors import FarthingError
from farthing.providers.protocol import Operation
from farthing.server.faces.protocol import RenderedError, Route, error_headers
from farthing.types.models import ListedModel
from farthing.wire.peek import is_model_name

_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "FAILED_PRECONDITION",  # what Google says where billing is off
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    504: "DEADLINE_EXCEEDED",
}
_ACTIONS: dict[str, tuple[Operation, bool]] = {
    "generateContent": ("generate_content", False),
    "streamGenerateContent": ("stream_generate_content", True),
    "countTokens": ("count_tokens", False),
    "embedContent": ("embed_content", False),
    "batchEmbedContents": ("batch_embed_contents", False),
}
_METHODS = list(_ACTIONS)
_PATH = re.compile(r"/v1(?:beta|alpha)?/((?:models|tunedModels)/.+)")


class GeminiFace:
    """What Google's SDKs and the Gemini CLI expect."""

    name = "gemini"
    routes: Mapping[tuple[str, str], Route] = {
        ("GET", "/v1beta/models"): Route(action="list_models", wire="gemini"),
        ("GET", "/v1alpha/models"): Route(action="list_models", wire="gemini"),
    }
    not_served: tuple[str, ...] = (
        "/v1beta/",  # cachedContents, files, tunedModels, batches, interactions, operations, actions of other models
        "/v1alpha/",
        "POST /v1/models/",
        "/v1/tunedModels",
        "/v1/cachedContents",
        "/v1/interactions",
        "/upload/v1",
        "/download/v1",
        "/ws/google.ai.generativelanguage",
    )

    def match(self, method: str, path: str) -> Route | None:
        """See `Face.match`. The OpenAI face finds `GET /v1/models/...` before this one is asked."""
        found = _PATH.fullmatch(path)
        if found is None:
            return None
        named = found.group(1)
        if method == "GET":
            if "/operations" in named or named.startswith("tunedModels/"):
                return None
            return Route(action="show_model", wire="gemini", model=_model_of(named))
        name, colon, action = named.rpartition(":")
        model = _model_of(name)
        if method != "POST" or not colon or action not in _ACTIONS:
            return None
        if not is_model_name(model):
            return None
        operation, streamed = _ACTIONS[action]
        return Route(action=operation, wire="gemini", model=model, streamed=streamed)

    def render(self, error: FarthingError) -> RenderedError:
        """See `Face.render`. Google's SDKs retry nothing unless told to, and then neither 402 nor 403."""
        return error.status, error_headers(error), self.render_refusal(error.status, error.code, str(error))

    def render_refusal(self, status: int, code: str, message: str) -> bytes:
        """See `Face.render_refusal`; our own code is in the details, where Google's SDKs show it."""
        named = _STATUSES.get(status) or ("INVALID_ARGUMENT" if status < 500 else "UNAVAILABLE")
        details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": code, "domain": "farthing"}]
        return msgspec.json.encode({"error": {"code": status, "message": message, "status": named, "details": details}})

    def render_models(self, models: Sequence[ListedModel]) -> bytes:
        """See `Face.render_models`."""
        return msgspec.json.encode({"models": [_row(model) for model in models]})

    def render_model(self, model: ListedModel) -> bytes:
        """See `Face.render_model`."""
        return msgspec.json.encode(_row(model))


def _model_of(named: str) -> str:
    """Return the model in a path; clients that are given a resource's name encode it whole behind another `models/`."""
    return named.removeprefix("models/").removeprefix("models/")


def _row(model: ListedModel) -> dict[str, str | list[str]]:
    return {
        "name": f"models/{model.id}",
        "version": "",
        "displayName": model.id,
        "supportedGenerationMethods": _METHODS,
    }
