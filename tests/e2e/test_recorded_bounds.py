"""What recorded calls of real providers cost, beside what the gateway would have held for them."""

import os
from pathlib import Path

import pytest

from benchmarks.bounds import measure, table
from tests.e2e.recordings.exchanges import load

RECORDINGS = os.environ.get("FARTHING_RECORDINGS", "")


@pytest.mark.skipif(not RECORDINGS, reason="no recordings: set FARTHING_RECORDINGS to their folder")
def test_no_recorded_call_cost_more_than_is_held_for_it() -> None:
    measured = list(measure(load(Path(RECORDINGS))))
    assert len(measured) > 1_000
    assert [one.slug for one in measured if one.over] == []
    assert [one.slug for one in measured if one.over_every_byte] == []
    told = table(measured)
    assert told == (Path(__file__).parents[2] / "benchmarks/BOUNDS.md").read_text(encoding="utf-8").partition("\n| ")[
        2
    ].join(["| ", ""]).rstrip("\n")
