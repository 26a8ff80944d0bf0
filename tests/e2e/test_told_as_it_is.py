"""A cut is told as a cut and an error as an error, however the provider dresses it up."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.odd_answers import PATHS, OddProviders, odd_providers, said, sse
from tests.e2e.upstream import Script, streamed, whole

CHAT = {"model": "m", "choices": [{"index": 0, "delta": {"content": "Hel"}}]}
SAID = {
    "chat": CHAT,
    "completions": {"model": "m", "choices": [{"index": 0, "text": "Hel"}]},
    "responses": {"type": "response.output_text.delta", "delta": "Hel"},
}
UNKNOWN_FATES = (408, 499, 502, 504, 520, 521, 522, 523, 524, 598, 599, 999)
formats = pytest.mark.parametrize("wire", sorted(PATHS))
choices = pytest.mark.parametrize("wire", sorted(SAID))


@pytest.fixture(scope="module")
def providers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OddProviders]:
    with odd_providers(tmp_path_factory.mktemp("truth")) as running:
        yield running


@choices
@pytest.mark.parametrize("pause", [[], [0.2]])
def test_done_before_any_finish_is_a_cut(providers: OddProviders, wire: str, pause: list[float]) -> None:
    given = providers.ask(wire, streamed(sse(SAID[wire]), *pause, sse("[DONE]")), streamed=True)
    assert given.body.startswith(sse(SAID[wire]))
    assert b"[DONE]" not in given.body
    assert b"provider_cut" in given.body
    attempt = providers.last()
    assert (attempt.outcome, attempt.cost_basis, attempt.usage.output_tokens) == ("provider_cut", "estimated", 1)


def test_done_after_usage_is_an_end_without_a_finish(providers: OddProviders) -> None:
    # OpenAI's sound ends so when it has reached its bound.
    usage = {"choices": [], "usage": {"prompt_tokens": 17, "completion_tokens": 16, "total_tokens": 33}}
    asked = {**usage, "choices": [{"index": 0, "delta": {}}]}
    body = sse(CHAT, asked, "[DONE]")
    assert b"provider_cut" in providers.ask("chat", streamed(body), streamed=True).body
    assert providers.ask("chat", streamed(sse(CHAT, usage, "[DONE]")), streamed=True).body == sse(CHAT, "[DONE]")
    assert (providers.last().outcome, providers.last().usage.output_tokens) == ("ok", 16)


def test_a_stream_of_nothing_but_done_is_as_it_was(providers: OddProviders) -> None:
    assert providers.ask("chat", streamed(sse("[DONE]")), streamed=True).body == sse("[DONE]")


@choices
@pytest.mark.parametrize(
    "data", ['{"message":"boom"}', '{"detail":"boom"}', '"boom"', "boom", '{"type":"odd","message":"boom"}']
)
def test_an_event_that_calls_itself_an_error_is_one(providers: OddProviders, wire: str, data: str) -> None:
    error = sse(data, name="error")
    given = providers.ask(wire, streamed(sse(SAID[wire]), 0.1, error, sse("[DONE]")), streamed=True)
    attempt = providers.last()
    assert attempt.outcome == "provider_error"
    assert "boom" in (attempt.error_message or "")
    # The clients of these formats look for an `error` in the data.
    told = json.loads(given.body.split(b"data: ")[2].split(b"\n")[0])
    assert "boom" in told["error"]["message"]
    assert providers.ask(wire, streamed(error, sse("[DONE]")), streamed=True).status == 502


@pytest.mark.parametrize(
    "error", [{"message": "boom", "code": 500}, {"detail": "boom"}, {"errors": [{"message": "boom"}]}]
)
@pytest.mark.parametrize("wire", [*sorted(SAID), "messages"])
def test_an_error_without_its_name_in_a_stream_is_one(providers: OddProviders, wire: str, error: Any) -> None:
    before = SAID.get(wire, {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Hel"}})
    given = providers.ask(wire, streamed(sse(before), 0.1, sse(error)), streamed=True)
    assert (providers.last().outcome, providers.last().error_message) == ("provider_error", "boom")
    assert b'"error":{' in given.body


ODD: list[tuple[bytes, int, str | None]] = [
    (b'{"detail":"invalid api key"}', 502, "invalid api key"),
    (b'{"message":"busy","status":503}', 503, "busy"),
    (b'{"message":"slow","code":"rate_limit_exceeded"}', 429, "slow"),
    (b'{"success":false,"errors":[{"code":7000,"message":"No route"}]}', 502, "No route"),
    (b'{"error":{"type":"overloaded_error","message":"Overloaded"},"type":"error"}', 529, "Overloaded"),
    (b'{"error":{"message":"quota","status":"RESOURCE_EXHAUSTED"}}', 429, "quota"),
    (b'{"error":{"message":"who?","status":"UNAUTHENTICATED"}}', 401, "who?"),
    (b'[{"error":{"code":429,"message":"quota","status":"RESOURCE_EXHAUSTED"}}]', 429, "quota"),
    (b'\xef\xbb\xbf{"error":{"code":503,"message":"marked"}}', 503, "marked"),
    (b'{"error":"rate_limit_exceeded"}', 429, "rate_limit_exceeded"),
    (b"{}", 502, None),
    (b"null", 502, None),
    (b"", 502, None),
    (b'{"error":null}', 502, None),
    (b'{"choices":[{"message":{"content":"cut o', 502, None),
    (b"<html><title>Bad</title>gateway</html>", 502, None),
]


@formats
@pytest.mark.parametrize("streams", [False, True])
def test_a_body_that_is_no_answer_is_an_error_with_a_status(providers: OddProviders, wire: str, streams: bool) -> None:
    for body, status, message in ODD:
        given = providers.ask(wire, whole(body), streamed=streams)
        assert given.status == status, (body, given.body)
        error = json.loads(given.body.removeprefix(b"\xef\xbb\xbf"))
        error = error[0] if isinstance(error, list) else error
        assert wire != "messages" or error["type"] == "error"
        told = error["error"] if wire == "ollama" else error["error"]["message"]
        assert isinstance(told, str)
        assert message is None or told == message
    for attempt, (body, _, message) in zip(providers.lasts(len(ODD)), ODD, strict=True):
        assert attempt.outcome in ("provider_error", "provider_cut"), body
        if message is not None:
            assert (attempt.cost_nanousd, attempt.error_message) == (0, message), body
        else:
            assert streams or attempt.cost_basis == "unknown", body


def refused(status: int) -> Script:
    return whole(b'{"error":{"message":"no"}}', f"{status} No", content_type="application/json")


@formats
@pytest.mark.parametrize("streams", [False, True])
def test_what_a_machine_in_between_says_of_a_requests_fate_costs_an_unknown_amount(
    providers: OddProviders, wire: str, streams: bool
) -> None:
    for status in UNKNOWN_FATES:
        assert providers.ask(wire, refused(status), streamed=streams).status == status
    for status, attempt in zip(UNKNOWN_FATES, providers.lasts(len(UNKNOWN_FATES)), strict=True):
        told = (attempt.outcome, attempt.http_status, attempt.cost_nanousd, attempt.cost_basis)
        assert told == ("provider_error", status, None, "unknown")


@formats
def test_what_a_provider_says_that_it_did_not_serve_costs_nothing(providers: OddProviders, wire: str) -> None:
    statuses = (400, 401, 404, 413, 422, 429, 500, 501, 503, 525, 529)
    for status in statuses:
        providers.ask(wire, refused(status))
    for status, attempt in zip(statuses, providers.lasts(len(statuses)), strict=True):
        told = (attempt.outcome, attempt.http_status, attempt.cost_nanousd, attempt.cost_basis)
        assert told == ("provider_error", status, 0, "reported")


@pytest.mark.parametrize("wire", sorted(set(PATHS) - {"responses"}))
def test_an_error_beside_an_answer_is_an_error(providers: OddProviders, wire: str) -> None:
    body = {"error": {"code": 500, "message": "half"}, **said(wire, "some words")}
    given = providers.ask(wire, whole(json.dumps(body).encode()))
    assert given.status == 500
    assert providers.last().outcome == "provider_error"
    assert providers.last().cost_nanousd != 0


@formats
def test_an_error_that_is_none_is_none(providers: OddProviders, wire: str) -> None:
    nothings: tuple[Any, ...] = (None, "", {}, [], False)
    for nothing in nothings:
        body = {**said(wire, "some words"), "error": nothing}
        assert providers.ask(wire, whole(json.dumps(body).encode())).status == 200
    assert {attempt.outcome for attempt in providers.lasts(len(nothings))} == {"ok"}


@formats
def test_a_mark_before_an_answer_is_read_as_if_it_were_not_there(providers: OddProviders, wire: str) -> None:
    body = b"\xef\xbb\xbf" + json.dumps(said(wire, "some words")).encode()
    assert providers.ask(wire, whole(body)).body == body
    assert providers.last().outcome == "ok"


def test_a_mark_before_a_stream_is_left_out_though_it_comes_in_pieces(providers: OddProviders) -> None:
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    body = sse(CHAT, end, "[DONE]")
    given = providers.ask("chat", streamed(b"\xef", 0.05, b"\xbb\xbf" + body[:9], 0.05, body[9:]), streamed=True)
    assert given.body == body


def test_a_response_that_has_failed_is_an_answer_of_its_own(providers: OddProviders) -> None:
    body = {"id": "r", "status": "failed", "model": "m", "output": [], "error": {"code": "x", "message": "no"}}
    given = providers.ask("responses", whole(json.dumps(body).encode()))
    assert (given.status, given.json()) == (200, body)
    assert (providers.last().outcome, providers.last().error_message) == ("provider_error", "no")
