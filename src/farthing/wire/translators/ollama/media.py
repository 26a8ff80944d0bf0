"""What pictures and sound in base64 are, told by their first bytes, because Ollama's lists of them do not say."""

from base64 import b64decode
from binascii import Error

_HEAD_CHARS = 16
"""Twelve bytes: the type of a RIFF file stands at its ninth."""
_STARTS = (
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
    (b"\xff\xf3", "audio/mpeg"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
)
_RIFFS = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}


def media_type(data: str) -> str | None:
    """Return the media type of base64 text; `image/png` where its bytes do not say, `None` where it is no base64."""
    head = data[:_HEAD_CHARS]
    try:
        start = b64decode(head + "=" * (-len(head) % 4), validate=True)
    except (Error, ValueError):
        return None
    if not start:
        return None
    if start.startswith(b"RIFF") and start[8:12] in _RIFFS:
        return _RIFFS[start[8:12]]
    return next((kind for begin, kind in _STARTS if start.startswith(begin)), "image/png")
