"""Routers over real gateways: which model answers, what is tried after what, and what each try costs."""

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from farthing.cli.books import make_key
from farthing.config.paths import Home
from tests.e2e.budget_load import calls_at_once
from tests.e2e.serving import ANSWER, DONE, USAGE, chunk, serving, until
from tests.e2e.support import Answer, Gateway, request, running_gateway
from tests.e2e.upstream import Script, Upstream, hang_up, silent, streamed, whole

CHAT = "/v1/chat/completions"
TOKEN = "an-admin-token-of-the-tests"
READ, WRITTEN = 10, 5
COST = {"dear": READ * 10_000 + WRITTEN * 20_000, "cheap": READ * 1_000 + WRITTEN * 2_000, "home": 0}
FINE = whole(ANSWER)
STREAM = streamed(chunk("hel"), chunk("lo", finish_reason="stop"), USAGE, DONE)
REFUSED = b'{"error":{"message":"no","type":"t","code":"c"}}'


class House:
    """A gateway with a dear provider, a cheap one, and one at home that costs nothing."""

    def __init__(self, gateway: Gateway, places: dict[str, Upstream]) -> None:
        self.gateway = gateway
        self.places = places
        self.keys = 0

    def now(self, **scripts: Script) -> None:
        """Have providers answer so from here on, the others well, and forget what they were asked."""
        for name, place in self.places.items():
            place.now(scripts.get(name, FINE))
            place.requests.clear()

    def key(self, **rules: Any) -> str:
        self.keys += 1
        _, secret = make_key(Home(self.gateway.home), lambda ring: ring.create(f"k{self.keys}", **rules))
        return secret.reveal()

    def ask(self, model: str | None, key: str, path: str = CHAT, **more: Any) -> Answer:
        body = {"messages": [{"role": "user", "content": "x"}], **({} if model is None else {"model": model}), **more}
        return self.gateway.post(path, body, key, {"x-farthing-explain": "1"})

    @property
    def asked(self) -> dict[str, int]:
        return {name: len(place.requests) for name, place in self.places.items() if place.requests}

    def lines(self, count: int) -> list[tuple[str, str, str, int | None]]:
        """Return of the latest tries what was asked for, who was, how it ended and what it cost."""
        return [
            (one.opening.model_asked, one.opening.provider, one.outcome, one.cost_nanousd)
            for one in self.gateway.attempts()[-count:]
        ]

    def budget(self, name: str, *arguments: str) -> str:
        """Make a budget of a new key's own, and return the key."""
        key = self.key()
        made = self.gateway.farthing("budget", "set", name, "--period", "total", "--key", f"k{self.keys}", *arguments)
        assert made.returncode == 0, made.stderr
        time.sleep(1.0)  # every process has looked at the budgets twice
        return key


def text_of(places: dict[str, Upstream], more: str = "") -> str:
    return f"""
providers:
  dear: {{kind: openai-compatible, base_url: {places["dear"].url}/v1, timeouts: {{first_byte_s: 0.5}}}}
  cheap: {{kind: vllm, base_url: {places["cheap"].url}/v1}}
  home: {{kind: vllm, base_url: {places["home"].url}/v1, free: true}}
  gone: {{kind: vllm, base_url: "http://127.0.0.1:9/v1"}}
  bare: {{kind: openai-compatible, base_url: {places["cheap"].url}/v1}}
  claude: {{kind: anthropic, base_url: {places["dear"].url}, credential: none}}
  keyless: {{kind: openai, base_url: {places["dear"].url}/v1, credential: env:NOBODY_SET_THIS}}
prices:
  - {{model: "dear:*", input: 10, output: 20}}
  - {{model: "cheap:*", input: 1, output: 2}}
  - {{model: "gone:*", input: 1, output: 2}}
models: {{small: "cheap:m"}}
routers:
  steady: {{models: [dear:m, small]}}
  thrifty: {{models: [dear:m, cheap:m, home:m], strategy: cheapest}}
  able: {{models: [dear:m, cheap:m, home:m]}}
  off: {{models: [gone:m, cheap:m]}}
  mixed: {{models: [claude:c, cheap:m]}}
  locked: {{models: [keyless:m, cheap:m]}}
  odd: {{models: [bare:m, home:m]}}
  counted: {{models: [dear:m, cheap:m]}}
limits:
  few: {{router: counted, requests_per_day: 2}}
{more}
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    places = {name: Upstream(FINE) for name in ("dear", "cheap", "home")}
    home = tmp_path_factory.mktemp("home")
    with running_gateway(home, text_of(places), KEY="sk", FARTHING_ADMIN_TOKEN=TOKEN) as running:
        yield House(running, places)
        running.verify()
    for place in places.values():
        place.close()


# ---- what is tried after what


def test_the_first_that_answers_is_the_only_one_that_is_asked(house: House) -> None:
    house.now()
    answer = house.ask("steady", house.key())
    assert answer.status == 200
    assert house.asked == {"dear": 1}
    assert answer.headers["x-farthing-provider"] == "dear"
    assert house.lines(1) == [("steady", "dear", "ok", COST["dear"])]
    assert json.loads(house.places["dear"].requests[0].partition(b"\r\n\r\n")[2])["model"] == "m"
    assert answer.headers["x-farthing-reasons"].startswith("'steady' is a router (order); 'dear:m' is chosen; passed")


@pytest.mark.parametrize("status", ["500 No", "503 No", "529 No", "429 No", "401 No", "402 No", "403 No", "404 No"])
def test_a_provider_that_does_not_serve_is_followed_by_the_next_model(house: House, status: str) -> None:
    house.now(dear=whole(REFUSED, status))
    answer = house.ask("steady", house.key())
    assert answer.status == 200
    assert answer.headers["x-farthing-provider"] == "cheap"
    assert f"'dear:m': answered {status[:3]}" in answer.headers["x-farthing-reasons"]
    assert house.asked == {"dear": 1, "cheap": 1}
    first, second = house.gateway.attempts()[-2:]
    assert (first.opening.call_id, first.opening.ordinal) == (second.opening.call_id, 1)
    assert house.lines(2) == [("steady", "dear", "provider_error", 0), ("steady", "cheap", "ok", COST["cheap"])]


def test_why_a_router_chose_is_kept_with_the_call_and_shown(house: House) -> None:
    house.now(dear=whole(REFUSED, "429 No"))
    assert house.ask("steady", house.key()).status == 200
    first, second = house.gateway.attempts()[-2:]
    chose = "'steady' is a router (order)\n"
    assert first.opening.reasons == f"{chose}'dear:m' is chosen"
    assert second.opening.reasons == f"{chose}'dear:m': answered 429\n'cheap:m' is chosen"
    shown = api(house.gateway, "GET", f"calls/{second.opening.call_id}").json()
    assert shown["reasons"] == second.opening.reasons.splitlines()
    told = " ".join(house.gateway.farthing("calls", "show", second.opening.call_id).stdout.split())
    assert "'steady' is a router (order) 'dear:m': answered 429 'cheap:m' is chosen" in told
    assert house.ask("cheap:m", house.key()).status == 200
    assert house.gateway.attempts()[-1].opening.reasons is None


def test_a_try_whose_fate_nobody_knows_is_of_unknown_cost_and_the_next_is_billed(house: House) -> None:
    house.now(dear=whole(b"", "504 No"))
    assert house.ask("steady", house.key()).status == 200
    assert house.lines(2) == [("steady", "dear", "provider_error", None), ("steady", "cheap", "ok", COST["cheap"])]


def test_the_requests_own_fault_is_answered_at_once(house: House) -> None:
    house.now(dear=whole(REFUSED, "400 No"))
    assert house.ask("steady", house.key()).status == 400
    assert house.asked == {"dear": 1}


@pytest.mark.parametrize(("script", "outcome"), [(hang_up, "provider_cut"), (silent, "timeout")])
def test_no_answer_is_followed_by_the_next_model(house: House, script: Script, outcome: str) -> None:
    house.now(dear=script)
    answer = house.ask("steady", house.key())
    assert (answer.status, answer.headers["x-farthing-provider"]) == (200, "cheap")
    assert house.lines(2) == [("steady", "dear", outcome, None), ("steady", "cheap", "ok", COST["cheap"])]


def test_no_connection_is_followed_by_the_next_model_and_cost_nothing(house: House) -> None:
    house.now()
    assert house.ask("off", house.key()).status == 200
    assert house.lines(2) == [("off", "gone", "unreachable", 0), ("off", "cheap", "ok", COST["cheap"])]


def test_a_model_without_a_credential_is_passed_over_and_has_no_line(house: House) -> None:
    house.now()
    before = len(house.gateway.attempts())
    answer = house.ask("locked", house.key())
    assert (answer.status, answer.headers["x-farthing-provider"]) == (200, "cheap")
    assert len(house.gateway.attempts()) == before + 1


def test_a_model_whose_format_cannot_carry_the_request_is_passed_over(house: House) -> None:
    house.now()
    answer = house.ask("mixed", house.key(), n=2)
    assert (answer.status, answer.headers["x-farthing-provider"]) == (200, "cheap")
    assert "'claude:c': " in answer.headers["x-farthing-reasons"]
    assert house.asked == {"cheap": 1}


def test_nobody_is_asked_for_a_client_that_left_while_the_first_was_waited_for(house: House) -> None:
    before = len(house.gateway.attempts())
    house.now(dear=silent)
    body = json.dumps({"model": "steady", "messages": []}).encode()
    head = f"POST {CHAT} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {house.key()}\r\n"
    with socket.create_connection(("127.0.0.1", house.gateway.port)) as client:
        client.sendall(f"{head}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
        until(lambda: house.asked == {"dear": 1}, "the first is asked")
    until(lambda: len(house.gateway.attempts()) > before, "its time is over")
    time.sleep(0.3)
    assert house.asked == {"dear": 1}
    assert house.lines(1)[0][1] == "dear"


def test_where_every_model_fails_the_last_ones_words_are_the_answer(house: House) -> None:
    house.now(dear=whole(REFUSED, "500 No"), cheap=whole(REFUSED.replace(b"no", b"last"), "503 No"))
    answer = house.ask("steady", house.key())
    assert (answer.status, answer.json()["error"]["message"]) == (503, "last")
    assert house.asked == {"dear": 1, "cheap": 1}


def test_a_router_is_asked_for_by_clients_of_every_format(house: House) -> None:
    house.now(dear=whole(REFUSED, "500 No"))
    key = house.key()
    messages = [{"role": "user", "content": "x"}]
    parts = {"contents": [{"role": "user", "parts": [{"text": "x"}]}]}
    for path, body in {
        "/v1/messages": {"model": "steady", "max_tokens": 9, "messages": messages},
        "/v1/responses": {"model": "steady", "input": "x"},
        "/v1beta/models/steady:generateContent": parts,
        "/api/chat": {"model": "steady", "messages": messages, "stream": False},
    }.items():
        house.now(dear=whole(REFUSED, "500 No"))
        answer = house.gateway.post(path, body, key)
        assert answer.status == 200, answer.body
        assert "hi" in answer.body.decode(), path
        assert [line[:3] for line in house.lines(1)] == [("steady", "cheap", "ok")]


# ---- streams


@pytest.mark.parametrize(
    "script",
    [
        whole(REFUSED, "500 No"),
        streamed(b'data: {"error":{"message":"no","code":"server_error"}}\n\n'),
        streamed(b": ping\n\n", end=False, close=True),
    ],
)
@pytest.mark.parametrize("path", [CHAT, "/v1/messages"])
def test_a_stream_that_fails_before_it_says_anything_is_another_models(house: House, script: Script, path: str) -> None:
    house.now(dear=script, cheap=STREAM)
    answer = house.ask("steady", house.key(), path, stream=True, max_tokens=9)
    assert answer.status == 200
    told = answer.body.decode()
    assert ("hel" in told, "lo" in told) == (True, True)
    assert ("[DONE]" if path == CHAT else "message_stop") in told
    assert "error" not in told
    assert [line[1:3] for line in house.lines(2)][1] == ("cheap", "ok")


@pytest.mark.parametrize("path", [CHAT, "/v1/messages"])
def test_nothing_is_tried_after_the_first_output(house: House, path: str) -> None:
    house.now(dear=streamed(chunk("hel"), end=False, close=True), cheap=STREAM)
    answer = house.ask("steady", house.key(), path, stream=True, max_tokens=9)
    assert answer.status == 200
    assert "hel" in answer.body.decode()
    assert "error" in answer.body.decode()
    assert house.asked == {"dear": 1}
    assert house.lines(1)[0][1:3] == ("dear", "provider_cut")


# ---- prices and budgets


def test_the_cheapest_is_the_first_and_the_dearest_the_last(house: House) -> None:
    house.now()
    assert house.ask("thrifty", house.key()).headers["x-farthing-provider"] == "home"
    house.now(home=whole(REFUSED, "500 No"))
    assert house.ask("thrifty", house.key()).headers["x-farthing-provider"] == "cheap"
    house.now(home=whole(REFUSED, "500 No"), cheap=whole(REFUSED, "500 No"))
    assert house.ask("thrifty", house.key()).headers["x-farthing-provider"] == "dear"
    assert house.lines(3) == [
        ("thrifty", "home", "provider_error", 0),
        ("thrifty", "cheap", "provider_error", 0),
        ("thrifty", "dear", "ok", COST["dear"]),
    ]


def test_a_threshold_has_free_models_come_first_and_cheaper_ones_next(house: House) -> None:
    house.now()
    key = house.budget("scarce", "--usd", "1", "--at", "100:prefer_cheaper")
    assert house.ask("able", key).headers["x-farthing-provider"] == "dear", "nothing is spent yet"
    told = house.ask("able", key)
    assert told.headers["x-farthing-provider"] == "home"
    assert "budget 'scarce': prefer_cheaper" in told.headers["x-farthing-reasons"]
    house.now(home=whole(REFUSED, "500 No"))
    assert house.ask("able", key).headers["x-farthing-provider"] == "cheap"
    assert house.ask("able", house.key()).headers["x-farthing-provider"] == "dear", "others' calls are as they were"


def test_in_an_emergency_nothing_dearer_is_tried_after_the_cheapest(house: House) -> None:
    house.now()
    key = house.budget("empty soon", "--usd", "1", "--at", "100:emergency")
    assert house.ask("able", key).headers["x-farthing-provider"] == "dear"
    house.now(home=whole(REFUSED, "500 No"))
    assert house.ask("able", key).status == 500
    assert house.asked == {"home": 1}
    house.now()
    assert house.ask("steady", key).headers["x-farthing-provider"] == "cheap"


def test_a_budget_that_lets_only_free_models_pass_leaves_a_router_those(house: House) -> None:
    house.now()
    key = house.budget("for home", "--usd", "1", "--at", "100:local_only")
    assert house.ask("able", key).headers["x-farthing-provider"] == "dear"
    assert house.ask("able", key).headers["x-farthing-provider"] == "home"
    refused = house.ask("steady", key)
    assert (refused.status, refused.json()["error"]["code"]) == (402, "budget_exceeded")


def test_a_model_that_a_budget_has_not_enough_for_is_passed_over(house: House) -> None:
    house.now()
    key = house.budget("narrow", "--usd", "0.005", "--at", "1:warn")
    answer = house.ask("steady", key, max_tokens=1_000)
    assert (answer.status, answer.headers["x-farthing-provider"]) == (200, "cheap")
    assert "'dear:m': it needs $" in answer.headers["x-farthing-reasons"]
    assert house.asked == {"cheap": 1}


def test_a_refusal_through_a_router_names_what_would_fit(house: House) -> None:
    house.now()
    key = house.budget("nothing", "--usd", "0", "--at", "1:warn")
    refused = house.ask("steady", key)
    assert refused.status == 402
    assert "'nothing'" in refused.body.decode()
    assert "home:m (free)" in refused.body.decode() or "(free)" in refused.body.decode()
    assert house.asked == {}
    assert house.ask("able", key).headers["x-farthing-provider"] == "home", "free models pass always"


def test_a_model_without_a_price_is_passed_over_where_a_hard_budget_counts(house: House) -> None:
    house.now()
    assert house.ask("odd", house.key()).headers["x-farthing-provider"] == "bare"
    key = house.budget("exact", "--usd", "1", "--at", "1:warn")
    assert house.ask("odd", key).headers["x-farthing-provider"] == "home"


# ---- limits


def test_a_limit_of_a_router_counts_its_calls_once_and_no_others(house: House) -> None:
    house.now(dear=whole(REFUSED, "500 No"))
    key = house.key()
    assert [house.ask("counted", key).status for _ in range(3)] == [200, 200, 429]
    refused = house.ask("counted", key)
    assert "'few' (router 'counted')" in refused.json()["error"]["message"]
    assert house.asked == {"dear": 2, "cheap": 2}
    assert house.ask("steady", key).status == 200
    assert house.ask("cheap:m", key).status == 200


def test_what_a_provider_said_is_the_answer_where_the_callers_limit_has_no_room_for_another_try(house: House) -> None:
    house.now(dear=whole(b"{}", "504 No"))
    key = house.key()
    house.gateway.farthing("limits", "set", "tight", "output_tokens_per_day=10", "--key", f"k{house.keys}")
    time.sleep(1.0)
    assert house.ask("steady", key, max_tokens=9).status == 504
    assert house.asked == {"dear": 1}
    assert house.ask("steady", key, max_tokens=9).status == 429, "what nobody counted stays counted"


@pytest.mark.parametrize("workers", [1, 3])
def test_a_crowd_at_a_router_gets_its_limit_and_no_more(tmp_path: Path, workers: int) -> None:
    places = {name: Upstream(FINE) for name in ("dear", "cheap", "home")}
    text = "version: 1\n" + text_of(places).replace("requests_per_day: 2", "requests_per_day: 40")
    with serving(tmp_path, text, "--workers", str(workers)) as gateway:
        body = {"model": "counted", "messages": [{"role": "user", "content": "x"}]}
        seen = asyncio.run(calls_at_once(gateway.port, gateway.new_key(), [body] * 120))
        assert set(seen) == {200, 429}, seen
        assert 38 <= seen[200] <= 40, seen
    for place in places.values():
        place.close()


def test_a_limit_of_a_provider_counts_what_a_router_sends_it_and_sends_the_rest_on(tmp_path: Path) -> None:
    places = {name: Upstream(FINE) for name in ("dear", "cheap", "home")}
    places["dear"].now(whole(REFUSED, "500 No"))
    text = text_of(places).replace(
        "few: {router: counted, requests_per_day: 2}", "c: {provider: cheap, requests_per_day: 2}"
    )
    with running_gateway(tmp_path, text, KEY="sk") as gateway:
        house = House(gateway, places)
        key = house.key()
        assert [house.ask("able", key).headers["x-farthing-provider"] for _ in range(3)] == ["cheap", "cheap", "home"]
        assert len(places["cheap"].requests) == 2
    for place in places.values():
        place.close()


# ---- keys and lists


def test_a_key_that_is_bound_to_a_router_asks_it_whatever_is_named(house: House) -> None:
    house.now()
    key = house.key(bound_model="thrifty")
    for model in ("dear:m", "nobody-has-this", None):
        assert house.ask(model, key).headers["x-farthing-provider"] == "home"
        assert house.lines(1)[0][0] == "thrifty"
        why = (house.gateway.attempts()[-1].opening.reasons or "").splitlines()
        bound = [] if model is None else [f"'{model}' was asked for, and the key is bound to 'thrifty'"]
        assert why[: len(bound) + 1] == [*bound, "'thrifty' is a router (cheapest)"]
    listed = request(house.gateway.port, "GET", "/v1/models", None, {"authorization": f"Bearer {key}"}).json()["data"]
    assert [row["id"] for row in listed] == ["thrifty"]


def test_a_key_may_be_for_a_router_or_for_some_of_its_models(house: House) -> None:
    house.now()
    whole_router, some, other = (
        house.key(models=("steady",)),
        house.key(models=("cheap:*",)),
        house.key(models=("home:m",)),
    )
    assert house.ask("steady", whole_router).headers["x-farthing-provider"] == "dear"
    assert house.ask("dear:m", whole_router).status == 403, "its models are not allowed by themselves"
    told = house.ask("steady", some)
    assert told.headers["x-farthing-provider"] == "cheap"
    assert "1 of its models are not for this key" in told.headers["x-farthing-reasons"]
    assert "dear" not in told.headers["x-farthing-reasons"]
    refused = house.ask("steady", other)
    assert (refused.status, refused.json()["error"]["code"]) == (403, "model_not_allowed")
    assert house.ask("steady", house.key(models=("*",))).headers["x-farthing-provider"] == "dear"


def test_lists_have_the_routers_that_a_key_may_ask_for(house: House) -> None:
    def ids(key: str, path: str = "/v1/models") -> list[str]:
        told = request(house.gateway.port, "GET", path, None, {"authorization": f"Bearer {key}"}).json()
        return [row.get("id") or row["name"] for row in told.get("data") or told["models"]]

    every = house.key()
    assert {"steady", "thrifty", "able"} <= set(ids(every))
    assert "models/steady" in ids(every, "/v1beta/models")
    assert "steady" in ids(every, "/api/tags")
    assert ids(house.key(models=("thrifty",))) == ["thrifty"]
    assert [name for name in ids(house.key(models=("home:m",))) if name in ("steady", "thrifty")] == ["thrifty"]
    shown = request(house.gateway.port, "GET", "/v1/models/steady", None, {"authorization": f"Bearer {every}"})
    assert (shown.status, shown.json()["owned_by"]) == (200, "farthing")


# ---- how they are made


def api(gateway: Gateway, method: str, path: str, body: Any = None) -> Answer:
    data = None if body is None else json.dumps(body).encode()
    return request(gateway.port, method, f"/admin/v1/{path}", data, {"authorization": f"Bearer {TOKEN}"})


def test_a_router_is_made_changed_asked_and_removed_through_the_admin_api(house: House) -> None:
    house.now()
    gateway, key = house.gateway, house.key()
    assert house.ask("fresh", key).status == 404
    made = api(gateway, "POST", "routers", {"id": "fresh", "models": ["small", "home:m"]})
    assert (made.status, made.json()["models"], made.json()["origin"]) == (201, ["cheap:m", "home:m"], "admin-api")
    assert house.ask("fresh", key).headers["x-farthing-provider"] == "cheap"
    assert api(gateway, "POST", "routers", {"id": "fresh", "models": ["home:m"]}).status == 409
    put = api(gateway, "PUT", "routers/fresh", {"models": ["small", "home:m"], "strategy": "cheapest"})
    assert (put.status, put.json()["strategy"]) == (200, "cheapest")
    assert house.ask("fresh", key).headers["x-farthing-provider"] == "home"
    assert api(gateway, "GET", "routers/fresh").json() == put.json()
    listed = {row["id"]: row["origin"] for row in api(gateway, "GET", "routers").json()["routers"]}
    assert listed["fresh"] == "admin-api"
    assert listed["steady"].startswith("settings.yaml:")
    told = json.loads(gateway.farthing("routers", "list", "--json").stdout)
    assert {row["id"]: row["origin"].partition(" ")[0] for row in told}["fresh"] == "admin-api"
    shown = gateway.farthing("config", "show", "routers.fresh", "--origin").stdout
    assert "cheap:m, home:m" in shown
    assert "admin-api" in shown
    assert api(gateway, "PUT", "models", {"id": "fresh", "model": "home:m"}).status == 409
    assert api(gateway, "DELETE", "routers/fresh").status == 204
    assert api(gateway, "DELETE", "routers/fresh").status == 404
    assert house.ask("fresh", key).status == 404
    lines = api(gateway, "GET", "audit?subject=routers.fresh&limit=10").json()["changes"]
    assert [one["action"] for one in lines if one["status"] < 300] == [
        "routers.remove",
        "routers.put",
        "routers.create",
    ]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "told"),
    [
        ("PUT", "routers/steady", {"models": ["home:m"]}, 409, "settings.yaml names"),
        ("DELETE", "routers/steady", None, 409, "settings.yaml names"),
        ("PUT", "routers/small", {"models": ["home:m"]}, 422, "another name of a model"),
        ("PUT", "models", {"id": "steady", "model": "home:m"}, 422, "name of a router"),
        ("PUT", "routers/a", {"models": ["steady"]}, 422, "is not provider:model"),
        ("PUT", "routers/a", {"models": []}, 422, "models"),
        ("PUT", "routers/a", {"models": ["home:m"] * 33}, 422, "models"),
        ("PUT", "routers/a", {"models": ["cheap:m", "small"]}, 422, "there twice"),
        ("PUT", "routers/a", {"models": ["home:m"], "strategy": "best"}, 422, "strategy"),
        ("PUT", "routers/a", {"models": ["nobody:m"]}, 422, "names no provider"),
        ("POST", "routers", {"id": "x y", "models": ["home:m"]}, 422, "is not a name"),
        ("GET", "routers/a", None, 404, "no router"),
    ],
)
def test_what_cannot_be_is_told_and_not_kept(
    house: House, method: str, path: str, body: Any, status: int, told: str
) -> None:
    answer = api(house.gateway, method, path, body)
    assert answer.status == status, answer.body
    assert told in answer.body.decode()


def test_what_a_router_needs_cannot_be_taken_away(house: House) -> None:
    gateway = house.gateway
    assert api(gateway, "PUT", "models", {"id": "tiny", "model": "home:t"}).status == 200
    assert api(gateway, "PUT", "routers/needy", {"models": ["tiny"]}).status == 200
    refused = api(gateway, "DELETE", "models?id=tiny")
    assert (refused.status, "routers.needy would hold no more" in refused.body.decode()) == (409, True)
    assert api(gateway, "DELETE", "routers/needy").status == 204
    assert api(gateway, "DELETE", "models?id=tiny").status == 204


def test_the_file_is_followed_and_a_router_hides_a_model_of_its_name(tmp_path: Path) -> None:
    places = {name: Upstream(FINE) for name in ("dear", "cheap", "home")}
    with running_gateway(tmp_path, text_of(places), KEY="sk") as gateway:
        house = House(gateway, places)
        key = house.key()
        gateway.farthing("config", "set", "routers.m", "{models: [cheap:m], strategy: order}")
        until(lambda: house.ask("m", key).status == 200, "the router is taken up")
        assert house.lines(1)[0][:2] == ("m", "cheap")
        gateway.farthing("config", "set", "routers.m.models", "[home:m, cheap:m]")
        until(lambda: house.ask("m", key).headers["x-farthing-provider"] == "home", "the change is taken up")
        told = gateway.farthing("estimate", str(request_file(tmp_path)), "--model", "m", "--json")
        assert [row["model"] for row in json.loads(told.stdout)] == ["home:m", "cheap:m"]
        gateway.farthing("config", "unset", "routers.m")
        until(lambda: house.ask("m", key).status == 503, "the name means keyless' own model again")
    for place in places.values():
        place.close()


def request_file(folder: Path) -> Path:
    path = folder / "request.json"
    path.write_text(json.dumps({"messages": [{"role": "user", "content": "x"}]}))
    return path
