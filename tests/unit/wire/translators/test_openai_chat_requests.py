"""What is read from the chat completions that clients send, in all their dialects."""

from typing import Any

import msgspec
import pytest

from farthing.errors import InvalidRequest
from farthing.types.chat import (
    AnswerShape,
    Audio,
    Cached,
    ChatRequest,
    Citation,
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
    Video,
)
from farthing.wire.translators.openai_chat import TRANSLATOR

HELLO = [{"role": "user", "content": "hello"}]


def read(**members: Any) -> ChatRequest:
    body = {"model": "m", "messages": HELLO, **members}
    return TRANSLATOR.read_request(msgspec.json.encode(body), model="m", streamed=False)


def messages(*written: dict[str, Any]) -> tuple[Message, ...]:
    return read(messages=list(written)).messages


def part(written: dict[str, Any]) -> Part:
    return messages({"role": "user", "content": [written]})[0].content[0]


def refusal(**members: Any) -> str:
    with pytest.raises(InvalidRequest) as refused:
        read(**members)
    return str(refused.value)


def test_developer_is_system_and_keeps_its_place() -> None:
    read_ = messages(*HELLO, {"role": "developer", "content": "be terse"})
    assert read_[1] == Message("system", (Text("be terse"),))


def test_a_name_and_marks_on_message_and_part_are_kept() -> None:
    marked = {"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    first, second = messages(
        {"role": "user", "name": "ann", "content": [marked]},
        {"role": "system", "content": "b", "cache_control": {"type": "ephemeral"}},
    )
    assert first == Message("user", (Text("a", Cached("1h")),), "ann")
    assert second == Message("system", (Text("b", Cached()),))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (
            {"type": "image_url", "image_url": {"url": "https://a/b.png", "detail": "low"}},
            Image(Linked("https://a/b.png"), "low"),
        ),
        ({"type": "image_url", "image_url": "data:image/png;base64,AA=="}, Image(Inline("image/png", "AA=="))),
        (
            {"type": "input_audio", "input_audio": {"data": "AA==", "format": "mp3"}},
            Audio(Inline("audio/mpeg", "AA==")),
        ),
        ({"type": "input_audio", "input_audio": "UklGRAA="}, Audio(Inline("audio/wav", "UklGRAA="))),
        ({"type": "file", "file": {"file_id": "file-1"}}, Document(Filed("openai_chat", "file-1"))),
        (
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,AA==", "filename": "a.pdf"}},
            Document(Inline("application/pdf", "AA=="), "a.pdf"),
        ),
        ({"type": "document_url", "document_url": "https://a/b.pdf"}, Document(Linked("https://a/b.pdf"))),
        ({"type": "video_url", "video_url": {"url": "https://a/b.mp4"}}, Video(Linked("https://a/b.mp4"))),
        ({"type": "refusal", "refusal": "no"}, Refusal("no")),
        ({"type": "odd", "x": 1}, Foreign("openai_chat", "odd", b'{"type":"odd","x":1}')),
    ],
)
def test_parts_are_read(written: dict[str, Any], expected: Part) -> None:
    assert part(written) == expected


def test_calls_and_their_results_are_matched_by_id_and_named() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    custom = {"id": "c2", "type": "custom", "custom": {"name": "g", "input": "text"}}
    _, assistant, first, second = messages(
        *HELLO,
        {"role": "assistant", "content": None, "tool_calls": [call, custom]},
        {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "two"}]},
        {"role": "tool", "tool_call_id": "c1", "content": "one"},
    )
    assert assistant.content == (ToolCall("c1", "f", '{"a":1}'), ToolCall("c2", "g", "text", custom=True))
    assert first.content == (ToolResult("c2", (Text("two"),), "g"),)
    assert second.content == (ToolResult("c1", (Text("one"),), "f"),)


def test_calls_without_ids_get_one_by_their_place_and_results_follow_in_order() -> None:
    calls = [{"id": "", "function": {"name": name, "arguments": ""}} for name in ("f", "g")]
    read_ = messages(
        *HELLO,
        {"role": "assistant", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "", "content": "one"},
        {"role": "tool", "content": "two"},
    )
    assert read_[1].content == (ToolCall("call_1", "f", "{}"), ToolCall("call_2", "g", "{}"))
    assert [message.content for message in read_[2:]] == [
        (ToolResult("call_1", (Text("one"),), "f"),),
        (ToolResult("call_2", (Text("two"),), "g"),),
    ]


def test_legacy_functions_are_tools_and_their_client_is_known() -> None:
    request = read(
        functions=[{"name": "f", "parameters": {"type": "object"}}],
        function_call={"name": "f"},
        messages=[
            *HELLO,
            {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
            {"role": "function", "name": "f", "content": "r"},
        ],
    )
    assert request.legacy_functions
    assert request.tools == (Tool("f", None, b'{"type":"object"}'),)
    assert request.tool_choice == ToolChoice("required", ("f",))
    assert request.messages[2].content == (ToolResult("call_1", (Text("r"),), "f"),)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"reasoning_content": "t"}, Thinking("t", Signature("openai_chat", "reasoning_content"))),
        ({"reasoning": "t"}, Thinking("t", Signature("openai_chat", "reasoning"))),
        (
            {
                "reasoning": "t",
                "reasoning_details": [{"type": "reasoning.text", "text": "t", "signature": "s", "index": 0}],
            },
            Thinking("t", Signature("openai_chat", '{"index":0,"signature":"s","type":"reasoning.text"}')),
        ),
        (
            {"reasoning_details": [{"type": "reasoning.encrypted", "data": "d"}]},
            Thinking("", Signature("openai_chat", '{"data":"d","type":"reasoning.encrypted"}'), redacted=True),
        ),
    ],
)
def test_thoughts_of_earlier_turns_keep_how_they_were_said(said: dict[str, Any], expected: Thinking) -> None:
    assert messages(*HELLO, {"role": "assistant", "content": "x", **said})[1].content == (expected, Text("x"))


def test_what_the_assistant_cited_belongs_to_its_text() -> None:
    annotation = {"type": "url_citation", "url_citation": {"url": "u", "title": "t", "start_index": 0, "end_index": 1}}
    text = messages(*HELLO, {"role": "assistant", "content": "x", "annotations": [annotation]})[1].content[0]
    assert isinstance(text, Text)
    assert text.citations == (Citation("openai_chat", msgspec.json.encode(annotation), "u", "t", 0, 1),)


def test_tools_of_every_kind() -> None:
    request = read(
        tools=[
            {"type": "function", "function": {"name": "f", "description": "d", "strict": True, "parameters": {}}},
            {"function": {"name": "bare"}, "cache_control": {"type": "ephemeral"}},
            {
                "type": "custom",
                "custom": {
                    "name": "c",
                    "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "x"}},
                },
            },
            {"type": "web_search"},
        ],
        web_search_options={"search_context_size": "low"},
    )
    assert request.tools == (
        Tool("f", "d", b"{}", strict=True),
        Tool("bare", cached=Cached()),
        Tool("c", custom=True, grammar=b'{"syntax":"lark","definition":"x"}'),
    )
    assert request.server_tools == (
        ServerTool("openai_chat", "web_search", b'{"type":"web_search"}'),
        ServerTool("openai_chat", "web_search_options", b'{"search_context_size":"low"}'),
    )


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("any", ToolChoice("required")),
        ({"type": "function", "function": {"name": "f"}}, ToolChoice("required", ("f",))),
        ({"type": "custom", "custom": {"name": "c"}}, ToolChoice("required", ("c",))),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]},
            },
            ToolChoice("auto", ("f",)),
        ),
    ],
)
def test_choices_of_tools(choice: Any, expected: ToolChoice) -> None:
    assert read(tool_choice=choice).tool_choice == expected


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"reasoning_effort": "high"}, Reasoning(effort="high")),
        ({"reasoning_effort": "default"}, None),
        ({"reasoning": {"max_tokens": 2000, "exclude": True}}, Reasoning(budget_tokens=2000, shown=False)),
        ({"reasoning": {"enabled": True}}, Reasoning(adaptive=True)),
        ({"reasoning": {"effort": "low"}}, Reasoning(effort="low")),
        ({"thinking": {"type": "disabled"}}, Reasoning(off=True)),
        ({"thinking": {"type": "enabled"}, "reasoning_effort": "low"}, Reasoning(effort="low")),
        ({"thinking": {"type": "enabled", "budget_tokens": 9}}, Reasoning(budget_tokens=9)),
        ({"enable_thinking": False}, Reasoning(off=True)),
    ],
)
def test_how_much_to_think_in_all_dialects(members: dict[str, Any], expected: Reasoning | None) -> None:
    request = read(**members)
    assert request.reasoning == expected
    assert not request.extra


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, AnswerShape()),
        ({"type": "json_object", "schema": {"a": 1}}, AnswerShape(b'{"a":1}')),
        (
            {"type": "json_schema", "json_schema": {"name": "n", "schema": {"a": 1}, "strict": False}},
            AnswerShape(b'{"a":1}', "n", strict=False),
        ),
    ],
)
def test_shapes_of_answers(form: dict[str, Any], expected: AnswerShape | None) -> None:
    assert read(response_format=form).shape == expected


def test_what_nobody_else_knows_is_kept_aside_by_its_name() -> None:
    request = read(
        min_p=0.5,
        modalities=["text"],
        stop=None,
        thinking={"type": "enabled", "clear_thinking": False},
        messages=[*HELLO, {"role": "assistant", "content": "a", "prefix": True}],
    )
    assert request.extra == {"min_p": b"0.5", "thinking.clear_thinking": b"false", "messages[].prefix": b"true"}


def test_one_value_has_several_names() -> None:
    request = read(max_tokens=5, max_completion_tokens=6, safety_identifier="u", random_seed=7, logprobs=3, stop="x")
    assert request.max_output_tokens == 6
    assert request.user == "u"
    assert request.seed == 7
    assert (request.logprobs, request.top_logprobs) == (True, 3)
    assert request.stop == ("x",)
    assert not request.extra


@pytest.mark.parametrize(
    ("members", "path"),
    [
        ({"messages": []}, '"messages" is []'),
        ({"messages": [{"role": "bot"}]}, '"messages[0].role" is "bot"'),
        ({"messages": [{"role": "user", "content": 5}]}, '"messages[0].content" is 5'),
        ({"messages": [{"role": "user", "content": [5]}]}, '"messages[0].content[0]" is 5'),
        (
            {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
            '"messages[0].content[0].text" is missing or null',
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:x"}}]}]},
            '"messages[0].content[0].image_url.url" is "data:x"',
        ),
        ({"messages": [{"role": "tool", "content": "r"}]}, '"messages[0].tool_call_id" is missing or null'),
        ({"tools": [{"type": "function"}]}, '"tools[0].function" is missing or null'),
        ({"tool_choice": "maybe"}, '"tool_choice" is "maybe"'),
        ({"temperature": 3}, '"temperature" is 3'),
        ({"max_tokens": 0}, '"max_tokens" is 0'),
        ({"stop": [1]}, '"stop[0]" is 1'),
        ({"reasoning_effort": "much"}, '"reasoning_effort" is "much"'),
        ({"response_format": {"type": "xml"}}, '"response_format.type" is "xml"'),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "n"}}}, "json_schema.schema"),
    ],
)
def test_what_is_wrong_is_named_with_the_way_out(members: dict[str, Any], path: str) -> None:
    said = refusal(**members)
    assert path in said
    assert "(hint: send " in said
