"""What the official SDKs do beside asking for words, over providers of other formats.

Answers that are parsed to a type, a tool's whole loop with the client's own objects sent back, counts of tokens,
vectors, lists and descriptions of models.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import ollama
import pytest
from google.genai import types
from openai.types.responses import Response
from pydantic import BaseModel

from farthing.testing.fakes.script import Reply
from tests.e2e.foreign import anthropic_clients, google_clients, ollama_clients, openai_clients
from tests.e2e.foreign.house import CALLS, KINDS, Ask, House, open_house
from tests.e2e.support import Gateway, running_gateway
from tests.e2e.upstream import Upstream, upstream, whole


class Weather(BaseModel):
    """The weather of a city."""

    city: str
    celsius: int
    dry: bool


SAID = '{"city":"Zürich","celsius":21,"dry":true}'
MEANT = Weather(city="Zürich", celsius=21, dry=True)
QUESTION = "What is the weather in Zürich?"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with open_house(tmp_path_factory.mktemp("features") / "home") as found:
        yield found
        found.check_ledger()


# ---- structured output


def parsed_by_chat(house: House, model: str) -> Any:
    with openai_clients.client(house.url, house.key) as sdk:
        messages: Any = [{"role": "user", "content": QUESTION}]
        return (
            sdk.chat.completions.parse(model=model, messages=messages, response_format=Weather)
            .choices[0]
            .message.parsed
        )


def parsed_by_chat_stream(house: House, model: str) -> Any:
    messages: Any = [{"role": "user", "content": QUESTION}]
    with (
        openai_clients.client(house.url, house.key) as sdk,
        sdk.chat.completions.stream(model=model, messages=messages, response_format=Weather) as stream,
    ):
        return stream.get_final_completion().choices[0].message.parsed


def parsed_by_responses(house: House, model: str) -> Any:
    with openai_clients.client(house.url, house.key) as sdk:
        return sdk.responses.parse(model=model, input=QUESTION, text_format=Weather).output_parsed


def parsed_by_anthropic(house: House, model: str) -> Any:
    with anthropic_clients.client(house.url, house.key) as sdk:
        messages: Any = [{"role": "user", "content": QUESTION}]
        return sdk.messages.parse(model=model, max_tokens=99, messages=messages, output_format=Weather).parsed_output


def parsed_by_google(house: House, model: str) -> Any:
    config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=Weather)
    with google_clients.client(house.url, house.key) as sdk:
        return sdk.models.generate_content(model=model, contents=QUESTION, config=config).parsed


def parsed_by_ollama(house: House, model: str) -> Any:
    with ollama.Client(host=ollama_clients.host(house.url, house.key)) as sdk:
        messages = [{"role": "user", "content": QUESTION}]
        answer = sdk.chat(model=model, messages=messages, format=Weather.model_json_schema())
    return Weather.model_validate_json(answer.message.content or "")


PARSERS: dict[str, tuple[str, Callable[[House, str], Any]]] = {
    "chat": ("openai_chat", parsed_by_chat),
    "chat stream": ("openai_chat", parsed_by_chat_stream),
    "responses": ("openai_responses", parsed_by_responses),
    "anthropic": ("anthropic_messages", parsed_by_anthropic),
    "google": ("gemini", parsed_by_google),
    "ollama": ("ollama", parsed_by_ollama),
}
SPEAKS_BOTH = {("openai_responses", "deepseek"), ("openai_chat", "openai")}


def foreign(wire: str) -> list[str]:
    return [name for name, kind in KINDS.items() if kind.wire != wire and (wire, name) not in SPEAKS_BOTH]


@pytest.mark.parametrize(
    ("how", "provider"), [(how, provider) for how, (wire, _) in PARSERS.items() for provider in foreign(wire)]
)
def test_an_answer_is_parsed_to_the_clients_type(house: House, how: str, provider: str) -> None:
    house.next(provider, Reply(text=SAID, tools=(), reasoning_tokens=0))
    assert PARSERS[how][1](house, house.model(provider)) == MEANT
    schema = schema_in(provider, house.sent(provider))
    assert set(schema["properties"]) == {"city", "celsius", "dry"}
    assert set(schema["required"]) == {"city", "celsius", "dry"}
    assert schema["properties"]["celsius"]["type"].lower() == "integer"


def schema_in(provider: str, sent: Any) -> Any:
    match KINDS[provider].wire:
        case "openai_chat":
            return sent["response_format"]["json_schema"]["schema"]
        case "openai_responses":
            return sent["text"]["format"]["schema"]
        case "anthropic_messages":
            return sent["output_config"]["format"]["schema"]
        case "gemini":
            config = sent["generationConfig"]
            assert config["responseMimeType"] == "application/json"
            return config.get("responseJsonSchema") or config["responseSchema"]
        case _:
            return sent["format"]


# ---- a tool's whole loop: the client's own objects go back, with a result for each call


def loop_by_chat(house: House, ask: Ask) -> str:
    body = openai_clients.chat_request(ask)
    with openai_clients.client(house.url, house.key) as sdk:
        message = sdk.chat.completions.create(**body).choices[0].message
        results = [
            {"role": "tool", "tool_call_id": call.id, "content": f"result {at}"}
            for at, call in enumerate(message.tool_calls or ())
        ]
        body["messages"] += [message, *results]
        return sdk.chat.completions.create(**body).choices[0].message.content or ""


def loop_by_responses(house: House, ask: Ask) -> str:
    body = openai_clients.responses_request(ask)
    with openai_clients.client(house.url, house.key) as sdk:
        response = sdk.responses.create(**body)
        calls = [item for item in response.output if item.type == "function_call"]
        results = [
            {"type": "function_call_output", "call_id": call.call_id, "output": f"result {at}"}
            for at, call in enumerate(calls)
        ]
        body["input"] = [{"role": "user", "content": body["input"]}, *response.output, *results]
        answer: Response = sdk.responses.create(**body)
        return answer.output_text


def loop_by_anthropic(house: House, ask: Ask) -> str:
    body = anthropic_clients.request(ask)
    with anthropic_clients.client(house.url, house.key) as sdk:
        message = sdk.messages.create(**body)
        calls = [block for block in message.content if block.type == "tool_use"]
        results = [
            {"type": "tool_result", "tool_use_id": call.id, "content": f"result {at}"} for at, call in enumerate(calls)
        ]
        body["messages"] += [{"role": "assistant", "content": message.content}, {"role": "user", "content": results}]
        return "".join(block.text for block in sdk.messages.create(**body).content if block.type == "text")


def loop_by_google(house: House, ask: Ask) -> str:
    body = google_clients.asked(ask)
    with google_clients.client(house.url, house.key) as sdk:
        answer = sdk.models.generate_content(**body)
        assert answer.candidates
        content = answer.candidates[0].content
        assert content is not None
        results = [
            types.Part(
                function_response=types.FunctionResponse(
                    id=call.id, name=call.name, response={"result": f"result {at}"}
                )
            )
            for at, call in enumerate(answer.function_calls or ())
        ]
        question = types.Content(role="user", parts=[types.Part(text=ask.prompt)])
        body["contents"] = [question, content, types.Content(role="user", parts=results)]
        parts = sdk.models.generate_content(**body).parts or []
        return "".join(part.text or "" for part in parts if not part.thought)


def loop_by_ollama(house: House, ask: Ask) -> str:
    body = ollama_clients.request(ask)
    with ollama.Client(host=ollama_clients.host(house.url, house.key)) as sdk:
        message = sdk.chat(**body).message
        results = [
            {"role": "tool", "tool_name": call.function.name, "content": f"result {at}"}
            for at, call in enumerate(message.tool_calls or ())
        ]
        body["messages"] += [message, *results]
        return sdk.chat(**body).message.content or ""


LOOPS: dict[str, tuple[str, Callable[[House, Ask], str]]] = {
    "chat": ("openai_chat", loop_by_chat),
    "responses": ("openai_responses", loop_by_responses),
    "anthropic": ("anthropic_messages", loop_by_anthropic),
    "google": ("gemini", loop_by_google),
    "ollama": ("ollama", loop_by_ollama),
}


@pytest.mark.parametrize("situation", ["tools", "thinking tools"])
@pytest.mark.parametrize(
    ("how", "provider"), [(how, provider) for how, (wire, _) in LOOPS.items() for provider in foreign(wire)]
)
def test_a_tools_result_comes_back_to_its_call(house: House, how: str, provider: str, situation: str) -> None:
    """Two calls of one tool: a result is told from the other by its call, or by its place where calls have no ids."""
    reasoning = 9 if situation == "thinking tools" else 0
    calls = Reply(text="Let me look.", tools=CALLS, reasoning_tokens=reasoning)
    house.next(provider, calls, Reply(text="Warm, both.", tools=(), reasoning_tokens=0))
    assert LOOPS[how][1](house, Ask(house.model(provider), situation)) == "Warm, both."
    sent = house.sent(provider)
    assert pairs_in(provider, sent) == [(json.loads(call.arguments), f"result {at}") for at, call in enumerate(CALLS)]
    assert "farthing." not in json.dumps(sent)


def pairs_in(provider: str, sent: Any) -> list[tuple[Any, str]]:
    """Return each call's arguments beside its result, as the provider puts them together."""
    match KINDS[provider].wire:
        case "openai_chat":
            (turn,) = [turn for turn in sent["messages"] if turn.get("tool_calls")]
            made = {call["id"]: json.loads(call["function"]["arguments"]) for call in turn["tool_calls"]}
            given = [(turn["tool_call_id"], turn["content"]) for turn in sent["messages"] if turn["role"] == "tool"]
        case "openai_responses":
            items = sent["input"]
            made = {
                item["call_id"]: json.loads(item["arguments"]) for item in items if item.get("type") == "function_call"
            }
            given = [(item["call_id"], item["output"]) for item in items if item.get("type") == "function_call_output"]
        case "anthropic_messages":
            blocks = [
                block for turn in sent["messages"] if isinstance(turn["content"], list) for block in turn["content"]
            ]
            made = {block["id"]: block["input"] for block in blocks if block["type"] == "tool_use"}
            given = [(block["tool_use_id"], block["content"]) for block in blocks if block["type"] == "tool_result"]
        case "gemini":
            parts = [part for turn in sent["contents"] for part in turn["parts"]]
            calls = [part["functionCall"] for part in parts if "functionCall" in part]
            results = [part["functionResponse"] for part in parts if "functionResponse" in part]
            assert [result["name"] for result in results] == [call["name"] for call in calls]
            return [(call["args"], words(result["response"])) for call, result in zip(calls, results, strict=True)]
        case _:
            calls = [call["function"] for turn in sent["messages"] for call in turn.get("tool_calls") or ()]
            results = [turn for turn in sent["messages"] if turn["role"] == "tool"]
            return [(call["arguments"], words(result["content"])) for call, result in zip(calls, results, strict=True)]
    assert [made_id for made_id, _ in given] == list(made)
    return [(made[made_id], words(result)) for made_id, result in given]


def words(result: Any) -> str:
    """Return the text in a tool's result, however deep: formats want a text, blocks or an object."""
    if isinstance(result, str):
        try:
            return words(json.loads(result))
        except ValueError:
            return result
    if isinstance(result, dict):
        return words(result["text"] if "text" in result else next(iter(result.values())))
    (only,) = result
    return words(only)


def test_automatic_function_calling_works_over_another_providers_model(house: House) -> None:
    """Google's client runs the tool by itself, with the arguments and the history that it got from us."""
    asked: list[str] = []

    def weather(city: str) -> str:
        """Tell the weather of a city."""
        asked.append(city)
        return "warm"

    config = types.GenerateContentConfig(tools=[weather])
    for provider in foreign("gemini"):
        house.next(
            provider,
            Reply(text="", tools=(type(CALLS[0])("weather", '{"city":"Bern"}'),), reasoning_tokens=0),
            Reply(text="Warm.", tools=(), reasoning_tokens=0),
        )
        with google_clients.client(house.url, house.key) as sdk:
            answer = sdk.models.generate_content(model=house.model(provider), contents=QUESTION, config=config)
        assert answer.text == "Warm."
    assert asked == ["Bern"] * len(foreign("gemini"))


# ---- counts


@pytest.mark.parametrize("provider", ["google", "mistral", "openai", "local"])
def test_anthropic_counts_tokens(house: House, provider: str) -> None:
    messages: Any = [{"role": "user", "content": QUESTION}]
    with anthropic_clients.client(house.url, house.key) as sdk:
        found = sdk.messages.count_tokens(model=house.model(provider), messages=messages)
    assert 5 <= found.input_tokens <= 60


@pytest.mark.parametrize("provider", ["claude", "mistral", "openai", "local"])
def test_google_counts_tokens(house: House, provider: str) -> None:
    with google_clients.client(house.url, house.key) as sdk:
        found = sdk.models.count_tokens(model=house.model(provider), contents=QUESTION)
    assert found.total_tokens is not None
    assert 5 <= found.total_tokens <= 60


# ---- ollama's other ways


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("provider", ["claude", "google", "mistral", "openai"])
def test_ollama_generates(house: House, provider: str, streams: bool) -> None:
    house.next(provider, Reply(text="Blue, é ☃.", tools=(), reasoning_tokens=0))
    with ollama.Client(host=ollama_clients.host(house.url, house.key)) as sdk:
        found: Any = sdk.generate(model=house.model(provider), prompt=QUESTION, system="Be brief.", stream=streams)
        lines = list(found) if streams else [found]
    assert "".join(line.response for line in lines) == "Blue, é ☃."
    said = house.said(provider)
    assert (lines[-1].prompt_eval_count, lines[-1].eval_count) == (said.input_tokens, said.output_tokens)
    assert lines[-1].done


def test_ollama_lists_and_shows_the_models_of_other_providers(house: House) -> None:
    with ollama.Client(host=ollama_clients.host(house.url, house.key)) as sdk:
        names = [model.model for model in sdk.list().models]
        assert all(any(name and KINDS[provider].model in name for name in names) for provider in ("claude", "google"))
        for provider in ("claude", "google", "mistral"):
            assert "completion" in (sdk.show(house.model(provider)).capabilities or [])


# ---- vectors


EMBEDDERS = """
providers:
  google: {{kind: gemini, base_url: {url}, credential: none}}
  local: {{kind: ollama, base_url: {url}}}
  lab: {{kind: openai-compatible, base_url: {url}/v1, credential: none}}
prices:
  - {{model: "google:*", input: 2, output: 0}}
  - {{model: "local:*", input: 2, output: 0}}
  - {{model: "lab:*", input: 2, output: 0}}
"""
VECTORS = [[0.5, -1.25, 0.0], [1.0, 2.0, -0.5]]
COUNTED = 7
ANSWERS: dict[str, Any] = {
    "google": {"embeddings": [{"values": vector} for vector in VECTORS]},
    "local": {"model": "e", "embeddings": VECTORS, "prompt_eval_count": COUNTED},
    "lab": {
        "object": "list",
        "data": [{"object": "embedding", "index": at, "embedding": vector} for at, vector in enumerate(VECTORS)],
        "model": "e",
        "usage": {"prompt_tokens": COUNTED, "total_tokens": COUNTED},
    },
}


@pytest.fixture(scope="module")
def server() -> Iterator[Upstream]:
    with upstream(whole(b"{}")) as found:
        yield found


@pytest.fixture(scope="module")
def embedders(server: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running_gateway(tmp_path_factory.mktemp("vectors") / "home", EMBEDDERS.format(url=server.url)) as found:
        yield found
        found.verify()


@pytest.fixture(scope="module")
def embedders_key(embedders: Gateway) -> str:
    return embedders.new_key()


def openai_vectors(url: str, key: str, model: str) -> list[list[float]]:
    """The package asks for base64 by itself."""
    with openai_clients.client(url, key) as sdk:
        answer = sdk.embeddings.create(model=model, input=["a", "b"])
        assert answer.usage.total_tokens > 0
        return [row.embedding for row in answer.data]


def openai_vectors_as_numbers(url: str, key: str, model: str) -> list[list[float]]:
    with openai_clients.client(url, key) as sdk:
        answer = sdk.embeddings.create(model=model, input=["a", "b"], encoding_format="float")
        return [row.embedding for row in answer.data]


def google_vectors(url: str, key: str, model: str) -> list[list[float]]:
    with google_clients.client(url, key) as sdk:
        answer = sdk.models.embed_content(model=model, contents=["a", "b"])
        return [list(row.values or ()) for row in answer.embeddings or ()]


def ollama_vectors(url: str, key: str, model: str) -> list[list[float]]:
    with ollama.Client(host=ollama_clients.host(url, key)) as sdk:
        return [list(vector) for vector in sdk.embed(model=model, input=["a", "b"]).embeddings]


@pytest.mark.parametrize(
    ("ask", "provider"),
    [
        (openai_vectors, "google"),
        (openai_vectors_as_numbers, "google"),
        (google_vectors, "lab"),
        (google_vectors, "local"),
        (ollama_vectors, "google"),
        (ollama_vectors, "lab"),
    ],
)
def test_vectors_come_from_other_providers(
    embedders: Gateway,
    embedders_key: str,
    server: Upstream,
    ask: Callable[[str, str, str], list[list[float]]],
    provider: str,
) -> None:
    server.now(whole(json.dumps(ANSWERS[provider]).encode(), content_type="application/json"))
    assert ask(embedders.url, embedders_key, f"{provider}:e") == VECTORS
    attempt = embedders.attempts()[-1]
    assert attempt.outcome == "ok"
    if provider != "google":  # it counts only where it is asked in the cloud, so there it is our estimate
        assert attempt.cost_nanousd == COUNTED * 2_000
