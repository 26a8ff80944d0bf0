"""Holds what we write for clients of OpenAI's responses against the `openai` package: its strict types and its SDK."""

import itertools
import json
from collections.abc import Iterable
from typing import Any

import httpx2
import openai
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from farthing.types.chat import ChatAnswer, ChatRequest, Message, StreamEvent, Text
from farthing.types.usage import Usage
from farthing.wire.translators.assembly import answer_of, events_of
from farthing.wire.translators.openai_responses import TRANSLATOR
from farthing.wire.translators.protocol import Asked, NewId, encode_all

_events: TypeAdapter[ResponseStreamEvent] = TypeAdapter(ResponseStreamEvent)
USAGE = Usage(input_tokens=20, output_tokens=9, cache_read_input_tokens=8, reasoning_output_tokens=4)


def new_ids() -> NewId:
    """Return ids that are numbered."""
    numbers = itertools.count(1)
    return lambda prefix: f"{prefix}{next(numbers)}"


def asked_for(request: ChatRequest | None = None, *, model: str = "asked-model") -> Asked:
    """Return a call as the encoder knows it."""
    if request is None:
        request = ChatRequest(origin="openai_responses", model=model, messages=(Message("user", (Text("hi"),)),))
    return Asked(
        request=request,
        model=model,
        answer_id="abc123",
        created_s=1_790_000_000,
        input_tokens_estimate=7,
        new_id=new_ids(),
    )


def data_of(stream: bytes) -> list[dict[str, Any]]:
    """Return the events of a stream, each of which names itself twice, alike."""
    found = []
    for event in stream.decode().split("\n\n"):
        if event:
            name, data = event.split("\n")
            read = json.loads(data.removeprefix("data: "))
            assert name == f"event: {read['type']}"
            found.append(read)
    return found


def check_answer(body: bytes) -> Response:
    """Return a written answer once it holds against the SDK's type."""
    return Response.model_validate_json(body, strict=True)


def check_stream(stream: bytes) -> Response:
    """Return the answer that the SDK builds of a stream, once each of its events holds against the SDK's types."""
    events = data_of(stream)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    for event in events:
        if event["type"] != "error":
            _events.validate_json(json.dumps(event), strict=True)
    return through_sdk(stream)


def through_sdk(stream: bytes) -> Response:
    """Return what the SDK's own stream makes of the bytes."""

    def answer(_request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=stream)

    with (
        httpx2.Client(transport=httpx2.MockTransport(answer)) as http,
        openai.OpenAI(api_key="x", base_url="http://localhost/v1", http_client=http, max_retries=0) as client,
        client.responses.stream(model="m", input="hi") as told,
    ):
        return told.get_final_response()


def stream_of(answer: ChatAnswer, asked: Asked | None = None, usage: Usage | None = USAGE) -> bytes:
    """Return the stream that tells an answer."""
    return encode_all(TRANSLATOR.stream_encoder(asked or asked_for()), events_of(answer, usage))


def decoded(stream: bytes) -> list[StreamEvent]:
    """Return what the decoder makes of a stream that comes at once."""
    decoder = TRANSLATOR.stream_decoder(new_ids())
    return [*decoder.feed(stream), *decoder.rest()]


def answered(stream: bytes) -> ChatAnswer:
    """Return the answer that a stream tells."""
    return answer_of(decoded(stream))


def sse(events: Iterable[dict[str, Any]]) -> bytes:
    """Return events as a provider sends them."""
    return b"".join(b"event: %b\ndata: %b\n\n" % (str(e["type"]).encode(), json.dumps(e).encode()) for e in events)
