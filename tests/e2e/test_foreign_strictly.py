"""Our answers against the response types of the openai and anthropic packages, strictly, streams event by event.

The packages themselves read leniently: unknown members are kept, missing ones are not noticed. Here a member that the
type does not have is an error, and so is one that it needs and does not get, or gets as something else.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from anthropic.types import Message, RawMessageStreamEvent
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from tests.e2e.foreign import anthropic_clients, openai_clients
from tests.e2e.foreign.house import KINDS, REPLIES, Ask, House, open_house

WHOLE: dict[str, Any] = {
    "openai_chat": TypeAdapter(ChatCompletion),
    "openai_responses": TypeAdapter(Response),
    "anthropic_messages": TypeAdapter(Message),
}
EVENTS: dict[str, Any] = {
    "openai_chat": TypeAdapter(ChatCompletionChunk),
    "openai_responses": TypeAdapter(ResponseStreamEvent),
    "anthropic_messages": TypeAdapter(RawMessageStreamEvent),
}
PATHS = {
    "openai_chat": "/v1/chat/completions",
    "openai_responses": "/v1/responses",
    "anthropic_messages": "/v1/messages",
}
BODIES: dict[str, Any] = {
    "openai_chat": openai_clients.chat_request,
    "openai_responses": openai_clients.responses_request,
    "anthropic_messages": anthropic_clients.request,
}
BESIDE = {"reasoning_content", "frequency_penalty", "presence_penalty", "store"}
"""What OpenAI's types do not have: the member of thoughts, which half of the field's clients read in a chat completion,
and three that OpenAI itself sends in each response (recorded in 2026)."""
CASES = [
    (face, provider)
    for face in PATHS
    for provider, kind in KINDS.items()
    if kind.wire != face and (face, provider) not in {("openai_responses", "deepseek"), ("openai_chat", "openai")}
]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with open_house(tmp_path_factory.mktemp("strictly") / "home") as found:
        yield found


@pytest.mark.parametrize("situation", REPLIES)
@pytest.mark.parametrize(("face", "provider"), CASES)
def test_an_answer_is_of_the_packages_own_type(house: House, face: str, provider: str, situation: str) -> None:
    house.next(provider, REPLIES[situation])
    answer = house.gateway.post(PATHS[face], BODIES[face](Ask(house.model(provider), situation)), house.key)
    assert answer.status == 200, answer.body
    strictly(WHOLE[face], answer.json())


@pytest.mark.parametrize("situation", REPLIES)
@pytest.mark.parametrize(("face", "provider"), CASES)
def test_every_event_of_a_stream_is_of_the_packages_own_type(
    house: House, face: str, provider: str, situation: str
) -> None:
    house.next(provider, REPLIES[situation])
    body = {**BODIES[face](Ask(house.model(provider), situation)), "stream": True}
    if face == "openai_chat":
        body["stream_options"] = {"include_usage": True}
    answer = house.gateway.post(PATHS[face], body, house.key)
    assert answer.status == 200, answer.body
    found = list(events(answer.body))
    for name, event in found:
        if face == "openai_chat":
            assert name is None
        else:
            assert name == event["type"]
        if event.get("type") != "ping":  # the anthropic package drops it before it looks at types
            strictly(EVENTS[face], event)
    order = {"openai_chat": _chunks, "openai_responses": _responses, "anthropic_messages": _messages}[face]
    order([event for _, event in found])
    assert answer.body.endswith(b"data: [DONE]\n\n") == (face == "openai_chat")


def events(body: bytes) -> Iterator[tuple[str | None, dict[str, Any]]]:
    for block in body.decode().split("\n\n"):
        name, data = None, None
        for line in block.split("\n"):
            field, _, value = line.partition(": ")
            if field == "event":
                name = value
            elif field == "data":
                data = value
        if data is not None and data != "[DONE]":
            yield name, json.loads(data)


def strictly(adapter: Any, data: dict[str, Any]) -> None:
    """Raise unless data is of the type, in JSON's own terms, with nothing in it that the type does not have."""
    value = adapter.validate_json(json.dumps(data), strict=True)
    assert isinstance(value, BaseModel)
    unknown = [path for path in _beside(value, type(value).__name__) if path.rpartition(".")[2] not in BESIDE]
    assert not unknown, (unknown, data)


def _beside(value: Any, path: str) -> Iterator[str]:
    """Yield the path of every member that its type does not have."""
    if isinstance(value, BaseModel):
        yield from (f"{path}.{name}" for name in value.model_extra or ())
        for name in value.model_fields_set & set(type(value).model_fields):
            yield from _beside(getattr(value, name), f"{path}.{name}")
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _beside(inner, f"{path}[{name}]")
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for at, inner in enumerate(value):
            yield from _beside(inner, f"{path}[{at}]")


def _chunks(found: list[dict[str, Any]]) -> None:
    """One id and one time; a role first, one finish, then usage in a chunk without choices."""
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in found}) == 1
    assert found[0]["choices"][0]["delta"]["role"] == "assistant"
    finishes = [chunk["choices"][0]["finish_reason"] for chunk in found if chunk["choices"]]
    assert finishes[-1] is not None
    assert not any(finishes[:-1])
    assert found[-1]["choices"] == []
    assert found[-1]["usage"]["total_tokens"] > 0
    assert all(chunk["usage"] is None for chunk in found[:-1])


def _responses(found: list[dict[str, Any]]) -> None:
    """Numbered without a gap; every item is added and done, one after the other; the last event has them all."""
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    assert [event["type"] for event in found[:2]] == ["response.created", "response.in_progress"]
    last = found[-1]
    assert last["type"] in ("response.completed", "response.incomplete")
    done = [event["item"] for event in found if event["type"] == "response.output_item.done"]
    assert last["response"]["output"] == done
    told = [
        (event["type"], event["output_index"]) for event in found if event["type"].startswith("response.output_item.")
    ]
    kinds = ("response.output_item.added", "response.output_item.done")
    assert told == [(kind, index) for index in range(len(done)) for kind in kinds]
    for event in found:
        if event["type"] == "response.output_text.done":
            pieces = [
                piece["delta"]
                for piece in found
                if piece["type"] == "response.output_text.delta" and piece["item_id"] == event["item_id"]
            ]
            assert "".join(pieces) == event["text"]


def _messages(found: list[dict[str, Any]]) -> None:
    """A start, blocks that begin and end one after the other, a delta with the stop and usage, an end."""
    kinds = [event["type"] for event in found if event["type"] != "ping"]
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    is_open, count = False, 0
    for event in found:
        match event["type"]:
            case "content_block_start":
                assert not is_open
                assert event["index"] == count
                is_open = True
            case "content_block_delta":
                assert is_open
                assert event["index"] == count
            case "content_block_stop":
                assert is_open
                assert event["index"] == count
                is_open, count = False, count + 1
            case _:
                assert not is_open
