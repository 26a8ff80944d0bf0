"""What is written for providers that speak chat completions."""

from typing import Any

import msgspec
import pytest

from farthing.errors import InvalidRequest
from farthing.types.chat import (
    AnswerShape,
    Audio,
    ChatRequest,
    Document,
    Image,
    Inline,
    Linked,
    Message,
    Reasoning,
    Refusal,
    Signature,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from farthing.wire.translators.marks import marked
from farthing.wire.translators.openai_chat import TRANSLATOR

USER = Message("user", (Text("hello"),))
PICTURE = Image(Inline("image/png", "AA=="))
SHOWN = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


def written(*messages: Message, model: str = "m", **members: Any) -> dict[str, Any]:
    request = ChatRequest(origin="anthropic_messages", model=model, messages=messages or (USER,), **members)
    found = msgspec.json.decode(TRANSLATOR.write_request(request, lambda prefix: prefix))
    assert isinstance(found, dict)
    return found


def said(*messages: Message, model: str = "m") -> list[dict[str, Any]]:
    found = written(*messages, model=model)["messages"]
    assert isinstance(found, list)
    return found


def thought(value: str, text: str = "t") -> Message:
    return Message("assistant", (Thinking(text, Signature("openai_chat", value)), Text("a")))


def test_messages_come_last_so_that_what_grows_is_at_the_end() -> None:
    members = written(streamed=True, usage_in_stream=True, tools=(Tool("f"),), temperature=0.5)
    assert list(members) == ["model", "tools", "temperature", "stream", "stream_options", "messages"]


def test_texts_of_one_message_are_one_text_because_not_everybody_takes_a_list() -> None:
    assert said(Message("system", (Text("a"), Text("b"))), Message("user", (Text("c"), Text("d")))) == [
        {"role": "system", "content": "a\n\nb"},
        {"role": "user", "content": "c\n\nd"},
    ]
    assert said(USER, Message("assistant", (Text("half a "), Text("sentence"))))[1]["content"] == "half a sentence"


@pytest.mark.parametrize(
    ("model", "member"),
    [
        ("gpt-5-mini", "max_completion_tokens"),
        ("openai/o3", "max_completion_tokens"),
        ("gpt-5.6-terra", "max_completion_tokens"),
        ("gpt-4o", "max_tokens"),
        ("gpt-oss-120b", "max_tokens"),
        ("deepseek-chat", "max_tokens"),
    ],
)
def test_the_longest_answer_is_asked_for_under_the_name_that_the_model_takes(model: str, member: str) -> None:
    members = written(model=model, max_output_tokens=9)
    assert members[member] == 9
    assert len(members) == 3


@pytest.mark.parametrize(
    ("model", "reasoning", "effort"),
    [
        ("m", Reasoning(effort="low"), "low"),
        ("m", Reasoning(budget_tokens=8_000), "medium"),
        ("m", Reasoning(adaptive=True), None),
        ("m", Reasoning(off=True), None),
        ("gpt-5-nano", Reasoning(off=True), "minimal"),
        ("gpt-5.2", Reasoning(off=True), "none"),
        ("o3", Reasoning(off=True), "low"),
        ("gpt-4o", Reasoning(effort="low"), None),
    ],
)
def test_an_effort_is_asked_of_models_that_do_not_refuse_it(
    model: str, reasoning: Reasoning, effort: str | None
) -> None:
    assert written(model=model, reasoning=reasoning).get("reasoning_effort") == effort


def test_thinking_is_switched_off_and_on_where_there_is_a_switch() -> None:
    assert written(model="deepseek-v4-flash", reasoning=Reasoning(off=True))["thinking"] == {"type": "disabled"}
    assert written(model="glm-5.2", reasoning=Reasoning(adaptive=True))["thinking"] == {"type": "enabled"}
    assert "thinking" not in written(model="deepseek/deepseek-v4-flash", reasoning=Reasoning(off=True))
    assert "thinking" not in written(model="mimo-v2.5", reasoning=Reasoning(effort="low"))


def test_choices_are_left_out_without_tools_because_openai_refuses_them() -> None:
    assert "tool_choice" not in written(tool_choice=ToolChoice("auto"), parallel_tool_calls=False)


def test_choices_of_tools() -> None:
    tools = (Tool("f"), Tool("g"))
    named = {"type": "function", "function": {"name": "f"}}
    assert written(tools=tools, tool_choice=ToolChoice("required", ("f",)))["tool_choice"] == named
    assert written(tools=tools, tool_choice=ToolChoice("auto", ("f",)))["tool_choice"] == {
        "type": "allowed_tools",
        "allowed_tools": {"mode": "auto", "tools": [named]},
    }


def test_pictures_of_tools_follow_behind_all_results_in_a_message_of_the_user() -> None:
    calls = Message("assistant", (ToolCall("c1", "f", ""), ToolCall("c2", "f", "{}")))
    results = Message("tool", (ToolResult("c1", (Text("a"), PICTURE)), ToolResult("c2", (Text("b"),), is_error=True)))
    assert said(USER, calls, results, USER)[1:] == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                {"id": "c2", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "a"},
        {"role": "tool", "tool_call_id": "c2", "content": "Error: b"},
        {"role": "user", "content": [SHOWN]},
        {"role": "user", "content": "hello"},
    ]


def test_pictures_of_the_assistant_are_shown_by_the_user() -> None:
    assert said(USER, Message("assistant", (Text("look"), PICTURE)))[1:] == [
        {"role": "assistant", "content": "look"},
        {"role": "user", "content": [SHOWN]},
    ]


def test_ids_that_a_vendor_refuses_are_replaced_alike_in_call_and_result() -> None:
    call_id = "toolu_" + "x" * 60
    turn = (USER, Message("assistant", (ToolCall(call_id, "f", "{}"),)), Message("tool", (ToolResult(call_id, ()),)))
    for model, length in (("m", 37), ("mistral-large-latest", 9)):
        _, assistant, result = said(*turn, model=model)
        assert assistant["tool_calls"][0]["id"] == result["tool_call_id"]
        assert len(result["tool_call_id"]) == length


def test_thoughts_go_back_under_the_name_that_they_came_under() -> None:
    assert said(thought("reasoning_content"))[0]["reasoning_content"] == "t"
    assert said(thought("reasoning"))[0]["reasoning"] == "t"
    assert said(thought("thinking"))[0]["content"] == [
        {"type": "thinking", "thinking": [{"type": "text", "text": "t"}]},
        {"type": "text", "text": "a"},
    ]
    assert said(thought('{"index":0,"signature":"s","type":"reasoning.text"}'))[0]["reasoning_details"] == [
        {"index": 0, "signature": "s", "type": "reasoning.text", "text": "t"}
    ]


def test_a_thought_whose_signature_is_lost_still_goes_back_where_its_mark_says_whose_it_was() -> None:
    mark = marked(Signature("openai_chat", "reasoning_content"))
    assert said(thought(mark))[0]["reasoning_content"] == "t"


def test_thoughts_of_other_formats_are_left_out() -> None:
    foreign = Thinking("t", Signature("anthropic_messages", "s"))
    assert said(USER, Message("assistant", (foreign, Thinking("u"), Text("a"))))[1] == {
        "role": "assistant",
        "content": "a",
    }
    assert len(said(USER, Message("assistant", (foreign,)))) == 1


def test_geminis_seal_of_a_call_goes_back_beside_it() -> None:
    seal = Signature("openai_chat", '{"google":{"thought_signature":"s"}}')
    call = said(USER, Message("assistant", (ToolCall("c", "f", "{}", signature=seal),)))[1]["tool_calls"][0]
    assert call["extra_content"] == {"google": {"thought_signature": "s"}}


def test_a_document_of_plain_text_is_text_and_another_a_file() -> None:
    plain = Document(Inline("text/plain", "aGk="), "a.txt")
    pdf = Document(Inline("application/pdf", "AA=="))
    assert said(Message("user", (plain,)))[0]["content"] == '<document title="a.txt">\nhi\n</document>'
    assert said(Message("user", (pdf, Text("x"))))[0]["content"][0] == {
        "type": "file",
        "file": {"filename": "document.pdf", "file_data": "data:application/pdf;base64,AA=="},
    }


def test_sound_at_an_address_is_refused_and_sound_inside_is_written() -> None:
    with pytest.raises(InvalidRequest, match=r"https://a/b\.mp3"):
        said(Message("user", (Audio(Linked("https://a/b.mp3")),)))
    assert said(Message("user", (Audio(Inline("audio/mpeg", "AA==")),)))[0]["content"] == [
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "mp3"}}
    ]


def test_refusals_of_earlier_turns_are_told_as_such() -> None:
    assert said(USER, Message("assistant", (Refusal("no"),)))[1]["content"] == [{"type": "refusal", "refusal": "no"}]


def test_a_shape_without_a_name_gets_one_because_openai_asks_for_it() -> None:
    assert written(shape=AnswerShape(b'{"a":1}', strict=True))["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "strict": True, "schema": {"a": 1}},
    }


def test_a_users_name_that_is_too_long_is_told_by_its_hash() -> None:
    assert written(user="u" * 64)["user"] == "u" * 64
    long = written(user="u" * 150)["user"]
    assert len(long) == 64
    assert long == written(user="u" * 150)["user"] != written(user="u" * 151)["user"]


def test_at_most_four_stops_and_anthropics_tier_by_openais_name() -> None:
    members = written(stop=("a", "b", "c", "d", "e"), service_tier="standard_only")
    assert members["stop"] == ["a", "b", "c", "d"]
    assert members["service_tier"] == "default"
