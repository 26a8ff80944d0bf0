"""Where an answer comes from: Gemini's grounding and citations, and the neutral citations of a text.

What surprised us: the places count bytes of UTF-8, not characters, and a start of 0 is left out. Sources stand in one
list and what they support in another; a source that supports no place in particular is told all the same.
"""

from typing import Any

import msgspec

from farthing.types.chat import Citation
from farthing.wire.lenient import UNREADABLE
from farthing.wire.meter import ABSENT

MAX_CITATIONS = 1_000
"""Of one text; the most that was recorded is 8."""
_SHOWN = ("web", "retrievedContext", "maps", "image")


class Grounding(msgspec.Struct):
    """What a candidate says about its sources, undecoded."""

    grounding: msgspec.Raw = ABSENT
    citations: msgspec.Raw = ABSENT


def citations_of(sources: list[Grounding], text: str) -> tuple[Citation, ...]:
    """Return the citations of a text, each once, in the order in which they came."""
    places = _Places(text)
    found: dict[bytes, Citation] = {}
    for source in sources:
        for citation in (*_grounded(source.grounding, places), *_cited(source.citations, places)):
            if len(found) < MAX_CITATIONS:
                found.setdefault(citation.raw, citation)
    return tuple(found.values())


class _Places:
    """Finds characters by bytes, in a text that is encoded once."""

    __slots__ = ("_encoded", "_plain")

    def __init__(self, text: str) -> None:
        self._encoded = text.encode("utf-8", "replace")
        self._plain = len(self._encoded) == len(text)

    def of(self, segment: Any) -> tuple[int | None, int | None]:
        """Return where a segment starts and ends; twice `None` where it is not in this text."""
        if not isinstance(segment, dict):
            return None, None
        start: Any = segment.get("startIndex", 0)
        end: Any = segment.get("endIndex")
        if not (_is_count(start) and _is_count(end)) or not start < end <= len(self._encoded):
            return None, None
        said = segment.get("text")
        if isinstance(said, str) and self._encoded[start:end] != said.encode("utf-8", "replace"):
            return None, None
        if self._plain:
            return start, end
        before = len(self._encoded[:start].decode("utf-8", "replace"))
        return before, before + len(self._encoded[start:end].decode("utf-8", "replace"))


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _grounded(raw: msgspec.Raw, places: _Places) -> list[Citation]:
    members = _decoded(raw)
    chunks, supports = members.get("groundingChunks"), members.get("groundingSupports")
    if not isinstance(chunks, list):
        return []
    found: list[Citation] = []
    told: set[int] = set()
    for support in supports[:MAX_CITATIONS] if isinstance(supports, list) else ():
        if not isinstance(support, dict) or not isinstance(support.get("groundingChunkIndices"), list):
            continue
        if len(found) >= MAX_CITATIONS:
            break
        start, end = places.of(support.get("segment"))
        for at in support["groundingChunkIndices"][:MAX_CITATIONS]:
            if _is_count(at) and at < len(chunks) and isinstance(chunks[at], dict):
                told.add(at)
                found.append(_source(chunks[at], {"segment": support.get("segment")}, start, end))
    for at, chunk in enumerate(chunks[:MAX_CITATIONS]):
        if at not in told and isinstance(chunk, dict):
            found.append(_source(chunk, {}, None, None))
    return found


def _source(chunk: dict[str, Any], beside: dict[str, Any], start: int | None, end: int | None) -> Citation:
    shown: dict[str, Any] = next((chunk[name] for name in _SHOWN if isinstance(chunk.get(name), dict)), {})
    raw = msgspec.json.encode({"groundingChunk": chunk} | beside)
    return Citation("gemini", raw, _text(shown, "uri"), _text(shown, "title"), start, end)


def _cited(raw: msgspec.Raw, places: _Places) -> list[Citation]:
    members = _decoded(raw)
    rows = members.get("citations") or members.get("citationSources")  # the older name
    found = []
    for row in rows[:MAX_CITATIONS] if isinstance(rows, list) else ():
        if isinstance(row, dict):
            start, end = places.of(row)
            found.append(
                Citation("gemini", msgspec.json.encode(row), _text(row, "uri"), _text(row, "title"), start, end)
            )
    return found


def _text(members: dict[str, Any], name: str) -> str | None:
    value = members.get(name)
    return value if isinstance(value, str) and value else None


def _decoded(raw: msgspec.Raw) -> dict[str, Any]:
    if raw is ABSENT:
        return {}
    try:
        found = msgspec.json.decode(raw)
    except UNREADABLE:
        return {}
    return found if isinstance(found, dict) else {}


def grounding_metadata(citations: tuple[Citation, ...], text: str, before: str) -> dict[str, Any] | None:
    """Return the grounding that tells the citations of a text with an address, which `before` stands before."""
    chunks: list[dict[str, Any]] = []
    supports: list[dict[str, Any]] = []
    numbers: dict[tuple[str, str | None], int] = {}
    offset = len(before.encode("utf-8", "replace"))
    for citation in citations[:MAX_CITATIONS]:
        if citation.url is None:
            continue
        named = (citation.url, citation.title)
        number = numbers.setdefault(named, len(chunks))
        if number == len(chunks):
            web = {"uri": citation.url} | ({"title": citation.title} if citation.title is not None else {})
            chunks.append({"web": web})
        start, end = citation.start, citation.end
        if start is None or end is None or not 0 <= start < end <= len(text):
            continue
        skipped, said = text[:start].encode("utf-8", "replace"), text[start:end]
        begins = offset + len(skipped)
        segment = {"startIndex": begins, "endIndex": begins + len(said.encode("utf-8", "replace")), "text": said}
        supports.append({"segment": segment, "groundingChunkIndices": [number]})
    if not chunks:
        return None
    return {"groundingChunks": chunks} | ({"groundingSupports": supports} if supports else {})
