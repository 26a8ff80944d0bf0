import json
from contextlib import suppress
from typing import Any

import pytest

from farthing.errors import InvalidRequest
from farthing.types.chat import (
    AnswerShape,
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
    ServerTool,
    Signature,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from farthing.wire.translators.anthropic_messages import TRANSLATOR
from farthing.wire.translators.features import Feature, used_by
from farthing.wire.translators.marks import marked
from farthing.wire.translators.registry import translator

HELLO = {"role": "user", "content": "Hello."}


def read(**members: Any) -> ChatRequest:
    members = {"model": "m", "max_tokens": 100, "messages": [HELLO], **members}
    body = json.dumps(members).encode()
    return TRANSLATOR.read_request(body, model="m", streamed=False)


def said(*content: Any, role: str = "user") -> tuple[Message, ...]:
    return read(messages=[{"role": role, "content": list(content)}]).messages


def own(kind: str, **members: Any) -> Foreign:
    return Foreign("anthropic_messages", kind, json.dumps({"type": kind, **members}, separators=(",", ":")).encode())


def test_the_registry_finds_it() -> None:
    assert translator("anthropic_messages") is TRANSLATOR


def test_a_system_prompt_is_the_first_message() -> None:
    assert read(system="Be terse.").messages == (
        Message("system", (Text("Be terse."),)),
        Message("user", (Text("Hello."),)),
    )
    mark = {"type": "ephemeral", "ttl": "1h"}
    blocks = [{"type": "text", "text": "Be terse."}, {"type": "text", "text": "And kind.", "cache_control": mark}]
    assert read(system=blocks).messages[0] == Message("system", (Text("Be terse."), Text("And kind.", Cached("1h"))))


@pytest.mark.parametrize(
    "system",
    [
        "x-anthropic-billing-header: cc_version=2.1; cch=00000;\nBe terse.",
        [{"type": "text", "text": "x-anthropic-billing-header: cch=1;"}, {"type": "text", "text": "Be terse."}],
        [{"type": "text", "text": "x-anthropic-billing-header: cch=1;\n\nBe terse."}],
    ],
)
def test_the_billing_header_of_one_call_is_no_prompt(system: Any) -> None:
    assert read(system=system).messages[0] == Message("system", (Text("Be terse."),))


def test_a_system_prompt_that_is_only_a_billing_header_is_none() -> None:
    assert [message.role for message in read(system="x-anthropic-billing-header: cch=1;").messages] == ["user"]


def test_a_system_message_may_stand_in_the_middle() -> None:
    request = read(messages=[HELLO, {"role": "system", "content": "Hurry."}, {"role": "assistant", "content": "Hi."}])
    assert [message.role for message in request.messages] == ["user", "system", "assistant"]
    assert Feature.LATE_SYSTEM in {used.feature for used in used_by(request)}


def test_results_of_tools_are_a_message_of_their_own_before_what_the_user_says() -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": "it"}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "Seen.", "is_error": True}
    messages = read(
        messages=[
            HELLO,
            {"role": "assistant", "content": [call]},
            {"role": "user", "content": [result, {"type": "text", "text": "And now?"}]},
        ]
    ).messages
    assert messages[1:] == (
        Message("assistant", (ToolCall("toolu_1", "look", '{"at":"it"}'),)),
        Message("tool", (ToolResult("toolu_1", (Text("Seen."),), "look", is_error=True),)),
        Message("user", (Text("And now?"),)),
    )


def test_a_result_may_hold_pictures_documents_and_what_only_anthropic_knows() -> None:
    url = {"type": "url", "url": "https://example.com/a.png"}
    reference = {"type": "tool_reference", "tool_name": "look"}
    content = [{"type": "text", "text": "Seen."}, {"type": "image", "source": url}, reference]
    (message,) = said({"type": "tool_result", "tool_use_id": "t", "content": content, "cache_control": None})
    assert message.content == (
        ToolResult(
            "t",
            (Text("Seen."), Image(Linked("https://example.com/a.png")), own("tool_reference", tool_name="look")),
        ),
    )


def test_pictures_and_documents_have_their_sources() -> None:
    (message,) = said(
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
        {"type": "image", "source": {"type": "file", "file_id": "file_1"}, "cache_control": {"type": "ephemeral"}},
        {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}},
        {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "Hi"},
            "title": "Greeting",
            "context": "old",
            "citations": {"enabled": True},
        },
    )
    assert message.content == (
        Image(Inline("image/png", "AAAA")),
        Image(Filed("anthropic_messages", "file_1"), cached=Cached()),
        Document(Linked("https://example.com/a.pdf")),
        Document(Inline("text/plain", "SGk="), "Greeting", "old", cited=True),
    )


def test_a_document_made_of_blocks_is_kept_whole() -> None:
    source = {"type": "content", "content": [{"type": "text", "text": "Hi"}]}
    (message,) = said({"type": "document", "source": source})
    assert message.content == (own("document", source=source),)


def test_thoughts_keep_their_signatures() -> None:
    (message,) = said(
        {"type": "thinking", "thinking": "Hm.", "signature": "EqQB"},
        {"type": "redacted_thinking", "data": "EmwK"},
        {"type": "text", "text": "Yes."},
        role="assistant",
    )
    assert message.content == (
        Thinking("Hm.", Signature("anthropic_messages", "EqQB")),
        Thinking("", Signature("anthropic_messages", "EmwK"), redacted=True),
        Text("Yes."),
    )


def test_a_mark_is_known_as_the_signature_that_it_stands_for() -> None:
    mark = marked(Signature("gemini", "CsQ"))
    (message,) = said(
        {"type": "thinking", "thinking": "Hm.", "signature": mark},
        {"type": "thinking", "thinking": "So.", "signature": marked(None)},
        {"type": "thinking", "thinking": "Yes.", "signature": "farthing.nobody.1"},
        role="assistant",
    )
    assert message.content == (Thinking("Hm.", Signature("gemini", mark)), Thinking("So."), Thinking("Yes."))


def test_blocks_that_only_anthropic_knows_are_kept_whole() -> None:
    use = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}}
    result = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
    (message,) = said(use, result, role="assistant")
    assert [part.kind for part in message.content if isinstance(part, Foreign)] == [use["type"], result["type"]]
    assert json.loads(message.content[0].raw) == use  # type: ignore[union-attr]


def test_citations_come_along_unless_we_made_them() -> None:
    found = {"type": "web_search_result_location", "url": "https://example.com", "title": "A", "encrypted_index": "Eo8"}
    ours = {**found, "encrypted_index": marked(None)}
    (message,) = said({"type": "text", "text": "So.", "citations": [found, ours]}, role="assistant")
    raw = json.dumps(found, separators=(",", ":")).encode()
    assert message.content == (
        Text("So.", citations=(Citation("anthropic_messages", raw, "https://example.com", "A"),)),
    )


def test_tools_of_the_client_and_of_the_provider_are_told_apart() -> None:
    search = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}
    look = {"name": "look", "description": "Looks.", "input_schema": {"type": "object"}, "strict": True}
    custom = {
        "type": "custom",
        "name": "go",
        "input_schema": {"type": "object"},
        "cache_control": {"type": "ephemeral"},
    }
    request = read(tools=[look, search, custom])
    assert request.tools == (
        Tool("look", "Looks.", b'{"type":"object"}', strict=True),
        Tool("go", None, b'{"type":"object"}', cached=Cached()),
    )
    raw = b'{"type":"web_search_20250305","name":"web_search","max_uses":3}'
    assert request.server_tools == (ServerTool("anthropic_messages", "web_search_20250305", raw),)


@pytest.mark.parametrize(
    ("choice", "expected", "parallel"),
    [
        ({"type": "auto"}, ToolChoice("auto"), None),
        ({"type": "any", "disable_parallel_tool_use": True}, ToolChoice("required"), False),
        ({"type": "tool", "name": "look"}, ToolChoice("required", ("look",)), None),
        ({"type": "auto", "disable_parallel_tool_use": False}, ToolChoice("auto"), True),
        ({"type": "none"}, ToolChoice("none"), None),
    ],
)
def test_tool_choices(choice: dict[str, Any], expected: ToolChoice, parallel: bool | None) -> None:
    request = read(tool_choice=choice)
    assert (request.tool_choice, request.parallel_tool_calls) == (expected, parallel)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 2048}}, Reasoning(budget_tokens=2048)),
        (
            {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "xhigh"}},
            Reasoning(effort="xhigh", adaptive=True, shown=True),
        ),
        ({"thinking": {"type": "adaptive", "display": "omitted"}}, Reasoning(adaptive=True, shown=False)),
        ({"thinking": {"type": "disabled"}}, Reasoning(off=True)),
        ({"output_config": {"effort": "low"}}, Reasoning(effort="low")),
        ({}, None),
    ],
)
def test_how_much_to_think(members: dict[str, Any], expected: Reasoning | None) -> None:
    assert read(**members).reasoning == expected


@pytest.mark.parametrize("place", ["new", "old"])
def test_the_shape_of_an_answer(place: str) -> None:
    shape = {"type": "json_schema", "schema": {"type": "object", "additionalProperties": False}}
    request = read(output_config={"format": shape}) if place == "new" else read(output_format=shape)
    assert request.shape == AnswerShape(b'{"type":"object","additionalProperties":false}', strict=True)


def test_a_shape_that_leaves_something_open_is_not_called_strict() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}
    shape = read(output_config={"format": {"type": "json_schema", "schema": schema}}).shape
    assert shape is not None
    assert shape.strict is None


def test_the_rest_of_a_request() -> None:
    request = read(
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        stop_sequences=["END"],
        metadata={"user_id": "u-1"},
        service_tier="standard_only",
        cache_control={"type": "ephemeral"},
        stream=True,
    )
    assert (request.max_output_tokens, request.temperature, request.top_p, request.top_k) == (100, 0.5, 0.9, 40)
    assert (request.stop, request.user, request.service_tier) == (("END",), "u-1", "default")
    assert request.cached == Cached()
    assert (request.extra, request.streamed) == ({}, False)


def test_what_only_anthropic_knows_is_named_where_it_stands() -> None:
    mark = {"type": "ephemeral", "scope": "global"}
    call = {"type": "tool_use", "id": "t", "name": "look", "input": {}, "caller": {"type": "direct"}}
    request = read(
        context_management={"edits": []},
        speed=None,
        system=[
            {"type": "text", "text": "a", "cache_control": mark},
            {"type": "text", "text": "b", "cache_control": mark},
        ],
        tools=[{"name": "look", "input_schema": {}, "defer_loading": True}],
        messages=[HELLO, {"role": "assistant", "content": [call]}],
        output_config={"task_budget": {"type": "tokens", "total": 5}},
    )
    assert request.extra == {
        "context_management": b'{"edits":[]}',
        "output_config.task_budget": b'{"type":"tokens","total":5}',
        "system[0].cache_control.scope": b'"global"',
        "tools[0].defer_loading": b"true",
    }
    told = [used.field for used in used_by(request) if used.feature is Feature.UNKNOWN_FIELDS]
    assert sorted(told) == sorted(request.extra)


def wrong(**members: Any) -> dict[str, Any]:
    return members


@pytest.mark.parametrize(
    ("members", "path"),
    [
        (wrong(messages=None), '"messages"'),
        (wrong(messages=[]), '"messages"'),
        (wrong(messages=["Hello"]), '"messages[0]"'),
        (wrong(messages=[{"role": "tool", "content": "x"}]), '"messages[0].role"'),
        (wrong(messages=[{"role": ["user"], "content": "x"}]), '"messages[0].role"'),
        (wrong(messages=[{"role": "user"}]), '"messages[0].content"'),
        (wrong(messages=[{"role": "user", "content": [7]}]), '"messages[0].content[0]"'),
        (wrong(messages=[{"role": "user", "content": [{"text": "x"}]}]), '"messages[0].content[0].type"'),
        (wrong(messages=[{"role": "user", "content": [{"type": "text"}]}]), '"messages[0].content[0].text"'),
        (wrong(messages=[{"role": "user", "content": [{"type": "image"}]}]), '"messages[0].content[0].source"'),
        (
            wrong(messages=[{"role": "user", "content": [{"type": "image", "source": {"type": 1}}]}]),
            '"messages[0].content[0].source.type"',
        ),
        (
            wrong(messages=[{"role": "user", "content": [{"type": "tool_use", "id": "a", "name": "b", "input": {}}]}]),
            '"messages[0].content[0].type"',
        ),
        (
            wrong(messages=[{"role": "assistant", "content": [{"type": "tool_result", "tool_use_id": "a"}]}]),
            '"messages[0].content[0].type"',
        ),
        (
            wrong(
                messages=[{"role": "assistant", "content": [{"type": "tool_use", "id": "", "name": "b", "input": {}}]}]
            ),
            '"messages[0].content[0].id"',
        ),
        (
            wrong(
                messages=[{"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {"type": "x"}}]}]
            ),
            '"messages[0].content[0].cache_control.type"',
        ),
        (wrong(system=5), '"system"'),
        (wrong(system=[{"type": "image", "source": {"type": "url", "url": "x"}}]), '"system[0].type"'),
        (wrong(tools={}), '"tools"'),
        (wrong(tools=[{"input_schema": {}}]), '"tools[0].name"'),
        (wrong(tools=[{"name": "a", "input_schema": []}]), '"tools[0].input_schema"'),
        (wrong(tools=[{"name": "a", "type": 1}]), '"tools[0].type"'),
        (wrong(tools=[{"type": "function", "function": {"name": "a"}}]), '"tools[0].type" is "function"'),
        (wrong(tool_choice={"type": "some"}), '"tool_choice.type"'),
        (wrong(tool_choice={"type": "tool"}), '"tool_choice.name"'),
        (wrong(tool_choice={}), '"tool_choice.type"'),
        (wrong(thinking={"type": "enabled"}), '"thinking.budget_tokens"'),
        (wrong(thinking={"type": "hard"}), '"thinking.type"'),
        (wrong(output_config={"effort": "huge"}), '"output_config.effort"'),
        (wrong(output_config={"format": {"type": "text"}}), '"output_config.format.type"'),
        (wrong(output_format={"type": "json_schema"}), '"output_format.schema"'),
        (wrong(max_tokens=-1), '"max_tokens"'),
        (wrong(temperature="hot"), '"temperature"'),
        (wrong(top_p=2), '"top_p"'),
        (wrong(stop_sequences="END"), '"stop_sequences"'),
        (wrong(stop_sequences=[1]), '"stop_sequences[0]"'),
        (wrong(metadata=[]), '"metadata"'),
        (wrong(metadata={"user_id": 1}), '"metadata.user_id"'),
        (wrong(stream="yes"), '"stream"'),
    ],
)
def test_what_is_wrong_is_named_with_its_path(members: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        read(**members)
    assert raised.value.message.startswith(path)
    assert raised.value.hint


@pytest.mark.parametrize("levels", [900, 960, 990, 100_000])
def test_deep_json_is_refused_or_read_and_never_breaks(levels: int) -> None:
    deep = b"[" * levels + b"]" * levels
    body = b'{"messages":[{"role":"user","content":"x"}],"context_management":' + deep + b"}"
    with suppress(InvalidRequest):
        assert TRANSLATOR.read_request(body, model="m", streamed=False).extra
