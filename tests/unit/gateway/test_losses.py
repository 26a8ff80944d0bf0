"""What is said of losses: in the client's own words, and bounded whatever the client sent."""

import json
from typing import Any

import pytest

from farthing.config.schema import TranslationSettings
from farthing.gateway.losses import FORMATS_IN_WORDS, LossPolicy, refusal
from farthing.types.models import ModelRef
from farthing.types.providers import WireFormat
from farthing.wire.translators.features import Used, lost, used_by
from farthing.wire.translators.registry import translator

ASK = [{"role": "user", "content": "hi"}]
PNG = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}
TEXT = [{"role": "user", "parts": [{"text": "hi"}]}]


def losses_of(face: WireFormat, wire: WireFormat, **members: Any) -> list[Used]:
    body = json.dumps(members).encode()
    used = used_by(translator(face).read_request(body, model="m", streamed=False))
    return lost(used, translator(wire).carries)


def refused(face: WireFormat, wire: WireFormat, **members: Any) -> str:
    losses = LossPolicy(TranslationSettings()).refused(losses_of(face, wire, **members))
    return str(refusal(losses, ModelRef("p", "m"), wire, face))


@pytest.mark.parametrize(
    ("face", "wire", "members", "named"),
    [
        ("openai_chat", "anthropic_messages", {"messages": ASK, "n": 2}, '"n" ('),
        (
            "openai_chat",
            "anthropic_messages",
            {"messages": ASK, "response_format": {"type": "json_object"}},
            '"response_format" (',
        ),
        (
            "openai_chat",
            "anthropic_messages",
            {"messages": [{"role": "user", "content": [{"type": "hologram"}]}]},
            '"messages[0].content[0]" (parts of messages that only one format knows: hologram)',
        ),
        (
            "openai_responses",
            "anthropic_messages",
            {"input": "hi", "text": {"format": {"type": "json_object"}}},
            '"text.format" (',
        ),
        ("openai_responses", "gemini", {"input": "hi", "previous_response_id": "r"}, '"previous_response_id" ('),
        (
            "anthropic_messages",
            "openai_responses",
            {"messages": ASK, "max_tokens": 9, "stop_sequences": ["x"]},
            '"stop_sequences" (',
        ),
        (
            "anthropic_messages",
            "openai_responses",
            {"system": "s", "messages": [*ASK, {"role": "assistant", "content": "{"}], "max_tokens": 9},
            "which cannot carry a last message of the assistant",
        ),
        (
            "gemini",
            "anthropic_messages",
            {"contents": TEXT, "generationConfig": {"candidateCount": 2}},
            '"generationConfig.candidateCount" (',
        ),
        (
            "gemini",
            "anthropic_messages",
            {"contents": TEXT, "generationConfig": {"responseMimeType": "application/json"}},
            '"generationConfig.responseMimeType" (',
        ),
        (
            "gemini",
            "openai_completions",
            {"systemInstruction": {"parts": [{"text": "s"}]}, "contents": [{"role": "user", "parts": [PNG]}]},
            "which cannot carry pictures",
        ),
        ("ollama", "anthropic_messages", {"messages": ASK, "format": "json"}, '"format" ('),
        ("ollama", "openai_responses", {"messages": ASK, "options": {"stop": ["x"]}}, '"options.stop" ('),
    ],
)
def test_what_is_refused_is_called_as_the_client_calls_it(
    face: WireFormat, wire: WireFormat, members: dict[str, Any], named: str
) -> None:
    told = refused(face, wire, **members)
    assert named in told
    assert f"speaks {FORMATS_IN_WORDS[wire]}, which" in told
    assert f"whose provider speaks {FORMATS_IN_WORDS[face]}, or" in told
    assert "_messages" not in told
    assert "openai_" not in told


def test_of_several_losses_each_name_for_the_settings_is_told() -> None:
    told = refused("openai_chat", "anthropic_messages", messages=ASK, n=2, logprobs=True)
    assert '"farthing config set translation.logprobs warn", and so for several' in told


def test_what_a_client_made_up_is_cut_short() -> None:
    told = refused("openai_chat", "gemini", messages=[{"role": "user", "content": [{"type": "x" * 100_000}]}])
    assert len(told) < 600


def test_each_of_the_providers_own_tools_that_is_left_out_is_told_by_its_kind() -> None:
    tools = [{"type": "web_search_20250305", "name": "web_search"}, {"type": "odd,(kind)\n", "name": "o"}]
    losses = losses_of("anthropic_messages", "openai_chat", messages=ASK, max_tokens=9, tools=tools)
    assert LossPolicy(TranslationSettings()).warned(losses) == [
        "server_tools(web_search_20250305)",
        "server_tools(oddkind)",
    ]


def test_many_unknown_members_hide_no_other_loss_and_what_is_left_out_is_counted() -> None:
    unknown = {f"z{at}": 1 for at in range(30)}
    losses = losses_of(
        "openai_chat", "anthropic_messages", messages=ASK, tools=[{"type": "web_search"}], seed=7, **unknown
    )
    told = LossPolicy(TranslationSettings()).warned(losses)
    assert told[:2] == ["seed", "server_tools(web_search)"]
    assert (told[2], told[-1], len(told)) == ("unknown_fields(z0)", "and 12 more", 21)


@pytest.mark.parametrize("wire", ["gemini", "ollama"])
def test_that_calls_must_not_be_parallel_is_a_loss_and_that_they_may_be_is_none(wire: WireFormat) -> None:
    def told(*, parallel: bool) -> list[str]:
        losses = losses_of("openai_chat", wire, messages=ASK, parallel_tool_calls=parallel)
        return LossPolicy(TranslationSettings()).warned(losses)

    assert told(parallel=False) == ["parallel_tool_calls"]
    assert told(parallel=True) == []


@pytest.mark.parametrize("wire", ["gemini", "ollama"])
def test_a_spoken_turn_that_only_its_provider_has_is_not_left_out_in_silence(wire: WireFormat) -> None:
    spoken = {"role": "assistant", "audio": {"id": "audio_1"}}
    told = refused("openai_chat", wire, messages=[*ASK, spoken, *ASK])
    assert "messages[1].content[0]" in told
