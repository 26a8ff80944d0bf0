"""What a client of OpenAI's responses asks for, in the neutral form."""

import json
from typing import Any

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
from farthing.wire.translators.features import Feature, lost, used_by
from farthing.wire.translators.marks import marked
from farthing.wire.translators.openai_responses import TRANSLATOR


def read(**members: Any) -> ChatRequest:
    return TRANSLATOR.read_request(json.dumps({"input": "hi", **members}).encode(), model="m", streamed=False)


def turns(*items: dict[str, Any]) -> tuple[Message, ...]:
    return read(input=list(items)).messages


def refusal(**members: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        read(**members)
    return caught.value


def test_an_input_of_text_is_a_message_of_the_user_behind_the_instructions() -> None:
    assert read(instructions="Be brief.").messages == (
        Message("system", (Text("Be brief."),)),
        Message("user", (Text("hi"),)),
    )


def test_items_without_a_type_are_messages_and_a_developer_is_the_system() -> None:
    assert turns({"role": "developer", "content": "a"}, {"role": "user", "content": "b"}) == (
        Message("system", (Text("a"),)),
        Message("user", (Text("b"),)),
    )


def test_one_turn_of_an_assistant_is_one_message_and_so_are_its_results() -> None:
    call = {"type": "function_call", "id": "fc_1", "name": "look", "arguments": '{"x":1}', "status": "completed"}
    found = turns(
        {"role": "user", "content": "b"},
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "a"}],
            "encrypted_content": "E",
        },
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "c", "annotations": []}]},
        {**call, "call_id": "call_1"},
        {**call, "call_id": "call_2", "namespace": "mcp"},
        {"type": "function_call_output", "call_id": "call_1", "output": "1"},
        {"type": "function_call_output", "call_id": "call_2", "output": [{"type": "input_text", "text": "2"}]},
        {"role": "assistant", "content": "d"},
    )
    assert found[1:] == (
        Message(
            "assistant",
            (
                Thinking("a", Signature("openai_responses", "E"), id="rs_1"),
                Text("c"),
                ToolCall("call_1", "look", '{"x":1}'),
                ToolCall("call_2", "look", '{"x":1}', namespace="mcp"),
            ),
        ),
        Message("tool", (ToolResult("call_1", (Text("1"),), "look"), ToolResult("call_2", (Text("2"),), "look"))),
        Message("assistant", (Text("d"),)),
    )


def test_a_tool_of_text_is_called_with_text() -> None:
    assert turns(
        {"type": "custom_tool_call", "call_id": "c", "name": "apply_patch", "input": "*** Begin Patch"},
        {"type": "custom_tool_call_output", "call_id": "c", "output": "ok"},
    ) == (
        Message("assistant", (ToolCall("c", "apply_patch", "*** Begin Patch", custom=True),)),
        Message("tool", (ToolResult("c", (Text("ok"),), "apply_patch", custom=True),)),
    )


@pytest.mark.parametrize(
    ("item", "thought"),
    [
        ({"summary": [{"text": "a"}, {"text": "b"}]}, Thinking("a\n\nb")),
        ({"summary": [], "content": [{"type": "reasoning_text", "text": "t"}]}, Thinking("t")),
        ({"summary": [], "encrypted_content": "E"}, Thinking("", Signature("openai_responses", "E"), redacted=True)),
        ({"summary": [{"text": "a"}], "encrypted_content": None}, Thinking("a")),
    ],
)
def test_a_thought_has_its_text_in_full_or_summed_up(item: dict[str, Any], thought: Thinking) -> None:
    assert turns({"type": "reasoning", **item}) == (Message("assistant", (thought,)),)


def test_a_thought_of_which_nothing_but_its_id_is_left_is_left_out() -> None:
    assert turns({"type": "reasoning", "id": "rs_1", "summary": []}, {"role": "user", "content": "a"}) == (
        Message("user", (Text("a"),)),
    )


def test_a_mark_of_ours_stays_one_until_its_signature_is_found() -> None:
    mark = marked(Signature("anthropic_messages", "sealed"))
    (message,) = turns({"type": "reasoning", "summary": [{"text": "a"}], "encrypted_content": mark})
    assert message.content == (Thinking("a", Signature("anthropic_messages", mark)),)
    (message,) = turns({"type": "reasoning", "summary": [{"text": "a"}], "encrypted_content": marked(None)})
    assert message.content == (Thinking("a"),)


PARTS: list[tuple[dict[str, Any], object]] = [
    ({"type": "input_text", "text": "a"}, Text("a")),
    ({"type": "input_text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}}, Text("a", Cached())),
    (
        {"type": "input_text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"}},
        Text("a", Cached("1h")),
    ),
    ({"type": "input_image", "image_url": "data:image/png;base64,QUI="}, Image(Inline("image/png", "QUI="))),
    ({"type": "input_image", "image_url": "https://a/b.png", "detail": "auto"}, Image(Linked("https://a/b.png"))),
    (
        {"type": "input_image", "file_id": "file-1", "detail": "high"},
        Image(Filed("openai_responses", "file-1"), "high"),
    ),
    (
        {"type": "input_file", "file_data": "data:application/pdf;base64,QUI=", "filename": "a.pdf"},
        Document(Inline("application/pdf", "QUI="), "a.pdf"),
    ),
    (
        {"type": "input_file", "file_data": "QUI=", "filename": "a.txt"},
        Document(Inline("text/plain", "QUI="), "a.txt"),
    ),
    ({"type": "input_file", "file_url": "https://a/b.pdf"}, Document(Linked("https://a/b.pdf"))),
    ({"type": "input_file", "file_id": "file-1"}, Document(Filed("openai_responses", "file-1"))),
    ({"type": "input_audio", "input_audio": {"data": "QUI=", "format": "mp3"}}, Audio(Inline("audio/mpeg", "QUI="))),
    ({"type": "hologram", "x": 1}, Foreign("openai_responses", "hologram", b'{"type":"hologram","x":1}')),
]


@pytest.mark.parametrize(("part", "expected"), PARTS)
def test_what_a_user_shows_is_what_a_tool_may_give(part: dict[str, Any], expected: object) -> None:
    assert turns({"role": "user", "content": [part]}) == (Message("user", (expected,)),)  # type: ignore[arg-type]
    given = turns({"type": "function_call_output", "call_id": "c", "output": [part]})
    assert given == (Message("tool", (ToolResult("c", (expected,)),)),)  # type: ignore[arg-type]


def test_an_assistant_says_refuses_and_cites() -> None:
    cited = {"type": "url_citation", "start_index": 0, "end_index": 1, "title": "A", "url": "https://a/"}
    raw = json.dumps(cited, separators=(",", ":")).encode()
    text = {"type": "output_text", "text": "a", "annotations": [cited]}
    said = {"type": "message", "role": "assistant", "content": [text, {"type": "refusal", "refusal": "no"}]}
    assert turns(said)[0].content == (
        Text("a", citations=(Citation("openai_responses", raw, "https://a/", "A", 0, 1),)),
        Refusal("no"),
    )


@pytest.mark.parametrize(
    "kind",
    [
        "web_search_call",
        "file_search_call",
        "computer_call",
        "code_interpreter_call",
        "local_shell_call",
        "shell_call",
        "apply_patch_call",
        "mcp_call",
        "mcp_list_tools",
        "item_reference",
        "compaction",
        "tool_search_call",
    ],
)
def test_items_of_the_providers_own_tools_are_foreign(kind: str) -> None:
    (message,) = turns({"type": kind, "id": "x"})
    assert message == Message(
        "assistant", (Foreign("openai_responses", kind, b'{"type":"%b","id":"x"}' % kind.encode()),)
    )


def test_what_a_client_gives_to_such_a_tool_stands_with_the_results() -> None:
    (message,) = turns({"type": "shell_call_output", "call_id": "c", "output": []})
    assert message.role == "tool"
    (message,) = turns({"type": "tool_search_output", "execution": "client", "tools": []})
    assert message.role == "tool"


def test_an_item_that_has_an_id_alone_is_a_reference() -> None:
    (message,) = turns({"id": "msg_1"})
    assert message.content == (Foreign("openai_responses", "item_reference", b'{"id":"msg_1"}'),)


def test_tools_are_flat_of_text_in_namespaces_or_the_providers_own() -> None:
    grammar = {"type": "grammar", "syntax": "lark", "definition": "start: A"}
    request = read(
        tools=[
            {"type": "function", "name": "a", "description": "A", "parameters": {"type": "object"}, "strict": True},
            {"type": "function", "name": "b", "parameters": None, "strict": False},
            {"type": "custom", "name": "c", "format": grammar},
            {"type": "custom", "name": "d", "format": {"type": "text"}},
            {"type": "namespace", "name": "mcp", "description": "M", "tools": [{"type": "function", "name": "e"}]},
            {"type": "web_search"},
            {"type": "mcp", "server_label": "x"},
        ]
    )
    assert request.tools == (
        Tool("a", "A", b'{"type":"object"}', strict=True),
        Tool("b"),
        Tool("c", custom=True, grammar=b'{"syntax":"lark","definition":"start: A"}'),
        Tool("d", custom=True),
        Tool("e", namespace="mcp", namespace_description="M"),
    )
    assert request.server_tools == (
        ServerTool("openai_responses", "web_search", b'{"type":"web_search"}'),
        ServerTool("openai_responses", "mcp", b'{"type":"mcp","server_label":"x"}'),
    )


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", ToolChoice("auto")),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("required")),
        ({"type": "function", "name": "a"}, ToolChoice("required", ("a",))),
        ({"type": "custom", "name": "c"}, ToolChoice("required", ("c",))),
        (
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "a"}]},
            ToolChoice("auto", ("a",)),
        ),
        ({"type": "web_search_preview"}, None),
        ({"type": "mcp", "server_label": "x"}, None),
        ({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "mcp", "server_label": "x"}]}, None),
    ],
)
def test_every_form_of_choice_is_read_and_one_of_the_providers_tools_is_kept_aside(
    choice: Any, expected: ToolChoice | None
) -> None:
    request = read(tool_choice=choice)
    assert request.tool_choice == expected
    assert ("tool_choice" in request.extra) is (expected is None)


def test_the_shape_of_the_answer() -> None:
    shape = {"type": "json_schema", "name": "p", "schema": {"type": "object"}, "strict": True, "description": "P"}
    request = read(text={"format": shape, "verbosity": "low"})
    assert (request.shape, request.verbosity) == (AnswerShape(b'{"type":"object"}', "p", "P", strict=True), "low")
    assert read(text={"format": {"type": "json_object"}}).shape == AnswerShape()
    assert read(text={"format": {"type": "text"}}).shape is None


@pytest.mark.parametrize(
    ("reasoning", "expected"),
    [
        ({"effort": "low"}, Reasoning(effort="low")),
        ({"effort": "high", "summary": "detailed"}, Reasoning(effort="high", shown=True, summary="detailed")),
        ({"generate_summary": "auto"}, Reasoning(shown=True, summary="auto")),
        ({"effort": None, "summary": None}, None),
        (None, None),
    ],
)
def test_how_much_to_think(reasoning: Any, expected: Reasoning | None) -> None:
    assert read(reasoning=reasoning).reasoning == expected


def test_sampling_and_what_goes_beside() -> None:
    request = read(
        max_output_tokens=99,
        temperature=1.5,
        top_p=0.5,
        top_logprobs=2,
        include=["message.output_text.logprobs", "reasoning.encrypted_content"],
        store=False,
        metadata={"a": "b"},
        safety_identifier="u",
        prompt_cache_key="k",
        service_tier="flex",
        parallel_tool_calls=False,
    )
    assert (request.max_output_tokens, request.temperature, request.top_p) == (99, 1.5, 0.5)
    assert (request.logprobs, request.top_logprobs, request.seals_asked) == (True, 2, True)
    assert (request.store, request.metadata, request.user) == (False, b'{"a":"b"}', "u")
    assert (request.prompt_cache_key, request.service_tier, request.parallel_tool_calls) == ("k", "flex", False)
    assert not request.extra


def test_defaults_and_what_says_nothing_to_others_is_no_loss() -> None:
    request = read(
        truncation="disabled",
        background=False,
        service_tier="auto",
        prompt_cache_retention="in_memory",
        stream_options={"include_obfuscation": False},
        previous_response_id=None,
        include=["reasoning.encrypted_content"],
        store=False,
        metadata={},
    )
    assert used_by(request) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("previous_response_id", "resp_1"),
        ("conversation", {"id": "conv_1"}),
        ("prompt", {"id": "pmpt_1"}),
        ("background", True),
    ],
)
def test_turns_that_the_provider_keeps_are_a_loss_everywhere_else(name: str, value: Any) -> None:
    request = TRANSLATOR.read_request(json.dumps({name: value}).encode(), model="m", streamed=False)
    assert request.server_state == name
    assert name in request.extra
    losses = {used.feature for used in lost(used_by(request), frozenset(Feature) - {Feature.SERVER_STATE})}
    assert losses == {Feature.SERVER_STATE}


def test_members_that_only_this_format_knows_are_kept_by_name() -> None:
    request = read(
        truncation="auto",
        moderation={"model": "o"},
        include=["web_search_call.action.sources"],
        text={"later": 1},
        reasoning={"effort": "low", "context": "all_turns"},
        user="a",
        safety_identifier="b",
    )
    assert request.extra == {
        "truncation": b'"auto"',
        "moderation": b'{"model":"o"}',
        "include": b'["web_search_call.action.sources"]',
        "text.later": b"1",
        "reasoning.context": b'"all_turns"',
        "safety_identifier": b'"b"',
    }


@pytest.mark.parametrize(
    ("members", "path"),
    [
        ({"input": None}, '"input"'),
        ({"input": 7}, '"input"'),
        ({"input": ["a"]}, '"input[0]"'),
        ({"input": [{"role": "robot", "content": "a"}]}, '"input[0].role"'),
        ({"input": [{"role": "user", "content": 7}]}, '"input[0].content"'),
        ({"input": [{"role": "user", "content": [{"text": "a"}]}]}, '"input[0].content[0].type"'),
        ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, '"input[0].content[0].text"'),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, '"input[0].content[0].image_url"'),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "data:x"}]}]},
            '"input[0].content[0].image_url"',
        ),
        ({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}, '"input[0].content[0].file_data"'),
        ({"input": [{"type": "function_call", "name": "a", "arguments": "{}"}]}, '"input[0].call_id"'),
        ({"input": [{"type": "function_call_output", "call_id": "c", "output": 7}]}, '"input[0].output"'),
        ({"input": [{"type": "reasoning", "summary": "a"}]}, '"input[0].summary"'),
        ({"input": [{"type": 7}]}, '"input[0].type"'),
        ({"tools": [{"type": "function", "function": {"name": "a"}}]}, '"tools[0].function"'),
        ({"tools": [{"type": "namespace", "name": "n", "tools": [{"type": "x"}]}]}, '"tools[0].tools[0].type"'),
        ({"tool_choice": "any"}, '"tool_choice"'),
        ({"tool_choice": {"type": "function"}}, '"tool_choice.name"'),
        ({"text": {"format": {"type": "xml"}}}, '"text.format.type"'),
        ({"text": {"format": {"type": "json_schema", "name": "a"}}}, '"text.format.schema"'),
        ({"reasoning": {"effort": "huge"}}, '"reasoning.effort"'),
        ({"include": "all"}, '"include"'),
        ({"max_output_tokens": 0}, '"max_output_tokens"'),
        ({"temperature": 3}, '"temperature"'),
    ],
)
def test_what_is_wrong_is_named_with_its_place(members: dict[str, Any], path: str) -> None:
    error = refusal(**members)
    assert path in error.message
    assert error.hint


def test_a_temperature_of_nothing_is_asked_for_all_the_same() -> None:
    assert [used.feature for used in used_by(read(temperature=0))] == [Feature.TEMPERATURE]
