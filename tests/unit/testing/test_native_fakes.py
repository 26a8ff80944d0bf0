"""The fakes of Responses, Gemini and Ollama, asked by the official clients."""

from collections.abc import Iterator
from typing import Any

import ollama
import openai
import pytest
from google import genai
from google.genai import types

from farthing.testing.fake_model import writes_a_file
from farthing.testing.fake_provider import FakeProvider, in_thread
from farthing.testing.fakes.script import Reply, ToolCall
from tests.e2e.serving import until

Told = tuple[str, list[str], int, int, int]
PROMPT = "why? " * 2_000
SCHEMA = {
    "type": "object",
    "properties": {"path": {"type": "string"}, "content": {"type": "string"}, "mode": {"type": "string"}},
    "required": ["path", "content", "mode"],
}


@pytest.fixture(params=["openai-responses", "gemini", "ollama"])
def fake(request: pytest.FixtureRequest) -> Iterator[FakeProvider]:
    provider = FakeProvider(request.param, models=("m",))
    with in_thread(provider):
        yield provider


def ask(fake: FakeProvider, *, stream: bool, thinks: bool = False) -> Told:
    """Return the text, the names of called tools, and input, cached and output tokens as the client was told."""
    match fake.format.name:
        case "openai-responses":
            return _ask_openai(fake, stream=stream, thinks=thinks)
        case "gemini":
            return _ask_gemini(fake, stream=stream, thinks=thinks)
        case _:
            return _ask_ollama(fake, stream=stream, thinks=thinks)


def _ask_openai(fake: FakeProvider, *, stream: bool, thinks: bool) -> Told:
    with openai.OpenAI(base_url=fake.url, api_key="sk", max_retries=0) as client:
        responses: Any = client.responses
        asked = {"model": "m", "input": PROMPT, **({"reasoning": {"effort": "low"}} if thinks else {})}
        if stream:
            with responses.stream(**asked) as events:
                answer = events.get_final_response()
        else:
            answer = responses.create(**asked)
    names = [item.name for item in answer.output if item.type == "function_call"]
    used = answer.usage
    return answer.output_text, names, used.input_tokens, used.input_tokens_details.cached_tokens, used.output_tokens


def _ask_gemini(fake: FakeProvider, *, stream: bool, thinks: bool) -> Told:
    client = genai.Client(api_key="k", http_options=types.HttpOptions(base_url=fake.url))
    config = types.GenerateContentConfig(thinking_config=types.ThinkingConfig(thinking_budget=100) if thinks else None)
    try:
        if stream:
            answers = list(client.models.generate_content_stream(model="m", contents=PROMPT, config=config))
        else:
            answers = [client.models.generate_content(model="m", contents=PROMPT, config=config)]
    finally:
        client.close()
    parts = [
        part
        for answer in answers
        for candidate in answer.candidates or ()
        for part in (candidate.content.parts if candidate.content else None) or ()
    ]
    used = answers[-1].usage_metadata
    assert used is not None
    text = "".join(part.text or "" for part in parts if not part.thought)
    names = [part.function_call.name or "" for part in parts if part.function_call]
    output = (used.candidates_token_count or 0) + (used.thoughts_token_count or 0)
    return text, names, used.prompt_token_count or 0, used.cached_content_token_count or 0, output


def _ask_ollama(fake: FakeProvider, *, stream: bool, thinks: bool) -> Told:
    client: Any = ollama.Client(host=fake.url)
    said = [{"role": "user", "content": PROMPT}]
    with client._client:
        found = client.chat("m", messages=said, think=thinks, stream=stream)
        answers = list(found) if stream else [found]
    names = [call.function.name for answer in answers for call in answer.message.tool_calls or ()]
    text = "".join(answer.message.content or "" for answer in answers)
    return text, names, answers[-1].prompt_eval_count or 0, 0, answers[-1].eval_count or 0


@pytest.mark.parametrize("stream", [False, True])
def test_official_clients_understand_answers_and_tools_and_are_told_what_is_billed(
    fake: FakeProvider, stream: bool
) -> None:
    fake.next(Reply(text="Hello there.", reasoning_tokens=3, tools=(ToolCall("write", '{"path":"x"}'),)))
    text, names, input_tokens, cached, output_tokens = ask(fake, stream=stream)
    assert (text, names) == ("Hello there.", ["write"])
    until(lambda: fake.account.lines, "the client knows before the fake does")
    (line,) = fake.account.lines
    assert (line.ended, line.told, line.streamed) == ("answered", True, stream)
    assert (line.usage.input_tokens, line.usage.output_tokens) == (input_tokens, output_tokens)
    assert line.usage.reasoning_output_tokens == 3
    assert cached == 0


def test_a_prefix_that_came_before_is_told_as_cached(fake: FakeProvider) -> None:
    first, second = (ask(fake, stream=True, thinks=True) for _ in range(2))
    until(lambda: fake.account.totals().requests == 2, "the client knows before the fake does")
    assert first[3] == 0
    assert (second[3] > 1_000) is (fake.format.name != "ollama")
    assert fake.account.totals().cache_read_input_tokens == second[3]
    assert fake.account.totals().reasoning_output_tokens > 0


def test_refusals_have_the_formats_own_shape(fake: FakeProvider) -> None:
    fake.next(Reply(fault="rate_limited"), Reply(fault="server_error"))
    for status in (429, 500):
        with pytest.raises((openai.APIStatusError, genai.errors.APIError, ollama.ResponseError)) as refused:
            ask(fake, stream=False)
        told = refused.value
        assert status in (getattr(told, "status_code", None), getattr(told, "code", None))


def test_an_error_in_the_middle_of_a_stream_is_one_to_the_client(fake: FakeProvider) -> None:
    fake.next(Reply(tokens=40, fault="error_in_answer"))
    with pytest.raises((openai.APIError, RuntimeError, genai.errors.APIError, ollama.ResponseError)):
        ask(fake, stream=True)
    until(lambda: fake.account.totals().broken == 1, "the client knows before the fake does")


def test_the_model_finds_a_tool_that_writes_by_its_schema() -> None:
    player = writes_a_file("greeting.txt", "good morning", folder="/site")
    fake = FakeProvider("openai-responses", player=player, models=("m",))
    with in_thread(fake), openai.OpenAI(base_url=fake.url, api_key="sk") as client:
        responses: Any = client.responses
        look = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {"path": {}}}}
        write = {"type": "function", "name": "store", "parameters": SCHEMA}
        shell = {"type": "function", "name": "sh", "parameters": {"properties": {"command": {"type": "array"}}}}
        answer = responses.create(model="m", input="go", tools=[look, shell, write])
        (call,) = answer.output
        assert call.name == "store"
        assert call.arguments == '{"path":"/site/greeting.txt","content":"good morning","mode":"the task"}'
        answer = responses.create(model="m", input="go", tools=[look, shell])
        (call,) = answer.output
        assert call.arguments == """{"command":["bash","-c","printf %s 'good morning' > greeting.txt"]}"""
        result = [{"type": "function_call_output", "call_id": call.call_id, "output": "ok"}]
        answer = responses.create(model="m", input=result, tools=[look])
        assert answer.output_text == "Done: greeting.txt is written."
        told = "Answer with a *file listing* of the whole file."
        assert responses.create(model="m", input=told).output_text == "greeting.txt\n```\ngood morning\n```\n"
