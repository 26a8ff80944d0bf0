"""What a provider made is billed, whatever it says or leaves out about it; what nobody can count is of unknown cost."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.odd_answers import OddProviders, lines, odd_providers, said, sse
from tests.e2e.upstream import streamed, whole

WORDS = "many words here " * 30
COUNTS = {
    "chat": ("prompt_tokens", "completion_tokens"),
    "completions": ("prompt_tokens", "completion_tokens"),
    "responses": ("input_tokens", "output_tokens"),
    "messages": ("input_tokens", "output_tokens"),
    "gemini": ("promptTokenCount", "candidatesTokenCount"),
    "ollama": ("prompt_eval_count", "eval_count"),
}
formats = pytest.mark.parametrize("wire", sorted(COUNTS))


@pytest.fixture(scope="module")
def providers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OddProviders]:
    with odd_providers(tmp_path_factory.mktemp("money")) as running:
        yield running


def answer(wire: str, text: str, **usage: Any) -> bytes:
    return json.dumps(said(wire, text, **usage)).encode()


@formats
@pytest.mark.parametrize(
    ("count", "flag"), [(0, "zero_beside_output"), (-7, "negative_count"), (1e30, "malformed_count")]
)
def test_an_answer_whose_counts_cannot_be_is_estimated_and_marked(
    providers: OddProviders, wire: str, count: float, flag: str
) -> None:
    given = providers.ask(wire, whole(answer(wire, WORDS, **dict.fromkeys(COUNTS[wire], count))))
    assert given.status == 200
    attempt = providers.last()
    assert (attempt.outcome, attempt.cost_basis) == ("ok", "estimated")
    assert flag in attempt.usage.flags
    assert attempt.usage.input_tokens
    assert (attempt.usage.output_tokens or 0) > 50
    assert attempt.cost_nanousd


@formats
def test_an_answer_without_a_word_may_cost_nothing(providers: OddProviders, wire: str) -> None:
    providers.ask(wire, whole(answer(wire, "", **dict.fromkeys(COUNTS[wire], 0))))
    attempt = providers.last()
    assert (attempt.outcome, attempt.cost_basis, attempt.cost_nanousd) == ("ok", "reported", 0)
    assert attempt.usage.flags == ()


UNREADABLE: dict[str, dict[str, Any]] = {
    "chat": {"choices": [{"message": {"words": WORDS}, "finish_reason": "stop"}], "usage": {"tokens": {"out": 200}}},
    "responses": {"choices": [{"message": {"content": WORDS}}], "usage": {"completion_tokens": 200}},
    "gemini": {"candidates": [{"content": {"parts": [{"newPart": WORDS}]}, "finishReason": "STOP"}]},
    "ollama": {"message": {"role": "assistant", "words": WORDS}, "done": True},
}


@pytest.mark.parametrize("wire", UNREADABLE)
def test_an_answer_of_a_new_kind_that_nobody_counted_is_of_unknown_cost(providers: OddProviders, wire: str) -> None:
    assert providers.ask(wire, whole(json.dumps({"model": "m", **UNREADABLE[wire]}).encode())).status == 200
    attempt = providers.last()
    assert (attempt.outcome, attempt.cost_basis, attempt.cost_nanousd) == ("ok", "unknown", None)
    assert attempt.usage.input_tokens
    assert attempt.usage.output_tokens is None


def test_a_prompt_that_cost_nothing_to_read_is_believed(providers: OddProviders) -> None:
    providers.ask("chat", whole(answer("chat", WORDS, prompt_tokens=0, completion_tokens=5, total_tokens=5)))
    attempt = providers.last()
    assert (attempt.usage.input_tokens, attempt.usage.output_tokens, attempt.cost_basis) == (0, 5, "reported")


def test_an_echoed_prompt_is_no_output(providers: OddProviders) -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 0, "total_tokens": 9}
    providers.ask("completions", whole(answer("completions", WORDS, **usage)))
    attempt = providers.last()
    assert (attempt.usage.output_tokens, attempt.cost_basis) == (0, "reported")


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 0, "total_tokens": 50}, (50, "reported")),
        ({"total_tokens": 50}, (50, "reported")),
        ({"prompt_tokens": 0, "total_tokens": 0}, (None, "estimated")),
        ({"prompt_tokens": -3, "total_tokens": -3}, (None, "estimated")),
    ],
)
def test_vectors_are_made_of_something(providers: OddProviders, usage: dict[str, int], expected: Any) -> None:
    providers.ask("embeddings", whole(answer("embeddings", "x", **usage)))
    attempt = providers.last()
    read, basis = expected
    assert attempt.cost_basis == basis
    assert attempt.usage.input_tokens == read or (read is None and (attempt.usage.input_tokens or 0) > 0)
    assert attempt.usage.output_tokens == 0


@pytest.mark.parametrize("streams", [False, True])
def test_a_model_that_was_only_loaded_says_nothing(providers: OddProviders, streams: bool) -> None:
    body = lines({"model": "m", "message": {"content": WORDS}, "done": True, "done_reason": "load"})
    providers.ask("ollama", streamed(body) if streams else whole(body), streamed=streams)
    attempt = providers.last()
    assert (attempt.cost_basis, attempt.usage.flags) == ("estimated", ("zero_beside_output",))
    assert (attempt.usage.output_tokens or 0) > 50


PICTURE = {"inlineData": {"mimeType": "image/png", "data": "A" * 400}}
SOUND = {"id": "a", "data": "A" * 400}


@pytest.mark.parametrize("pause", [[], [0.3]])
@pytest.mark.parametrize(
    ("wire", "made", "failure"),
    [
        ("gemini", {"candidates": [{"content": {"parts": [PICTURE]}}]}, {"error": {"code": 503, "message": "x"}}),
        ("chat", {"choices": [{"index": 0, "delta": {"audio": SOUND}}]}, {"error": {"code": 503, "message": "x"}}),
        (
            "chat",
            {"choices": [{"index": 0, "delta": {"images": [{"type": "image_url"}]}}]},
            {"error": {"code": 503, "message": "x"}},
        ),
        (
            "responses",
            {"type": "response.image_generation_call.partial_image", "partial_image_b64": "AAAA"},
            {"type": "error", "code": "server_error", "message": "x"},
        ),
        ("responses", {"type": "response.audio.delta", "delta": "AAAA"}, {"type": "error", "message": "x"}),
    ],
)
def test_a_picture_or_sound_before_an_error_is_of_unknown_cost(
    providers: OddProviders, wire: str, made: Any, failure: Any, pause: list[float]
) -> None:
    given = providers.ask(wire, streamed(sse(made), *pause, sse(failure)), streamed=True)
    assert given.status == 200
    attempt = providers.last()
    assert (attempt.outcome, attempt.cost_nanousd, attempt.cost_basis) == ("provider_error", None, "unknown")


def test_a_picture_that_was_counted_costs_what_was_counted(providers: OddProviders) -> None:
    usage = {"promptTokenCount": 10, "candidatesTokenCount": 1290, "totalTokenCount": 1300}
    made = {"candidates": [{"content": {"parts": [PICTURE]}}], "usageMetadata": usage}
    providers.ask("gemini", streamed(sse(made), sse({"error": {"code": 503, "message": "x"}})), streamed=True)
    attempt = providers.last()
    assert (attempt.outcome, attempt.usage.output_tokens) == ("provider_error", 1290)
    assert attempt.cost_nanousd == 2_590_000


def test_a_call_of_a_tool_before_an_error_is_billed(providers: OddProviders) -> None:
    call = {"index": 0, "function": {"name": "", "arguments": ""}}
    made = {"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}
    providers.ask("chat", streamed(sse(made), sse({"error": {"message": "x"}})), streamed=True)
    attempt = providers.last()
    assert (attempt.outcome, attempt.cost_basis) == ("provider_error", "estimated")
    assert attempt.cost_nanousd


MORE = {
    "chat": {"choices": [{"index": 0, "delta": {"content": WORDS}}]},
    "completions": {"choices": [{"index": 0, "text": WORDS}]},
    "responses": {"type": "response.output_text.delta", "delta": WORDS},
    "messages": {"type": "content_block_delta", "delta": {"type": "text_delta", "text": WORDS}},
    "ollama": {"model": "m", "message": {"content": WORDS}, "done": False},
}
ENDS = {
    "chat": sse({"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"}]}, "[DONE]"),
    "completions": sse({"choices": [{"index": 0, "text": "a", "finish_reason": "stop"}]}, "[DONE]"),
    "responses": sse({"type": "response.completed", "response": said("responses", "a")}),
    "messages": sse({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}, {"type": "message_stop"}),
    "ollama": lines(said("ollama", "a", prompt_eval_count=1, eval_count=1)),
}


@pytest.mark.parametrize("pause", [[], [0.2]])
@pytest.mark.parametrize("wire", sorted(ENDS))
def test_nothing_is_handed_on_after_a_format_s_end(providers: OddProviders, wire: str, pause: list[float]) -> None:
    write = lines if wire == "ollama" else sse
    given = providers.ask(wire, streamed(ENDS[wire], *pause, write(MORE[wire]), write(MORE[wire])), streamed=True)
    assert given.body == ENDS[wire]
    attempt = providers.last()
    assert (attempt.outcome, attempt.usage.output_tokens in (0, 1)) == ("ok", True)


def test_the_done_that_follows_a_response_s_own_end_goes_on(providers: OddProviders) -> None:
    body = ENDS["responses"] + sse("[DONE]")
    assert providers.ask("responses", streamed(body), streamed=True).body == body


def test_lines_that_nobody_asked_for_are_all_counted(providers: OddProviders) -> None:
    body = ENDS["ollama"] + lines(MORE["ollama"])
    assert providers.ask("ollama", whole(body)).body == body
    assert (providers.last().usage.output_tokens or 0) > 50


def test_events_that_nobody_asked_for_end_where_they_end(providers: OddProviders) -> None:
    assert providers.ask("chat", whole(ENDS["chat"] + sse(MORE["chat"]))).body == ENDS["chat"]
