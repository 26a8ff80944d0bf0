import json
from typing import Any

import pytest
from google.genai import types

from farthing.errors import InvalidRequest
from farthing.types.chat import (
    AnswerShape,
    Audio,
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
    Video,
)
from farthing.wire.translators.gemini import TRANSLATOR
from farthing.wire.translators.gemini.names import STAND_IN
from farthing.wire.translators.marks import marked

OURS = Signature("gemini", "AAAA")
THEIRS = Signature("anthropic_messages", "BBBB")
HELLO = Message("user", (Text("Hello."),))
PICTURE = Image(Inline("image/png", "iVBORw0K"))


def no_ids(prefix: str) -> str:
    raise AssertionError(prefix)


def written(*messages: Message, model: str = "gemini-3-pro-preview", **members: Any) -> Any:
    request = ChatRequest(origin="openai_chat", model=model, messages=messages or (HELLO,), **members)
    body = json.loads(TRANSLATOR.write_request(request, no_ids))
    for content in body["contents"]:
        types.Content.model_validate(content)
    for tool in body.get("tools", ()):
        types.Tool.model_validate(tool)
    types.GenerationConfig.model_validate(body.get("generationConfig", {}))
    types.ToolConfig.model_validate(body.get("toolConfig", {}))
    return body


def assistant(*parts: Part) -> Message:
    return Message("assistant", parts)


def test_what_grows_comes_last() -> None:
    body = written(
        Message("system", (Text("Be terse."),)),
        HELLO,
        tools=(Tool("f"),),
        tool_choice=ToolChoice("auto"),
        temperature=0.5,
        service_tier="flex",
    )
    names = ["systemInstruction", "tools", "toolConfig", "generationConfig", "serviceTier", "contents"]
    assert list(body) == names


def test_neighbours_of_one_role_are_one_turn() -> None:
    body = written(
        HELLO,
        Message("user", (Text("Still there?"),)),
        assistant(Text("Yes.")),
        assistant(ToolCall("1", "f", "{}")),
        Message("tool", (ToolResult("1", (Text("ok"),)),)),
        HELLO,
    )
    assert [(content["role"], len(content["parts"])) for content in body["contents"]] == [
        ("user", 2),
        ("model", 2),
        ("user", 2),
    ]


def test_a_late_word_of_the_systems_is_the_users_in_a_tag() -> None:
    system = Message("system", (Text("Be terse."),))
    body = written(system, Message("system", (Text("And kind."),)), HELLO, system)
    assert body["systemInstruction"] == {"parts": [{"text": "Be terse."}, {"text": "And kind."}]}
    assert body["contents"][0]["parts"][1] == {"text": "<system-message>\nBe terse.\n</system-message>"}


def test_instructions_alone_are_a_question() -> None:
    body = written(Message("system", (Text("Say hi."),)))
    assert body == {"contents": [{"role": "user", "parts": [{"text": "Say hi."}]}]}


def test_a_request_that_says_nothing_to_gemini_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="without a word"):
        written(Message("user", (Text(""), Foreign("anthropic_messages", "x", b"{}"))))


def test_schemas_go_as_json_schemas() -> None:
    schema = b'{"type":"object","$schema":"x"}'
    body = written(tools=(Tool("f", "does f", schema), Tool("g")), shape=AnswerShape(schema, name="answer"))
    assert body["tools"] == [
        {
            "functionDeclarations": [
                {"name": "f", "description": "does f", "parametersJsonSchema": json.loads(schema)},
                {"name": "g"},
            ]
        }
    ]
    assert body["generationConfig"] == {
        "responseMimeType": "application/json",
        "responseJsonSchema": json.loads(schema),
    }


@pytest.mark.parametrize(
    ("choice", "config"),
    [
        (ToolChoice("auto"), {"mode": "AUTO"}),
        (ToolChoice("required"), {"mode": "ANY"}),
        (ToolChoice("none"), {"mode": "NONE"}),
        (ToolChoice("required", ("f",)), {"mode": "ANY", "allowedFunctionNames": ["f"]}),
        (ToolChoice("auto", ("f",)), {"mode": "VALIDATED", "allowedFunctionNames": ["f"]}),
    ],
)
def test_choices_are_modes_of_calling(choice: ToolChoice, config: dict[str, Any]) -> None:
    body = written(tools=(Tool("f"),), tool_choice=choice)
    assert body["toolConfig"] == {"functionCallingConfig": config}


def test_a_choice_among_no_tools_is_not_told() -> None:
    assert "toolConfig" not in written(tool_choice=ToolChoice("auto"))


def test_its_own_tools_go_back_and_others_do_not() -> None:
    own = ServerTool("gemini", "googleSearch", b'{"googleSearch":{}}')
    assert written(server_tools=(own, ServerTool("openai_responses", "web_search", b"{}")))["tools"] == [
        {"googleSearch": {}}
    ]


def test_the_first_call_of_a_step_without_a_signature_gets_the_stand_in() -> None:
    body = written(
        HELLO,
        assistant(Text("Wait."), ToolCall("1", "f", '{"a":1}'), ToolCall("2", "f", "{}")),
        Message("tool", (ToolResult("1", ()), ToolResult("2", ()))),
        assistant(ToolCall("3", "g", "{}", signature=THEIRS)),
        Message("tool", (ToolResult("3", ()),)),
        assistant(ToolCall("4", "g", "{}", signature=OURS), ToolCall("5", "g", "{}")),
    )
    signatures = [
        part.get("thoughtSignature")
        for content in body["contents"]
        for part in content["parts"]
        if "functionCall" in part
    ]
    assert signatures == [STAND_IN, None, STAND_IN, "AAAA", None]


@pytest.mark.parametrize(
    ("model", "signed"),
    [
        ("gemini-3-flash-preview", True),
        ("gemini-flash-latest", True),
        ("models/gemini-3.1-pro", True),
        ("gemini-2.5-flash", False),
        ("gemini-2.0-flash-001", False),
        ("gemma-3-27b-it", False),
    ],
)
def test_only_newer_models_want_the_stand_in(model: str, signed: bool) -> None:
    body = written(HELLO, assistant(ToolCall("1", "f", "{}")), model=model)
    assert ("thoughtSignature" in body["contents"][1]["parts"][0]) is signed


def test_thoughts_go_back_only_under_its_own_signature() -> None:
    body = written(
        HELLO,
        assistant(
            Thinking("mine", OURS),
            Thinking("theirs", THEIRS),
            Thinking("nobody's"),
            Thinking("", THEIRS, redacted=True),
            Thinking("marked", Signature("gemini", marked(OURS))),
            Text("", signature=OURS),
            Text("so", signature=THEIRS),
        ),
    )
    assert body["contents"][1]["parts"] == [
        {"text": "mine", "thought": True, "thoughtSignature": "AAAA"},
        {"text": "", "thoughtSignature": "AAAA"},
        {"text": "so"},
    ]


def test_turns_that_say_nothing_are_left_out() -> None:
    body = written(HELLO, assistant(Text("")), Message("user", (Text("?"),)))
    assert body["contents"] == [{"role": "user", "parts": [{"text": "Hello."}, {"text": "?"}]}]


@pytest.mark.parametrize(
    ("text", "response"),
    [
        ("warm", {"output": "warm"}),
        ("", {"output": ""}),
        ('{"c": 20}', {"c": 20}),
        ('{"c": 20', {"output": '{"c": 20'}),
        ("[1]", {"output": "[1]"}),
        ('{"error": "said the tool"}', {"output": '{"error": "said the tool"}'}),
        ("{}", {"output": "{}"}),
    ],
)
def test_a_result_is_an_object_that_says_what_the_tool_said(text: str, response: Any) -> None:
    body = written(HELLO, assistant(ToolCall("1", "f", "{}")), Message("tool", (ToolResult("1", (Text(text),)),)))
    assert body["contents"][2]["parts"] == [{"functionResponse": {"id": "1", "name": "f", "response": response}}]


def test_an_error_is_said_to_be_one_and_an_unknown_call_has_some_name() -> None:
    body = written(Message("tool", (ToolResult("9", (Text("no"),), is_error=True),)))
    assert body["contents"][0]["parts"] == [
        {"functionResponse": {"id": "9", "name": "tool", "response": {"error": "no"}}}
    ]


def test_pictures_of_a_result_are_in_it_where_the_model_takes_that_and_beside_it_elsewhere() -> None:
    results = Message("tool", (ToolResult("1", (Text("see"), PICTURE), name="f"), ToolResult("2", (), name="f")))
    (new,) = written(results)["contents"]
    (old,) = written(results, model="gemini-2.5-pro")["contents"]
    picture = {"inlineData": {"mimeType": "image/png", "data": "iVBORw0K"}}
    assert new["parts"][0]["functionResponse"]["parts"] == [picture]
    assert [list(part) for part in old["parts"]] == [["functionResponse"], ["functionResponse"], ["inlineData"]]


def test_media_are_written_with_a_type() -> None:
    (content,) = written(
        Message(
            "user",
            (
                PICTURE,
                Image(Linked("https://a.example/cat")),
                Document(Linked("https://a.example/x.pdf")),
                Audio(Inline("audio/wav", "AAAA")),
                Audio(transcript="spoken", id="audio_1"),
                Video(Linked("https://youtu.be/1")),
                Document(Filed("gemini", "https://generativelanguage.googleapis.com/v1beta/files/1")),
                Document(Filed("openai_chat", "file-1")),
            ),
        )
    )["contents"]
    assert content["parts"] == [
        {"inlineData": {"mimeType": "image/png", "data": "iVBORw0K"}},
        {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://a.example/cat"}},
        {"fileData": {"mimeType": "application/pdf", "fileUri": "https://a.example/x.pdf"}},
        {"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}},
        {"text": "spoken"},
        {"fileData": {"fileUri": "https://youtu.be/1"}},
        {"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/1"}},
    ]


def test_refusals_are_words_and_foreign_parts_go_home_only() -> None:
    body = written(
        HELLO,
        assistant(
            Refusal("no"),
            Foreign("gemini", "executableCode", b'{"executableCode":{"code":"1"}}'),
            Foreign("anthropic_messages", "x", b"{}"),
        ),
    )
    assert body["contents"][1]["parts"] == [{"text": "no"}, {"executableCode": {"code": "1"}}]


@pytest.mark.parametrize(
    ("arguments", "args"),
    [
        ("", {}),
        ("{}", {}),
        ('{\n"a": 1.0}', {"a": 1.0}),
        ("nonsense", {"input": "nonsense"}),
        ("[1]", {"input": "[1]"}),
    ],
)
def test_arguments_are_an_object_whatever_a_model_wrote(arguments: str, args: Any) -> None:
    body = written(HELLO, assistant(ToolCall("1", "f", arguments)))
    assert body["contents"][1]["parts"][0]["functionCall"]["args"] == args


@pytest.mark.parametrize(
    ("model", "reasoning", "config"),
    [
        ("gemini-3-pro-preview", Reasoning(effort="high"), {"includeThoughts": True, "thinkingLevel": "HIGH"}),
        ("gemini-3-pro-preview", Reasoning(effort="minimal"), {"includeThoughts": True, "thinkingLevel": "LOW"}),
        ("gemini-3.5-flash", Reasoning(effort="minimal"), {"includeThoughts": True, "thinkingLevel": "MINIMAL"}),
        ("gemini-3.8-flash", Reasoning(off=True), {"includeThoughts": False, "thinkingLevel": "LOW"}),
        ("gemini-3-flash", Reasoning(budget_tokens=5_000), {"includeThoughts": True, "thinkingLevel": "MEDIUM"}),
        ("gemini-3-flash", Reasoning(adaptive=True, shown=False), {"includeThoughts": False}),
        ("gemini-2.5-flash", Reasoning(effort="low"), {"includeThoughts": True, "thinkingBudget": 2_048}),
        ("gemini-2.5-flash", Reasoning(budget_tokens=31_999), {"includeThoughts": True, "thinkingBudget": 24_576}),
        ("gemini-2.5-flash", Reasoning(effort="none"), {"includeThoughts": False, "thinkingBudget": 0}),
        ("gemini-2.5-pro", Reasoning(off=True), {"includeThoughts": False, "thinkingBudget": 128}),
        ("gemini-2.5-pro", Reasoning(budget_tokens=31_999), {"includeThoughts": True, "thinkingBudget": 31_999}),
        ("gemini-2.5-flash-lite", Reasoning(budget_tokens=100), {"includeThoughts": True, "thinkingBudget": 512}),
        ("gemini-2.5-flash", Reasoning(adaptive=True), {"includeThoughts": True, "thinkingBudget": -1}),
        ("gemini-flash-latest", Reasoning(effort="medium"), {"includeThoughts": True, "thinkingBudget": 8_192}),
    ],
)
def test_thinking_is_asked_for_as_the_model_takes_it(model: str, reasoning: Reasoning, config: Any) -> None:
    assert written(model=model, reasoning=reasoning)["generationConfig"]["thinkingConfig"] == config


def test_models_that_cannot_think_are_not_asked_to() -> None:
    assert "generationConfig" not in written(model="gemini-2.0-flash", reasoning=Reasoning(effort="high"))


def test_bounds_of_google_hold() -> None:
    config = written(stop=tuple("abcdefg"), seed=1 << 40, top_logprobs=3, n=2)["generationConfig"]
    assert config == {"stopSequences": list("abcde"), "candidateCount": 2, "seed": 0}
    assert written(seed=(1 << 40) + 7)["generationConfig"] == {"seed": 7}


def test_penalties_of_nothing_are_not_told() -> None:
    assert "generationConfig" not in written(presence_penalty=0, frequency_penalty=0.0)
    assert written(presence_penalty=-0.5)["generationConfig"] == {"presencePenalty": -0.5}


def test_logprobs_are_asked_for() -> None:
    assert written(logprobs=True, top_logprobs=3)["generationConfig"] == {"responseLogprobs": True, "logprobs": 3}
    assert written(logprobs=True, top_logprobs=0)["generationConfig"] == {"responseLogprobs": True}
