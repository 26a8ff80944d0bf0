import itertools
import json
from typing import Any

import msgspec
import pytest
from google.genai import types

from farthing.types.chat import (
    Audio,
    ChatAnswer,
    ChatRequest,
    Choice,
    Citation,
    Closed,
    Finished,
    FinishReason,
    Foreign,
    Image,
    Inline,
    Message,
    Opened,
    Part,
    PartBegan,
    PartEnded,
    PartGrew,
    Refusal,
    Signature,
    Text,
    Thinking,
    ToolCall,
)
from farthing.types.usage import Usage
from farthing.wire.translators.assembly import answer_of, events_of
from farthing.wire.translators.gemini import TRANSLATOR
from farthing.wire.translators.gemini.names import STAND_IN
from farthing.wire.translators.protocol import Asked, NewId, encode_all

OURS = Signature("gemini", "AAAA")
THEIRS = Signature("anthropic_messages", "BBBB")
USAGE = Usage(input_tokens=20, output_tokens=9, cache_read_input_tokens=8, reasoning_output_tokens=4)


def numbered() -> NewId:
    count = itertools.count(1)
    return lambda prefix: f"{prefix}{next(count)}"


def asked_for(*, array: bool = False) -> Asked:
    request = ChatRequest(origin="gemini", model="asked", messages=(Message("user", (Text("hi"),)),))
    return Asked(
        request=request,
        model="asked",
        answer_id="abc",
        created_s=1,
        input_tokens_estimate=7,
        new_id=numbered(),
        array=array,
    )


def chunk(*parts: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"parts": list(parts), "role": "model"}, "index": 0, **members}]}


def read(*parts: dict[str, Any], **members: Any) -> Choice:
    answer = TRANSLATOR.read_answer(json.dumps(chunk(*parts, **members)).encode(), numbered())
    (choice,) = answer.choices
    return choice


def event(data: dict[str, Any]) -> bytes:
    return b"data: %b\r\n\r\n" % json.dumps(data).encode()


def streamed(*chunks: dict[str, Any]) -> ChatAnswer:
    decoder = TRANSLATOR.stream_decoder(numbered())
    events = [told for data in chunks for told in decoder.feed(event(data))]
    return answer_of([*events, *decoder.rest()])


def written(*parts: Part, reason: FinishReason = "stop", usage: Usage | None = USAGE) -> Any:
    answer = ChatAnswer(id="x", model="served", choices=(Choice(parts, reason),))
    body = TRANSLATOR.write_answer(answer, usage, asked_for())
    types.GenerateContentResponse.model_validate_json(body)
    return json.loads(body)


def chunks_of(stream: bytes) -> list[Any]:
    chunks = [json.loads(part.removeprefix(b"data: ")) for part in stream.split(b"\r\n\r\n") if part]
    for found in chunks:
        types.GenerateContentResponse.model_validate(found)
    return chunks


# ---- whole answers


def test_a_call_ends_in_tool_calls_although_gemini_says_stop() -> None:
    choice = read(
        {"functionCall": {"name": "f", "args": {"a": 1}}}, {"functionCall": {"name": "g"}}, finishReason="STOP"
    )
    assert choice.finish_reason == "tool_calls"
    assert choice.content == (ToolCall("call_1", "f", '{"a": 1}'), ToolCall("call_2", "g", "{}"))


def test_an_answer_without_parts_is_one_without_content() -> None:
    body = b'{"candidates":[{"content":{"role":"model"},"finishReason":"MAX_TOKENS","index":0}]}'
    assert TRANSLATOR.read_answer(body, numbered()).choices == (Choice((), "length"),)


def test_a_prompt_that_is_blocked_has_an_empty_answer_of_the_filter() -> None:
    body = b'{"promptFeedback":{"blockReason":"SAFETY"},"responseId":"r","modelVersion":"m"}'
    assert TRANSLATOR.read_answer(body, numbered()) == ChatAnswer(
        id="r", model="m", choices=(Choice((), "content_filter"),)
    )


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("STOP", "stop"),
        (1, "stop"),
        ("MAX_TOKENS", "length"),
        (2, "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("SPII", "content_filter"),
        ("IMAGE_SAFETY", "content_filter"),
        ("MALFORMED_FUNCTION_CALL", "error"),
        ("UNEXPECTED_TOOL_CALL", "error"),
        ("SOMETHING_NEW", "error"),
        ("FINISH_REASON_UNSPECIFIED", "stop"),
        (None, "stop"),
    ],
)
def test_words_of_the_end_are_reasons(word: Any, reason: str) -> None:
    assert read({"text": "so"}, finishReason=word).finish_reason == reason


def test_a_call_of_a_tool_that_nobody_declared_is_the_clients_to_answer() -> None:
    choice = read({"functionCall": {"name": "made_up"}}, finishReason="UNEXPECTED_TOOL_CALL")
    assert choice.finish_reason == "tool_calls"


def test_thoughts_signatures_media_and_what_is_foreign_are_told_apart() -> None:
    choice = read(
        {"text": "hm ", "thought": True},
        {"text": "so", "thought": True},
        {"text": "Here: "},
        {"inlineData": {"mimeType": "image/png", "data": "__8="}},
        {"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}},
        {"executableCode": {"code": "1"}, "thoughtSignature": "AA_-"},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK"}},
        {"text": "Done.", "thoughtSignature": "AAAA"},
    )
    assert choice.content == (
        Thinking("hm so"),
        Text("Here: "),
        Image(Inline("image/png", "//8=")),
        Audio(Inline("audio/wav", "AAAA")),
        Foreign("gemini", "executableCode", b'{"executableCode":{"code": "1"},"thoughtSignature":"AA/+"}'),
        Foreign("gemini", "codeExecutionResult", b'{"codeExecutionResult":{"outcome": "OUTCOME_OK"}}'),
        Text("Done.", signature=OURS),
    )


def test_places_of_citations_are_counted_in_bytes_and_told_in_characters() -> None:
    text = "Zürich ist schön. Ja."
    choice = read(
        {"text": text},
        groundingMetadata={
            "groundingChunks": [
                {"web": {"uri": "https://a.example", "title": "A"}},
                {"web": {"uri": "https://b.example"}},
            ],
            "groundingSupports": [
                {"segment": {"endIndex": 19, "text": "Zürich ist schön."}, "groundingChunkIndices": [0, 9]}
            ],
        },
        citationMetadata={"citationSources": [{"startIndex": 20, "endIndex": 23, "uri": "https://c.example"}]},
    )
    (part,) = choice.content
    assert isinstance(part, Text)
    found = [(cited.url, cited.title, cited.start, cited.end) for cited in part.citations]
    assert found == [
        ("https://a.example", "A", 0, 17),
        ("https://b.example", None, None, None),
        ("https://c.example", None, 18, 21),
    ]
    assert text[:17] == "Zürich ist schön."


def test_a_place_that_is_not_where_it_is_said_to_be_is_none() -> None:
    for segment in ({"endIndex": 3, "text": "xyz"}, {"endIndex": 99}, {"startIndex": 2, "endIndex": 1}, "x", None):
        support = {"segment": segment, "groundingChunkIndices": [0]}
        metadata = {"groundingChunks": [{"web": {"uri": "u"}}], "groundingSupports": [support]}
        (part,) = read({"text": "abc"}, groundingMetadata=metadata).content
        assert isinstance(part, Text)
        assert [(cited.url, cited.start) for cited in part.citations] == [("u", None)]


def test_log_probabilities_are_told_in_openais_shape() -> None:
    result = {
        "chosenCandidates": [{"token": "é", "tokenId": 1, "logProbability": -0.5}],
        "topCandidates": [{"candidates": [{"token": "é", "logProbability": -0.5}, {"token": "e"}]}],
    }
    logprobs = read({"text": "é"}, logprobsResult=result).logprobs
    assert logprobs is not None
    assert json.loads(logprobs) == [
        {
            "token": "é",
            "bytes": [195, 169],
            "logprob": -0.5,
            "top_logprobs": [
                {"token": "é", "bytes": [195, 169], "logprob": -0.5},
                {"token": "e", "bytes": [101], "logprob": 0.0},
            ],
        }
    ]


def test_several_candidates_are_several_choices() -> None:
    body = {"candidates": [chunk({"text": text})["candidates"][0] | {"index": at} for at, text in enumerate("ab")]}
    answer = TRANSLATOR.read_answer(json.dumps(body).encode(), numbered())
    assert [choice.content for choice in answer.choices] == [(Text("a"),), (Text("b"),)]


def test_a_whole_array_is_one_answer() -> None:
    body = json.dumps([chunk({"text": "a"}), chunk({"text": "b"}, finishReason="STOP")]).encode()
    assert TRANSLATOR.read_answer(body, numbered()).choices == (Choice((Text("ab"),), "stop"),)


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b'"x"', b'{"candidates":7}', b'{"candidates":[7,{"content":[]}]}'])
def test_garbage_is_an_answer_without_content(body: bytes) -> None:
    assert all(not choice.content for choice in TRANSLATOR.read_answer(body, numbered()).choices)


def test_what_can_be_read_beside_garbage_is_kept() -> None:
    choice = read({"text": 7}, 8, {"text": "ok"}, {"functionCall": {"name": "f", "args": [1]}}, finishReason=[])  # type: ignore[arg-type]
    assert choice.content == (Text("ok"), ToolCall("call_1", "f", "{}"))


# ---- writing


def test_an_answer_is_written_with_its_usage_and_names() -> None:
    body = written(Thinking("hm", THEIRS), Text("Hello."))
    assert body == {
        "candidates": [
            {
                "content": {"parts": [{"text": "hm", "thought": True}, {"text": "Hello."}], "role": "model"},
                "finishReason": "STOP",
                "index": 0,
            }
        ],
        "usageMetadata": {
            "promptTokenCount": 20,
            "cachedContentTokenCount": 8,
            "candidatesTokenCount": 5,
            "thoughtsTokenCount": 4,
            "totalTokenCount": 29,
        },
        "modelVersion": "served",
        "responseId": "abc",
    }


def test_unknown_usage_is_not_zero() -> None:
    assert "usageMetadata" not in written(Text("x"), usage=None)
    assert "usageMetadata" not in written(Text("x"), usage=Usage())
    assert "promptTokenCount" not in written(Text("x"), usage=Usage(output_tokens=3))["usageMetadata"]


def test_sound_and_pictures_are_counted_by_modality() -> None:
    usage = Usage(input_tokens=30, output_tokens=12, input_audio_tokens=10, output_image_tokens=12)
    counted = written(Text("x"), usage=usage)["usageMetadata"]
    assert counted["promptTokensDetails"] == [
        {"modality": "TEXT", "tokenCount": 20},
        {"modality": "AUDIO", "tokenCount": 10},
    ]
    assert counted["candidatesTokensDetails"] == [{"modality": "IMAGE", "tokenCount": 12}]


def test_the_first_call_of_another_provider_gets_the_stand_in_so_that_gemini_takes_it_back() -> None:
    body = written(ToolCall("1", "f", '{"a":\n1}'), ToolCall("2", "g", ""), reason="tool_calls")
    first, second = body["candidates"][0]["content"]["parts"]
    assert first == {"functionCall": {"id": "1", "name": "f", "args": {"a": 1}}, "thoughtSignature": STAND_IN}
    assert second == {"functionCall": {"id": "2", "name": "g", "args": {}}}
    assert types.Part.model_validate(first).thought_signature


def test_what_is_refused_is_said_and_what_is_foreign_elsewhere_is_not() -> None:
    body = written(Refusal("No."), Foreign("anthropic_messages", "x", b"{}"), reason="refusal")
    (candidate,) = body["candidates"]
    assert (candidate["content"]["parts"], candidate["finishReason"]) == ([{"text": "No."}], "SAFETY")


def test_citations_of_others_are_grounding() -> None:
    cited = (
        Citation("anthropic_messages", b"{}", "https://a.example", "A", 1, 3),
        Citation("anthropic_messages", b"{}", "https://a.example", "A"),
        Citation("anthropic_messages", b"{}"),
    )
    (candidate,) = written(Text("üb"), Text("äöü", citations=cited))["candidates"]
    assert candidate["groundingMetadata"] == {
        "groundingChunks": [{"web": {"uri": "https://a.example", "title": "A"}}],
        "groundingSupports": [
            {"segment": {"startIndex": 5, "endIndex": 9, "text": "öü"}, "groundingChunkIndices": [0]}
        ],
    }


# ---- streams


def test_a_stream_is_told_as_it_comes_and_finishes_at_its_end() -> None:
    decoder = TRANSLATOR.stream_decoder(numbered())
    first = decoder.feed(event(chunk({"text": "Hel"}, finishReason="STOP") | {"responseId": "r", "modelVersion": "m"}))
    assert first == [Opened("r", "m"), PartBegan(0, Text("")), PartGrew(0, "Hel")]
    assert decoder.feed(event(chunk({"text": "lo"}, finishReason="STOP"))) == [PartGrew(0, "lo")]
    assert decoder.rest() == [PartEnded(0, Text("Hello")), Finished("stop")]


def test_a_calls_part_is_told_at_once() -> None:
    decoder = TRANSLATOR.stream_decoder(numbered())
    told = decoder.feed(event(chunk({"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "AAAA"})))
    call = ToolCall("call_1", "f", "{}")
    assert told == [
        Opened(),
        PartBegan(0, ToolCall("call_1", "f", "")),
        PartGrew(0, "{}"),
        PartEnded(0, msgspec.structs.replace(call, signature=OURS)),
    ]


def test_the_signature_on_an_empty_text_seals_the_text_before_it() -> None:
    answer = streamed(chunk({"text": "Hi"}), chunk({"text": " you"}), chunk({"text": "", "thoughtSignature": "AAAA"}))
    assert answer.choices[0].content == (Text("Hi you", signature=OURS),)


def test_the_signature_on_an_empty_text_after_something_else_is_a_part_of_its_own() -> None:
    answer = streamed(
        chunk({"text": "hm", "thought": True}),
        chunk({"text": "", "thoughtSignature": "AAAA"}),
        chunk({"text": "later"}),
    )
    assert answer.choices[0].content == (Thinking("hm"), Text("", signature=OURS), Text("later"))


def test_sources_come_with_the_last_piece_and_belong_to_all_of_the_text() -> None:
    metadata = {
        "groundingChunks": [{"web": {"uri": "u"}}],
        "groundingSupports": [{"segment": {"startIndex": 1, "endIndex": 4}, "groundingChunkIndices": [0]}],
    }
    answer = streamed(
        chunk({"text": "ab"}),
        chunk({"text": "cd", "thoughtSignature": "AAAA"}, groundingMetadata=metadata),
        chunk({"functionCall": {"name": "f"}}),
    )
    text = answer.choices[0].content[0]
    assert isinstance(text, Text)
    assert (text.text, text.signature) == ("abcd", OURS)
    assert [(cited.url, cited.start, cited.end) for cited in text.citations] == [("u", 1, 4)]


def test_candidates_of_one_stream_are_kept_apart() -> None:
    second = {"candidates": [{"content": {"parts": [{"text": "b"}]}, "index": 1}]}
    answer = streamed(chunk({"text": "a"}), second, chunk({"text": "a"}), second)
    assert [choice.content for choice in answer.choices] == [(Text("aa"),), (Text("bb"),)]


@pytest.mark.parametrize("cut", [1, 7, 1_000])
def test_an_array_is_read_like_events(cut: int) -> None:
    body = b"[%b,\r\n%b\n]\n" % (
        json.dumps(chunk({"text": "a"})).encode(),
        json.dumps(chunk({"text": "b"}, finishReason="STOP")).encode(),
    )
    decoder = TRANSLATOR.stream_decoder(numbered())
    events = [told for at in range(0, len(body), cut) for told in decoder.feed(body[at : at + cut])]
    assert answer_of([*events, *decoder.rest()]).choices == (Choice((Text("ab"),), "stop"),)


def test_one_object_in_a_streams_place_is_read() -> None:
    decoder = TRANSLATOR.stream_decoder(numbered())
    events = decoder.feed(json.dumps(chunk({"text": "a"}, finishReason="STOP")).encode())
    assert answer_of([*events, *decoder.rest()]).choices == (Choice((Text("a"),), "stop"),)


ANSWER = ChatAnswer(
    id="abc",
    model="served",
    choices=(
        Choice((Thinking("hm"), Text("Hi", signature=OURS), ToolCall("1", "f", '{"a":1}')), "tool_calls", 0),
        Choice((Text("Ho"),), "length", 1),
    ),
)


def test_every_chunk_is_an_answer_and_the_last_one_finishes_and_counts() -> None:
    chunks = chunks_of(encode_all(TRANSLATOR.stream_encoder(asked_for()), events_of(ANSWER, USAGE)))
    parts = [found["candidates"][0]["content"]["parts"] for found in chunks]
    assert parts == [
        [{"text": "hm", "thought": True}],
        [{"text": "Hi"}],
        [{"text": "", "thoughtSignature": "AAAA"}],
        [{"functionCall": {"id": "1", "name": "f", "args": {"a": 1}}, "thoughtSignature": STAND_IN}],
        [{"text": "Ho"}],
        [{"text": ""}],
    ]
    assert all((found["modelVersion"], found["responseId"]) == ("served", "abc") for found in chunks)
    assert [found.get("usageMetadata", {}).get("promptTokenCount") for found in chunks] == [7, *[None] * 4, 20]
    assert [candidate["finishReason"] for candidate in chunks[-1]["candidates"]] == ["STOP", "MAX_TOKENS"]
    assert all("finishReason" not in found["candidates"][0] for found in chunks[:-1])


@pytest.mark.parametrize("array", [False, True])
def test_a_stream_tells_what_the_answer_tells(array: bool) -> None:
    encoder = TRANSLATOR.stream_encoder(asked_for(array=array))
    decoder = TRANSLATOR.stream_decoder(numbered())
    events = decoder.feed(encode_all(encoder, events_of(ANSWER, USAGE)))
    assert answer_of([*events, *decoder.rest()]) == ANSWER


def test_an_array_is_whole_json_however_it_ends() -> None:
    def told(*events: Any) -> bytes:
        return encode_all(encoder, events)

    encoder = TRANSLATOR.stream_encoder(asked_for(array=True))
    assert json.loads(told(Opened(), Closed(None))) == []
    encoder = TRANSLATOR.stream_encoder(asked_for(array=True))
    assert json.loads(encoder.error("provider_cut", "cut"))[0]["error"]["message"] == "cut"
    encoder = TRANSLATOR.stream_encoder(asked_for(array=True))
    begun = told(Opened(), PartBegan(0, Text("")), PartGrew(0, "a"))
    chunks = json.loads(begun + encoder.error("provider_timeout", "late"))
    assert chunks[0]["candidates"][0]["content"]["parts"] == [{"text": "a"}]
    assert chunks[1]["error"]["code"] == 504


def test_a_stream_that_ends_badly_says_so_in_an_event_of_its_own() -> None:
    encoder = TRANSLATOR.stream_encoder(asked_for())
    encoder.write(Finished("stop"))
    told = encoder.error("provider_cut", "the provider hung up")
    assert told.startswith(b"data: ")
    assert told.endswith(b"\r\n\r\n")
    assert json.loads(told[6:])["error"]["status"] == "UNAVAILABLE"
