"""What the gateway needs of a provider."""

from typing import Literal, Protocol

import msgspec

from farthing.providers.pool import Origin, Timeouts
from farthing.types.providers import KnownProvider
from farthing.types.secret import Secret

Operation = Literal[
    "chat.completions",
    "responses",
    "completions",
    "embeddings",
    "messages",
    "count_tokens",
    "generate_content",
    "stream_generate_content",
    "embed_content",
    "batch_embed_contents",
    "ollama_chat",
    "ollama_generate",
    "ollama_embed",
    "ollama_embeddings",
    "ollama_show",
    "models",
]
"""What can be asked of a provider; a provider refuses (`NotServed`) what it does not have. `count_tokens` is asked in
whatever format the provider is at home in."""

ONLY_READ: frozenset[Operation] = frozenset(
    {"embeddings", "embed_content", "batch_embed_contents", "ollama_embed", "ollama_embeddings"}
)
"""Operations that write nothing: what they answer with costs nothing."""


class Credential(msgspec.Struct, frozen=True):
    """What a provider is called with: a secret, or none because it needs none, or what is `missing`, in words."""

    secret: Secret | None = None
    missing: str | None = None


class Provider(Protocol):
    """One configured provider."""

    name: str
    known: KnownProvider
    origin: Origin
    timeouts: Timeouts
    free: bool
    hold_s: float
    asks_for_usage: bool

    def request_head(
        self, operation: Operation, query: bytes, headers: bytes, body_bytes: int, model: str = ""
    ) -> bytes:
        """Return a whole HTTP request head, blank line included, with our credential in it.

        `model` is for formats that name it in the path. `headers` are ready header lines to pass on; they hold no
        credential, no host and no length. Raises `CredentialMissing` where the provider needs one that is not there.
        """
        ...

    def model_names(self, body: bytes) -> list[str]:
        """Return the names in the provider's list of models; raises `UNREADABLE` errors where it is none."""
        ...

    def next_page(self, body: bytes) -> bytes:
        """Return the query that asks for what follows such a list; empty where that was all of it."""
        ...

    def redacted(self, body: bytes) -> bytes:
        """Return an error body without our credential, should the provider repeat it."""
        ...
