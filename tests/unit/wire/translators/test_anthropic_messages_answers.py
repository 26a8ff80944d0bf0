import json
from typing import Any

import anthropic
import httpx2
import pytest
from anthropic.types import Message as SdkMessage

from farthing.types.chat import (
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
    StreamEvent,
    Text,
    Thinking,
    ToolCall,
)
from farthing.types.providers import WireFormat
from farthing.types.usage import Usage
from farthing.wire.translators.anthropic_messages import TRANSLATOR
from farthing.wire.translators.assembly import answer_of, events_of
from farthing.wire.translators.marks import is_marked, marked, unmarked
from farthing.wire.translators.protocol import Asked, encode_all

OWN: WireFormat = "anthropic_messages"
ASKED = Asked(
    request=ChatRequest(origin=OWN, model="m", messages=(Message("user", (Text("Hello."),)),)),
    model="my-model",
    answer_id="0123",
    created_s=1,
    input_tokens_estimate=17,
    new_id=lambda prefix: f"{prefix}new",
)
USAGE = Usage(
    input_tokens=100,
    output_tokens=20,
    cache_read_input_tokens=30,
    cache_creation_5m_input_tokens=8,
    cache_creation_1h_input_tokens=2,
    reasoning_output_tokens=5,
    web_search_requests=1,
)
FOUND = (
    b'{"type":"web_search_result_location","cited_text":"So","url":"https://e.com","title":"E","encrypted_index":"Eo8"}'
)
CITED = Citation(OWN, FOUND, "https://e.com", "E")
SEARCH = Foreign(
    OWN, "server_tool_use", b'{"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{"query":"q"}}'
)
FULL: tuple[Part, ...] = (
    Thinking("Hm.", Signature(OWN, "EqQB")),
    Thinking("", Signature(OWN, "EmwK"), redacted=True),
    SEARCH,
    Text("So.", citations=(CITED,)),
    ToolCall("toolu_1", "look", '{"at":"it"}'),
    ToolCall("toolu_2", "look", "{}"),
)


def answer(*parts: Part, reason: FinishReason | None = "stop", sequence: str | None = None) -> ChatAnswer:
    return ChatAnswer(id="msg_0123", model="my-model", choices=(Choice(parts, reason, stop_sequence=sequence),))


def whole(told: ChatAnswer, usage: Usage | None = USAGE) -> SdkMessage:
    """Return an answer as Anthropic's own client reads it, whole."""
    return seen_by_client(TRANSLATOR.write_answer(told, usage, ASKED), "application/json", streamed=False)


def streamed(told: ChatAnswer, usage: Usage | None = USAGE) -> SdkMessage:
    """Return an answer as Anthropic's own client reads it from a stream."""
    events = encode_all(TRANSLATOR.stream_encoder(ASKED), events_of(told, usage))
    return seen_by_client(events, "text/event-stream", streamed=True)


def seen_by_client(body: bytes, content_type: str, *, streamed: bool) -> SdkMessage:
    transport = httpx2.MockTransport(
        lambda _: httpx2.Response(200, content=body, headers={"content-type": content_type})
    )
    with httpx2.Client(transport=transport) as http:
        client = anthropic.Anthropic(api_key="x", base_url="http://127.0.0.1", http_client=http, max_retries=0)
        asked: Any = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello."}]}
        if not streamed:
            found = client.messages.create(**asked)
        else:
            with client.messages.stream(**asked) as stream:
                found = stream.get_final_message()
    return SdkMessage.model_validate(found.model_dump(), strict=True)


def decoded(*events: dict[str, Any] | bytes) -> ChatAnswer:
    return answer_of(heard(*events))


def heard(*events: dict[str, Any] | bytes) -> list[StreamEvent]:
    decoder = TRANSLATOR.stream_decoder(ASKED.new_id)
    found = []
    for event in events:
        data = event if isinstance(event, bytes) else json.dumps(event).encode()
        found += decoder.feed(b"event: x\ndata: " + data + b"\n\n")
    return [*found, *decoder.rest()]


def start(**block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": 0, "content_block": block}


def delta(**members: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 0, "delta": members}


STOP = {"type": "content_block_stop", "index": 0}
BEGIN = {"type": "message_start", "message": {"id": "msg_1", "model": "claude"}}


def end(reason: str, **members: Any) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason, **members}, "usage": {"output_tokens": 1}}


# ---- what a client reads


@pytest.mark.parametrize("seen", [whole, streamed])
def test_anthropics_own_client_reads_every_kind_of_part(seen: Any) -> None:
    message = seen(answer(*FULL, reason="tool_calls"))
    assert [block.type for block in message.content] == [
        *("thinking", "redacted_thinking", "server_tool_use", "text", "tool_use", "tool_use")
    ]
    assert (message.content[0].thinking, message.content[0].signature) == ("Hm.", "EqQB")
    assert message.content[1].data == "EmwK"
    assert message.content[2].input == {"query": "q"}
    assert message.content[3].citations[0].url == "https://e.com"
    assert [block.input for block in message.content[4:]] == [{"at": "it"}, {}]
    assert (message.id, message.model, message.stop_reason) == ("msg_0123", "my-model", "tool_use")


@pytest.mark.parametrize("seen", [whole, streamed])
def test_usage_leaves_the_cache_out_of_the_input(seen: Any) -> None:
    usage = seen(answer(Text("Hi."))).usage
    assert (usage.input_tokens, usage.output_tokens) == (60, 20)
    assert (usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (30, 10)
    assert usage.output_tokens_details.thinking_tokens == 5
    assert usage.server_tool_use.web_search_requests == 1


def test_the_lifetimes_of_what_was_cached_are_told_apart() -> None:
    split = whole(answer(Text("Hi."))).usage.cache_creation
    assert split is not None
    assert (split.ephemeral_5m_input_tokens, split.ephemeral_1h_input_tokens) == (8, 2)


@pytest.mark.parametrize("seen", [whole, streamed])
def test_usage_that_nobody_knows_is_the_estimate(seen: Any) -> None:
    usage = seen(answer(Text("Hi.")), None).usage
    assert (usage.input_tokens, usage.output_tokens) == (17, 0)


@pytest.mark.parametrize("seen", [whole, streamed])
@pytest.mark.parametrize(
    ("reason", "sequence", "parts", "expected"),
    [
        ("stop", None, (Text("Hi."),), ("end_turn", None)),
        ("stop", "END", (Text("Hi."),), ("stop_sequence", "END")),
        ("length", None, (Text("Hi."),), ("max_tokens", None)),
        ("pause", None, (SEARCH,), ("pause_turn", None)),
        ("content_filter", None, (), ("refusal", None)),
        ("refusal", None, (Refusal("No."),), ("refusal", None)),
        ("stop", None, (Refusal("No."),), ("refusal", None)),
        ("stop", None, (ToolCall("a", "look", "{}"),), ("tool_use", None)),
        ("tool_calls", None, (ToolCall("a", "look", "{}"),), ("tool_use", None)),
        ("error", None, (Text("Hi."),), ("end_turn", None)),
        (None, None, (Text("Hi."),), ("end_turn", None)),
    ],
)
def test_why_an_answer_ended(
    seen: Any,
    reason: FinishReason | None,
    sequence: str | None,
    parts: tuple[Part, ...],
    expected: tuple[str, str | None],
) -> None:
    message = seen(answer(*parts, reason=reason, sequence=sequence))
    assert (message.stop_reason, message.stop_sequence) == expected


@pytest.mark.parametrize("seen", [whole, streamed])
def test_a_thought_without_anthropics_signature_gets_a_mark(seen: Any) -> None:
    foreign = Signature("gemini", "CsQ")
    message = seen(answer(Thinking("a", foreign), Thinking("b"), Thinking("", foreign, redacted=True), Text("Hi.")))
    marks = [block.signature for block in message.content[:3]]
    assert marks == [marked(foreign), marked(None), marked(foreign)]
    assert all(is_marked(mark) for mark in marks)
    assert unmarked(marks[0]) == Signature("gemini", marks[0])
    assert unmarked(marks[1]) is None


@pytest.mark.parametrize("seen", [whole, streamed])
def test_what_anthropics_clients_cannot_be_shown_is_left_out_and_the_rest_is_counted_on(seen: Any) -> None:
    parts = (
        Text(""),
        Image(Inline("image/png", "AAAA")),
        Foreign("gemini", "executableCode", b"{}"),
        Refusal("No."),
        Text("Yes."),
    )
    message = seen(answer(*parts))
    assert [(block.type, block.text) for block in message.content] == [("text", "No."), ("text", "Yes.")]


@pytest.mark.parametrize("seen", [whole, streamed])
def test_a_page_that_another_format_cites_is_shown_as_found(seen: Any) -> None:
    cited = (Citation("openai_chat", b"{}", "https://e.com", "E", 1, 3), Citation("gemini", b"{}"))
    message = seen(answer(Text("So it is.", citations=cited)))
    (shown,) = message.content[0].citations
    assert (shown.url, shown.title, shown.cited_text) == ("https://e.com", "E", "o ")
    assert is_marked(shown.encrypted_index)


@pytest.mark.parametrize("seen", [whole, streamed])
def test_only_the_first_of_several_choices_is_shown(seen: Any) -> None:
    choices = tuple(Choice((Text(f"{number}"),), "stop", number) for number in range(3))
    message = seen(ChatAnswer(id=None, model=None, choices=choices))
    assert [block.text for block in message.content] == ["0"]


@pytest.mark.parametrize("seen", [whole, streamed])
def test_the_text_of_a_custom_tool_becomes_an_object(seen: Any) -> None:
    message = seen(answer(ToolCall("a", "patch", "*** Begin", custom=True)))
    assert message.content[0].input == {"arguments": "*** Begin"}


def test_an_answer_without_choices_is_empty() -> None:
    assert whole(ChatAnswer(id=None, model=None, choices=())).content == []


# ---- how a stream is told


def test_a_stream_begins_with_the_estimate_and_ends_with_what_was_counted() -> None:
    encoder = TRANSLATOR.stream_encoder(ASKED)
    begun = encoder.write(Opened("x", "y"))
    assert begun.startswith(b"event: message_start\n")
    usage = json.loads(begun.partition(b"data: ")[2])["message"]["usage"]
    assert (usage["input_tokens"], usage["output_tokens"]) == (17, 1)
    for event in (PartBegan(0, Text("")), PartGrew(0, "Hi."), PartEnded(0, Text("Hi.")), Finished("stop")):
        assert b"message_delta" not in encoder.write(event)
    ended = encoder.write(Closed(USAGE))
    assert ended.startswith(b"event: message_delta\n")
    assert ended.endswith(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')


def test_blocks_are_numbered_without_gaps() -> None:
    told = answer(Text(""), Text("a"), Image(Inline("image/png", "AAAA")), ToolCall("t", "look", "{}"), Text("b"))
    events = encode_all(TRANSLATOR.stream_encoder(ASKED), events_of(told, None)).split(b"\n\n")
    starts = [json.loads(event.partition(b"data: ")[2])["index"] for event in events if b"content_block_start" in event]
    assert starts == [0, 1, 2]


def test_a_stream_that_broke_ends_in_anthropics_own_error() -> None:
    encoder = TRANSLATOR.stream_encoder(ASKED)
    begun = encoder.write(Opened()) + encoder.write(PartBegan(0, Text(""))) + encoder.write(PartGrew(0, "Hi."))
    with pytest.raises(anthropic.APIStatusError, match="overloaded"):
        seen_by_client(begun + encoder.error("overloaded", "it is overloaded"), "text/event-stream", streamed=True)


# ---- what is read of a provider


def test_a_whole_answer_is_read() -> None:
    body = TRANSLATOR.write_answer(answer(*FULL, reason="tool_calls"), USAGE, ASKED)
    assert TRANSLATOR.read_answer(body, ASKED.new_id) == answer(*FULL, reason="tool_calls")


def test_a_stream_says_what_the_whole_answer_says() -> None:
    events = encode_all(TRANSLATOR.stream_encoder(ASKED), events_of(answer(*FULL, reason="tool_calls"), USAGE))
    decoder = TRANSLATOR.stream_decoder(ASKED.new_id)
    found = decoder.feed(events)
    assert answer_of([*found, *decoder.rest()]) == answer(*FULL, reason="tool_calls")


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("end_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("pause_turn", "pause"),
        ("refusal", "refusal"),
        ("something_new", "stop"),
        (None, None),
    ],
)
def test_stop_reasons(word: str | None, reason: FinishReason | None) -> None:
    body = json.dumps({"type": "message", "content": [], "stop_reason": word}).encode()
    assert TRANSLATOR.read_answer(body, ASKED.new_id).choices[0].finish_reason == reason


def test_a_refusal_is_explained() -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "It may not."}
    body = json.dumps({"content": [], "stop_reason": "refusal", "stop_details": details}).encode()
    expected = (Choice((Refusal("It may not."),), "refusal"),)
    assert TRANSLATOR.read_answer(body, ASKED.new_id).choices == expected
    assert decoded(BEGIN, end("refusal", stop_details=details)).choices == expected


def test_pieces_of_a_servers_tool_are_whole_at_its_end() -> None:
    found = decoded(
        BEGIN,
        start(type="server_tool_use", id="srvtoolu_1", name="web_search", input={}),
        delta(type="input_json_delta", partial_json='{"query"'),
        delta(type="input_json_delta", partial_json=':"q"}'),
        STOP,
        start(type="compaction", content="a"),
        delta(type="compaction_delta", content="b"),
        STOP,
        end("pause_turn"),
    )
    assert found.choices[0].content == (SEARCH, Foreign(OWN, "compaction", b'{"type":"compaction","content":"ab"}'))


@pytest.mark.parametrize(("given", "expected"), [({}, "{}"), ({"a": 1}, '{"a":1}')])
def test_arguments_may_stand_in_the_beginning_of_a_call(given: dict[str, Any], expected: str) -> None:
    events = heard(BEGIN, start(type="tool_use", id="t", name="look", input=given), STOP, end("tool_use"))
    assert PartGrew(0, expected) in events
    assert answer_of(events).choices[0] == Choice((ToolCall("t", "look", expected),), "tool_calls")


def test_a_call_without_an_id_gets_one() -> None:
    found = decoded(BEGIN, start(type="tool_use", name="look", input={}), STOP, end("end_turn"))
    assert found.choices[0] == Choice((ToolCall("toolu_new", "look", "{}"),), "tool_calls")


def test_a_stream_that_only_stops_is_finished_as_it_looks() -> None:
    events = (BEGIN, start(type="text", text="H"), delta(type="text_delta", text="i."))
    assert decoded(*events, {"type": "message_stop"}).choices[0] == Choice((Text("Hi."),), "stop")
    assert decoded(*events).choices[0] == Choice((Text("Hi."),), "stop")


def test_pings_errors_and_what_comes_after_the_end_say_nothing() -> None:
    assert decoded({"type": "ping"}, {"type": "error", "error": {}}) == ChatAnswer(id=None, model=None, choices=())
    found = decoded(BEGIN, end("end_turn"), start(type="text", text="late"), delta(type="text_delta", text="r"))
    assert found.choices == (Choice((), "stop"),)


@pytest.mark.parametrize(
    "event",
    [
        b"7",
        b"[]",
        b"nonsense",
        b'{"type":["content_block_delta"]}',
        b'{"type":"message_start","message":4}',
        b'{"type":"content_block_start"}',
        b'{"type":"content_block_start","content_block":{"type":3}}',
        b'{"type":"content_block_start","content_block":{"type":"text","text":5,"citations":7}}',
        b'{"type":"content_block_start","content_block":{"type":"tool_use","input":[]}}',
        b'{"type":"content_block_start","content_block":{"type":"thinking","signature":[]}}',
        b'{"type":"content_block_delta","delta":"x"}',
        b'{"type":"content_block_delta","delta":{"type":"text_delta","text":5}}',
        b'{"type":"content_block_delta","delta":{"type":"citations_delta","citation":5}}',
        b'{"type":"content_block_delta","delta":{"type":"signature_delta"}}',
        b'{"type":"content_block_stop"}',
        b'{"type":"message_delta","delta":7}',
        b'{"type":"message_delta","delta":{"stop_reason":7}}',
    ],
)
def test_garbage_is_left_out(event: bytes) -> None:
    answered = decoded(
        BEGIN, start(type="text", text=""), delta(type="text_delta", text="Hi."), STOP, event, end("end_turn")
    )
    assert Text("Hi.") in answered.choices[0].content
    assert answered.choices[0].finish_reason in ("stop", "tool_calls")
    inside = decoded(BEGIN, start(type="text", text=""), event, delta(type="text_delta", text="Hi."), end("end_turn"))
    assert inside.choices[0].finish_reason in ("stop", "tool_calls")


@pytest.mark.parametrize(
    "body",
    [b"", b"7", b"[]", b"{", b'{"content":7}', b'{"content":[7,{"type":5},{}]}', b'{"id":5,"model":[],"content":[]}'],
)
def test_an_answer_of_garbage_is_empty(body: bytes) -> None:
    found = TRANSLATOR.read_answer(body, ASKED.new_id)
    assert [choice.content for choice in found.choices] in ([], [()])
