"""No translator raises what is no error of ours, hangs, or passes a broken stream off as whole, whatever anybody sends.

Requests of every face go to every provider's format, answers and streams of every provider's format to every face.
What is spoiled are chats of our own, written by the translators themselves; the seed of each case is its number, which
a failure names. What is large, deep or absurd is in `test_translation_bounds.py`.
"""

import os
from functools import cache
from random import Random

import pytest

from farthing.types.providers import WireFormat
from farthing.wire.translators.registry import CHAT_FORMATS
from tests.e2e.recordings.exchanges import Exchange
from tests.e2e.recordings.sending import compact
from tests.e2e.translated.crossing import chats, wire_of
from tests.properties.mutations import pieces_of, spoiled
from tests.properties.translation_cases import (
    answers_of,
    cross_request,
    request_bodies,
    streams_of,
    tell_stream,
    tell_whole,
)

CASES = round(300 * float(os.environ.get("FARTHING_CI_SCALE", "1")))
"""For each format that is read; every case is written in all formats. 300 of each kind take about two seconds."""
RECORDINGS = os.environ.get("FARTHING_RECORDINGS", "")
MAX_RECORDED_BYTES = 40_000
"""Longer recordings repeat what shorter ones have, and take a case's time for themselves."""

formats = pytest.mark.parametrize("wire", CHAT_FORMATS)


@formats
def test_a_spoiled_request_is_refused_or_written_in_every_format(wire: WireFormat) -> None:
    bodies, written = request_bodies(wire), 0
    for case in range(CASES):
        random = Random(f"{wire} request {case}")
        body = spoiled(random, random.choice(bodies))
        try:
            written += cross_request(wire, body, random)
        except Exception as error:
            raise AssertionError(f"case {case}: {body[:2_000]!r}") from error
    assert written > CASES // 10


@formats
def test_a_spoiled_answer_is_told_on_every_face(wire: WireFormat) -> None:
    bodies = answers_of(wire)
    for case in range(CASES):
        random = Random(f"{wire} answer {case}")
        body = spoiled(random, random.choice(bodies))
        try:
            tell_whole(wire, body)
        except Exception as error:
            raise AssertionError(f"case {case}: {body[:2_000]!r}") from error


@formats
def test_a_spoiled_stream_is_told_on_every_face_and_a_failed_one_ends_in_its_error(wire: WireFormat) -> None:
    streams = streams_of(wire)
    for case in range(CASES):
        random = Random(f"{wire} stream {case}")
        data = spoiled(random, random.choice(streams))
        pieces = pieces_of(random, data)
        try:
            for face in CHAT_FORMATS:
                tell_stream(wire, face, pieces)
        except Exception as error:
            raise AssertionError(f"case {case}: {data[:2_000]!r}") from error


# ---- what was recorded, spoiled


@cache
def recorded(wire: WireFormat) -> list[Exchange]:
    return [
        exchange
        for exchange in chats(RECORDINGS)
        if wire_of(exchange) == wire and 0 < len(exchange.recorded) < MAX_RECORDED_BYTES
    ]


@pytest.mark.recordings
@pytest.mark.skipif(not RECORDINGS, reason="no recordings: set FARTHING_RECORDINGS to their folder")
@formats
def test_what_was_recorded_can_be_spoiled_as_well(wire: WireFormat) -> None:
    found = recorded(wire)
    assert found, f"nothing of {wire} is recorded"
    for case in range(CASES // 3):
        random = Random(f"{wire} recording {case}")
        exchange = random.choice(found)
        body, data = spoiled(random, compact(exchange.body)), spoiled(random, exchange.recorded)
        try:
            cross_request(wire, body, random)
            tell_whole(wire, data)
            tell_stream(wire, random.choice(CHAT_FORMATS), pieces_of(random, data))
        except Exception as error:
            raise AssertionError(f"case {case}, {exchange.slug}") from error
