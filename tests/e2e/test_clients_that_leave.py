"""Clients that leave before their answer: it is read to its end, and they are charged with what it cost, not more."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from farthing.types.calls import Attempt
from tests.e2e.serving import ANSWER, ASK, COST, DONE, USAGE, chunk, serving, until
from tests.e2e.support import Gateway, request
from tests.e2e.upstream import Script, Upstream, whole
from tests.unit.monitoring.exposition_reader import Scrape

CHAT = "/v1/chat/completions"
TOKEN = "fta-a-token-for-the-tests-of-leaving"
SETTINGS = """version: 1
budgets:
  strict: {{usd: 1, period: total}}
providers:
  openai: {{base_url: {url}/v1, credential: env:KEY}}
  lab: {{kind: openai-compatible, base_url: {url}/v1, credential: none, free: true}}
  two: {{kind: openai, base_url: {url}/v1, credentials: [env:KEY, env:OTHER]}}
prices:
  - {{model: "openai:m", input: 1, output: 2}}
  - {{model: "two:m", input: 1, output: 2}}
"""


class House:
    """A gateway with a hard budget, and a provider that answers when it is told to."""

    def __init__(self, gateway: Gateway, upstream: Upstream) -> None:
        self.gateway = gateway
        self.upstream = upstream
        self.key = gateway.new_key()

    def lingering(self) -> float:
        """Return how many calls go on whose client left, as it is told."""
        answer = request(self.gateway.port, "GET", "/metrics", headers={"authorization": f"Bearer {TOKEN}"})
        return Scrape(answer.body.decode()).value("farthing_calls_lingering")

    def leaves(self, body: dict[str, Any]) -> None:
        """Ask, and be gone once the provider has the request."""
        before = len(self.upstream.requests)
        data = json.dumps(body).encode()
        lines = [
            f"POST {CHAT} HTTP/1.1",
            "host: x",
            f"authorization: Bearer {self.key}",
            f"content-length: {len(data)}",
        ]
        head = "\r\n".join(lines) + "\r\n\r\n"
        with socket.create_connection(("127.0.0.1", self.gateway.port), timeout=10) as client:
            client.sendall(head.encode() + data)
            until(lambda: len(self.upstream.requests) > before, "the call goes out")

    def last(self, calls: int) -> Attempt:
        until(lambda: len(self.gateway.attempts()) == calls, "the call is posted")
        return self.gateway.attempts()[-1]

    def spent(self) -> dict[str, Any]:
        (rule,) = json.loads(self.gateway.farthing("budget", "list", "--json").stdout)
        found: dict[str, Any] = rule["accounts"][0]
        return found


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    upstream = Upstream(whole(ANSWER))
    home = tmp_path_factory.mktemp("leaving")
    with serving(home, SETTINGS.format(url=upstream.url), OTHER="sk-2", FARTHING_ADMIN_TOKEN=TOKEN) as gateway:
        yield House(gateway, upstream)
    upstream.close()


@contextmanager
def held(script: Script) -> Iterator[tuple[Script, threading.Event, threading.Event]]:
    """Yield a script that begins only when it is told to, and an event that is set when its client was found gone."""
    go_on, gone = threading.Event(), threading.Event()

    def waiting(connection: socket.socket, request: bytes) -> None:
        connection.settimeout(0.02)
        for _ in range(1_500):
            if go_on.is_set():
                break
            try:
                if not connection.recv(1):
                    gone.set()
                    return
            except TimeoutError:
                continue
            except OSError:
                gone.set()
                return
        connection.settimeout(30)
        try:
            script(connection, request)
        except OSError:
            gone.set()

    yield waiting, go_on, gone
    go_on.set()


def test_who_leaves_before_an_unstreamed_answer_is_charged_with_what_it_cost(house: House) -> None:
    calls, before = len(house.gateway.attempts()), house.spent()["spent_nanousd"] if house.gateway.attempts() else 0
    with held(whole(ANSWER)) as (script, go_on, gone):
        house.upstream.now(script)
        house.leaves(ASK)
        assert not gone.wait(0.3), "the provider goes on, and so do we"
        assert house.lingering() == 1
        go_on.set()
        line = house.last(calls + 1)
    until(lambda: house.lingering() == 0, "the call is over")
    assert (line.outcome, line.cost_nanousd, line.cost_basis) == ("cancelled", COST, "reported")
    assert line.error_code == "client_left"
    spent = house.spent()
    assert (spent["spent_nanousd"] - before, spent["unknown_nanousd"]) == (COST, 0)


def test_who_leaves_before_a_stream_began_is_charged_with_what_there_was_of_it(house: House) -> None:
    calls = len(house.gateway.attempts())

    def begins(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n" + chunk("a")
        )
        connection.sendall(chunk("b", finish_reason="stop") + USAGE + DONE)
        connection.close()

    with held(begins) as (script, go_on, gone):
        house.upstream.now(script)
        house.leaves({**ASK, "stream": True})
        assert not gone.wait(0.3)
        go_on.set()
        line = house.last(calls + 1)
    assert line.outcome in ("cancelled", "ok")
    assert line.cost_nanousd is not None
    assert 0 < line.cost_nanousd < 1_000_000, "and not with all that was held"


def test_a_free_provider_is_left_at_once_and_stops_working(house: House) -> None:
    calls = len(house.gateway.attempts())
    with held(whole(ANSWER)) as (script, _, gone):
        house.upstream.now(script)
        house.leaves({**ASK, "model": "lab:m"})
        assert gone.wait(10)
        assert house.last(calls + 1).outcome == "cancelled"


def test_for_who_has_left_no_other_credential_is_tried(house: House) -> None:
    calls = len(house.gateway.attempts())
    with held(whole(b'{"error":{"message":"slow down"}}', "429 Too Many Requests")) as (script, go_on, _):
        house.upstream.now(script)
        house.leaves({**ASK, "model": "two:m"})
        requests = len(house.upstream.requests)
        go_on.set()
        assert house.last(calls + 1).http_status == 429
    house.upstream.now(whole(ANSWER))
    assert house.gateway.post(CHAT, ASK, house.key).status == 200
    assert len(house.upstream.requests) == requests + 1


def test_a_provider_that_never_answers_whom_nobody_waits_for_counts_as_what_was_held(house: House) -> None:
    calls = len(house.gateway.attempts())

    def hangs_up(connection: socket.socket, _request: bytes) -> None:
        connection.close()

    with held(hangs_up) as (script, go_on, _):
        house.upstream.now(script)
        house.leaves({**ASK, "max_tokens": 5})
        go_on.set()
        line = house.last(calls + 1)
    assert (line.cost_nanousd, line.cost_basis) == (None, "unknown")
    assert house.spent()["unknown_nanousd"] == line.opening.held_nanousd
    house.upstream.now(whole(ANSWER))
    house.gateway.verify()
