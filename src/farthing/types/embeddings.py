"""Embeddings in no format of their own: texts that are to become vectors, and the vectors."""

from collections.abc import Mapping

import msgspec

from farthing.types.chat import Foreign
from farthing.types.providers import WireFormat


class ToEmbed(msgspec.Struct, frozen=True):
    """What becomes one vector: a text, a text as numbers of one model's tokens, or what only its own format knows.

    `task` is what the vector is for (`RETRIEVAL_QUERY`), and `title` that of the document that the text is from;
    both are Google's.
    """

    content: str | tuple[int, ...] | Foreign
    task: str | None = None
    title: str | None = None


class EmbeddingRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be embedded. `None` means that the client did not say; `extra` holds what only its format knows."""

    origin: WireFormat
    model: str
    inputs: tuple[ToEmbed, ...]
    dimensions: int | None = None
    truncate: bool | None = None
    """Whether a text that is too long may be cut, rather than refused."""
    base64: bool = False
    """Whether the client wants each vector as base64 of little-endian floats of 32 bits."""
    user: str | None = None
    extra: Mapping[str, bytes] = msgspec.field(default_factory=dict)


class EmbeddingAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The vectors, in the order of the inputs; one that is empty could not be read. `model` is what served, if told."""

    model: str | None
    vectors: tuple[tuple[float, ...], ...]
