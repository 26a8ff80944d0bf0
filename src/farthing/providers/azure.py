"""Azure OpenAI: everybody has an address of their own, and the key goes into a header of its own.

There are two styles. The new one ends in `/openai/v1` and is OpenAI's own; the old one has the deployment in the path
and a dated `api-version` behind it. The base address tells which is meant. A deployment's name is the customer's, so
the price follows from the model that the answer names.
"""

from urllib.parse import quote, urlsplit

from farthing.config.schema import ProviderSettings
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
_API_VERSION = "2024-10-21"
"""The last version of the old style that is no preview."""
_BY_DEPLOYMENT: frozenset[Operation] = frozenset({"chat.completions", "completions", "embeddings"})
_OLD_PATHS: dict[Operation, tuple[bytes, bytes]] = {
    operation: (method, b"/deployments/{model}" + path if operation in _BY_DEPLOYMENT else path)
    for operation, (method, path) in PATHS.items()
}


class OldAzure(OpenAICompatible):
    """A configured Azure in the old style."""

    def __init__(self, settings: ProviderSettings, known: KnownProvider, credential: Credential) -> None:
        suffix = "" if settings.base_url.endswith("/openai") else "/openai"
        super().__init__(
            settings,
            known,
            credential,
            paths=_OLD_PATHS,
            credential_header=_CREDENTIAL_HEADER,
            base_path_suffix=suffix,
        )
        self._version = b"api-version=" + quote(settings.api_version or _API_VERSION, safe="").encode()

    def request_head(
        self, operation: Operation, query: bytes, headers: bytes, body_bytes: int, model: str = ""
    ) -> bytes:
        """See `Provider.request_head`; with the version, unless the client names one."""
        if b"api-version=" not in query:
            query = query + b"&" + self._version if query else self._version
        return super().request_head(operation, query, headers, body_bytes, model)


def create(settings: ProviderSettings, known: KnownProvider, credential: Credential) -> OpenAICompatible:
    """Return the provider that `settings` describe."""
    if urlsplit(settings.base_url).path.endswith("/openai/v1"):
        return OpenAICompatible(settings, known, credential, credential_header=_CREDENTIAL_HEADER)
    return OldAzure(settings, known, credential)
