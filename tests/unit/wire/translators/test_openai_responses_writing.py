"""What a provider of OpenAI's responses is sent."""

import json
from typing import Any

import pytest

from farthing.types.chat import (
    AnswerShape,
    Audio,
    Cached,
    ChatRequest,
    Document,
    Filed,
    Foreign,
    Image,
    Inline,
    Linked,
    Message,
    Part,
    Reasoning,
    ServerTool,
    Signature,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from farthing.wire.translators.marks import marked
from farthing.wire.translators.openai_responses import TRANSLATOR
from tests.unit.wire.translators.responses_checks import new_ids

SEALED = Signature("openai_responses", "E")


def written(*messages: Message, **members: Any) -> dict[str, Any]:
    members = {"origin": "anthropic_messages", "model": "gpt-4.1", **members}
    request = ChatRequest(messages=messages or (Message("user", (Text("hi"),)),), **members)
    body = json.loads(TRANSLATOR.write_request(request, new_ids()))
    assert isinstance(body, dict)
    return body


def items(*messages: Message) -> list[Any]:
    found = written(*messages)["input"]
    assert isinstance(found, list)
    return found


def of_assistant(*parts: Part) -> list[Any]:
    return items(Message("assistant", parts))


def test_a_request_is_small_and_what_grows_comes_last() -> None:
    body = written(streamed=True)
    assert body == {
        "model": "gpt-4.1",
        "stream": True,
        "store": False,
        "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}],
    }
    assert list(body)[-1] == "input"


def test_system_messages_keep_their_places() -> None:
    roles = [item["role"] for item in items(*[Message(role, (Text("a"),)) for role in ("system", "user", "system")])]
    assert roles == ["system", "user", "system"]


def test_a_turn_of_an_assistant_is_items_in_its_order() -> None:
    call = ToolCall("call_1", "look", '{"x":1}', namespace="mcp")
    patch = ToolCall("call_2", "apply_patch", "*** Begin", custom=True)
    found = of_assistant(
        Thinking("a", SEALED, id="rs_1"), Text("b"), Text("c"), call, patch, ToolCall("call_3", "n", "")
    )
    assert found == [
        {
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "a"}],
            "encrypted_content": "E",
        },
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "b"}, {"type": "output_text", "text": "c"}],
        },
        {"type": "function_call", "call_id": "call_1", "name": "look", "namespace": "mcp", "arguments": '{"x":1}'},
        {"type": "custom_tool_call", "call_id": "call_2", "name": "apply_patch", "input": "*** Begin"},
        {"type": "function_call", "call_id": "call_3", "name": "n", "arguments": "{}"},
    ]


@pytest.mark.parametrize(
    "thought",
    [
        Thinking("a"),
        Thinking("a", Signature("anthropic_messages", "sealed")),
        Thinking("", Signature("anthropic_messages", "sealed"), redacted=True),
        Thinking("a", Signature("openai_responses", marked(None))),
    ],
)
def test_a_thought_that_the_provider_did_not_seal_itself_is_left_out(thought: Thinking) -> None:
    assert of_assistant(thought) == []


def test_a_thought_goes_back_without_its_id_because_openai_pairs_ids_with_what_followed() -> None:
    thought, said = of_assistant(Thinking("a", SEALED, id="rs_1"), Text("edited by the client"))
    assert "id" not in thought
    assert said["type"] == "message"


def test_what_is_said_between_calls_goes_before_them_because_deepseek_takes_it_for_the_end_of_the_first() -> None:
    found = of_assistant(Text("a"), ToolCall("1", "x", "{}"), Text("b"), ToolCall("2", "y", "{}"), Text("c"))
    assert [item["type"] for item in found] == ["message"] * 3 + ["function_call"] * 2
    assert [item["content"][0]["text"] for item in found[:3]] == ["a", "b", "c"]
    thought = Thinking("t", SEALED)
    found = of_assistant(ToolCall("1", "x", "{}"), thought, Text("b"), ToolCall("2", "y", "{}"))
    assert [item["type"] for item in found] == ["function_call", "reasoning", "message", "function_call"]


def test_results_are_texts_or_parts_and_an_error_says_so() -> None:
    picture = Image(Inline("image/png", "QUI="))
    found = items(
        Message(
            "tool",
            (
                ToolResult("1", (Text("ok"),)),
                ToolResult("2", (Text("seen"), picture)),
                ToolResult("3", (Text("no such file"),), is_error=True),
                ToolResult("4", (Text("Error: gone"),), is_error=True),
                ToolResult("5", (), is_error=True),
                ToolResult("6", (), custom=True),
            ),
        )
    )
    assert [item["output"] for item in found] == [
        "ok",
        [
            {"type": "input_text", "text": "seen"},
            {"type": "input_image", "detail": "auto", "image_url": "data:image/png;base64,QUI="},
        ],
        "Error: no such file",
        "Error: gone",
        "Error:",
        "",
    ]
    assert [item["type"] for item in found[-2:]] == ["function_call_output", "custom_tool_call_output"]


def test_an_id_that_is_too_long_is_shortened_alike_in_the_call_and_in_its_result() -> None:
    long = "call_" + "x" * 80
    call, result = items(
        Message("assistant", (ToolCall(long, "a", "{}"),)), Message("tool", (ToolResult(long, (Text("b"),)),))
    )
    assert call["call_id"] == result["call_id"]
    assert len(call["call_id"]) <= 64


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (
            Image(Linked("https://a/b.png"), "high"),
            {"type": "input_image", "detail": "high", "image_url": "https://a/b.png"},
        ),
        (
            Document(Inline("application/pdf", "QUI=")),
            {"type": "input_file", "filename": "document.pdf", "file_data": "data:application/pdf;base64,QUI="},
        ),
        (
            Document(Inline("text/plain", "QUI="), "a.txt"),
            {"type": "input_file", "filename": "a.txt", "file_data": "data:text/plain;base64,QUI="},
        ),
        (Document(Linked("https://a/b.pdf")), {"type": "input_file", "file_url": "https://a/b.pdf"}),
        (Document(Filed("openai_chat", "file-1")), {"type": "input_file", "file_id": "file-1"}),
        (Audio(Inline("audio/wav", "QUI="), transcript="hello"), {"type": "input_text", "text": "hello"}),
    ],
)
def test_what_a_user_shows(part: Part, expected: dict[str, Any]) -> None:
    assert items(Message("user", (part,))) == [{"type": "message", "role": "user", "content": [expected]}]


@pytest.mark.parametrize(
    "part",
    [
        Image(Filed("anthropic_messages", "file_1")),
        Audio(Inline("audio/wav", "QUI=")),
        Foreign("gemini", "executable_code", b"{}"),
    ],
)
def test_what_the_format_has_not_is_left_out(part: Part) -> None:
    assert items(Message("user", (Text("a"), part)))[0]["content"] == [{"type": "input_text", "text": "a"}]
    assert items(Message("user", (part,))) == []


def test_a_picture_that_a_model_made_is_shown_to_it_by_the_user() -> None:
    said, shown = of_assistant(Image(Inline("image/png", "QUI=")), Text("a cat"))
    assert (said["role"], shown["role"], shown["content"][0]["type"]) == ("assistant", "user", "input_image")


def test_a_mark_of_the_prompt_cache_is_not_sent_to_models_that_may_not_know_it() -> None:
    assert items(Message("user", (Text("a", Cached()),)))[0]["content"] == [{"type": "input_text", "text": "a"}]


def test_what_is_of_this_format_goes_back_to_it() -> None:
    body = written(
        Message(
            "assistant", (Foreign("openai_responses", "web_search_call", b'{"type":"web_search_call","id":"ws"}'),)
        ),
        origin="openai_responses",
        server_tools=(ServerTool("openai_responses", "web_search", b'{"type":"web_search"}'),),
        extra={"previous_response_id": b'"resp_1"', "include": b'["web_search_call.results"]', "text.x": b"1"},
    )
    assert body["input"] == [{"type": "web_search_call", "id": "ws"}]
    assert body["tools"] == [{"type": "web_search"}]
    assert (body["previous_response_id"], body["include"]) == ("resp_1", ["web_search_call.results"])
    assert "text.x" not in body


def test_what_is_of_another_format_does_not() -> None:
    body = written(server_tools=(ServerTool("gemini", "googleSearch", b"{}"),), extra={"safetySettings": b"[]"})
    assert set(body) == {"model", "store", "input"}


def test_a_tool_that_does_not_say_is_not_held_to_its_schema() -> None:
    tools = (Tool("a", "A", b'{"type":"object"}'), Tool("b", parameters=b"{}", strict=True))
    assert written(tools=tools)["tools"] == [
        {"type": "function", "name": "a", "description": "A", "parameters": {"type": "object"}, "strict": False},
        {"type": "function", "name": "b", "parameters": {}, "strict": True},
    ]


def test_tools_of_one_namespace_stand_in_it_together() -> None:
    grammar = b'{"syntax":"regex","definition":"a+"}'
    tools = (
        Tool("a", namespace="m", namespace_description="M"),
        Tool("b", namespace="m", custom=True, grammar=grammar),
        Tool("c"),
    )
    space, plain = written(tools=tools)["tools"]
    assert (space["type"], space["name"], space["description"], plain["name"]) == ("namespace", "m", "M", "c")
    assert [tool["name"] for tool in space["tools"]] == ["a", "b"]
    assert space["tools"][1]["format"] == {"type": "grammar", "syntax": "regex", "definition": "a+"}


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (ToolChoice("auto"), "auto"),
        (ToolChoice("none", ("a",)), "none"),
        (ToolChoice("required"), "required"),
        (ToolChoice("required", ("a",)), {"type": "function", "name": "a"}),
        (ToolChoice("required", ("c",)), {"type": "custom", "name": "c"}),
        (
            ToolChoice("auto", ("a", "c")),
            {
                "type": "allowed_tools",
                "mode": "auto",
                "tools": [{"type": "function", "name": "a"}, {"type": "custom", "name": "c"}],
            },
        ),
    ],
)
def test_the_choice_of_tools(choice: ToolChoice, expected: Any) -> None:
    assert written(tools=(Tool("a"), Tool("c", custom=True)), tool_choice=choice)["tool_choice"] == expected


@pytest.mark.parametrize(
    ("reasoning", "expected"),
    [
        (Reasoning(effort="high", shown=True), {"effort": "high", "summary": "auto"}),
        (Reasoning(effort="low", shown=True, summary="detailed"), {"effort": "low", "summary": "detailed"}),
        (Reasoning(budget_tokens=8_000), {"effort": "medium"}),
        (Reasoning(off=True), {"effort": "none"}),
        (Reasoning(adaptive=True), None),
    ],
)
def test_how_much_to_think(reasoning: Reasoning, expected: Any) -> None:
    assert written(reasoning=reasoning).get("reasoning") == expected


@pytest.mark.parametrize(
    ("model", "asked"),
    [
        ("gpt-5.4", True),
        ("openai/gpt-5-nano", True),
        ("o4-mini", True),
        ("grok-4.3", True),
        ("gpt-5-chat-latest", False),
        ("gpt-4o", False),
        ("gpt-4.1-mini", False),
    ],
)
def test_encrypted_reasoning_is_asked_of_models_that_think(model: str, asked: bool) -> None:
    assert ("include" in written(model=model)) is asked
    assert written(model=model, reasoning=Reasoning(effort="low"))["include"] == ["reasoning.encrypted_content"]
    assert "include" not in written(model=model, reasoning=Reasoning(effort="none"))


@pytest.mark.parametrize(
    ("model", "taken"),
    [
        ("gpt-5", False),
        ("gpt-5-mini-2025-08-07", False),
        ("openai/o3-mini", False),
        ("gpt-5.4", True),
        ("gpt-4o", True),
    ],
)
def test_the_first_reasoning_models_are_sent_no_temperature(model: str, taken: bool) -> None:
    body = written(model=model, temperature=0.5, top_p=0.5)
    assert ("temperature" in body, "top_p" in body) == (taken, taken)


def test_fewer_output_tokens_than_are_taken_become_the_fewest() -> None:
    assert written(max_output_tokens=1)["max_output_tokens"] == 16
    assert written(max_output_tokens=17)["max_output_tokens"] == 17


def test_the_rest_goes_by_its_own_name() -> None:
    body = written(
        shape=AnswerShape(b'{"type":"object"}', strict=True),
        verbosity="low",
        logprobs=True,
        top_logprobs=3,
        store=True,
        service_tier="standard_only",
        user="u",
        metadata=b'{"a":"b"}',
        prompt_cache_key="k",
        parallel_tool_calls=False,
        stop=("x",),
        seed=1,
        n=2,
        presence_penalty=0.5,
    )
    del body["input"], body["model"]
    assert body == {
        "text": {
            "format": {"type": "json_schema", "name": "answer", "schema": {"type": "object"}, "strict": True},
            "verbosity": "low",
        },
        "include": ["message.output_text.logprobs"],
        "top_logprobs": 3,
        "store": True,
        "user": "u",
        "metadata": {"a": "b"},
        "prompt_cache_key": "k",
        "parallel_tool_calls": False,
    }
    assert written(shape=AnswerShape())["text"] == {"format": {"type": "json_object"}}
    assert written(service_tier="flex")["service_tier"] == "flex"
