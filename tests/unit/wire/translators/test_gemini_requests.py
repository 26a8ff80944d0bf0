import json
from typing import Any

import pytest

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
    Reasoning,
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
from farthing.wire.translators.features import Feature, used_by
from farthing.wire.translators.gemini import TRANSLATOR
from farthing.wire.translators.gemini.counting import (
    read_count_answer,
    write_count_answer,
    write_count_request,
)
from farthing.wire.translators.gemini.names import STAND_IN
from farthing.wire.translators.registry import translator

HELLO = {"role": "user", "parts": [{"text": "Hello."}]}
PNG = {"mimeType": "image/png", "data": "iVBORw0K"}


def read(**members: Any) -> ChatRequest:
    body = json.dumps({"contents": [HELLO], **members}).encode()
    return TRANSLATOR.read_request(body, model="gemini-3-pro", streamed=False)


def said(*parts: dict[str, Any], role: str | None = "user") -> tuple[Message, ...]:
    return read(contents=[{"role": role, "parts": list(parts)}]).messages


def called(name: str, **members: Any) -> dict[str, Any]:
    return {"functionCall": {"name": name, "args": {}, **members}}


def answered(name: str, response: Any, **members: Any) -> dict[str, Any]:
    return {"functionResponse": {"name": name, "response": response, **members}}


def test_it_is_found_under_its_format() -> None:
    assert translator("gemini") is TRANSLATOR


def test_a_word_of_the_user_is_a_message() -> None:
    asked = read(systemInstruction={"parts": {"text": "Be terse."}})
    assert asked.messages == (Message("system", (Text("Be terse."),)), Message("user", (Text("Hello."),)))
    assert (asked.origin, asked.model, asked.streamed, asked.extra) == ("gemini", "gemini-3-pro", False, {})


def test_snake_case_is_read_like_camel_case() -> None:
    camel = read(
        systemInstruction={"parts": [{"text": "x"}]},
        generationConfig={"maxOutputTokens": 5, "thinkingConfig": {"thinkingBudget": 9, "includeThoughts": True}},
        toolConfig={"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
        tools=[{"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"type": "object"}}]}],
    )
    snake = read(
        system_instruction={"parts": [{"text": "x"}]},
        generation_config={"max_output_tokens": 5, "thinking_config": {"thinking_budget": 9, "include_thoughts": True}},
        tool_config={"function_calling_config": {"mode": "any", "allowed_function_names": ["f"]}},
        tools={"function_declarations": {"name": "f", "parameters_json_schema": {"type": "object"}}},
    )
    assert camel == snake
    assert camel.reasoning == Reasoning(budget_tokens=9, shown=True)


def test_a_role_may_be_left_out_and_function_is_the_users() -> None:
    assert said({"text": "x"}, role=None) == said({"text": "x"}, role="function") == said({"text": "x"})


def test_calls_without_ids_get_the_same_ids_every_time_and_their_results_match_by_name_in_order() -> None:
    contents = [
        HELLO,
        {"role": "model", "parts": [called("look.up"), called("add"), called("look.up")]},
        {"role": "user", "parts": [answered("look.up", {}), answered("look.up", {}), answered("add", {})]},
    ]
    first, again = read(contents=contents), read(contents=[*contents, HELLO])
    assert again.messages[: len(first.messages)] == first.messages
    _, calls, results = first.messages
    assert [part.id for part in calls.content if isinstance(part, ToolCall)] == [
        "call_1_look_up",
        "call_2_add",
        "call_3_look_up",
    ]
    assert [part.call_id for part in results.content if isinstance(part, ToolResult)] == [
        "call_1_look_up",
        "call_3_look_up",
        "call_2_add",
    ]


def test_results_match_by_id_where_there_is_one() -> None:
    contents = [
        {"role": "model", "parts": [called("f", id="a"), called("f", id="b")]},
        {"role": "user", "parts": [answered("f", {}, id="b"), answered("f", {}, id="a")]},
    ]
    results = read(contents=contents).messages[1]
    assert [part.call_id for part in results.content if isinstance(part, ToolResult)] == ["b", "a"]


def test_an_id_that_only_the_client_knows_goes_to_the_call_of_that_name() -> None:
    contents = [
        {"role": "model", "parts": [called("f")]},
        {"role": "user", "parts": [answered("f", {}, id="mine"), answered("g", {})]},
    ]
    results = read(contents=contents).messages[1].content
    assert [part.call_id for part in results if isinstance(part, ToolResult)] == ["call_1_f", "result_1"]


@pytest.mark.parametrize(
    ("response", "text", "is_error"),
    [
        ({"output": "warm"}, "warm", False),
        ({"result": "warm"}, "warm", False),
        ({"result": {"c": 20}}, '{"c":20}', False),
        ({"c": 20}, '{"c":20}', False),
        ({"error": "no such city"}, "no such city", True),
        ({"error": None}, '{"error":null}', False),
        ({"output": "x", "error": "y"}, '{"output":"x","error":"y"}', False),
        ({"output": 7}, "7", False),
    ],
)
def test_a_functions_response_is_read_as_google_reads_it(response: Any, text: str, is_error: bool) -> None:
    (message,) = said(answered("f", response, id="1"))
    assert message == Message("tool", (ToolResult("1", (Text(text),), name="f", is_error=is_error),))


def test_an_empty_response_has_no_content() -> None:
    for response in ({}, None, {"output": ""}, {"output": None}):
        assert said(answered("f", response, id="1")) == (Message("tool", (ToolResult("1", (), name="f"),)),)


def test_pictures_in_a_response_belong_to_the_result() -> None:
    (message,) = said(answered("f", {"output": "see"}, id="1", parts=[{"inlineData": PNG}]))
    assert message.content == (ToolResult("1", (Text("see"), Image(Inline("image/png", "iVBORw0K"))), name="f"),)


def test_results_beside_text_are_messages_of_their_own() -> None:
    messages = said({"text": "before"}, answered("f", {}, id="1"), {"text": "after"}, {"text": "more"})
    assert [message.role for message in messages] == ["user", "tool", "user"]
    assert messages[2].content == (Text("after"), Text("more"))


def test_signatures_of_calls_texts_and_thoughts_are_kept_in_the_usual_alphabet() -> None:
    (message,) = said(
        {"text": "hm", "thought": True, "thoughtSignature": "AA_-"},
        {"text": "", "thought_signature": "AAAA"},
        {**called("f", id="1"), "thoughtSignature": "BBBB"},
        {"thought": True, "thoughtSignature": "CCCC"},
        role="model",
    )
    assert message.content == (
        Thinking("hm", Signature("gemini", "AA/+")),
        Text("", signature=Signature("gemini", "AAAA")),
        ToolCall("1", "f", "{}", signature=Signature("gemini", "BBBB")),
        Thinking("", Signature("gemini", "CCCC")),
    )


@pytest.mark.parametrize("spelling", [STAND_IN, "skip/thought/signature/validator"])
def test_our_stand_in_for_a_signature_is_none(spelling: str) -> None:
    (message,) = said({**called("f", id="1"), "thoughtSignature": spelling}, role="model")
    assert message.content == (ToolCall("1", "f", "{}"),)


def test_media_are_told_apart_by_their_type() -> None:
    (message,) = said(
        {"inlineData": {"mimeType": "image/png", "data": "__-_"}},
        {"inlineData": {"mimeType": "application/pdf", "data": "AAAA"}},
        {"inlineData": {"mimeType": "text/plain", "data": "AAAA"}},
        {"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}},
        {"fileData": {"mimeType": "video/mp4", "fileUri": "https://a.example/x"}},
        {"fileData": {"fileUri": "https://www.youtube.com/watch?v=1"}},
        {"fileData": {"fileUri": "https://a.example/x.PNG?w=1"}},
        {"file_data": {"mime_type": "audio/wav", "file_uri": "gs://mine/x"}},
    )
    assert message.content == (
        Image(Inline("image/png", "//+/")),
        Document(Inline("application/pdf", "AAAA")),
        Document(Inline("text/plain", "AAAA")),
        Audio(Inline("audio/wav", "AAAA")),
        Video(Linked("https://a.example/x", "video/mp4")),
        Video(Linked("https://www.youtube.com/watch?v=1")),
        Image(Linked("https://a.example/x.PNG?w=1")),
        Audio(Filed("gemini", "gs://mine/x", "audio/wav")),
    )


def test_what_only_gemini_knows_is_foreign() -> None:
    (message,) = said({"executableCode": {"code": "1+1"}, "thoughtSignature": "AAAA"}, role="model")
    raw = b'{"executableCode":{"code":"1+1"},"thoughtSignature":"AAAA"}'
    assert message.content == (Foreign("gemini", "executableCode", raw),)


def test_members_beside_a_part_are_named_when_they_are_lost() -> None:
    asked = read(
        contents=[
            {
                "role": "user",
                "parts": [
                    {"fileData": {"fileUri": "https://youtu.be/1"}, "videoMetadata": {"fps": 2}},
                    {"inlineData": {**PNG, "displayName": "cat"}, "mediaResolution": {"level": "LOW"}},
                ],
            }
        ],
        safetySettings=[],
        labels={"a": "b"},
        generationConfig={"responseModalities": ["AUDIO"], "speechConfig": {"x": 1}},
        toolConfig={"retrievalConfig": {"x": 1}},
    )
    lost = [use.field for use in used_by(asked) if use.feature is Feature.UNKNOWN_FIELDS]
    assert sorted(lost) == [
        "contents.parts.inlineData.displayName",
        "contents.parts.mediaResolution",
        "contents.parts.videoMetadata",
        "generationConfig.responseModalities",
        "generationConfig.speechConfig",
        "labels",
        "safetySettings",
        "toolConfig.retrievalConfig",
    ]


def test_words_alone_are_the_usual_answer() -> None:
    assert read(generationConfig={"responseModalities": ["TEXT"]}).extra == {}


def test_cached_content_is_state_that_the_provider_keeps() -> None:
    asked = read(cachedContent="cachedContents/1")
    assert asked.server_state == "cachedContent"
    assert Feature.SERVER_STATE in {use.feature for use in used_by(asked)}


def test_schemas_of_the_dialect_become_json_schemas() -> None:
    dialect = {
        "type": "OBJECT",
        "propertyOrdering": ["b", "a"],
        "properties": {
            "a": {"type": "STRING", "nullable": True, "enum": ["x", "y"], "format": "enum"},
            "b": {"type": "ARRAY", "items": {"type": "INTEGER", "format": "int32"}, "minItems": "1", "example": [1]},
            "c": {"any_of": [{"type": "NUMBER"}, {"type": 4}], "nullable": True},
            "type": {"type": "STRING", "description": "a property of that name"},
        },
        "required": ["a"],
    }
    asked = read(tools=[{"functionDeclarations": [{"name": "f", "description": "d", "parameters": dialect}]}])
    (tool,) = asked.tools
    assert (tool.name, tool.description) == ("f", "d")
    assert tool.parameters is not None
    schema = json.loads(tool.parameters)
    assert list(schema["properties"]) == ["b", "a", "c", "type"]
    assert schema == {
        "type": "object",
        "properties": {
            "a": {"type": ["string", "null"], "enum": ["x", "y", None]},
            "b": {"type": "array", "items": {"type": "integer", "format": "int32"}, "minItems": 1, "examples": [[1]]},
            "c": {"anyOf": [{"type": "number"}, {"type": "boolean"}, {"type": "null"}]},
            "type": {"type": "string", "description": "a property of that name"},
        },
        "required": ["a"],
    }


def test_a_json_schema_stays_as_it_is() -> None:
    schema = {"type": "object", "properties": {"a": {"type": ["string", "null"]}}, "additionalProperties": False}
    asked = read(tools=[{"functionDeclarations": [{"name": "f", "parametersJsonSchema": schema}, {"name": "g"}]}])
    assert asked.tools == (
        Tool("f", parameters=json.dumps(schema, separators=(",", ":")).encode()),
        Tool("g"),
    )


def test_tools_of_the_provider_are_told_apart() -> None:
    asked = read(tools=[{"googleSearch": {}, "code_execution": {}}, {"urlContext": {"x": 1}}])
    assert asked.server_tools == (
        ServerTool("gemini", "googleSearch", b'{"googleSearch":{}}'),
        ServerTool("gemini", "codeExecution", b'{"codeExecution":{}}'),
        ServerTool("gemini", "urlContext", b'{"urlContext":{"x":1}}'),
    )


@pytest.mark.parametrize(
    ("config", "choice"),
    [
        ({"mode": "AUTO"}, ToolChoice("auto")),
        ({"mode": "ANY"}, ToolChoice("required")),
        ({"mode": 2}, ToolChoice("required")),
        ({"mode": "NONE"}, ToolChoice("none")),
        ({"mode": "ANY", "allowedFunctionNames": ["f"]}, ToolChoice("required", ("f",))),
        ({"mode": "VALIDATED", "allowedFunctionNames": ["f", "g"]}, ToolChoice("auto", ("f", "g"))),
        ({"mode": "MODE_UNSPECIFIED"}, None),
        ({}, None),
    ],
)
def test_modes_of_calling_are_choices(config: dict[str, Any], choice: ToolChoice | None) -> None:
    assert read(toolConfig={"functionCallingConfig": config}).tool_choice == choice


def test_validated_without_names_is_auto_and_what_it_asks_for_beyond_is_named() -> None:
    asked = read(toolConfig={"functionCallingConfig": {"mode": "VALIDATED"}})
    assert asked.tool_choice == ToolChoice("auto")
    assert asked.extra == {"toolConfig.functionCallingConfig.mode": b'"VALIDATED"'}


def test_sampling_and_bounds_are_read() -> None:
    asked = read(
        generationConfig={
            "temperature": 1.5,
            "topP": 0.9,
            "topK": 40.0,
            "maxOutputTokens": 100,
            "stopSequences": ["a", "b"],
            "candidateCount": 2,
            "seed": -5,
            "presencePenalty": -1.5,
            "frequencyPenalty": 1,
            "responseLogprobs": True,
            "logprobs": 3,
        },
        serviceTier="FLEX",
    )
    assert (asked.temperature, asked.top_p, asked.top_k, asked.max_output_tokens) == (1.5, 0.9, 40, 100)
    assert (asked.stop, asked.n, asked.seed, asked.service_tier) == (("a", "b"), 2, -5, "flex")
    assert (asked.presence_penalty, asked.frequency_penalty) == (-1.5, 1)
    assert (asked.logprobs, asked.top_logprobs) == (True, 3)


@pytest.mark.parametrize(
    ("config", "shape"),
    [
        ({"responseMimeType": "text/plain"}, None),
        ({"responseMimeType": "application/json"}, AnswerShape()),
        ({"responseMimeType": "application/json", "responseSchema": {"type": "OBJECT"}}, {"type": "object"}),
        ({"response_mime_type": "application/json", "response_json_schema": {"type": "object"}}, {"type": "object"}),
    ],
)
def test_the_shape_of_the_answer_is_read(config: dict[str, Any], shape: Any) -> None:
    found = read(generationConfig=config).shape
    if isinstance(shape, dict):
        assert found == AnswerShape(b'{"type":"object"}')
    else:
        assert found == shape


def test_one_word_of_several_is_a_shape_that_nobody_else_has() -> None:
    config = {"responseMimeType": "text/x.enum", "responseSchema": {"type": "STRING", "enum": ["a"]}}
    asked = read(generationConfig=config)
    assert asked.shape is None
    assert sorted(asked.extra) == ["generationConfig.responseMimeType", "generationConfig.responseSchema"]


@pytest.mark.parametrize(
    ("config", "reasoning"),
    [
        ({"thinkingBudget": 512, "includeThoughts": True}, Reasoning(budget_tokens=512, shown=True)),
        ({"thinkingBudget": -1}, Reasoning(adaptive=True, shown=False)),
        ({"thinkingBudget": 0}, Reasoning(off=True, shown=False)),
        ({"thinkingLevel": "low"}, Reasoning(effort="low", shown=False)),
        ({"includeThoughts": True}, Reasoning(shown=True)),
    ],
)
def test_thinking_is_asked_for_by_budget_or_by_level(config: dict[str, Any], reasoning: Reasoning) -> None:
    assert read(generationConfig={"thinkingConfig": config}).reasoning == reasoning


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"contents": []}, '"contents" is []'),
        ({"contents": None}, '"contents" is missing or null'),
        ({"contents": "hi"}, '"contents" is "hi"'),
        ({"contents": [{"role": "system", "parts": []}]}, '"contents[0].role" is "system"'),
        ({"contents": [{"role": ["x"], "parts": []}]}, '"contents[0].role" is ["x"]'),
        ({"contents": [{"parts": [{}]}]}, '"contents[0].parts[0]" is {}'),
        ({"contents": [{"parts": ["x"]}]}, '"contents[0].parts[0]" is "x"'),
        ({"contents": [{"parts": [{"text": 1}]}]}, '"contents[0].parts[0].text" is 1'),
        ({"contents": [{"parts": [{"functionCall": {"args": {}}}]}]}, '"contents[0].parts[0].functionCall.name"'),
        ({"contents": [{"parts": [{"inlineData": {"data": ""}}]}]}, '"contents[0].parts[0].inlineData.mimeType"'),
        ({"systemInstruction": 1}, '"systemInstruction" is 1'),
        ({"generationConfig": []}, '"generationConfig" is []'),
        ({"generationConfig": {"temperature": "hot"}}, '"generationConfig.temperature" is "hot"'),
        ({"generationConfig": {"stopSequences": [1]}}, '"generationConfig.stopSequences[0]" is 1'),
        ({"generationConfig": {"thinkingConfig": {"thinkingLevel": "deep"}}}, "thinkingLevel"),
        ({"toolConfig": {"functionCallingConfig": {"mode": "SOME"}}}, '"SOME"'),
        ({"tools": [{"functionDeclarations": [{}]}]}, '"tools[0].functionDeclarations[0].name" is missing or null'),
        ({"tools": 1}, '"tools" is 1'),
    ],
)
def test_what_is_wrong_is_named_with_its_path_and_value(members: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(**members)
    assert words in str(caught.value)
    assert caught.value.hint


def test_a_schema_that_is_absurdly_deep_is_refused() -> None:
    schema: dict[str, Any] = {"type": "STRING"}
    for _ in range(200):
        schema = {"type": "ARRAY", "items": schema}
    with pytest.raises(InvalidRequest, match="nested"):
        read(tools=[{"functionDeclarations": [{"name": "f", "parameters": schema}]}])


def test_what_is_to_be_counted_is_a_request_alone_or_wrapped() -> None:
    alone = TRANSLATOR.read_request(json.dumps({"contents": [HELLO]}).encode(), model="m", streamed=False)
    wrapped = {"generate_content_request": {"model": "models/m", "contents": [HELLO]}}
    assert TRANSLATOR.read_request(json.dumps(wrapped).encode(), model="m", streamed=False) == alone
    assert json.loads(write_count_request(alone)) == {
        "generateContentRequest": {"model": "models/m", "contents": [HELLO]}
    }


def test_counts_are_read_leniently_and_written_plainly() -> None:
    assert read_count_answer(b'{"totalTokens": 31, "promptTokensDetails": []}') == 31
    for odd in (b"", b"[]", b'{"totalTokens": "x"}', b'{"totalTokens": -1}', b"{}"):
        assert read_count_answer(odd) is None
    assert write_count_answer(31) == b'{"totalTokens":31}'
