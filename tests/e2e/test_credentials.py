"""Credentials in the vault and several of a provider: a real gateway, the real command line, a provider that counts."""

import json
import re
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.support import Answer, Gateway, clean_environment, running_gateway
from tests.e2e.upstream import Upstream, upstream

PRICES = 'prices: [{model: "openai:m", input: 1, output: 2}]\n'
FOLLOWS_S = 3.0
"""A change of the vault is taken up within a second; this machine may be busy."""


class Accounts:
    """A provider's side: which key asked, and how each is answered."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.says: dict[str, tuple[str, dict[str, str]]] = {}

    def __call__(self, connection: socket.socket, request: bytes) -> None:
        found = re.search(rb"(?im)^authorization: Bearer (\S+)", request)
        key = found[1].decode() if found else ""
        models = request.startswith(b"GET ")
        if not models:
            self.asked.append(key)
        status, headers = self.says.get(key, ("200 OK", {}))
        if models:
            content: Any = {"data": [{"id": "m"}]}
        elif status.startswith("200"):
            choice = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
            content = {"model": "m", "choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}
        else:
            content = {"error": {"message": f"no: {key}", "code": "refused"}}
        body = json.dumps(content).encode()
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{lines}content-length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)


class House:
    def __init__(self, gateway: Gateway, accounts: Accounts, key: str) -> None:
        self.gateway = gateway
        self.accounts = accounts
        self.key = key

    def ask(self, session: str | None = None, model: str = "m") -> Answer:
        body = {"model": f"openai:{model}", "messages": [{"role": "user", "content": "hi"}]}
        headers = {"x-farthing-session": session} if session else {}
        return self.gateway.post("/v1/chat/completions", body, self.key, headers)

    def used(self, session: str | None = None, model: str = "m") -> str:
        """Return the key that the provider got with a call that went well."""
        assert self.ask(session, model).status == 200
        return self.accounts.asked[-1]

    def until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + FOLLOWS_S
        while not holds():
            assert time.monotonic() < deadline, "the gateway did not follow"
            time.sleep(0.05)


def credentials(home: Path, *arguments: str, secret: str = "", fails: bool = False) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "farthing", "--home", str(home), "credentials", *arguments]
    environment = clean_environment(HOME=str(home))
    ran = subprocess.run(
        command, input=secret, capture_output=True, text=True, check=False, env=environment, timeout=60
    )
    assert (ran.returncode != 0) == fails, ran.stdout + ran.stderr
    assert not secret or secret not in ran.stdout + ran.stderr
    return ran


@pytest.fixture
def provider() -> Iterator[tuple[Accounts, Upstream]]:
    accounts = Accounts()
    with upstream(accounts) as server:
        yield accounts, server


@pytest.fixture
def house(tmp_path: Path, provider: tuple[Accounts, Upstream]) -> Iterator[House]:
    accounts, server = provider
    settings = f"providers: {{openai: {{base_url: '{server.url}/v1'}}}}\n"
    with running_gateway(tmp_path / "home", settings) as gateway:
        yield House(gateway, accounts, gateway.new_key())
        gateway.verify()


@pytest.fixture
def pair(tmp_path: Path, provider: tuple[Accounts, Upstream]) -> Iterator[House]:
    """A gateway with two credentials, which take turns."""
    accounts, server = provider
    settings = f"providers: {{openai: {{base_url: '{server.url}/v1', credentials: [env:K1, env:K2]}}}}\n"
    with running_gateway(tmp_path / "home", settings, K1="sk-one", K2="sk-two") as gateway:
        yield House(gateway, accounts, gateway.new_key())
        gateway.verify()


def test_a_running_gateway_follows_the_vault(house: House) -> None:
    home = house.gateway.home
    refused = house.ask()
    assert refused.status == 503
    assert "has no credential" in refused.json()["error"]["message"]
    credentials(home, "add", "openai", "--name", "work", secret="sk-first-Zq7\n")
    house.until(lambda: house.ask().status == 200)
    assert house.accounts.asked[-1] == "sk-first-Zq7"
    credentials(home, "rotate", "work", secret="sk-second-Zq7")
    house.until(lambda: house.used() == "sk-second-Zq7")
    credentials(home, "rotate-master")
    credentials(home, "rotate", "work", secret="sk-third-Zq7")
    house.until(lambda: house.used() == "sk-third-Zq7")
    credentials(home, "disable", "work")
    house.until(lambda: house.ask().status == 503)
    credentials(home, "enable", "work")
    house.until(lambda: house.ask().status == 200)
    assert {one.opening.credential for one in house.gateway.attempts() if one.outcome == "ok"} == {"vault:work"}
    call = house.gateway.calls()[0]["call_id"]
    assert "vault:work" in house.gateway.farthing("calls", "show", call).stdout


def test_conversations_stay_and_the_rest_is_shared_by_weight(house: House) -> None:
    home = house.gateway.home
    for name, weight in (("small", "1"), ("large", "3")):
        credentials(home, "add", "openai", "--name", name, "--weight", weight, secret=f"sk-{name}")
    house.until(lambda: house.ask().status == 200)
    house.until(lambda: len({house.used() for _ in range(4)}) == 2)
    turns = Counter(house.used() for _ in range(8))
    assert turns == {"sk-large": 6, "sk-small": 2}
    pinned = {session: house.used(session) for session in (f"s{n}" for n in range(40))}
    assert set(pinned.values()) == {"sk-large", "sk-small"}
    for _ in range(2):
        assert {session: house.used(session) for session in pinned} == pinned
    credentials(home, "disable", "small")
    house.until(lambda: all(house.used(session) == "sk-large" for session in pinned))
    credentials(home, "enable", "small")
    house.until(lambda: {session: house.used(session) for session in pinned} == pinned)


def test_a_credential_that_is_limited_rests_and_the_call_is_served_by_another(pair: House) -> None:
    pair.accounts.says["sk-one"] = ("429 Too Many Requests", {"retry-after": "120"})
    before = len(pair.accounts.asked)
    for _ in range(6):
        assert pair.used() == "sk-two"
    assert pair.accounts.asked[before:].count("sk-one") == 1
    calls = {one["call_id"]: one["attempts"] for one in pair.gateway.calls(6)}
    assert sorted(calls.values()) == [1, 1, 1, 1, 1, 2]
    # Another model has limits of its own, which are asked for once.
    pair.accounts.says.clear()
    assert {pair.used(model="other") for _ in range(2)} == {"sk-one", "sk-two"}


def test_when_all_are_limited_the_client_is_told_how_long_to_wait(pair: House) -> None:
    for name, seconds in (("one", "40"), ("two", "90")):
        pair.accounts.says[f"sk-{name}"] = ("429 Too Many Requests", {"retry-after": seconds})
    first = pair.ask()
    assert first.status == 429
    asked = len(pair.accounts.asked)
    told = pair.ask()
    assert (told.status, told.json()["error"]["code"]) == (429, "credentials_spent")
    assert 30 <= int(told.headers["retry-after"]) <= 40
    assert len(pair.accounts.asked) == asked
    assert "K1" not in told.body.decode()


def test_refused_credentials_rest_and_are_the_operators_to_mend(pair: House) -> None:
    for name in ("one", "two"):
        pair.accounts.says[f"sk-{name}"] = ("401 Unauthorized", {})
    assert pair.ask().status == 401
    told = pair.ask()
    assert (told.status, told.json()["error"]["code"]) == (503, "credentials_refused")


def test_a_request_that_every_credential_is_forbidden_makes_none_of_them_rest(pair: House) -> None:
    for name in ("one", "two"):
        pair.accounts.says[f"sk-{name}"] = ("403 Forbidden", {})
    assert pair.ask().status == 403
    pair.accounts.says.clear()
    assert {pair.used() for _ in range(2)} == {"sk-one", "sk-two"}
    pair.accounts.says["sk-one"] = ("403 Forbidden", {})
    assert {pair.used() for _ in range(2)} == {"sk-two"}
    pair.accounts.says.clear()
    assert {pair.used() for _ in range(4)} == {"sk-two"}


def test_a_limit_that_is_used_up_is_not_run_into(pair: House) -> None:
    spent = {"x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "0"}
    pair.accounts.says["sk-one"] = ("200 OK", {**spent, "x-ratelimit-reset-requests": "2m0s"})
    assert {pair.used() for _ in range(2)} == {"sk-one", "sk-two"}
    assert {pair.used() for _ in range(4)} == {"sk-two"}
    deadline = time.monotonic() + 15
    while not (told := json.loads(credentials(pair.gateway.home, "list", "--json").stdout)["limits"]):
        assert time.monotonic() < deadline
        time.sleep(0.3)
    (limit,) = told
    assert (limit["credential"], limit["kind"], limit["limit"], limit["remaining"]) == ("env:K1", "requests", 60, 0)


def test_a_credential_that_is_mended_is_used_at_once(house: House) -> None:
    home = house.gateway.home
    for name in ("one", "two"):
        credentials(home, "add", "openai", "--name", name, secret=f"sk-{name}")
        house.accounts.says[f"sk-{name}"] = ("401 Unauthorized", {})
    house.until(lambda: house.ask().json()["error"]["code"] == "credentials_refused")
    credentials(home, "rotate", "one", secret="sk-mended")
    house.until(lambda: house.ask().status == 200)
    assert house.accounts.asked[-1] == "sk-mended"


def test_the_only_credential_never_rests(house: House) -> None:
    credentials(house.gateway.home, "add", "openai", secret="sk-only")
    house.until(lambda: house.ask().status == 200)
    house.accounts.says["sk-only"] = ("429 Too Many Requests", {"retry-after": "120"})
    asked = len(house.accounts.asked)
    assert [house.ask().status for _ in range(3)] == [429] * 3
    assert len(house.accounts.asked) == asked + 3


def test_the_file_names_several_and_wins_over_the_vault(tmp_path: Path, provider: tuple[Accounts, Upstream]) -> None:
    accounts, server = provider
    listed = "[env:K1, {source: env:K2, weight: 2, usd_per_day: 5}, vault:extra, env:NOT_SET]"
    settings = f"providers: {{openai: {{base_url: '{server.url}/v1', credentials: {listed}}}}}\n{PRICES}"
    home = tmp_path / "home"
    credentials(home, "add", "openai", "--name", "extra", secret="sk-extra")
    credentials(home, "add", "openai", "--name", "not-named", secret="sk-not-named")
    with running_gateway(home, settings, K1="sk-1", K2="sk-2") as gateway:
        house = House(gateway, accounts, gateway.new_key())
        assert Counter(house.used() for _ in range(8)) == {"sk-1": 2, "sk-2": 4, "sk-extra": 2}
        names = {one.opening.credential for one in gateway.attempts()}
    assert names == {"env:K1", "env:K2", "vault:extra"}


def test_a_vault_that_is_locked_refuses_its_own_calls_and_no_others(
    tmp_path: Path, provider: tuple[Accounts, Upstream]
) -> None:
    accounts, server = provider
    home = tmp_path / "home"
    credentials(home, "add", "openai", secret="sk-locked-Zq7")
    key = (home / "master.key").read_text()
    (home / "master.key").unlink()
    settings = (
        f"providers:\n  openai: {{base_url: '{server.url}/v1'}}\n"
        f"  lab: {{kind: openai-compatible, base_url: '{server.url}/v1', credential: env:K}}\n"
    )
    with running_gateway(home, settings, K="sk-lab") as gateway:
        house = House(gateway, accounts, gateway.new_key())
        refused = house.ask()
        assert refused.status == 503
        assert "the vault is locked" in refused.json()["error"]["message"].lower()
        body = {"model": "lab:m", "messages": []}
        assert gateway.post("/v1/chat/completions", body, house.key).status == 200
        assert "credential openai-1 of the vault cannot be used" in (home / "serve.log").read_text()
        assert "The vault is locked" in credentials(home, "add", "openai", secret="sk-x", fails=True).stderr
        assert not (home / "master.key").exists()
    (home / "master.key").write_text(key)
    with running_gateway(home, settings, K="sk-lab") as gateway:
        assert House(gateway, accounts, gateway.new_key("another")).used() == "sk-locked-Zq7"


KILLED_AT = {
    "before": "async def dies(self, before, after): die()",
    "within": (
        "async def dies(self, before, after):\n"
        "    self._connections.writer.exec_trace = lambda _, sql, __: 'INSERT' not in sql or die()\n"
        "    return await swap(self, before, after)"
    ),
    "after": "async def dies(self, before, after):\n    await swap(self, before, after)\n    die()",
}


def test_a_change_of_the_master_key_that_is_killed_leaves_a_vault_that_opens(tmp_path: Path) -> None:
    home = tmp_path / "home"
    credentials(home, "add", "openai", "--name", "work", secret="sk-0123456789-of-the-killed-Zq7")
    shown = credentials(home, "show", "work").stdout
    for point, dies in KILLED_AT.items():
        program = (
            "import os, signal\n"
            "from farthing.cli import root\n"
            "from farthing.storage.sqlite.credentials import SqliteCredentials\n"
            "swap = SqliteCredentials.swap\n"
            f"def die(): os.kill(os.getpid(), signal.SIGKILL)\n{dies}\n"
            f"SqliteCredentials.swap = dies\nroot(['--home', {str(home)!r}, 'credentials', 'rotate-master'])"
        )
        killed = subprocess.run([sys.executable, "-c", program], check=False, timeout=60, capture_output=True)
        assert killed.returncode == -9, (point, killed.stderr)
        opened = credentials(home, "show", "work").stdout
        assert _but_the_key(opened) == _but_the_key(shown), point
    credentials(home, "rotate-master")
    assert _but_the_key(credentials(home, "show", "work").stdout) == _but_the_key(shown)
    assert len((home / "master.key").read_text().splitlines()) == 2, "what it is, and one key"


def _but_the_key(shown: str) -> list[str]:
    return [line for line in shown.splitlines() if "master key" not in line]
