"""Google's own client, through the gateway, in front of a server that speaks the real format; the ledger agrees.

The answers are shaped as recorded ones: usage in every chunk, zero counts left out, CRLF, and one JSON array where
nobody asks for events.
"""

import json
import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from google import genai
from google.genai import errors, types

from farthing.types.calls import Attempt
from tests.e2e.support import Gateway, request, running_gateway
from tests.e2e.upstream import Upstream, streamed, upstream, whole

FLASH, NEW, EMBED = "gemini-2.5-flash", "gemini-3.8-flash", "gemini-embedding-001"
TIER = {"serviceTier": "standard"}
USAGE = {"promptTokenCount": 10, "candidatesTokenCount": 3, "thoughtsTokenCount": 4, "totalTokenCount": 17, **TIER}
CALL = {"functionCall": {"name": "weather", "args": {"city": "Paris"}}, "thoughtSignature": "c2ln"}
FULL_PRICE = 10 * 300 + 7 * 2500  # nanodollars: 0.30 and 2.50 dollars per million tokens


def chunk(*parts: Any, finish: str | None = None, usage: Any = USAGE, model: str = FLASH, **more: Any) -> bytes:
    candidate: dict[str, Any] = {"content": {"parts": list(parts), "role": "model"}, "index": 0, **more}
    if finish is not None:
        candidate["finishReason"] = finish
    body = {"candidates": [candidate], "usageMetadata": usage, "modelVersion": model, "responseId": "r1"}
    return json.dumps(body).encode()


def text(said: str, **more: Any) -> dict[str, Any]:
    return {"text": said, **more}


CHUNKS = (
    chunk(text("Let me think", thought=True), usage={"promptTokenCount": 10, "thoughtsTokenCount": 4, **TIER}),
    chunk(text("Blue "), usage={"promptTokenCount": 10, "candidatesTokenCount": 1, "thoughtsTokenCount": 4, **TIER}),
    chunk(text("sky ö"), finish="STOP"),
)
GROUNDED = chunk(
    text("22 degrees"),
    finish="STOP",
    groundingMetadata={"webSearchQueries": ["", "weather Paris", "Paris", "Paris"]},
    model=NEW,
)
BAD_KEY = {
    "code": 400,
    "message": "API key not valid. Please pass a valid API key.",
    "status": "INVALID_ARGUMENT",
    "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}],
}
QUOTA = {
    "code": 429,
    "message": "You exceeded your current quota",
    "status": "RESOURCE_EXHAUSTED",
    "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "22s"}],
}


def sse(*chunks: bytes) -> tuple[bytes, ...]:
    return tuple(b"data: %b\r\n\r\n" % piece for piece in chunks)


def serve(connection: socket.socket, sent: bytes) -> None:
    line = sent.partition(b"\r\n")[0].decode()
    body = sent.partition(b"\r\n\r\n")[2]
    action = line.partition(" HTTP/")[0].rpartition(":")[2].partition("?")[0]
    if b"bad-key" in body:
        whole(json.dumps({"error": BAD_KEY}).encode(), "400 Bad Request")(connection, sent)
    elif b"no-quota" in body and "alt=sse" not in line and action.startswith("stream"):
        whole(json.dumps([{"error": QUOTA}]).encode(), "429 Too Many Requests")(connection, sent)
    elif b"no-quota" in body:
        whole(json.dumps({"error": QUOTA}).encode(), "429 Too Many Requests")(connection, sent)
    elif b"foreign" in body:
        whole(b'{"error":{"message":"no such thing","type":"x","code":"y"}}', "404 Not Found")(connection, sent)
    elif line.startswith("GET"):
        rows = [
            {"name": "models/gemini-2.5-flash", "supportedGenerationMethods": ["generateContent", "countTokens"]},
            {"name": "models/gemini-next", "supportedGenerationMethods": ["generateContent"]},
            {"name": "models/veo-3.1", "supportedGenerationMethods": ["predictLongRunning"]},
        ]
        whole(json.dumps({"models": rows}).encode())(connection, sent)
    elif action == "countTokens":
        whole(b'{"totalTokens":8,"promptTokensDetails":[{"modality":"TEXT","tokenCount":8}]}')(connection, sent)
    elif action == "batchEmbedContents":
        named = {entry["model"] for entry in json.loads(body)["requests"]}
        if named != {f"models/{EMBED}"}:
            whole(b'{"error":{"code":400,"message":"model differs","status":"X"}}', "400 No")(connection, sent)
        usage = {"promptTokenCount": 7, "promptTokenDetails": [{"modality": "TEXT", "tokenCount": 7}]}
        answer = {"embeddings": [{"values": [0.1, -0.2]}], "usageMetadata": usage}
        whole(json.dumps(answer).encode())(connection, sent)
    elif action == "streamGenerateContent":
        _stream(line, body)(connection, sent)
    elif b"google_search" in body or b"googleSearch" in body:
        whole(GROUNDED)(connection, sent)
    elif b"functionDeclarations" in body:
        whole(chunk(CALL, finish="STOP"))(connection, sent)
    else:
        whole(chunk(text("hm", thought=True), text("Blue sky"), finish="STOP"))(connection, sent)


def _stream(line: str, body: bytes) -> Any:
    if b"blocked" in body:
        blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 9}}
        return streamed(*sse(json.dumps(blocked).encode()))
    if b"breaks" in body:
        error = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
        return streamed(*sse(*CHUNKS[:2], json.dumps(error).encode()))
    if "alt=sse" in line:
        pieces = sse(*(CHUNKS[:2] if b"cut" in body else CHUNKS))
        return streamed(*pieces, end=b"cut" not in body, close=b"cut" in body)
    pieces = (b"[" + CHUNKS[0], b",\r\n" + CHUNKS[1][:40], CHUNKS[1][40:], b"\r\n,\r\n" + CHUNKS[2] + b"\n]\n")
    return streamed(*pieces[:3], end=False, close=True) if b"cut" in body else streamed(*pieces)


@pytest.fixture(scope="module")
def provider() -> Iterator[Upstream]:
    with upstream(serve) as server:
        yield server


@pytest.fixture(scope="module")
def gateway(provider: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    settings = (
        f"providers:\n  gemini: {{base_url: {provider.url}, credential: env:K}}\n"
        f"models:\n  fast: gemini:{FLASH}\n  vectors: gemini:{EMBED}\n"
    )
    with running_gateway(tmp_path_factory.mktemp("home"), settings, K="AIza-ours") as running:
        yield running
        running.verify()


@pytest.fixture(scope="module")
def key(gateway: Gateway) -> str:
    return gateway.new_key("sdk")


@pytest.fixture
def client(gateway: Gateway, key: str) -> genai.Client:
    return client_of(gateway.url, key)


def client_of(url: str, key: str, version: str = "v1beta") -> genai.Client:
    return genai.Client(api_key=key, vertexai=False, http_options={"base_url": url, "api_version": version})


def last(gateway: Gateway) -> Attempt:
    return gateway.attempts()[-1]


def is_priced_whole(attempt: Attempt, *, model: str = FLASH) -> None:
    assert (attempt.outcome, attempt.cost_basis, attempt.model_served) == ("ok", "reported", model)
    assert (attempt.usage.input_tokens, attempt.usage.output_tokens) == (10, 7)
    assert attempt.usage.reasoning_output_tokens == 4
    assert attempt.cost_nanousd == FULL_PRICE


@pytest.mark.parametrize("model", [FLASH, f"models/{FLASH}", "fast", f"gemini:{FLASH}", f"gemini/{FLASH}"])
@pytest.mark.parametrize("version", ["v1beta", "v1"])
def test_whole(gateway: Gateway, provider: Upstream, key: str, model: str, version: str) -> None:
    client = client_of(gateway.url, key, version)
    answer = client.models.generate_content(model=model, contents="Why is the sky blue?")
    assert answer.text == "Blue sky"
    is_priced_whole(last(gateway))
    head = provider.requests[-1].partition(b"\r\n\r\n")[0].lower()
    assert head.startswith(b"post /v1beta/models/gemini-2.5-flash:generatecontent http/1.1\r\n")
    assert b"x-goog-api-key: aiza-ours" in head
    assert key.encode() not in provider.requests[-1]


def test_streamed_with_thoughts(client: genai.Client, gateway: Gateway, provider: Upstream) -> None:
    chunks = list(client.models.generate_content_stream(model=FLASH, contents="Why?"))
    assert "".join(chunk.text or "" for chunk in chunks) == "Blue sky ö"
    assert chunks[-1].usage_metadata is not None
    assert b":streamGenerateContent?alt=sse HTTP" in provider.requests[-1]
    is_priced_whole(last(gateway))
    assert last(gateway).first_output_us is not None


def test_tools(client: genai.Client, gateway: Gateway) -> None:
    tool = types.Tool(function_declarations=[types.FunctionDeclaration(name="weather")])
    answer = client.models.generate_content(
        model=FLASH,
        contents="Weather?",
        config=types.GenerateContentConfig(
            tools=[tool], automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True)
        ),
    )
    (call,) = answer.function_calls or []
    assert (call.name, call.args) == ("weather", {"city": "Paris"})
    is_priced_whole(last(gateway))


def test_each_distinct_search_of_a_new_model_is_a_fee(client: genai.Client, gateway: Gateway) -> None:
    config = types.GenerateContentConfig(tools=[types.Tool(google_search=types.GoogleSearch())])
    client.models.generate_content(model=NEW, contents="Weather in Paris?", config=config)
    attempt = last(gateway)
    assert attempt.usage.web_search_requests == 2
    assert attempt.cost_nanousd is not None
    assert attempt.cost_nanousd > 2 * 14_000_000


def test_counting_tokens_is_free(client: genai.Client, gateway: Gateway) -> None:
    assert client.models.count_tokens(model=FLASH, contents="Why?").total_tokens == 8
    attempt = last(gateway)
    assert (attempt.opening.operation, attempt.outcome, attempt.cost_nanousd) == ("count_tokens", "ok", 0)


@pytest.mark.parametrize("model", [EMBED, "vectors", f"gemini:{EMBED}"])
def test_embeddings_name_the_provider_s_model_in_the_body_too(
    client: genai.Client, gateway: Gateway, model: str
) -> None:
    answer = client.models.embed_content(model=model, contents=["hello"])
    assert answer.embeddings is not None
    assert answer.embeddings[0].values == [0.1, -0.2]
    attempt = last(gateway)
    assert (attempt.usage.input_tokens, attempt.usage.output_tokens) == (7, 0)
    assert (attempt.cost_nanousd, attempt.cost_basis) == (7 * 150, "reported")


def test_models_are_listed_and_shown(client: genai.Client) -> None:
    names = [model.name for model in client.models.list()]
    assert names[0] == "models/fast"
    assert "models/gemini-next" in names
    assert "models/veo-3.1" not in names
    shown = client.models.get(model=FLASH)
    assert shown.name == f"models/{FLASH}"
    assert "generateContent" in (shown.supported_actions or [])


def test_a_shared_list_of_models_is_gemini_s_where_the_key_is_put_like_gemini_s(gateway: Gateway, key: str) -> None:
    by_header = request(gateway.port, "GET", "/v1/models", headers={"x-goog-api-key": key})
    by_query = request(gateway.port, "GET", f"/v1/models?key={key}")
    by_bearer = request(gateway.port, "GET", "/v1/models", headers={"authorization": f"Bearer {key}"})
    assert by_header.json()["models"][0]["name"] == "models/fast"
    assert by_query.json() == by_header.json()
    assert by_bearer.json()["object"] == "list"
    one = request(gateway.port, "GET", f"/v1/models/{FLASH}", headers={"x-goog-api-key": key})
    assert one.json()["name"] == f"models/{FLASH}"


@pytest.mark.parametrize(
    ("said", "status", "code", "named"),
    [("bad-key", 400, 400, "INVALID_ARGUMENT"), ("no-quota", 429, 429, "RESOURCE_EXHAUSTED")],
)
def test_refusals_pass_in_google_s_own_shape(
    client: genai.Client, gateway: Gateway, said: str, status: int, code: int, named: str
) -> None:
    with pytest.raises(errors.ClientError) as caught:
        client.models.generate_content(model=FLASH, contents=said)
    assert (caught.value.code, caught.value.status) == (code, named)
    assert "details" in str(caught.value)
    attempt = last(gateway)
    assert (attempt.http_status, attempt.error_code, attempt.cost_nanousd) == (status, named, 0)
    with pytest.raises(errors.ClientError) as caught:
        list(client.models.generate_content_stream(model=FLASH, contents=said))
    assert caught.value.status == named


def test_a_refusal_in_an_array_passes_and_says_when_to_come_back(gateway: Gateway, key: str) -> None:
    body = {"contents": [{"parts": [{"text": "no-quota"}]}]}
    answer = gateway.post(f"/v1beta/models/{FLASH}:streamGenerateContent", body, key)
    assert (answer.status, answer.headers["retry-after"]) == (429, "22")
    assert answer.json()[0]["error"]["status"] == "RESOURCE_EXHAUSTED"


def test_a_refusal_of_foreign_shape_is_rendered_in_google_s(client: genai.Client) -> None:
    with pytest.raises(errors.ClientError) as caught:
        client.models.generate_content(model=FLASH, contents="foreign")
    assert (caught.value.code, caught.value.status, caught.value.message) == (404, "NOT_FOUND", "no such thing")


def test_our_own_refusals_have_google_s_shape(gateway: Gateway, client: genai.Client) -> None:
    with pytest.raises(errors.ClientError) as caught:
        client.models.generate_content(model="gemini-nonsense", contents="?")
    assert (caught.value.code, caught.value.status) == (404, "NOT_FOUND")
    stranger = client_of(gateway.url, "ft-wrong")
    with pytest.raises(errors.ClientError) as caught:
        stranger.models.generate_content(model=FLASH, contents="?")
    assert (caught.value.code, caught.value.status) == (401, "UNAUTHENTICATED")


def test_a_key_is_taken_from_wherever_it_is_put_and_travels_from_nowhere(
    gateway: Gateway, provider: Upstream, key: str
) -> None:
    path, body = f"models/{FLASH}:generateContent", b'{"contents":[{"parts":[{"text":"?"}]}]}'
    for where, headers in (
        (f"/v1beta/{path}", {"x-goog-api-key": key}),
        (f"/v1beta/{path}", {"authorization": f"Bearer {key}"}),
        (f"/v1beta/{path}?prettyPrint=false&key={key}&%6bey={key}&quotaUser=me", {}),
        (f"/k/{key}/v1beta/{path}", {}),
        (f"/v1beta/models%2Fgemini%3A{FLASH}%3AgenerateContent?key={key}", {}),
    ):
        answer = request(gateway.port, "POST", where, body, headers)
        assert answer.status == 200, (where, answer.body)
        sent = provider.requests[-1]
        assert key.encode() not in sent
        assert sent.count(b"AIza-ours") == 1
        assert sent.endswith(body)
        if "quotaUser" in where:
            assert b":generateContent?prettyPrint=false&quotaUser=me HTTP" in sent
    refused = request(gateway.port, "POST", f"/v1beta/{path}", body)
    assert (refused.status, refused.json()["error"]["status"]) == (401, "UNAUTHENTICATED")


def test_an_array_is_streamed_and_metered_as_it_came(gateway: Gateway, key: str) -> None:
    body = {"contents": [{"parts": [{"text": "?"}]}]}
    answer = gateway.post(f"/v1beta/models/{FLASH}:streamGenerateContent", body, key)
    assert answer.headers.get("transfer-encoding") == "chunked"
    assert answer.body == b"[" + CHUNKS[0] + b",\r\n" + CHUNKS[1] + b"\r\n,\r\n" + CHUNKS[2] + b"\n]\n"
    is_priced_whole(last(gateway))


def test_a_stream_cut_in_the_middle_ends_in_an_error_and_is_billed_for_what_arrived(
    client: genai.Client, gateway: Gateway, key: str
) -> None:
    said: list[str] = []
    pieces = client.models.generate_content_stream(model=FLASH, contents="cut")
    with pytest.raises(errors.ServerError) as caught:
        said.extend(piece.text or "" for piece in pieces)
    assert "".join(said) == "Blue "
    assert (caught.value.code, caught.value.status) == (502, "UNAVAILABLE")
    attempt = last(gateway)
    assert (attempt.outcome, attempt.cost_basis, attempt.usage.input_tokens) == ("provider_cut", "estimated", 10)
    assert attempt.usage.output_tokens is not None
    assert attempt.usage.output_tokens >= 5
    body = {"contents": [{"parts": [{"text": "cut"}]}]}
    array = gateway.post(f"/v1beta/models/{FLASH}:streamGenerateContent", body, key).json()
    assert [next(iter(entry)) for entry in array] == ["candidates", "candidates", "error"]
    assert last(gateway).outcome == "provider_cut"


def test_an_error_inside_a_stream_passes_and_is_billed_for_what_arrived(client: genai.Client, gateway: Gateway) -> None:
    with pytest.raises(errors.ServerError) as caught:
        list(client.models.generate_content_stream(model=FLASH, contents="breaks"))
    assert caught.value.status == "UNAVAILABLE"
    attempt = last(gateway)
    assert (attempt.outcome, attempt.error_code) == ("provider_error", "UNAVAILABLE")
    assert attempt.usage.input_tokens == 10


def test_a_blocked_prompt_is_an_answer(client: genai.Client, gateway: Gateway) -> None:
    (only,) = client.models.generate_content_stream(model=FLASH, contents="blocked")
    assert only.prompt_feedback is not None
    attempt = last(gateway)
    assert (attempt.outcome, attempt.cost_nanousd, attempt.cost_basis) == ("ok", 9 * 300, "reported")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1beta/cachedContents"),
        ("GET", "/v1beta/files/x"),
        ("POST", "/upload/v1beta/files"),
        ("GET", "/v1beta/tunedModels"),
        ("POST", "/v1beta/batches"),
        ("POST", "/v1beta/interactions"),
        ("POST", "/v1beta/models/imagen-4.0:predict"),
        ("POST", "/v1beta/models/veo-3.1:predictLongRunning"),
        ("POST", "/v1/models/imagen-4.0:predict"),
        ("POST", f"/v1beta/models/{FLASH}:batchGenerateContent"),
        ("GET", "/v1beta/models/veo-3.1/operations/x"),
        ("GET", "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"),
    ],
)
def test_what_is_not_served_says_so_in_google_s_shape(gateway: Gateway, key: str, method: str, path: str) -> None:
    answer = request(gateway.port, method, path, b"{}" if method == "POST" else None, {"x-goog-api-key": key})
    assert answer.status == 501
    error = answer.json()["error"]
    assert (error["code"], error["status"]) == (501, "UNIMPLEMENTED")
    assert re.search(r"outside what Farthing serves", error["message"])


# ---- paths, queries and headers that no SDK of Google's sends, and some of its users do

CONTENTS = {"contents": [{"parts": [{"text": "Why is the sky blue?"}]}]}


@pytest.mark.parametrize("path", [f"models/models%2F{FLASH}", f"models%2F{FLASH}", f"models/models/{FLASH}"])
def test_a_model_s_whole_name_may_be_encoded_into_the_path(gateway: Gateway, key: str, path: str) -> None:
    assert gateway.post(f"/v1beta/{path}:generateContent", CONTENTS, key).status == 200
    is_priced_whole(last(gateway))
    shown = request(gateway.port, "GET", f"/v1beta/{path}", headers={"x-goog-api-key": key})
    assert shown.json()["name"] == f"models/{FLASH}"


@pytest.mark.parametrize("query", ["fields=candidates", "%24fields=candidates", "alt=media", "alt=sse&callback=f"])
def test_a_query_that_would_hide_the_usage_is_refused_and_not_sent(
    gateway: Gateway, provider: Upstream, key: str, query: str
) -> None:
    before = len(provider.requests)
    answer = gateway.post(f"/v1beta/models/{FLASH}:generateContent?{query}", CONTENTS, key)
    assert (answer.status, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert "in the query" in answer.json()["error"]["message"]
    assert len(provider.requests) == before


def test_who_pays_and_which_fields_come_is_not_the_client_s_to_say(
    gateway: Gateway, provider: Upstream, key: str
) -> None:
    headers = {"X-Goog-FieldMask": "candidates", "X-Goog-User-Project": "theirs", "X-HTTP-Method-Override": "DELETE"}
    answer = gateway.post(f"/v1beta/models/{FLASH}:generateContent?userProject=theirs", CONTENTS, key, headers)
    assert answer.status == 200
    sent = provider.requests[-1].partition(b"\r\n\r\n")[0].lower()
    for name in (b"fieldmask", b"project", b"override", b"theirs"):
        assert name not in sent
    is_priced_whole(last(gateway))
