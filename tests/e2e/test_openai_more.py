"""The official OpenAI client's responses, completions and embeddings, through the gateway; the ledger agrees."""

import base64
import json
import socket
import struct
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from farthing.types.calls import Attempt
from tests.e2e.support import Gateway, request, running_gateway
from tests.e2e.upstream import Script, streamed, upstream, whole

PRICES = """
prices:
  - {model: "openai:m", input: 2, output: 8, cache_read: 0.5, cache_write_5m: 2.5, web_search: 0.01}
  - {model: "lab:*", input: 2, output: 8}
  - {model: "openai:vectors", input: 0.02, output: 0}
unpriced: refuse
"""


class Stage:
    """An upstream whose answers a test sets, one after another."""

    def __init__(self) -> None:
        self.url = ""
        self._last = b""
        self._script: Script = whole(b"{}")

    def plays(self, script: Script) -> None:
        self._script = script

    def answer(self, connection: socket.socket, request: bytes) -> None:
        self._last = request
        self._script(connection, request)

    def received(self) -> tuple[str, bytes]:
        """Return path and body of the last request."""
        head, _, body = self._last.partition(b"\r\n\r\n")
        return head.split(b" ", 2)[1].decode(), body


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    found = Stage()
    with upstream(found.answer) as server:
        found.url = server.url
        yield found


@pytest.fixture(scope="module")
def gateway(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    text = f"""
providers:
  openai: {{base_url: {stage.url}/v1, credential: env:KEY, hold_s: 0.4, timeouts: {{idle_s: 1}}}}
  lab: {{kind: openai-compatible, base_url: {stage.url}/lab/v1, credential: none, stream_usage: always}}
  free: {{kind: openai-compatible, base_url: {stage.url}/free/v1, credential: none}}
models:
  fast: openai:m
{PRICES}"""
    with running_gateway(tmp_path_factory.mktemp("home"), text, KEY="sk-upstream") as running:
        yield running
        running.verify()


@pytest.fixture(scope="module")
def key(gateway: Gateway) -> str:
    return gateway.new_key()


@pytest.fixture(scope="module", params=["/v1", ""], ids=["with /v1", "without /v1"])
def any_base(request: pytest.FixtureRequest, gateway: Gateway, key: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{gateway.url}{request.param}", api_key=key, max_retries=0) as found:
        yield found


@pytest.fixture(scope="module")
def client(gateway: Gateway, key: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0) as found:
        yield found


def last(gateway: Gateway) -> Attempt:
    return gateway.attempts()[-1]


# ---- responses


def used(given: int, made: int, *, cached: int = 0, written: int = 0, reasoning: int = 0) -> dict[str, Any]:
    return {
        "input_tokens": given,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
        "output_tokens": made,
        "output_tokens_details": {"reasoning_tokens": reasoning},
        "total_tokens": given + made,
    }


def response(*output: Any, status: str = "completed", **more: Any) -> dict[str, Any]:
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "model": "m",
        "output": list(output),
        "parallel_tool_calls": True,
        "service_tier": "default",
        "tool_choice": "auto",
        "tools": [],
        "usage": None,
        **more,
    }


def message(text: str) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}


CALL = {
    "id": "fc_1",
    "type": "function_call",
    "call_id": "call_1",
    "name": "weather",
    "arguments": '{"city":"Paris"}',
    "status": "completed",
}
THOUGHT = {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "Let me think."}]}
SEARCH = {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "q"}}


def said(item: dict[str, Any], index: int) -> list[tuple[str, dict[str, Any]]]:
    """Tell the events with which an item is streamed, between the one that adds it and the one that ends it."""
    at = {"item_id": item["id"], "output_index": index}
    if item["type"] == "function_call":
        halves = (item["arguments"][:7], item["arguments"][7:])
        deltas = [
            ("response.function_call_arguments.delta", {**at, "delta": half, "obfuscation": "x"}) for half in halves
        ]
        return [*deltas, ("response.function_call_arguments.done", {**at, "arguments": item["arguments"]})]
    if item["type"] == "reasoning":
        part = item["summary"][0]
        at["summary_index"] = 0
        return [
            ("response.reasoning_summary_part.added", {**at, "part": {**part, "text": ""}}),
            ("response.reasoning_summary_text.delta", {**at, "delta": part["text"]}),
            ("response.reasoning_summary_text.done", {**at, "text": part["text"]}),
            ("response.reasoning_summary_part.done", {**at, "part": part}),
        ]
    if item["type"] == "web_search_call":
        return [(f"response.web_search_call.{step}", at) for step in ("in_progress", "searching", "completed")]
    part = item["content"][0]
    at["content_index"] = 0
    words = part["text"].split(" ")
    return [
        ("response.content_part.added", {**at, "part": {**part, "text": ""}}),
        *(("response.output_text.delta", {**at, "delta": f"{word} ", "logprobs": []}) for word in words[:-1]),
        ("response.output_text.delta", {**at, "delta": words[-1], "logprobs": [], "obfuscation": "8Xq"}),
        ("response.output_text.done", {**at, "text": part["text"], "logprobs": []}),
        ("response.content_part.done", {**at, "part": part}),
    ]


def events(final: dict[str, Any]) -> list[bytes]:
    """Return the stream of a response, as OpenAI numbers and names its events."""
    empty = {**final, "status": "in_progress", "output": [], "usage": None, "error": None, "service_tier": "auto"}
    told: list[tuple[str, dict[str, Any]]] = [
        (f"response.{kind}", {"response": empty}) for kind in ("created", "in_progress")
    ]
    for index, item in enumerate(final["output"]):
        begun = {**item, "status": "in_progress"}
        begun |= {
            name: nothing for name, nothing in (("arguments", ""), ("content", []), ("summary", [])) if name in item
        }
        told.append(("response.output_item.added", {"output_index": index, "item": begun}))
        told += said(item, index)
        told.append(("response.output_item.done", {"output_index": index, "item": item}))
    told.append((f"response.{final['status']}", {"response": final}))
    return [event(kind, sequence_number=number, **content) for number, (kind, content) in enumerate(told)]


def event(kind: str, **content: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **content})}\n\n".encode()


def test_a_response_is_passed_on_byte_for_byte_and_priced(
    any_base: openai.OpenAI, stage: Stage, gateway: Gateway
) -> None:
    body = json.dumps(response(message("Hello."), usage=used(1000, 50, cached=600, written=100)), indent=1).encode()
    stage.plays(whole(body, content_type="application/json"))
    raw = any_base.responses.with_raw_response.create(model="fast", input="Hi", extra_body={"unknown": [1.0]})
    assert raw.http_response.content == body
    assert raw.parse().output_text == "Hello."
    path, sent = stage.received()
    assert path == "/v1/responses"
    assert json.loads(sent) == {"input": "Hi", "model": "m", "unknown": [1.0]}
    attempt = last(gateway)
    assert (attempt.opening.operation, attempt.opening.face, attempt.outcome) == ("responses", "openai", "ok")
    assert (attempt.cost_basis, attempt.service_tier, attempt.model_served) == ("reported", "default", "m")
    # 300 x 2 + 600 x 0.5 + 100 x 2.5 + 50 x 8 millionths of a dollar
    assert attempt.cost_nanousd == 600_000 + 300_000 + 250_000 + 400_000


def test_a_streamed_response_with_thought_call_and_text(client: openai.OpenAI, stage: Stage, gateway: Gateway) -> None:
    final = response(THOUGHT, CALL, message("It is 21 degrees."), usage=used(100, 40, reasoning=20))
    stage.plays(streamed(*events(final)))
    tool: Any = {"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": False}
    with client.responses.stream(model="openai:m", input="Hi", tools=[tool]) as stream:
        deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
        got = stream.get_final_response()
    assert "".join(deltas) == got.output_text == "It is 21 degrees."
    assert [item.type for item in got.output] == ["reasoning", "function_call", "message"]
    attempt = last(gateway)
    assert (attempt.cost_basis, attempt.usage.reasoning_output_tokens, attempt.first_output_us is None) == (
        "reported",
        20,
        False,
    )
    assert attempt.cost_nanousd == 100 * 2_000 + 40 * 8_000


def test_a_stream_reaches_the_client_byte_for_byte(stage: Stage, gateway: Gateway, key: str) -> None:
    sent = b"".join(events(response(message("a b c"), usage=used(10, 3)))) + b"data: [DONE]\n\n"
    stage.plays(streamed(*(sent[at : at + 31] for at in range(0, len(sent), 31))))
    answer = gateway.post("/v1/responses", {"model": "m", "input": "Hi", "stream": True}, key)
    assert answer.body == sent
    assert json.loads(stage.received()[1]) == {"model": "m", "input": "Hi", "stream": True}
    assert last(gateway).cost_nanousd == 10 * 2_000 + 3 * 8_000


@pytest.mark.parametrize("counted", [True, False], ids=["counted by the provider", "counted by items"])
def test_searches_are_billed_and_opened_pages_are_not(
    client: openai.OpenAI, stage: Stage, gateway: Gateway, counted: bool
) -> None:
    opened = {**SEARCH, "id": "ws_2", "action": {"type": "open_page", "url": "https://example.com"}}
    more: dict[str, Any] = {"tool_usage": {"web_search": {"num_requests": 2}}} if counted else {}
    output = (SEARCH, opened, {**SEARCH, "id": "ws_3"}, message("Found."))
    stage.plays(streamed(*events(response(*output, usage=used(100, 10), **more))))
    assert list(client.responses.create(model="m", input="Hi", stream=True))[-1].type == "response.completed"
    attempt = last(gateway)
    assert attempt.usage.web_search_requests == 2
    assert attempt.cost_nanousd == 2 * 10_000_000 + 100 * 2_000 + 10 * 8_000


def test_an_incomplete_response_is_whole_and_counted(client: openai.OpenAI, stage: Stage, gateway: Gateway) -> None:
    final = response(
        message("cut"), status="incomplete", incomplete_details={"reason": "max_output_tokens"}, usage=used(16, 16)
    )
    stage.plays(streamed(*events(final)))
    assert list(client.responses.create(model="m", input="Hi", stream=True))[-1].type == "response.incomplete"
    assert (last(gateway).outcome, last(gateway).cost_nanousd) == ("ok", 16 * 10_000)


def test_a_failed_response_is_a_failure_with_the_provider_s_words(
    client: openai.OpenAI, stage: Stage, gateway: Gateway
) -> None:
    error = {"code": "server_error", "message": "The model broke."}
    stage.plays(streamed(*events(response(message("half"), status="failed", error=error))))
    (*_, final) = client.responses.create(model="m", input="Hi", stream=True)
    assert final.type == "response.failed"
    attempt = last(gateway)
    assert (attempt.outcome, attempt.error_code, attempt.error_message) == (
        "provider_error",
        "server_error",
        "The model broke.",
    )
    assert attempt.cost_basis == "estimated"


@pytest.mark.parametrize("shape", ["documented", "sent"])
def test_an_error_event_in_the_stream_is_a_failure(
    client: openai.OpenAI, stage: Stage, gateway: Gateway, shape: str
) -> None:
    words = {"code": "rate_limit_exceeded", "message": "Slow down.", "param": None}
    content: Any = words if shape == "documented" else {"error": {"type": "tokens", **words}}
    start = events(response(message("a b"), usage=used(1, 1)))[:6]
    stage.plays(streamed(*start, event("error", sequence_number=9, **content)))
    stream = client.responses.create(model="m", input="Hi", stream=True)
    if shape == "documented":
        assert [told.type for told in stream][-1] == "error"
    else:
        with pytest.raises(openai.APIError, match="Slow down"):
            list(stream)
    attempt = last(gateway)
    assert (attempt.outcome, attempt.error_code, attempt.cost_basis) == (
        "provider_error",
        "rate_limit_exceeded",
        "estimated",
    )


@pytest.mark.parametrize("ending", ["connection", "body", "done"])
def test_a_cut_stream_ends_in_an_error_event_and_never_in_a_completion(
    client: openai.OpenAI, stage: Stage, gateway: Gateway, key: str, ending: str
) -> None:
    pieces = events(response(message("several words were said"), usage=used(100, 40)))[:-3]
    if ending == "done":
        pieces.append(b"data: [DONE]\n\n")
    stage.plays(streamed(*pieces, end=ending != "connection", close=ending == "connection"))
    answer = gateway.post("/v1/responses", {"model": "m", "input": "Hi " * 50, "stream": True}, key)
    assert b"response.completed" not in answer.body
    told = json.loads(answer.body.rstrip().rpartition(b"data: ")[2])
    assert (told["type"], told["code"], told["param"]) == ("error", "provider_cut", None)
    assert told["error"]["message"] == told["message"]
    assert isinstance(told["sequence_number"], int)
    if ending != "done":
        with pytest.raises(openai.APIError, match=r"the stream ended before|closed the connection"):
            list(client.responses.create(model="m", input="Hi " * 50, stream=True))
    attempt = last(gateway)
    assert (attempt.outcome, attempt.cost_basis) == ("provider_cut", "estimated")
    assert 3 <= (attempt.usage.output_tokens or 0) <= 8


def test_searches_of_a_cut_stream_are_billed(stage: Stage, gateway: Gateway, key: str) -> None:
    stage.plays(streamed(*events(response(SEARCH, message("some words"), usage=used(100, 40)))[:-1], end=True))
    gateway.post("/v1/responses", {"model": "m", "input": "Hi", "stream": True}, key)
    assert last(gateway).usage.web_search_requests == 1
    assert (last(gateway).cost_nanousd or 0) > 10_000_000


def test_a_background_response_is_of_unknown_cost(client: openai.OpenAI, stage: Stage, gateway: Gateway) -> None:
    stage.plays(whole(json.dumps(response(status="queued")).encode()))
    assert client.responses.create(model="m", input="Hi", background=True).status == "queued"
    assert (last(gateway).cost_nanousd, last(gateway).cost_basis) == (None, "unknown")


def test_a_refusal_about_money_stops_codex_and_the_sdks(gateway: Gateway, key: str, stage: Stage) -> None:
    stage.plays(whole(b'{"data":[]}'))
    body = {"model": "free:unpriced", "input": "Hi", "messages": []}
    refused = gateway.post("/v1/responses", body, key)
    assert (refused.status, refused.headers["x-should-retry"]) == (429, "false")
    assert "retry-after" not in refused.headers
    assert refused.json()["error"]["code"] == "unpriced_model"
    assert gateway.post("/v1/chat/completions", body, key).status == 402
    patient = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=5)
    with patient, pytest.raises(openai.RateLimitError):
        patient.responses.create(model="free:unpriced", input="Hi")


# ---- completions


def completion(*texts: str, finish: str | None = "stop", **more: Any) -> dict[str, Any]:
    choices = [
        {"text": text, "index": index, "logprobs": None, "finish_reason": finish} for index, text in enumerate(texts)
    ]
    return {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m", "choices": choices, **more}


COUNTED = {"prompt_tokens": 10, "completion_tokens": 6, "total_tokens": 16}


def test_a_completion_is_passed_on_byte_for_byte_and_priced(
    any_base: openai.OpenAI, stage: Stage, gateway: Gateway
) -> None:
    body = json.dumps(completion("Say this", " again", usage=COUNTED)).encode()
    stage.plays(whole(body))
    raw = any_base.completions.with_raw_response.create(model="m", prompt="Say", n=2, echo=True)
    assert raw.http_response.content == body
    assert [choice.text for choice in raw.parse().choices] == ["Say this", " again"]
    assert stage.received()[0] == "/v1/completions"
    attempt = last(gateway)
    assert (attempt.opening.operation, attempt.cost_nanousd) == ("completions", 10 * 2_000 + 6 * 8_000)


@pytest.mark.parametrize("asked", [True, False])
def test_a_streamed_completion_is_counted_and_the_count_kept_from_who_did_not_ask(
    client: openai.OpenAI, stage: Stage, gateway: Gateway, asked: bool
) -> None:
    chunks = [completion(" two", finish=None, usage=None), completion(" words", usage=None), completion(usage=COUNTED)]
    stage.plays(streamed(*(b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks), b"data: [DONE]\n\n"))
    options: Any = {"stream_options": {"include_usage": True}} if asked else {}
    got = list(client.completions.create(model="m", prompt="Say", stream=True, **options))
    assert "".join(choice.text for chunk in got for choice in chunk.choices) == " two words"
    assert [chunk.usage is not None for chunk in got] == ([False, False, True] if asked else [False, False])
    assert json.loads(stage.received()[1])["stream_options"] == {"include_usage": True}
    assert (last(gateway).cost_basis, last(gateway).cost_nanousd) == ("reported", 10 * 2_000 + 6 * 8_000)


def test_a_cut_completion_ends_in_an_error_and_is_estimated(
    client: openai.OpenAI, stage: Stage, gateway: Gateway
) -> None:
    stage.plays(
        streamed(b"data: %b\n\n" % json.dumps(completion("a few words", finish=None)).encode(), close=True, end=False)
    )
    with pytest.raises(openai.APIError):
        list(client.completions.create(model="m", prompt="Say", stream=True))
    assert (last(gateway).outcome, last(gateway).cost_basis) == ("provider_cut", "estimated")
    assert (last(gateway).usage.output_tokens or 0) >= 2


def test_a_provider_that_counts_unasked_is_not_asked(client: openai.OpenAI, stage: Stage, gateway: Gateway) -> None:
    last_chunk = completion(" end", usage=COUNTED)
    stage.plays(streamed(b"data: %b\n\n" % json.dumps(last_chunk).encode(), b"data: [DONE]\n\n"))
    list(client.completions.create(model="lab:x", prompt="Say", stream=True))
    assert stage.received()[0] == "/lab/v1/completions"
    assert b"stream_options" not in stage.received()[1]
    assert last(gateway).cost_nanousd == 10 * 2_000 + 6 * 8_000


# ---- embeddings


def vectors(*embeddings: Any) -> bytes:
    data = [{"object": "embedding", "index": index, "embedding": each} for index, each in enumerate(embeddings)]
    usage = {"prompt_tokens": 150, "total_tokens": 150}
    return json.dumps({"object": "list", "data": data, "model": "vectors", "usage": usage}).encode()


def test_embeddings_in_base64_are_what_the_client_asks_for(
    any_base: openai.OpenAI, stage: Stage, gateway: Gateway
) -> None:
    numbers = [0.5, -0.25, 0.125]
    stage.plays(whole(vectors(base64.b64encode(struct.pack("<3f", *numbers)).decode())))
    assert any_base.embeddings.create(model="openai:vectors", input="Hi").data[0].embedding == numbers
    path, sent = stage.received()
    assert (path, json.loads(sent)["encoding_format"]) == ("/v1/embeddings", "base64")
    attempt = last(gateway)
    assert (attempt.outcome, attempt.opening.operation, attempt.cost_basis) == ("ok", "embeddings", "reported")
    assert (attempt.usage.input_tokens, attempt.usage.output_tokens, attempt.cost_nanousd) == (150, 0, 3_000)


def test_large_float_embeddings_pass_byte_for_byte(client: openai.OpenAI, stage: Stage, gateway: Gateway) -> None:
    body = vectors(*([index / 3_000.0 for index in range(3_072)] for _ in range(64)))
    assert len(body) > 3_000_000
    stage.plays(whole(body))
    raw = client.embeddings.with_raw_response.create(model="vectors", input=["Hi"] * 64, encoding_format="float")
    assert raw.http_response.content == body
    assert last(gateway).cost_nanousd == 3_000


def test_embeddings_are_never_a_stream(stage: Stage, gateway: Gateway, key: str) -> None:
    stage.plays(whole(vectors([1.0])))
    body = {"model": "vectors", "input": "Hi", "stream": True}
    assert gateway.post("/v1/embeddings", body, key).body == vectors([1.0])
    assert json.loads(stage.received()[1]) == body
    assert not last(gateway).opening.streamed


# ---- who may ask


@pytest.mark.parametrize("path", ["responses", "completions", "embeddings"])
@pytest.mark.parametrize("base", ["/v1/", "/", "/k/ft-wrong/v1/"])
def test_nothing_is_served_without_a_key_of_ours(gateway: Gateway, base: str, path: str) -> None:
    answer = gateway.post(f"{base}{path}", {"model": "m", "input": "Hi", "prompt": "Hi"}, "sk-foreign")
    assert (answer.status, answer.json()["error"]["code"]) == (401, "invalid_api_key")


def test_a_key_in_the_path_is_taken(gateway: Gateway, key: str, stage: Stage) -> None:
    stage.plays(whole(vectors([1.0])))
    body = json.dumps({"model": "vectors", "input": "Hi"}).encode()
    answer = request(gateway.port, "POST", f"/k/{key}/v1/embeddings", body)
    assert (answer.status, answer.body) == (200, vectors([1.0]))


def test_a_refusal_by_the_provider_is_passed_on_and_costs_nothing(
    client: openai.OpenAI, stage: Stage, gateway: Gateway
) -> None:
    body = b'{"error":{"message":"no such size","type":"invalid_request_error","param":"dimensions","code":null}}'
    stage.plays(whole(body, "400 Bad Request"))
    with pytest.raises(openai.BadRequestError) as told:
        client.embeddings.create(model="vectors", input="Hi", dimensions=7)
    assert told.value.response.content == body
    assert (last(gateway).outcome, last(gateway).cost_nanousd) == ("provider_error", 0)
