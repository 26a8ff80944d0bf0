"""The admin API as its users have it: over a real gateway, with real calls to be billed."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.serving import ANSWER, ASK, COST, held_until, serving, settings, until
from tests.e2e.support import Answer, Gateway, request, running_gateway, start_gateway
from tests.e2e.upstream import Upstream, whole

TOKEN = "an-admin-token-of-the-tests"


def api(
    gateway: Gateway, method: str, path: str, body: Any = None, token: str | None = TOKEN, **headers: str
) -> Answer:
    sent = {"authorization": f"Bearer {token}"} if token is not None else {}
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    return request(gateway.port, method, path, data, sent | headers)


def made(gateway: Gateway, body: Any, token: str = TOKEN) -> dict[str, Any]:
    answer = api(gateway, "POST", "/admin/keys", body, token)
    assert answer.status == 201, answer.body
    found: dict[str, Any] = answer.json()
    return found


def settings_of(server: Upstream) -> str:
    return settings(server).removeprefix("version: 1\n")


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    server = Upstream(whole(ANSWER))
    yield server
    server.close()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Gateway]:
    home = tmp_path_factory.mktemp("home")
    with running_gateway(home, settings_of(upstream), KEY="sk-real", FARTHING_ADMIN_TOKEN=TOKEN) as running:
        yield running


def test_a_key_is_made_used_and_its_spending_told_to_the_nanodollar(gateway: Gateway) -> None:
    key = made(gateway, {"name": "exact", "budget": {"usd": "1.00", "period": "total", "policy": "hard"}})
    assert key["name"] == "exact"
    assert key["key"].startswith("ft-")
    nothing = api(gateway, "GET", f"/admin/keys/{key['id']}/spend").json()
    assert (nothing["usd"], nothing["nanousd"], nothing["reserved_nanousd"]) == ("0.000000000", 0, 0)
    for _ in range(3):
        assert gateway.post("/v1/chat/completions", ASK, key["key"]).status == 200
    spent = api(gateway, "GET", f"/admin/v1/keys/{key['id']}/spend").json()
    assert (spent["usd"], spent["nanousd"]) == ("0.000060000", 3 * COST)
    assert (spent["reserved_nanousd"], spent["attempts"], spent["unposted_attempts"]) == (0, 3, 0)


def test_a_key_with_a_hard_budget_never_passes_it(gateway: Gateway) -> None:
    key = made(gateway, {"budget": {"usd": 0.0002}})
    limited = {**ASK, "max_tokens": 5}
    answers = [gateway.post("/v1/chat/completions", limited, key["key"]) for _ in range(11)]
    assert [answer.status for answer in answers][-1] == 402
    spent = api(gateway, "GET", f"/admin/keys/{key['id']}/spend").json()
    assert 0 < spent["nanousd"] <= 200_000
    assert spent["nanousd"] == COST * [answer.status for answer in answers].count(200)


def test_a_key_can_be_made_with_a_budget_whose_calls_hold_every_byte(gateway: Gateway) -> None:
    key = made(gateway, {"budget": {"usd": "0.0002", "holds": "every_byte"}})
    assert api(gateway, "GET", f"/admin/v1/budgets/{key['budget_id']}").json()["holds"] == "every_byte"
    asked = {**ASK, "max_tokens": 5}
    statuses = [gateway.post("/v1/chat/completions", asked, key["key"]).status for _ in range(11)]
    assert statuses == [200] * statuses.count(200) + [402] * statuses.count(402)
    rest = 200_000 - COST * statuses.count(200)
    assert rest > COST, "another one would have fit, but for its bytes"
    changed = api(gateway, "PATCH", f"/admin/v1/budgets/{key['budget_id']}", {"holds": "estimate"})
    assert changed.json()["holds"] == "estimate"
    refused = api(gateway, "PATCH", f"/admin/v1/budgets/{key['budget_id']}", {"holds": "bytes"})
    assert refused.status == 422


def test_what_a_call_under_way_holds_is_told_and_given_back(gateway: Gateway, upstream: Upstream) -> None:
    key = made(gateway, {"budget": {"usd": "2", "period": "day"}})
    go_on = threading.Event()
    upstream.now(held_until(go_on))
    call = threading.Thread(
        target=gateway.post, args=("/v1/chat/completions", {**ASK, "stream": True, "max_tokens": 100}, key["key"])
    )
    before = len(upstream.requests)
    call.start()
    until(lambda: len(upstream.requests) > before, "the call goes out")
    spent = api(gateway, "GET", f"/admin/keys/{key['id']}/spend").json()
    assert spent["nanousd"] == 0
    assert 200_000 <= spent["reserved_nanousd"] <= 2_000_000_000
    go_on.set()
    call.join(30)
    upstream.now(whole(ANSWER))
    spent = api(gateway, "GET", f"/admin/keys/{key['id']}/spend").json()
    assert (spent["nanousd"], spent["reserved_nanousd"]) == (COST, 0)


def test_after_a_crash_nothing_is_held_any_more_and_what_was_answered_is_there(
    tmp_path: Path, upstream: Upstream
) -> None:
    environment = {"KEY": "sk-real", "FARTHING_ADMIN_TOKEN": TOKEN}
    first = start_gateway(tmp_path / "home", settings_of(upstream), **environment)
    key = made(first, {"budget": {"usd": "1"}})
    assert first.post("/v1/chat/completions", ASK, key["key"]).status == 200
    first.kill()
    with running_gateway(tmp_path / "home", settings_of(upstream), **environment) as again:
        spent = api(again, "GET", f"/admin/keys/{key['id']}/spend").json()
        assert (spent["nanousd"], spent["reserved_nanousd"]) == (COST, 0)
        again.verify()


@pytest.mark.parametrize("token", [None, "", "wrong", "fta-" + "a" * 43, "é"])
def test_without_the_token_nobody_learns_anything(gateway: Gateway, token: str | None) -> None:
    for path in ("/admin/keys", "/admin/v1/keys", "/admin/v1/nothing", "/admin/v1"):
        headers = {} if token is None else {"authorization": (b"Bearer " + token.encode()).decode("latin-1")}
        answer = request(gateway.port, "GET", path, headers=headers)
        assert answer.status == 401
        assert answer.json()["error"]["code"] == "invalid_api_key"
        assert answer.headers["www-authenticate"].startswith("Bearer")


def test_every_mistake_of_a_request_is_told_at_once(gateway: Gateway) -> None:
    wrong = {
        "name": 7,
        "budget": {"usd": "1.0000000001", "period": "year", "polcy": "hard"},
        "models": ["ok", 3],
        "limits": {"requests_per_minute": -1},
        "expires_at": "tomorrow",
    }
    answer = api(gateway, "POST", "/admin/keys", wrong)
    assert answer.status == 422
    problems = {one["field"]: one for one in answer.json()["error"]["problems"]}
    assert set(problems) == {
        "name",
        "budget.usd",
        "budget.period",
        "budget.polcy",
        "models[1]",
        "limits.requests_per_minute",
        "expires_at",
    }
    assert problems["budget.period"]["allowed"] == "one of day, hour, month, session, total, week"
    assert problems["budget.usd"]["value"] == "1.0000000001"
    assert "did you mean 'policy'" in problems["budget.polcy"]["allowed"]


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"\xff", b"[" * 100_000, b'{"a": 1e99999999999999999999}'])
def test_what_is_no_object_of_json_is_refused(gateway: Gateway, body: bytes) -> None:
    answer = api(gateway, "POST", "/admin/keys", body)
    assert answer.status == 400
    assert answer.json()["error"]["hint"]


@pytest.mark.parametrize("usd", ["-1", "1e3", "NaN", "Infinity", "1_000", "", "1.", " 1", True, [], -1, 1e-12, 1e30])
def test_only_amounts_that_can_be_led_exactly_are_amounts(gateway: Gateway, usd: Any) -> None:
    answer = api(gateway, "POST", "/admin/keys", {"budget": {"usd": usd}})
    assert answer.status == 422
    assert answer.json()["error"]["problems"][0]["field"] == "budget.usd"


def test_amounts_are_taken_as_text_and_as_numbers_to_the_last_digit(gateway: Gateway) -> None:
    for sent in (b'"123456789.123456789"', b"123456789.123456789", b"1234567891234567.89e-7"):
        answer = api(gateway, "POST", "/admin/keys", b'{"budget": {"usd": %b}}' % sent)
        assert answer.status == 201


def test_it_is_the_same_through_whichever_worker(tmp_path: Path, upstream: Upstream) -> None:
    with serving(tmp_path / "home", settings(upstream), "--workers", "2") as gateway:
        token = gateway.farthing("admin", "link").stdout.strip().rpartition("token=")[2]
        for _ in range(6):  # whichever of the two takes a connection
            key = made(gateway, {"budget": {"usd": "0.0002"}}, token)
            for _ in range(4):
                # The worker that did not make the key knows its budget as soon as the key.
                assert gateway.post("/v1/chat/completions", {**ASK, "max_tokens": 500}, key["key"]).status == 402
        key = made(gateway, {"budget": {"usd": "1"}}, token)
        go_on = threading.Event()
        upstream.now(held_until(go_on))
        streamed = {**ASK, "stream": True, "max_tokens": 100}
        calls = [
            threading.Thread(target=gateway.post, args=("/v1/chat/completions", streamed, key["key"])) for _ in range(4)
        ]
        before = len(upstream.requests)
        for call in calls:
            call.start()
        until(lambda: len(upstream.requests) == before + 4, "the calls go out")

        def told() -> set[tuple[int, int]]:
            found = [api(gateway, "GET", f"/admin/keys/{key['id']}/spend", None, token).json() for _ in range(8)]
            return {(one["nanousd"], one["reserved_nanousd"]) for one in found}

        ((spent, reserved),) = told()
        assert spent == 0
        assert reserved >= 4 * 200_000
        go_on.set()
        for call in calls:
            call.join(30)
        upstream.now(whole(ANSWER))
        assert told() == {(4 * COST, 0)}
        (metric,) = [
            one
            for one in api(gateway, "GET", "/admin/metrics", None, token).json()["metrics"]
            if one["name"] == "farthing_journal_writable"
        ]
        assert {sample["labels"] for sample in metric["samples"]} == {'{worker="1"}', '{worker="2"}'}
