import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.errors import ProviderMisbehaved
from farthing.wire import sse
from farthing.wire.sse import EventSplitter, event_data

EVENTS = [b"data: one\n\n", b": keep-alive\n\n", b"event: x\ndata: two\n\n", b"data: a\ndata: b\n\n"]


def pieces_of(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in pairwise(edges)]


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
@given(cuts=st.lists(st.integers(0, 500), max_size=20))
def test_events_come_out_whole_however_the_stream_is_cut(newline: bytes, cuts: list[int]) -> None:
    events = [event.replace(b"\n", newline) for event in EVENTS]
    splitter = EventSplitter()
    out = [event for piece in pieces_of(b"".join(events), cuts) for event in splitter.feed(piece)]
    assert out == events
    assert splitter.rest() == b""


def test_an_unfinished_event_is_kept_back_until_asked_for() -> None:
    splitter = EventSplitter()
    assert splitter.feed(b"data: one\n\ndata: tw") == [b"data: one\n\n"]
    assert splitter.rest() == b"data: tw"
    assert splitter.rest() == b""


def test_an_event_that_never_ends_is_the_providers_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 100)
    with pytest.raises(ProviderMisbehaved, match="over 100 bytes"):
        EventSplitter().feed(b"data: " + b"x" * 200)


@pytest.mark.parametrize(
    ("event", "data"),
    [
        (b"data: {}\n\n", b"{}"),
        (b"data:{}\n\n", b"{}"),
        (b"data: {}\r\n\r\n", b"{}"),
        (b"event: ping\ndata: {}\n\n", b"{}"),
        (b"event: ping\r\ndata: {}\r\n\r\n", b"{}"),
        (b"data: a\ndata: b\n\n", b"a\nb"),
        (b"data: {}\nid: 7\n\n", b"{}"),
        (b": comment\n\n", b""),
        (b"event: bare\n\n", b""),
        (b"data: [DONE]", b"[DONE]"),
    ],
)
def test_the_data_of_an_event(event: bytes, data: bytes) -> None:
    assert event_data(event) == data


def test_a_giant_event_in_many_pieces_takes_time_in_proportion_to_its_size() -> None:
    splitter = EventSplitter()
    assert splitter.feed(b"data: \rdata: x") == []
    piece = b"y" * 65_536
    began = time.process_time()
    for _ in range(400):
        assert splitter.feed(piece) == []
    assert time.process_time() - began < 1.0  # joined and searched with each piece, it took twenty times that
    assert splitter.feed(b"\n\n") == [b"data: \rdata: x" + piece * 400 + b"\n\n"]
    assert splitter.rest() == b""


def test_what_was_held_when_the_answer_ends_is_all_of_it() -> None:
    splitter = EventSplitter()
    assert splitter.feed(b"data: a") == []
    assert splitter.feed(b"bc") == []
    assert splitter.rest() == b"data: abc"
    assert splitter.held == b""
