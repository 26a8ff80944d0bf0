"""Ollama's own client, through the gateway, in front of a server that speaks the real format; the ledger agrees.

The answers are shaped as recorded ones: counts in the last line only, thinking in a member of its own, a tool call
whole and with an object, an error as a line of a 200.
"""

import asyncio
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import ollama
import pytest

from farthing.types.calls import Attempt
from tests.e2e.support import Gateway, clean_environment, farthing, request, running_gateway
from tests.e2e.upstream import Upstream, upstream, whole

MODELS = (
    "qwen3:8b",
    "cached:1b",
    "breaks:1b",
    "cut:1b",
    "ends:1b",
    "stops:1b",
    "plain:1b",
    "gpt-5-mini",
    "llama3:latest",
    "embedder:latest",
)
MESSAGES = [{"role": "user", "content": "Why is the sky blue?"}]
TOOLS: Any = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}]
THOUGHTS, WORDS = ("The", " user", " asks"), ("Because", " of", " Rayleigh", " ö")
COUNTS = {"total_duration": 9, "load_duration": 1, "prompt_eval_count": 26, "prompt_eval_duration": 2, "eval_count": 11}
DONE = {"done": True, "done_reason": "stop", **COUNTS, "eval_duration": 6}
CALL = {"id": "call_1", "function": {"index": 0, "name": "weather", "arguments": {"city": "Paris"}}}


def line(model: str, **more: Any) -> bytes:
    said = {"model": model, "created_at": "2026-05-04T22:47:29.281985Z", "done": False, **more}
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def pieces(path: str, body: dict[str, Any]) -> list[bytes]:
    """Return the lines of a stream."""
    model = body["model"]
    done = {name: value for name, value in DONE.items() if model != "cached:1b" or name != "prompt_eval_count"}
    if path == "/api/generate":
        said = [line(model, response=word) for word in WORDS]
        return [*said, line(model, response="", context=[1, 2, 3], **done)]
    said = [line(model, message={"role": "assistant", "content": word}) for word in WORDS]
    if body.get("think"):
        thought = [{"role": "assistant", "content": "", "thinking": word} for word in THOUGHTS]
        said = [line(model, message=message) for message in thought] + said
    if body.get("tools"):
        said = [line(model, message={"role": "assistant", "content": "", "tool_calls": [CALL]})]
    return [*said, line(model, message={"role": "assistant", "content": ""}, **done)]


def whole_chat(path: str, body: dict[str, Any]) -> bytes:
    model, words = body["model"], "".join(WORDS)
    if path == "/api/generate":
        return line(model, response=words, **DONE).rstrip()
    message: dict[str, Any] = {"role": "assistant", "content": words}
    if body.get("think"):
        message["thinking"] = "".join(THOUGHTS)
    if body.get("tools"):
        message = {"role": "assistant", "content": "", "tool_calls": [CALL]}
    return line(model, message=message, **DONE).rstrip()


def speak(connection: socket.socket, request: bytes) -> None:
    head, _, sent = request.partition(b"\r\n\r\n")
    path = head.split(b" ")[1].decode()
    body = json.loads(sent) if sent else {}
    model = body.get("model", "")
    if path == "/api/tags":
        answer: Any = {"models": [{"name": name, "model": name, "size": 5} for name in MODELS]}
    elif path == "/api/version":
        answer = {"version": "0.13.0"}
    elif path == "/api/show":
        answer = {"details": {"family": "qwen3"}, "model_info": {"qwen3.block_count": 3}, "capabilities": ["tools"]}
    elif path == "/api/embed":
        answer = {"model": model, "embeddings": [[0.1, 0.2]], "total_duration": 1, "prompt_eval_count": 4}
    elif path == "/api/embeddings":
        answer = {"embedding": [0.1, 0.2]}
    elif model not in (*MODELS, "llama3"):
        return whole(b'{"error":"model \'%b\' not found"}' % model.encode(), "404 Not Found")(connection, request)
    elif body.get("stream") is False:
        return whole(whole_chat(path, body), content_type="application/json; charset=utf-8")(connection, request)
    elif model == "plain:1b":
        return whole(b'{"error":"model requires more system memory"}', content_type="application/json")(
            connection, request
        )
    else:
        return stream(connection, model, pieces(path, body))
    return whole(json.dumps(answer).encode(), content_type="application/json; charset=utf-8")(connection, request)


def stream(connection: socket.socket, model: str, lines: list[bytes]) -> None:
    if model == "breaks:1b":
        lines = [*lines[:2], b'{"error":"an error was encountered while running the model"}\n']
    elif model in ("cut:1b", "ends:1b"):
        lines = [*lines[:2], lines[2][:40]]
    elif model == "stops:1b":
        lines = [b"".join(lines).rstrip()]
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n")
    for piece in lines:
        connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
    if model == "cut:1b":
        connection.shutdown(socket.SHUT_RDWR)
    else:
        connection.sendall(b"0\r\n\r\n")


@pytest.fixture(scope="module")
def server() -> Iterator[Upstream]:
    with upstream(speak) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(server: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    text = f"providers:\n  ollama: {{base_url: {server.url}}}\nmodels:\n  tiny: ollama:qwen3:8b\n"
    with running_gateway(tmp_path_factory.mktemp("home"), text) as running:
        yield running
        running.verify()


@pytest.fixture(scope="module")
def key(gateway: Gateway) -> str:
    return gateway.new_key("sdk")


@pytest.fixture
def client(gateway: Gateway, key: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[ollama.Client]:
    monkeypatch.delenv("OLLAMA_API_KEY", raising=False)
    with ollama.Client(host=f"{gateway.url}/k/{key}") as client:
        yield client


def counted(gateway: Gateway, *, basis: str = "reported", outcome: str = "ok") -> Attempt:
    """The last line of the ledger has the counts that the server told, and costs nothing."""
    attempt = gateway.attempts()[-1]
    assert (attempt.outcome, attempt.cost_basis, attempt.cost_nanousd) == (outcome, basis, 0)
    if basis == "reported":
        assert (attempt.usage.input_tokens, attempt.usage.output_tokens) == (26, 11)
    return attempt


@pytest.mark.parametrize("model", ["qwen3:8b", "ollama:qwen3:8b", "ollama/qwen3:8b", "tiny"])
def test_a_chat_under_each_of_its_names(client: ollama.Client, gateway: Gateway, server: Upstream, model: str) -> None:
    answer = client.chat(model=model, messages=MESSAGES)
    assert answer.message.content == "".join(WORDS)
    assert (answer.prompt_eval_count, answer.eval_count, answer.done_reason) == (26, 11, "stop")
    assert b'"model":"qwen3:8b"' in server.requests[-1]
    attempt = counted(gateway)
    assert (attempt.opening.face, attempt.opening.operation, attempt.opening.streamed) == (
        "ollama",
        "ollama_chat",
        False,
    )
    assert attempt.model_served == "qwen3:8b"


def test_latest_need_not_be_said(client: ollama.Client, server: Upstream) -> None:
    assert client.chat(model="llama3", messages=MESSAGES).done
    assert b'"model":"llama3"' in server.requests[-1]


def test_a_name_is_ollamas_own_before_it_is_that_of_a_vendor_with_a_price_list(
    server: Upstream, tmp_path: Path
) -> None:
    rows = f"  openai: {{base_url: {server.url}/openai/v1, credential: env:K}}\n  ollama: {{base_url: {server.url}}}\n"
    with running_gateway(tmp_path / "home", f"providers:\n{rows}", K="sk-x") as running:
        with ollama.Client(host=f"{running.url}/k/{running.new_key()}") as client:
            assert client.chat(model="gpt-5-mini", messages=MESSAGES).done
        assert counted(running).opening.provider == "ollama"


def test_a_streamed_chat_with_thinking(client: ollama.Client, gateway: Gateway) -> None:
    parts = list(client.chat(model="qwen3:8b", messages=MESSAGES, stream=True, think=True))
    assert "".join(part.message.thinking or "" for part in parts) == "".join(THOUGHTS)
    assert "".join(part.message.content or "" for part in parts) == "".join(WORDS)
    assert parts[-1].eval_count == 11
    attempt = counted(gateway)
    assert attempt.opening.streamed
    assert attempt.first_output_us is not None


def test_a_whole_chat_with_thinking(client: ollama.Client, gateway: Gateway) -> None:
    answer = client.chat(model="qwen3:8b", messages=MESSAGES, think=True)
    assert answer.message.thinking == "".join(THOUGHTS)
    counted(gateway)


@pytest.mark.parametrize("streamed", [True, False])
def test_tools_are_called_with_an_object(client: ollama.Client, gateway: Gateway, streamed: bool) -> None:
    ask: Any = client.chat
    said = ask(model="qwen3:8b", messages=MESSAGES, tools=TOOLS, stream=streamed)
    parts = list(said) if streamed else [said]
    (call,) = [call for part in parts for call in part.message.tool_calls or ()]
    assert (call.function.name, call.function.arguments) == ("weather", {"city": "Paris"})
    counted(gateway)


@pytest.mark.parametrize("streamed", [True, False])
def test_generate(client: ollama.Client, gateway: Gateway, streamed: bool) -> None:
    ask: Any = client.generate
    said = ask(model="qwen3:8b", prompt="Why?", stream=streamed)
    parts = list(said) if streamed else [said]
    assert "".join(part.response for part in parts) == "".join(WORDS)
    assert counted(gateway).opening.operation == "ollama_generate"


def test_the_asynchronous_client(gateway: Gateway, key: str) -> None:
    async def ask() -> list[ollama.ChatResponse]:
        async with ollama.AsyncClient(host=f"{gateway.url}/k/{key}") as client:
            return [part async for part in await client.chat(model="qwen3:8b", messages=MESSAGES, stream=True)]

    assert asyncio.run(ask())[-1].done
    counted(gateway)


def test_a_body_that_says_nothing_of_a_stream_gets_one_byte_for_byte(gateway: Gateway, key: str) -> None:
    body = {"model": "qwen3:8b", "messages": MESSAGES}
    answer = gateway.post("/api/chat", body, key)
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.body == b"".join(pieces("/api/chat", body))
    assert counted(gateway).opening.streamed


def test_the_key_may_come_as_a_header_too(gateway: Gateway, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_API_KEY", key)
    with ollama.Client(host=gateway.url) as client:
        assert client.list().models


def test_the_key_goes_no_further(client: ollama.Client, server: Upstream, key: str) -> None:
    client.chat(model="qwen3:8b", messages=MESSAGES)
    assert not [one for one in server.requests if key.encode() in one or b"/k/" in one]
    assert server.requests[-1].startswith(b"POST /api/chat HTTP/1.1\r\n")


def test_embeddings_have_an_input_and_no_output(client: ollama.Client, gateway: Gateway) -> None:
    assert client.embed(model="embedder", input="a b c").embeddings == [[0.1, 0.2]]
    attempt = gateway.attempts()[-1]
    assert (attempt.usage.input_tokens, attempt.usage.output_tokens, attempt.cost_nanousd) == (4, 0, 0)
    assert attempt.cost_basis == "reported"


def test_old_embeddings_have_an_estimated_input(client: ollama.Client, gateway: Gateway) -> None:
    assert client.embeddings(model="embedder", prompt="a b c").embedding == [0.1, 0.2]
    attempt = gateway.attempts()[-1]
    assert attempt.usage.input_tokens is not None
    assert attempt.usage.input_tokens > 0
    assert (attempt.usage.output_tokens, attempt.cost_basis, attempt.outcome) == (0, "estimated", "ok")


def test_a_prompt_that_was_cached_is_estimated_and_not_zero(client: ollama.Client, gateway: Gateway) -> None:
    list(client.chat(model="cached:1b", messages=MESSAGES, stream=True))
    attempt = counted(gateway, basis="estimated")
    assert attempt.usage.input_tokens is not None
    assert attempt.usage.input_tokens > 0
    assert attempt.usage.output_tokens == 11


def test_models_are_listed_in_ollamas_shape(client: ollama.Client) -> None:
    listed = client.list().models
    assert [model.model for model in listed] == ["tiny", *MODELS]
    assert {len(model.digest or "") for model in listed} == {64}
    assert all(model.modified_at and model.details for model in listed)


def test_show_is_passed_through_for_nothing(client: ollama.Client, gateway: Gateway, server: Upstream) -> None:
    assert client.show("tiny").capabilities == ["tools"]
    assert server.requests[-1].endswith(b'{"model":"qwen3:8b"}')
    attempt = gateway.attempts()[-1]
    assert (attempt.opening.operation, attempt.usage.output_tokens) == ("ollama_show", 0)
    assert (attempt.cost_nanousd, attempt.cost_basis) == (0, "reported")


def test_version_and_ps_are_answered_here(client: ollama.Client, gateway: Gateway, key: str, server: Upstream) -> None:
    asked = len(server.requests)
    assert client.ps().models == []
    version = request(gateway.port, "GET", f"/k/{key}/api/version").json()["version"]
    assert [int(part) for part in version.split(".")] > [0, 6, 4]
    assert len(server.requests) == asked


def test_an_unknown_model_is_told_by_us_or_by_ollama(client: ollama.Client, gateway: Gateway) -> None:
    with pytest.raises(ollama.ResponseError, match="Unknown model 'nonsense'") as caught:
        client.chat(model="nonsense", messages=MESSAGES)
    assert caught.value.status_code == 404
    ask: Any = client.chat
    for streamed in (True, False):
        with pytest.raises(ollama.ResponseError, match=r"^model 'nonsense' not found") as caught:
            list(ask(model="ollama:nonsense", messages=MESSAGES, stream=streamed))
        assert caught.value.status_code == 404
    attempt = gateway.attempts()[-1]
    assert (attempt.outcome, attempt.error_message) == ("provider_error", "model 'nonsense' not found")


def test_a_wrong_key_and_no_key_are_refused_in_ollamas_shape(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OLLAMA_API_KEY", raising=False)
    for host in (f"{gateway.url}/k/ft-wrong", gateway.url):
        with ollama.Client(host=host) as stranger:
            for ask in (stranger.list, lambda: stranger.chat(model="qwen3:8b", messages=MESSAGES)):
                with pytest.raises(ollama.ResponseError, match="key") as caught:
                    ask()
                assert caught.value.status_code == 401
                assert not caught.value.error.startswith("{")


def test_an_error_inside_a_stream_is_passed_on_and_known(client: ollama.Client, gateway: Gateway) -> None:
    seen: list[str] = []
    with pytest.raises(ollama.ResponseError, match=r"^an error was encountered while running the model"):
        seen.extend(
            part.message.content or "" for part in client.chat(model="breaks:1b", messages=MESSAGES, stream=True)
        )
    attempt = counted(gateway, basis="estimated", outcome="provider_error")
    assert attempt.error_message == "an error was encountered while running the model"


@pytest.mark.parametrize("model", ["cut:1b", "ends:1b"])
def test_a_cut_stream_ends_in_an_error_line(client: ollama.Client, gateway: Gateway, key: str, model: str) -> None:
    with pytest.raises(ollama.ResponseError, match=r"in the middle of its answer|ended before its answer was finished"):
        list(client.chat(model=model, messages=MESSAGES, stream=True))
    attempt = counted(gateway, basis="estimated", outcome="provider_cut")
    assert attempt.usage.output_tokens
    body = {"model": model, "messages": MESSAGES}
    lines = gateway.post("/api/chat", body, key).body.splitlines()
    assert lines[:2] == [one.rstrip() for one in pieces("/api/chat", body)[:2]]
    assert [list(json.loads(one)) for one in lines[2:]] == [["error"]]


def test_a_stream_without_its_last_line_feed_is_whole(client: ollama.Client, gateway: Gateway) -> None:
    assert list(client.chat(model="stops:1b", messages=MESSAGES, stream=True))[-1].done
    counted(gateway)


def test_a_plain_error_in_place_of_a_stream_is_an_error(client: ollama.Client, gateway: Gateway) -> None:
    with pytest.raises(ollama.ResponseError, match="more system memory"):
        list(client.chat(model="plain:1b", messages=MESSAGES, stream=True))
    attempt = gateway.attempts()[-1]
    assert (attempt.outcome, attempt.error_message) == ("provider_error", "model requires more system memory")


def test_what_changes_a_machine_is_not_served(client: ollama.Client, gateway: Gateway, key: str) -> None:
    asks: tuple[Callable[[], object], ...] = (
        lambda: client.pull("qwen3:8b"),
        lambda: client.push("qwen3:8b"),
        lambda: client.create("mine", from_="qwen3:8b"),
        lambda: client.copy("qwen3:8b", "b"),
        lambda: client.delete("qwen3:8b"),
    )
    for ask in asks:
        with pytest.raises(ollama.ResponseError, match="outside what Farthing serves") as caught:
            ask()
        assert caught.value.status_code == 501
        assert not caught.value.error.startswith("{")
    digest = "sha256:" + "0" * 64
    assert httpx.head(f"{gateway.url}/k/{key}/api/blobs/{digest}").status_code == 501


def test_the_knock_of_the_ollama_program_is_answered(gateway: Gateway, key: str) -> None:
    answer = httpx.head(f"{gateway.url}/k/{key}/")
    assert (answer.status_code, answer.content) == (200, b"")


def test_a_path_that_ollama_does_not_have_is_told_in_its_shape(gateway: Gateway, key: str) -> None:
    answer = gateway.post("/api/nothing", {}, key)
    assert (answer.status, list(answer.json())) == (404, ["error"])


def test_openai_clients_reach_it_natively_with_room_for_a_long_prompt(
    gateway: Gateway, key: str, server: Upstream
) -> None:
    long = [{"role": "user", "content": "word " * 20_000}]
    answer = gateway.post("/v1/chat/completions", {"model": "qwen3:8b", "messages": long}, key)
    assert answer.json()["usage"]["total_tokens"] == 37
    head, _, body = server.requests[-1].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /api/chat HTTP/1.1\r\n")
    assert json.loads(body)["options"]["num_ctx"] >= 24_000  # its own default would cut the prompt at 4,096
    counted(gateway)


def test_an_ollama_on_this_machine_is_found_and_told(server: Upstream, tmp_path: Path) -> None:
    with running_gateway(tmp_path / "home", "", OLLAMA_HOST=server.url.removeprefix("http://")) as running:
        assert f"found ollama at {server.url}" in (running.home / "serve.log").read_text()
        with ollama.Client(host=f"{running.url}/k/{running.new_key()}") as client:
            assert client.chat(model="qwen3:8b", messages=MESSAGES).eval_count == 11
        counted(running)
        running.verify()


def test_an_ollama_is_not_looked_for_where_the_settings_say_so(server: Upstream, tmp_path: Path) -> None:
    asked = len(server.requests)
    for number, settings in enumerate(("find_local: false\n", "providers: {openai: {credential: none}}\n")):
        with running_gateway(tmp_path / f"home{number}", settings, OLLAMA_HOST=server.url) as running:
            assert "found ollama" not in (running.home / "serve.log").read_text()
    assert len(server.requests) == asked


def test_reading_commands_ask_nobody(server: Upstream, tmp_path: Path) -> None:
    asked = len(server.requests)
    environment = clean_environment(HOME=str(tmp_path), OLLAMA_HOST=server.url)
    for command in (("keys", "create"), ("costs",), ("config", "check"), ("calls",)):
        farthing(tmp_path, *command, environment=environment)
    assert len(server.requests) == asked
