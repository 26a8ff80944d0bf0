"""Every route, with every kind of key that is not taken, in every place where a client may put one."""

import http.client
import json
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pytest

from farthing.cli.books import make_key
from farthing.config.paths import Home
from farthing.server.app import _ROUTES
from tests.e2e.support import Gateway, running_gateway
from tests.e2e.upstream import Upstream, upstream, whole

ANSWER = b'{"model":"m","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}'
ROUTES = [
    *_ROUTES,
    ("GET", "/v1/models/lab:m"),
    ("GET", "/v1beta/models/lab:m"),
    *(
        ("POST", f"/v1beta/models/lab:m:{action}")
        for action in ("generateContent", "streamGenerateContent", "countTokens", "embedContent", "batchEmbedContents")
    ),
]
BODY = b'{"model":"lab:m","messages":[{"role":"user","content":"x"}],"input":"x","prompt":"x","contents":[]}'
NO_MODEL_IS_CHOSEN = {"list_models", "fixed"}

REFUSED = {
    "disabled": (403, "key_disabled"),
    "expired": (403, "key_expired"),
    "replaced": (403, "key_expired"),
    "revoked": (401, "invalid_api_key"),
    "deleted": (401, "invalid_api_key"),
    "unknown": (401, "invalid_api_key"),
}
NO_KEYS: dict[str, bytes] = {
    "of a provider": b"sk-proj-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "mistyped": b"ft-" + b"A" * 49,
    "injected": b"' OR '1'='1' --; DROP TABLE keys",
    "injected, as long as a key": b"ft-' OR digest IS NOT NULL OR '1'='1' -- xxxxxxxxxxxxx"[:52],
    "UTF-8": b"ft-" + "é".encode() * 24 + b"x",
    "no UTF-8": b"ft-" + b"\xff\xfe" * 24 + b"\xff",
    "overlong UTF-8": b"ft-" + b"\xc0\xaf" * 24 + b"x",
    "a surrogate": b"ft-" + b"\xed\xa0\x80" * 16 + b"x",
    "full width": "ft－".encode() + b"A" * 47,  # noqa: RUF001 - which is what it is about
    "percent signs": b"%66%74%2d" + b"A" * 43,
    "long": b"ft-" + b"A" * 5_000,
}
SPOOFED = {
    "x-forwarded-for": "127.0.0.1",
    "forwarded": "for=127.0.0.1;host=localhost",
    "x-real-ip": "127.0.0.1",
    "x-forwarded-host": "localhost",
    "x-forwarded-proto": "https",
    "x-original-url": "/health",
    "x-rewrite-url": "/health",
    "x-http-method-override": "OPTIONS",
    "x-remote-user": "admin",
    "x-farthing-user": "admin",
    "x-farthing-key": "key_1",
    "cookie": "farthing_admin=1",
}
HOSTS = ["localhost", "evil.example", "127.0.0.1:1", "farthing.internal, localhost", "[::1]"]


Asked = tuple[str, dict[str, str | bytes], int, str]
"""A target, headers, and the status and code that are due."""


class House:
    """A gateway, the keys by their state, and connections to it that are kept, one for each thread.

    All that a test asks is asked at once: of a well-formed key the gateway asks its store at most every 50 ms.
    """

    def __init__(self, gateway: Gateway, provider: Upstream) -> None:
        self.gateway = gateway
        self.provider = provider
        self.keys: dict[str, str] = {}
        self.threads = ThreadPoolExecutor(36)
        self.own = threading.local()
        self.connections: list[http.client.HTTPConnection] = []

    def make(self, name: str, **fields: Any) -> None:
        home = Home(self.gateway.home)
        _, secret = make_key(home, lambda ring: ring.create(name, **fields))
        self.keys[name] = secret.reveal()
        match name:
            case "disabled":
                make_key(home, lambda ring: ring.disable(name))
            case "replaced":
                make_key(home, lambda ring: ring.rotate(name, grace_s=0))
            case "revoked":
                make_key(home, lambda ring: ring.revoke(name))
            case "deleted":
                make_key(home, lambda ring: ring.delete(name))

    def ask(self, method: str, path: str, headers: Mapping[str, str | bytes]) -> tuple[int, bytes]:
        """Ask over the kept connection, without a Host of its own where the headers bring one."""
        connection = getattr(self.own, "connection", None)
        if connection is None:
            connection = self.own.connection = http.client.HTTPConnection("127.0.0.1", self.gateway.port, timeout=30)
            self.connections.append(connection)
        connection.putrequest(method, path, skip_host="host" in headers, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        body = BODY if method == "POST" else b""
        connection.putheader("content-length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, answer.read()

    def check(self, method: str, asked: Sequence[Asked]) -> list[bytes]:
        """Ask all of it; raise where something is not answered as is due, or anything reaches the provider."""
        before = len(self.provider.requests)
        answers = list(self.threads.map(lambda one: self.ask(method, one[0], one[1]), asked))
        for (target, headers, status, code), (given, body) in zip(asked, answers, strict=True):
            assert (given, code_of(body)) in ((status, code), (status, "")), (method, target, headers, given, body)
            assert b"hint: " in body
        more = self.provider.requests[before:]
        assert [one for one in more if not one.startswith(b"GET /v1/models")] == []
        return [body for _, body in answers]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with upstream(whole(ANSWER)) as provider:
        text = f"""
providers:
  lab: {{kind: vllm, base_url: {provider.url}/v1}}
  other: {{kind: vllm, base_url: {provider.url}/v1}}
"""
        with running_gateway(tmp_path_factory.mktemp("home"), text) as gateway:
            made = House(gateway, provider)
            for name in (*REFUSED, "good"):
                made.make(name, **({"expires_at_us": 1} if name == "expired" else {}))
            made.keys["unknown"] = ring_elsewhere()
            made.make("of other models", models=("other:*", "other:m"))
            made.make("of ollama", faces=("ollama",))
            made.make("of openai", faces=("openai",))
            yield made
            made.threads.shutdown()
            for connection in made.connections:
                connection.close()
        assert "Traceback" not in (gateway.home / "serve.log").read_text(encoding="utf-8")


def ring_elsewhere() -> str:
    """Return a well-formed key of another installation."""
    from farthing.auth import new_token  # noqa: PLC0415

    return new_token(lambda size: b"e" * size)


def places(path: str, key: bytes) -> Iterator[tuple[str, dict[str, str | bytes]]]:
    """Yield a target and headers for each place where clients put keys."""
    yield path, {"authorization": b"Bearer " + key}
    yield path, {"authorization": b"bearer  " + key}
    yield path, {"x-api-key": key}
    yield path, {"x-goog-api-key": key}
    yield f"{path}?key={quote(key, safe='')}", {}
    yield f"/k/{quote(key, safe='')}{path}", {}


def code_of(body: bytes) -> str:
    """Return the code in whatever shape the error has; in Ollama's there is no place for one."""
    error = json.loads(body)["error"]
    if isinstance(error, str):
        return ""
    code = error["code"]
    return code if isinstance(code, str) else str(error["details"][0]["reason"])


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_keys_of_ours_that_are_not_taken_are_refused_everywhere(house: House, method: str, path: str) -> None:
    refused = [(places(path, house.keys[state].encode()), *due) for state, due in REFUSED.items()]
    house.check(method, [(*at, status, code) for found, status, code in refused for at in found])


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_what_is_no_key_is_refused_everywhere_and_not_repeated(house: House, method: str, path: str) -> None:
    house.check(method, [(path, {}, 401, "invalid_api_key")])
    for key in NO_KEYS.values():
        for body in house.check(method, [(*at, 401, "invalid_api_key") for at in places(path, key)]):
            assert key not in body
            assert b"DROP" not in body


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_spoofed_headers_open_nothing(house: House, method: str, path: str) -> None:
    disabled = {"authorization": f"Bearer {house.keys['disabled']}"}
    spoofed: list[dict[str, str | bytes]] = [{**SPOOFED, "host": host} for host in HOSTS]
    house.check(method, [(path, headers, 401, "invalid_api_key") for headers in spoofed])
    house.check(method, [(path, {**headers, **disabled}, 403, "key_disabled") for headers in spoofed])


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_key_of_other_models_or_another_format_is_refused(house: House, method: str, path: str) -> None:
    action = _ROUTES[method, path][1].action if (method, path) in _ROUTES else "show_model"
    if action not in NO_MODEL_IS_CHOSEN:
        asked = places(path, house.keys["of other models"].encode())
        house.check(method, [(*at, 403, "model_not_allowed") for at in asked])
    wrong = "of openai" if path.startswith("/api/") else "of ollama"
    house.check(method, [(*at, 403, "face_not_allowed") for at in places(path, house.keys[wrong].encode())])


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_the_same_requests_with_a_good_key_are_taken(house: House, method: str, path: str) -> None:
    for target, headers in places(path, house.keys["good"].encode()):
        status, body = house.ask(method, target, headers)
        assert status not in (401, 403, 500), (target, body)


@pytest.mark.parametrize("path", ["/admin", "/admin/", "/metrics", "/admin/calls"])
def test_a_clients_key_opens_nothing_of_the_operators(house: House, path: str) -> None:
    for target, headers in places(path, house.keys["good"].encode()):
        status, _ = house.ask("GET", target, headers)
        assert status in (401, 404, 307), (target, headers)  # 307 leads to the same without its slash


def test_a_key_sent_twice_is_not_taken_where_the_last_is_wrong(house: House) -> None:
    good, bad = house.keys["good"].encode(), house.keys["unknown"].encode()
    with socket.create_connection(("127.0.0.1", house.gateway.port), timeout=10) as sock:
        sock.sendall(
            b"GET /v1/models HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer " + good + b"\r\n"
            b"authorization: Bearer " + bad + b"\r\n\r\n"
        )
        with sock.makefile("rb") as answer:
            assert answer.readline().split()[1] in (b"400", b"401")


def test_none_of_it_is_in_the_ledger_but_what_the_good_key_asked(house: House) -> None:
    keys = {attempt.opening.attribution.key_name for attempt in house.gateway.attempts()}
    assert keys <= {"good"}
    assert [record["name"] for record in json.loads(house.gateway.farthing("keys", "list", "--json").stdout)][1:4] == [
        "disabled",
        "expired",
        "replaced",
    ]
