import json
import random
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.catalog.name_patterns import checked_regex, compiled
from farthing.catalog.openrouter_prices import compile_openrouter
from farthing.catalog.published import compile_list
from farthing.catalog.refresh import read_candidate
from farthing.errors import PriceListUnusable

PUBLISHED = [
    {
        "id": "lab",
        "name": "Lab",
        "fallback_model_providers": ["openai"],
        "models": [
            {
                "id": "big",
                "match": {"or": [{"equals": "big"}, {"and": [{"starts_with": "big-"}, {"regex": "^big-\\d{8}$"}]}]},
                "prices": [
                    {"prices": {"input_mtok": {"base": 1, "tiers": [{"start": 200000, "price": 2}]}, "output_mtok": 3}},
                    {"prices": {"input_mtok": 2}, "constraint": {"start_date": "2026-01-01"}},
                    {
                        "prices": {"input_mtok": 3, "audio_hours": 1},
                        "constraint": {"start_time": "16:30:00Z", "end_time": "00:30:00Z"},
                    },
                ],
                "price_variants": [{"when": {"service_tier": "flex"}, "prices": {"input_mtok": "0.5"}}],
            },
            {"id": "small:free", "match": {"ends_with": ":free"}, "prices": {}},
            {"id": "nothing", "match": {"contains": "nothing"}, "prices": []},
        ],
    }
]
OPENROUTER = {
    "data": [
        {
            "id": "lab/big",
            "canonical_slug": "lab/big-2026",
            "pricing": {"prompt": "0.000001", "completion": "0.000002", "overrides": [{"min_prompt_tokens": 9}]},
        }
    ]
}

odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += places(inner, (*path, key))
    return found


def changed(document: Any, path: tuple[Any, ...], to: Any) -> Any:
    if not path:
        return to
    copy = json.loads(json.dumps(document))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = to
    return copy


@given(st.sampled_from([PUBLISHED, OPENROUTER]), st.data())
def test_a_list_that_was_changed_anywhere_is_read_whole_or_refused_in_words(document: Any, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(places(document)))
    text = json.dumps(changed(document, path, data.draw(odd))).encode()
    for read in (compile_list, compile_openrouter):
        told = "read"
        try:
            read(text)
        except PriceListUnusable as error:
            told = error.message
        assert 0 < len(told) < 1_500
    try:
        candidate = read_candidate(text, source="test", day="2026-11-21", now_us=1_795_000_000_000_000)
    except PriceListUnusable:
        return
    assert candidate.snapshot.index.providers


@given(st.binary(max_size=200))
def test_bytes_that_are_no_list_are_refused(data: bytes) -> None:
    with pytest.raises(PriceListUnusable):
        read_candidate(data, source="test", day="2026-11-21", now_us=0)


@given(st.text("^$()|?.*{}[]\\d09ab-", max_size=30))
def test_an_expression_that_is_allowed_is_quick_on_every_name(text: str) -> None:
    try:
        checked_regex(text)
    except ValueError:
        return
    # An expression that could be slow takes longer than the age of the universe on these.
    for name in ("a" * 256, "ab" * 128, "0" * 256, "a0" * 128 + "!"):
        compiled(text).search(name)


def test_every_expression_of_the_list_finds_the_dated_names_it_is_meant_for() -> None:
    dice = random.Random(7)
    for text in (r"^claude-opus-5[-@]\d{8}$", r"^(?!.*-[tT][tT][sS](?:$|-))", r"^(typesafe/)?jev-1\.13(-\d{8})?$"):
        assert checked_regex(text) == text
    assert compiled(r"^claude-opus-5[-@]\d{8}$").search("claude-opus-5@20260101")
    assert not compiled(r"^(?!.*-[tT][tT][sS](?:$|-))").search("gemini-2.5-pro-preview-tts")
    noise = "".join(dice.choices(string.printable, k=200))
    assert not compiled(r"^claude-opus-5[-@]\d{8}$").search(noise)


@pytest.mark.parametrize(
    "text", ["a+", "^(a|a)*b", "^(a?){9}b", "^.*.*b", "^a{1,9}", "^\\w", "b$", "^" + "a?" * 9, "^("]
)
def test_an_expression_that_could_be_slow_or_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"simple|slow|no regular"):
        checked_regex(text)
