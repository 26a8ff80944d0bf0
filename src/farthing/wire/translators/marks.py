"""Marks in the place of signatures that a client cannot be given: those of another format, or none at all.

Anthropic's clients expect a signature on every thinking block and send it back. What another provider thought has
none that Anthropic could read, so the client is given a mark. A mark is short, says whose signature it stands for, and
is known again by its beginning: it never reaches a provider, which would refuse it.
"""

from hashlib import blake2b
from typing import cast, get_args

from farthing.types.chat import Signature
from farthing.types.marks import MARK
from farthing.types.providers import WireFormat

_HASH_BYTES = 8
"""A mark tells a few hundred signatures of one conversation apart: 8 bytes do."""


def marked(signature: Signature | None) -> str:
    """Return the mark that stands for a signature, or for none."""
    if signature is None:
        return f"{MARK}none.0"
    if is_marked(signature.value):
        return signature.value
    digest = blake2b(signature.value.encode("utf-8", "surrogatepass"), digest_size=_HASH_BYTES).hexdigest()
    return f"{MARK}{signature.origin}.{digest}"


def is_marked(value: str) -> bool:
    """Return whether a signature that a client sent is a mark of ours."""
    return value.startswith(MARK)


def unmarked(value: str) -> Signature | None:
    """Return what a mark says of the signature that it stands for: whose it was; `None` where there was none."""
    origin = value.removeprefix(MARK).partition(".")[0]
    return Signature(cast("WireFormat", origin), value) if origin in get_args(WireFormat) else None
