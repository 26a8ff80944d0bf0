import json
from pathlib import Path

import pytest

from farthing.config.load import load_settings
from farthing.config.schema import CredentialSource, ProviderSettings
from farthing.errors import ConfigError, Draining, ModelNotFound
from farthing.providers.error_mapping import read_error
from farthing.providers.protocol import Credential
from farthing.providers.registry import create_provider, known_providers
from farthing.server.faces.ollama import OllamaFace
from farthing.types.models import ListedModel, ModelRef
from farthing.types.secret import Secret

FACE = OllamaFace()


def test_only_chat_and_generate_stream_and_they_do_by_default() -> None:
    streamed = {path for (_, path), route in FACE.routes.items() if route.streamed is None and route.streams_by_default}
    assert streamed == {"/api/chat", "/api/generate"}
    assert all(
        route.streamed is False
        for (method, path), route in FACE.routes.items()
        if method == "POST" and path not in streamed
    )


def test_an_error_is_a_text() -> None:
    status, headers, body = FACE.render(ModelNotFound("Unknown model 'x'", hint="ask for another"))
    assert (status, json.loads(body)) == (404, {"error": "Unknown model 'x' (hint: ask for another)"})
    assert (b"content-type", b"application/json") in headers
    _, headers, _ = FACE.render(Draining("stopping", retry_after_s=1))
    assert (b"retry-after", b"1") in headers
    assert json.loads(FACE.render_refusal(429, "rate_limited", "slow down")) == {"error": "slow down"}


def test_a_model_is_a_row_that_ollamas_clients_can_read() -> None:
    small, large = (ListedModel(name, ModelRef("ollama", name)) for name in ("qwen3:8b", "qwen3:32b"))
    rows = json.loads(FACE.render_models([small, large]))["models"]
    assert [row["name"] for row in rows] == [row["model"] for row in rows] == ["qwen3:8b", "qwen3:32b"]
    assert {*rows[0]} == {"name", "model", "modified_at", "size", "digest", "details"}
    assert len({row["digest"] for row in rows}) == 2
    assert all(len(bytes.fromhex(row["digest"])) == 32 for row in rows)
    assert json.loads(FACE.render_model(small)) == rows[0]
    assert json.loads(FACE.render_models([])) == {"models": []}


@pytest.mark.parametrize(
    ("body", "message", "in_shape"),
    [
        (b'{"error":"model \'m\' not found"}', "model 'm' not found", True),
        (b'{"error":{"message":"bad key"}}', "bad key", False),
        (b'{"StatusCode":401,"error":"unauthorized"}', "unauthorized", True),
        (b"404 page not found", "404 page not found", False),
        (b"null", "the provider answered 500", False),
    ],
)
def test_a_refusal_is_in_shape_where_its_error_is_a_text(body: bytes, message: str, in_shape: bool) -> None:
    error = read_error("ollama", 500, body)
    assert (error.message, error.in_shape) == (message, in_shape)


def provider_settings(base_url: str) -> ProviderSettings:
    return ProviderSettings(
        name="ollama", kind="ollama", wire="ollama", base_url=base_url, credential=CredentialSource("none")
    )


@pytest.mark.parametrize("end", ["", "/v1", "/api"])
def test_the_provider_has_its_own_paths_and_openais_whatever_its_address_ends_in(end: str) -> None:
    provider = create_provider(provider_settings(f"http://127.0.0.1:11434/lab{end}"), Credential())
    head = provider.request_head("ollama_chat", b"", b"", 5)
    assert head.startswith(b"POST /lab/api/chat HTTP/1.1\r\nhost: 127.0.0.1:11434\r\n")
    assert b"authorization" not in head
    assert provider.request_head("embeddings", b"", b"", 5).startswith(b"POST /lab/v1/embeddings HTTP/1.1\r\n")
    assert provider.request_head("models", b"", b"", 0).startswith(b"GET /lab/api/tags HTTP/1.1\r\n")


def test_the_cloud_gets_a_bearer() -> None:
    provider = create_provider(provider_settings("https://ollama.example"), Credential(secret=Secret("sk-x")))
    assert b"\r\nauthorization: Bearer sk-x\r\n" in provider.request_head("ollama_generate", b"", b"", 5)


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (b'{"models":[{"name":"a:1b","model":"a:1b","size":5},{"name":"b:latest"}]}', ["a:1b", "b:latest"]),
        (b'{"models":[]}', []),
        (b'{"models":null}', []),
    ],
)
def test_the_provider_lists_its_models(body: bytes, names: list[str]) -> None:
    assert create_provider(provider_settings("http://127.0.0.1:1"), Credential()).model_names(body) == names


@pytest.mark.parametrize(
    ("row", "free"),
    [
        ("ollama:", True),
        ("ollama: {base_url: http://192.0.2.1:11434}", True),
        ("ollama: {free: false}", False),
        ("ollama: {base_url: http://localhost:9999, credential: env:K}", True),
        # Who wants a credential may send a bill.
        ("ollama: {base_url: https://ollama.example, credential: env:K}", False),
        ("ollama: {base_url: https://ollama.example, credential: env:K, free: true}", True),
    ],
)
def test_an_ollama_is_free_unless_it_may_send_a_bill(tmp_path: Path, row: str, free: bool) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(f"providers:\n  {row}\n")
    settings = load_settings(file, known=known_providers(), environment={"K": "sk-x"})
    assert settings.providers["ollama"].free is free
    assert settings.local == {}


def test_nothing_in_the_file_may_refer_to_what_was_only_found(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("models: {fast: 'ollama:qwen3:8b'}\n")
    with pytest.raises(ConfigError, match="needs the provider 'ollama', which is not configured"):
        load_settings(file, known=known_providers(), environment={})
    file.write_text("find_local: true\n")
    local = load_settings(file, known=known_providers(), environment={"OLLAMA_HOST": ":9999"}).local
    assert [(name, found.base_url, found.free) for name, found in local.items()] == [
        ("ollama", "http://127.0.0.1:9999", True)
    ]
    file.write_text("find_local: false\n")
    assert load_settings(file, known=known_providers(), environment={}).local == {}
