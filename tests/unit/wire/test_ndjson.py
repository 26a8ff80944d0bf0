import pytest

from farthing.errors import ProviderMisbehaved
from farthing.wire import ndjson
from farthing.wire.ndjson import LineSplitter

STREAM = b'{"a":1}\n\n{"b":"\xc3\xa4"}\r\n{"c":3}'


@pytest.mark.parametrize("step", [1, 2, 5, 100])
def test_lines_are_handed_on_when_they_are_whole(step: int) -> None:
    splitter = LineSplitter()
    lines = [line for i in range(0, len(STREAM), step) for line in splitter.feed(STREAM[i : i + step])]
    assert lines == [b'{"a":1}\n', b"\n", b'{"b":"\xc3\xa4"}\r\n']
    assert splitter.held_bytes == 7
    assert splitter.rest() == b'{"c":3}'
    assert (splitter.rest(), splitter.held_bytes) == (b"", 0)


def test_a_line_without_an_end_is_refused_at_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ndjson, "MAX_LINE_BYTES", 100)
    splitter = LineSplitter()
    for _ in range(3):
        assert splitter.feed(b"x" * 99 + b"\n")
    splitter.feed(b"x" * 100)
    with pytest.raises(ProviderMisbehaved, match="over 100 bytes"):
        splitter.feed(b"x")
