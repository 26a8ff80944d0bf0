"""Azure: everybody has an address of their own, and the key goes into a header of its own.

There are three styles, and the base address tells which is meant. The new one ends in `/openai/v1` and is OpenAI's own.
The one that ends in `/models` has everybody's models (Azure AI Foundry) behind two paths and a dated `api-version`, and
no list of them. Any other is the old one, which has the deployment in the path and the version behind it. A
deployment's name is the customer's, so the price follows from the model that the answer names.
"""

from urllib.parse import quote, urlsplit

import msgspec

from farthing.config.schema import ProviderSettings
from farthing.errors import InvalidRequest
from farthing.providers.openai_compatible import PATHS, OpenAICompatible
from farthing.providers.protocol import Credential, Operation
from farthing.types.providers import KnownProvider

KNOWN = (
    KnownProvider(
        kind="azure",
        wire="openai_chat",
        also=("openai_responses", "openai_completions", "openai_embeddings"),
        base_url=None,
        credential_env="AZURE_OPENAI_API_KEY",
        stream_usage="ask",
        price_key="azure",
    ),
)

_CREDENTIAL_HEADER = b"api-key: %b\r\n"
_OLD_VERSION = "2024-10-21"
"""The last version of the old style that is no preview."""
_MODELS_VERSION = "2024-05-01-preview"
"""The one version that the style with `/models` has been recorded with."""
_BY_DEPLOYMENT: frozenset[Operation] = frozenset({"chat.completions", "completions", "embeddings"})
_OLD_PATHS: dict[Operation, tuple[bytes, bytes]] = {
    operation: (method, b"/deployments/{model}" + path if operation in _BY_DEPLOYMENT else path)
    for operation, (method, path) in PATHS.items()
}
_MODELS_PATHS: dict[Operation, tuple[bytes, bytes]] = {
    operation: PATHS[operation] for operation in ("chat.completions", "embeddings")
}


class DatedAzure(OpenAICompatible):
    """A configured Azure in a style with a version in the query, and perhaps a deployment in the path."""

    def __init__(
        self,
        settings: ProviderSettings,
        known: KnownProvider,
        credential: Credential,
        paths: dict[Operation, tuple[bytes, bytes]],
        version: str,
        base_path_suffix: str,
    ) -> None:
        super().__init__(
            settings,
            known,
            credential,
            paths=paths,
            credential_header=_CREDENTIAL_HEADER,
            base_path_suffix=base_path_suffix,
        )
        self._version = b"api-version=" + quote(settings.api_version or version, safe="").encode()
        self._in_path = _BY_DEPLOYMENT if paths is _OLD_PATHS else frozenset()

    def request_head(
        self, operation: Operation, query: bytes, headers: bytes, body_bytes: int, model: str = ""
    ) -> bytes:
        """See `Provider.request_head`; with the version, unless the client names one.

        Raises `InvalidRequest` for a deployment that is no part of a path: some servers take `%2E%2E` for a step up.
        """
        if operation in self._in_path and not _is_part_of_a_path(model):
            raise InvalidRequest(
                f"the deployment {model[:60]!r} cannot stand in a path", hint="send the deployment's name as the model"
            )
        if not any(part.startswith(b"api-version=") for part in query.split(b"&")):
            query = query + b"&" + self._version if query else self._version
        return super().request_head(operation, query, headers, body_bytes, model)


def _is_part_of_a_path(name: str) -> bool:
    return name not in ("", ".", "..") and name.isprintable() and not set(name) & set("/\\")


def create(settings: ProviderSettings, known: KnownProvider, credential: Credential) -> OpenAICompatible:
    """Return the provider that `settings` describe."""
    path = urlsplit(settings.base_url).path.rstrip("/")
    if path.endswith("/openai/v1"):
        return OpenAICompatible(settings, known, credential, credential_header=_CREDENTIAL_HEADER)
    if path.endswith("/models"):
        fewer = msgspec.structs.replace(known, also=("openai_embeddings",))
        return DatedAzure(settings, fewer, credential, _MODELS_PATHS, _MODELS_VERSION, "")
    suffix = "" if path.endswith("/openai") else "/openai"
    return DatedAzure(settings, known, credential, _OLD_PATHS, _OLD_VERSION, suffix)
