import json
from collections.abc import Iterable
from typing import Any

import pytest
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming, MessageCreateParamsStreaming
from pydantic import TypeAdapter

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
    Refusal,
    ServerTool,
    Signature,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from farthing.types.providers import WireFormat
from farthing.wire.translators.anthropic_messages import TRANSLATOR
from farthing.wire.translators.features import Feature, Used

OWN: WireFormat = "anthropic_messages"
HELLO = Message("user", (Text("Hello."),))
CALL = Message("assistant", (ToolCall("toolu_1", "look", '{"at": "it"}'),))
RESULT = Message("tool", (ToolResult("toolu_1", (Text("Seen."),)),))
LOOK = Tool("look", "Looks.", b'{"type":"object","properties":{"at":{"type":"string"}}}')
BUDGETED, EITHER, ADAPTIVE, FABLE = "claude-sonnet-4-5", "claude-sonnet-4-6", "claude-opus-5", "claude-fable-5"
_streaming = TypeAdapter(MessageCreateParamsStreaming)
_whole = TypeAdapter(MessageCreateParamsNonStreaming)


def asked(*messages: Message, model: str = BUDGETED, **members: Any) -> ChatRequest:
    return ChatRequest(origin="openai_chat", model=model, messages=messages or (HELLO,), **members)


def written(*messages: Message, model: str = BUDGETED, **members: Any) -> dict[str, Any]:
    """Return the body of a request, which Anthropic's own types accept."""
    body: dict[str, Any] = json.loads(write(asked(*messages, model=model, **members)))
    looked_through((_streaming if body.get("stream") else _whole).validate_python(body, strict=False))
    return body


def write(request: ChatRequest) -> bytes:
    return TRANSLATOR.write_request(request, lambda prefix: prefix)


def looked_through(value: Any) -> None:
    """Validate the lists as well, which pydantic does only when somebody looks at them."""
    if isinstance(value, dict):
        for inner in value.values():
            looked_through(inner)
    elif isinstance(value, Iterable) and not isinstance(value, str):
        for inner in value:
            looked_through(inner)


def left_out(*messages: Message, model: str = BUDGETED, **members: Any) -> list[Feature]:
    left_out: list[Used] = []
    TRANSLATOR.write_request(asked(*messages, model=model, **members), lambda prefix: prefix, left_out)
    return [used.feature for used in left_out]


def content(*parts: Part, role: Any = "user") -> Any:
    turns = written(
        *([HELLO] if role == "assistant" else []), Message(role, parts), *([HELLO] if role == "assistant" else [])
    )
    return turns["messages"][1 if role == "assistant" else 0]["content"]


def text(words: str) -> dict[str, str]:
    return {"type": "text", "text": words}


# ---- turns


def test_a_small_request_has_what_anthropic_needs_and_nothing_else() -> None:
    assert written() == {
        "model": BUDGETED,
        "max_tokens": 32_000,
        "messages": [{"role": "user", "content": [text("Hello.")]}],
    }


def test_leading_system_messages_are_the_system_prompt() -> None:
    first, second = Message("system", (Text("Be terse."),)), Message("system", (Text("And kind.", Cached()),))
    body = written(first, second, HELLO)
    assert body["system"] == [text("Be terse."), {**text("And kind."), "cache_control": {"type": "ephemeral"}}]
    assert [turn["role"] for turn in body["messages"]] == ["user"]


def test_a_late_system_message_is_told_in_the_users_turn() -> None:
    body = written(HELLO, Message("system", (Text("Hurry."),)), HELLO)
    told = text("<system-instruction>\nHurry.\n</system-instruction>")
    assert body["messages"] == [{"role": "user", "content": [text("Hello."), told, text("Hello.")]}]
    assert Feature.LATE_SYSTEM not in TRANSLATOR.carries


def test_neighbours_of_one_role_are_one_turn_and_results_come_first_in_it() -> None:
    second = Message("tool", (ToolResult("toolu_2", (Text("Also."),)),))
    both = Message("assistant", (*CALL.content, ToolCall("toolu_2", "look", "{}")))
    body = written(HELLO, both, RESULT, HELLO, second)
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    assert [block["type"] for block in body["messages"][2]["content"]] == ["tool_result", "tool_result", "text"]


def test_a_conversation_begins_with_the_user() -> None:
    assert written(Message("assistant", (Text("Hi."),)), HELLO)["messages"][0] == {
        "role": "user",
        "content": [text(".")],
    }
    assert written(Message("system", (Text("Be terse."),)))["messages"] == [{"role": "user", "content": [text(".")]}]


def test_blank_texts_are_left_out() -> None:
    assert content(Text(""), Text(" \n"), Text("Hi.")) == [text("Hi.")]
    assert written(HELLO, Message("assistant", (Text(""),)), HELLO)["messages"] == [
        {"role": "user", "content": [text("Hello."), text("Hello.")]}
    ]


def test_what_the_answer_is_to_continue_ends_without_space() -> None:
    body = written(HELLO, Message("assistant", (Text("The answer is \n"),)))
    assert body["messages"][-1] == {"role": "assistant", "content": [text("The answer is")]}


def test_a_turn_of_thoughts_alone_is_left_out() -> None:
    alone = Message("assistant", (Thinking("Hm.", Signature(OWN, "EqQB")),))
    assert [turn["role"] for turn in written(HELLO, alone, HELLO)["messages"]] == ["user"]


def test_results_come_first_also_where_a_turn_in_between_was_left_out() -> None:
    alone = Message("assistant", (Thinking("Hm."),))
    body = written(HELLO, CALL, HELLO, alone, RESULT, HELLO)
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    assert [block["type"] for block in body["messages"][2]["content"]] == ["tool_result", "text", "text"]


# ---- blocks


def test_calls_and_results() -> None:
    result = ToolResult("toolu_1", (Text("No."), Image(Linked("https://example.com/a.png"))), is_error=True)
    body = written(HELLO, CALL, Message("tool", (result,)), tools=(LOOK,))
    assert body["messages"][1]["content"] == [
        {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": "it"}}
    ]
    assert body["messages"][2]["content"] == [
        {
            "type": "tool_result",
            "tool_use_id": "toolu_1",
            "content": [text("No."), {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}],
            "is_error": True,
        }
    ]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", {}),
        (" ", {}),
        ('{"a":1}', {"a": 1}),
        ("[1]", {"arguments": [1]}),
        ("3", {"arguments": 3}),
        ("{broken", {"arguments": "{broken"}),
        ("NaN", {"arguments": "NaN"}),
    ],
)
def test_arguments_that_are_no_object_are_wrapped_in_one(arguments: str, expected: dict[str, Any]) -> None:
    body = written(HELLO, Message("assistant", (ToolCall("a", "look", arguments),)), HELLO)
    assert body["messages"][1]["content"][0]["input"] == expected


def test_an_id_that_anthropic_would_refuse_is_spelled_otherwise_in_call_and_result_alike() -> None:
    odd = "call:ä|1"
    body = written(HELLO, Message("assistant", (ToolCall(odd, "look", "{}"),)), Message("tool", (ToolResult(odd, ()),)))
    call_id = body["messages"][1]["content"][0]["id"]
    assert call_id == body["messages"][2]["content"][0]["tool_use_id"]
    assert call_id.startswith("call___1_")
    assert call_id.replace("_", "").isalnum()
    assert call_id.isascii()
    assert content(ToolCall("call.ä|1", "look", "{}"), role="assistant")[0]["id"] != call_id


def test_only_anthropics_own_signatures_go_back() -> None:
    own, other = Signature(OWN, "EqQB"), Signature("gemini", "CsQ")
    parts = (Thinking("a", own), Thinking("b", other), Thinking("c"), Thinking("", own, redacted=True), Text("So."))
    assert content(*parts, role="assistant") == [
        {"type": "thinking", "thinking": "a", "signature": "EqQB"},
        {"type": "redacted_thinking", "data": "EqQB"},
        text("So."),
    ]
    assert left_out(HELLO, Message("assistant", parts), HELLO) == [Feature.THINKING_HISTORY] * 2


def test_documents_of_text_are_plain_text_and_pictures_keep_their_type() -> None:
    assert content(
        Document(Inline("text/markdown", "IyBIaQ=="), "a.md", "old", cited=True, cached=Cached("1h")),
        Document(Inline("application/pdf", "JVBERg==")),
        Image(Inline("image/png", "AAAA")),
        Image(Filed(OWN, "file_1")),
        Image(Filed("gemini", "files/1")),
    ) == [
        {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "# Hi"},
            "title": "a.md",
            "context": "old",
            "citations": {"enabled": True},
            "cache_control": {"type": "ephemeral", "ttl": "1h"},
        },
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
        {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
    ]


def test_parts_of_this_format_are_written_as_they_were_and_those_of_others_are_not() -> None:
    raw = b'{"type":"container_upload","file_id":"file_1"}'
    parts = (
        Foreign(OWN, "container_upload", raw),
        Foreign("gemini", "codeExecutionResult", b"{}"),
        Audio(),
        Text("Hi."),
    )
    assert content(*parts) == [{"type": "container_upload", "file_id": "file_1"}, text("Hi.")]
    assert content(Refusal("No."), role="assistant") == [text("No.")]


def test_at_most_four_marks_are_kept_and_those_the_last() -> None:
    marked = [Message("user", (Text(f"{number}", Cached()),)) for number in range(4)]
    body = written(Message("system", (Text("Be terse.", Cached()),)), *marked, tools=(Tool("look", cached=Cached()),))
    assert "cache_control" not in body["tools"][0]
    assert "cache_control" not in body["system"][0]
    assert all("cache_control" in block for block in body["messages"][0]["content"])
    body = written(*marked, cached=Cached("1h"))
    assert body["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    assert ["cache_control" in block for block in body["messages"][0]["content"]] == [False, True, True, True]


def test_what_grows_comes_last_and_a_later_request_begins_with_the_same_bytes() -> None:
    system = Message("system", (Text("Be terse."),))
    one = write(asked(system, HELLO, CALL, RESULT, tools=(LOOK,), streamed=True, user="u"))
    two = write(
        asked(
            system,
            HELLO,
            CALL,
            RESULT,
            Message("assistant", (Text("Done."),)),
            HELLO,
            tools=(LOOK,),
            streamed=True,
            user="u",
        )
    )
    assert one.endswith(b"]}")
    assert two.startswith(one[:-2] + b",")


# ---- tools


def test_tools_have_schemas_with_a_type() -> None:
    tools = (
        LOOK,
        Tool("go"),
        Tool("any", parameters=b'{"properties":{}}', strict=True),
        Tool("odd", parameters=b"nonsense"),
    )
    assert written(tools=tools)["tools"] == [
        {"name": "look", "description": "Looks.", "input_schema": json.loads(LOOK.parameters or b"")},
        {"name": "go", "input_schema": {"type": "object", "properties": {}}},
        {"name": "any", "input_schema": {"type": "object", "properties": {}}, "strict": True},
        {"name": "odd", "input_schema": {"type": "object", "properties": {}}},
    ]


def test_models_before_4_5_are_not_told_to_hold_arguments_strictly() -> None:
    tools = (Tool("go", strict=True), Tool("stay", strict=False))
    assert all("strict" not in tool for tool in written(model="claude-sonnet-4-0", tools=tools)["tools"])
    assert left_out(model="claude-sonnet-4-0", tools=tools) == [Feature.STRICT_TOOLS]


def test_a_providers_tools_go_back_to_it_alone() -> None:
    own = ServerTool(OWN, "web_search_20250305", b'{"type":"web_search_20250305","name":"web_search"}')
    body = written(tools=(LOOK,), server_tools=(own, ServerTool("openai_responses", "web_search", b"{}")))
    assert [tool["name"] for tool in body["tools"]] == ["look", "web_search"]


@pytest.mark.parametrize(
    ("choice", "parallel", "expected"),
    [
        (None, None, None),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        (ToolChoice("auto"), None, {"type": "auto"}),
        (ToolChoice("required"), True, {"type": "any", "disable_parallel_tool_use": False}),
        (ToolChoice("required", ("look",)), None, {"type": "tool", "name": "look"}),
        (ToolChoice("none"), False, {"type": "none"}),
    ],
)
def test_tool_choices(choice: ToolChoice | None, parallel: bool | None, expected: dict[str, Any] | None) -> None:
    assert written(tools=(LOOK,), tool_choice=choice, parallel_tool_calls=parallel).get("tool_choice") == expected


def test_without_tools_nothing_is_said_of_their_choice() -> None:
    assert "tool_choice" not in written(tool_choice=ToolChoice("auto"), parallel_tool_calls=False)


# ---- thinking


@pytest.mark.parametrize(
    ("model", "reasoning", "thinking", "effort", "max_tokens"),
    [
        (BUDGETED, Reasoning(effort="low"), {"type": "enabled", "budget_tokens": 2_048}, None, 32_000),
        (BUDGETED, Reasoning(effort="max"), {"type": "enabled", "budget_tokens": 31_999}, None, 40_191),
        (BUDGETED, Reasoning(budget_tokens=5_000), {"type": "enabled", "budget_tokens": 5_000}, None, 32_000),
        (BUDGETED, Reasoning(adaptive=True), {"type": "enabled", "budget_tokens": 16_384}, None, 32_000),
        (BUDGETED, Reasoning(off=True), {"type": "disabled"}, None, 32_000),
        ("claude-opus-4-1", Reasoning(effort="max"), {"type": "enabled", "budget_tokens": 23_808}, None, 32_000),
        (EITHER, Reasoning(effort="xhigh"), {"type": "adaptive"}, "high", 32_000),
        (EITHER, Reasoning(budget_tokens=5_000), {"type": "enabled", "budget_tokens": 5_000}, None, 32_000),
        (ADAPTIVE, Reasoning(effort="xhigh"), {"type": "adaptive"}, "xhigh", 32_000),
        (
            ADAPTIVE,
            Reasoning(effort="minimal", shown=True),
            {"type": "adaptive", "display": "summarized"},
            "low",
            32_000,
        ),
        (ADAPTIVE, Reasoning(budget_tokens=5_000), {"type": "adaptive"}, "medium", 32_000),
        (ADAPTIVE, Reasoning(effort="none"), {"type": "disabled"}, None, 32_000),
        (FABLE, Reasoning(effort="none"), None, "low", 32_000),
        ("claude-3-5-haiku-latest", Reasoning(effort="high"), None, None, 8_192),
        ("claude-3-haiku-20240307", None, None, None, 4_096),
        (
            "claude-3-7-sonnet-latest",
            Reasoning(effort="medium"),
            {"type": "enabled", "budget_tokens": 8_192},
            None,
            16_384,
        ),
        ("kimi-k2", Reasoning(effort="medium"), {"type": "enabled", "budget_tokens": 8_192}, None, 16_384),
    ],
)
def test_each_generation_thinks_in_its_own_way(
    model: str, reasoning: Reasoning | None, thinking: dict[str, Any] | None, effort: str | None, max_tokens: int
) -> None:
    body = written(model=model, reasoning=reasoning)
    found = (body.get("thinking"), body.get("output_config", {}).get("effort"), body["max_tokens"])
    assert found == (thinking, effort, max_tokens)


def test_a_budget_fits_into_the_longest_answer_or_nothing_is_thought() -> None:
    assert written(max_output_tokens=4_000, reasoning=Reasoning(effort="high"))["thinking"]["budget_tokens"] == 2_000
    assert (
        written(max_output_tokens=4_000, reasoning=Reasoning(budget_tokens=9_000))["thinking"]["budget_tokens"] == 3_999
    )
    assert "thinking" not in written(max_output_tokens=500, reasoning=Reasoning(effort="high"))
    assert left_out(max_output_tokens=500, reasoning=Reasoning(effort="high")) == [Feature.REASONING]


def test_a_loop_of_tools_that_began_without_a_thought_goes_on_without() -> None:
    high = Reasoning(effort="high")
    assert "thinking" not in written(HELLO, CALL, RESULT, reasoning=high)
    assert left_out(HELLO, CALL, RESULT, reasoning=high) == [Feature.REASONING]
    assert "thinking" in written(HELLO, CALL, RESULT, Message("assistant", (Text("Done."),)), HELLO, reasoning=high)
    thought = Message("assistant", (Thinking("Hm.", Signature(OWN, "EqQB")), *CALL.content))
    assert "thinking" in written(HELLO, thought, RESULT, reasoning=high)
    assert "thinking" in written(HELLO, CALL, RESULT, model=ADAPTIVE, reasoning=high)


def test_a_tool_that_must_be_called_is_called_without_thinking() -> None:
    forced: dict[str, Any] = {
        "tools": (LOOK,),
        "tool_choice": ToolChoice("required"),
        "reasoning": Reasoning(effort="high"),
    }
    assert "thinking" not in written(**forced)
    assert written(model=ADAPTIVE, **forced)["thinking"] == {"type": "disabled"}
    assert left_out(**forced) == [Feature.REASONING]


@pytest.mark.parametrize(
    ("model", "members", "kept"),
    [
        (BUDGETED, {"temperature": 0.5, "top_k": 3}, {"temperature": 0.5, "top_k": 3}),
        (BUDGETED, {"temperature": 0.5, "top_p": 0.5}, {"temperature": 0.5}),
        ("claude-sonnet-4-0", {"temperature": 0.5, "top_p": 0.5}, {"temperature": 0.5, "top_p": 0.5}),
        (BUDGETED, {"temperature": 1.7}, {"temperature": 1}),
        (
            BUDGETED,
            {"temperature": 0.5, "top_k": 3, "top_p": 0.97, "reasoning": Reasoning(effort="low")},
            {"top_p": 0.97},
        ),
        (BUDGETED, {"temperature": 1, "top_p": 0.5, "reasoning": Reasoning(effort="low")}, {"temperature": 1}),
        (ADAPTIVE, {"temperature": 0.5, "top_k": 3, "top_p": 0.97}, {}),
        ("kimi-k2", {"temperature": 0.5, "top_k": 3, "top_p": 0.5}, {"temperature": 0.5, "top_k": 3, "top_p": 0.5}),
    ],
)
def test_sampling_is_told_where_the_model_takes_it(model: str, members: dict[str, Any], kept: dict[str, Any]) -> None:
    body = written(model=model, **members)
    assert {name: body[name] for name in ("temperature", "top_p", "top_k") if name in body} == kept
    dropped = {name for name in members if name in ("temperature", "top_p", "top_k") and name not in kept}
    assert {feature.label for feature in left_out(model=model, **members)} == dropped


# ---- the rest


def test_the_rest_of_a_request() -> None:
    body = written(
        max_output_tokens=77,
        stop=("END",),
        user="u-1",
        service_tier="default",
        streamed=True,
        seed=7,
        n=2,
        verbosity="low",
    )
    del body["model"], body["messages"]
    assert body == {
        "max_tokens": 77,
        "stream": True,
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u-1"},
        "service_tier": "standard_only",
    }
    assert "service_tier" not in written(service_tier="flex")
    assert left_out(service_tier="flex") == [Feature.SERVICE_TIER]


def test_members_that_only_this_format_knows_go_back_to_it_alone() -> None:
    extra = {"inference_geo": b'"us"', "tools[0].defer_loading": b"true", "thinking.type": b'"between_tools"'}
    ours = json.loads(write(ChatRequest(origin=OWN, model="m", messages=(HELLO,), extra=extra)))
    assert ours["inference_geo"] == "us"
    assert not {"tools[0].defer_loading", "thinking.type"} & set(ours)
    assert "inference_geo" not in json.loads(write(asked(extra=extra)))


def test_who_speaks_this_format_may_keep_late_system_messages() -> None:
    late = Message("system", (Foreign(OWN, "tool_addition", b'{"type":"tool_addition"}'),))
    body = json.loads(write(ChatRequest(origin=OWN, model="m", messages=(HELLO, late))))
    assert body["messages"][1] == {"role": "system", "content": [{"type": "tool_addition"}]}


def test_a_schema_is_closed_and_its_bounds_are_told_in_words() -> None:
    schema = {
        "type": "object",
        "properties": {
            "age": {"type": "integer", "minimum": 1, "maximum": 9, "description": "In years."},
            "minimum": {"type": "array", "items": {"$ref": "#/$defs/Pet"}, "minItems": 2},
        },
        "$defs": {"Pet": {"type": ["object", "null"], "properties": {}}},
    }
    body = written(shape=AnswerShape(json.dumps(schema).encode(), "thing", "A thing.", strict=True))
    assert body["output_config"]["format"] == {
        "type": "json_schema",
        "schema": {
            "type": "object",
            "properties": {
                "age": {"type": "integer", "description": "In years. (minimum: 1, maximum: 9)"},
                "minimum": {"type": "array", "items": {"$ref": "#/$defs/Pet"}, "description": "minItems: 2"},
            },
            "$defs": {"Pet": {"type": ["object", "null"], "properties": {}, "additionalProperties": False}},
            "additionalProperties": False,
        },
    }


def test_any_json_object_as_the_answer_is_a_loss() -> None:
    assert Feature.JSON_OBJECT not in TRANSLATOR.carries
    assert "output_config" not in written(shape=AnswerShape())
