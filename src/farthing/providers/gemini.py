"""Google's Gemini API: the model is in the path, the key in a header of its own.

Tuned models have a path of their own (`tunedModels/x`), and the list of models is paged and holds many that only make
pictures or films, which nothing here can ask.
"""

from typing import Any

import msgspec

from farthing.config.schema import ProviderSettings
from farthing.providers.openai_compatible import OpenAICompatible
from farthing.providers.protocol import Credential, Operation
from farthing.types.providers import KnownProvider

KNOWN = (
    KnownProvider(
        kind="gemini",
        wire="gemini",
        base_url="https://generativelanguage.googleapis.com",
        credential_env="GEMINI_API_KEY",
        price_key="google",
        foreign=("claude",),  # Google sells those by another API
    ),
)

_PATHS: dict[Operation, tuple[bytes, bytes]] = {
    "generate_content": (b"POST", b"/models/{model}:generateContent"),
    "stream_generate_content": (b"POST", b"/models/{model}:streamGenerateContent"),
    "count_tokens": (b"POST", b"/models/{model}:countTokens"),
    "embed_content": (b"POST", b"/models/{model}:embedContent"),
    "batch_embed_contents": (b"POST", b"/models/{model}:batchEmbedContents"),
    "models": (b"GET", b"/models?pageSize=1000"),  # the most that Google gives at once; 50 unless asked
}
_VERSIONS = ("/v1beta", "/v1", "/v1alpha")
_TUNED = "tunedModels/"
_ASKABLE = {"generateContent", "embedContent", "batchEmbedContents"}


class _Row(msgspec.Struct):
    name: str
    supportedGenerationMethods: list[Any] | None = None  # noqa: N815 - Google's name


class _List(msgspec.Struct):
    models: list[_Row] = []


_lists = msgspec.json.Decoder(_List)


class Gemini(OpenAICompatible):
    """A configured Gemini, or anything that speaks like it."""

    def request_head(
        self, operation: Operation, query: bytes, headers: bytes, body_bytes: int, model: str = ""
    ) -> bytes:
        """See `Provider.request_head`."""
        model = model.removeprefix("models/")
        head = super().request_head(operation, query, headers, body_bytes, model)
        if model.startswith(_TUNED):
            line, ending, rest = head.partition(b"\r\n")
            head = line.replace(b"/models/tunedModels%2F", b"/tunedModels/", 1) + ending + rest
        return head

    def model_names(self, body: bytes) -> list[str]:
        """See `Provider.model_names`; those that nothing here can ask are left out."""
        return [
            row.name.removeprefix("models/")
            for row in _lists.decode(body).models
            if row.supportedGenerationMethods is None
            or any(isinstance(method, str) and method in _ASKABLE for method in row.supportedGenerationMethods)
        ]


def create(settings: ProviderSettings, known: KnownProvider, credential: Credential) -> Gemini:
    """Return the provider that `settings` describe; its base address may or may not name a version."""
    suffix = "" if settings.base_url.rstrip("/").endswith(_VERSIONS) else "/v1beta"
    return Gemini(
        settings,
        known,
        credential,
        paths=_PATHS,
        credential_header=b"x-goog-api-key: %b\r\n",
        base_path_suffix=suffix,
    )
