"""Take what carries a mark of ours out of a request that goes on in its own format.

A client that was given marks in the place of signatures (see `marks.py`) sends them back, also after its conversation
has returned to the provider of its own format, which would refuse them. Nothing else of the body changes its meaning,
and the same history always becomes the same bytes, so that a prompt cache holds from then on.
"""

from typing import Any

import msgspec

from farthing.types.providers import WireFormat
from farthing.wire.lenient import UNREADABLE
from farthing.wire.translators.marks import is_marked


def without_marks(wire: WireFormat, body: bytes) -> bytes:
    """Return the body of a request without the thoughts and the citations that carry a mark."""
    try:
        request = msgspec.json.decode(body)
    except UNREADABLE:
        return body
    if not isinstance(request, dict):
        return body
    name = "messages" if wire == "anthropic_messages" else "input"
    turns = request.get(name)
    if isinstance(turns, list):
        kept = [_without(turn) for turn in turns if not _is_marked(turn)]
        request[name] = [turn for turn in kept if turn is not None]
    return msgspec.json.encode(request)


def _without(turn: Any) -> Any:
    """Return a turn without its marked blocks; `None` where nothing else was in it."""
    content = turn.get("content") if isinstance(turn, dict) else None
    if not isinstance(content, list):
        return turn
    left = [_without_citations(block) for block in content if not _is_marked(block)]
    if left == content:
        return turn
    return {**turn, "content": left} if left else None


def _without_citations(block: Any) -> Any:
    """Return a block without the citations that we made of another format's: Anthropic reads its own index alone."""
    citations = block.get("citations") if isinstance(block, dict) else None
    if not isinstance(citations, list):
        return block
    left = [citation for citation in citations if not _is_marked_citation(citation)]
    if len(left) == len(citations):
        return block
    rest = {name: value for name, value in block.items() if name != "citations"}
    return {**rest, "citations": left} if left else rest


def _is_marked_citation(citation: Any) -> bool:
    index = citation.get("encrypted_index") if isinstance(citation, dict) else None
    return isinstance(index, str) and is_marked(index)


def _is_marked(block: Any) -> bool:
    if not isinstance(block, dict) or block.get("type") not in ("thinking", "redacted_thinking", "reasoning"):
        return False
    seal = block.get("signature") or block.get("encrypted_content") or block.get("data")
    return isinstance(seal, str) and is_marked(seal)
