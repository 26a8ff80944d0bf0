"""What recorded calls of real providers cost and read, beside what the gateway would have held for them."""

import os
from collections import defaultdict
from functools import cache
from itertools import permutations
from pathlib import Path

import pytest

from benchmarks.bounds import Measured, measure, table
from farthing.gateway.known_texts import ENVELOPE_TOKENS, TOOLS_TOKENS, KnownTexts
from tests.e2e.recordings.exchanges import load

RECORDINGS = os.environ.get("FARTHING_RECORDINGS", "")
pytestmark = pytest.mark.skipif(not RECORDINGS, reason="no recordings: set FARTHING_RECORDINGS to their folder")
WITHOUT_ITS_TOOLS = "gpt-3.5-turbo-chat-completion-tool-call-streamed"
"""Of this one the recording lacks the tools that its answer calls and its usage counts."""


@cache
def measured() -> list[Measured]:
    return list(measure(load(Path(RECORDINGS))))


def test_no_recorded_call_cost_more_than_is_held_for_it() -> None:
    assert len(measured()) > 1_000
    assert [one.slug for one in measured() if one.over] == []
    assert [one.slug for one in measured() if one.over_every_byte] == []
    told = table(measured())
    assert told == (Path(__file__).parents[2] / "benchmarks/BOUNDS.md").read_text(encoding="utf-8").partition("\n| ")[
        2
    ].join(["| ", ""]).rstrip("\n")


def is_all_read(one: Measured) -> bool:
    """Whether it is nothing but its text that is read, as only of such requests another bound is looked for."""
    return one.every_byte.input_tokens - len(one.envelope.body) in (ENVELOPE_TOKENS, TOOLS_TOKENS)


def test_no_recorded_request_has_more_tokens_than_another_of_its_text_tells() -> None:
    alike: dict[object, list[Measured]] = defaultdict(list)
    for one in measured():
        if one.read and WITHOUT_ITS_TOOLS not in one.slug:
            alike[one.ref, one.wire].append(one)
    compared = less = 0
    over: list[tuple[str, str, int, int]] = []
    for group in alike.values():
        for known, asked in permutations(group, 2):
            texts = KnownTexts()
            texts.note(known.ref, known.wire, known.envelope, known.read)
            most = texts.most_tokens(asked.ref, asked.wire, asked.envelope) if is_all_read(asked) else None
            if most is not None:
                compared += 1
                less += most < asked.every_byte.input_tokens
                if most < min(asked.read, asked.every_byte.input_tokens):
                    over.append((known.slug, asked.slug, most, asked.read))
    assert over == []
    assert compared > 1_400
    assert less > 1_100, "of so many it is less than one for each byte"
