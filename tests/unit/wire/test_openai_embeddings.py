import json
import time
from typing import Any

import pytest

from farthing.types.usage import Usage
from farthing.wire.meter import Reading
from farthing.wire.openai_embeddings import error_event, read_answer, read_usage, stream_meter

USAGE: dict[str, Any] = {"prompt_tokens": 8, "total_tokens": 8}
VECTORS: Any = [{"object": "embedding", "index": 0, "embedding": [0.5, -1e-05]}]


def read(body: bytes) -> Reading:
    texts: list[str] = []
    reading = read_answer(body, texts.append)
    assert not texts
    return reading


def answered(**content: Any) -> bytes:
    return json.dumps(content).encode()


@pytest.mark.parametrize("embedding", [[0.5, -0.25], "AAAAPwAAgL4=", {"int8": [1, 2]}])
def test_the_input_is_the_whole_bill(embedding: Any) -> None:
    reading = read(answered(object="list", data=[{"embedding": embedding}], model="m", usage=USAGE))
    assert reading == Reading(usage=Usage(input_tokens=8, output_tokens=0), model_served="m", finished=True)


@pytest.mark.parametrize(
    "content",
    [
        {"data": VECTORS, "model": "m", "usage": USAGE},
        {"data": VECTORS, "usage": USAGE, "model": "m"},
        {"usage": USAGE, "model": "m", "data": VECTORS},
        {"model": "m", "data": VECTORS, "usage": {**USAGE, "details": [{"modality": "TEXT"}]}},
        {"data": VECTORS, "id": "a]", "model": "m", "usage": USAGE},
        {"data": VECTORS, "model": "m", "usage": USAGE, "warnings": ["]", {"usage": {"prompt_tokens": 1}}]},
        {"data": VECTORS, "model": "m", "usage": USAGE, "note": '],"usage":{"prompt_tokens":1}}'},
    ],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_usage_is_found_wherever_it_stands(content: dict[str, Any], indent: int | None) -> None:
    reading = read(b"\n " + json.dumps(content, indent=indent).encode() + b"\n")
    assert reading.usage is not None
    assert (reading.usage.input_tokens, reading.model_served, reading.finished) == (8, "m", True)


def test_three_megabytes_of_vectors_are_not_looked_at() -> None:
    numbers = b",".join(b"-0.0123456789012345" for _ in range(160_000))
    body = (
        b'{"object":"list","data":[{"embedding":[%b]}],"model":"m","usage":{"prompt_tokens":8,"total_tokens":8}}'
        % numbers
    )
    assert len(body) > 3_000_000
    took_s = []
    for _ in range(5):
        began = time.perf_counter()
        assert read(body).usage == Usage(input_tokens=8, output_tokens=0)
        took_s.append(time.perf_counter() - began)
    assert min(took_s) < 0.001  # 2 us; stepping over the numbers takes 3 ms


def test_voyage_counts_only_a_total() -> None:
    assert read_usage({"total_tokens": 12}) == Usage(input_tokens=12, output_tokens=0)


def test_mistral_and_azure_say_that_nothing_was_written() -> None:
    usage = {**USAGE, "completion_tokens": 0, "prompt_audio_seconds": None, "prompt_tokens_details": None}
    assert read_usage(usage) == Usage(input_tokens=8, output_tokens=0)


@pytest.mark.parametrize("cost", [1.4e-07, {"currency": "USD", "input_cost": 1.4e-07, "total_cost": 1.4e-07}])
def test_a_reported_cost_is_kept(cost: Any) -> None:
    assert read(answered(data=VECTORS, usage={**USAGE, "cost": cost})).reported_cost_nanousd == 140


def test_a_total_that_disagrees_is_marked() -> None:
    usage = read_usage({"prompt_tokens": 8, "total_tokens": 9})
    assert usage is not None
    assert usage.flags == ("total_disagrees",)


def test_vectors_without_usage_are_finished_and_of_unknown_usage() -> None:
    reading = read(answered(data=VECTORS, model="m"))
    assert (reading.usage, reading.finished, reading.model_served) == (None, True, "m")


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b"{}", b"{", b"]", b'{"data":null}', b'{"data":{}}', b'{"data":[1']
)
def test_what_holds_no_vectors_is_not_finished(body: bytes) -> None:
    assert not read(body).finished


def test_an_error_in_a_200_is_an_error() -> None:
    reading = read(answered(error={"message": "no", "code": 502}))
    assert (reading.error_code, reading.error_message, reading.finished) == ("502", "no", False)
    reading = read(answered(data=[], error={"message": "no"}, usage=USAGE))
    assert (reading.error_message, reading.finished) == ("no", False)


@pytest.mark.parametrize(
    "usage", [7, "x", [], {}, {"prompt_tokens": "8"}, {"prompt_tokens": 10**30}, {"prompt_tokens": -1}]
)
def test_usage_that_is_none_is_survived(usage: Any) -> None:
    found = read(answered(data=VECTORS, usage=usage)).usage
    assert found is None or not found.input_tokens


def test_should_they_come_as_events_usage_is_read_all_the_same() -> None:
    meter = stream_meter(lambda _text: None)
    meter.feed(b"data: " + answered(data=VECTORS, usage=USAGE) + b"\n\n")
    assert meter.reading().usage == Usage(input_tokens=8, output_tokens=0)
    assert b"it broke" in error_event("provider_cut", "it broke")


def test_an_array_that_is_not_the_vectors_is_not_taken_for_them_where_a_zero_hangs_on_it() -> None:
    for body in (
        b'{"model":[null],"usage":{"prompt_tokens":0}}',
        b'{"data":[],"model":[1],"usage":{"prompt_tokens":0}}',
    ):
        reading = read(body)
        assert reading.usage == Usage(input_tokens=0, output_tokens=0)
    reading = read(b'{"data":[[1]],"usage":{"prompt_tokens":0}}')
    assert reading.usage == Usage(input_tokens=None, output_tokens=0, flags=("zero_beside_output",))
