"""Every recorded embedding through the translators, and what a reader finds in some of them."""

import json
import math
import os
from pathlib import Path
from typing import get_args

import pytest

from farthing.errors import InvalidRequest
from farthing.types.chat import Foreign
from farthing.types.embeddings import EmbeddingAnswer, ToEmbed
from farthing.types.usage import Usage
from farthing.wire.translators.embeddings import (
    EmbeddingOperation,
    read_answer,
    read_request,
    used_by,
    write_answer,
    write_request,
)
from tests.e2e.recordings.exchanges import Exchange, load

RECORDINGS = os.environ.get("FARTHING_RECORDINGS", "")
pytestmark = [
    pytest.mark.recordings,
    pytest.mark.skipif(not RECORDINGS, reason="no recordings: set FARTHING_RECORDINGS to their folder"),
]

LEAST_PLAYED = 39
OPERATIONS: tuple[EmbeddingOperation, ...] = get_args(EmbeddingOperation)
USAGE = Usage(input_tokens=3, output_tokens=0)


@pytest.fixture(scope="module")
def exchanges() -> dict[str, Exchange]:
    return {
        exchange.slug: exchange
        for exchange in load(Path(RECORDINGS))
        if exchange.asked is not None and exchange.asked.operation in OPERATIONS and isinstance(exchange.body, dict)
    }


def operation_of(exchange: Exchange) -> EmbeddingOperation:
    assert exchange.asked is not None
    return next(operation for operation in OPERATIONS if operation == exchange.asked.operation)


def vectors_of(exchange: Exchange) -> tuple[tuple[float, ...], ...]:
    return read_answer(operation_of(exchange), exchange.recorded).vectors


def test_every_recorded_embedding_is_told_the_same_in_every_format(exchanges: dict[str, Exchange]) -> None:
    played = 0
    for slug, exchange in exchanges.items():
        if exchange.status != 200:
            continue
        played += 1
        request = read_request(operation_of(exchange), json.dumps(exchange.body).encode(), model=exchange.model or "m")
        answer = read_answer(operation_of(exchange), exchange.recorded)
        assert len(answer.vectors) == len(request.inputs), slug
        assert all(answer.vectors), slug
        assert exchange.asked is not None
        for wire in ("openai_embeddings", "gemini", "ollama"):
            try:
                operation, body = write_request(wire, request)
            except InvalidRequest:
                assert isinstance(request.inputs[0].content, Foreign)
                continue
            again = read_request(operation, body, model=request.model)
            assert [item.content for item in again.inputs] == [item.content for item in request.inputs], slug
            assert again.dimensions == request.dimensions, slug
        for operation in OPERATIONS:
            told = read_answer(operation, write_answer(operation, answer, USAGE, request))
            one = operation in ("embed_content", "ollama_embeddings")
            assert told.vectors == answer.vectors[: 1 if one else None] or request.base64, slug
            assert all(
                math.dist(ours, theirs) < 1e-5 * max(1, math.hypot(*theirs))
                for ours, theirs in zip(told.vectors, answer.vectors, strict=False)
            ), slug
    assert played >= LEAST_PLAYED


SIZES = [
    ("openai/embeddings-sync-text-embedding-3-small-embedding-b64-1247f", [512]),
    ("azure/embeddings-sync-text-embedding-ada-002-azure-embedding-fff42", [1536]),
    ("azure/embeddings-sync-embedding-test-azure-openai-embeddings-00-29766", [3072]),
    ("openai/embeddings-sync-text-embedding-3-small-test-embeddings-with-dimensions-6fede", [512]),
    ("mistral/embeddings-sync-mistral-embed-mistral-v1-embeddings-post-22f67997-776fb", [1024, 1024]),
    ("ollama/embeddings-sync-all-minilm-ollama-embedding-1750c", [384]),
    ("ollama/api-embed-sync-nomic-embed-text-testcreateembedding-00-1839e", [768]),
    ("voyage/embeddings-sync-voyage-3.5-testvoyageai.test-documents-94d6a", [1024, 1024]),
    ("gemini/embeddings-sync-gemini-embedding-2-test-embedding-gemini-embedding-2-768-22126", [768]),
]


@pytest.mark.parametrize(("slug", "sizes"), SIZES, ids=[case[0] for case in SIZES])
def test_vectors_have_the_size_and_the_length_that_models_give_them(
    exchanges: dict[str, Exchange], slug: str, sizes: list[int]
) -> None:
    vectors = vectors_of(exchanges[slug])
    assert [len(numbers) for numbers in vectors] == sizes
    assert all(abs(math.hypot(*numbers) - 1) < 0.01 for numbers in vectors)  # a wrong byte order would not


def test_an_old_models_vectors_are_not_of_length_one(exchanges: dict[str, Exchange]) -> None:
    (numbers,) = vectors_of(exchanges["ollama/embeddings-sync-llama3-test-ollama-embeddings-legacy-13fd0"])
    assert (len(numbers), round(numbers[1], 4)) == (4096, -1.6613)


def test_perplexitys_bytes_are_1024_small_numbers(exchanges: dict[str, Exchange]) -> None:
    slug = next(slug for slug in exchanges if slug.startswith("perplexity/embeddings-sync-pplx-embed"))
    (numbers,) = vectors_of(exchanges[slug])
    assert len(numbers) == 1024
    assert all(number.is_integer() and -128 <= number < 128 for number in numbers)


def test_googles_task_is_kept_and_named(exchanges: dict[str, Exchange]) -> None:
    slug = "gemini/embeddings-sync-gemini-embedding-2-preview-testgoogle.test-instrumentation-8e0d3"
    request = read_request("batch_embed_contents", json.dumps(exchanges[slug].body).encode(), model="m")
    assert request.inputs == (ToEmbed("Hello, world!", "RETRIEVAL_QUERY"),)
    assert (request.dimensions, [use.field for use in used_by(request)]) == (768, ["inputs[0].task"])


def test_an_openai_sdk_asks_for_base64_and_gets_it_of_ollamas_vectors(exchanges: dict[str, Exchange]) -> None:
    asked = exchanges["openai/embeddings-sync-text-embedding-ada-002-test-embeddings-00-8914a"]
    request = read_request("embeddings", json.dumps(asked.body).encode(), model="text-embedding-ada-002")
    assert request.base64
    answered = exchanges["ollama/api-embed-sync-nomic-embed-text-testcreateembedding-00-1839e"]
    answer = read_answer("ollama_embed", answered.recorded)
    told = write_answer("embeddings", answer, USAGE, request)
    assert len(json.loads(told)["data"][0]["embedding"]) == 768 * 4 * 4 // 3
    (numbers,) = read_answer("embeddings", told).vectors
    assert numbers == pytest.approx(answer.vectors[0], rel=1e-6)


def test_an_error_in_the_place_of_vectors_is_none(exchanges: dict[str, Exchange]) -> None:
    failed = exchanges["openai/embeddings-sync-nonexistent-testopenai.test-embed-error-10f23"]
    assert read_answer("embeddings", failed.recorded) == EmbeddingAnswer(model=None, vectors=())
