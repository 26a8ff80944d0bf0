"""Tools under names and in shapes that the other side can take, and back."""

import msgspec
import pytest

from farthing.errors import InvalidRequest
from farthing.types.chat import (
    ChatAnswer,
    ChatRequest,
    Choice,
    Message,
    PartBegan,
    PartEnded,
    PartGrew,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from farthing.wire.translators.features import Feature
from farthing.wire.translators.tool_names import RestoredStream, ToolNames

PLAIN: frozenset[Feature] = frozenset()


def request(*tools: Tool, messages: tuple[Message, ...] = (), choice: ToolChoice | None = None) -> ChatRequest:
    return ChatRequest(origin="openai_responses", model="m", messages=messages, tools=tools, tool_choice=choice)


def test_plain_names_stay_and_cost_nothing() -> None:
    names = ToolNames(request(Tool("read_file"), Tool("write-file")), PLAIN)
    assert not names.changes


def test_a_namespace_becomes_part_of_the_name_and_comes_back() -> None:
    asked = request(Tool("search", namespace="docs"), Tool("search", namespace="web"))
    names = ToolNames(asked, PLAIN)
    sent = names.applied(asked)
    assert [(tool.name, tool.namespace) for tool in sent.tools] == [("docs__search", None), ("web__search", None)]
    part = names.restored(ToolCall("1", "web__search", "{}"))
    assert part == ToolCall("1", "search", "{}", namespace="web")


def test_where_namespaces_are_known_nothing_changes() -> None:
    asked = request(Tool("search", namespace="docs"))
    assert ToolNames(asked, frozenset({Feature.TOOL_NAMESPACES})).applied(asked) == asked


def test_names_that_are_not_allowed_are_spelled_otherwise_and_stay_apart() -> None:
    asked = request(Tool("mcp.fetch"), Tool("mcp/fetch"), Tool("a" * 80), Tool("9lives"))
    names = ToolNames(asked, PLAIN)
    flat = [tool.name for tool in names.applied(asked).tools]
    assert len(set(flat)) == 4
    for name, tool in zip(flat, asked.tools, strict=True):
        assert len(name) <= 64
        assert name.replace("_", "").replace("-", "").isalnum()
        assert not name[0].isdigit()
        assert names.restored(ToolCall("1", name, "{}")) == ToolCall("1", tool.name, "{}")


def test_the_same_tools_have_the_same_names_in_every_turn() -> None:
    asked = request(Tool("mcp.fetch"), Tool("b.c"))
    assert ToolNames(asked, PLAIN).applied(asked) == ToolNames(asked, PLAIN).applied(asked)


def test_a_tool_of_text_takes_an_object_with_that_text() -> None:
    call = ToolCall("1", "apply_patch", "*** Begin Patch", custom=True)
    history = (
        Message("assistant", (call,)),
        Message("tool", (ToolResult("1", (Text("done"),), name="apply_patch", custom=True),)),
    )
    asked = request(Tool("apply_patch", custom=True, grammar=b'{"type":"grammar"}'), messages=history)
    names = ToolNames(asked, PLAIN)
    sent = names.applied(asked)
    assert not sent.tools[0].custom
    assert sent.tools[0].parameters is not None
    assert msgspec.json.decode(sent.tools[0].parameters)["required"] == ["input"]
    assert sent.messages[0].content == (ToolCall("1", "apply_patch", '{"input":"*** Begin Patch"}'),)
    assert sent.messages[1].content == (ToolResult("1", (Text("done"),), name="apply_patch"),)
    assert names.restored(ToolCall("2", "apply_patch", '{"input":"x"}')) == ToolCall(
        "2", "apply_patch", "x", custom=True
    )


def test_text_that_came_as_no_object_is_kept_as_it_is() -> None:
    names = ToolNames(request(Tool("apply_patch", custom=True)), PLAIN)
    assert names.restored(ToolCall("2", "apply_patch", "*** Begin")) == ToolCall(
        "2", "apply_patch", "*** Begin", custom=True
    )


def test_a_choice_names_the_tool_as_the_other_side_knows_it() -> None:
    asked = request(Tool("a.b"), choice=ToolChoice("required", ("a.b",)))
    sent = ToolNames(asked, PLAIN).applied(asked)
    assert sent.tool_choice == ToolChoice("required", (sent.tools[0].name,))


def test_a_stream_tells_text_that_comes_as_an_object_once_it_is_whole() -> None:
    stream = RestoredStream(ToolNames(request(Tool("apply_patch", custom=True)), PLAIN))
    whole = ToolCall("1", "apply_patch", '{"input":"ab"}')
    events = [
        event
        for came in (
            PartBegan(0, ToolCall("1", "apply_patch", "")),
            PartGrew(0, '{"input":'),
            PartGrew(0, '"ab"}'),
            PartEnded(0, whole),
        )
        for event in stream.events(came)
    ]
    own = ToolCall("1", "apply_patch", "", custom=True)
    assert events == [
        PartBegan(0, own),
        PartGrew(0, "ab"),
        PartEnded(0, msgspec.structs.replace(own, arguments="ab")),
    ]


def test_a_whole_answer_gets_the_clients_names_back() -> None:
    names = ToolNames(request(Tool("search", namespace="docs")), PLAIN)
    answer = ChatAnswer(
        id=None, model=None, choices=(Choice((Text("so"), ToolCall("1", "docs__search", "{}")), "tool_calls"),)
    )
    assert names.answer(answer).choices[0].content == (Text("so"), ToolCall("1", "search", "{}", namespace="docs"))


def test_a_tool_that_nobody_declared_keeps_its_name() -> None:
    names = ToolNames(request(Tool("a.b")), PLAIN)
    assert names.restored(ToolCall("1", "other", "{}")) == ToolCall("1", "other", "{}")


def test_calls_of_earlier_turns_are_spelled_alike_where_their_tools_are_not_sent_any_more() -> None:
    """Codex asks for a summary without tools: the calls are still there, and one takes text."""
    history = (
        Message("assistant", (ToolCall("1", "apply_patch", "*** Begin Patch", custom=True),)),
        Message("tool", (ToolResult("1", (Text("done"),), name="apply_patch", custom=True),)),
        Message("assistant", (ToolCall("2", "fetch.page", "{}"), ToolCall("3", "search", "{}", namespace="docs"))),
        Message("tool", (ToolResult("2", (Text("a"),)), ToolResult("3", (Text("b"),), name="search"))),
    )
    asked = request(messages=history)
    names = ToolNames(asked, PLAIN)
    assert names.changes
    calls = [part for message in names.applied(asked).messages for part in message.content]
    assert calls[0] == ToolCall("1", "apply_patch", '{"input":"*** Begin Patch"}')
    fetched = calls[2]
    assert isinstance(fetched, ToolCall)
    assert fetched.name.startswith("fetch_page_")
    assert calls[3] == ToolCall("3", "docs__search", "{}")
    assert [part.name for part in calls if isinstance(part, ToolResult)] == [
        "apply_patch",
        fetched.name,
        "docs__search",
    ]


def test_a_choice_that_several_namespaces_have_is_refused_and_not_guessed() -> None:
    tools = (Tool("search", namespace="docs"), Tool("search", namespace="web"))
    asked = request(*tools, choice=ToolChoice("required", ("search",)))
    with pytest.raises(InvalidRequest, match="several namespaces: 'docs', 'web'"):
        ToolNames(asked, PLAIN).applied(asked)
    plain = request(*tools, Tool("search"), choice=ToolChoice("required", ("search",)))
    choice = ToolNames(plain, PLAIN).applied(plain).tool_choice
    assert choice == ToolChoice("required", ("search",))
