"""Clients that try to spend what is not theirs, at a real gateway: by what a request says twice, or of itself."""

import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from farthing.ledger.bounds import MAX_COST_NANOUSD
from farthing.testing.fake_provider import FakeProvider, in_thread
from farthing.testing.fakes.script import Reply, Script
from tests.e2e.serving import ANSWER, serving, until
from tests.e2e.support import Gateway
from tests.e2e.upstream import upstream, whole

CHAT = "/v1/chat/completions"
SETTINGS = """version: 1
providers:
  openai: {{base_url: {url}, credential: env:KEY}}
prices:
  - {{model: "openai:fake-model", input: 1, output: 4}}
budgets:
  strict: {{usd: 1, period: day, user: tricky}}
  open: {{usd: 1, period: day, user: loud, policy: soft}}
"""
ASK = '"model":"openai:fake-model","messages":[{"role":"user","content":"hi"}]'


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, FakeProvider]]:
    fake = FakeProvider(script=Script(tokens=(10, 10)))
    with in_thread(fake), serving(tmp_path_factory.mktemp("hostile"), SETTINGS.format(url=fake.url)) as gateway:
        yield gateway, fake


@pytest.fixture(scope="module")
def key(house: tuple[Gateway, FakeProvider]) -> str:
    return house[0].new_key()


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ('"max_tokens":100000,"max_tokens":1', "twice"),
        ('"max_\\u0074okens":100000', "written with escapes"),
        ('"max_tokens":1,"models":["openai/gpt-5-pro"]', "'strict'"),
        ('"max_tokens":1,"preset":"dear"', "'strict'"),
        ('"max_tokens":1,"Max_Tokens":100000', "'Max_Tokens'"),
        ('"max_tokens":1,"MODEL":"gpt-5-pro"', "'MODEL'"),
        ('"max_tokens":1,"max_to\u212aens":100000', "written otherwise"),
    ],
)
def test_what_can_be_read_as_a_dearer_call_is_refused_where_a_hard_budget_is_about_it(
    house: tuple[Gateway, FakeProvider], key: str, more: str, named: str
) -> None:
    gateway, _ = house
    body = f"{{{ASK},{more}}}".replace("openai:", "").encode()  # nothing is spliced for a plain name
    refused = gateway.post(CHAT, body, key, {"x-farthing-user": "tricky"})
    assert refused.status == 400, refused.body
    assert named in refused.body.decode()
    assert gateway.post(CHAT, body, key, {"x-farthing-user": "free"}).status == 200


def test_a_call_of_unknown_cost_and_absurd_length_leaves_the_ledger_writing(
    house: tuple[Gateway, FakeProvider], key: str
) -> None:
    gateway, fake = house
    loud = {"x-farthing-user": "loud"}
    fake.next(Reply(fault="html"), Reply(fault="html"))
    absurd = json.dumps({**json.loads(f"{{{ASK}}}"), "max_tokens": 10**18 - 1}).encode()
    for _ in range(2):
        assert gateway.post(CHAT, absurd, key, loud).status == 502
    assert gateway.post(CHAT, json.loads(f"{{{ASK}}}"), key, loud).status == 200
    held = [one.opening.held_nanousd for one in gateway.attempts() if one.cost_basis == "unknown"]
    assert held == [MAX_COST_NANOUSD] * 2
    gateway.verify()


GUESSED = """version: 1
providers:
  lab: {{kind: openai-compatible, base_url: {url}/v1, credential: env:KEY}}
prices:
  - {{model: "lab:zebra-7", input: 1, output: 2}}
budgets:
  strict: {{usd: {usd}, period: day, wait_s: 1}}
"""
ANY_ANSWER = 131_072 * 2_000
"""Nanodollars of the longest answer of a model that nobody knows."""


def test_who_is_asked_again_in_another_format_is_told_the_limit_that_money_sets_then(tmp_path: Path) -> None:
    """What is left while the first try is under way is taken by somebody else."""
    go_on = threading.Event()

    def script(connection: socket.socket, request: bytes) -> None:
        if b"/responses " in request.split(b"\r\n", 1)[0]:
            go_on.wait(20)
            whole(b'{"error":{"message":"no such path"}}', "404 Not Found")(connection, request)
        elif b"hog" in request:
            asked.wait(20)
            whole(ANSWER)(connection, request)
        else:
            asked.set()
            whole(ANSWER)(connection, request)

    asked = threading.Event()
    usd = 5 * ANY_ANSWER
    hog = {"model": "lab:zebra-7", "max_tokens": 4 * 131_072 - 4_000, "messages": [{"role": "user", "content": "hog"}]}
    with (
        upstream(script) as server,
        serving(tmp_path, GUESSED.format(url=server.url, usd=f"{usd // 10**9}.{usd % 10**9:09d}")) as gateway,
        ThreadPoolExecutor(2) as pool,
    ):
        key = gateway.new_key()
        first = pool.submit(gateway.post, "/v1/responses", {"model": "lab:zebra-7", "input": "hi"}, key)
        until(lambda: len(server.requests) == 1, "it is tried")
        second = pool.submit(gateway.post, CHAT, hog, key)
        until(lambda: len(server.requests) == 2, "somebody else takes what is left")
        go_on.set()
        assert first.result().status == 200
        assert second.result().status == 200
        sent = json.loads(server.requests[-1].partition(b"\r\n\r\n")[2])
        assert 0 < sent["max_tokens"] < 131_072
        held = [one.opening.held_nanousd for one in gateway.attempts() if one.opening.operation == "chat.completions"]
        assert sum(filter(None, held)) <= usd


THINKING = """version: 1
providers:
  anthropic: {{base_url: {url}, credential: env:KEY}}
prices:
  - {{model: "anthropic:claude-sonnet-4-5", input: 1000, output: 1}}
budgets:
  strict: {{usd: 20, period: total, holds: every_byte, wait_s: 0}}
"""
"""At $1,000 a million, a byte that is a token costs a tenth of a cent."""


def thinks_first(connection: socket.socket, request: bytes) -> None:
    """Think 60 KB and call a tool; later bill each byte of what is sent."""
    body = request.partition(b"\r\n\r\n")[2]
    if not body:
        return whole(b"{}", "404 Not Found")(connection, request)  # which models there are
    first = len(json.loads(body)["messages"]) == 1
    thoughts = [
        {"type": "thinking", "thinking": "qxwvt " * 10_000, "signature": "c2ln" * 20},
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}},
    ]
    answer = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5",
        "content": thoughts if first else [{"type": "text", "text": "done"}],
        "stop_reason": "tool_use" if first else "end_turn",
        "usage": {"input_tokens": 50 if first else len(body), "output_tokens": 20},
    }
    return whole(json.dumps(answer).encode())(connection, request)


def test_thoughts_that_are_put_back_in_translation_are_held_for_as_every_byte_is(tmp_path: Path) -> None:
    function = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    ask: dict[str, Any] = {
        "model": "anthropic:claude-sonnet-4-5",
        "max_tokens": 10,
        "reasoning_effort": "high",
        "tools": [function],
        "messages": [{"role": "user", "content": "go"}],
    }
    with upstream(thinks_first) as server, serving(tmp_path, THINKING.format(url=server.url)) as gateway:
        key = gateway.new_key()
        calls = gateway.post(CHAT, ask, key).json()["choices"][0]["message"]["tool_calls"]
        result = {"role": "tool", "tool_call_id": calls[0]["id"], "content": "ok"}
        said = [*ask["messages"], {"role": "assistant", "content": None, "tool_calls": calls}, result]
        refused = gateway.post(CHAT, {**ask, "messages": said}, key)
        assert refused.status == 402, "what the client sends is half a KB, and what is sent to the provider is 60"
        assert len([one for one in server.requests if one.startswith(b"POST")]) == 1


def reads_max_tokens_alone(connection: socket.socket, request: bytes) -> None:
    """Answer as DeepSeek does: `max_completion_tokens` is passed over."""
    asked = json.loads(request.partition(b"\r\n\r\n")[2])
    written = asked.get("max_tokens") or 60_000
    answer = {**json.loads(ANSWER), "usage": {"prompt_tokens": 10, "completion_tokens": written}}
    whole(json.dumps(answer).encode())(connection, request)


def test_a_limit_that_a_provider_would_pass_over_is_told_so_that_it_heeds_where_money_rests_on_it(
    tmp_path: Path,
) -> None:
    settings = """version: 1
providers:
  lab: {{kind: deepseek, base_url: {url}, credential: env:KEY}}
  openai: {{base_url: {url}/v1, credential: env:KEY}}
prices:
  - {{model: "*:*", input: 1, output: 100}}
budgets:
  strict: {{usd: 1, period: total, user: tricky, wait_s: 0, holds: every_byte}}
  loose: {{usd: 1000, period: total, user: rich}}
"""
    tricky = {"x-farthing-user": "tricky"}
    with upstream(reads_max_tokens_alone) as server, serving(tmp_path, settings.format(url=server.url)) as gateway:
        key = gateway.new_key()

        def sent(model: str, headers: dict[str, str], **limits: int | None) -> dict[str, Any]:
            ask = {"model": model, "messages": [{"role": "user", "content": "hi"}], **limits}
            assert gateway.post(CHAT, ask, key, headers).status == 200
            body: dict[str, Any] = json.loads(server.requests[-1].partition(b"\r\n\r\n")[2])
            return {name: value for name, value in body.items() if name.startswith("max_")}

        both = {"max_completion_tokens": 20, "max_tokens": 20}
        assert sent("lab:m", tricky, max_completion_tokens=20) == both
        assert sent("lab:m", tricky, max_completion_tokens=20, max_tokens=None) == both
        assert sent("lab:m", tricky, max_tokens=20) == {"max_tokens": 20}
        for model in ("lab:gpt-5", "openai:m"):
            rich = {"x-farthing-user": "rich"}
            assert sent(model, rich, max_completion_tokens=20) == {"max_completion_tokens": 20}, "it may refuse both"
        assert sent("lab:m", {}, max_completion_tokens=20) == {"max_completion_tokens": 20}, "no money rests on it"
        attempts = [one for one in gateway.attempts() if one.opening.attribution.user == "tricky"]
        assert [one.cost_nanousd for one in attempts] == [10 * 1_000 + 20 * 100_000] * 3


def test_a_setting_that_stands_twice_is_refused_where_a_hard_budget_is_about_it(
    house: tuple[Gateway, FakeProvider], key: str
) -> None:
    gateway, _ = house
    body = b'{"contents":[],"generationConfig":{"maxOutputTokens":100000,"maxOutputTokens":1}}'
    refused = gateway.post("/v1beta/models/openai:fake-model:generateContent", body, key, {"x-farthing-user": "tricky"})
    assert refused.status == 400, refused.body
    assert "twice" in refused.body.decode()
