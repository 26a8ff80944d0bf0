"""The Gemini face: which paths it knows, and the shape of what it says."""

import json

import pytest

from farthing.config.schema import CredentialSource, ProviderSettings
from farthing.errors import (
    CredentialMissing,
    InvalidKey,
    InvalidRequest,
    ModelNotFound,
    NotServed,
    Overloaded,
    UnpricedModel,
)
from farthing.providers.gemini import KNOWN, Gemini, create
from farthing.providers.protocol import Credential
from farthing.server.app import _key_in, _without_credentials
from farthing.server.faces.gemini import GeminiFace
from farthing.types.models import ListedModel, ModelRef
from farthing.types.secret import Secret

FACE = GeminiFace()


@pytest.mark.parametrize("base", ["/v1beta", "/v1", "/v1alpha"])
@pytest.mark.parametrize(
    ("named", "model"),
    [
        ("models/gemini-2.5-flash", "gemini-2.5-flash"),
        ("models/gemini:gemini-2.5-flash", "gemini:gemini-2.5-flash"),
        ("models/openrouter/google/gemini-2.5-flash:free", "openrouter/google/gemini-2.5-flash:free"),
        ("models/models/gemini-2.5-flash", "gemini-2.5-flash"),
        ("tunedModels/mine", "tunedModels/mine"),
    ],
)
def test_the_action_follows_the_last_colon(base: str, named: str, model: str) -> None:
    route = FACE.match("POST", f"{base}/{named}:streamGenerateContent")
    assert route is not None
    assert (route.action, route.model, route.streamed) == ("stream_generate_content", model, True)


@pytest.mark.parametrize(
    ("action", "operation"),
    [
        ("generateContent", "generate_content"),
        ("countTokens", "count_tokens"),
        ("embedContent", "embed_content"),
        ("batchEmbedContents", "batch_embed_contents"),
    ],
)
def test_only_one_action_streams(action: str, operation: str) -> None:
    route = FACE.match("POST", f"/v1beta/models/m:{action}")
    assert route is not None
    assert (route.action, route.streamed) == (operation, False)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1beta/models/m:predict"),
        ("POST", "/v1beta/models/m"),
        ("POST", "/v1beta/models/:generateContent"),
        ("POST", f"/v1beta/models/{'m' * 600}:generateContent"),
        ("POST", "/v1beta/models/m\n:generateContent"),
        ("GET", "/v1beta/models/m/operations/x"),
        ("GET", "/v1beta/tunedModels/m"),
        ("DELETE", "/v1beta/models/m"),
        ("POST", "/v2/models/m:generateContent"),
        ("POST", "/v1/chat/completions"),
    ],
)
def test_what_it_does_not_serve_it_does_not_match(method: str, path: str) -> None:
    assert FACE.match(method, path) is None


def test_one_model_is_shown_by_its_name() -> None:
    route = FACE.match("GET", "/v1beta/models/gemini:gemini-2.5-flash")
    assert route is not None
    assert (route.action, route.model) == ("show_model", "gemini:gemini-2.5-flash")


@pytest.mark.parametrize(
    ("error", "status", "named"),
    [
        (InvalidKey("no"), 401, "UNAUTHENTICATED"),
        (UnpricedModel("no"), 402, "FAILED_PRECONDITION"),
        (ModelNotFound("no"), 404, "NOT_FOUND"),
        (NotServed("no"), 501, "UNIMPLEMENTED"),
        (CredentialMissing("no"), 503, "UNAVAILABLE"),
    ],
)
def test_errors_have_google_s_shape(error: Overloaded, status: int, named: str) -> None:
    answered, headers, body = FACE.render(error)
    said = json.loads(body)["error"]
    assert (answered, said["code"], said["status"], said["message"]) == (status, status, named, "no")
    assert said["details"][0]["reason"] == error.code
    assert (b"content-type", b"application/json") in headers


def test_models_are_named_as_google_names_them() -> None:
    model = ListedModel("fast", ModelRef("gemini", "gemini-2.5-flash"))
    listed = json.loads(FACE.render_models([model]))
    assert listed == {"models": [json.loads(FACE.render_model(model))]}
    assert listed["models"][0]["name"] == "models/fast"


# ---- keys


@pytest.mark.parametrize(
    ("query", "key", "goes_on"),
    [
        (b"", b"", b""),
        (b"alt=sse", b"", b"alt=sse"),
        (b"alt=sse&key=ft-1", b"ft-1", b"alt=sse"),
        (b"key=ft%2D1&pageSize=5", b"ft-1", b"pageSize=5"),
        (b"%6bey=ft-1&alt=sse", b"", b"alt=sse"),
        (b"access_token=x&oauth_token=y&monkey=z", b"", b"monkey=z"),
        (b"%24alt=json%3Benum-encoding=int", b"", b"%24alt=json%3Benum-encoding=int"),
    ],
)
def test_a_key_in_the_query_is_read_and_stays_here(query: bytes, key: bytes, goes_on: bytes) -> None:
    assert _key_in(query) == key
    assert _without_credentials(query) == goes_on


# ---- the provider


def provider(base_url: str) -> Gemini:
    (known,) = KNOWN
    settings = ProviderSettings(
        name="gemini",
        kind="gemini",
        wire="gemini",
        base_url=base_url,
        credential=CredentialSource("env", "K"),
        price_key="google",
    )
    return create(settings, known, Credential(secret=Secret("AIza")))


@pytest.mark.parametrize(
    ("query", "goes_on"),
    [
        (b"alt=sse", b"alt=sse"),
        (b"alt=json&prettyPrint=false", b"alt=json&prettyPrint=false"),
        (b"%24alt=json%3Benum-encoding=int", b"%24alt=json%3Benum-encoding=int"),
        (b"$alt=json;enum-encoding=int", b"$alt=json;enum-encoding=int"),
        (b"userProject=theirs&alt=sse&%24userProject=x", b"alt=sse"),
        (b"$key=AIza&quotaUser=u", b"quotaUser=u"),
        (b"fieldset=1&alternative=2", b"fieldset=1&alternative=2"),
    ],
)
def test_a_query_goes_on_but_for_who_pays(query: bytes, goes_on: bytes) -> None:
    head = provider("http://localhost:1").request_head("generate_content", query, b"", 2, "m")
    assert head.startswith(b"POST /v1beta/models/m:generateContent?%b HTTP/1.1\r\n" % goes_on)


@pytest.mark.parametrize(
    "query",
    [
        b"fields=candidates",
        b"$fields=*",
        b"%24fields=x",
        b"f%69elds=x",
        b"alt=sse&callback=f",
        b"$callback=f",
        b"alt=media",
        b"alt=proto",
        b"alt=",
        b"alt=SSE",
        b"alt=sse&alt=media",
        b"$alt=proto",
    ],
)
def test_what_would_hide_the_usage_is_refused(query: bytes) -> None:
    with pytest.raises(InvalidRequest, match="in the query"):
        provider("http://localhost:1").request_head("generate_content", query, b"", 2, "m")


def test_its_list_is_asked_for_a_thousand_at_a_time_and_page_after_page() -> None:
    google = provider("http://localhost:1")
    assert google.next_page(b'{"models":[]}') == b""
    query = google.next_page(b'{"nextPageToken":"a b&c"}')
    assert query == b"pageToken=a%20b%26c"
    head = google.request_head("models", query, b"", 0)
    assert head.startswith(b"GET /v1beta/models?pageSize=1000&pageToken=a%20b%26c HTTP/1.1\r\n")


@pytest.mark.parametrize("base", ["", "/", "/v1beta", "/v1beta/"])
def test_the_base_address_may_name_the_version(base: str) -> None:
    head = provider(f"https://generativelanguage.googleapis.com{base}").request_head(
        "generate_content", b"", b"", 2, "gemini-2.5-flash"
    )
    assert head.startswith(b"POST /v1beta/models/gemini-2.5-flash:generateContent HTTP/1.1\r\n")
    assert b"x-goog-api-key: AIza\r\n" in head


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("models/m", b"/v1/models/m:countTokens"),
        ("tunedModels/mine", b"/v1/tunedModels/mine:countTokens"),
        ("a b/c:d", b"/v1/models/a%20b%2Fc%3Ad:countTokens"),
    ],
)
def test_the_model_is_in_the_path(model: str, path: bytes) -> None:
    head = provider("http://localhost:1/v1").request_head("count_tokens", b"alt=sse", b"", 2, model)
    assert head.startswith(b"POST " + path + b"?alt=sse HTTP/1.1\r\n")


def test_models_that_only_draw_are_not_listed() -> None:
    rows = [
        {"name": "models/gemini-2.5-flash", "supportedGenerationMethods": ["generateContent", 5]},
        {"name": "models/gemini-embedding-001", "supportedGenerationMethods": ["embedContent"]},
        {"name": "models/veo-3.1", "supportedGenerationMethods": ["predictLongRunning"]},
        {"name": "mine"},
    ]
    names = provider("http://localhost:1").model_names(json.dumps({"models": rows, "nextPageToken": "x"}).encode())
    assert names == ["gemini-2.5-flash", "gemini-embedding-001", "mine"]
