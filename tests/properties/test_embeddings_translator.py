"""Embeddings: what a format carries comes back, vectors survive every format, and nothing spoiled raises."""

import json
import os
from random import Random
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.errors import InvalidRequest
from farthing.types.embeddings import EmbeddingAnswer, EmbeddingRequest, ToEmbed
from farthing.types.providers import WireFormat
from farthing.types.usage import Usage
from farthing.wire.translators.embeddings import (
    CARRIES,
    EmbeddingOperation,
    read_answer,
    read_request,
    used_by,
    write_answer,
    write_request,
)
from farthing.wire.translators.features import Feature, lost
from tests.properties.mutations import spoiled

CASES = round(200 * float(os.environ.get("FARTHING_CI_SCALE", "1")))
OPERATIONS: tuple[EmbeddingOperation, ...] = get_args(EmbeddingOperation)
words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


@st.composite
def embeddings(draw: st.DrawFn, wire: WireFormat) -> EmbeddingRequest:
    carries = CARRIES[wire]
    tokens = Feature.TOKEN_INPUT in carries and draw(st.booleans())
    content = st.lists(st.integers(0, 100_000), min_size=1, max_size=4).map(tuple) if tokens else words
    task = st.none() | st.sampled_from(["RETRIEVAL_QUERY"]) if Feature.TASK_TYPE in carries else st.none()
    title = st.none() | words if Feature.TITLE in carries else st.none()
    return EmbeddingRequest(
        origin=wire,
        model=draw(st.sampled_from(["m", "models/n"])),
        inputs=tuple(draw(st.lists(st.builds(ToEmbed, content, task, title), min_size=1, max_size=3))),
        dimensions=draw(st.none() | st.integers(1, 4_096)),
        truncate=draw(st.none() | st.booleans()) if Feature.TRUNCATE in carries else None,
        base64=wire == "openai_embeddings" and draw(st.booleans()),
        user=draw(st.none() | words) if Feature.USER in carries else None,
    )


@pytest.mark.parametrize("wire", CARRIES)
@given(data=st.data())
def test_what_a_format_carries_comes_back_as_it_was(wire: WireFormat, data: st.DataObject) -> None:
    request = data.draw(embeddings(wire))
    assert not lost(used_by(request), CARRIES[wire])
    operation, body = write_request(wire, request)
    assert read_request(operation, body, model=request.model) == request


@given(st.lists(st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=8).map(tuple), min_size=1, max_size=3))
def test_vectors_survive_every_format(vectors: list[tuple[float, ...]]) -> None:
    answer = EmbeddingAnswer(model="m", vectors=tuple(vectors))
    for base64 in (False, True):
        asked = EmbeddingRequest(origin="ollama", model="m", inputs=(ToEmbed("a"),), base64=base64)
        for operation in OPERATIONS:
            told = read_answer(operation, write_answer(operation, answer, Usage(input_tokens=1), asked))
            assert told.vectors == answer.vectors[: len(told.vectors)]
            assert len(told.vectors) == (1 if operation in ("embed_content", "ollama_embeddings") else len(vectors))


REQUESTS: dict[EmbeddingOperation, bytes] = {
    "embeddings": b'{"model":"m","input":["a","b"],"dimensions":3,"encoding_format":"base64","user":"u"}',
    "embed_content": b'{"content":{"parts":[{"text":"a"}]},"taskType":"CLUSTERING","outputDimensionality":3}',
    "batch_embed_contents": b'{"requests":[{"content":{"parts":[{"text":"a"},{"text":"b"}]},"title":"t"}]}',
    "ollama_embed": b'{"model":"m","input":["a","b"],"truncate":true,"dimensions":3,"options":{"a":1}}',
    "ollama_embeddings": b'{"model":"m","prompt":"a","options":{}}',
}
ANSWERS = (
    b'{"object":"list","data":[{"index":1,"embedding":[1,2.5]},{"index":0,"embedding":"AACAPw=="}],"model":"m"}',
    b'{"embeddings":[{"values":[1,2]},{"values":[]}],"usageMetadata":{"promptTokenCount":1}}',
    b'{"model":"m","embeddings":[[1,2],[3.5]],"embedding":[1],"prompt_eval_count":1}',
)


def test_a_spoiled_request_is_read_or_refused() -> None:
    random = Random(3)
    for _ in range(CASES):
        for operation, body in REQUESTS.items():
            try:
                request = read_request(operation, spoiled(random, body), model="m")
                for wire in CARRIES:
                    json.loads(write_request(wire, request)[1])
            except InvalidRequest:
                continue


def test_a_spoiled_answer_is_read_as_far_as_it_can_be() -> None:
    random = Random(4)
    asked = EmbeddingRequest(origin="ollama", model="m", inputs=(ToEmbed("a"),), base64=True)
    for _ in range(CASES):
        body = spoiled(random, random.choice(ANSWERS))
        for operation in OPERATIONS:
            json.loads(write_answer(operation, read_answer(operation, body), None, asked))
