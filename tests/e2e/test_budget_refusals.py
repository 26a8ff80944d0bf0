"""What a client hears that a budget refuses, in each face, and what a budget lets pass."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from farthing.testing.fake_provider import FakeProvider, in_thread
from farthing.testing.fakes.account import Tariff
from farthing.testing.fakes.script import Script
from tests.e2e.serving import said, serving
from tests.e2e.support import Gateway
from tests.e2e.upstream import upstream, whole

SAY = "Say something about the order of these words."
SETTINGS = """version: 1
providers:
  openai: {{base_url: {openai}, credential: env:KEY}}
  lab: {{kind: openai-compatible, base_url: {openai}, credential: env:KEY, free: true}}
  anthropic: {{base_url: {anthropic}, credential: env:KEY}}
  ollama: {{base_url: {ollama}}}
  keyless: {{kind: openai-compatible, base_url: {openai}, credential: env:NOT_SET, free: true}}
models:
  out-of-reach: keyless:any
  cheap: openai:cheap-model
  cheaper: openai:cheaper-model
prices:
  - {{model: "openai:dear-model", input: 300, output: 1200}}
  - {{model: "openai:cheap-model", input: 0.1, output: 0.4}}
  - {{model: "openai:cheaper-model", input: 0.05, output: 0.2}}
  - {{model: "anthropic:dear-model", input: 300, output: 1200}}
budgets:
  tight: {{usd: 0.01, period: month, time_zone: Europe/Berlin, user: poor}}
  nothing: {{usd: 0, period: total, user: broke}}
  turn: {{usd: 0.001, period: total, user: patient, grace_usd: 5}}
  paused: {{usd: 1, period: total, user: paused, at: {{100: pause}}}}
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    fakes = [FakeProvider(name, script=Script(tokens=(10, 10))) for name in ("openai", "anthropic", "ollama")]
    home: Path = tmp_path_factory.mktemp("budgets")
    with in_thread(*fakes):
        text = SETTINGS.format(openai=fakes[0].url, anthropic=fakes[1].url, ollama=fakes[2].url)
        with serving(home, text) as gateway:
            yield gateway


@pytest.fixture(scope="module")
def key(house: Gateway) -> str:
    return house.new_key()


def chat(model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": SAY}]} | more


BODIES: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", chat("openai:dear-model")),
    "responses": ("/v1/responses", {"model": "openai:dear-model", "input": SAY, "max_output_tokens": 100}),
    "completions": ("/v1/completions", {"model": "openai:dear-model", "prompt": SAY, "max_tokens": 100}),
    "messages": ("/v1/messages", chat("anthropic:dear-model")),
    "gemini": (
        "/v1beta/models/openai:dear-model:generateContent",
        {"contents": [{"parts": [{"text": SAY}]}], "generationConfig": {"maxOutputTokens": 100}},
    ),
    "ollama": ("/api/chat", chat("openai:dear-model", options={"num_predict": 100})),
}


@pytest.mark.parametrize("face", BODIES)
def test_the_refusal_names_budget_rest_reset_and_what_would_fit(house: Gateway, key: str, face: str) -> None:
    path, body = BODIES[face]
    answer = house.post(path, body, key, {"x-farthing-user": "poor"})
    assert answer.status == (429 if face == "responses" else 402)
    assert "retry-after" not in answer.headers
    assert answer.headers["x-should-retry"] == "false"
    told = answer.body.decode()
    assert "budget 'tight' (user 'poor'): $0.01 of $0.01 is left" in told
    assert "this call may cost $" in told
    assert "begins anew on" in told
    assert "(Europe/Berlin)" in told
    assert told.count(" (at most $") + told.count(" (free)") >= 2
    assert "cheap (" in told
    assert "cheap-model (" not in told, "it is the same as the alias"
    assert "out-of-reach" not in told, "its provider has no credential"
    assert "budget_exceeded" in told or face == "ollama"


def test_what_was_named_as_fitting_fits(house: Gateway, key: str) -> None:
    poor = {"x-farthing-user": "poor"}
    assert house.post("/v1/chat/completions", chat("cheap"), key, poor).status == 200
    assert house.post("/v1/chat/completions", chat("cheaper"), key, poor).status == 200


def test_free_models_always_pass(house: Gateway, key: str) -> None:
    headers = {"x-farthing-user": "broke"}
    assert house.post("/v1/chat/completions", chat("cheaper"), key, headers).status == 402
    assert house.post("/v1/chat/completions", chat("lab:any"), key, headers).status == 200
    assert house.post("/api/chat", {"model": "ollama:any", "messages": [], "stream": False}, key, headers).status == 200
    count = {"model": "anthropic:dear-model", "messages": [{"role": "user", "content": SAY}]}
    assert house.post("/v1/messages/count_tokens", count, key, headers).status == 200


def test_a_paused_budget_says_how_and_goes_on_when_somebody_says_so(house: Gateway, key: str) -> None:
    headers = {"x-farthing-user": "paused"}
    refused = house.post("/v1/chat/completions", chat("cheap"), key, headers)
    if refused.status == 200:  # a threshold of 100 is reached with the first cent
        asyncio.run(asyncio.sleep(0.7))
        refused = house.post("/v1/chat/completions", chat("cheap"), key, headers)
    assert (refused.status, "where it says pause" in refused.body.decode()) == (402, True)
    assert "farthing budget resume paused" in refused.json()["error"]["message"]
    assert house.farthing("budget", "resume", "paused").returncode == 0
    asyncio.run(asyncio.sleep(1.2))
    assert house.post("/v1/chat/completions", chat("cheap"), key, headers).status == 200


def test_a_model_without_a_price_is_refused_where_a_hard_budget_is_about_the_call(house: Gateway, key: str) -> None:
    assert house.post("/v1/chat/completions", chat("openai:nobody-knows"), key).status == 200
    refused = house.post("/v1/chat/completions", chat("openai:nobody-knows"), key, {"x-farthing-user": "poor"})
    assert refused.status == 402
    assert refused.json()["error"]["code"] == "unpriced_model"
    assert "no price is known for 'openai:nobody-knows'" in refused.body.decode()


def test_grace_is_for_a_turn_that_was_begun(house: Gateway, key: str) -> None:
    patient = {"x-farthing-user": "patient"}
    first = chat("openai:dear-model")
    assert house.post("/v1/chat/completions", first, key, patient).status == 402
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [*first["messages"], {"role": "assistant", "content": None, "tool_calls": [call]}]
    messages.append({"role": "tool", "tool_call_id": "c1", "content": "done"})
    assert house.post("/v1/chat/completions", first | {"messages": messages}, key, patient).status == 200


def test_the_log_names_the_call_its_model_and_the_budget_that_it_cost_more_than_was_held(tmp_path: Path) -> None:
    usage = b'{"prompt_tokens":10,"completion_tokens":1110,"total_tokens":1120}'  # of at most 100 that were asked for
    answer = b'{"id":"c","object":"chat.completion","model":"m","choices":[],"usage":%b}' % usage
    with upstream(whole(answer)) as server:
        text = (
            f"version: 1\nproviders:\n  openai: {{base_url: {server.url}/v1, credential: env:KEY}}\n"
            'prices:\n  - {model: "openai:m", input: 0, output: 100}\n'
            "budgets:\n  small: {usd: 5, period: total}\n"
        )
        with serving(tmp_path, text) as gateway:
            assert gateway.post("/v1/chat/completions", chat("openai:m"), gateway.new_key()).status == 200
            call = gateway.only_attempt().opening.call_id
    # 1,010 tokens more than 100, at $100 for a million.
    line = f"the call {call} on openai:m cost $0.101 more than was held for it in the budget 'small'"
    assert line in said(tmp_path), said(tmp_path)


def test_an_answer_without_a_limit_gets_one_where_money_is_scarce(tmp_path: Path) -> None:
    fake = FakeProvider(script=Script(tokens=(10, 10)), tariffs={"m": Tariff(input="1", output="100")})
    text = (
        f"version: 1\nproviders:\n  openai: {{base_url: {fake.url}, credential: env:KEY}}\n"
        'prices:\n  - {model: "openai:m", input: 1, output: 100}\n'
        "budgets:\n  small: {usd: 0.5, period: total}\n"
    )
    with in_thread(fake):
        text = text.replace("127.0.0.1:0", f"127.0.0.1:{fake.port}")
        with serving(tmp_path, text) as gateway:
            key = gateway.new_key()
            plain = {"model": "openai:m", "messages": [{"role": "user", "content": SAY}]}
            assert gateway.post("/v1/chat/completions", plain, key).status == 200
            sent = json.loads(fake.requests[-1].body)
            assert sent["messages"] == plain["messages"]
            # A quarter of half a dollar, at 100 dollars for a million tokens.
            assert 1_000 < sent["max_completion_tokens"] <= 1_250
