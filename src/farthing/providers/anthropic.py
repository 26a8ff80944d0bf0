"""Anthropic: its own paths and key header, and a version header without which it refuses."""

from farthing.config.schema import ProviderSettings
from farthing.providers.openai_compatible import OpenAICompatible
from farthing.providers.protocol import Credential, Operation
from farthing.types.providers import KnownProvider

KNOWN = (
    KnownProvider(
        kind="anthropic",
        wire="anthropic_messages",
        base_url="https://api.anthropic.com",
        credential_env="ANTHROPIC_API_KEY",
        price_key="anthropic",
    ),
)

_PATHS: dict[Operation, tuple[bytes, bytes]] = {
    "messages": (b"POST", b"/messages"),
    "count_tokens": (b"POST", b"/messages/count_tokens"),
    "models": (b"GET", b"/models"),
}
_DEFAULT_VERSION = b"anthropic-version: 2023-06-01\r\n"


class Anthropic(OpenAICompatible):
    """A configured Anthropic, or anything that speaks like it."""

    def request_head(
        self, operation: Operation, query: bytes, headers: bytes, body_bytes: int, model: str = ""
    ) -> bytes:
        """See `Provider.request_head`; a client that names no version gets the one that every SDK sends."""
        if b"anthropic-version:" not in headers:
            headers += _DEFAULT_VERSION
        return super().request_head(operation, query, headers, body_bytes, model)


def create(settings: ProviderSettings, known: KnownProvider, credential: Credential) -> Anthropic:
    """Return the provider that `settings` describe; its base address may or may not end in `/v1`."""
    suffix = "" if settings.base_url.rstrip("/").endswith("/v1") else "/v1"
    return Anthropic(
        settings,
        known,
        credential,
        paths=_PATHS,
        credential_header=b"x-api-key: %b\r\n",
        base_path_suffix=suffix,
    )
