"""OpenAI's single models, whatever is in their names, and the endpoints of its API that are not served."""

import socket
from collections.abc import Iterator

import openai
import pytest

from tests.e2e.support import Gateway, request, running_gateway
from tests.e2e.upstream import upstream, whole


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with upstream(whole(b'{"data":[]}')) as server:
        text = f"""
providers:
  openai: {{base_url: {server.url}/v1, credential: env:KEY}}
  free: {{kind: openai-compatible, base_url: {server.url}/v1, credential: none}}
models:
  fast: openai:m
"""
        with running_gateway(tmp_path_factory.mktemp("home"), text, KEY="sk") as running:
            yield running


@pytest.fixture(scope="module")
def key(gateway: Gateway) -> str:
    return gateway.new_key()


@pytest.fixture(scope="module")
def client(gateway: Gateway, key: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0) as found:
        yield found


# ---- models


@pytest.mark.parametrize(
    "name", ["fast", "openai:m", "openai/gpt-5-mini", "free/org/model:tag", "free:50%/ü", "free:a%2Fb"]
)
def test_a_model_is_found_by_its_id_whatever_is_in_it(client: openai.OpenAI, name: str) -> None:
    model = client.models.retrieve(name)
    assert (model.id, model.object) == (name, "model")


def test_slashes_of_an_id_may_come_as_they_are(gateway: Gateway, key: str) -> None:
    headers = {"authorization": f"Bearer {key}"}
    answer = request(gateway.port, "GET", "/v1/models/free/org/model", None, headers)
    assert answer.json() == {"id": "free/org/model", "object": "model", "created": 0, "owned_by": "free"}


def test_a_model_that_nobody_has_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("no-such-model")


# ---- what is not served


NOT_SERVED = """
POST /v1/assistants
POST /v1/audio/speech
POST /v1/audio/transcriptions
POST /v1/batches
GET /v1/batches
GET /v1/chat/completions
GET /v1/chat/completions/c_1
GET /v1/chat/completions/c_1/messages
POST /v1/chatkit/sessions
POST /v1/containers
POST /v1/conversations
POST /v1/evals
POST /v1/files
GET /v1/files/f_1/content
POST /v1/fine_tuning/jobs
POST /v1/images/edits
POST /v1/images/generations
DELETE /v1/models/ft:m
POST /v1/moderations
GET /v1/organization/costs
GET /v1/realtime
POST /v1/realtime/calls
POST /v1/realtime/client_secrets
GET /v1/responses
GET /v1/responses/r_1
DELETE /v1/responses/r_1
POST /v1/responses/r_1/cancel
GET /v1/responses/r_1/input_items
POST /v1/responses/compact
POST /v1/responses/input_tokens
POST /v1/threads
POST /v1/threads/runs
POST /v1/uploads
POST /v1/vector_stores
POST /v1/videos
GET /files
POST /images/generations
GET /responses/r_1
"""


@pytest.mark.parametrize(("method", "path"), [tuple(line.split()) for line in NOT_SERVED.split("\n") if line])
def test_what_is_not_served_is_told_in_the_face_s_shape(gateway: Gateway, key: str, method: str, path: str) -> None:
    sent = b"{}" if method == "POST" else None
    answer = request(gateway.port, method, path, sent, {"authorization": f"Bearer {key}"})
    assert answer.status == 501
    error = answer.json()["error"]
    assert (error["code"], error["type"]) == ("not_served", "server_error")
    assert path in error["message"]


def test_the_sdk_does_not_repeat_what_is_not_served(gateway: Gateway, key: str) -> None:
    patient = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=5)
    with patient, pytest.raises(openai.InternalServerError) as told:
        patient.images.generate(prompt="a cat", model="gpt-image-1")
    assert told.value.status_code == 501
    assert told.value.response.headers.get("x-should-retry") == "false"


def test_a_websocket_is_refused_in_text(gateway: Gateway, key: str) -> None:
    for path in ("/v1/realtime?model=m", "/v1/responses"):
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as connection:
            head = f"GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\nconnection: Upgrade\r\n"
            head += "upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZQ==\r\n\r\n"
            connection.sendall(head.encode())
            answer = b""
            while piece := connection.recv(65_536):
                answer += piece
        assert answer.startswith(b"HTTP/1.1 501 ")
        assert b'"code":"not_served"' in answer


def test_a_wrong_method_on_a_served_path_is_still_told_as_such(gateway: Gateway, key: str) -> None:
    for path in ("/v1/embeddings", "/v1/completions"):
        answer = request(gateway.port, "GET", path, None, {"authorization": f"Bearer {key}"})
        assert (answer.status, answer.json()["error"]["code"]) == (405, "method_not_allowed")
