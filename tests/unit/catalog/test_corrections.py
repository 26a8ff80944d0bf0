from datetime import date

import pytest

from farthing.catalog.corrections import Correction, correction_of, corrections
from farthing.catalog.prices import PriceBook
from farthing.catalog.pricing import price_nanousd
from farthing.catalog.snapshot import Model, Period, PricedModel, Prices, Step
from farthing.types.money import UnitPrice
from farthing.types.prices import PriceOverride, PriceSheet
from farthing.types.usage import Usage

NOW_US = 1_795_000_000_000_000
M = 1_000_000_000_000  # picodollars in a dollar


def found(provider: str, model: str) -> PriceSheet:
    sheet = PriceBook().find(provider, provider, model, NOW_US)
    assert sheet is not None
    return sheet


def test_every_correction_is_in_use_and_tells_its_reason_its_source_and_its_day() -> None:
    assert corrections()
    for correction in corrections():
        assert correction.why
        assert "http" in correction.source or "reported" in correction.source
        assert date.fromisoformat(correction.checked) <= date(2100, 1, 1)
        for model in correction.models:
            sheet = found(correction.provider, model)
            assert f"+{correction.checked}:" in sheet.id, "the list was mended: take this correction out"
            assert correction_of(sheet.id) is correction


def test_a_model_that_the_list_lacks_is_priced_and_what_was_reported_for_it_is_what_it_costs() -> None:
    usage = Usage(input_tokens=366, output_tokens=157, cache_read_input_tokens=310, reasoning_output_tokens=131)
    assert price_nanousd(usage, found("openrouter", "x-ai/grok-4.1-fast")) == 105_200  # openrouter said 0.0001052 USD


@pytest.mark.parametrize(
    ("model", "read", "written", "reported"),
    [("sonar", 139, 2, 5_141_000), ("sonar", 8, 2, 5_010_000), ("sonar-reasoning", 139, 51, 5_394_000)],
)
def test_perplexitys_fee_depends_on_how_far_it_searched(model: str, read: int, written: int, reported: int) -> None:
    usage = Usage(input_tokens=read, output_tokens=written)
    assert price_nanousd(usage, found("perplexity", model), service_tier="low") == reported
    # An answer that does not say how far is priced by the highest fee.
    assert price_nanousd(usage, found("perplexity", model)) == reported + 7_000_000


def test_a_correction_falls_silent_when_the_list_says_something_else() -> None:
    correction = Correction(
        provider="lab", models=("m",), why="w", source="s", checked="2026-01-01", prices={"input": "3"},
        while_listed={"input": "2"},
    )  # fmt: skip
    for listed, id_part, expected in ((2, "+2026-01-01:lab/m", 3), (4, "list:lab/m", 4)):
        model = Model("m", (Period(Prices(input=(Step(0, listed * M),), output=(Step(0, M),))),))
        applied = correction.applied("m", PricedModel("list", "lab", model), "list")
        assert applied is not None
        sheet = applied.sheet_at(NOW_US)
        assert sheet.id.endswith(id_part)
        assert (sheet.bands[0].rates.input, sheet.bands[0].rates.output) == (expected * M, M)
    assert correction.applied("m", None, "list") is None


def test_an_operators_row_wins_over_a_correction_and_other_models_have_none() -> None:
    row = PriceOverride(pattern="perplexity:*", input=UnitPrice(M), output=UnitPrice(M), origin="settings.yaml:3")
    sheet = PriceBook([row]).find("perplexity", "perplexity", "sonar", NOW_US)
    assert sheet is not None
    assert sheet.id.startswith("settings.yaml:perplexity:*#")
    assert correction_of("genai-prices-1:openai/gpt-4o@2026-01-01") is None
    assert "+" not in found("perplexity", "sonar-deep-research").id
