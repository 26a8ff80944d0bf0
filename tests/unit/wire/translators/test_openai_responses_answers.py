"""Whole responses, read and written."""

import json
from typing import Any

import msgspec
import pytest

from farthing.types.chat import (
    AnswerShape,
    ChatAnswer,
    ChatRequest,
    Choice,
    Citation,
    FinishReason,
    Foreign,
    Image,
    Inline,
    Message,
    Part,
    Reasoning,
    Refusal,
    Signature,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
)
from farthing.types.usage import Usage
from farthing.wire.translators.marks import marked
from farthing.wire.translators.openai_responses import TRANSLATOR
from tests.unit.wire.translators.responses_checks import (
    USAGE,
    asked_for,
    check_answer,
    check_stream,
    new_ids,
    stream_of,
)


def read(*output: Any, **members: Any) -> ChatAnswer:
    body = {"id": "resp_1", "model": "m", "status": "completed", "output": list(output), **members}
    return TRANSLATOR.read_answer(json.dumps(body).encode(), new_ids())


def written(*parts: Part, reason: FinishReason | None = "stop", request: ChatRequest | None = None) -> dict[str, Any]:
    answer = ChatAnswer(id="x", model="served", choices=(Choice(parts, reason),))
    body = TRANSLATOR.write_answer(answer, USAGE, asked_for(request))
    check_answer(body)
    found = json.loads(body)
    assert isinstance(found, dict)
    return found


CALL = {"type": "function_call", "call_id": "c", "name": "a", "arguments": "{}"}
SAID = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hi", "annotations": []}]}


def test_items_become_parts() -> None:
    found = read(
        {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "t"}], "encrypted_content": "E"},
        SAID,
        {**CALL, "namespace": "mcp"},
        {"type": "custom_tool_call", "call_id": "d", "name": "p", "input": "x"},
        {"type": "web_search_call", "id": "ws"},
        {"type": "image_generation_call", "result": "QUI=", "output_format": "webp"},
        created_at=1.0,
        service_tier="default",
    )
    assert found == ChatAnswer(
        id="resp_1",
        model="m",
        created_s=1,
        service_tier="default",
        choices=(
            Choice(
                (
                    Thinking("t", Signature("openai_responses", "E"), id="rs"),
                    Text("hi"),
                    ToolCall("c", "a", "{}", namespace="mcp"),
                    ToolCall("d", "p", "x", custom=True),
                    Foreign("openai_responses", "web_search_call", b'{"type":"web_search_call","id":"ws"}'),
                    Image(Inline("image/webp", "QUI=")),
                ),
                "tool_calls",
            ),
        ),
    )


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({}, "stop"),
        ({"output": [CALL]}, "tool_calls"),
        ({"output": [{"type": "message", "content": [{"type": "refusal", "refusal": "no"}]}]}, "refusal"),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "length"),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, "content_filter"),
        ({"status": "incomplete"}, "length"),
        ({"status": "failed"}, "error"),
        ({"status": "cancelled"}, "error"),
        ({"status": "queued"}, None),
    ],
)
def test_how_an_answer_ended(members: dict[str, Any], reason: str | None) -> None:
    assert read(SAID, **members).choices[0].finish_reason == reason


def test_log_probabilities_are_those_of_all_texts() -> None:
    token = {"token": "hi", "bytes": [104], "logprob": -0.5, "top_logprobs": []}
    said = {"type": "message", "content": [{"type": "output_text", "text": "hi", "logprobs": [token]}]}
    assert read(said, said).choices[0].logprobs == msgspec.json.encode([token, token])


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (b'[{"token":"hi","logprob":-0.5,"bytes":null}]', (-0.5, [104, 105])),
        (b'[{"token":"","top_logprobs":[{"token":"a","logprob":-1}]}]', (-9999.0, [])),
    ],
)
def test_what_together_and_hugging_face_leave_out_of_log_probabilities_is_filled_in(
    given: bytes, told: tuple[float, list[int]]
) -> None:
    answer = ChatAnswer(id=None, model=None, choices=(Choice((Text("hi"),), "stop", logprobs=given),))
    body = TRANSLATOR.write_answer(answer, None, asked_for())
    check_answer(body)
    (token,) = json.loads(body)["output"][0]["content"][0]["logprobs"]
    assert (token["logprob"], token["bytes"]) == told
    check_stream(stream_of(answer))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"output":7}',
        b'{"output":[7,{"type":7},{"type":"message","content":[7,{"type":"output_text"}]},{"type":"function_call"}]}',
        b'{"output":[{"type":"reasoning","summary":[7,{"text":7}],"encrypted_content":7}],"created_at":"x"}',
    ],
)
def test_garbage_is_left_out(body: bytes) -> None:
    found = TRANSLATOR.read_answer(body, new_ids())
    assert all(isinstance(part, ToolCall) for part in found.choices[0].content)


def test_a_call_without_an_id_gets_one() -> None:
    assert read({"type": "function_call", "name": "a"}).choices[0].content == (ToolCall("call_1", "a", "{}"),)


def test_everything_that_was_asked_for_is_repeated() -> None:
    request = ChatRequest(
        origin="openai_responses",
        model="m",
        messages=(Message("system", (Text("Be brief."),)), Message("user", (Text("hi"),))),
        tools=(Tool("a", "A", b'{"type":"object"}'), Tool("b", namespace="n", namespace_description="N")),
        tool_choice=ToolChoice("required", ("a",)),
        parallel_tool_calls=False,
        shape=AnswerShape(b'{"type":"object"}', "p"),
        reasoning=Reasoning(effort="low", shown=True),
        max_output_tokens=99,
        temperature=0.5,
        metadata=b'{"k":"v"}',
        service_tier="flex",
        user="u",
        prompt_cache_key="key",
        verbosity="low",
    )
    found = written(Text("hi"), request=request)
    assert found["instructions"] == "Be brief."
    assert [tool["type"] for tool in found["tools"]] == ["function", "namespace"]
    assert found["tool_choice"] == {"type": "function", "name": "a"}
    assert found["text"]["format"]["name"] == "p"
    assert found["reasoning"] == {"effort": "low", "summary": "auto"}
    assert (found["max_output_tokens"], found["temperature"], found["metadata"]) == (99, 0.5, {"k": "v"})
    assert (found["parallel_tool_calls"], found["service_tier"], found["user"]) == (False, "flex", "u")
    assert (found["id"], found["model"], found["created_at"]) == ("resp_abc123", "served", 1_790_000_000)


def test_usage_is_in_the_formats_own_terms() -> None:
    assert written(Text("hi"))["usage"] == {
        "input_tokens": 20,
        "input_tokens_details": {"cache_write_tokens": 0, "cached_tokens": 8},
        "output_tokens": 9,
        "output_tokens_details": {"reasoning_tokens": 4},
        "total_tokens": 29,
    }


def test_usage_that_is_not_known_is_null_and_not_nothing() -> None:
    answer = ChatAnswer(id=None, model=None, choices=(Choice((Text("a"),), "stop"),))
    for usage in (None, Usage(output_tokens=3)):
        assert json.loads(TRANSLATOR.write_answer(answer, usage, asked_for()))["usage"] is None


@pytest.mark.parametrize(
    ("reason", "status", "details"),
    [
        ("stop", "completed", None),
        ("tool_calls", "completed", None),
        ("length", "incomplete", {"reason": "max_output_tokens"}),
        ("content_filter", "incomplete", {"reason": "content_filter"}),
        ("refusal", "incomplete", {"reason": "content_filter"}),
        ("error", "failed", None),
    ],
)
def test_the_status_of_an_answer(reason: FinishReason, status: str, details: Any) -> None:
    found = written(Text("a"), reason=reason)
    assert (found["status"], found["incomplete_details"]) == (status, details)
    assert (found["error"] is not None) is (status == "failed")


def test_a_refusal_that_a_part_tells_is_completed() -> None:
    found = written(Refusal("no"), reason="refusal")
    assert (found["status"], found["output"][0]["content"]) == ("completed", [{"type": "refusal", "refusal": "no"}])


def test_neighbouring_texts_are_one_message_and_what_comes_between_parts_them() -> None:
    found = written(Text("a"), Text("b"), ToolCall("c", "t", ""), Text("d"))["output"]
    assert [item["type"] for item in found] == ["message", "function_call", "message"]
    assert [part["text"] for part in found[0]["content"]] == ["a", "b"]
    assert found[1]["arguments"] == "{}"
    assert len({item["id"] for item in found}) == 3


def test_a_namespace_is_given_back_beside_the_name() -> None:
    (item,) = written(ToolCall("c", "t", "{}", namespace="mcp__files"))["output"]
    assert (item["name"], item["namespace"], item["call_id"]) == ("t", "mcp__files", "c")
    (item,) = written(ToolCall("c", "t", "x", custom=True, namespace="n"))["output"]
    assert (item["type"], item["input"], item["namespace"]) == ("custom_tool_call", "x", "n")


SEALED = Signature("anthropic_messages", "sealed")


@pytest.mark.parametrize(
    ("thought", "asked", "content"),
    [
        (Thinking("t", Signature("openai_responses", "E")), False, "E"),
        (Thinking("t", SEALED), True, marked(SEALED)),
        (Thinking("t"), True, marked(None)),
        (Thinking("t", SEALED), False, None),
    ],
)
def test_a_client_that_asks_for_seals_gets_its_own_or_a_mark(
    thought: Thinking, asked: bool, content: str | None
) -> None:
    request = msgspec.structs.replace(asked_for().request, seals_asked=asked)
    (item,) = written(thought, request=request)["output"]
    assert item["summary"] == [{"type": "summary_text", "text": "t"}]
    assert item.get("encrypted_content") == content


def test_a_citation_is_an_annotation_as_it_came_or_by_its_address() -> None:
    own = Citation("openai_responses", b'{"type":"file_citation","file_id":"f","filename":"a","index":1}')
    other = Citation("gemini", b"{}", "https://a/", None, None, None)
    (item,) = written(Text("abc", citations=(own, other, Citation("gemini", b"{}"))))["output"]
    assert item["content"][0]["annotations"] == [
        {"type": "file_citation", "file_id": "f", "filename": "a", "index": 1},
        {"type": "url_citation", "end_index": 3, "start_index": 0, "title": "https://a/", "url": "https://a/"},
    ]


def test_pictures_are_told_and_what_is_foreign_to_the_format_is_not() -> None:
    found = written(Image(Inline("image/png", "QUI=")), Foreign("gemini", "executable_code", b"{}"), Text("a"))[
        "output"
    ]
    assert [item["type"] for item in found] == ["image_generation_call", "message"]
    assert found[0]["result"] == "QUI="
