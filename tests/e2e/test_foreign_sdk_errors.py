"""What the official SDKs make of trouble at a provider of another format: which error they raise, and when they retry.

Every request that a client sends is counted at the client, so that a retry cannot hide.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import anthropic
import httpx
import httpx2
import ollama
import openai
import pytest
from google import genai
from google.genai import errors, types
from openai.types.responses import Response

from farthing.testing.fakes.script import Reply
from tests.e2e.foreign import anthropic_clients, google_clients, ollama_clients, openai_clients
from tests.e2e.foreign.house import Ask, House, open_house

RETRIES = 2
WAIT_S = 1


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with open_house(tmp_path_factory.mktemp("errors") / "home") as found:
        yield found
        found.check_ledger()


@dataclass
class Counted:
    """When a client sent its requests."""

    at_s: list[float] = field(default_factory=list)

    def hooks(self) -> Any:
        return {"request": [lambda _request: self.at_s.append(time.monotonic())]}


def chat(house: House, ask: Ask, counted: Counted, more: dict[str, Any], *, streams: bool) -> str:
    with (
        httpx2.Client(event_hooks=counted.hooks()) as http,
        openai.OpenAI(base_url=f"{house.url}/v1", api_key=house.key, max_retries=RETRIES, http_client=http) as sdk,
    ):
        if not streams:
            return (
                sdk.chat.completions.create(**openai_clients.chat_request(ask), **more).choices[0].message.content or ""
            )
        chunks = sdk.chat.completions.create(**openai_clients.chat_request(ask), **more, stream=True)
        return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def responses(house: House, ask: Ask, counted: Counted, more: dict[str, Any], *, streams: bool) -> str:
    with (
        httpx2.Client(event_hooks=counted.hooks()) as http,
        openai.OpenAI(base_url=f"{house.url}/v1", api_key=house.key, max_retries=RETRIES, http_client=http) as sdk,
    ):
        if not streams:
            answer: Response = sdk.responses.create(**openai_clients.responses_request(ask), **more)
            return answer.output_text
        with sdk.responses.stream(**openai_clients.responses_request(ask), **more) as stream:
            for _ in stream:
                pass
            return stream.get_final_response().output_text


def claude(house: House, ask: Ask, counted: Counted, more: dict[str, Any], *, streams: bool) -> str:
    with (
        httpx2.Client(event_hooks=counted.hooks()) as http,
        anthropic.Anthropic(
            base_url=house.url, auth_token=house.key, api_key=None, max_retries=RETRIES, http_client=http
        ) as sdk,
    ):
        if not streams:
            message = sdk.messages.create(**anthropic_clients.request(ask), **more)
            return "".join(block.text for block in message.content if block.type == "text")
        with sdk.messages.stream(**anthropic_clients.request(ask), **more) as stream:
            return stream.get_final_text()


def google(house: House, ask: Ask, counted: Counted, more: dict[str, Any], *, streams: bool) -> str:
    options = types.HttpOptions(
        base_url=house.url,
        client_args={"event_hooks": counted.hooks()},
        retry_options=types.HttpRetryOptions(attempts=RETRIES + 1, initial_delay=WAIT_S, jitter=0.01),
    )
    asked = google_clients.asked(ask)
    asked["config"] = asked["config"].model_copy(update=more)
    with genai.Client(api_key=house.key, http_options=options) as sdk:
        if not streams:
            return sdk.models.generate_content(**asked).text or ""
        return "".join(chunk.text or "" for chunk in sdk.models.generate_content_stream(**asked))


def local(house: House, ask: Ask, counted: Counted, more: dict[str, Any], *, streams: bool) -> str:
    with ollama.Client(host=ollama_clients.host(house.url, house.key), event_hooks=counted.hooks()) as sdk:
        asked = {**ollama_clients.request(ask), **more}
        if not streams:
            return sdk.chat(**asked).message.content or ""
        return "".join(line.message.content or "" for line in sdk.chat(**asked, stream=True))


@dataclass(frozen=True)
class Client:
    """One SDK: how to ask, which errors it raises, and providers that are foreign to it."""

    ask: Callable[..., str]
    refused: type[Exception]
    told: tuple[type[Exception], ...]
    providers: tuple[str, ...]
    retries: bool = True


CLIENTS = {
    "chat": Client(chat, openai.BadRequestError, (openai.APIError,), ("claude", "google", "local")),
    "responses": Client(responses, openai.BadRequestError, (openai.APIError,), ("claude", "google", "mistral")),
    "anthropic": Client(claude, anthropic.BadRequestError, (anthropic.APIError,), ("google", "mistral", "openai")),
    "google": Client(google, errors.ClientError, (errors.APIError,), ("claude", "mistral", "openai")),
    "ollama": Client(
        local, ollama.ResponseError, (ollama.ResponseError,), ("claude", "google", "mistral"), retries=False
    ),
}
CASES = [(name, provider) for name, client in CLIENTS.items() for provider in client.providers]


def status_of(error: Exception) -> int:
    found = getattr(error, "status_code", None) or getattr(error, "code", None)
    assert isinstance(found, int), error
    return found


@pytest.mark.parametrize(("name", "provider"), CASES)
def test_a_limit_makes_a_client_wait_and_go_on(house: House, name: str, provider: str) -> None:
    """Google's client waits as it pleases, and Ollama's never does: it says what happened."""
    client, counted = CLIENTS[name], Counted()
    limited = Reply(fault="rate_limited", retry_after_s=WAIT_S)
    house.next(provider, limited, Reply(text="Warm.", tools=(), reasoning_tokens=0))
    ask = Ask(house.model(provider), "text")
    if client.retries:
        assert client.ask(house, ask, counted, {}, streams=False) == "Warm."
        first, second = counted.at_s
        assert second - first >= WAIT_S
        return
    with pytest.raises(client.told) as caught:
        client.ask(house, ask, counted, {}, streams=False)
    assert status_of(caught.value) == 429
    assert client.ask(house, ask, counted, {}, streams=False) == "Warm."
    assert len(counted.at_s) == 2


NONSENSE: dict[str, tuple[dict[str, Any], str]] = {
    "chat": ({"temperature": -3}, '"temperature" is -3'),
    "responses": ({"temperature": -3}, '"temperature" is -3'),
    "anthropic": ({"extra_body": {"temperature": -3}}, '"temperature" is -3'),
    "google": ({"temperature": -3}, '"generationConfig.temperature" is -3'),
    "ollama": ({"messages": [{"role": "wizard", "content": "hm"}]}, '"messages[0].role" is "wizard"'),
}
"""What makes a request wrong, and what the client is told of it."""


@pytest.mark.parametrize(("name", "provider"), CASES)
def test_a_request_that_is_wrong_is_refused_once(house: House, name: str, provider: str) -> None:
    client, counted = CLIENTS[name], Counted()
    more, named = NONSENSE[name]
    before = len(house.bodies(provider))
    with pytest.raises(client.refused) as caught:
        client.ask(house, Ask(house.model(provider), "text"), counted, more, streams=False)
    assert status_of(caught.value) == 400
    assert named in str(caught.value).replace("\\", "")
    assert len(counted.at_s) == 1
    assert len(house.bodies(provider)) == before


@pytest.mark.parametrize(
    ("name", "provider", "more", "named"),
    [
        ("chat", "claude", {"n": 2}, '"n"'),
        ("chat", "local", {"tool_choice": "required"}, '"tool_choice"'),
        ("responses", "claude", {"previous_response_id": "resp_1"}, '"previous_response_id"'),
        ("responses", "mistral", {"previous_response_id": "resp_1"}, '"previous_response_id"'),
        ("google", "claude", {"candidate_count": 2}, '"generationConfig.candidateCount"'),
        ("google", "local", {"candidate_count": 2}, '"generationConfig.candidateCount"'),
        ("anthropic", "mistral", {"stop_sequences": list("abcde")}, '"stop_sequences"'),
        ("anthropic", "google", {"stop_sequences": list("abcdef")}, '"stop_sequences"'),
        ("ollama", "claude", {"format": "json"}, '"format"'),
    ],
)
def test_a_loss_that_is_refused_stops_a_client(
    house: House, name: str, provider: str, more: dict[str, Any], named: str
) -> None:
    client, counted = CLIENTS[name], Counted()
    before = len(house.bodies(provider))
    situation = "tools" if "tool_choice" in more else "text"
    with pytest.raises(client.refused) as caught:
        client.ask(house, Ask(house.model(provider), situation), counted, more, streams=False)
    assert status_of(caught.value) == 400
    assert named in str(caught.value)
    assert len(counted.at_s) == 1
    assert len(house.bodies(provider)) == before


@pytest.mark.parametrize(("name", "provider"), [case for case in CASES if case[1] == "claude"])
def test_a_providers_own_400_is_told_once(house: House, name: str, provider: str) -> None:
    """Anthropic says with a 400 that there is no credit left."""
    client, counted = CLIENTS[name], Counted()
    house.next(provider, Reply(fault="quota_exhausted"))
    with pytest.raises(client.refused, match="credit balance is too low"):
        client.ask(house, Ask(house.model(provider), "text"), counted, {}, streams=False)
    assert len(counted.at_s) == 1


@pytest.mark.parametrize("fault", ["error_in_answer", "cut"])
@pytest.mark.parametrize(("name", "provider"), CASES)
def test_a_stream_that_breaks_raises_and_is_never_taken_for_whole(
    house: House, name: str, provider: str, fault: Any
) -> None:
    client, counted = CLIENTS[name], Counted()
    house.next(provider, Reply(tokens=40, tools=(), reasoning_tokens=0, fault=fault, fault_after_tokens=20))
    broken = (*client.told, RuntimeError, httpx.HTTPError, httpx2.HTTPError)
    with pytest.raises(broken) as caught:
        client.ask(house, Ask(house.model(provider), "text"), counted, {}, streams=True)
    assert not isinstance(caught.value, RuntimeError) or "response.completed" in str(caught.value)
    assert len(counted.at_s) == 1
