"""Gemini's countTokens, both ways: what is to be counted is a request, alone or wrapped, and the answer is a number.

What surprised us: beside bare contents Google counts no system's instruction and no tools; they have to come in a
`generateContentRequest`, which names its model a second time.
"""

import msgspec

from farthing.types.chat import ChatRequest
from farthing.wire.lenient import UNREADABLE
from farthing.wire.translators.gemini.names import camel
from farthing.wire.translators.gemini.requests import request_of
from farthing.wire.translators.gemini.writing import members_of
from farthing.wire.translators.reading import object_at, request_members


class _Counted(msgspec.Struct, gc=False):
    totalTokens: int | None = None  # noqa: N815 - Gemini's name


_counts = msgspec.json.Decoder(_Counted)


def read_count_request(body: bytes, *, model: str) -> ChatRequest:
    """Return the request whose tokens a client wants counted; raises `InvalidRequest`."""
    members = camel(request_members(body))
    wrapped = object_at(members, "generateContentRequest")
    return request_of(members if wrapped is None else wrapped, model=model, streamed=False)


def write_count_request(request: ChatRequest) -> bytes:
    """Return the body that has a Gemini provider count a request's tokens."""
    name = request.model if request.model.startswith(("models/", "tunedModels/")) else f"models/{request.model}"
    return msgspec.json.encode({"generateContentRequest": {"model": name} | members_of(request)})


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
