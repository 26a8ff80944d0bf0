"""Everything that speaks OpenAI's chat completions: the generic provider, and the vendors that are only a row.

A vendor with behaviour of its own is a file; whoever merely has another address and another key variable is a row here.
"""

from urllib.parse import quote, urlsplit

import msgspec

from farthing.config.schema import ProviderSettings
from farthing.errors import CredentialMissing, NotServed
from farthing.providers.pool import Origin, Timeouts
from farthing.providers.protocol import Credential, Operation
from farthing.types.providers import KnownProvider

KNOWN = (
    KnownProvider(kind="openai-compatible", wire="openai_chat", base_url=None, credential_env=None, stream_usage="ask"),
    KnownProvider(
        kind="openrouter",
        wire="openai_chat",
        base_url="https://openrouter.ai/api/v1",
        credential_env="OPENROUTER_API_KEY",
        price_key="openrouter",
    ),
    KnownProvider(
        kind="groq",
        wire="openai_chat",
        base_url="https://api.groq.com/openai/v1",
        credential_env="GROQ_API_KEY",
        price_key="groq",
    ),
    KnownProvider(
        kind="deepseek",
        wire="openai_chat",
        base_url="https://api.deepseek.com",
        credential_env="DEEPSEEK_API_KEY",
        price_key="deepseek",
    ),
    KnownProvider(
        kind="mistral",
        wire="openai_chat",
        base_url="https://api.mistral.ai/v1",
        credential_env="MISTRAL_API_KEY",
        price_key="mistral",
    ),
)


class _Row(msgspec.Struct):
    id: str


class _List(msgspec.Struct):
    data: list[_Row]


_lists = msgspec.json.Decoder(_List)

PATHS: dict[Operation, tuple[bytes, bytes]] = {
    "chat.completions": (b"POST", b"/chat/completions"),
    "models": (b"GET", b"/models"),
}


class OpenAICompatible:
    """A provider whose paths follow its base address and whose key is a bearer token."""

    def __init__(
        self,
        settings: ProviderSettings,
        known: KnownProvider,
        credential: Credential,
        *,
        paths: dict[Operation, tuple[bytes, bytes]] = PATHS,
        credential_header: bytes = b"authorization: Bearer %b\r\n",
        base_path_suffix: str = "",
    ) -> None:
        self.name = settings.name
        self.known = known
        self.free = settings.free
        self.hold_s = settings.hold_s
        self.asks_for_usage = settings.stream_usage == "ask"
        address = urlsplit(settings.base_url)
        port = address.port or (443 if address.scheme == "https" else 80)
        host = address.hostname or ""
        self.origin = Origin(
            scheme="https" if address.scheme == "https" else "http", host=host, port=port, ca_file=settings.ca_file
        )
        self.timeouts = Timeouts(
            connect_s=settings.timeouts.connect_s,
            first_byte_s=settings.timeouts.first_byte_s,
            idle_s=settings.timeouts.idle_s,
            total_s=settings.timeouts.total_s,
        )
        self._missing = credential.missing
        self._secret = b"" if credential.secret is None else credential.secret.reveal().encode()
        always = b"host: %b\r\naccept-encoding: identity\r\n" % address.netloc.encode()
        if credential.secret is not None:
            always += credential_header % self._secret
        base_path = address.path.rstrip("/").encode() + base_path_suffix.encode()
        self._starts = {
            operation: (method + b" " + base_path + path, b" HTTP/1.1\r\n" + always)
            for operation, (method, path) in paths.items()
        }

    def request_head(
        self, operation: Operation, query: bytes, headers: bytes, body_bytes: int, model: str = ""
    ) -> bytes:
        """See `Provider.request_head`; a path with a place for the model gets its name there."""
        if self._missing is not None:
            raise CredentialMissing(
                f"provider '{self.name}' has no credential: {self._missing}",
                hint="the operator sets it and starts Farthing again",
            )
        try:
            start, always = self._starts[operation]
        except KeyError:
            raise NotServed(f"provider '{self.name}' has no {operation}") from None
        if b"{model}" in start:
            start = start.replace(b"{model}", quote(model, safe="").encode())
        if query:
            start = b"%b?%b" % (start, query)
        if body_bytes:
            return b"%b%b%bcontent-length: %d\r\n\r\n" % (start, always, headers, body_bytes)
        return b"%b%b%b\r\n" % (start, always, headers)

    def model_names(self, body: bytes) -> list[str]:
        """See `Provider.model_names`."""
        return [row.id for row in _lists.decode(body).data]

    def redacted(self, body: bytes) -> bytes:
        """See `Provider.redacted`."""
        return body.replace(self._secret, b"***") if self._secret else body


def create(settings: ProviderSettings, known: KnownProvider, credential: Credential) -> OpenAICompatible:
    """Return the provider that `settings` describe."""
    return OpenAICompatible(settings, known, credential)
