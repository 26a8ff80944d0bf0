"""Pictures, sound, films and documents, as this format has them: mostly as data URLs.

Mistral differs: an address may stand where an object should, a document is `document_url`, and sound is bare base64
whose kind has to be told from its first bytes.
"""

import base64
import binascii
from typing import Any

from farthing.types.chat import Audio, Document, Filed, Image, Inline, Linked, Source, Text, Video
from farthing.wire.translators.openai_chat.thinking import WIRE
from farthing.wire.translators.reading import refuse

_AUDIO_TYPES = {"mp3": "audio/mpeg"}
_AUDIO_FORMATS = {
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/vnd.wave": "wav",
}
_SOUNDS = (
    ("UklGR", "audio/wav"),
    ("SUQz", "audio/mpeg"),
    ("T2dnUw", "audio/ogg"),
    ("ZkxhQw", "audio/flac"),
    *[(f"//{third}", "audio/mpeg") for third in "IJKLMNOPopqrstuv"],
    *[(f"//{third}", "audio/aac") for third in "EFGHklmn"],
)
"""How base64 begins of sound that does not say what it is: of frames of MP3 and AAC, two bytes tell."""
UNKNOWN_SOUND = "audio/pcm"


def source_in(url: str, path: str) -> Source:
    """Return where something is: in the address itself, or where it leads."""
    source = readable_source(url)
    if source is None:
        refuse(path, url[:80], "an address, or a data URL in base64")
    return source


def readable_source(url: str) -> Source | None:
    """Return where something that a provider made is; `None` where that cannot be read."""
    if not url.startswith("data:"):
        return Linked(url)
    head, _, data = url.partition(",")
    return Inline(head[5:].partition(";")[0], data) if data and head.endswith(";base64") else None


def address_of(part: dict[str, Any], name: str, path: str) -> str:
    """Return the address in a member that is an object with it, or bare, as Mistral takes it."""
    value = part.get(name)
    if isinstance(value, dict):
        value, path = value.get("url"), f"{path}.{name}.url"
    else:
        path = f"{path}.{name}"
    if not isinstance(value, str) or not value:
        refuse(path, value, "an address")
    return value


def sound_in(part: dict[str, Any], path: str) -> Audio:
    """Return the sound of an `input_audio`."""
    path = f"{path}.input_audio"
    value = part.get("input_audio")
    if isinstance(value, str) and value:
        source = source_in(value, path) if value.startswith(("http", "data:")) else Inline(sound_type(value), value)
        return Audio(source)
    if not isinstance(value, dict):
        refuse(path, value, "an object with data and format")
    data, form = value.get("data"), value.get("format")
    if not isinstance(data, str) or not data:
        refuse(f"{path}.data", data, "sound in base64")
    if form is not None and not isinstance(form, str):
        refuse(f"{path}.format", form, '"wav" or "mp3"')
    return Audio(Inline(_AUDIO_TYPES.get(form, f"audio/{form}") if form else sound_type(data), data))


def sound_type(data: str) -> str:
    """Return what kind of sound base64 holds."""
    return next((kind for beginning, kind in _SOUNDS if data.startswith(beginning)), UNKNOWN_SOUND)


def file_in(part: dict[str, Any], path: str) -> Document:
    """Return the document of a `file`."""
    path = f"{path}.file"
    value = part.get("file")
    if not isinstance(value, dict):
        refuse(path, value, "an object with file_data or file_id")
    data, file_id, name = value.get("file_data"), value.get("file_id"), value.get("filename")
    if name is not None and not isinstance(name, str):
        refuse(f"{path}.filename", name, "a text")
    if isinstance(file_id, str) and file_id:
        return Document(Filed(WIRE, file_id), name)
    if not isinstance(data, str) or not data:
        refuse(f"{path}.file_data", data, "a data URL in base64")
    if data.startswith(("http", "data:")):
        return Document(source_in(data, f"{path}.file_data"), name)
    return Document(Inline("application/pdf", data), name)


def url_of(source: Source) -> str | None:
    """Return the address that something is written as; a file that another provider has, has none."""
    match source:
        case Inline():
            return f"data:{source.media_type};base64,{source.data}"
        case Linked():
            return source.url
        case _:
            return None


def written_media(part: Image | Document | Audio | Video) -> dict[str, Any] | None:
    """Return a part as it is written; `None` where this format cannot have it."""
    match part:
        case Image():
            image = {"url": url_of(part.source)}
            if part.detail is not None:
                image["detail"] = part.detail
            return {"type": "image_url", "image_url": image} if image["url"] else None
        case Video():
            url = url_of(part.source)
            return {"type": "video_url", "video_url": {"url": url}} if url else None
        case Document():
            if not isinstance(part.source, Inline):
                return None
            return {
                "type": "file",
                "file": {"filename": part.name or "document.pdf", "file_data": url_of(part.source)},
            }
        case Audio():
            return _written_sound(part)


def _written_sound(part: Audio) -> dict[str, Any] | None:
    source = part.source
    if isinstance(source, Linked):
        refuse("audio", source.url, "sound in the request itself: this provider's format has no address for it")
    if isinstance(source, Inline):
        kind = source.media_type
        form = _AUDIO_FORMATS.get(kind, kind.rpartition("/")[2])
        return {"type": "input_audio", "input_audio": {"data": source.data, "format": form}}
    return {"type": "text", "text": part.transcript} if part.transcript else None


def plain_document(part: Document) -> Text | None:
    """Return a document of plain text as a text, which every vendor takes; `None` where it is another."""
    source = part.source
    if not isinstance(source, Inline) or not source.media_type.startswith("text/"):
        return None
    try:
        text = base64.b64decode(source.data).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        refuse("document", source.data[:80], "text in base64")
    title = f' title="{part.name}"' if part.name else ""
    return Text(f"<document{title}>\n{text}\n</document>")
