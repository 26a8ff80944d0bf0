"""Every recorded exchange with Gemini through its translator, and what a person reads in sixty of them.

A row is the end of a recording's name, the roles of the conversation (system, user, assistant, tool), the parts of the
answer (`*` is signed), why it ended, and how its text begins.
"""

import itertools
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from google.genai import types

from farthing.errors import InvalidRequest
from farthing.types.chat import (
    ChatAnswer,
    ChatRequest,
    Citation,
    Foreign,
    Part,
    Reasoning,
    ServerTool,
    Text,
    Thinking,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from farthing.types.usage import Usage
from farthing.wire.translators.assembly import answer_of, events_of
from farthing.wire.translators.gemini import TRANSLATOR
from farthing.wire.translators.gemini.counting import read_count_answer, write_count_request
from farthing.wire.translators.protocol import Asked, NewId, encode_all

RECORDINGS = os.environ.get("FARTHING_RECORDINGS", "")
pytestmark = [
    pytest.mark.recordings,
    pytest.mark.skipif(not RECORDINGS, reason="no recordings: set FARTHING_RECORDINGS to their folder"),
]

LEAST_REQUESTS = 220
LEAST_ANSWERS = 205

ROWS: tuple[tuple[str, str, str, str, str], ...] = (
    (
        "782f4",
        "su",
        "executableCode codeExecutionResult text",
        "stop",
        "The sum of the first 50 prime numbers is 5117.",
    ),
    ("edf4d", "su", "call", "tool_calls", ""),
    ("15d9d", "suat", "call", "tool_calls", ""),
    ("e6f3f", "suat", "text", "stop", "The weather in San Francisco is foggy"),
    ("93069", "su", "text", "stop", "The image displays a simple, two-tone"),
    ("8d1c6", "su", "text", "stop", "The image shows a simple, blurry checkerboard"),
    ("f5654", "u", "text", "stop", "this is a test"),
    ("8476f", "su", "text", "stop", "A cute black Labrador puppy"),
    ("14955", "su", "call call", "tool_calls", ""),
    ("f219e", "u", "text executableCode codeExecutionResult text", "stop", "To find the sum of the first 50 prime"),
    ("361fa", "su", "text", "length", "Okay, settle in"),
    ("5f728", "su", "text", "stop", '{\n  "capital": "Paris"\n}'),
    ("53e54", "u", "text", "stop", "The capital of France is Paris."),
    ("63ef4", "u", "text", "stop", "Unit 734"),
    ("7f6ee", "u", "call", "tool_calls", ""),
    ("c998f", "uat", "text", "stop", "It is 22 degrees celsius and sunny in Paris"),
    ("adb66", "su", "call* call", "tool_calls", ""),
    ("04fd9", "suat", "text*", "stop", "The sum of 2 and 3 is 5, and their product is 6."),
    ("68caa", "su", "text*", "stop", '"Hi" in Portuguese is **"Oi"**'),
    ("321df", "su", "call*", "tool_calls", ""),
    ("12e88", "suat", "text*", "stop", "The current weather in Florence, Italy is 40°C."),
    ("4ce71", "su", "call*", "tool_calls", ""),
    ("41e0c", "suat", "text*", "stop", "The current weather in Florence, Italy is 40°C"),
    ("fd926", "su", "call* call", "tool_calls", ""),
    ("c4955", "suat", "text* text", "stop", "The sum of 2 and 3 is 5, and the product of 2 and "),
    ("0bd63", "su", "text", "stop", "Of course!"),
    ("2e1ef", "su", "call*", "tool_calls", ""),
    ("1a7fe", "suat", "text", "stop", "The weather in Florence, Italy is 40 C."),
    ("8dc22", "suat", "text", "stop", "The sum of 2 and 3 is 5."),
    ("cb6a5", "su", "text", "stop", "Olá!"),
    ("6e7da", "suat", "text", "stop", "The weather in Florence, Italy is 40 C."),
    ("8f8dd", "u", "text*", "stop", '{"age":30,"city":"Paris","name":"Alice"}'),
    ("82f02", "u", "text", "stop", '{\n  "age": 30,'),
    ("9a23f", "su", "call*", "tool_calls", ""),
    ("e8c52", "suat", "text*", "stop", "The current weather in Florence"),
    ("4caa2", "su", "think call*", "tool_calls", ""),
    ("11a9e", "suat", "text", "stop", "It's 40 C in Florence, Italy."),
    ("b7c1a", "su", "think call*", "tool_calls", ""),
    ("9b573", "u", "think text*", "length", ""),
    ("c7fe1", "u", "think text*", "stop", "Mark Carney."),
    ("11198", "u", "text*", "stop", "orange"),
    ("66227", "u", "think text*", "stop", "Banana"),
    ("42e0a", "u", "think text*", "stop", "orange"),
    ("1e071", "u", "text*", "stop", "The capital of Quackiland is **Quack**."),
    ("21b66", "u", "text*", "length", "The"),
    ("fec7c", "uat", "text*", "stop", "363.89"),
    ("23286", "u", "text*", "stop", "On the website **https://perdu.com**"),
    ("721e6", "u", "think", "length", ""),
    ("9113e", "uat", "text*", "stop", "363.89"),
    ("22434", "u", "text*", "stop", "Canada "),
    ("fb079", "u", "text*", "stop", "Hello."),
    ("3e861", "u", "text", "stop", "This is a test."),
    ("15703", "u", "", "length", ""),
    ("bdf62", "u", "call*", "tool_calls", ""),
    ("0e603", "u", "text", "stop", '{"answer":"Hello!'),
    ("ab294", "u", "call*", "tool_calls", ""),
    ("cdce6", "uat", "toolCall toolResponse call*", "tool_calls", ""),
    ("17403", "uat", "toolCall toolResponse text*", "stop", '{\n  "city": "Mexico City"'),
    (
        "ec2e4",
        "su",
        "executableCode codeExecutionResult executableCode codeExecutionResult text*",
        "stop",
        "Today is **Thursday",
    ),
    ("f1710", "su", "executableCode codeExecutionResult text*", "stop", "The result of $65465"),
    ("99a8e", "u", "", "content_filter", ""),
    ("8909c", "u", "call*", "tool_calls", ""),
    ("ab849", "su", "", "length", ""),
    ("ffa9e", "u", "text", "stop", "Hello"),
)


@pytest.fixture(scope="module")
def recorded() -> list[dict[str, Any]]:
    folder = Path(RECORDINGS) / "exchanges"
    files = sorted([*folder.glob("gemini/*.json"), *folder.glob("vertex/*.json")])
    found = [json.loads(file.read_text()) for file in files]
    return [one for one in found if isinstance(one["request"]["body"], dict)]


def numbered() -> NewId:
    count = itertools.count(1)
    return lambda prefix: f"{prefix}{next(count)}"


def asks(exchange: dict[str, Any]) -> bool:
    return "enerateContent" in exchange["request"]["path"]


def request_of(exchange: dict[str, Any]) -> ChatRequest:
    body = json.dumps(exchange["request"]["body"]).encode()
    return TRANSLATOR.read_request(body, model=exchange["model"], streamed=exchange["stream"])


def body_of(exchange: dict[str, Any]) -> bytes:
    response = exchange["response"]
    if response["body_kind"] == "json":
        return (response.get("body_text") or json.dumps(response["body"])).encode()
    return str(response["body"]).encode()


def answer_to(exchange: dict[str, Any]) -> ChatAnswer:
    decoder = TRANSLATOR.stream_decoder(numbered())
    events = decoder.feed(body_of(exchange))
    return answer_of([*events, *decoder.rest()])


def named(recorded: list[dict[str, Any]], ending: str) -> dict[str, Any]:
    (found,) = [exchange for exchange in recorded if exchange["slug"].endswith(f"-{ending}")]
    return found


def kind(part: Part) -> str:
    match part:
        case Text():
            return "text*" if part.signature is not None else "text"
        case Thinking():
            return "think*" if part.signature is not None else "think"
        case ToolCall():
            return "call*" if part.signature is not None else "call"
        case Foreign():
            return part.kind
        case _:
            return type(part).__name__


@pytest.mark.parametrize(("ending", "roles", "parts", "reason", "text"), ROWS, ids=[row[0] for row in ROWS])
def test_a_recording_says_what_a_person_reads_in_it(
    recorded: list[dict[str, Any]], ending: str, roles: str, parts: str, reason: str, text: str
) -> None:
    exchange = named(recorded, ending)
    assert "".join(message.role[0] for message in request_of(exchange).messages) == roles
    (choice,) = answer_to(exchange).choices
    assert " ".join(kind(part) for part in choice.content) == parts
    assert choice.finish_reason == reason
    said = "".join(part.text for part in choice.content if isinstance(part, Text))
    assert said.startswith(text)
    assert bool(said) is bool(text)


def test_every_recorded_request_is_read_and_written_as_google_types_it(recorded: list[dict[str, Any]]) -> None:
    read: Counter[str] = Counter()
    for exchange in recorded:
        if not asks(exchange):
            continue
        try:
            request = request_of(exchange)
        except InvalidRequest:
            assert exchange["response"]["status"] == 400, exchange["slug"]  # Google refused it as well
            read["refused"] += 1
            continue
        body = TRANSLATOR.write_request(request, numbered())
        once = TRANSLATOR.read_request(body, model=request.model, streamed=request.streamed)
        twice = TRANSLATOR.write_request(once, numbered())
        assert twice == body, exchange["slug"]
        validate_request(json.loads(body))
        read["read"] += 1
    assert read["refused"] == 1
    assert read["read"] >= LEAST_REQUESTS


def validate_request(body: dict[str, Any]) -> None:
    for content in body["contents"]:
        types.Content.model_validate(content)
    for tool in body.get("tools", ()):
        types.Tool.model_validate(tool)
    types.GenerationConfig.model_validate(body.get("generationConfig", {}))
    types.ToolConfig.model_validate(body.get("toolConfig", {}))


def test_every_recorded_answer_is_told_alike_whole_as_events_and_as_an_array(recorded: list[dict[str, Any]]) -> None:
    usage, told = Usage(input_tokens=3, output_tokens=4), 0
    for exchange in recorded:
        if not asks(exchange) or exchange["response"]["status"] != 200:
            continue
        answer = answer_to(exchange)
        assert any(choice.finish_reason for choice in answer.choices), exchange["slug"]
        if exchange["response"]["body_kind"] == "json":
            assert TRANSLATOR.read_answer(body_of(exchange), numbered()) == answer, exchange["slug"]
        asked = asked_for(request_of(exchange))
        whole = TRANSLATOR.write_answer(answer, usage, asked)
        types.GenerateContentResponse.model_validate_json(whole)
        back = TRANSLATOR.read_answer(whole, numbered())
        assert without_sources(back) == without_sources(answer), exchange["slug"]
        for array in (False, True):
            encoder = TRANSLATOR.stream_encoder(msgspec.structs.replace(asked, array=array))
            decoder = TRANSLATOR.stream_decoder(numbered())
            events = decoder.feed(encode_all(encoder, events_of(answer, usage)))
            assert answer_of([*events, *decoder.rest()]) == back, exchange["slug"]
        told += 1
    assert told >= LEAST_ANSWERS


def asked_for(request: ChatRequest) -> Asked:
    return Asked(
        request=request, model=request.model, answer_id="abc", created_s=1, input_tokens_estimate=7, new_id=numbered()
    )


def without_sources(answer: ChatAnswer) -> ChatAnswer:
    """Return an answer without its id, which is ours, and without sources: only those with an address are told."""
    choices = [
        msgspec.structs.replace(
            choice,
            content=tuple(
                msgspec.structs.replace(part, citations=()) if isinstance(part, Text) else part
                for part in choice.content
            ),
        )
        for choice in answer.choices
    ]
    return msgspec.structs.replace(answer, id=None, choices=tuple(choices))


def test_places_of_sources_are_those_of_the_words_that_google_quotes(recorded: list[dict[str, Any]]) -> None:
    placed = 0
    for exchange in recorded:
        for citation, text in cited(answer_to(exchange)) if asks(exchange) else ():
            segment = json.loads(citation.raw).get("segment")
            if segment and "text" in segment:
                assert text[citation.start : citation.end] == segment["text"], exchange["slug"]
                placed += 1
    assert placed >= 30


def cited(answer: ChatAnswer) -> list[tuple[Citation, str]]:
    texts = [part for choice in answer.choices for part in choice.content if isinstance(part, Text)]
    return [(citation, part.text) for part in texts for citation in part.citations]


def test_logprobs_are_told(recorded: list[dict[str, Any]]) -> None:
    exchange = named(recorded, "ffa9e")
    request = request_of(exchange)
    assert (request.logprobs, request.top_logprobs) == (True, 2)
    (choice,) = answer_to(exchange).choices
    (token,) = json.loads(choice.logprobs or b"")
    assert (token["token"], token["bytes"], token["logprob"]) == ("Hello", [72, 101, 108, 108, 111], -1.0489701e-05)
    assert [other["token"] for other in token["top_logprobs"]] == ["Hello", '"']


def test_requests_ask_for_what_a_person_reads_in_them(recorded: list[dict[str, Any]]) -> None:
    assert request_of(named(recorded, "9a23f")).reasoning == Reasoning(effort="high", shown=True)
    assert request_of(named(recorded, "b7c1a")).reasoning == Reasoning(budget_tokens=128, shown=True)
    assert request_of(named(recorded, "17849")).reasoning == Reasoning(off=True, shown=False)
    assert request_of(named(recorded, "fec7c")).tool_choice == ToolChoice("none")
    assert request_of(named(recorded, "ab294")).tool_choice == ToolChoice(
        "required", ("get_user_country", "final_result")
    )
    assert request_of(named(recorded, "8ea51")).server_state == "cachedContent"
    assert request_of(named(recorded, "63ef4")).stop == ("END", "\n\n")
    extra = request_of(named(recorded, "15703"))
    assert (extra.temperature, extra.top_p, extra.top_k, extra.seed) == (0.2, 0.95, 2, 12345)
    assert (extra.max_output_tokens, extra.presence_penalty, extra.frequency_penalty) == (5, -1.5, 1.0)
    assert request_of(named(recorded, "18845")).server_tools == (
        ServerTool("gemini", "googleSearch", b'{"googleSearch":{}}'),
    )
    validated = request_of(named(recorded, "d4746"))
    assert (validated.tool_choice, list(validated.extra)) == (
        ToolChoice("auto"),
        ["toolConfig.functionCallingConfig.mode"],
    )


def test_results_of_parallel_calls_answer_them_in_order(recorded: list[dict[str, Any]]) -> None:
    _, _, said, given = request_of(named(recorded, "04fd9")).messages
    calls = [part.id for part in said.content if isinstance(part, ToolCall)]
    assert [part.call_id for part in given.content if isinstance(part, ToolResult)] == calls
    assert len(set(calls)) == 2


def test_what_tools_gave_is_read_as_text_and_errors_are_told(recorded: list[dict[str, Any]]) -> None:
    results = [
        part
        for message in request_of(named(recorded, "6ee40")).messages
        for part in message.content
        if isinstance(part, ToolResult)
    ]
    assert results[0].is_error
    (text,) = results[0].content
    assert isinstance(text, Text)
    assert text.text.startswith("Unknown tool name: 'list_files'.")


def test_every_recorded_count_is_asked_for_and_read(recorded: list[dict[str, Any]]) -> None:
    counted = []
    for exchange in recorded:
        if not exchange["request"]["path"].endswith(":countTokens"):
            continue
        body = json.dumps(exchange["request"]["body"]).encode()
        request = TRANSLATOR.read_request(body, model=exchange["model"], streamed=False)
        again = TRANSLATOR.read_request(write_count_request(request), model=exchange["model"], streamed=False)
        assert again.messages == request.messages
        if exchange["response"]["status"] == 200:
            counted.append(read_count_answer(body_of(exchange)))
    assert sorted(count or 0 for count in counted) == [7, 8, 12, 12, 36, 61]
