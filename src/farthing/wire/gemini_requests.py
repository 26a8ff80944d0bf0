"""Gemini's requests: the names of models that they repeat from the path.

What surprised us: Google refuses an embedding, or a count, whose body names another model than its path does; so an
alias has to be replaced in there too, and nowhere else.
"""

import msgspec

from farthing.errors import InvalidRequest
from farthing.wire.lenient import UNREADABLE
from farthing.wire.meter import ABSENT, present
from farthing.wire.peek import MAX_MODEL_CHARS, MAX_SPARE_BYTES, Envelope

MAX_REQUESTS = 1_000
"""Requests in one batch of embeddings; Google takes 100."""
_MAX_NAME_BYTES = 12 * MAX_MODEL_CHARS
"""A character is at most two escapes of six bytes."""


class _Names(msgspec.Struct, gc=False):
    """Where a request may name its model."""

    model: msgspec.Raw = ABSENT
    generateContentRequest: msgspec.Raw = ABSENT  # noqa: N815
    requests: msgspec.Raw = ABSENT


class _EmbedRequest(msgspec.Struct, gc=False):
    model: msgspec.Raw = ABSENT
    content: msgspec.Raw = ABSENT
    title: msgspec.Raw = ABSENT


_names = msgspec.json.Decoder(_Names)
_embed_requests = msgspec.json.Decoder(_EmbedRequest)
# A list with a field for each place: one that is longer is refused at its first request too many, where a list would
# first be read whole (0.7 s for 32 MB of them).
_batches = msgspec.json.Decoder(
    msgspec.defstruct(
        "_Batch",
        [(f"request_{number}", msgspec.Raw, ABSENT) for number in range(MAX_REQUESTS)],
        array_like=True,
        forbid_unknown_fields=True,
    )
)


def renamed(body: bytes, asked: str, model: str) -> dict[str, bytes]:
    """Return the top members of a request that repeat the model's name from the path, with the provider's name for it.

    Google refuses a body that names another model than the path: embeddings do in each request, and countTokens in the
    request that it counts. The name of a model that is not `asked` is the client's own affair.

    Raises:
        InvalidRequest: a batch has more requests, or more beside their content, than any provider takes.
    """
    name = msgspec.json.encode(model if model.startswith("tunedModels/") else f"models/{model}")
    meant = (asked, f"models/{asked}")
    changes: dict[str, bytes] = {}
    try:
        outer = _names.decode(body)
        batch = _batch(outer.requests)
    except UNREADABLE:
        return {}  # nothing that names a model: the provider says what is wrong with it
    try:
        if _is_meant(outer.model, meant):
            changes["model"] = name
        if outer.generateContentRequest is not ABSENT:
            changes["generateContentRequest"] = _named(outer.generateContentRequest, meant, name)
        if batch:
            changes["requests"] = b"[%b]" % b",".join([_named(raw, meant, name) for raw in batch])
    except (*UNREADABLE, InvalidRequest):
        return {}
    return changes


def _batch(requests: msgspec.Raw) -> list[msgspec.Raw]:
    """Return the requests of a batch, if it is one that can be read in no time."""
    if present(requests) is None:
        return []
    try:
        batch = [raw for raw in msgspec.structs.astuple(_batches.decode(requests)) if raw is not ABSENT]
    except msgspec.ValidationError as error:
        if "at most length" not in str(error):
            raise
        raise InvalidRequest(f"a batch of over {MAX_REQUESTS} requests", hint="Google takes 100 at once") from None
    beside = len(requests)
    for raw in batch:
        request = _embed_requests.decode(raw)
        beside -= len(request.content) + len(request.title)
    if beside > MAX_SPARE_BYTES:
        raise InvalidRequest(f"a batch with {beside} bytes beside the content of its requests", hint="split it")
    return batch


def _is_meant(raw: msgspec.Raw, meant: tuple[str, str]) -> bool:
    try:
        return len(raw) <= _MAX_NAME_BYTES and raw is not ABSENT and msgspec.json.decode(raw, type=str) in meant
    except UNREADABLE:
        return False


def _named(raw: msgspec.Raw, meant: tuple[str, str], name: bytes) -> bytes:
    if not _is_meant(_names.decode(raw).model, meant):
        return bytes(raw)
    return b"".join(Envelope(bytes(raw)).spliced({"model": name}))
