"""Every recorded exchange of Anthropic is decoded, some as counted by hand, and what is written is what was read."""

import json
import os
from functools import cache
from pathlib import Path

import pytest
from anthropic.types import Message as SdkMessage

from farthing.errors import InvalidRequest
from farthing.types.chat import ChatAnswer, ChatRequest, Part, Text, Thinking, ToolCall
from farthing.wire.translators.anthropic_messages import TRANSLATOR
from farthing.wire.translators.assembly import answer_of, events_of
from farthing.wire.translators.protocol import Asked, encode_all
from tests.e2e.recordings.exchanges import Exchange, load
from tests.e2e.translated.anthropic_expectations import ANSWERS, REQUESTS

RECORDINGS = os.environ.get("FARTHING_RECORDINGS", "")
pytestmark = [
    pytest.mark.recordings,
    pytest.mark.skipif(not RECORDINGS, reason="no recordings: set FARTHING_RECORDINGS to their folder"),
]
LEAST_READ = 175
"""Of the 178 that are recorded; fewer means that the test quietly lost some."""
REFUSED = "completion-error-3af6a"
"""Its message is a bare text, which Anthropic refused as well."""


@cache
def recorded() -> dict[str, Exchange]:
    return {
        one.slug: one
        for one in load(Path(RECORDINGS))
        if one.asked is not None and one.asked.wire == "anthropic_messages" and one.asked.operation == "messages"
    }


def named(ending: str) -> Exchange:
    (slug,) = [slug for slug in recorded() if slug.endswith(ending)]
    return recorded()[slug]


def request_of(one: Exchange) -> ChatRequest:
    body = json.dumps(one.body).encode()
    return TRANSLATOR.read_request(body, model=one.model or "claude", streamed=one.kind == "sse")


def new_id(prefix: str) -> str:
    return f"{prefix}new"


def answer_in(one: Exchange) -> ChatAnswer:
    if one.kind == "json":
        return TRANSLATOR.read_answer(one.recorded, new_id)
    decoder = TRANSLATOR.stream_decoder(new_id)
    found = decoder.feed(one.recorded)
    return answer_of([*found, *decoder.rest()])


def in_words(part: Part) -> str:
    match part:
        case Text():
            return f"text {len(part.text)}" + (f" +{len(part.citations)}" if part.citations else "")
        case Thinking():
            sealed = 0 if part.signature is None else len(part.signature.value)
            return f"{'redacted' if part.redacted else 'thinking'} {len(part.text)} {sealed}"
        case ToolCall():
            return f"tool_call {part.name} {','.join(json.loads(part.arguments))}"
        case _:
            return f"{part.__struct_config__.tag} {getattr(part, 'kind', '')}".rstrip()


@pytest.mark.parametrize("ending", ANSWERS)
def test_an_answer_says_what_was_counted_by_hand(ending: str) -> None:
    (choice,) = answer_in(named(ending)).choices
    reason = choice.finish_reason if choice.stop_sequence is None else f"{choice.finish_reason} {choice.stop_sequence}"
    assert (reason, *map(in_words, choice.content)) == ANSWERS[ending]


@pytest.mark.parametrize("ending", REQUESTS)
def test_a_request_asks_what_was_counted_by_hand(ending: str) -> None:
    asked = request_of(named(ending))
    found = [
        " ".join([message.role, *[str(p.__struct_config__.tag) for p in message.content]]) for message in asked.messages
    ]
    thinks = asked.reasoning
    found += [f"tools {len(asked.tools)}"] * bool(asked.tools)
    found += ["strict"] * any(tool.strict for tool in asked.tools)
    found += [f"server_tools {len(asked.server_tools)}"] * bool(asked.server_tools)
    found += [f"choice {asked.tool_choice.mode}"] if asked.tool_choice is not None else []
    found += ["parallel"] * bool(asked.parallel_tool_calls)
    if thinks is not None:
        found += ["off"] * thinks.off + ["adaptive"] * thinks.adaptive
        found += [f"budget {thinks.budget_tokens}"] if thinks.budget_tokens is not None else []
    found += ["shape"] * (asked.shape is not None)
    found += [f"extra {name}" for name in asked.extra]
    assert tuple(found) == REQUESTS[ending]


def test_every_recorded_request_is_read_and_what_is_written_stays_as_it_is() -> None:
    read = 0
    for slug, one in recorded().items():
        if slug.endswith(REFUSED):
            with pytest.raises(InvalidRequest, match="Invalid content"):
                request_of(one)
            continue
        asked = request_of(one)
        once = TRANSLATOR.write_request(asked, new_id)
        again = TRANSLATOR.read_request(once, model=asked.model, streamed=asked.streamed)
        assert TRANSLATOR.write_request(again, new_id) == once, slug
        assert [message.role for message in again.messages] == [message.role for message in asked.messages], slug
        read += 1
    assert read >= LEAST_READ


def test_every_recorded_answer_is_read_and_told_again_whole_and_streamed() -> None:
    read = 0
    for slug, one in recorded().items():
        told = answer_in(one)
        if one.status != 200:
            continue
        asked = Asked(
            request=ChatRequest(origin="openai_chat", model="m", messages=()),
            model=told.model or "claude",
            answer_id=(told.id or "").removeprefix("msg_"),
            created_s=1,
            input_tokens_estimate=7,
            new_id=new_id,
        )
        body = TRANSLATOR.write_answer(told, None, asked)
        streamed = encode_all(TRANSLATOR.stream_encoder(asked), events_of(told, None))
        decoder = TRANSLATOR.stream_decoder(new_id)
        events = decoder.feed(streamed)
        assert plain(answer_of([*events, *decoder.rest()])) == plain(told), slug
        assert plain(TRANSLATOR.read_answer(body, new_id)) == plain(told), slug
        if not any(getattr(part, "kind", "").startswith("mcp_") for part in told.choices[0].content):  # a beta's
            SdkMessage.model_validate_json(body, strict=True)
        read += 1
    assert read >= LEAST_READ - 10


def plain(told: ChatAnswer) -> list[object]:
    """Return what an answer says, whatever the spacing of arguments, without empty texts, which are not told again."""
    (choice,) = told.choices
    parts = [
        (part.id, part.name, json.loads(part.arguments)) if isinstance(part, ToolCall) else part
        for part in choice.content
        if not (isinstance(part, Text) and not part.text)
    ]
    return [told.id, told.model, choice.finish_reason, choice.stop_sequence, *parts]
