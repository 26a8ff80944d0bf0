"""A chunk of Gemini's, which is a whole answer, too, with everything in it that can be told to somebody else.

Everything is optional, because what is empty is left out. A chunk with a member of a type that nobody documents is read
again, part by part, and what cannot be read is left out.
"""

from typing import Any, TypeVar

import msgspec

from farthing.wire.lenient import UNREADABLE, with_whole_characters
from farthing.wire.meter import ABSENT, present
from farthing.wire.translators.reading import answer_members

T = TypeVar("T", bound=msgspec.Struct)


class Call(msgspec.Struct, gc=False):
    """A call of a function."""

    id: str | None = None
    name: str | None = None
    args: msgspec.Raw = ABSENT

    def arguments(self) -> str:
        """Return the arguments as the text of a JSON object."""
        raw = bytes(self.args)
        if raw[:1] != b"{":
            return "{}"  # left out, or null
        return on_one_line(raw).decode("utf-8", "replace")


class Blob(msgspec.Struct, gc=False):
    """Bytes, as base64."""

    mimeType: str | None = None  # noqa: N815 - Gemini's names here and below
    data: str | None = None


class File(msgspec.Struct, gc=False):
    """Something that is elsewhere."""

    mimeType: str | None = None  # noqa: N815
    fileUri: str | None = None  # noqa: N815


class ChunkPart(msgspec.Struct, gc=False):
    """A piece of what a candidate says or does."""

    text: str | None = None
    thought: bool | None = None
    thoughtSignature: str | None = None  # noqa: N815
    functionCall: Call | None = None  # noqa: N815
    inlineData: Blob | None = None  # noqa: N815
    fileData: File | None = None  # noqa: N815
    executableCode: msgspec.Raw = ABSENT  # noqa: N815
    codeExecutionResult: msgspec.Raw = ABSENT  # noqa: N815
    toolCall: msgspec.Raw = ABSENT  # noqa: N815
    toolResponse: msgspec.Raw = ABSENT  # noqa: N815

    def foreign(self) -> tuple[str, bytes]:
        """Return the kind of what only Gemini knows, and what it says; nothing where it is nothing of the kind."""
        for name in ("executableCode", "codeExecutionResult", "toolCall", "toolResponse"):
            raw = present(getattr(self, name))
            if raw is not None:
                return name, on_one_line(raw)
        return "", b""


class Content(msgspec.Struct, gc=False):
    """What a candidate says."""

    parts: list[ChunkPart] | None = None


class Candidate(msgspec.Struct, gc=False):
    """One of the answers."""

    content: Content | None = None
    finishReason: str | int | None = None  # noqa: N815
    index: int | None = None
    groundingMetadata: msgspec.Raw = ABSENT  # noqa: N815
    citationMetadata: msgspec.Raw = ABSENT  # noqa: N815
    logprobsResult: msgspec.Raw = ABSENT  # noqa: N815


class Feedback(msgspec.Struct, gc=False):
    """What is said of a prompt that is not answered."""

    blockReason: str | int | None = None  # noqa: N815


class Chunk(msgspec.Struct, gc=False):
    """A whole answer or one chunk."""

    candidates: list[Candidate] | None = None
    modelVersion: str | None = None  # noqa: N815
    responseId: str | None = None  # noqa: N815
    promptFeedback: Feedback | None = None  # noqa: N815


_chunks = msgspec.json.Decoder(Chunk)


def on_one_line(raw: bytes) -> bytes:
    """Return JSON of whole characters without the white space that Google puts between its members."""
    raw = with_whole_characters(raw)
    if b"\n" not in raw and b"\r" not in raw:
        return raw
    try:
        return msgspec.json.format(raw, indent=-1)
    except UNREADABLE:
        return raw.translate(None, b"\r\n")


def read_chunk(data: bytes) -> Chunk:
    """Return what can be read of a chunk. Never raises."""
    try:
        return _chunks.decode(data)
    except UNREADABLE:
        pass
    try:
        return _loose(answer_members(data))
    except UNREADABLE:
        return Chunk()


def _loose(members: dict[str, Any]) -> Chunk:
    given = members.get("candidates")
    candidates = [_loose_candidate(row) for row in given if isinstance(row, dict)] if isinstance(given, list) else None
    return Chunk(
        candidates=candidates,
        modelVersion=_text(members.get("modelVersion")),
        responseId=_text(members.get("responseId")),
        promptFeedback=_converted(members.get("promptFeedback"), Feedback),
    )


def _loose_candidate(row: dict[str, Any]) -> Candidate:
    content = row.get("content")
    parts = content.get("parts") if isinstance(content, dict) else None
    reason, index = row.get("finishReason"), row.get("index")
    return Candidate(
        content=Content([part for given in parts if (part := _converted(given, ChunkPart)) is not None])
        if isinstance(parts, list)
        else None,
        finishReason=reason if isinstance(reason, str | int) and not isinstance(reason, bool) else None,
        index=index if isinstance(index, int) and not isinstance(index, bool) else None,
        groundingMetadata=_raw(row.get("groundingMetadata")),
        citationMetadata=_raw(row.get("citationMetadata")),
        logprobsResult=_raw(row.get("logprobsResult")),
    )


def _converted(given: Any, kind: type[T]) -> T | None:
    """Return an object as `kind`, without its members of the wrong type."""
    if not isinstance(given, dict):
        return None
    found = {}
    for field in msgspec.structs.fields(kind):
        value = given.get(field.name)
        if value is not None:
            try:
                found[field.name] = msgspec.json.decode(msgspec.json.encode(value), type=field.type)
            except UNREADABLE:
                continue
    return kind(**found)


def _raw(value: Any) -> msgspec.Raw:
    return ABSENT if value is None else msgspec.Raw(msgspec.json.encode(value))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
