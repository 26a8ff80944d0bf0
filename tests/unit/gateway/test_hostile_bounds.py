"""Requests that were made to look cheaper than they are: what is held for each is no less than what it can cost."""

import json
from typing import Any

import pytest

from farthing.catalog.capabilities import most_input_tokens
from farthing.catalog.prices import PriceBook
from farthing.gateway.answer_limits import choices_of, limit_of
from farthing.gateway.bounds import MOST_SEARCHES, SEARCHES, Bounds
from farthing.gateway.shapes import shape_of
from farthing.ledger.bounds import MAX_COST_NANOUSD
from farthing.providers.protocol import Operation
from farthing.types.models import ModelRef
from farthing.types.prices import PriceSheet, Rates
from farthing.types.providers import WireFormat
from farthing.types.usage import Usage
from farthing.wire.peek import Envelope

NOW_US = 1_795_000_000_000_000
OPUS = ModelRef("anthropic", "claude-opus-4-6")
SMALL = ModelRef("openai", "text-embedding-3-small")
DRAWS = ModelRef("google", "gemini-2.5-flash-image")
INSTRUCT = ModelRef("openai", "gpt-3.5-turbo-instruct")
HI = [{"role": "user", "content": "hi"}]


def sheet_of(ref: ModelRef) -> PriceSheet:
    sheet = PriceBook().find(ref.provider, ref.provider, ref.model, NOW_US)
    assert sheet is not None
    return sheet


def rates_of(ref: ModelRef) -> Rates:
    return sheet_of(ref).bands[0].rates


def held(ref: ModelRef, wire: WireFormat, operation: Operation, body: dict[str, Any] | str) -> tuple[int, int, int]:
    """Return what is held for a call at least, at a glance, and what it counts as where nobody tells its cost."""
    envelope = Envelope((body if isinstance(body, str) else json.dumps(body)).encode())
    bound = Bounds().bound(envelope, wire, operation, ref, sheet_of(ref))
    most, _, _ = Bounds().at_most(envelope, wire, operation, ref, sheet_of(ref), shape_of(envelope, wire))
    assert most <= MAX_COST_NANOUSD
    return bound.least_nanousd, most, bound.unknown_nanousd


def nanousd(tokens: int, rate: int | None) -> int:
    assert rate is not None
    return tokens * rate // 10**9


def test_many_texts_to_embed_are_together_longer_than_the_model_reads_of_one() -> None:
    body = {"model": "m", "input": ["1 " * 8_000] * 40}
    read = nanousd(300_000, rates_of(SMALL).input)
    assert all(one >= read for one in held(SMALL, "openai_chat", "embeddings", body))


def test_every_prompt_of_a_list_is_answered() -> None:
    body = {"model": "m", "prompt": ["a"] * 100, "n": 2, "max_tokens": 4_000}
    written = nanousd(100 * 2 * 4_000, rates_of(INSTRUCT).output)
    assert all(one >= written for one in held(INSTRUCT, "openai_completions", "completions", body))


def test_a_prompt_may_be_a_list_of_tokens_and_is_then_one() -> None:
    asked = Envelope(json.dumps({"prompt": list(range(500))}).encode())
    assert choices_of(asked, "openai_completions") == 1
    several = Envelope(json.dumps({"prompt": [[1, 2], [3]]}).encode())
    assert choices_of(several, "openai_completions") == 2


def test_prompts_that_are_too_long_to_be_read_are_counted_by_their_commas() -> None:
    asked = Envelope(json.dumps({"prompt": ["a" * 600_000] * 3}).encode())
    assert choices_of(asked, "openai_completions") >= 3


NUMBERS: dict[str, tuple[WireFormat, str, int | None, int]] = {
    "texts, which Gemini reads": (
        "gemini",
        '{"generationConfig": {"maxOutputTokens": "8000", "candidateCount": "4"}}',
        8_000,
        4,
    ),
    "both of Gemini's names": (
        "gemini",
        '{"generationConfig": {"maxOutputTokens": 5}, "generation_config": {"maxOutputTokens": 8000}}',
        8_000,
        1,
    ),
    "both spellings in one": (
        "gemini",
        '{"generationConfig": {"candidateCount": 1, "candidate_count": 8}}',
        None,
        8,
    ),
    "settings that cannot be read": ("gemini", '{"generationConfig": {"candidateCount": 8, "a": 1e999}}', None, 8),
    "fractions": ("openai_chat", '{"n": 3.0, "max_tokens": 500.0}', 500, 3),
    "texts": ("openai_chat", '{"n": "3", "max_tokens": "500"}', 500, 3),
    "a text beside a number": ("openai_chat", '{"max_completion_tokens": "900", "max_tokens": 500}', 900, 1),
    "the best of many": ("openai_chat", '{"best_of": 7}', None, 7),
    "no numbers": ("openai_chat", '{"n": null, "max_tokens": null}', None, 1),
    "nothing above nothing": ("openai_chat", '{"n": -1, "max_tokens": -1}', None, 1),
    "no limit beside one": ("openai_chat", '{"max_tokens": 5, "max_completion_tokens": -1}', None, 1),
    "true and texts of nothing": ("openai_chat", '{"n": true, "max_tokens": "-1e"}', None, 1),
}


@pytest.mark.parametrize("case", NUMBERS)
def test_numbers_are_read_as_some_server_reads_them(case: str) -> None:
    wire, body, limit, choices = NUMBERS[case]
    asked = Envelope(body.encode())
    assert (limit_of(asked, wire), choices_of(asked, wire)) == (limit, choices)


def test_an_answer_of_absurd_length_holds_no_more_than_is_believed_of_a_cost() -> None:
    body = {"model": "m", "max_tokens": 10**18 - 1, "n": 10**17, "messages": HI}
    assert set(held(OPUS, "openai_chat", "chat.completions", body)) == {MAX_COST_NANOUSD}


def test_more_searches_than_are_usual_are_held_for_where_a_request_allows_them() -> None:
    fee = rates_of(OPUS).web_search
    tool = {"type": "web_search_20250305", "name": "web_search"}
    usual = {"model": "m", "max_tokens": 99, "messages": HI, "tools": [tool]}
    many = usual | {"tools": [tool | {"max_uses": 40}]}
    endless = usual | {"tools": [tool | {"max_uses": 10**8}]}
    few, more, most = (held(OPUS, "anthropic_messages", "messages", body) for body in (usual, many, endless))
    assert more[0] - few[0] == nanousd(40 - SEARCHES, fee)
    assert most[0] - few[0] == nanousd(MOST_SEARCHES - SEARCHES, fee)
    room = most_input_tokens(OPUS.model)
    assert most[1] >= nanousd(room, rates_of(OPUS).input) + nanousd(MOST_SEARCHES, fee)


@pytest.mark.parametrize(
    "more",
    [
        {"messages": [{"role": "user", "content": "hi" * 999, "cache_control": {"ttl": "1h"}}]},
        {
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "text", "text": "hi" * 999, "prompt_cache_breakpoint": {"ttl": "1h"}}],
                }
            ]
        },
    ],
)
def test_what_is_kept_for_an_hour_is_held_for_by_whatever_name_it_is_marked(more: dict[str, Any]) -> None:
    body = {"model": "m", "max_tokens": 16} | more
    stored = nanousd(1_998, rates_of(OPUS).cache_write_1h)
    assert all(one >= stored for one in held(OPUS, "openai_chat", "chat.completions", body))


def test_a_model_that_draws_without_being_asked_is_held_for_as_drawing() -> None:
    drawn = nanousd(5_000, rates_of(DRAWS).output_image)
    body = {"model": "m", "max_tokens": 5_000, "messages": HI}
    assert all(one >= drawn for one in held(DRAWS, "openai_chat", "chat.completions", body))


@pytest.mark.parametrize(
    "part",
    [
        {"type": "file", "file": {"filename": "a.docx", "file_data": "data:application/octet-stream;base64,UEsDBA=="}},
        {"type": "video_url", "video_url": {"url": "https://example.com/long"}},
    ],
)
def test_what_is_packed_or_shown_is_longer_than_its_bytes(part: dict[str, Any]) -> None:
    body = {"model": "m", "max_tokens": 16, "messages": [{"role": "user", "content": [part]}]}
    room = nanousd(most_input_tokens(OPUS.model), rates_of(OPUS).input)
    assert all(one >= room for one in held(OPUS, "openai_chat", "chat.completions", body))


@pytest.mark.parametrize("name", ["search_parameters", "enable_search"])
def test_vendors_own_switches_for_searching_hold_for_searches(name: str) -> None:
    body = {"model": "m", "max_tokens": 16, "messages": HI, name: {"mode": "on"}}
    room = nanousd(most_input_tokens(OPUS.model), rates_of(OPUS).input)
    assert held(OPUS, "openai_chat", "chat.completions", body)[0] >= room + nanousd(SEARCHES, rates_of(OPUS).web_search)


def test_a_picture_of_an_unknown_call_counts_beside_its_bytes() -> None:
    picture = {"type": "image_url", "image_url": {"url": "https://example.com/large.png"}}
    body = {"model": "m", "max_tokens": 16, "messages": [{"role": "user", "content": [picture]}]}
    envelope = Envelope(json.dumps(body).encode())
    _, at_a_glance, _ = Bounds().at_most(
        envelope, "openai_chat", "chat.completions", OPUS, sheet_of(OPUS), shape_of(envelope, "openai_chat")
    )
    looked_at = held(OPUS, "openai_chat", "chat.completions", body)[2]
    assert min(at_a_glance, looked_at) >= nanousd(4_800, rates_of(OPUS).input)


WORDS = "say something about the order of these words and then of those "
DENSE: dict[str, tuple[str, int]] = {
    "digits": ("8315624970" * 200, 2_000),
    "signs": ("}{)(][+=-_*&^%$#@!~" * 106, 2_000),
    "another script": ("\u4f60\u597d\u4e16\u754c" * 166, 900),
    "random capitals": ("QZXJKVWPGYBFMH" * 143, 1_200),
    "letters of no word": ("tsrdlnhgcmbfpwyie ta" * 100, 2_000),
}
"""Texts of about the same size, and how many tokens the densest tokenizers make of them."""


def chat(text: str) -> Envelope:
    body = {"model": "m", "max_tokens": 16, "messages": [{"role": "user", "content": text}]}
    return Envelope(json.dumps(body, ensure_ascii=False).encode())


@pytest.mark.parametrize("kind", DENSE)
def test_a_dense_request_after_many_cheap_ones_of_its_size_is_not_taken_for_one_of_them(kind: str) -> None:
    text, tokens = DENSE[kind]
    bounds, sheet, cheap = Bounds(), sheet_of(OPUS), chat((WORDS * 40)[: len(text.encode())])
    for _ in range(40):
        known = bounds.bound(cheap, "openai_chat", "chat.completions", OPUS, sheet)
        bounds.learn(OPUS, "openai_chat", cheap, known, Usage(input_tokens=len(cheap.body) // 4, output_tokens=5))
    again = bounds.bound(cheap, "openai_chat", "chat.completions", OPUS, sheet)
    assert again.least_nanousd < 0.4 * known_bytes(cheap, sheet), "what it cost is what is held"
    dense = bounds.bound(chat(text), "openai_chat", "chat.completions", OPUS, sheet)
    assert dense.least_nanousd >= nanousd(tokens, rates_of(OPUS).input)
    assert dense.least_nanousd <= known_bytes(chat(text), sheet)


def known_bytes(envelope: Envelope, sheet: PriceSheet) -> int:
    return Bounds().bound(envelope, "openai_chat", "chat.completions", OPUS, sheet).least_nanousd


def test_one_absurd_report_of_what_was_read_keeps_a_model_from_nobody() -> None:
    bounds, sheet, asked = Bounds(), sheet_of(OPUS), chat("hi")
    known = bounds.bound(asked, "openai_chat", "chat.completions", OPUS, sheet)
    bounds.learn(OPUS, "openai_chat", asked, known, Usage(input_tokens=4 * 10**9, output_tokens=5))
    after = bounds.bound(asked, "openai_chat", "chat.completions", OPUS, sheet)
    assert after.least_nanousd <= 2 * nanousd(most_input_tokens(OPUS.model), rates_of(OPUS).cache_write_5m)


def test_rounds_of_a_providers_own_tools_are_learned() -> None:
    bounds, sheet = Bounds(), sheet_of(OPUS)
    tools = [{"type": "web_search_20250305", "name": "web_search"}]
    asked = Envelope(json.dumps({"model": "m", "max_tokens": 16, "messages": HI, "tools": tools}).encode())
    known = bounds.bound(asked, "anthropic_messages", "messages", OPUS, sheet)
    room = most_input_tokens(OPUS.model)
    bounds.learn(OPUS, "anthropic_messages", asked, known, Usage(input_tokens=3 * room, output_tokens=5))
    again = bounds.bound(asked, "anthropic_messages", "messages", OPUS, sheet)
    assert again.least_nanousd >= nanousd(3 * room, rates_of(OPUS).input)


def test_what_searching_calls_were_seen_to_search_is_held_for_no_others_and_no_more_than_is_possible() -> None:
    bounds, sheet, asked = Bounds(), sheet_of(OPUS), chat("hi")
    before = bounds.bound(asked, "openai_chat", "chat.completions", OPUS, sheet).least_nanousd
    tools = [{"type": "web_search_20250305", "name": "web_search"}]
    searching = Envelope(json.dumps({"model": "m", "max_tokens": 16, "messages": HI, "tools": tools}).encode())
    known = bounds.bound(searching, "anthropic_messages", "messages", OPUS, sheet)
    usage = Usage(input_tokens=10, output_tokens=5, web_search_requests=4 * 10**9)
    bounds.learn(OPUS, "anthropic_messages", searching, known, usage)
    assert bounds.bound(asked, "openai_chat", "chat.completions", OPUS, sheet).least_nanousd == before
    again = bounds.bound(searching, "anthropic_messages", "messages", OPUS, sheet)
    assert again.least_nanousd - known.least_nanousd == nanousd(MOST_SEARCHES - SEARCHES, rates_of(OPUS).web_search)


def test_small_pictures_in_ollamas_format_are_held_for_as_pictures() -> None:
    body = {"model": "m", "options": {"num_predict": 16}, "messages": [HI[0] | {"images": ["aGk=", "aG8="]}]}
    two = nanousd(2 * 4_800, rates_of(OPUS).input)
    assert all(one >= two for one in held(OPUS, "ollama", "ollama_chat", body))


@pytest.mark.parametrize("kind", ["application\\/pdf", "video\\/mp4", "application\\u002fpdf"])
def test_a_slash_that_is_written_as_an_escape_hides_no_document(kind: str) -> None:
    part = f'{{"type":"document","source":{{"type":"base64","media_type":"{kind}","data":"JVBERi0="}}}}'
    body = f'{{"model":"m","max_tokens":16,"messages":[{{"role":"user","content":[{part}]}}]}}'
    room = nanousd(most_input_tokens(OPUS.model), rates_of(OPUS).input)
    assert all(one >= room for one in held(OPUS, "anthropic_messages", "messages", body))
