"""What a client sees of a translation: losses told or refused, counts, vectors, seals and errors."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from farthing.types.calls import Attempt
from tests.e2e.support import Answer, Gateway, request, running_gateway
from tests.e2e.upstream import Upstream, streamed, upstream, whole

SETTINGS = """
providers:
  claude: {{kind: anthropic, base_url: {url}, credential: none}}
  google: {{kind: gemini, base_url: {url}, credential: none}}
  lab: {{kind: openai-compatible, base_url: {url}/v1, credential: none}}
  local: {{kind: ollama, base_url: {url}}}
models: {{to-claude: "claude:c", to-google: "google:g", to-lab: "lab:m"}}
prices:
  - {{model: "claude:*", input: 2, output: 10}}
  - {{model: "google:*", input: 2, output: 10}}
  - {{model: "lab:*", input: 2, output: 10}}
"""
ASK = [{"role": "user", "content": "What is the weather in Bern?"}]
CLAUDE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "c",
    "content": [{"type": "text", "text": "Sunny."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 20, "output_tokens": 3},
}
CHAT: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Sunny."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 20, "completion_tokens": 3, "total_tokens": 23},
}


@pytest.fixture(scope="module")
def server() -> Iterator[Upstream]:
    with upstream(whole(b"{}")) as found:
        yield found


@pytest.fixture(scope="module")
def gateway(server: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running_gateway(tmp_path_factory.mktemp("translation") / "home", SETTINGS.format(url=server.url)) as found:
        yield found


@pytest.fixture(scope="module")
def key(gateway: Gateway) -> str:
    return gateway.new_key()


def answers(server: Upstream, answer: Any) -> None:
    server.now(whole(json.dumps(answer).encode(), content_type="application/json"))


def sent(server: Upstream) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(server.requests[-1].partition(b"\r\n\r\n")[2])
    return found


def attempt_of(gateway: Gateway, answer: Answer) -> Attempt:
    """Return the last try of the call that was answered so."""
    call = answer.headers["x-farthing-call-id"]
    return [attempt for attempt in gateway.attempts() if attempt.opening.call_id == call][-1]


def path_of(request: bytes) -> str:
    return request.split(b" ")[1].decode()


# ---- losses


def test_what_does_not_change_the_meaning_is_told_in_header_log_and_ledger(
    gateway: Gateway, key: str, server: Upstream
) -> None:
    answers(server, CLAUDE)
    body = {"model": "claude:c", "messages": ASK, "seed": 7, "logit_bias": {"5": 1}, "frobnicate": 1}
    answer = gateway.post("/v1/chat/completions", body, key)
    assert answer.status == 200
    assert answer.headers["x-farthing-loss"] == "seed, logit_bias, unknown_fields(frobnicate)"
    assert {"seed", "logit_bias", "frobnicate"}.isdisjoint(sent(server))
    assert attempt_of(gateway, answer).losses == "seed,logit_bias,unknown_fields(frobnicate)"
    told = gateway.farthing("calls", "show", answer.headers["x-farthing-call-id"]).stdout
    assert "seed, logit_bias, unknown_fields(frobnicate)" in told
    assert "lose in translation: seed, logit_bias" in (gateway.home / "serve.log").read_text()


def test_what_would_change_the_meaning_is_refused_with_the_members_name(
    gateway: Gateway, key: str, server: Upstream
) -> None:
    before = len(server.requests)
    answer = gateway.post("/v1/chat/completions", {"model": "claude:c", "messages": ASK, "n": 2}, key)
    assert answer.status == 400
    error = answer.json()["error"]
    assert error["code"] == "lost_in_translation"
    assert '"n"' in error["message"]
    assert "farthing config set translation.several warn" in error["message"]
    assert len(server.requests) == before


def test_the_operator_may_allow_a_loss(server: Upstream, tmp_path: Path) -> None:
    settings = SETTINGS.format(url=server.url) + "translation: {several: warn, rest: pass}\n"
    answers(server, CLAUDE)
    with running_gateway(tmp_path / "home", settings) as allowing:
        body = {"model": "claude:c", "messages": ASK, "n": 2, "seed": 1}
        answer = allowing.post("/v1/chat/completions", body, allowing.new_key())
    assert answer.status == 200
    assert answer.headers["x-farthing-loss"] == "several"


def test_why_it_went_where_it_went_is_told_on_demand(gateway: Gateway, key: str, server: Upstream) -> None:
    answers(server, CLAUDE)
    body = {"model": "claude:c", "messages": ASK}
    answer = gateway.post("/v1/chat/completions", body, key, {"x-farthing-explain": "1"})
    assert "translated from openai_chat to anthropic_messages" in answer.headers["x-farthing-reasons"]
    assert "x-farthing-reasons" not in gateway.post("/v1/chat/completions", body, key).headers


def test_headers_of_the_clients_dialect_do_not_reach_another_provider(
    gateway: Gateway, key: str, server: Upstream
) -> None:
    answers(server, CHAT)
    body = {"model": "lab:m", "messages": ASK, "max_tokens": 9}
    gateway.post("/v1/messages", body, key, {"anthropic-beta": "context-1m", "x-stainless-lang": "python"})
    head = server.requests[-1].partition(b"\r\n\r\n")[0].lower()
    assert b"anthropic" not in head
    assert b"stainless" not in head
    assert b"content-type: application/json" in head


# ---- counting, vectors, what a model can do


def test_a_provider_that_counts_is_asked_to(gateway: Gateway, key: str, server: Upstream) -> None:
    answers(server, {"totalTokens": 31})
    answer = gateway.post("/v1/messages/count_tokens", {"model": "google:g", "messages": ASK}, key)
    assert (answer.status, answer.json()) == (200, {"input_tokens": 31})
    assert path_of(server.requests[-1]) == "/v1beta/models/g:countTokens"
    assert "x-farthing-estimated" not in answer.headers
    answers(server, {"input_tokens": 29})
    contents = [{"role": "user", "parts": [{"text": "hello"}]}]
    answer = gateway.post("/v1beta/models/claude:c:countTokens", {"contents": contents}, key)
    assert (answer.status, answer.json()) == (200, {"totalTokens": 29})
    assert path_of(server.requests[-1]) == "/v1/messages/count_tokens"
    assert "max_tokens" not in sent(server)


def test_where_nobody_counts_the_estimate_says_that_it_is_one(gateway: Gateway, key: str, server: Upstream) -> None:
    before = len(server.requests)
    answer = gateway.post("/v1/messages/count_tokens", {"model": "lab:m", "messages": ASK}, key)
    assert answer.status == 200
    assert 5 < answer.json()["input_tokens"] < 60
    assert answer.headers["x-farthing-estimated"] == "true"
    assert len(server.requests) == before


def test_vectors_come_from_a_provider_of_another_format(gateway: Gateway, key: str, server: Upstream) -> None:
    answers(server, {"embeddings": [{"values": [0.5, -1.0]}, {"values": [1.0, 2.0]}]})
    answer = gateway.post("/v1/embeddings", {"model": "google:e", "input": ["a", "b"]}, key)
    assert answer.status == 200, answer.body
    assert [row["embedding"] for row in answer.json()["data"]] == [[0.5, -1.0], [1.0, 2.0]]
    assert path_of(server.requests[-1]) == "/v1beta/models/e:batchEmbedContents"
    usage = {"prompt_tokens": 4, "total_tokens": 4}
    answers(server, {"object": "list", "data": [{"index": 0, "embedding": [0.25]}], "model": "e", "usage": usage})
    answer = gateway.post("/api/embed", {"model": "lab:e", "input": "a"}, key)
    assert answer.json()["embeddings"] == [[0.25]]
    assert attempt_of(gateway, answer).cost_nanousd == 4 * 2_000


@pytest.mark.parametrize("vectors", [[[1.0]], [[1.0], [2.0], [3.0]], [[1.0], []], []])
def test_an_answer_without_a_vector_for_each_text_is_an_error_and_is_billed(
    gateway: Gateway, key: str, server: Upstream, vectors: list[list[float]]
) -> None:
    found = [{"values": vector} for vector in vectors]
    answers(server, {"embeddings": found, "usageMetadata": {"promptTokenCount": 4}})
    answer = gateway.post("/v1/embeddings", {"model": "google:e", "input": ["a", "b"]}, key)
    assert answer.status == 502, answer.body
    assert "2 texts with" in answer.json()["error"]["message"]
    assert gateway.attempts()[-1].cost_nanousd == 4 * 2_000


def test_a_provider_without_vectors_says_so(gateway: Gateway, key: str) -> None:
    answer = gateway.post("/v1/embeddings", {"model": "claude:c", "input": "a"}, key)
    assert answer.status == 501
    assert "makes no embeddings" in answer.json()["error"]["message"]


def test_ollamas_clients_can_ask_what_any_model_can_do(gateway: Gateway, key: str) -> None:
    answer = gateway.post("/api/show", {"model": "claude:c"}, key)
    assert answer.json()["capabilities"] == ["completion", "tools"]


def test_every_face_lists_the_models_of_every_provider(gateway: Gateway, key: str) -> None:
    for path in ("/v1/models", "/v1beta/models", "/api/tags"):
        found = request(gateway.port, "GET", path, headers={"authorization": f"Bearer {key}"})
        listed = found.body.decode()
        assert found.status == 200
        assert all(name in listed for name in ("to-claude", "to-google", "to-lab"))


# ---- streams


def test_a_client_that_did_not_ask_for_events_gets_geminis_array(gateway: Gateway, key: str, server: Upstream) -> None:
    chunks = [
        {"choices": [{"index": 0, "delta": {"content": "Sun"}}], "model": "m"},
        {"choices": [{"index": 0, "delta": {"content": "ny."}, "finish_reason": "stop"}], "model": "m"},
        {"choices": [], "usage": CHAT["usage"]},
    ]
    server.now(streamed(*[b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks], b"data: [DONE]\n\n"))
    contents = [{"role": "user", "parts": [{"text": "hello"}]}]
    answer = gateway.post("/v1beta/models/lab:m:streamGenerateContent", {"contents": contents}, key)
    assert answer.headers["content-type"] == "application/json"
    found = answer.json()
    parts = [part["text"] for chunk in found for part in chunk["candidates"][0]["content"].get("parts", ())]
    assert "".join(parts) == "Sunny."
    assert found[-1]["usageMetadata"]["totalTokenCount"] == 23


@pytest.mark.parametrize(
    ("path", "sign"), [("/v1/messages", b"event: ping\n"), ("/v1/chat/completions", b": ping\n\n"), ("/api/chat", b"")]
)
def test_a_silent_provider_that_shows_life_keeps_the_client_waiting(
    gateway: Gateway, key: str, server: Upstream, path: str, sign: bytes
) -> None:
    if path == "/v1/chat/completions":
        started = {**CLAUDE, "content": [], "stop_reason": None}
        events: list[dict[str, Any]] = [
            {"type": "message_start", "message": started},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Sunny."}},
            {"type": "ping"},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}},
            {"type": "message_stop"},
        ]
        data = [b"event: %b\ndata: %b\n\n" % (str(e["type"]).encode(), json.dumps(e).encode()) for e in events]
    else:
        chunks = [
            {"choices": [{"index": 0, "delta": {"content": "Sunny."}}], "model": "m"},
            {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "model": "m", "usage": CHAT["usage"]},
        ]
        data = [b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks] + [b"data: [DONE]\n\n"]
        data.insert(1, b": OPENROUTER PROCESSING\n\n")
    alone = [piece for event in data for piece in (event, 0.05)]  # so that each arrives by itself
    server.now(streamed(*alone))
    model = "claude:c" if path == "/v1/chat/completions" else "lab:m"
    answer = gateway.post(path, {"model": model, "messages": ASK, "max_tokens": 9, "stream": True}, key)
    assert answer.status == 200
    assert answer.body.count(sign) == 1 if sign else b"ping" not in answer.body


def test_a_cut_stream_ends_in_the_faces_own_error(gateway: Gateway, key: str, server: Upstream) -> None:
    first = {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "Sun"}}], "model": "m"}
    server.now(streamed(b"data: %b\n\n" % json.dumps(first).encode(), end=False, close=True))
    answer = gateway.post("/v1/messages", {"model": "lab:m", "messages": ASK, "max_tokens": 9, "stream": True}, key)
    assert answer.status == 200
    assert b"event: error\n" in answer.body
    assert b"message_stop" not in answer.body
    assert attempt_of(gateway, answer).outcome == "provider_cut"


def test_an_error_inside_a_stream_is_told_in_the_faces_shape(gateway: Gateway, key: str, server: Upstream) -> None:
    first = {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "Sun"}}], "model": "m"}
    failed = {"error": {"message": "the GPU burns", "code": 500}}
    server.now(streamed(*[b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in (first, failed)]))
    answer = gateway.post("/v1/messages", {"model": "lab:m", "messages": ASK, "max_tokens": 9, "stream": True}, key)
    assert b"event: error\n" in answer.body
    assert b"the GPU burns" in answer.body
    assert attempt_of(gateway, answer).outcome == "provider_error"


def test_a_refusal_keeps_its_status_and_words_in_the_faces_shape(gateway: Gateway, key: str, server: Upstream) -> None:
    refused = {"error": {"message": "slow down", "type": "rate_limit", "code": "rate_limit_exceeded"}}
    server.now(whole(json.dumps(refused).encode(), "429 Too Many Requests", retry_after="7"))
    answer = gateway.post("/v1/messages", {"model": "lab:m", "messages": ASK, "max_tokens": 9}, key)
    assert (answer.status, answer.headers["retry-after"]) == (429, "7")
    assert answer.json()["type"] == "error"
    assert answer.json()["error"]["message"] == "slow down"
    assert attempt_of(gateway, answer).cost_nanousd == 0


def test_json_in_the_place_of_a_stream_is_told_as_a_stream(gateway: Gateway, key: str, server: Upstream) -> None:
    answers(server, CHAT)
    answer = gateway.post("/v1/messages", {"model": "lab:m", "messages": ASK, "max_tokens": 9, "stream": True}, key)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.body.index(b"message_start") < answer.body.index(b"Sunny.") < answer.body.index(b"message_stop")


# ---- a path that a server of an unknown make may not have


def test_a_server_without_responses_is_asked_by_chat(server: Upstream, tmp_path: Path) -> None:
    missing = whole(b'{"detail":"Not Found"}', "404 Not Found")
    found = whole(json.dumps(CHAT).encode())
    with running_gateway(tmp_path / "home", SETTINGS.format(url=server.url)) as fresh:
        key = fresh.new_key()
        server.now(missing, found)
        before = len(server.requests)
        for _ in range(2):
            answer = fresh.post("/v1/responses", {"model": "lab:m", "input": "hello"}, key)
            assert answer.status == 200, answer.body
            assert answer.json()["output"][-1]["content"][0]["text"] == "Sunny."
        paths = [path_of(asked) for asked in server.requests[before:]]
        assert paths == ["/v1/responses", "/v1/chat/completions", "/v1/chat/completions"]
        in_order = sorted(fresh.attempts(), key=lambda attempt: attempt.opening.started_at_us)
        first, second, third = in_order
        assert (first.outcome, first.cost_nanousd, first.opening.ordinal) == ("provider_error", 0, 1)
        assert (second.outcome, second.opening.ordinal) == ("ok", 2)
        assert first.opening.call_id == second.opening.call_id != third.opening.call_id
        fresh.verify()


def test_a_model_that_cannot_be_had_in_a_format_says_nothing_of_the_servers_others(
    server: Upstream, tmp_path: Path
) -> None:
    """A server in front of others answers 404 to responses for some models, and maybe because of a client's mistake."""

    def by_model(connection: socket.socket, sent: bytes) -> None:
        is_responses = path_of(sent) == "/v1/responses"
        if is_responses and b'"only-chats"' in sent:
            whole(b'{"error":{"message":"no responses here"}}', "404 Not Found")(connection, sent)
        else:
            told = {"id": "resp_1", "output": [], "usage": {"input_tokens": 1, "output_tokens": 1}}
            whole(json.dumps(told if is_responses else CHAT).encode())(connection, sent)

    with running_gateway(tmp_path / "home", SETTINGS.format(url=server.url)) as fresh:
        key = fresh.new_key()
        server.now(by_model)
        before = len(server.requests)
        for model in ("lab:only-chats", "lab:both", "lab:only-chats"):
            assert fresh.post("/v1/responses", {"model": model, "input": "hello"}, key).status == 200
        paths = [path_of(asked) for asked in server.requests[before:]]
        assert paths == ["/v1/responses", "/v1/chat/completions", "/v1/responses", "/v1/chat/completions"]


def test_a_404_that_is_not_the_paths_is_handed_out_where_nothing_else_could_be_asked(
    gateway: Gateway, key: str, server: Upstream
) -> None:
    server.now(whole(b'{"error":{"message":"no response r1","type":"x","code":"y"}}', "404 Not Found"))
    before = len(server.requests)
    body = {"model": "lab:m", "input": "go on", "previous_response_id": "r1"}
    answer = gateway.post("/v1/responses", body, key)
    assert (answer.status, answer.json()["error"]["message"]) == (404, "no response r1")
    assert len(server.requests) == before + 1
    assert attempt_of(gateway, answer).cost_nanousd == 0


# ---- what nobody should send


def test_a_body_of_very_many_objects_is_refused_before_everybody_waits_for_it(
    gateway: Gateway, key: str, server: Upstream
) -> None:
    answers(server, CLAUDE)
    crowd = [*ASK, *[{"role": "user", "content": "x"}] * 100_000]
    answer = gateway.post("/v1/chat/completions", {"model": "claude:c", "messages": crowd}, key)
    assert answer.status == 400
    assert "more than 100000 objects" in answer.json()["error"]["message"]
    text = json.dumps([{"a": 1}] * 150_000)  # braces in a text are none
    fine = [{"role": "user", "content": text}]
    assert gateway.post("/v1/chat/completions", {"model": "claude:c", "messages": fine}, key).status == 200


def test_events_that_nobody_asked_for_and_that_break_off_are_no_answer(
    gateway: Gateway, key: str, server: Upstream
) -> None:
    first = {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "Sunny, but"}}], "model": "m"}
    server.now(streamed(b"data: %b\n\n" % json.dumps(first).encode()))
    answer = gateway.post("/v1/messages", {"model": "lab:m", "messages": ASK, "max_tokens": 9}, key)
    assert (answer.status, answer.json()["type"]) == (502, "error")
    attempt = gateway.attempts()[-1]
    assert (attempt.outcome, attempt.cost_basis) == ("provider_cut", "estimated")
    assert attempt.cost_nanousd


def test_a_stream_that_cannot_be_told_is_billed_for_what_came(gateway: Gateway, key: str, server: Upstream) -> None:
    """Pieces of several calls in turn: no provider was seen to send them, and one that does bills them all the same."""
    deltas = [
        {"content": "Let me look at the weather in both cities."},
        *[{"tool_calls": [{"index": at, "id": f"c{at}", "function": {"name": "w", "arguments": ""}}]} for at in (0, 1)],
        {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]},
    ]
    chunks = [{"model": "m", "choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    server.now(streamed(b"".join([b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks])))
    body = {"model": "lab:m", "messages": ASK, "max_tokens": 9, "stream": True}
    answer = gateway.post("/v1/messages", body, key)
    assert answer.status == 502
    assert "mixed" in answer.json()["error"]["message"]
    attempt = gateway.attempts()[-1]
    assert (attempt.outcome, attempt.cost_basis) == ("provider_cut", "estimated")
    assert attempt.cost_nanousd


def test_a_server_that_does_not_know_the_model_is_asked_once(gateway: Gateway, key: str, server: Upstream) -> None:
    missing = {"error": {"message": "The model `nobody` does not exist", "type": "NotFoundError", "code": 404}}
    server.now(whole(json.dumps(missing).encode(), "404 Not Found"))
    before = len(server.requests)
    answer = gateway.post("/v1/responses", {"model": "lab:nobody", "input": "hello"}, key)
    assert answer.status == 404
    assert "nobody" in answer.json()["error"]["message"]
    assert len(server.requests) == before + 1


# ---- seals


def test_a_conversation_moves_to_another_provider_and_back_with_its_seals(
    gateway: Gateway, key: str, server: Upstream
) -> None:
    """An OpenAI client, Claude's thinking with a tool, then another provider, then Claude again."""
    call = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Bern"}}
    thought = {"type": "thinking", "thinking": "I look.", "signature": "EqQBCgIYAhIM"}
    answers(server, {**CLAUDE, "content": [thought, call], "stop_reason": "tool_use"})
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    tools = [{"type": "function", "function": {"name": "weather", "parameters": schema}}]
    body: dict[str, Any] = {
        "model": "claude:claude-sonnet-4-5",
        "messages": list(ASK),
        "tools": tools,
        "reasoning_effort": "low",
    }
    message = gateway.post("/v1/chat/completions", body, key).json()["choices"][0]["message"]
    assert "EqQB" not in json.dumps(message)
    body["messages"] += [
        {"role": "assistant", "content": message["content"], "tool_calls": message["tool_calls"]},
        {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "sunny"},
    ]
    answers(server, CHAT)
    assert gateway.post("/v1/chat/completions", {**body, "model": "lab:m"}, key).status == 200
    assert "EqQB" not in server.requests[-1].decode()
    answers(server, CLAUDE)
    assert gateway.post("/v1/chat/completions", body, key).status == 200
    assistant = sent(server)["messages"][1]
    assert assistant["content"][0] == thought
    assert assistant["content"][1]["type"] == "tool_use"


def test_geminis_seals_come_back_for_an_anthropic_client_and_never_reach_anthropic(
    gateway: Gateway, key: str, server: Upstream
) -> None:
    parts = [
        {"text": "I look.", "thought": True},
        {"functionCall": {"name": "weather", "args": {"city": "Bern"}}, "thoughtSignature": "CuYBAbc="},
    ]
    google = {
        "candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 3, "totalTokenCount": 12},
        "modelVersion": "g",
    }
    answers(server, google)
    tools = [{"name": "weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}]
    body: dict[str, Any] = {
        "model": "google:gemini-3-pro",
        "messages": list(ASK),
        "tools": tools,
        "max_tokens": 2_000,
        "thinking": {"type": "enabled", "budget_tokens": 1_024},
    }
    content = gateway.post("/v1/messages", body, key).json()["content"]
    assert [block["type"] for block in content] == ["thinking", "tool_use"]
    result = {"type": "tool_result", "tool_use_id": content[1]["id"], "content": "sunny"}
    body["messages"] += [{"role": "assistant", "content": content}, {"role": "user", "content": [result]}]

    answers(server, google)
    assert gateway.post("/v1/messages", body, key).status == 200
    calls = [part for turn in sent(server)["contents"] for part in turn["parts"] if "functionCall" in part]
    assert [part["thoughtSignature"] for part in calls] == ["CuYBAbc="]

    answers(server, CLAUDE)
    assert gateway.post("/v1/messages", {**body, "model": "claude:claude-sonnet-4-5"}, key).status == 200
    told = server.requests[-1].decode()
    assert "farthing." not in told
    assert "CuYB" not in told
    assert [block["type"] for block in sent(server)["messages"][1]["content"]] == ["tool_use"]


# ---- a text to be continued


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
def test_a_legacy_completion_is_answered_by_a_model_that_only_chats(
    gateway: Gateway, key: str, server: Upstream, streams: bool
) -> None:
    started = {**CLAUDE, "content": [], "stop_reason": None, "usage": {"input_tokens": 20, "output_tokens": 1}}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": started},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Sunny."}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}},
        {"type": "message_stop"},
    ]
    if streams:
        server.now(streamed(*[b"data: %b\n\n" % json.dumps(event).encode() for event in events]))
    else:
        answers(server, CLAUDE)
    body = {"model": "claude:c", "prompt": "The weather is", "max_tokens": 50, "stream": streams}
    answer = gateway.post("/v1/completions", body, key)
    assert answer.status == 200, answer.body
    assert sent(server)["messages"] == [{"role": "user", "content": [{"type": "text", "text": "The weather is"}]}]
    if streams:
        assert answer.body.endswith(b"data: [DONE]\n\n")
        rows = [json.loads(line[6:]) for line in answer.body.splitlines() if line.startswith(b"data: {")]
        assert "".join(row["choices"][0]["text"] for row in rows if row["choices"]) == "Sunny."
    else:
        assert answer.json()["choices"][0]["text"] == "Sunny."
        assert answer.json()["usage"]["total_tokens"] == 23
    assert answer.headers["x-farthing-loss"] == "raw_prompt"


def test_ollamas_generate_is_answered_by_a_model_that_only_chats(gateway: Gateway, key: str, server: Upstream) -> None:
    answers(server, CLAUDE)
    answer = gateway.post("/api/generate", {"model": "claude:c", "prompt": "Hello", "stream": False}, key)
    assert answer.json()["response"] == "Sunny."
    assert answer.json()["eval_count"] == 3
    load = gateway.post("/api/generate", {"model": "claude:c"}, key)
    assert (load.status, load.json()["done_reason"]) == (200, "load")


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        ("/v1/chat/completions", {"messages": ASK, "response_format": {"type": "json_object"}}, '"response_format"'),
        ("/v1/responses", {"input": "x", "text": {"format": {"type": "json_object"}}}, '"text.format"'),
        ("/api/chat", {"messages": ASK, "format": "json"}, '"format"'),
        (
            "/v1beta/models/claude:c:generateContent",
            {"contents": [{"parts": [{"text": "x"}]}], "generationConfig": {"candidateCount": 2}},
            '"generationConfig.candidateCount"',
        ),
    ],
)
def test_a_refusal_names_the_member_as_the_client_knows_it(
    gateway: Gateway, key: str, path: str, body: dict[str, Any], named: str
) -> None:
    answer = gateway.post(path, {"model": "claude:c", **body}, key)
    assert answer.status == 400
    error = answer.json()["error"]
    assert named in (error if isinstance(error, str) else error["message"])
