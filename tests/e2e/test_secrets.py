"""Canaries: recognisable keys and texts go through everything, and stand afterwards only where docs/security.md says.

One gateway is asked in every format, whole and streamed, with keys wherever clients put them; it is refused, cut, timed
out and given errors that repeat the prompt; every command and page is looked at; then all of it is searched: what was
answered, printed, logged, journaled, stored, and what the process tells of itself.
"""

import base64
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from farthing.auth.keys import load_pepper
from tests.e2e.support import Answer, Gateway, clean_environment, farthing, request, start_gateway
from tests.e2e.upstream import Upstream, upstream

PROVIDER_KEYS = {
    "openai": "sk-canary-openai-Zq7",
    "anthropic": "sk-ant-canary-anthropic-Zq7",
    "gemini": "AIzaCanaryGeminiZq7",
    "file": "plain-canary-from-a-file-Zq7",
    "vault": "sk-canary-that-was-put-into-the-vault-Zq7",
    "rotated": "sk-canary-that-was-in-the-vault-before-Zq7",
}
ADMIN_TOKEN = "fta-canary-of-the-admin-Zq7"
PROMPT = "canary of a prompt Zq7"
ECHOED = "canary that a provider repeats Zq7"
ANSWERED = "canary of an answer Zq7"
TOLD_BY_CLIENTS = ("sk-canary-of-the-client-Zq7", "canary-cookie-Zq7", "canary-forwarded-Zq7")
REFUSED_KEYS = ("ft-canarythatneverwasakeyZq7", "sk-canary-sent-by-mistake-Zq7")

SSE = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
USAGE = {"prompt_tokens": 10, "completion_tokens": 5}


def provider(connection: socket.socket, asked: bytes) -> None:
    """Answer in the format that the path names; the prompt says what goes wrong."""
    head, _, body = asked.partition(b"\r\n\r\n")
    path = head.split(b" ", 2)[1].decode()
    if b"go wrong" in body:
        echo = {"error": {"message": f"Invalid value: '{ECHOED}'", "code": "bad", "key": _credential_in(head)}}
        return send(connection, echo, "400 Bad Request")
    if b"hang up" in body:
        return connection.close()
    if b"be silent" in body:
        connection.recv(1)
        return None
    streamed = b'"stream":true' in body.replace(b" ", b"") or "stream" in path
    cut = b"be cut" in body
    if "messages" in path:
        events = anthropic_events()
        whole: Any = {"type": "message", "content": [{"type": "text", "text": ANSWERED}], "model": "m"} | {
            "usage": {"input_tokens": 10, "output_tokens": 5}
        }
    elif "enerateContent" in path:
        part = {"content": {"parts": [{"text": ANSWERED}], "role": "model"}, "finishReason": "STOP"}
        whole = {"candidates": [part], "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 5}}
        events = [b"data: " + json.dumps(whole).encode() + b"\n\n"]
    else:
        choice = {"index": 0, "message": {"role": "assistant", "content": ANSWERED}, "finish_reason": "stop"}
        whole = {"model": "m", "choices": [choice], "usage": USAGE}
        delta = {"model": "m", "choices": [{"index": 0, "delta": {"content": ANSWERED}}]}
        end = {"model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": USAGE}
        events = [b"data: " + json.dumps(one).encode() + b"\n\n" for one in (delta, end)] + [b"data: [DONE]\n\n"]
    if not streamed:
        return send(connection, whole)
    connection.sendall(SSE + events[0])
    if not cut:
        connection.sendall(b"".join(events[1:]))
    connection.close()
    return None


def anthropic_events() -> list[bytes]:
    told: tuple[tuple[str, dict[str, Any]], ...] = (
        ("message_start", {"message": {"model": "m", "usage": {"input_tokens": 10, "output_tokens": 1}}}),
        ("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}),
        ("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": ANSWERED}}),
        ("content_block_stop", {"index": 0}),
        ("message_delta", {"delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}}),
        ("message_stop", {}),
    )
    events = [f"event: {name}\ndata: {json.dumps({'type': name, **more})}\n\n".encode() for name, more in told]
    return [b"".join(events[:3]), *events[3:]]


def send(connection: socket.socket, content: object, status: str = "200 OK") -> None:
    body = json.dumps(content).encode()
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body)


def _credential_in(head: bytes) -> str:
    """Return what authorised the request, as a provider without manners would repeat it."""
    found = re.search(rb"(?im)^(?:authorization: Bearer|x-api-key:|x-goog-api-key:) *(\S+)", head)
    return found[1].decode() if found else ""


def settings(server: Upstream, home: Path) -> str:
    return f"""
log: {{format: json, level: debug, access: true}}
providers:
  openai: {{base_url: {server.url}/v1, credential: env:CANARY_OPENAI, timeouts: {{first_byte_s: 1}}}}
  anthropic: {{base_url: {server.url}, credential: env:CANARY_ANTHROPIC}}
  gemini: {{base_url: {server.url}/v1beta, credential: env:CANARY_GEMINI}}
  lab: {{kind: openai-compatible, base_url: {server.url}/v1, credential: "file:{home}/lab.key"}}
  groq: {{base_url: {server.url}/v1, credentials: [vault, env:CANARY_OPENAI]}}
prices:
  - {{model: "*:m", input: 1, output: 2}}
"""


class House:
    """A gateway through which everything went once, and what came of it."""

    def __init__(self, gateway: Gateway, key: str, revoked: str) -> None:
        self.gateway = gateway
        self.keys = (key, revoked)
        self.answers: list[Answer] = []
        self.printed: dict[str, str] = {}
        self.process: dict[str, bytes] = {}
        self.link_token = ""
        self.master_key = ""


def ask(house: House, path: str, body: object, headers: dict[str, str]) -> None:
    data = json.dumps(body).encode()
    sent = {
        "content-type": "application/json",
        "cookie": TOLD_BY_CLIENTS[1],
        "forwarded": TOLD_BY_CLIENTS[2],
        **headers,
    }
    with suppress(OSError):  # one is cut on purpose
        house.answers.append(request(house.gateway.port, "POST", path, data, sent))


def ask_everything(house: House) -> None:
    key = house.keys[0]
    bearer = {"authorization": f"Bearer {key}"}
    for what in ("", "go wrong", "hang up", "be cut", "be silent"):
        said = [{"role": "user", "content": f"{PROMPT} {what} {ECHOED if what == 'go wrong' else ''}"}]
        for streamed in (False, True):
            if what == "be cut" and not streamed:
                continue
            chat = {"model": "openai:m", "messages": said, "stream": streamed}
            ask(house, "/v1/chat/completions", chat, {**bearer, "x-api-key": TOLD_BY_CLIENTS[0]})
            if what == "be silent":
                continue  # the others would wait for minutes
            ask(house, "/v1/chat/completions", {**chat, "model": "lab:m"}, bearer)
            if what in ("", "go wrong") and not streamed:
                for _ in range(2):  # two credentials take turns
                    ask(house, "/v1/chat/completions", {**chat, "model": "groq:m"}, bearer)
            ask(house, f"/k/{key}/v1/chat/completions", chat, {"authorization": f"Bearer {TOLD_BY_CLIENTS[0]}"})
            claude = {"model": "anthropic:m", "messages": said, "max_tokens": 9, "stream": streamed}
            ask(house, "/v1/messages", claude, {"x-api-key": key, "anthropic-version": "2023-06-01"})
            action = "streamGenerateContent" if streamed else "generateContent"
            text = {"contents": [{"parts": [{"text": said[0]["content"]}]}]}
            ask(house, f"/v1beta/models/gemini:m:{action}?key={key}", text, {})
            ask(house, f"/v1beta/models/gemini:m:{action}?key={quote(key, safe='')}&alt=sse", text, {})
    for wrong in (*REFUSED_KEYS, house.keys[1]):
        body = {"model": "openai:m", "messages": [{"role": "user", "content": PROMPT}]}
        ask(house, "/v1/chat/completions", body, {"authorization": f"Bearer {wrong}"})
        ask(house, f"/k/{wrong}/v1/messages", body, {})
        ask(house, f"/v1beta/models/m:generateContent?key={wrong}", body, {})
        ask(house, f"/metrics?token={wrong}", body, {"authorization": f"Bearer {wrong}"})
    nonsense: tuple[object, ...] = ({"messages": PROMPT}, [PROMPT], {"model": "nobody:has-it", "messages": PROMPT})
    for one in nonsense:
        ask(house, "/v1/chat/completions", one, bearer)
    ask(house, f"/k/{key}/v1/nothing/here", {"prompt": PROMPT}, {})
    ask(house, "/v1/chat/completions", {"model": "openai:m"}, {**bearer, "content-encoding": PROMPT})


def leave_early(house: House, server: Upstream) -> None:
    """Begin a call, and leave when it has reached the provider."""
    before = len(server.requests)
    body = json.dumps({"model": "anthropic:m", "messages": [{"content": PROMPT + " be silent"}]})
    with socket.create_connection(("127.0.0.1", house.gateway.port)) as client:
        head = f"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: {house.keys[0]}\r\n"
        client.sendall(f"{head}content-length: {len(body)}\r\n\r\n{body}".encode())
        deadline = time.monotonic() + 10
        while len(server.requests) == before:
            assert time.monotonic() < deadline, "the call never reached the provider"
            time.sleep(0.01)


def look_everywhere(house: House) -> None:
    gateway = house.gateway
    calls = gateway.calls()
    commands = [
        ["calls", "--json"],
        ["costs"],
        ["costs", "--by", "key", "--csv"],
        ["keys", "list", "--json"],
        ["providers", "list", "--json"],
        ["config", "check"],
        ["ledger", "verify"],
        ["logs", "level"],
        ["prices", "show"],
        ["credentials", "list"],
        ["credentials", "list", "--json"],
        ["credentials", "show", "canary"],
        ["credentials", "set", "canary", "--weight", "2"],
        ["config", "show"],
        ["config", "show", "--origin"],
    ]
    for arguments in commands:
        house.printed[" ".join(arguments)] = _told(gateway.farthing(*arguments))
    for call in calls:
        house.printed[f"calls show {call['call_id']}"] = _told(gateway.farthing("calls", "show", call["call_id"]))
    house.printed["doctor"] = _told(_failing(gateway, "doctor", "--json"))
    house.printed["credentials test"] = _told(_failing(gateway, "credentials", "test"))
    house.printed["credentials show nobody"] = _told(_failing(gateway, "credentials", "show", PROVIDER_KEYS["vault"]))
    archive = gateway.home.parent / "backup.tar.gz"
    house.printed["backup"] = _told(gateway.farthing("backup", str(archive)))
    with tarfile.open(archive) as tar:
        files = [tar.extractfile(member) for member in tar]
        house.process["backup"] = b"\n".join(file.read() for file in files if file is not None)
    house.printed["providers test"] = _told(_failing(gateway, "providers", "test"))
    admin = {"authorization": f"Bearer {ADMIN_TOKEN}"}
    login = request(gateway.port, "GET", f"/admin/login?token={ADMIN_TOKEN}")
    cookie = {"cookie": login.headers["set-cookie"].partition(";")[0]}
    pages = [("/admin", cookie), ("/admin", {}), ("/metrics", admin), ("/metrics", {}), ("/", {}), ("/ready", {})]
    pages += [("/v1/models", {"authorization": f"Bearer {house.keys[0]}"}), (f"/k/{house.keys[0]}/api/tags", {})]
    house.answers += [login, *(request(gateway.port, "GET", path, headers=headers) for path, headers in pages)]
    if sys.platform == "linux":
        for name in ("cmdline", "comm", "status"):
            house.process[name] = Path(f"/proc/{gateway.process.pid}/{name}").read_bytes()


def _told(ran: Any) -> str:
    return str(ran.stdout) + str(ran.stderr)


def _failing(gateway: Gateway, *arguments: str) -> Any:
    """Run a command that may end with 1: the fake providers list no models."""
    return subprocess.run(
        [sys.executable, "-m", "farthing", "--home", str(gateway.home), *arguments],
        env=gateway.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def put_into_vault(home: Path, *arguments: str, secret: str) -> str:
    command = [sys.executable, "-m", "farthing", "--home", str(home), "credentials", *arguments]
    environment = clean_environment(HOME=str(home))
    return _told(
        subprocess.run(command, input=secret, env=environment, capture_output=True, text=True, check=True, timeout=60)
    )


def wait_until_used(server: Upstream, gateway: Gateway, key: str) -> None:
    """Wait until the gateway has taken up the secret that is in the vault now."""
    deadline = time.monotonic() + 10
    while not any(PROVIDER_KEYS["vault"].encode() in asked for asked in server.requests):
        assert time.monotonic() < deadline, "the gateway did not follow the vault"
        gateway.post("/v1/chat/completions", {"model": "groq:m", "messages": []}, key)
        time.sleep(0.1)  # each of these calls is looked at later


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    home = tmp_path_factory.mktemp("canaries") / "home"
    home.mkdir(mode=0o700)
    (home / "lab.key").write_text(PROVIDER_KEYS["file"] + "\n", encoding="utf-8")
    before = clean_environment(HOME=str(home))
    farthing(home, "keys", "create", "before", environment=before)
    told = put_into_vault(home, "add", "groq", "--name", "canary", secret=PROVIDER_KEYS["rotated"])
    link = farthing(home, "admin", "link", environment=before).stdout  # none is printed for the token that is chosen
    with upstream(provider) as server:
        gateway = start_gateway(
            home,
            settings(server, home),
            CANARY_OPENAI=PROVIDER_KEYS["openai"],
            CANARY_ANTHROPIC=PROVIDER_KEYS["anthropic"],
            CANARY_GEMINI=PROVIDER_KEYS["gemini"],
            FARTHING_ADMIN_TOKEN=ADMIN_TOKEN,
        )
        try:
            house = House(gateway, gateway.new_key("canary"), gateway.new_key("revoked"))
            gateway.farthing("keys", "revoke", "revoked")
            house.printed["credentials add"] = told
            told = put_into_vault(home, "rotate", "canary", secret=PROVIDER_KEYS["vault"])
            house.printed["credentials rotate"] = told
            house.master_key = (home / "master.key").read_text().splitlines()[-1]
            wait_until_used(server, gateway, house.keys[0])
            house.link_token = link.strip().rpartition("token=")[2]
            ask_everything(house)
            leave_early(house, server)
            look_everywhere(house)
            yield house
        finally:
            gateway.process.send_signal(signal.SIGTERM)
            gateway.process.wait(45)


def house_files(home: Path) -> dict[str, bytes]:
    """Return all that lies in the home, journal and write-ahead log included, while the gateway runs."""
    return {str(path.relative_to(home)): path.read_bytes() for path in home.rglob("*") if path.is_file()}


def forms(secret: str) -> list[bytes]:
    """Return the ways in which a text may stand somewhere: as it is, quoted, in base64 at each offset."""
    plain = secret.encode()
    found = {plain, quote(secret, safe="").encode(), json.dumps(secret)[1:-1].encode(), plain[::-1]}
    for offset in range(3):
        coded = base64.b64encode(b"\0" * offset + plain)
        found.add(coded[4 if offset else 0 : -4])  # what no neighbour changes
    return sorted(found)


def places(house: House, secret: str) -> set[str]:
    """Return where a secret stands."""
    wanted = forms(secret)
    searched: dict[str, bytes] = {f"home/{name}": data for name, data in house_files(house.gateway.home).items()}
    searched |= {f"printed/{name}": text.encode() for name, text in house.printed.items()}
    searched |= {f"process/{name}": data for name, data in house.process.items()}
    for number, answer in enumerate(house.answers):
        searched[f"answers/{number}"] = answer.body + repr(answer.headers).encode()
    assert len(searched) > 100
    return {name for name, data in searched.items() if any(form in data for form in wanted)}


def test_the_search_finds_what_it_looks_for(house: House) -> None:
    assert {name.partition("/")[0] for name in places(house, "farthing")} >= {"home", "answers", "printed", "process"}
    assert {"home/settings.yaml", "home/running.json"} <= places(house, "CANARY_OPENAI")
    outcomes = {call["outcome"] for call in house.gateway.calls()}
    assert {"ok", "provider_error", "provider_cut", "timeout"} <= outcomes


def test_keys_that_clients_use_are_nowhere(house: House) -> None:
    for key in house.keys:
        assert places(house, key) == set()
        assert places(house, key[3:-6]) == set()  # the random part alone, without prefix and checksum


def test_keys_that_were_refused_and_credentials_of_the_clients_own_are_nowhere(house: House) -> None:
    for told in (*REFUSED_KEYS, *TOLD_BY_CLIENTS):
        assert places(house, told) == set(), told


def test_providers_credentials_stand_where_the_operator_put_them(house: House) -> None:
    for name, credential in PROVIDER_KEYS.items():
        assert places(house, credential) == ({"home/lab.key"} if name == "file" else set()), name


def test_the_admins_token_is_nowhere_and_its_link_was_printed_once(house: House) -> None:
    assert len(house.link_token) == 47
    for token in (ADMIN_TOKEN, house.link_token):
        assert places(house, token) == set()


def test_the_pepper_is_in_its_file_alone(house: House) -> None:
    pepper = load_pepper(house.gateway.home / "pepper", os.urandom)
    found = {
        name
        for name, data in house_files(house.gateway.home).items()
        if pepper in data or pepper.hex().encode() in data
    }
    assert found <= {"pepper"}


def test_the_master_key_is_in_its_file_alone(house: House) -> None:
    assert len(house.master_key) == 64
    assert places(house, house.master_key) == {"home/master.key"}
    raw = bytes.fromhex(house.master_key)
    assert not [name for name, data in house_files(house.gateway.home).items() if raw in data]
    assert raw not in house.process["backup"]


def test_what_is_sealed_is_in_the_home_and_in_its_backup(house: House) -> None:
    """Or the search for what it holds would prove nothing."""
    assert {"home/farthing.db", "home/farthing.db-wal"} & places(house, "credentials_added")
    assert "process/backup" in places(house, "credentials_added")
    assert "printed/credentials list --json" in places(house, "canary")


def test_prompts_are_kept_nowhere(house: House) -> None:
    assert places(house, PROMPT) == set()


def test_answers_reach_those_who_asked_and_are_kept_nowhere(house: House) -> None:
    found = places(house, ANSWERED)
    assert found
    assert {name.partition("/")[0] for name in found} == {"answers"}


def test_what_a_provider_says_in_an_error_is_kept_in_the_ledger_and_nowhere_else(house: House) -> None:
    kept = {name for name in places(house, ECHOED) if not name.startswith("answers/")}
    assert kept
    for name in kept:
        assert name.startswith(("home/journal/", "home/farthing.db", "printed/calls show ", "process/backup")), name


def test_the_files_of_the_home_are_its_owners_alone(house: House) -> None:
    if os.name != "posix":
        pytest.skip("modes are POSIX's")
    ours = {"settings.yaml", "lab.key", "serve.log"}  # written by this test, not by the gateway
    for path in house.gateway.home.rglob("*"):
        if path.name not in ours:
            assert path.stat().st_mode & 0o077 == 0, path


def test_no_page_elsewhere_may_read_an_answer(house: House) -> None:
    headers = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    asked = [request(house.gateway.port, "OPTIONS", path, headers=headers) for path in ("/v1/models", "/admin", "/")]
    for answer in (*house.answers, *asked):
        assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_a_provider_that_redirects_is_not_followed(tmp_path: Path) -> None:
    with upstream(provider) as elsewhere:

        def redirect(connection: socket.socket, _asked: bytes) -> None:
            head = f"HTTP/1.1 307 Temporary Redirect\r\nlocation: {elsewhere.url}/v1\r\ncontent-length: 0\r\n\r\n"
            connection.sendall(head.encode())

        with upstream(redirect) as server:
            gateway = start_gateway(
                tmp_path / "home", f"providers: {{openai: {{base_url: '{server.url}/v1', credential: env:K}}}}\n", K="k"
            )
            try:
                answer = gateway.post("/v1/chat/completions", {"model": "openai:m", "messages": []}, gateway.new_key())
            finally:
                assert gateway.stop() == 0
        assert len(server.requests) == 1
        assert elsewhere.requests == []
    assert answer.status >= 300
