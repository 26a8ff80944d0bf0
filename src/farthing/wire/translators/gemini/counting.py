"""Gemini's countTokens: how a provider is asked to count a request, and the answers of both sides, which are numbers.

What surprised us: beside bare contents Google counts no system's instruction and no tools; they have to come in a
`generateContentRequest`, which names its model a second time.
"""

import msgspec

from farthing.types.chat import ChatRequest
from farthing.wire.lenient import UNREADABLE
from farthing.wire.translators.gemini.writing import members_of


class _Counted(msgspec.Struct, gc=False):
    totalTokens: int | None = None  # noqa: N815 - Gemini's name


_counts = msgspec.json.Decoder(_Counted)


def write_count_request(request: ChatRequest) -> bytes:
    """Return the body that has a Gemini provider count a request's tokens."""
    name = request.model if request.model.startswith(("models/", "tunedModels/")) else f"models/{request.model}"
    members = members_of(request)
    members.pop("serviceTier", None)  # what is counted is served by nobody
    return msgspec.json.encode({"generateContentRequest": {"model": name} | members})


def read_count_answer(body: bytes) -> int | None:
    """Return the tokens that a provider counted; `None` where it does not say."""
    try:
        counted = _counts.decode(body).totalTokens
    except UNREADABLE:
        return None
    return counted if counted is not None and counted >= 0 else None


def write_count_answer(tokens: int) -> bytes:
    """Return what a client of Gemini's is told."""
    return b'{"totalTokens":%d}' % tokens
