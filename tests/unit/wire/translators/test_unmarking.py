"""Marks of ours never reach a provider, whatever they stand in."""

import json
from typing import Any

from farthing.wire.translators.marks import marked
from farthing.wire.translators.unmarking import without_marks

MARK = marked(None)
FOUND = {"type": "web_search_result_location", "cited_text": "x", "url": "http://a", "title": "t"}


def kept(*blocks: Any) -> Any:
    asked = {"role": "user", "content": "hi"}
    body = {"model": "c", "messages": [asked, {"role": "assistant", "content": list(blocks)}, asked]}
    left = json.loads(without_marks("anthropic_messages", json.dumps(body).encode()))["messages"]
    assert left[0] == left[-1] == asked
    return left[1]["content"] if len(left) == 3 else None


def test_thoughts_under_a_mark_are_left_out_and_a_turn_of_nothing_else_with_them() -> None:
    text = {"type": "text", "text": "x"}
    own = {"type": "thinking", "thinking": "t", "signature": "EqQB"}
    thought = {"type": "thinking", "thinking": "t", "signature": MARK}
    assert kept(thought, own, text) == [own, text]
    assert kept({"type": "redacted_thinking", "data": MARK}, text) == [text]
    assert kept(thought) is None


def test_citations_that_we_made_of_another_formats_are_left_out_of_their_text() -> None:
    made, own = {**FOUND, "encrypted_index": MARK}, {**FOUND, "encrypted_index": "Eo8B"}
    assert kept({"type": "text", "text": "x", "citations": [made]}) == [{"type": "text", "text": "x"}]
    assert kept({"type": "text", "text": "x", "citations": [made, own]}) == [
        {"type": "text", "text": "x", "citations": [own]}
    ]


def test_what_has_no_mark_is_the_same() -> None:
    blocks = [{"type": "text", "text": MARK}, {"type": "text", "text": "x", "citations": None}, "x", None]
    assert kept(*blocks) == blocks
