"""A provider that repeats our credential tells it to nobody, wherever it puts it."""

import json
import socket
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.odd_answers import OURS, PATHS, OddProviders, lines, odd_providers, said, sse
from tests.e2e.upstream import streamed, whole

ESCAPED = (
    OURS,
    OURS.replace("/", "\\/"),
    OURS.replace("s", "\\u0073").replace("/", "\\u002F"),
    "".join(f"\\u{ord(letter):04x}" for letter in OURS),
    OURS.replace("/", "\\\\\\/").replace("k", "\\\\u006b"),  # JSON in a text in JSON
)
WORDS = f"bad key {OURS}"
formats = pytest.mark.parametrize("wire", sorted(PATHS))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("secrets")


@pytest.fixture(scope="module")
def providers(home: Path) -> Iterator[OddProviders]:
    with odd_providers(home) as running:
        yield running
        # Neither journal, nor database, nor log: each test here adds to what is looked at in the end.
        for attempt in running.lasts(1_000_000):
            assert OURS not in repr(attempt)
        for file in home.rglob("*"):
            assert not file.is_file() or OURS.encode() not in file.read_bytes(), file


def check(body: bytes) -> None:
    """Raise where the key is in what the client got, however it is written."""
    plain = body
    for _ in range(3):
        plain = plain.replace(b"\\/", b"/").replace(b"\\\\", b"\\")
    text = plain.decode().encode("latin-1", "replace").decode("unicode_escape", "replace")
    assert OURS not in text, body


@formats
@pytest.mark.parametrize("status", ["200 OK", "401 Unauthorized"])
def test_the_body_of_an_error(providers: OddProviders, wire: str, status: str) -> None:
    bodies = (
        b'{"error":{"message":"bad key %b","code":401}}',
        b'{"detail":"bad key %b"}',
        b'{"type":"error","error":{"type":"%b","message":"bad key %b"}}',
        b"<html><title>%b</title></html>",
    )
    for body, written, streams in product(bodies, ESCAPED, (False, True)):
        given = providers.ask(wire, whole(body.replace(b"%b", written.encode()), status), streamed=streams)
        assert given.status >= 400
        check(given.body)


def test_headers(providers: OddProviders) -> None:
    headers = {"www_authenticate": f"Bearer {OURS}", "x_request_id": f"req-{OURS}", "x_ratelimit_reset": OURS}
    answers = [whole(json.dumps(said("chat", "a")).encode(), **headers), whole(b"{}", "401 Unauthorized", **headers)]
    for script in answers:
        given = providers.ask("chat", script)
        assert all(OURS not in value for value in given.headers.values())
        assert given.headers["www-authenticate"] == "Bearer ***"
        check(given.body)


def test_what_we_say_of_a_header(providers: OddProviders) -> None:
    given = providers.ask("chat", whole(b"{}", content_encoding=OURS))
    assert given.status == 502
    check(given.body)


def test_what_we_say_of_an_answer_that_is_no_http(providers: OddProviders) -> None:
    def script(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(f"HTTP/1.1 200 OK\r\ntransfer-encoding: {OURS}\r\n\r\n".encode())
        connection.close()

    given = providers.ask("chat", script)
    assert given.status == 502
    assert b"***" in given.body
    check(given.body)


def test_a_response_that_has_failed(providers: OddProviders) -> None:
    failed = {"status": "failed", "model": "m", "output": [], "error": {"code": "x", "message": WORDS}}
    check(providers.ask("responses", whole(json.dumps(failed).encode())).body)
    event = sse({"type": "response.failed", "response": failed})
    given = providers.ask(
        "responses", streamed(sse({"type": "response.output_text.delta", "delta": "a"}), event), streamed=True
    )
    assert b"***" in given.body
    check(given.body)


BEFORE: dict[str, tuple[bytes, list[Any]]] = {
    "chat": (
        sse({"choices": [{"index": 0, "delta": {"content": "a"}}]}),
        [{"error": {"message": WORDS}}, {"detail": WORDS}],
    ),
    "completions": (sse({"choices": [{"index": 0, "text": "a"}]}), [{"error": {"message": WORDS}}, {"message": WORDS}]),
    "responses": (
        sse({"type": "response.output_text.delta", "delta": "a"}),
        [{"type": "error", "message": WORDS}, {"error": {"message": WORDS}}, {"message": WORDS}],
    ),
    "messages": (
        sse({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "a"}}),
        [{"type": "error", "error": {"type": "api_error", "message": WORDS}}, {"detail": WORDS}],
    ),
    "gemini": (
        sse({"candidates": [{"content": {"parts": [{"text": "a"}]}}]}),
        [{"error": {"message": WORDS, "code": 401}}, [{"error": {"message": WORDS}}], {"message": WORDS}],
    ),
    "ollama": (lines({"message": {"content": "a"}, "done": False}), [{"error": WORDS}, {"detail": WORDS}]),
}


@pytest.mark.parametrize("wire", sorted(BEFORE))
def test_an_error_in_a_stream_also_in_two_pieces_or_without_its_end(providers: OddProviders, wire: str) -> None:
    before, errors = BEFORE[wire]
    for error in errors:
        event = lines(error) if wire == "ollama" else sse(error)
        middle = event.index(OURS.encode()) + 5
        for pieces in ((event,), (event[:middle], 0.1, event[middle:]), (event.rstrip(),)):
            given = providers.ask(wire, streamed(before, 0.1, *pieces), streamed=True)
            assert b"***" in given.body, given.body
            check(given.body)


@pytest.mark.parametrize("wire", sorted(set(BEFORE) - {"ollama"}))
def test_an_event_that_cannot_be_read(providers: OddProviders, wire: str) -> None:
    before, _ = BEFORE[wire]
    given = providers.ask(wire, streamed(before, 0.1, sse(f"{{ {WORDS}")), streamed=True)
    check(given.body)


def test_the_name_of_the_model_that_served(providers: OddProviders) -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    answer = {**said("chat", "a", **usage), "model": OURS}
    providers.ask("chat", whole(json.dumps(answer).encode()))
    assert providers.last().model_served == "***"


def test_what_a_model_says_is_not_looked_through(providers: OddProviders) -> None:
    body = json.dumps(said("chat", WORDS)).encode()
    assert providers.ask("chat", whole(body)).body == body


def test_backslashes_without_end_keep_nobody_waiting(providers: OddProviders) -> None:
    began = time.perf_counter()
    given = providers.ask("chat", whole(b'{"error":{"message":"' + b"\\" * 1_000_000 + b'"}}'))
    assert given.status == 502
    assert time.perf_counter() - began < 3
