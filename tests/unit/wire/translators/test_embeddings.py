import json
import math
from array import array
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import ollama
import pytest
from google.genai.types import EmbedContentResponse
from openai.types import CreateEmbeddingResponse

from farthing.errors import InvalidRequest
from farthing.types.chat import Foreign
from farthing.types.embeddings import EmbeddingAnswer, EmbeddingRequest, ToEmbed
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

USAGE = Usage(input_tokens=5, output_tokens=0)
VECTORS = ((0.5, -0.25, 1.0), (0.0, 2.0, 0.125))
ANSWER = EmbeddingAnswer(model="served", vectors=VECTORS)


def read(operation: EmbeddingOperation, body: object) -> EmbeddingRequest:
    return read_request(operation, json.dumps(body).encode(), model="m")


def asked(*texts: str, **members: Any) -> EmbeddingRequest:
    given: dict[str, Any] = {"origin": "ollama", "model": "m", **members}
    return EmbeddingRequest(inputs=tuple(ToEmbed(text) for text in texts), **given)


@pytest.mark.parametrize(
    ("given", "inputs"),
    [
        ("a", ("a",)),
        ("", ("",)),
        (["a", "b"], ("a", "b")),
        ([1, 2], ((1, 2),)),
        ([[1, 2], [3]], ((1, 2), (3,))),
    ],
)
def test_openais_clients_send_texts_or_tokens_alone_or_several(given: object, inputs: tuple[Any, ...]) -> None:
    request = read("embeddings", {"model": "x", "input": given, "dimensions": 3, "user": "u", "input_type": "query"})
    assert request == EmbeddingRequest(
        origin="openai_embeddings",
        model="m",
        inputs=tuple(ToEmbed(content) for content in inputs),
        dimensions=3,
        user="u",
        extra={"input_type": b'"query"'},
    )
    assert read_request(*write_request("openai_embeddings", request), model="m") == request


def test_geminis_clients_say_what_a_vector_is_for() -> None:
    one = {
        "model": "models/x",
        "content": {"parts": [{"text": "a"}, {"text": "b"}]},
        "task_type": "RETRIEVAL_DOCUMENT",
        "title": "T",
        "outputDimensionality": 768,
    }
    request = read("embed_content", one)
    assert request == EmbeddingRequest(
        origin="gemini", model="m", inputs=(ToEmbed("ab", "RETRIEVAL_DOCUMENT", "T"),), dimensions=768
    )
    assert read("batch_embed_contents", {"requests": [one, one]}).inputs == request.inputs * 2
    operation, body = write_request("gemini", request)
    assert operation == "batch_embed_contents"
    assert read_request(operation, body, model="m") == request
    assert json.loads(body)["requests"][0]["model"] == "models/m"


def test_a_picture_to_embed_goes_to_gemini_only() -> None:
    content = {"parts": [{"text": "a"}, {"inline_data": {"mime_type": "image/png", "data": "iVBO"}}]}
    request = read("embed_content", {"content": content})
    assert isinstance(request.inputs[0].content, Foreign)
    assert json.loads(write_request("gemini", request)[1])["requests"][0]["content"] == content
    with pytest.raises(InvalidRequest, match="input 0 is more than text"):
        write_request("ollama", request)


def test_ollamas_clients_send_one_text_or_several_and_the_old_path_a_prompt() -> None:
    request = read(
        "ollama_embed",
        {"input": ["a"], "truncate": False, "dimensions": 8, "options": {"num_ctx": 5}, "keep_alive": None},
    )
    assert request == asked("a", truncate=False, dimensions=8, extra={"options": b'{"num_ctx":5}'})
    assert read_request(*write_request("ollama", request), model="m") == request
    assert read("ollama_embeddings", {"prompt": "a", "options": {}, "keep_alive": None}) == asked("a")
    assert read("ollama_embed", {"input": ""}) == read("ollama_embed", {}) == asked()


def test_nothing_to_embed_is_refused_where_it_would_be_sent() -> None:
    with pytest.raises(InvalidRequest, match="empty"):
        write_request("openai_embeddings", asked())


def test_tokens_are_refused_where_they_would_stand_for_other_words() -> None:
    request = read("embeddings", {"input": [1, 2]})
    for wire in ("gemini", "ollama"):
        with pytest.raises(InvalidRequest, match="input 0 is tokens"):
            write_request(wire, request)


def test_a_client_of_openais_is_refused_and_not_cut_by_ollama_either() -> None:
    assert json.loads(write_request("ollama", read("embeddings", {"input": "a"}))[1])["truncate"] is False
    assert "truncate" not in json.loads(write_request("ollama", asked("a"))[1])


def test_what_is_lost_is_named() -> None:
    request = EmbeddingRequest(
        origin="gemini",
        model="m",
        inputs=(ToEmbed("a", "CLUSTERING", "T"), ToEmbed((1,)), ToEmbed(Foreign("gemini", "content", b"{}"))),
        truncate=True,
        user="u",
        extra={"odd": b"1"},
    )
    used = used_by(request)
    assert {use.feature for use in used} == {
        Feature.TASK_TYPE,
        Feature.TITLE,
        Feature.TOKEN_INPUT,
        Feature.FOREIGN_PARTS,
        Feature.TRUNCATE,
        Feature.USER,
        Feature.UNKNOWN_FIELDS,
    }
    assert [use.field for use in lost(used, CARRIES["gemini"])] == ["inputs[1]", "inputs[2]", "truncate", "user", "odd"]


@pytest.mark.parametrize(
    ("operation", "body", "words"),
    [
        ("embeddings", {}, '"input" is missing or null'),
        ("embeddings", {"input": []}, '"input" is []'),
        ("embeddings", {"input": ["a", 1]}, '"input[1]" is 1'),
        ("embeddings", {"input": [[1], "a"]}, '"input[1]" is "a"'),
        ("embeddings", {"input": [True]}, '"input[0]" is true'),
        ("embeddings", {"input": "a", "dimensions": 0}, '"dimensions" is 0'),
        ("embeddings", {"input": "a", "encoding_format": "int8"}, 'one of "float", "base64"'),
        ("embed_content", {}, '"content" is missing or null'),
        ("embed_content", {"content": {}}, '"content.parts" is missing or null'),
        ("batch_embed_contents", {}, '"requests" is missing or null'),
        (
            "batch_embed_contents",
            {"requests": [{"content": {"parts": []}}]},
            '"requests[0].content.parts" is missing or null',
        ),
        ("ollama_embed", {"input": [1]}, '"input[0]" is 1'),
        ("ollama_embed", {"input": 7}, '"input" is 7'),
        ("ollama_embeddings", {}, '"prompt" is missing or null'),
    ],
)
def test_what_is_wrong_is_named(operation: EmbeddingOperation, body: Mapping[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read(operation, body)
    assert words in str(refused.value)


def test_vectors_of_one_batch_have_one_size() -> None:
    def sized(size: int) -> dict[str, Any]:
        return {"content": {"parts": [{"text": "a"}]}, "outputDimensionality": size}

    with pytest.raises(InvalidRequest, match="outputDimensionality"):
        read("batch_embed_contents", {"requests": [sized(1), sized(2)]})


# ---- answers


def test_openais_clients_get_lists_or_base64_as_they_asked() -> None:
    plain = json.loads(write_answer("embeddings", ANSWER, USAGE, asked("a", "b")))
    CreateEmbeddingResponse.model_validate(plain, strict=True)
    assert plain["usage"] == {"prompt_tokens": 5, "total_tokens": 5}
    assert [item["embedding"] for item in plain["data"]] == [list(numbers) for numbers in VECTORS]
    packed = write_answer("embeddings", ANSWER, USAGE, asked("a", "b", base64=True))
    assert json.loads(packed)["data"][0]["embedding"] == b64encode(array("f", VECTORS[0]).tobytes()).decode()
    assert read_answer("embeddings", packed) == ANSWER


@pytest.mark.parametrize("operation", ["embed_content", "batch_embed_contents"])
def test_geminis_clients_get_values(operation: EmbeddingOperation) -> None:
    body = json.loads(write_answer(operation, ANSWER, USAGE, asked("a", "b")))
    assert body.pop("usageMetadata") == {"promptTokenCount": 5, "totalTokenCount": 5}
    if operation == "embed_content":
        assert body == {"embedding": {"values": [0.5, -0.25, 1.0]}}
    else:
        found = EmbedContentResponse.model_validate(body).embeddings
        assert [tuple(item.values or ()) for item in found or ()] == list(VECTORS)


def test_ollamas_clients_get_vectors_on_both_paths() -> None:
    body = write_answer("ollama_embed", ANSWER, USAGE, asked("a", "b"))
    answer = ollama.EmbedResponse.model_validate_json(body)
    assert (answer.model, answer.prompt_eval_count, [*map(tuple, answer.embeddings)]) == ("served", 5, [*VECTORS])
    old = ollama.EmbeddingsResponse.model_validate_json(write_answer("ollama_embeddings", ANSWER, None, asked("a")))
    assert tuple(old.embedding) == VECTORS[0]


def test_counts_that_nobody_knows_are_left_out_where_they_may_be() -> None:
    assert "prompt_eval_count" not in json.loads(write_answer("ollama_embed", ANSWER, None, asked("a")))
    assert "usageMetadata" not in json.loads(write_answer("batch_embed_contents", ANSWER, Usage(), asked("a")))
    CreateEmbeddingResponse.model_validate_json(write_answer("embeddings", ANSWER, None, asked("a")), strict=True)


def test_vectors_are_put_in_the_order_of_their_indexes() -> None:
    data = [{"index": 1, "embedding": [2]}, {"index": 0, "embedding": [1]}]
    assert read_answer("embeddings", json.dumps({"data": data}).encode()).vectors == ((1.0,), (2.0,))


def test_bytes_that_are_no_floats_are_read_as_the_small_numbers_they_are() -> None:
    numbers = [(-1) ** at * (at % 100) for at in range(1024)]
    packed = b64encode(array("b", numbers).tobytes()).decode()
    body = json.dumps({"data": [{"index": 0, "embedding": packed}]}).encode()
    assert read_answer("embeddings", body).vectors == (tuple(map(float, numbers)),)


@pytest.mark.parametrize(
    ("operation", "body", "vectors"),
    [
        ("embeddings", {"data": [{"embedding": None}, {"embedding": [1]}, 5]}, ((), (1.0,), ())),
        ("embeddings", {"data": [{"embedding": "*"}]}, ((),)),
        ("embeddings", {"data": 1}, ()),
        ("batch_embed_contents", {"embeddings": [{"values": [1]}, {}, None]}, ((1.0,), (), ())),
        ("embed_content", {"embedding": {"values": [1]}}, ((1.0,),)),
        ("ollama_embed", {"embeddings": [[1], "x", [None]]}, ((1.0,), (), ())),
        ("ollama_embed", {"embeddings": 1, "model": 2}, ()),
        ("ollama_embeddings", {"embedding": [1, 2]}, ((1.0, 2.0),)),
    ],
)
def test_a_vector_that_cannot_be_read_keeps_its_place(
    operation: EmbeddingOperation, body: object, vectors: tuple[tuple[float, ...], ...]
) -> None:
    assert read_answer(operation, json.dumps(body).encode()).vectors == vectors


def test_base64_keeps_the_length_of_a_vector() -> None:
    numbers = tuple(math.sin(at) for at in range(64))
    answer = EmbeddingAnswer(model=None, vectors=(numbers,))
    read_back = read_answer("embeddings", write_answer("embeddings", answer, None, asked("a", base64=True)))
    assert math.dist(read_back.vectors[0], numbers) < 1e-6
    assert read_back.model == "m"
