"""Anthropic: its own paths and key header, and a version header without which it refuses."""

from urllib.parse import quote

import msgspec

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
        maker=True,
    ),
)

_PATHS: dict[Operation, tuple[bytes, bytes]] = {
    "messages": (b"POST", b"/messages"),
    "count_tokens": (b"POST", b"/messages/count_tokens"),
    "models": (b"GET", b"/models"),
}
_PAGE = b"limit=1000"  # the most that it gives at once; 20 unless asked
_DEFAULT_VERSION = b"anthropic-version: 2023-06-01\r\n"


class _Paged(msgspec.Struct, gc=False):
    has_more: bool = False
    last_id: str | None = None


_pages = msgspec.json.Decoder(_Paged)


class Anthropic(OpenAICompatible):
    """A configured Anthropic, or anything that speaks like it."""

    def request_head(
        self, operation: Operation, query: bytes, headers: bytes, body_bytes: int, model: str = ""
    ) -> bytes:
        """See `Provider.request_head`; a client that names no version gets the one that every SDK sends."""
        if operation == "models":
            query = b"%b&%b" % (_PAGE, query) if query else _PAGE
        if b"anthropic-version:" not in headers:
            headers += _DEFAULT_VERSION
        return super().request_head(operation, query, headers, body_bytes, model)

    def next_page(self, body: bytes) -> bytes:
        """See `Provider.next_page`."""
        page = _pages.decode(body)
        return b"after_id=" + quote(page.last_id, safe="").encode() if page.has_more and page.last_id else b""


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
