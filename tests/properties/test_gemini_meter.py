"""Gemini's streams through the meter: cut anywhere and damaged anyhow, they change no byte and no book, nor raise."""

import json
from itertools import pairwise
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from farthing.types.usage import Usage
from farthing.wire.gemini import GenerateStreamMeter, read_answer
from farthing.wire.gemini_requests import renamed
from farthing.wire.gemini_usage import read_usage
from farthing.wire.json_array import ArraySplitter, element_of
from farthing.wire.meter import Reading
from tests.properties.mutations import is_thinned

words = st.text(max_size=12)
counts = st.integers(0, 1 << 28)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
details = st.lists(
    st.fixed_dictionaries({"modality": st.sampled_from(["TEXT", "AUDIO", "IMAGE", 1, 4, 9]), "tokenCount": counts}),
    max_size=3,
)
COUNTS = (
    *("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "toolUsePromptTokenCount"),
    *("cachedContentTokenCount", "totalTokenCount"),
)
DETAILS = ("promptTokensDetails", "cacheTokensDetails", "candidatesTokensDetails", "toolUsePromptTokensDetails")
MEMBERS = ("candidates", "usageMetadata", "modelVersion", "promptFeedback", "error", "embeddings", "other")
IN_CANDIDATE = ("content", "finishReason", "index", "groundingMetadata", "other")
odd_usage = st.dictionaries(st.sampled_from((*COUNTS, *DETAILS, "serviceTier", "trafficType")), anything, max_size=6)
odd_chunks = st.dictionaries(
    st.sampled_from(MEMBERS),
    anything | odd_usage | st.lists(st.dictionaries(st.sampled_from(IN_CANDIDATE), anything, max_size=4), max_size=2),
    max_size=5,
)
cuts = st.lists(st.integers(0, 10_000), max_size=8)


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[dict[str, Any]], str, Usage]:
    """An orderly stream: its chunks, its text in order, and its usage."""
    chunks, text = [], ""
    prompt, tools, cached, thoughts = draw(counts), draw(counts), draw(counts), draw(counts)
    for word in draw(st.lists(words, max_size=6)):
        part = {"text": word} | draw(st.sampled_from([{}, {"thought": True}]))
        usage = {"promptTokenCount": prompt, "thoughtsTokenCount": thoughts // 2}
        chunks.append({"candidates": [{"content": {"parts": [part]}}], "usageMetadata": usage})
        text += word
    said = draw(counts)
    total = {"totalTokenCount": prompt + tools + said + thoughts}
    usage = dict(zip(COUNTS, (prompt, said, thoughts, tools, min(cached, prompt)), strict=False)) | total
    usage = {name: count for name, count in usage.items() if count or name == "promptTokenCount"}
    if not thoughts or chunks:
        usage.setdefault("thoughtsTokenCount", thoughts)
    chunks.append({"candidates": [{"finishReason": "STOP"}], "usageMetadata": usage, "modelVersion": "m"})
    expected = Usage(
        input_tokens=prompt + tools,
        output_tokens=said + thoughts,
        cache_read_input_tokens=min(cached, prompt),
        reasoning_output_tokens=thoughts,
    )
    return chunks, text, expected


def as_events(chunks: list[Any], *, end: str = "\r\n") -> bytes:
    return "".join(f"data: {json.dumps(chunk)}{end}{end}" for chunk in chunks).encode()


def as_array(chunks: list[Any], *, indent: int | None = None) -> bytes:
    return b"[" + b",\r\n".join(json.dumps(chunk, indent=indent).encode() for chunk in chunks) + b"\n]\n"


def metered(data: bytes, cuts: list[int]) -> tuple[bytes, Reading, tuple[bool, bool, bool], str]:
    texts: list[str] = []
    meter = GenerateStreamMeter(texts.append)
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    out = b"".join(meter.feed(data[start:end]) for start, end in pairwise(places))
    out += meter.rest()
    return out, meter.reading(), (meter.has_output or meter.has_finish, meter.terminal, meter.failed), "".join(texts)


@given(streams(), cuts, st.sampled_from(["\n", "\r\n"]), st.sampled_from([None, 1]))
def test_an_orderly_stream_is_read_in_both_framings_wherever_it_is_cut(
    stream: tuple[list[dict[str, Any]], str, Usage], cuts: list[int], end: str, indent: int | None
) -> None:
    chunks, text, usage = stream
    for data in (as_events(chunks, end=end), as_array(chunks, indent=indent)):
        out, reading, flags, said = metered(data, cuts)
        assert out == data
        assert said == text
        assert (reading.finished, reading.usage_final, reading.model_served) == (True, True, "m")
        assert reading.usage == usage
        assert flags == (True, data.startswith(b"["), False)
    whole = read_answer(as_array(chunks), lambda _text: None)
    assert (whole.usage, whole.finished) == (usage, True)


@given(st.lists(odd_chunks, max_size=5), cuts)
def test_odd_chunks_add_no_byte_and_raise_nothing(chunks: list[Any], cuts: list[int]) -> None:
    for data in (as_events(chunks), as_array(chunks)):
        assert metered(data, cuts) == metered(data, [])
        assert is_thinned(metered(data, [])[0], data)
        read_answer(data, lambda _text: None)


@given(streams(), st.integers(0, 1 << 32), cuts)
def test_damaged_bytes_add_no_byte_and_raise_nothing(
    stream: tuple[list[dict[str, Any]], str, Usage], seed: int, cuts: list[int]
) -> None:
    random = Random(seed)
    chunks = list(stream[0])
    random.shuffle(chunks)
    for data in (as_events(chunks), as_array(chunks), json.dumps(chunks[0]).encode()):
        spoilt = bytearray(data)
        for _ in range(random.randint(1, 6)):
            spoilt[random.randrange(len(spoilt))] = random.choice(b'"\\{}[],:\r\n \x00\xff0a')
        damaged = bytes(spoilt)
        whole = metered(damaged, [])
        assert is_thinned(whole[0], damaged)
        assert metered(damaged, cuts) == whole
        read_answer(damaged, lambda _text: None)
        renamed(damaged, "a", "b")


@given(streams())
def test_a_stream_is_read_alike_byte_by_byte(stream: tuple[list[dict[str, Any]], str, Usage]) -> None:
    for data in (as_events(stream[0]), as_array(stream[0], indent=1)):
        assert metered(data, list(range(len(data)))) == metered(data, [])


@given(st.lists(anything.filter(lambda value: isinstance(value, dict)), max_size=5), cuts)
def test_an_array_s_elements_come_out_whole(elements: list[Any], cuts: list[int]) -> None:
    data = as_array(elements, indent=1)
    splitter = ArraySplitter()
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    found, out = [], b""
    for start, end in pairwise(places):
        pieces, after = splitter.feed(data[start:end])
        found += [element_of(piece) for piece in pieces]
        out += b"".join((*pieces, after))
    assert out == data
    assert found == [json.dumps(element, indent=1).encode() for element in elements]
    assert splitter.closed


@given(anything | odd_usage)
def test_usage_is_read_or_left_out_and_never_raises(usage: Any) -> None:
    read = read_usage(usage)
    if read is not None:
        for name in ("input_tokens", "output_tokens"):
            assert getattr(read, name) is None or getattr(read, name) >= 0
        assert read.reasoning_output_tokens <= (read.output_tokens or 0)
