"""Clients that try to spend what is not theirs, at a real gateway: by what a request says twice, or of itself."""

import json
from collections.abc import Iterator

import pytest

from farthing.ledger.bounds import MAX_COST_NANOUSD
from farthing.testing.fake_provider import FakeProvider, in_thread
from farthing.testing.fakes.script import Reply, Script
from tests.e2e.serving import serving
from tests.e2e.support import Gateway

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
