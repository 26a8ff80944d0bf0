"""Google's own SDK reads what we write for its clients, and we read what it sends back."""

import itertools
import json

import httpx
from google import genai
from google.genai import types

from farthing.types.chat import (
    ChatAnswer,
    ChatRequest,
    Choice,
    Message,
    Signature,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from farthing.types.usage import Usage
from farthing.wire.translators.assembly import events_of
from farthing.wire.translators.gemini import TRANSLATOR
from farthing.wire.translators.protocol import Asked, encode_all

USAGE = Usage(input_tokens=20, output_tokens=9, reasoning_output_tokens=4)
CALL = ToolCall("toolu_1", "weather", '{"city":"Zürich"}')
CALLED = Choice((Thinking("hm", Signature("anthropic_messages", "BBBB")), Text("Let me see."), CALL), "tool_calls")
TOOL = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(
            name="weather",
            parameters=types.Schema(type=types.Type.OBJECT, properties={"city": types.Schema(type=types.Type.STRING)}),
        )
    ]
)


class Answering:
    """Plays a gateway for the SDK: each request is read and answered with the next choice."""

    def __init__(self, *choices: Choice) -> None:
        self.requests: list[ChatRequest] = []
        self._choices = iter(choices)
        self._numbers = itertools.count(1)

        transport = httpx.MockTransport(self._answer)
        self.client = genai.Client(api_key="k", http_options=types.HttpOptions(client_args={"transport": transport}))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        streamed = "streamGenerateContent" in request.url.path
        self.requests.append(TRANSLATOR.read_request(request.content, model="m", streamed=streamed))
        asked = Asked(
            request=self.requests[-1],
            model="m",
            answer_id="abc",
            created_s=1,
            input_tokens_estimate=7,
            new_id=lambda prefix: f"{prefix}{next(self._numbers)}",
        )
        answer = ChatAnswer(id=None, model="served", choices=(next(self._choices),))
        if streamed:
            body = encode_all(TRANSLATOR.stream_encoder(asked), events_of(answer, USAGE))
            return httpx.Response(200, content=body, headers={"content-type": "text/event-stream"})
        return httpx.Response(200, content=TRANSLATOR.write_answer(answer, USAGE, asked))


def config() -> types.GenerateContentConfig:
    return types.GenerateContentConfig(
        tools=[TOOL],
        system_instruction="Be terse.",
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )


def result_of(call: types.FunctionCall) -> types.Part:
    assert call.name is not None
    part = types.Part.from_function_response(name=call.name, response={"result": "20 degrees"})
    assert part.function_response is not None
    part.function_response.id = call.id
    return part


def check_second_request(request: ChatRequest) -> None:
    assert request.messages[0] == Message("system", (Text("Be terse."),))
    parts = [part for message in request.messages for part in message.content]
    calls = [part for part in parts if isinstance(part, ToolCall)]
    assert [(call.id, call.name, json.loads(call.arguments), call.signature) for call in calls] == [
        ("toolu_1", "weather", {"city": "Zürich"}, None)
    ]
    results = [part for part in parts if isinstance(part, ToolResult)]
    assert results == [ToolResult("toolu_1", (Text("20 degrees"),), "weather")]
    (tool,) = request.tools
    assert json.loads(tool.parameters or b"") == {"type": "object", "properties": {"city": {"type": "string"}}}


def test_a_chat_goes_on_with_a_tools_result_as_one_piece() -> None:
    answering = Answering(CALLED, Choice((Text("20 degrees."),), "stop"))
    chat = answering.client.chats.create(model="m", config=config())
    first = chat.send_message("How warm is it?")
    assert first.text == "Let me see."
    assert first.function_calls is not None
    (call,) = first.function_calls
    assert (call.id, call.args) == ("toolu_1", {"city": "Zürich"})
    second = chat.send_message([result_of(call)])
    assert second.text == "20 degrees."
    assert second.usage_metadata is not None
    assert second.usage_metadata.total_token_count == 29
    assert len(chat.get_history(curated=True)) == 4
    check_second_request(answering.requests[1])


def test_a_chat_goes_on_with_a_tools_result_as_a_stream() -> None:
    answering = Answering(CALLED, Choice((Text("20 degrees."),), "length"))
    chat = answering.client.chats.create(model="m", config=config())
    chunks = list(chat.send_message_stream("How warm is it?"))
    (call,) = [call for chunk in chunks for call in chunk.function_calls or ()]
    told = list(chat.send_message_stream([result_of(call)]))
    assert "".join(chunk.text or "" for chunk in told) == "20 degrees."
    assert told[-1].candidates is not None
    (candidate,) = told[-1].candidates
    assert candidate.finish_reason is types.FinishReason.MAX_TOKENS
    assert told[-1].usage_metadata is not None
    assert told[-1].usage_metadata.thoughts_token_count == 4
    assert chat.get_history(curated=True)[0].role == "user"
    check_second_request(answering.requests[1])


def test_an_answer_of_a_shape_is_parsed() -> None:
    answering = Answering(Choice((Text('{"city":"Bern"}'),), "stop"))
    found = answering.client.models.generate_content(
        model="m",
        contents="Where?",
        config=types.GenerateContentConfig(
            response_mime_type="application/json",
            response_schema=types.Schema(
                type=types.Type.OBJECT, properties={"city": types.Schema(type=types.Type.STRING, nullable=True)}
            ),
            thinking_config=types.ThinkingConfig(thinking_level=types.ThinkingLevel.LOW, include_thoughts=True),
        ),
    )
    assert found.parsed == {"city": "Bern"}
    (request,) = answering.requests
    assert request.shape is not None
    assert json.loads(request.shape.schema or b"")["properties"] == {"city": {"type": ["string", "null"]}}
    assert request.reasoning is not None
    assert (request.reasoning.effort, request.reasoning.shown) == ("low", True)
