"""Gemini's words: spellings, families of models, signatures and media types, for both directions.

What surprised us: Google takes every member in camel case and in snake case, and its own Python SDK sends base64 in
the URL's alphabet where the REST API answers in the usual one. Gemini 3 refuses a history whose first function call of
a step has no thought signature, and takes the words `skip_thought_signature_validator` in its place for what another
model called (Google's documentation of thought signatures, read in 2026).
"""

import re
from collections.abc import Mapping
from typing import Any

from farthing.types.chat import (
    Audio,
    Document,
    Filed,
    Foreign,
    Image,
    Inline,
    Linked,
    Part,
    Signature,
    Source,
    Video,
)
from farthing.wire.translators.marks import is_marked

STAND_IN = "skip_thought_signature_validator"
_STAND_IN_READ = "skip/thought/signature/validator"
_USUAL_ALPHABET = str.maketrans("-_", "+/")
_UPLOADED = ("gs://", "https://generativelanguage.googleapis.com/", "files/")
_FILMS = ("https://www.youtube.com/", "https://youtube.com/", "https://youtu.be/", "https://m.youtube.com/")
_MEDIA_TYPES: Mapping[str, str] = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "heic": "image/heic",
    "heif": "image/heif",
    "pdf": "application/pdf",
    "txt": "text/plain",
    "md": "text/markdown",
    "csv": "text/csv",
    "html": "text/html",
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "m4a": "audio/mp4",
    "mp4": "video/mp4",
    "webm": "video/webm",
    "mov": "video/quicktime",
    "mpeg": "video/mpeg",
}
_MAX_ENDING = 5
_FAMILY = re.compile(r"(?:.*/)?(gemini-(\d+)(?:\.(\d+))?(?:-(flash|pro)(?:-(lite))?)?|gemma)")


class Family:
    """What a model's name says about what it takes.

    `levels`: thinking is asked for by level (Gemini 3), not by budget. `minimal`: it takes the least level; 3.7 and
    later refuse it, and so do all called pro. `thinks`: it can think at all. `signed`: it wants a signature on calls.
    `answers_with_parts`: a function's response may hold pictures.
    """

    __slots__ = ("can_stop_thinking", "least_budget", "levels", "minimal", "most_budget", "signed", "thinks")

    def __init__(self, model: str) -> None:
        found = _FAMILY.match(model.lower()[:200])
        name, major, minor, size, lite = found.groups() if found is not None else (None,) * 5
        version = (int(major[:4]), int((minor or "0")[:4])) if major else None
        self.levels = version is not None and version >= (3, 0)
        self.minimal = self.levels and size == "flash" and version is not None and version <= (3, 5)
        self.thinks = version is None or version >= (2, 5)
        self.signed = name != "gemma" and (version is None or version >= (3, 0))
        self.can_stop_thinking = size != "pro" and "pro" not in model
        self.most_budget = 32_768 if size == "pro" else 24_576
        self.least_budget = 512 if lite else 128


def camel(members: dict[str, Any]) -> dict[str, Any]:
    """Return an object's members with names in camel case; what is already so is not copied."""
    for name in members:
        if "_" in name[1:]:
            return {_camel(name): value for name, value in members.items()}
    return members


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join([word[:1].upper() + word[1:] for word in others]) if first else name


def usual_base64(data: str) -> str:
    """Return base64 in the usual alphabet, which everybody else wants."""
    if "-" in data or "_" in data:
        data = data.translate(_USUAL_ALPHABET)
    lacking = -len(data) % 4
    return data + "=" * lacking if lacking and lacking < 3 else data


def signature_of(value: object) -> Signature | None:
    """Return the signature that a part has; the stand-in says that there is none."""
    if not isinstance(value, str) or not value:
        return None
    usual = usual_base64(value)
    return None if usual == _STAND_IN_READ else Signature("gemini", usual)


def signature_text(signature: Signature | None) -> str | None:
    """Return a signature that Gemini can read; none where another format's provider made it."""
    if signature is None or signature.origin != "gemini" or is_marked(signature.value):
        return None
    return signature.value or None


def media_part(source: Source, media_type: str | None) -> Part:
    """Return the part that shows a source of this media type."""
    if media_type is None:
        address = source.url if isinstance(source, Linked) else ""
        media_type = "video/mp4" if address.startswith(_FILMS) else guessed_type(address) or ""
    kind = media_type.partition("/")[0].lower()
    if kind == "image":
        return Image(source)
    if kind == "audio":
        return Audio(source)
    if kind == "video":
        return Video(source)
    return Document(source)


def source_at(address: str, media_type: str | None) -> Source:
    """Return where a `fileUri` points: to what was uploaded to Google, or to the world."""
    if address.startswith(_UPLOADED):
        return Filed("gemini", address, media_type)
    return Linked(address, media_type)


def guessed_type(address: str) -> str | None:
    """Return the media type that an address's ending promises."""
    path = address.partition("?")[0].partition("#")[0]
    return _MEDIA_TYPES.get(path[path.rfind(".") + 1 :].lower()) if "." in path[-_MAX_ENDING - 1 :] else None


def media_members(source: Source, usual: str) -> dict[str, Any] | None:
    """Return a part that shows a source; `usual` is the media type where nothing says one. None for others' files."""
    match source:
        case Inline():
            return {"inlineData": {"mimeType": source.media_type, "data": source.data}}
        case Linked():
            if source.media_type is None and source.url.startswith(_FILMS):
                return {"fileData": {"fileUri": source.url}}
            media_type = source.media_type or guessed_type(source.url) or usual
            return {"fileData": {"mimeType": media_type, "fileUri": source.url}}
        case Filed():
            if source.origin != "gemini":
                return None
            named = {} if source.media_type is None else {"mimeType": source.media_type}
            return {"fileData": named | {"fileUri": source.id}}


def media_of(part: Part) -> dict[str, Any] | None:
    """Return Gemini's members for a picture, a document, sound or a film; none for what it cannot be given."""
    match part:
        case Image():
            return media_members(part.source, "image/jpeg")
        case Document():
            return media_members(part.source, "application/pdf")
        case Audio():
            return None if part.source is None else media_members(part.source, "audio/mpeg")
        case Video():
            return media_members(part.source, "video/mp4")
        case _:
            return None


def foreign_kind(members: Mapping[str, Any]) -> str:
    """Return what a part is that nobody else knows: its first member that is not said about any part."""
    return next((name for name in members if name not in ("thought", "thoughtSignature", "partMetadata")), "")


def foreign_part(members: Mapping[str, Any], raw: bytes) -> Foreign:
    """Return a part that only Gemini knows."""
    return Foreign("gemini", foreign_kind(members), raw)
