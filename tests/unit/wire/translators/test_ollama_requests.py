import json
from base64 import b64encode
from typing import Any

import msgspec
import ollama
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
    ServerTool,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from farthing.wire.translators.features import Feature, lost, used_by
from farthing.wire.translators.ollama import TRANSLATOR, read_generate
from farthing.wire.translators.registry import translator

PNG = b64encode(b"\x89PNG\r\n\x1a\n0000").decode()
JPEG = b64encode(b"\xff\xd8\xff\xe0 a picture").decode()
WEBP = b64encode(b"RIFF\x00\x00\x00\x00WEBPVP8 ").decode()
WAV = b64encode(b"RIFF\x00\x00\x00\x00WAVEfmt ").decode()
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


def read(body: dict[str, Any]) -> ChatRequest:
    return TRANSLATOR.read_request(json.dumps(body).encode(), model="m", streamed=True)


def generated(body: dict[str, Any]) -> ChatRequest:
    return read_generate(json.dumps(body).encode(), model="m", streamed=True)


def no_id(prefix: str) -> str:
    raise AssertionError(prefix)


def written(request: ChatRequest) -> Any:
    body = TRANSLATOR.write_request(request, no_id)
    if not request.raw_prompt:
        ollama._types.ChatRequest.model_validate_json(body)
    return json.loads(body)


def asked(*messages: Message, model: str = "m", **members: Any) -> ChatRequest:
    return ChatRequest(
        origin="openai_chat", model=model, messages=messages or (Message("user", (Text("Hi"),)),), **members
    )


def test_the_registry_knows_it() -> None:
    assert translator("ollama") is TRANSLATOR


def test_a_turn_with_everything_is_read() -> None:
    request = read(
        {
            "model": "m",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "What is it?", "images": [PNG, JPEG, WEBP, WAV]},
                {
                    "role": "assistant",
                    "content": "I look.",
                    "thinking": "Hm.",
                    "tool_calls": [{"id": "c1", "function": {"name": "look", "arguments": {"at": 1}}}],
                },
                {"role": "tool", "content": "A cat", "tool_name": "look", "tool_call_id": "c1"},
            ],
            "tools": [{"type": "function", "function": {"name": "look", "description": "Look", "parameters": SCHEMA}}],
            "format": SCHEMA,
            "think": "high",
            "logprobs": True,
            "top_logprobs": 2,
            "options": {"num_predict": 9, "stop": ["END"], "num_ctx": 8192, "seed": -1, "min_p": 0.1},
            "keep_alive": "5m",
        }
    )
    kinds = ["image/png", "image/jpeg", "image/webp"]
    pictures = [Image(Inline(kind, data)) for kind, data in zip(kinds, [PNG, JPEG, WEBP], strict=True)]
    assert request.messages == (
        Message("system", (Text("Be brief."),)),
        Message("user", (*pictures, Audio(Inline("audio/wav", WAV)), Text("What is it?"))),
        Message("assistant", (Thinking("Hm."), Text("I look."), ToolCall("c1", "look", '{"at":1}'))),
        Message("tool", (ToolResult("c1", (Text("A cat"),), "look"),)),
    )
    assert request.tools == (Tool("look", "Look", json.dumps(SCHEMA, separators=(",", ":")).encode()),)
    assert request.shape == AnswerShape(schema=request.tools[0].parameters)
    assert request.reasoning == Reasoning(effort="high", shown=True)
    assert (request.logprobs, request.top_logprobs, request.max_output_tokens) == (True, 2, 9)
    assert (request.stop, request.context_tokens, request.seed) == (("END",), 8192, -1)
    assert request.extra == {"keep_alive": b'"5m"', "options.min_p": b"0.1"}


def test_calls_without_ids_get_the_same_ones_whenever_the_conversation_comes_again() -> None:
    calls = [{"function": {"name": "a.b/c", "arguments": {}}}, {"function": {"name": "d", "arguments": {"x": 1}}}]
    body = {"messages": [{"role": "user", "content": "?"}, {"role": "assistant", "tool_calls": calls}]}
    first, second = read(body), read(body)
    assert first == second
    assert first.messages[1].content == (
        ToolCall("call_1_0_a_b_c", "a.b/c", "{}"),
        ToolCall("call_1_1_d", "d", '{"x":1}'),
    )


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ([{"tool_name": "b"}, {"tool_name": "a"}], [("call_0_1_b", "b"), ("call_0_0_a", "a")]),
        ([{}, {}, {}], [("call_0_0_a", "a"), ("call_0_1_b", "b"), ("call_0_2_a", "a")]),
        ([{"tool_name": "a"}, {"tool_name": "a"}, {}], [("call_0_0_a", "a"), ("call_0_2_a", "a"), ("call_0_1_b", "b")]),
        ([{"tool_call_id": "call_0_2_a"}, {}], [("call_0_2_a", "a"), ("call_0_0_a", "a")]),
        ([{"tool_name": "unheard"}], [("call_0_0_a", "unheard")]),
    ],
)
def test_results_find_their_calls_by_id_then_by_name_then_by_order(
    results: list[dict[str, str]], expected: list[tuple[str, str]]
) -> None:
    calls: list[dict[str, Any]] = [{"function": {"name": name, "arguments": {}}} for name in ("a", "b", "a")]
    body = {
        "messages": [
            {"role": "assistant", "tool_calls": calls},
            *[{"role": "tool", "content": "r", **result} for result in results],
        ]
    }
    found = [message.content[0] for message in read(body).messages[1:]]
    assert [(part.call_id, part.name) for part in found if isinstance(part, ToolResult)] == expected


def test_a_result_is_not_given_to_a_call_of_an_earlier_turn() -> None:
    call = {"function": {"name": "a", "arguments": {}}}
    turn = {"role": "assistant", "tool_calls": [call]}
    request = read({"messages": [turn, {"role": "user", "content": "again"}, turn, {"role": "tool", "content": "r"}]})
    assert request.messages[-1].content == (ToolResult("call_2_0_a", (Text("r"),), "a"),)


def test_a_result_without_any_call_has_an_id_all_the_same() -> None:
    request = read({"messages": [{"role": "tool", "content": "r"}]})
    assert request.messages == (Message("tool", (ToolResult("call_0_0_", (Text("r"),)),)),)


@pytest.mark.parametrize(
    ("think", "reasoning"),
    [
        (True, Reasoning(adaptive=True, shown=True)),
        (False, Reasoning(off=True)),
        ("max", Reasoning(effort="max", shown=True)),
        (None, None),
    ],
)
def test_think_is_a_switch_or_an_effort(think: object, reasoning: Reasoning | None) -> None:
    request = read({"messages": [], "think": think})
    assert request.reasoning == reasoning
    assert read(written(request)).reasoning == reasoning  # an Ollama client's own goes back as it came


def test_a_prompt_is_a_message_and_what_is_empty_says_nothing() -> None:
    request = generated(
        {
            "model": "m",
            "prompt": "Once",
            "system": "",
            "template": "",
            "context": [],
            "raw": False,
            "images": [],
            "format": "",
            "options": {},
            "keep_alive": None,
            "suffix": "end",
        }
    )
    assert request == ChatRequest(
        origin="ollama",
        model="m",
        messages=(Message("user", (Text("Once"),)),),
        suffix="end",
        raw_prompt=True,
        streamed=True,
    )
    assert written(request) == {"model": "m", "prompt": "Once", "suffix": "end", "stream": True, "truncate": False}


def test_what_only_generate_knows_is_kept_and_named() -> None:
    request = generated({"prompt": "x", "system": "s", "raw": True, "context": [1, 2], "images": [PNG]})
    assert request.extra == {"context": b"[1,2]", "raw": b"true"}
    assert request.messages == (
        Message("system", (Text("s"),)),
        Message("user", (Image(Inline("image/png", PNG)), Text("x"))),
    )
    assert [use.field for use in lost(used_by(request), TRANSLATOR.carries)] == ["context", "raw"]
    assert generated(written(request)) == request


def test_a_request_to_load_the_model_has_no_messages() -> None:
    assert generated({"model": "m", "keep_alive": 0}).messages == ()
    assert generated({"model": "m", "keep_alive": 0}).extra == {"keep_alive": b"0"}


def test_unknown_members_are_named_by_their_paths() -> None:
    request = read(
        {
            "messages": [
                {"role": "user", "content": "a", "mood": "good", "tool_calls": []},
                {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {}, "why": 1}}]},
            ],
            "tools": [{"function": {"name": "f", "returns": {}}}, {"type": "web_search", "max": 3}],
            "options": {"mirostat": 1},
            "newer": {"than": "us"},
        }
    )
    assert set(request.extra) == {
        "messages[0].mood",
        "messages[0].tool_calls",
        "messages[1].tool_calls[0].function.why",
        "tools[0].function.returns",
        "options.mirostat",
        "newer",
    }
    assert request.server_tools == (ServerTool("ollama", "web_search", b'{"type":"web_search","max":3}'),)
    again = written(request)
    assert (again["options"], again["newer"]) == ({"mirostat": 1}, {"than": "us"})


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"messages": 1}, '"messages" is 1'),
        ({"messages": ["x"]}, '"messages[0]" is "x"'),
        ({"messages": [{"content": "x"}]}, '"messages[0].role" is missing or null'),
        ({"messages": [{"role": "judge"}]}, 'send one of "system"'),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, '"messages[0].content" is [{'),
        ({"messages": [{"role": "user", "images": ["?!"]}]}, '"messages[0].images[0]" is "?!"'),
        ({"messages": [{"role": "user", "images": [None]}]}, '"messages[0].images[0]" is missing or null'),
        ({"messages": [{"role": "user", "images": PNG}]}, "a list of pictures"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{}]}]},
            '"messages[0].tool_calls[0].function" is missing or null',
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}]},
            '"messages[0].tool_calls[0].function.arguments" is "{}"',
        ),
        ({"tools": [{"function": {"name": ""}}]}, '"tools[0].function.name" is ""'),
        ({"tools": [{"function": {"name": "f", "parameters": []}}]}, '"tools[0].function.parameters" is []'),
        ({"format": "xml"}, '"format" is "xml"'),
        ({"think": "hard"}, '"think" is "hard"'),
        ({"options": {"stop": 1}}, '"options.stop" is 1'),
        ({"options": {"temperature": "hot"}}, '"options.temperature" is "hot"'),
        ({"options": {"num_predict": -3}}, '"options.num_predict" is -3'),
        ({"options": []}, '"options" is []'),
    ],
)
def test_what_is_wrong_is_named_with_its_path_and_what_is_allowed(body: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read(body)
    assert words in str(refused.value)


@pytest.mark.parametrize("count", [-2, -1, 0])
def test_no_limit_is_no_limit_elsewhere(count: int) -> None:
    assert read({"options": {"num_predict": count}}).max_output_tokens is None


# ---- writing


@pytest.mark.parametrize(
    ("wanted", "asked_for"), [(1, 4096), (4096, 4096), (4097, 8192), (9000, 16384), (100_000, 131_072)]
)
def test_the_context_is_a_power_of_two_that_the_prompt_fits_in(wanted: int, asked_for: int) -> None:
    body = written(asked(context_tokens=wanted))
    assert body["options"] == {"num_ctx": asked_for}
    assert body["truncate"] is False


def test_a_growing_conversation_loads_the_model_few_times() -> None:
    sizes = {written(asked(context_tokens=tokens))["options"]["num_ctx"] for tokens in range(5_000, 100_000, 500)}
    assert len(sizes) == 5


def test_tools_are_left_out_where_none_may_be_called() -> None:
    tools = (Tool("f", "F", b'{"type":"object"}'), Tool("g"))
    assert "tools" not in written(asked(tools=tools, tool_choice=ToolChoice("none")))
    empty = {"type": "object", "properties": {}}
    assert [tool["function"] for tool in written(asked(tools=tools))["tools"]] == [
        {"name": "f", "description": "F", "parameters": {"type": "object"}},
        {"name": "g", "parameters": empty},
    ]


@pytest.mark.parametrize(
    ("arguments", "custom", "expected"),
    [
        ('{"a":1}', False, {"a": 1}),
        ("", False, {}),
        ('{"a":', False, {"input": '{"a":'}),
        ("[1]", False, {"input": "[1]"}),
        ('{"a":\n1}', False, {"a": 1}),
        ("print(1)", True, {"input": "print(1)"}),
    ],
)
def test_arguments_are_an_object_whatever_a_model_wrote(arguments: str, custom: bool, expected: object) -> None:
    body = written(asked(Message("assistant", (ToolCall("1", "f", arguments, custom),))))
    assert body["messages"][0]["tool_calls"] == [
        {"id": "1", "function": {"index": 0, "name": "f", "arguments": expected}}
    ]


def test_results_go_back_one_by_one_with_the_names_of_their_tools() -> None:
    picture = Image(Inline("image/png", PNG))
    body = written(
        asked(
            Message("assistant", (ToolCall("1", "f", "{}"), ToolCall("2", "g", "{}"))),
            Message(
                "tool",
                (
                    ToolResult("2", (Text("a"), picture, Text("b"))),
                    ToolResult("1", (Text("no such file"),), is_error=True),
                    ToolResult("1", (Text("Error: gone"),), is_error=True),
                ),
            ),
        )
    )
    assert body["messages"][1:] == [
        {"role": "tool", "content": "a\nb", "tool_call_id": "2", "tool_name": "g", "images": [PNG]},
        {"role": "tool", "content": "Error: no such file", "tool_call_id": "1", "tool_name": "f"},
        {"role": "tool", "content": "Error: gone", "tool_call_id": "1", "tool_name": "f"},
    ]


def test_what_has_no_place_is_left_out_and_plain_documents_are_read_out() -> None:
    plain = Document(Inline("text/plain", b64encode(b"Once upon").decode()))
    parts = (Text("Read:"), plain, Image(Linked("http://a/b.png")), Document(Inline("application/pdf", "JVBE")))
    body = written(asked(Message("user", parts)))
    assert body["messages"] == [{"role": "user", "content": "Read:\n\nOnce upon"}]
    request = asked(Message("user", parts))
    assert {use.feature for use in lost(used_by(request), TRANSLATOR.carries)} == {
        Feature.DOCUMENTS,
        Feature.LINKED_IMAGES,
    }


def test_a_former_answers_sound_goes_back_as_what_was_said_in_it() -> None:
    body = written(asked(Message("assistant", (Audio(id="audio_1", transcript="Hello"),))))
    assert body["messages"] == [{"role": "assistant", "content": "Hello"}]


@pytest.mark.parametrize(
    ("reasoning", "model", "think"),
    [
        (Reasoning(adaptive=True), "llama3", None),  # it would refuse: it cannot think
        (Reasoning(effort="high"), "qwen3", None),  # it thinks unasked
        (Reasoning(off=True), "qwen3", False),
        (Reasoning(effort="none"), "qwen3", False),
        (Reasoning(effort="xhigh"), "gpt-oss:20b", "high"),
        (Reasoning(budget_tokens=2_000), "gpt-oss:20b", "low"),
        (Reasoning(off=True), "gpt-oss:20b", "low"),
        (Reasoning(adaptive=True), "gpt-oss:20b", None),
    ],
)
def test_only_models_that_can_be_told_how_much_to_think_are_told(
    reasoning: Reasoning, model: str, think: bool | str | None
) -> None:
    assert written(asked(reasoning=reasoning, model=model)).get("think") == think


def test_a_prompt_for_generate_is_all_that_was_said() -> None:
    request = asked(
        Message("system", (Text("s"),)),
        Message("user", (Text("a"), Image(Inline("image/png", PNG)))),
        Message("user", (Text("b"),)),
        raw_prompt=True,
        suffix="!",
        stop=("\n",),
        shape=AnswerShape(),
    )
    body = written(request)
    ollama._types.GenerateRequest.model_validate({**body, "images": [{"value": PNG}]})  # its own way to hold a picture
    assert body == {
        "model": "m",
        "prompt": "a\n\nb",
        "system": "s",
        "suffix": "!",
        "images": [PNG],
        "stream": False,
        "format": "json",
        "options": {"stop": ["\n"]},
        "truncate": False,
    }


def test_what_another_formats_client_added_is_not_sent() -> None:
    request = msgspec.structs.replace(asked(), extra={"options.min_p": b"1", "other": b"2"})
    assert written(request) == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": False,
        "truncate": False,
    }


def test_an_absurdly_long_list_of_unmatched_results_is_read_in_no_time() -> None:
    calls = [{"function": {"name": f"t{number % 7}", "arguments": {}}} for number in range(20_000)]
    results = [{"role": "tool", "content": "", "tool_name": f"t{number % 11}"} for number in range(20_000)]
    request = read({"messages": [{"role": "assistant", "tool_calls": calls}, *results]})
    assert (
        len(
            {
                part.call_id
                for message in request.messages[1:]
                for part in message.content
                if isinstance(part, ToolResult)
            }
        )
        == 20_000
    )
