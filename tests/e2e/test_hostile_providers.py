"""Providers that send too much of something: bounded in memory and time, told in words, billed as what it is."""

import gzip
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.odd_answers import OURS, OddProviders, lines, odd_providers, said, sse
from tests.e2e.support import free_port, running_gateway
from tests.e2e.upstream import Script, streamed, upstream, whole

MB = 1 << 20
BEFORE = {
    "chat": sse({"choices": [{"index": 0, "delta": {"content": "a"}}]}),
    "completions": sse({"choices": [{"index": 0, "text": "a"}]}),
    "responses": sse({"type": "response.output_text.delta", "delta": "a"}),
    "messages": sse({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "a"}}),
    "gemini": sse({"candidates": [{"content": {"parts": [{"text": "a"}]}}]}),
    "ollama": lines({"message": {"content": "a"}, "done": False}),
}
"""A piece of text in each format of streams."""


@pytest.fixture(scope="module")
def providers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OddProviders]:
    with odd_providers(tmp_path_factory.mktemp("house") / "home") as providers:
        yield providers


def endless(beginning: bytes, more: bytes) -> Script:
    """Send the beginning of a stream, and more of the same until the other side leaves."""

    def script(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n" + beginning)
        while True:
            connection.sendall(more)

    return script


# ---- before a stream begins


@pytest.mark.parametrize("blank", [b" ", b"\n", b"\r\n\t "])
def test_white_space_without_end_is_no_answer(providers: OddProviders, blank: bytes) -> None:
    began = time.perf_counter()
    given = providers.ask("chat", endless(b"connection: close\r\n\r\n", blank * 100_000), streamed=True)
    assert given.status == 502
    assert "white space" in given.json()["error"]["message"]
    assert time.perf_counter() - began < 5  # a stream that has not begun is waited for for 10 s
    assert (providers.last().outcome, providers.last().cost_nanousd) == ("provider_cut", None)


def test_some_white_space_before_a_stream_is_none_of_our_business(providers: OddProviders) -> None:
    stream = b"\n" * 1_000 + BEFORE["chat"] + sse("[DONE]")
    assert providers.ask("chat", streamed(b"\n" * 500, 0.1, stream), streamed=True).body.startswith(b"\n" * 1_500)


def test_what_is_held_until_a_stream_speaks_is_bounded(providers: OddProviders) -> None:
    comments = (b": " + b"x" * 1_000 + b"\n\n") * 2_000
    error = sse({"error": {"message": "late"}})
    assert providers.ask("chat", streamed(comments[: MB // 2], 0.2, error), streamed=True).status == 502
    given = providers.ask("chat", streamed(comments, 0.2, error), streamed=True)
    assert given.status == 200  # too much to be held: it went out before the error was known
    assert b"late" in given.body


# ---- errors that are too large


@pytest.mark.parametrize("wire", sorted(BEFORE))
def test_a_giant_error_in_a_stream_is_told_in_short(providers: OddProviders, wire: str) -> None:
    words = f"{OURS} is wrong: " + "\\" * 4_000_000
    error = {"type": "error", "error": {"message": words}} if wire == "messages" else {"error": {"message": words}}
    event = lines(error) if wire == "ollama" else sse(error)
    given = providers.ask(wire, streamed(BEFORE[wire], 0.1, event), streamed=True)
    assert given.status == 200
    assert b"bytes, which nobody read" in given.body
    assert OURS.encode() not in given.body
    assert len(given.body) < 10_000


def test_a_giant_error_instead_of_a_stream_is_told_with_a_status(providers: OddProviders) -> None:
    given = providers.ask("chat", streamed(sse({"error": {"message": "\\" * (15 * MB)}})), streamed=True)
    assert given.status == 502
    assert "bytes, which nobody read" in given.json()["error"]["message"]
    attempt = providers.last()
    assert (attempt.outcome, attempt.cost_nanousd) == ("provider_error", 0)


@pytest.mark.parametrize("wire", sorted(set(BEFORE) - {"ollama"}))
def test_a_giant_event_that_nobody_can_read_is_not_handed_on(providers: OddProviders, wire: str) -> None:
    event = b"data: {" + OURS.encode() + b"\\" * (2 * MB) + b"\n\n"
    given = providers.ask(wire, streamed(BEFORE[wire], 0.1, event, BEFORE[wire]), streamed=True)
    assert b"cannot be read" in given.body
    assert OURS.encode() not in given.body
    assert len(given.body) < 10_000
    assert providers.last().outcome == "provider_cut"


def test_a_giant_response_that_failed_is_told_in_short(providers: OddProviders) -> None:
    response = {**said("responses", "a" * (2 * MB)), "status": "failed", "error": {"message": f"{OURS} is wrong"}}
    given = providers.ask("responses", whole(json.dumps(response).encode()))
    assert given.status == 502
    assert "*** is wrong" in given.json()["error"]["message"]
    assert len(given.body) < 10_000


# ---- compressed answers


def test_a_compressed_stream_that_unpacks_to_absurdly_much_ends_in_an_error(providers: OddProviders) -> None:
    bomb = gzip.compress(BEFORE["chat"] + b": " + bytes(64 * MB))
    head = b"content-encoding: gzip\r\nconnection: close\r\n\r\n"
    given = providers.ask("chat", endless(head + bomb, b"\n"), streamed=True)
    assert given.status == 200
    assert b"times as many" in given.body[-1_000:]
    assert len(given.body) < 10_000  # one event, which was not whole
    assert providers.last().outcome == "provider_cut"


def test_members_of_nothing_without_end_are_no_answer(providers: OddProviders) -> None:
    head = b"content-encoding: gzip\r\nconnection: close\r\n\r\n"
    given = providers.ask("chat", endless(head, gzip.compress(b"") * 10_000), streamed=True)
    assert given.status == 502
    assert "more members than are taken" in given.json()["error"]["message"]


# ---- answers that are held


def test_large_answers_are_bounded_together_and_small_ones_go_on(tmp_path: Path) -> None:
    released = threading.Event()
    sent = threading.Semaphore(0)

    def serve(connection: socket.socket, request: bytes) -> None:
        if b"large" not in request:
            whole(json.dumps(said("chat", "hi", prompt_tokens=1, completion_tokens=1)).encode())(connection, request)
            return
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (61 * MB))
        for _ in range(60):
            connection.sendall(bytes(MB))
        sent.release()
        released.wait(60)
        connection.close()

    with upstream(serve) as server, ThreadPoolExecutor(5) as clients:
        settings = f"""
providers: {{openai: {{base_url: "{server.url}/v1", credential: env:KEY}}}}
prices: [{{model: "openai:*", input: 1, output: 2}}]
"""
        with running_gateway(tmp_path / "home", settings, KEY="sk-operators-secret") as gateway:
            key = gateway.new_key()
            path, large = "/v1/chat/completions", {"model": "openai:large"}
            try:
                waiting = [clients.submit(gateway.post, path, large, key) for _ in range(4)]
                for _ in waiting:
                    assert sent.acquire(timeout=30)
                refused = gateway.post(path, large, key)
                assert (refused.status, refused.json()["error"]["code"]) == (503, "overloaded")
                assert "ask for a stream" in refused.json()["error"]["message"]
                assert gateway.post(path, {"model": "openai:small"}, key).status == 200
            finally:
                released.set()
            assert [one.result(30).status for one in waiting] == [502] * 4
            held = [one for one in gateway.attempts() if one.error_code == "overloaded"]
            assert [(one.outcome, one.cost_nanousd, one.cost_basis) for one in held] == [("cancelled", None, "unknown")]
            gateway.verify()


def test_an_answer_for_which_there_is_no_room_is_billed_as_what_it_was(tmp_path: Path) -> None:
    answers = {
        size: whole(json.dumps(said("chat", "a" * size, prompt_tokens=10, completion_tokens=5)).encode())
        for size in (3 * MB, 9)
    }

    def serve(connection: socket.socket, request: bytes) -> None:
        answers[3 * MB if b"large" in request else 9](connection, request)

    with upstream(serve) as server:
        settings = f"""
server: {{port: {free_port()}, max_buffered_mb: 2, max_body_mb: 1}}
providers: {{openai: {{base_url: "{server.url}/v1", credential: env:KEY}}}}
prices: [{{model: "openai:*", input: 1, output: 2}}]
"""
        with running_gateway(tmp_path / "home", settings, KEY="sk-operators-secret") as gateway:
            key = gateway.new_key()
            for model, status in (("large", 503), ("small", 200), ("large", 503), ("small", 200)):
                assert gateway.post("/v1/chat/completions", {"model": f"openai:{model}"}, key).status == status
            assert [one.cost_nanousd for one in gateway.attempts()] == [20_000] * 4
            gateway.verify()
