import json
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.catalog import token_estimate
from farthing.catalog.token_estimate import (
    CLASSES,
    FOLD_CHARS,
    FOLD_PIECES,
    MAX_CORRECTION,
    MIN_CORRECTION,
    LearnedRatios,
    ProducedText,
    TokenFamily,
    count_classes,
    estimate_request_tokens,
    family_of,
)

FAMILIES: tuple[TokenFamily, ...] = get_args(TokenFamily)

# Counted with the tokenizers that the coefficients were fitted to; none of these texts was fitted to.
ENGLISH = (
    "Sure! A queue keeps the order in which items arrive, so the first one in is the first one out. "
    "Use it when fairness matters, for example when several workers share a list of jobs.\n\n"
    "- Adding an item is cheap.\n- Taking one is cheap as well.\n"
)
CODE = (
    "def total(rows: list[Row]) -> int:\n"
    '    """Return the sum of all amounts."""\n'
    "    result = 0\n"
    "    for row in rows:\n"
    "        if row.amount is not None:\n"
    "            result += row.amount\n"
    "    return result\n"
)


def produced(*pieces: str) -> ProducedText:
    text = ProducedText()
    for piece in pieces:
        text.add(piece)
    return text


def test_every_family_has_a_coefficient_for_every_class() -> None:
    assert set(token_estimate._RATIOS) == set(FAMILIES)
    assert {len(ratios.millitokens) for ratios in token_estimate._RATIOS.values()} == {len(CLASSES)}


@pytest.mark.parametrize(
    ("family", "text", "tokens"),
    [
        ("o200k", ENGLISH, 55),
        ("o200k", CODE, 50),
        ("cl100k", ENGLISH, 55),
        ("cl100k", CODE, 50),
        ("gemini", ENGLISH, 58),
        ("gemini", CODE, 57),
        ("llama3", ENGLISH, 55),
        ("llama3", CODE, 50),
        ("mistral", ENGLISH, 55),
        ("mistral", CODE, 50),
        ("deepseek", ENGLISH, 55),
        ("deepseek", CODE, 53),
        ("qwen", ENGLISH, 55),
        ("qwen", CODE, 50),
    ],
)
def test_estimate_is_near_what_the_tokenizer_counts(family: TokenFamily, text: str, tokens: int) -> None:
    assert produced(text).tokens(family) == pytest.approx(tokens, rel=0.15)


def test_nothing_produced_is_no_token_and_anything_is_at_least_one() -> None:
    assert produced().tokens("o200k") == 0
    assert produced("").tokens("o200k") == 0
    assert produced("a").tokens("o200k") == 1


@given(st.lists(st.text(max_size=30), max_size=20))
def test_pieces_count_like_the_whole(pieces: list[str]) -> None:
    whole = "".join(pieces)
    assert produced(*pieces).tokens("claude") == produced(whole).tokens("claude")
    assert produced(*pieces).chars == len(whole)


def test_what_is_kept_is_bounded_by_pieces_and_by_length() -> None:
    text = ProducedText()
    for _ in range(10 * FOLD_PIECES):
        text.add("word ")
        assert len(text._pieces) < FOLD_PIECES
    text.add("x" * FOLD_CHARS)
    assert text._pieces == []
    assert text.chars == 10 * FOLD_PIECES * 5 + FOLD_CHARS


def test_estimate_between_deltas_does_not_disturb_the_count() -> None:
    text = ProducedText()
    seen = []
    for word in ENGLISH.split(" "):
        text.add(word + " ")
        seen.append(text.tokens("o200k"))
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(produced(ENGLISH).tokens("o200k"), rel=0.05)


def test_half_of_a_surrogate_pair_is_counted_not_refused() -> None:
    assert produced("\ud83d", "\ude00").tokens("o200k") >= 1
    assert produced("cut here \ud83d").tokens("o200k") >= 2


def test_each_script_has_its_class() -> None:
    spellings = {
        "latin": "é",
        "greek": "λ",
        "cyrillic": "ж",
        "semitic": "ع",
        "indic": "क",
        "symbols": "→",
        "kana": "か",
        "cjk": "漢",
        "hangul": "한",
        "fullwidth": "\uff0c",
        "emoji": "🎉",
    }
    for name, character in spellings.items():
        counts = dict(zip(CLASSES, count_classes(character.encode()), strict=True))
        assert counts == {**dict.fromkeys(CLASSES, 0), name: 1, "words": 1}, name


def test_ascii_classes_are_disjoint_and_complete() -> None:
    text = "Jazz, 42 kids!\n  ok\t"
    counts = dict(zip(CLASSES, count_classes(text.encode()), strict=False))
    assert counts == {"lower": 5, "rare": 4, "upper": 1, "digits": 2, "words": 4, "newlines": 1, "punctuation": 2}


@pytest.mark.parametrize(
    ("provider", "model", "family"),
    [
        ("openai", "gpt-5-mini", "o200k"),
        ("openai", "gpt-4o-2024-08-06", "o200k"),
        ("openai", "gpt-4.1", "o200k"),
        ("openai", "o3-mini", "o200k"),
        ("openai", "ft:gpt-4o-mini:acme::1", "o200k"),
        ("openai", "gpt-4", "cl100k"),
        ("openai", "gpt-4-turbo-2024-04-09", "cl100k"),
        ("openai", "gpt-3.5-turbo", "cl100k"),
        ("openai", "something-new", "o200k"),
        ("anthropic", "claude-3-5-haiku-20241022", "claude"),
        ("anthropic", "claude-sonnet-4-20250514", "claude"),
        ("anthropic", "claude-haiku-4-5-20251001", "claude"),
        ("anthropic", "claude-opus-4-6", "claude"),
        ("anthropic", "claude-opus-4-7", "claude_4_7"),
        ("anthropic", "claude-opus-4-8", "claude_4_7"),
        ("anthropic", "claude-sonnet-5", "claude_4_7"),
        ("anthropic", "something-new", "claude_4_7"),
        ("openrouter", "anthropic/claude-3.7-sonnet:thinking", "claude"),
        ("openrouter", "google/gemini-2.5-flash", "gemini"),
        ("openrouter", "z-ai/glm-5-turbo", "generic"),
        ("groq", "openai/gpt-oss-20b", "o200k"),
        ("groq", "meta-llama/llama-4-scout-17b-16e-instruct", "llama3"),
        ("deepseek", "deepseek-v4-pro", "deepseek"),
        ("mistral", "magistral-medium-latest", "mistral"),
        ("mistral", "open-mixtral-8x7b", "mistral"),
        (None, "qwen3:8b", "qwen"),
        (None, "", "generic"),
    ],
)
def test_family_follows_the_model_then_the_provider(provider: str | None, model: str, family: TokenFamily) -> None:
    assert family_of(provider, model) == family


def chat(*contents: str, ensure_ascii: bool = False) -> bytes:
    messages = [{"role": "user", "content": content} for content in contents]
    return json.dumps({"model": "m", "messages": messages}, ensure_ascii=ensure_ascii).encode()


@pytest.mark.parametrize("copies", [1, 3, 50, 400])
@pytest.mark.parametrize("text", [ENGLISH, CODE, "Очередь хранит порядок, в котором пришли задания.\n" * 5])
def test_request_estimate_is_near_that_of_its_text(text: str, copies: int) -> None:
    of_text = produced(text * copies).tokens("o200k")
    assert estimate_request_tokens(chat(text * copies), "o200k") == pytest.approx(of_text, rel=0.3, abs=20)


def test_escaped_text_counts_like_the_same_text_in_utf8() -> None:
    text = "Очередь хранит порядок, в котором пришли задания.\n" * 100
    plain = estimate_request_tokens(chat(text), "o200k")
    assert estimate_request_tokens(chat(text, ensure_ascii=True), "o200k") == pytest.approx(plain, rel=0.3)


def test_base64_counts_as_pictures_not_as_text() -> None:
    picture = "iVBORw0KGgoAAAANSUhEUgAA+AbZ9/x4Qk" * 10_000
    assert 1_000 < estimate_request_tokens(chat(picture), "o200k") < 3_000


@given(st.binary(max_size=2_000), st.sampled_from(FAMILIES))
def test_any_body_has_an_estimate(body: bytes, family: TokenFamily) -> None:
    assert estimate_request_tokens(body, family) >= 1


def test_bytes_alone_give_a_rough_estimate() -> None:
    assert estimate_request_tokens(112_000, "o200k") == pytest.approx(30_000, rel=0.2)
    assert estimate_request_tokens(0, "o200k") == 1


def test_a_model_never_seen_is_not_corrected() -> None:
    assert LearnedRatios().correction("openai", "gpt-5") == 1.0


def test_reported_usage_teaches_a_ratio_of_its_own_per_model() -> None:
    ratios = LearnedRatios()
    ratios.observe("openai", "gpt-5", estimated=1_000, reported=1_200)
    assert ratios.correction("openai", "gpt-5") == pytest.approx(1.2)
    assert ratios.correction("openai", "gpt-5-mini") == 1.0
    for _ in range(100):
        ratios.observe("openai", "gpt-5", estimated=1_000, reported=900)
    assert ratios.correction("openai", "gpt-5") == pytest.approx(0.9, rel=0.01)


def test_one_odd_call_moves_the_ratio_by_a_tenth_of_the_way() -> None:
    ratios = LearnedRatios()
    ratios.observe("a", "m", estimated=100, reported=100)
    ratios.observe("a", "m", estimated=100, reported=1_000_000)
    assert ratios.correction("a", "m") == pytest.approx(1.1)


@given(st.lists(st.tuples(st.integers(-5, 10**9), st.integers(-5, 10**9)), max_size=30))
def test_correction_stays_within_its_bounds(observed: list[tuple[int, int]]) -> None:
    ratios = LearnedRatios()
    for estimated, reported in observed:
        ratios.observe("a", "m", estimated, reported)
    assert MIN_CORRECTION <= ratios.correction("a", "m") <= MAX_CORRECTION


def test_the_longest_unused_ratio_is_forgotten() -> None:
    ratios = LearnedRatios(capacity=2)
    for model in ("first", "second", "first", "third"):
        ratios.observe("a", model, estimated=100, reported=150)
    assert [ratios.correction("a", model) for model in ("first", "second", "third")] == [1.5, 1.0, 1.5]
