"""Every recorded chat completion and legacy completion is read, and says what it says in the recording.

What was said is put together a second time, from the recording, by code that shares nothing with the translator: texts,
thoughts and arguments joined, whatever their pieces. What the parts are, and in which order, is checked by noted
expectations. Answers are written for a client again, whole and in a stream, and must tell the same as before.
"""

import itertools
import json
import os
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from farthing.errors import InvalidRequest
from farthing.types.chat import (
    Audio,
    ChatAnswer,
    ChatRequest,
    Inline,
    Part,
    Refusal,
    StreamEvent,
    Text,
    Thinking,
    ToolCall,
)
from farthing.wire.translators.assembly import answer_of, events_of
from farthing.wire.translators.protocol import Asked, NewId, encode_all
from farthing.wire.translators.registry import translator
from tests.e2e.recordings.exchanges import Exchange, load
from tests.e2e.translated.openai_chat_expectations import EXPECTED

RECORDINGS = os.environ.get("FARTHING_RECORDINGS", "")
pytestmark = [
    pytest.mark.recordings,
    pytest.mark.skipif(not RECORDINGS, reason="no recordings: set FARTHING_RECORDINGS to their folder"),
]

LEAST_REQUESTS = 1_150
LEAST_ANSWERS = 1_020
"""Of 1,166 and 1,028; fewer means that the test quietly lost some."""
REFUSED_BY_US_ALONE = {"babbage-002-completion-text-batch-e78b4", "babbage-002-completion-token-batch-41ce9"}
"""Several prompts in one request, and tokens. All else that we refuse, the providers refused too."""
PIECE_BYTES = 997


@cache
def exchanges() -> list[Exchange]:
    wires = ("openai_chat", "openai_completions")
    found = [exchange for exchange in load(Path(RECORDINGS)) if exchange.asked and exchange.asked.wire in wires]
    return [exchange for exchange in found if isinstance(exchange.body, dict)]


def ids() -> NewId:
    counter = itertools.count()
    return lambda prefix: f"{prefix}made{next(counter)}"


def wire_of(exchange: Exchange) -> Any:
    assert exchange.asked is not None
    return translator(exchange.asked.wire)


def events_in(exchange: Exchange) -> list[StreamEvent]:
    decoder = wire_of(exchange).stream_decoder(ids())
    data = exchange.recorded
    pieces = [data[at : at + PIECE_BYTES] for at in range(0, len(data), PIECE_BYTES)]
    return [*(event for piece in pieces for event in decoder.feed(piece)), *decoder.rest()]


def read(exchange: Exchange) -> ChatAnswer:
    if exchange.kind == "json":
        answer = wire_of(exchange).read_answer(exchange.recorded, ids())
        assert isinstance(answer, ChatAnswer)
        return answer
    return answer_of(events_in(exchange))


def answered() -> Iterator[Exchange]:
    return (exchange for exchange in exchanges() if exchange.status == 200 and exchange.kind in ("json", "sse"))


def test_every_recorded_request_is_read_or_was_refused_by_its_provider_too() -> None:
    count = 0
    for exchange in exchanges():
        wire, model = wire_of(exchange), exchange.model or "none"
        body = json.dumps(exchange.body).encode()
        try:
            request = wire.read_request(body, model=model, streamed=False)
            again = wire.read_request(wire.write_request(request, ids()), model=model, streamed=False)
        except InvalidRequest as error:
            known = exchange.slug.partition("sync-")[2] in REFUSED_BY_US_ALONE
            if exchange.status == 200 and not known:
                pytest.fail(f"{exchange.slug}: {error}")
            continue
        count += 1
        assert texts_of(again) == texts_of(request), exchange.slug
        assert wire.read_request(wire.write_request(again, ids()), model=model, streamed=False) == again, exchange.slug
    assert count >= LEAST_REQUESTS


def texts_of(request: ChatRequest) -> list[str]:
    """Return what is said in a request, by whom, joined: how texts are cut is not kept."""
    said = []
    for message in request.messages:
        text = "".join([part.text for part in message.content if isinstance(part, Text)])
        calls = [f"{part.name}({part.arguments})" for part in message.content if isinstance(part, ToolCall)]
        if text or calls:
            said.append(f"{message.role}: {''.join(text.split())} {calls}")
    return said


def test_every_recorded_answer_says_what_it_says_in_the_recording() -> None:
    count = 0
    for exchange in answered():
        count += 1
        answer = read(exchange)
        assert told(answer) == spelled(exchange), exchange.slug
    assert count >= LEAST_ANSWERS


def told(answer: ChatAnswer) -> dict[int, tuple[str, str, str]]:
    """Return text, thoughts, and calls with their arguments, of every choice that has any."""
    found = {}
    for choice in answer.choices:
        text = "".join([part.text for part in choice.content if isinstance(part, Text | Refusal)])
        thought = "".join([part.text for part in choice.content if isinstance(part, Thinking)])
        calls = [part.name + part.arguments.replace("{}", "") for part in choice.content if isinstance(part, ToolCall)]
        if text or thought or calls:
            found[choice.index] = (text, thought, "".join(calls))
    return found


def spelled(exchange: Exchange) -> dict[int, tuple[str, str, str]]:
    """Return the same from the recording, without the translator."""
    found: dict[int, list[str]] = defaultdict(lambda: ["", "", ""])
    for chunk in chunks_in(exchange):
        for choice in chunk.get("choices") or []:
            said = choice.get("delta" if exchange.kind == "sse" else "message") or {"content": choice.get("text")}
            told_here = found[choice.get("index") or 0]
            add_content(told_here, said)
            details = [item.get("text") or item.get("summary") or "" for item in said.get("reasoning_details") or []]
            told_here[1] += "".join(details) or said.get("reasoning_content") or said.get("reasoning") or ""
            for call in said.get("tool_calls") or []:
                function = call["function"]
                told_here[2] += (function.get("name") or "") + (function.get("arguments") or "").replace("{}", "")
    return {index: (texts[0], texts[1], texts[2]) for index, texts in found.items() if any(texts)}


def chunks_in(exchange: Exchange) -> list[dict[str, Any]]:
    if exchange.kind == "json":
        return [json.loads(exchange.recorded)]
    lines = [line[5:].strip() for line in exchange.recorded.decode().splitlines() if line.startswith("data:")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def add_content(told_here: list[str], said: dict[str, Any]) -> None:
    content = said.get("content") or said.get("refusal") or ""
    if isinstance(content, dict):
        content = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
    if isinstance(content, str):
        told_here[0] += content
        return
    for part in content:
        told_here[0] += part.get("text") or ""
        told_here[1] += "".join([piece["text"] for piece in part.get("thinking") or []])


def test_a_recorded_answer_that_is_written_for_a_client_tells_the_same_whole_and_in_a_stream() -> None:
    for exchange in answered():
        wire, answer = wire_of(exchange), read(exchange)
        asked = asked_for(exchange)
        whole = wire.read_answer(wire.write_answer(answer, None, asked), ids())
        decoder = wire.stream_decoder(ids())
        stream = encode_all(wire.stream_encoder(asked), events_of(answer, None))
        streamed = answer_of([*decoder.feed(stream), *decoder.rest()])
        assert told(whole) == told(answer), exchange.slug
        assert told(streamed) == told(answer), exchange.slug
        finishes = [choice.finish_reason for choice in answer.choices]
        assert [choice.finish_reason for choice in whole.choices] == finishes, exchange.slug
        assert [choice.finish_reason for choice in streamed.choices] == finishes or not finishes, exchange.slug


def asked_for(exchange: Exchange) -> Asked:
    assert exchange.asked is not None
    return Asked(
        request=ChatRequest(origin=exchange.asked.wire, model="m", messages=()),
        model="m",
        answer_id="x",
        created_s=1,
        input_tokens_estimate=1,
        new_id=ids(),
    )


@pytest.mark.parametrize("name", EXPECTED)
def test_a_recorded_answer_has_these_parts(name: str) -> None:
    provider, _, end = name.partition("/…")
    found = [
        exchange
        for exchange in answered()
        if exchange.provider == provider and exchange.api == "chat.completions" and exchange.slug.endswith(end)
    ]
    assert len(found) == 1, [exchange.slug for exchange in found]
    assert tuple(lines_of(read(found[0]))) == EXPECTED[name]


def lines_of(answer: ChatAnswer) -> Iterator[str]:
    for choice in answer.choices:
        which = "" if len(answer.choices) == 1 else f"{choice.index}: "
        for part in choice.content:
            yield which + line_of(part)
        yield f"{which}finish {choice.finish_reason}" + (" with logprobs" if choice.logprobs else "")


def line_of(part: Part) -> str:
    match part:
        case Text():
            line = f"text {part.text!r}" if len(part.text) <= 24 else f"text of {len(part.text)}"
            return line + (f" citing {len(part.citations)}" if part.citations else "") + sealed(part)
        case Thinking():
            return f"thought of {len(part.text)} ({how(part)})" + (" redacted" if part.redacted else "")
        case ToolCall():
            given = part.arguments if len(part.arguments) <= 42 else f"of {len(part.arguments)}"
            return f"call {part.name} {given}" + sealed(part)
        case Refusal():
            return f"refusal of {len(part.text)}"
        case Audio(source=Inline() as source):
            return f"audio {source.media_type} of {len(source.data)}, said {len(part.transcript or '')}"
        case _:
            return type(part).__name__


def sealed(part: Text | ToolCall) -> str:
    return " sealed" if part.signature else ""


def how(thought: Thinking) -> str:
    """Return how a thought came, as its signature keeps it."""
    assert thought.signature is not None
    value = thought.signature.value
    if not value.startswith("{"):
        return value
    detail = msgspec.json.decode(value)
    return str(detail["type"]) + ("+signature" if "signature" in detail else "")
