"""No meter raises, loses a byte or changes its mind with the network's cuts, whatever a provider sends.

Recorded streams (with FARTHING_RECORDINGS) and small ones of our own are spoiled and cut at random; the seed of each
case is its number, which a failure names.
"""

import os
import re
import zlib
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from farthing.gateway.formats import FORMATS
from farthing.providers.error_mapping import read_error
from farthing.types.providers import WireFormat
from farthing.types.usage import UsageHabits
from farthing.wire.meter import MAX_COUNT, Reading
from tests.e2e.recordings.exchanges import load
from tests.properties.meter_samples import ERRORS, SAMPLES
from tests.properties.mutations import is_thinned, pieces_of, spoiled

CASES = round(400 * float(os.environ.get("FARTHING_CI_SCALE", "1")))
"""For each format; 400 take about a second."""
RECORDINGS = os.environ.get("FARTHING_RECORDINGS", "")
MAX_RECORDED_BYTES = 40_000
"""Longer recordings repeat what shorter ones have, and take a case's time for themselves."""
_STRIPS: frozenset[WireFormat] = frozenset({"openai_chat", "openai_completions"})
"""Formats in which we may have asked for usage that the client did not ask for."""

_LINE_ENDS, _NO_ENDS = re.compile(rb"[\r\n]+"), re.compile(rb"(?!)")
_EVENT_END = re.compile(rb"((?>\r\n|\n|\r)(?>\r\n|\n|\r))")

formats = pytest.mark.parametrize("wire", sorted(FORMATS))


@formats
def test_no_spoiled_stream_raises_loses_bytes_or_reads_otherwise_when_it_is_cut_otherwise(wire: WireFormat) -> None:
    for case in range(CASES):
        random = Random(f"{wire} stream {case}")
        check_stream(wire, random, random.choice(SAMPLES[wire]), f"case {case} of our own")


@formats
def test_no_spoiled_answer_raises(wire: WireFormat) -> None:
    for case in range(CASES):
        random = Random(f"{wire} answer {case}")
        check_answer(wire, random, random.choice(SAMPLES[wire]), f"case {case} of our own")


@pytest.mark.recordings
@pytest.mark.skipif(not RECORDINGS, reason="no recordings: set FARTHING_RECORDINGS to their folder")
@formats
def test_no_spoiled_recording_raises_loses_bytes_or_reads_otherwise_when_it_is_cut_otherwise(wire: WireFormat) -> None:
    found = recorded(wire)
    assert found, f"nothing of {wire} is recorded"
    for case in range(CASES):
        random = Random(f"{wire} recording {case}")
        slug, body = random.choice(found)
        check_stream(wire, random, body, f"case {case}, {slug}")
        check_answer(wire, random, body, f"case {case}, {slug}")


@formats
def test_no_spoiled_error_raises(wire: WireFormat) -> None:
    for case in range(CASES):
        random = Random(f"{wire} error {case}")
        body = spoiled(random, random.choice(ERRORS))
        error = read_error(wire, random.choice((400, 401, 404, 429, 500, 529)), body)
        assert error.message.encode(), f"case {case}: nothing to say"
        assert error.code.encode(), f"case {case}: no code"


@formats
def test_the_event_that_ends_a_broken_stream_is_read_as_its_failure(wire: WireFormat) -> None:
    meter = FORMATS[wire].stream_meter(lambda _text: None, UsageHabits(), strip_usage=False)
    event = meter.error_event("provider_cut", "it broke")
    _, reading, (_, _, failed, _) = read_stream(wire, [event], UsageHabits(), strip=False)
    assert failed
    assert reading.error_message == "it broke"


@cache
def recorded(wire: WireFormat) -> list[tuple[str, bytes]]:
    return [(slug, body) for slug, of, body in all_recorded() if of == wire]


@cache
def all_recorded() -> list[tuple[str, WireFormat, bytes]]:
    return [
        (exchange.slug, exchange.asked.wire, exchange.recorded)
        for exchange in load(Path(RECORDINGS))
        if exchange.asked is not None and 0 < len(exchange.recorded) < MAX_RECORDED_BYTES
    ]


def check_stream(wire: WireFormat, random: Random, sample: bytes, name: str) -> None:
    data = spoiled(random, sample)
    strip = wire in _STRIPS and random.random() < 0.5
    habits = UsageHabits(reasoning_outside=random.random() < 0.2)
    whole = read_stream(wire, [data], habits, strip=strip)
    # An error in a shape that no client knows is told in one that it does: what a failed stream hands on may be ours.
    _, terminal, failed, _ = whole[2]
    if not failed and (terminal or wire == "gemini"):
        # After the format's end, and in an array that has none, nothing is handed on that says anything.
        assert is_thinned(whole[0], data), f"{name}: the client got what was not sent"
    elif not failed:
        check_stripped(data, whole[0], (b"[DONE]", b"usage") if strip else (b"[DONE]",), name)
    for _ in range(2):
        cut = read_stream(wire, pieces_of(random, data), habits, strip=strip)
        assert cut[1:] == whole[1:], f"{name}: read otherwise when cut"
        # Where an event is kept back between odd line ends, whose they are depends on the cut, and matters to nobody.
        ends = _LINE_ENDS if strip else _NO_ENDS
        assert ends.sub(b"\n", cut[0]) == ends.sub(b"\n", whole[0]), f"{name}: other bytes when cut"
    check_reading(whole[1], name)


def check_answer(wire: WireFormat, random: Random, sample: bytes, name: str) -> None:
    told: list[str] = []
    reading = FORMATS[wire].read_answer(spoiled(random, sample), told.append, UsageHabits())
    check_reading(reading, name)
    assert all(isinstance(text, str) for text in told), name


def read_stream(
    wire: WireFormat, pieces: list[bytes], habits: UsageHabits, *, strip: bool
) -> tuple[bytes, Reading, Any]:
    """Return what the client gets, what was read, and what the meter says of the stream's end and text."""
    told: list[str] = []
    meter = FORMATS[wire].stream_meter(told.append, habits, strip_usage=strip)
    got = b"".join(meter.feed(piece) for piece in pieces)
    got += meter.rest()
    return got, meter.reading(), (meter.has_output or meter.has_finish, meter.terminal, meter.failed, "".join(told))


def check_stripped(data: bytes, got: bytes, may_lack: tuple[bytes, ...], name: str) -> None:
    """Raise unless what is missing are whole events that tell usage, or an end that is none."""
    if got == data:
        return
    rest = got
    parts = [*_EVENT_END.split(data), b""]
    for text, end in zip(parts[::2], parts[1::2], strict=True):
        event = text + end
        if rest.startswith(event):
            rest = rest[len(event) :]
        else:
            assert any(mark in event for mark in may_lack), f"{name}: the client lost {event[:200]!r}"
    assert not rest, f"{name}: the client got {rest[:200]!r} from nowhere"


def check_reading(reading: Reading, name: str) -> None:
    """Raise unless a reading can go into the journal, the store and a price."""
    msgspec.json.encode(reading)
    for text in (reading.model_served, reading.service_tier, reading.error_code, reading.error_message):
        assert text is None or isinstance(text.encode(), bytes), name
    assert reading.reported_cost_nanousd is None or 0 <= reading.reported_cost_nanousd < 1 << 62, name
    if reading.usage is not None:
        for field, value in msgspec.structs.asdict(reading.usage).items():
            if field != "flags" and value is not None:
                assert type(value) is int, f"{name}: {field} is {value!r}"
                assert 0 <= value <= 8 * MAX_COUNT, f"{name}: {field} is {value}"


def test_the_same_seed_spoils_the_same_way() -> None:
    once, again = (spoiled(Random("seed"), SAMPLES["openai_chat"][0]) for _ in range(2))
    assert zlib.crc32(once) == zlib.crc32(again)
