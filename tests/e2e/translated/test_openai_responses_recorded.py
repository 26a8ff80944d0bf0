# ruff: noqa: E501 - a recording's name, and what it says, stand on one line
"""Every recorded exchange of OpenAI's responses, read and written again; what some say was written down by hand.

The notes read: a message's role with its parts in brackets; `text12` has 12 characters, `text12@1` one citation,
`think0*` is sealed; a call is `name(arguments)`, a result its text's length or its parts.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from farthing.errors import InvalidRequest
from farthing.types.chat import (
    ChatAnswer,
    ChatRequest,
    Document,
    Foreign,
    Image,
    Message,
    Part,
    Signature,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from farthing.wire.openai_responses import ResponsesStreamMeter, read_answer
from farthing.wire.translators.assembly import answer_of, events_of
from farthing.wire.translators.openai_responses import TRANSLATOR
from farthing.wire.translators.protocol import encode_all
from tests.e2e.recordings.exchanges import Exchange, load
from tests.unit.wire.translators.responses_checks import answered, asked_for, check_answer, check_stream, new_ids

RECORDINGS = os.environ.get("FARTHING_RECORDINGS", "")
pytestmark = [
    pytest.mark.recordings,
    pytest.mark.skipif(not RECORDINGS, reason="no recordings: set FARTHING_RECORDINGS to their folder"),
]
LEAST_REQUESTS = 200
LEAST_ANSWERS = 200
LEAST_STREAMS = 90

TOOL = 'weather({"location":"Florence, Italy"})'
ADD_AND_MULTIPLY = 'add({"a":2,"b":3}) multiply({"a":2,"b":3})'
HANDOFF = "openai/responses-sync-gpt-5.4-test-live-tool-search-handoff-"
REPLAY = "openai/responses-sync-gpt-5.4-test-cross-provider-capability-replay-openai-responses-gpt-5.4-anthropic-claude-sonnet--"
INTERLEAVED = "openai/responses-sync-gpt-5.5-test-responses-interleaved-reasoning-between-tool-calls-"
PHASE = "openai/responses-stream-gpt-5.5-test-openai-responses-phase-streamed-on-part-start-"
NATIVE = "openai/responses-stream-gpt-5.4-test-openai-native-tool-search-streaming-"
DIALECTS = "azure/responses-sync-gpt-5-nano-chat-responses-protocol-dialects-with-azure-gpt-5-nano-"
GROK = "xai/responses-sync-grok-4.3-chat-"
DEEPSEEK = "deepseek/responses-sync-deepseek-v4-flash-"
EXCHANGE_RATE = 'get_exchange_rate/get_exchange_rate({"from_currency":"USD","to_currency":"EUR"})'

REQUESTS: dict[str, str] = {
    "openai/responses-sync-gpt-4o-mini-test-agent-with-tool-calls-00-adb54": "system[text79] user[text36]",
    "openai/responses-stream-gpt-4o-test-simple-agent-streamed-d7283": "system[text75] user[text30]",
    "openai/responses-sync-gpt-5-response-custom-tool-call-ff2bd": "user[text44]",
    "openai/responses-sync-gpt-5-mini-response-reasoning-tokens-c6d9c": "system[text28] user[text33] assistant[text53] user[text20]",
    "openai/responses-sync-gpt-5.6-sol-responses-prompt-caching-5-6-cache-write-af356": "system[text7200] user[text43]",
    "openai/responses-sync-gpt-4.1-test-agent-common-format-tool-choice-required-01-a32d2": 'user[text19] assistant[get_weather({"location":"current location"})] tool[73]',
    "azure/responses-sync-o4-mini-tool-01-d3c59": f"system[text27] user[text37] assistant[{TOOL}] tool[4]",
    "openai/responses-sync-gpt-5-multi-tool-01-56acf": f"system[text96] user[text35] assistant[{ADD_AND_MULTIPLY}] tool[1 1]",
    "openai/responses-sync-o4-mini-testagentmultimodalopenairesponses.test-pdf-file-openai-o4-mini-responses-00-c0ce5": "system[text122] user[text78 document]",
    f"{GROK}function-calling-xai-grok-4-1-fast-non-reasoning-can-use-tools-01-635d7": 'user[text48] assistant[think67* weather({"latitude":"52.5200","longitude":"13.4050"})] tool[56]',
    f"{GROK}multimodal-tool-attachments-xai-grok-4-1-fast-non-reasoning-describes-images-retu-01-aa369": "user[text78] assistant[think94* image_fetch({})] tool[18] user[text71 image]",
    f"{DIALECTS}chats-on-the-openai-v1-respon-01-4967d": "user[text31] assistant[think0* text1] user[text40]",
    f"{DIALECTS}round-trips-tool-calls-01-4586e": 'user[text39] assistant[think0* weather({"latitude":"52.5200","longitude":"13.4050"})] tool[56]',
    f"{GROK}text-models-xai-grok-4-1-fast-non-reasoning-can-understand-text-01-34360": "user[text20 text69] assistant[think140* text60] user[text16 text90]",
    f"{GROK}vision-models-xai-grok-4-1-fast-non-reasoning-can-understand-remote-images-withou-01-933b8": "user[text30 image]",
    "openai/responses-sync-gpt-4o-test-file-search-01-fd6aa": "user[text17] assistant[file_search_call text28@1] user[text4]",
    "openai/responses-sync-gpt-4o-test-responses-01-572db": "system[text24] user[text50] assistant[random_number({}) transfer_to_agent2({})] tool[1 23]",
    "openai/responses-sync-gpt-5-mini-test-multimodal-tool-return-matrix-direct-url-audio-openai-responses-01-32ca7": "user[text84] assistant[think0* get_file({})] tool[document]",
    f"{DEEPSEEK}test-deepseek-responses-function-tool-01-a2fb4": 'user[text33] assistant[think83 get_temperature({"city": "Tokyo"})] tool[4]',
    f"{DEEPSEEK}test-deepseek-responses-rejects-interleaved-function-calls-26488": 'assistant[text31 read({"path":"a"}) text30 view({"path":"b"})] tool[8 8] user[text19]',
    "openai/responses-sync-gpt-4.1-test-openai-conversation-id-tool-call-continuation-02-c3939": "system[text67] tool[13]",
    "openai/responses-sync-gpt-4.1-test-openai-responses-compact-with-auto-previous-response-id-chain-03-9b991": "assistant[compaction] user[text8]",
    "openai/responses-sync-gpt-5-test-openai-responses-model-web-search-tool-stream-01-8e3cc": "system[text28] user[text43] assistant[think0* web_search_call think0* text212] user[text22]",
    f"{PHASE}01-14931": 'system[text66] user[text34] assistant[think0* text52 get_capital({"country":"PotatoLand"})] tool[11]',
    "openai/responses-sync-gpt-5.6-test-supported-model-calls-additional-tool-9a4c0": "user[text74] assistant[text34 additional_tools]",
    f"{REPLAY}02-3d1d0": 'system[text123] user[text32] assistant[load_capability({"id":"refunds"})] tool[80] assistant[additional_tools lookup_refund_policy/lookup_refund_policy({"order_id":"order-123"})] tool[37]',
    f"{HANDOFF}openai-to-anthropic-01-140fe": 'system[text63] user[text34] assistant[tool_search_call tool_search_output get_exchange_rate/get_exchange_rate({"pair":"USD/EUR"})] tool[13]',
    f"{INTERLEAVED}02-c03db": 'user[text191] assistant[think0* db_lookup({"key": "start"})] tool[23] assistant[think0* db_lookup({"key": "7"})] tool[11]',
}  # fmt: skip

ANSWERS: dict[str, tuple[str, str]] = {
    "openai/responses-sync-gpt-4o-mini-test-agent-with-tool-calls-00-adb54": ('get_weather({"location":"San Francisco"})', "tool_calls"),
    "openai/responses-stream-gpt-4o-test-simple-agent-streamed-d7283": ("text31", "stop"),
    "openai/responses-sync-gpt-5-response-custom-tool-call-ff2bd": ("custom math_exp(4 + 4)", "tool_calls"),
    "openai/responses-sync-gpt-5.6-sol-responses-prompt-caching-5-6-cache-write-af356": ("text190", "length"),
    "openai/responses-stream-o4-mini-openai-responses-post-aaef3e68-dae67": ("think399 text51", "stop"),
    "openai/responses-stream-o4-mini-thinking-streaming-00-c9da0": (f"think0* {TOOL}", "tool_calls"),
    "azure/responses-stream-o4-mini-tool-streaming-00-078fa": (TOOL, "tool_calls"),
    "azure/responses-stream-gpt-5-mini-thinking-streaming-00-835f9": (f"think463* {TOOL}", "tool_calls"),
    "azure/responses-sync-gpt-5-mini-thinking-01-05a10": ("think902* text194", "stop"),
    "openai/responses-sync-gpt-5-multi-tool-00-c47c7": (ADD_AND_MULTIPLY, "tool_calls"),
    "openai/responses-stream-gpt-5-multi-tool-streaming-00-bd2f6": (ADD_AND_MULTIPLY, "tool_calls"),
    "openai/responses-stream-gpt-4o-mini-multi-tool-streaming-00-36521": (ADD_AND_MULTIPLY, "tool_calls"),
    f"{GROK}function-calling-xai-grok-4-1-fast-non-reasoning-can-use-tools-00-e67a7": ('think67* weather({"latitude":"52.5200","longitude":"13.4050"})', "tool_calls"),
    "xai/responses-stream-grok-4.3-chat-function-calling-xai-grok-4-1-fast-non-reasoning-can-use-tools-without-paramete-00-53b6b": ("think54* best_language_to_learn({})", "tool_calls"),
    "xai/responses-stream-grok-4.3-chat-function-calling-xai-grok-4-1-fast-non-reasoning-can-use-tools-without-paramete-03-c5f2d": ("think55* text35", "stop"),
    "xai/responses-stream-grok-4.3-chat-with-extended-thinking-xai-grok-3-mini-streams-thinking-content-when-available-0df81": ("think1201* text816", "stop"),
    f"{GROK}web-search-with-xai-grok-4-3-searches-cites-and-counts-the-sources-it-used-b0a24": ("think93* web_search_call web_search_call think0* think0* think0* text350@1", "stop"),
    f"{DEEPSEEK}chat-responses-protocol-dialects-with-deepseek-deepseek-v4-flash-chats-with-r-fd2cb": ("think42 text1", "stop"),
    "deepseek/responses-stream-deepseek-v4-flash-chat-responses-protocol-dialects-with-deepseek-deepseek-v4-flash-streams-re-880c7": ("think43 text1", "stop"),
    "deepseek/responses-stream-deepseek-v4-flash-test-deepseek-responses-function-tool-stream-00-ce713": ('think61 get_temperature({"city": "Tokyo"})', "tool_calls"),
    f"{DEEPSEEK}chat-web-search-with-deepseek-deepseek-v4-flash-searches-server-side-and-reco-47049": ("think106 web_search_call think415 text83 web_search_call web_search_call think925 text120 web_search_call think897 text1365", "stop"),
    "openai/responses-sync-gpt-4o-test-file-search-00-7c76a": ("file_search_call text28@1", "stop"),
    "openai/responses-stream-gpt-4o-test-openai-responses-model-file-search-tool-stream-03-2c2b5": ("file_search_call text31@1", "stop"),
    "openai/responses-stream-gpt-5.2-test-openai-include-raw-annotations-streaming-00-90f58": ("web_search_call web_search_call text162@1", "stop"),
    "openai/responses-sync-o3-mini-test-mistral-model-thinking-part-00-1fffc": ("think1698* text1310", "stop"),
    "openai/responses-stream-gpt-5-test-openai-responses-model-web-search-tool-stream-00-3deb4": ("think0* web_search_call think0* text212", "stop"),
    f"{PHASE}00-406a5": ('think0* text52 get_capital({"country":"PotatoLand"})', "tool_calls"),
    "openrouter/responses-stream-gpt-oss-20b-test-openai-responses-raw-cot-stream-openrouter-72c9f": ("think85 text1", "stop"),
    "openrouter/responses-stream-gpt-5-nano-test-reasoning-01-734ac": ("think0* text1", "stop"),
    f"{REPLAY}01-d455c": ('lookup_refund_policy/lookup_refund_policy({"order_id":"order-123"})', "tool_calls"),
    f"{NATIVE}00-ae9a6": (f"tool_search_call tool_search_output {EXCHANGE_RATE}", "tool_calls"),
    "openai/responses-stream-gpt-5.4-test-openai-client-tool-search-streaming-00-a0903": ("tool_search_call", "stop"),
    f"{INTERLEAVED}01-f4ae9": ('think0* db_lookup({"key":"7"})', "tool_calls"),
    "openai/responses-stream-gpt-5.6-luna-gpt-5.6-luna-thinking-genstream-tools-websearch-e81ad": ("web_search_call text11", "stop"),
    "openai/responses-stream-gpt-5.6-terra-gpt-5.6-terra-thinking-genstream-maxtokens-05710": ("think0*", "length"),
}  # fmt: skip


@pytest.fixture(scope="module")
def exchanges() -> dict[str, Exchange]:
    found = [entry for entry in load(Path(RECORDINGS)) if entry.asked is not None]
    return {entry.slug: entry for entry in found if entry.asked and entry.asked.wire == "openai_responses"}


def request_of(exchange: Exchange) -> ChatRequest:
    body = exchange.body
    return TRANSLATOR.read_request(
        json.dumps(body).encode(), model=exchange.model or "m", streamed=body.get("stream") is True
    )


def answer_in(exchange: Exchange) -> ChatAnswer:
    if exchange.kind == "sse":
        return answered(exchange.recorded)
    return TRANSLATOR.read_answer(exchange.recorded, new_ids())


def noted(message: Message) -> str:
    return f"{message.role}[{' '.join(note(part) for part in message.content)}]"


def note(part: Part) -> str:
    match part:
        case Text():
            return f"text{len(part.text)}" + (f"@{len(part.citations)}" if part.citations else "")
        case Thinking():
            return f"think{len(part.text)}" + ("*" if part.signature is not None else "")
        case ToolCall():
            custom = "custom " if part.custom else ""
            return f"{custom}{part.namespace + '/' if part.namespace else ''}{part.name}({part.arguments})"
        case ToolResult():
            return "+".join(str(len(piece.text)) if isinstance(piece, Text) else note(piece) for piece in part.content)
        case Foreign():
            return part.kind
        case Image() | Document():
            return type(part).__name__.lower()
        case _:
            return "?"


@pytest.mark.parametrize("slug", REQUESTS)
def test_what_was_asked(slug: str, exchanges: dict[str, Exchange]) -> None:
    assert " ".join(noted(message) for message in request_of(exchanges[slug]).messages) == REQUESTS[slug]


@pytest.mark.parametrize("slug", ANSWERS)
def test_what_was_answered(slug: str, exchanges: dict[str, Exchange]) -> None:
    (choice,) = answer_in(exchanges[slug]).choices
    assert (" ".join(note(part) for part in choice.content), choice.finish_reason) == ANSWERS[slug]


def test_every_request_is_read_and_stable_once_written(exchanges: dict[str, Exchange]) -> None:
    read = 0
    for exchange in exchanges.values():
        if not isinstance(exchange.body, dict) or "model" not in exchange.body:
            continue
        try:
            request = request_of(exchange)
        except InvalidRequest:
            assert exchange.status == 400, exchange.slug  # a temperature of -1, which OpenAI refused as well
            continue
        once = again(request)
        assert again(once) == once, exchange.slug
        read += 1
    assert read >= LEAST_REQUESTS


def again(request: ChatRequest) -> ChatRequest:
    body = TRANSLATOR.write_request(request, new_ids())
    return TRANSLATOR.read_request(body, model=request.model, streamed=request.streamed)


def test_every_answer_is_written_as_the_official_types_have_it(exchanges: dict[str, Exchange]) -> None:
    written = 0
    for exchange in exchanges.values():
        if exchange.status != 200:
            continue
        answer = without_foreign(answer_in(exchange))
        reading = read_answer(exchange.recorded, lambda _: None) if exchange.kind == "json" else metered(exchange)
        official = check_answer(TRANSLATOR.write_answer(answer, reading.usage, asked_for()))
        assert official.output_text == "".join(
            part.text for choice in answer.choices for part in choice.content if isinstance(part, Text)
        ), exchange.slug
        if official.status == "completed":
            stream = encode_all(TRANSLATOR.stream_encoder(asked_for()), events_of(answer, reading.usage))
            assert check_stream(stream).output_text == official.output_text, exchange.slug
        written += 1
    assert written >= LEAST_ANSWERS


def without_foreign(answer: ChatAnswer) -> ChatAnswer:
    """Return an answer without items that go back as they came: OpenAI's own do not all hold against its types."""
    choices = [
        msgspec.structs.replace(choice, content=tuple(part for part in choice.content if not isinstance(part, Foreign)))
        for choice in answer.choices
    ]
    return msgspec.structs.replace(answer, choices=tuple(choices))


def metered(exchange: Exchange) -> Any:
    meter = ResponsesStreamMeter(lambda _: None)
    meter.feed(exchange.recorded)
    return meter.reading()


def test_every_stream_tells_what_its_last_event_has_as_a_whole(exchanges: dict[str, Exchange]) -> None:
    compared = 0
    for exchange in exchanges.values():
        last = list(ends(exchange))
        if not last:
            continue
        whole = TRANSLATOR.read_answer(msgspec.json.encode(last[-1]["response"]), new_ids())
        assert unsealed(answered(exchange.recorded)) == unsealed(whole), exchange.slug
        compared += 1
    assert compared >= LEAST_STREAMS


def ends(exchange: Exchange) -> Iterator[dict[str, Any]]:
    if exchange.kind == "sse" and exchange.status == 200:
        for line in exchange.recorded.decode().splitlines():
            if line.startswith("data: {"):
                event = json.loads(line[6:])
                if event.get("type") in ("response.completed", "response.incomplete"):
                    yield event


def unsealed(answer: ChatAnswer) -> list[Part]:
    """Return the parts of an answer; OpenAI seals a thought anew for each event, OpenRouter names it anew."""
    parts: list[Part] = []
    for part in answer.choices[0].content:
        if isinstance(part, Thinking):
            sealed = None if part.signature is None else Signature("openai_responses", "sealed")
            parts.append(Thinking(part.text, sealed, redacted=part.redacted))
        else:
            parts.append(part)
    return parts


def test_where_recorded_streams_are_cut_changes_nothing(exchanges: dict[str, Exchange]) -> None:
    for exchange in exchanges.values():
        if exchange.kind != "sse" or exchange.status != 200:
            continue
        decoder = TRANSLATOR.stream_decoder(new_ids())
        data = exchange.recorded
        events = [event for at in range(0, len(data), 997) for event in decoder.feed(data[at : at + 997])]
        assert answer_of([*events, *decoder.rest()]) == answered(data), exchange.slug
