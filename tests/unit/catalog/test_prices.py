import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from farthing.catalog import name_patterns, prices
from farthing.catalog.prices import PriceBook
from farthing.catalog.pricing import price, price_nanousd
from farthing.catalog.snapshot import Snapshot, bundled_snapshot
from farthing.types.money import UnitPrice
from farthing.types.prices import PriceOverride, PriceSheet
from farthing.types.usage import Usage

LIST = bundled_snapshot().index.id  # genai-prices-<version>
M = 1_000_000_000_000  # picodollars in a dollar


def at(*when: int) -> int:
    return int(datetime(*when, tzinfo=UTC).timestamp()) * 1_000_000  # type: ignore[misc,arg-type]  # year, month, day...


NOW = at(2026, 11, 20)


def row(pattern: str, read: int = 1, written: int = 2, origin: str = "settings.yaml:1") -> PriceOverride:
    return PriceOverride(pattern=pattern, input=UnitPrice(read * M), output=UnitPrice(written * M), origin=origin)


def found(book: PriceBook, provider: str, model: str, at_us: int = NOW) -> PriceSheet:
    sheet = book.find(provider, provider, model, at_us)
    assert sheet is not None
    return sheet


def test_a_model_of_the_list_has_a_sheet_that_names_its_source() -> None:
    sheet = found(PriceBook(), "anthropic", "claude-sonnet-4-5-20250929")
    assert sheet.id == f"{LIST}:anthropic/claude-sonnet-4-5"
    rates = sheet.bands[0].rates
    assert (rates.input, rates.output, rates.cache_read) == (3 * M, 15 * M, 3 * M // 10)
    assert (rates.cache_write_5m, rates.cache_write_1h) == (15 * M // 4, 6 * M)
    assert rates.web_search == 10_000 * M


def test_an_unknown_model_has_no_price_and_neither_has_a_provider_without_a_list() -> None:
    book = PriceBook()
    assert book.find("openai", "openai", "no-such-model", NOW) is None
    assert book.find("lab", None, "gpt-4o", NOW) is None
    assert book.find("lab", "no-such-list", "gpt-4o", NOW) is None
    assert book.find("lab", "../data/openai", "gpt-4o", NOW) is None


def test_a_free_provider_has_a_sheet_of_zeros_for_any_name() -> None:
    sheet = PriceBook().find("lab", None, "whatever", NOW, free=True)
    assert sheet is not None
    assert sheet.free
    assert price_nanousd(Usage(input_tokens=10**9, output_tokens=5, web_search_requests=3), sheet) == 0


def test_the_operators_first_row_that_fits_wins_over_the_list() -> None:
    book = PriceBook(
        [row("claude:*-mini", origin="a:1"), row("claude:gpt-*", origin="a:2"), row("*:llama*8b*", origin="a:3")]
    )
    names = ("gpt-5-mini", "gpt-5", "llama-3.1-8b-instant", "claude-2")
    ids = [sheet and sheet.id for name in names for sheet in [book.find("claude", "openai", name, NOW)]]
    assert [one and one.partition("#")[0] for one in ids] == [
        "a:claude:*-mini",
        "a:claude:gpt-*",
        "a:*:llama*8b*",
        None,
    ]


def test_rows_match_the_configured_name_not_the_lists_own() -> None:
    book = PriceBook([row("openai:gpt-5", origin="a:1")])
    sheet = book.find("work", "openai", "gpt-5", NOW)
    assert sheet is not None
    assert sheet.id == f"{LIST}:openai/gpt-5"


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("lab:*", "lab:", True),
        ("lab:*", "lab:a:b/c", True),
        ("lab:a*a", "lab:a", False),
        ("lab:a*a", "lab:aa", True),
        ("lab:a*b*c", "lab:aXbYc", True),
        ("lab:a*b*c", "lab:acb", False),
        ("lab:a*bb*b", "lab:abb", False),
        ("lab:[ab]?", "lab:a1", False),
        ("lab:[ab]?", "lab:[ab]?", True),
        ("lab:A", "lab:a", False),
        ("*", "lab:a\nb", True),
    ],
)
def test_a_star_stands_for_any_text_and_nothing_else_is_special(pattern: str, name: str, fits: bool) -> None:
    assert name_patterns.fits(pattern, name) is fits


def test_the_id_of_a_row_tells_what_it_charges_and_not_where_it_stands() -> None:
    def id_of(one: PriceOverride) -> str:
        sheet = PriceBook([one]).find("lab", None, "big", NOW)
        assert sheet is not None
        return sheet.id

    first = id_of(row("lab:big", origin="settings.yaml:14"))
    assert re.fullmatch(r"settings\.yaml:lab:big#[0-9a-f]{8}", first)
    assert id_of(row("lab:big", origin="settings.yaml:15")) == first
    assert id_of(row("lab:big", written=3, origin="settings.yaml:14")) != first


def test_a_row_for_the_name_that_was_asked_wins_over_the_list_for_the_one_that_answered() -> None:
    book = PriceBook([row("openai:gpt-5-mini", origin="a:7")])
    sheet = book.find("openai", "openai", "gpt-5-mini-2025-08-07", NOW, asked="gpt-5-mini")
    assert sheet is not None
    assert sheet.id.startswith("a:openai:gpt-5-mini#")


def test_the_name_that_was_asked_is_priced_where_the_one_that_answered_is_unknown() -> None:
    sheet = PriceBook().find("openai", "openai", "weights-of-tuesday", NOW, asked="gpt-5-mini")
    assert sheet is not None
    assert sheet.id.endswith(":openai/gpt-5-mini")


def test_a_row_wins_over_free() -> None:
    sheet = PriceBook([row("lab:big", origin="a:1")]).find("lab", None, "big", NOW, free=True)
    assert sheet is not None
    assert sheet.id.startswith("a:lab:big#")


def test_parts_that_a_row_leaves_out_cost_what_input_and_output_cost() -> None:
    rates = found(PriceBook([row("lab:*", 3, 7)]), "lab", "x").bands[0].rates
    assert {rates.cache_read, rates.cache_write_5m, rates.cache_write_1h, rates.input_audio} == {3 * M}
    assert {rates.reasoning, rates.output_audio} == {7 * M}
    assert (rates.request, rates.web_search) == (0, None)


def test_cache_writes_that_a_row_for_anthropic_leaves_out_cost_its_multiples() -> None:
    rates = found(PriceBook([row("anthropic:*", 4, 7)]), "anthropic", "x").bands[0].rates
    assert (rates.cache_read, rates.cache_write_5m, rates.cache_write_1h) == (4 * M, 5 * M, 8 * M)


def test_a_row_of_zeros_is_free() -> None:
    assert found(PriceBook([row("lab:*", 0, 0)]), "lab", "x").free


def test_fees_of_a_row_are_for_one() -> None:
    override = PriceOverride(
        pattern="lab:*",
        input=UnitPrice(0),
        output=UnitPrice(0),
        request=UnitPrice(M, 1),
        web_search=UnitPrice(2 * M, 1),
    )
    sheet = found(PriceBook([override]), "lab", "x")
    assert not sheet.free
    assert price_nanousd(Usage(input_tokens=1, output_tokens=1, web_search_requests=3), sheet) == 7_000_000_000


def test_a_dated_price_begins_at_midnight_utc_also_when_asked_backwards() -> None:
    book = PriceBook()
    midnight = at(2026, 3, 13)
    for _ in range(2):
        after, before = (found(book, "anthropic", "claude-opus-4-6", midnight + d) for d in (0, -1))
        assert after.id.endswith("claude-opus-4-6@2026-03-13")
        assert before.id.endswith("claude-opus-4-6")
        assert (len(after.bands), len(before.bands)) == (1, 2)


def test_a_price_by_time_of_day_holds_from_its_first_second_to_before_its_last() -> None:
    book = PriceBook()
    inputs = [
        found(book, "deepseek", "deepseek-v4-pro", at(2026, 11, 20, hour, minute, 0) - early).bands[0].rates.input
        for hour, minute, early in [(1, 0, 1), (1, 0, 0), (4, 0, 1), (4, 0, 0), (6, 0, 0), (10, 0, 0), (23, 59, 0)]
    ]
    assert [rate and rate * 100 // M for rate in inputs] == [66, 132, 132, 66, 132, 66, 66]


@pytest.mark.parametrize("when_us", [-1, 0, 1 << 62, -(1 << 62)])
def test_any_time_can_be_asked_about(when_us: int) -> None:
    assert found(PriceBook(), "deepseek", "deepseek-v4-pro", when_us).bands


def test_service_tiers_have_prices_of_their_own_from_the_day_they_are_known() -> None:
    sheet = found(PriceBook(), "openai", "gpt-5.4")
    assert set(sheet.service_tiers) == {"flex", "priority", "fast", "batch"}
    assert [band.from_input_tokens for band in sheet.bands] == [0, 272_001]
    assert [band.from_input_tokens for band in sheet.service_tiers["priority"]] == [0]
    assert found(PriceBook(), "openai", "gpt-5.4", at(2026, 10, 1)).service_tiers == {}
    assert "fast" in found(PriceBook(), "anthropic", "claude-opus-5").service_tiers


def test_a_part_that_a_tier_does_not_price_costs_the_standard_price() -> None:
    sheet = found(PriceBook(), "openai", "gpt-4o")
    batch, standard = sheet.service_tiers["batch"][0].rates, sheet.bands[0].rates
    assert batch.input == 5 * M // 4
    assert batch.cache_read == standard.cache_read == 5 * M // 4


def test_a_model_that_another_vendor_offers_is_priced_by_its_makers_list() -> None:
    assert found(PriceBook(), "azure", "claude-opus-4-6").id.split(":")[1].startswith("anthropic/")


def test_the_case_of_a_name_and_the_spelling_of_its_date_do_not_matter() -> None:
    book = PriceBook()
    assert found(book, "openai", "GPT-4o-20240806") is found(book, "openai", "gpt-4o-2024-08-06")
    assert book.find("openai", "openai", "gpt-4o-20241341", NOW) is None


@pytest.mark.parametrize(
    ("price_key", "name", "known"),
    [
        ("anthropic", "claude-sonnet-4-5", True),
        ("anthropic", "claude-sonnet-4-5-20250929", True),
        ("anthropic", "claude-sonnet-4-20250514", True),
        ("anthropic", "claude-3-opus-latest", True),
        ("anthropic", "claude-sonnet-4-5-by-somebody-else", False),
        ("openai", "gpt-4o", True),
        ("openai", "gpt-5.4-2026-03-05", True),
        ("openai", "my-moderation-model", False),
        ("openai", "claude-sonnet-4-5", False),
        ("groq", "openai/gpt-oss-20b", True),
        ("mistral", "mistral-large-latest", True),
        ("mistral", "magistral-medium-latest", True),
        ("azure", "gpt-4o", False),  # priced through a fallback, but that is no proof that it is there
        (None, "gpt-4o", False),
        ("no-such-list", "gpt-4o", False),
    ],
)
def test_the_list_knows_names_and_dated_names_but_not_whatever_a_pattern_catches(
    price_key: str | None,
    name: str,
    known: bool,
) -> None:
    assert PriceBook().knows(price_key, name) is known


def test_every_listed_name_is_known_and_nearly_all_have_a_price() -> None:
    book = PriceBook()
    unpriced: list[str] = []
    for price_key in ("openai", "anthropic", "openrouter", "groq", "deepseek", "mistral"):
        names = book.names(price_key)
        assert len(names) > 5
        assert list(names) == sorted(set(names))
        for name in names:
            if book.find("x", price_key, name, NOW) is None:
                unpriced.append(name)
            assert book.knows(price_key, name), name
    assert "tts-1" in unpriced  # billed by the character
    assert len(unpriced) < 40
    assert book.names(None) == book.names("no-such-list") == ()


def test_a_model_that_the_list_marks_free_is_free_and_one_without_any_price_is_unknown() -> None:
    book = PriceBook()
    assert found(book, "openrouter", "meta-llama/llama-3.2-3b-instruct:free").free
    assert book.find("openrouter", "openrouter", "stealth/crouton-alpha", NOW) is None
    assert book.find("groq", "groq", "whisper-large-v3", NOW) is None  # billed by the hour


def test_remembered_names_have_a_ceiling_and_long_ones_are_not_remembered() -> None:
    book = PriceBook()
    for number in range(prices._MOST_NAMES + 10):
        book.find("openai", "openai", f"no-such-model-{number}", NOW)
    assert len(book._found) == 10
    found(PriceBook([row("lab:*")]), "lab", "x" * 100_000)
    book.find("openai", "openai", "x" * 100_000, NOW)
    assert len(book._found) == 10


def test_only_the_providers_asked_about_are_read() -> None:
    bundled = bundled_snapshot()
    snapshot = Snapshot(bundled.index, bundled._read)
    found(PriceBook(snapshot=snapshot), "groq", "llama-3.1-8b-instant")
    assert set(snapshot._providers) == {"groq"}


def test_the_snapshot_says_where_it_comes_from() -> None:
    index = bundled_snapshot().index
    assert (index.name, index.licence) == ("genai-prices", "MIT")
    assert len(index.providers) > 40
    notice = (Path(__file__).parents[3] / "NOTICE").read_text(encoding="utf-8")
    assert "genai-prices" in notice
    assert "Pydantic Services Inc." in notice


def test_running_needs_nothing_of_genai_prices() -> None:
    code = (
        "import sys, json; from farthing.catalog.prices import PriceBook; PriceBook().find('o', 'openai', 'gpt-4o', 0);"
        "print(json.dumps([name for name in sys.modules if 'genai_prices' in name or 'pydantic' in name]))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True, timeout=60)
    assert json.loads(answer.stdout) == []


def test_an_explanation_adds_up_to_the_amount() -> None:
    usage = Usage(input_tokens=300_000, output_tokens=5_000, cache_read_input_tokens=250_000)
    cost = price(usage, found(PriceBook(), "openai", "gpt-5.4"))
    assert [(line.what, line.quantity, line.price.picodollars) for line in cost.lines] == [
        ("input", 50_000, 5 * M),
        ("cache_read", 250_000, M // 2),
        ("output", 5_000, 22_500_000_000_000),
    ]
    assert cost.nanousd == 250_000_000 + 125_000_000 + 112_500_000
