"""Ollama: its own paths under /api, and OpenAI's for embeddings beside them under /v1.

It has OpenAI's paths for chat and completions too, which are not asked: they take no size of the context, and cut a
prompt silently that is longer than the default one. Such calls are translated to its own.

A local one needs no credential and is free. Ollama's cloud (https://ollama.com) speaks the same and takes a bearer
token: `credential: env:OLLAMA_API_KEY`.
"""

import msgspec

from farthing.config.schema import ProviderSettings
from farthing.providers.openai_compatible import OpenAICompatible
from farthing.providers.protocol import Credential, Operation
from farthing.types.providers import KnownProvider

KNOWN = (
    KnownProvider(
        kind="ollama",
        wire="ollama",
        also=("openai_embeddings",),
        base_url="http://127.0.0.1:11434",
        credential_env=None,
        stream_usage="ask",
        free=True,
    ),
)

_PATHS: dict[Operation, tuple[bytes, bytes]] = {
    "ollama_chat": (b"POST", b"/api/chat"),
    "ollama_generate": (b"POST", b"/api/generate"),
    "ollama_embed": (b"POST", b"/api/embed"),
    "ollama_embeddings": (b"POST", b"/api/embeddings"),
    "ollama_show": (b"POST", b"/api/show"),
    "models": (b"GET", b"/api/tags"),
    "embeddings": (b"POST", b"/v1/embeddings"),
}
_OFTEN_WRITTEN = ("/v1", "/api")
"""What other programs want at the end of an Ollama's address."""


def create(settings: ProviderSettings, known: KnownProvider, credential: Credential) -> OpenAICompatible:
    """Return the provider that `settings` describe; its address may end in `/v1` or `/api`."""
    address = settings.base_url
    for end in _OFTEN_WRITTEN:
        address = address.removesuffix(end)
    return OpenAICompatible(msgspec.structs.replace(settings, base_url=address), known, credential, paths=_PATHS)
