"""The page of losses is what the formats declare."""

import importlib.util
from pathlib import Path

import pytest

from farthing.types.features import Feature
from farthing.wire.translators.registry import CHAT_FORMATS, translator

TOOL = Path(__file__).parents[2] / "tools" / "write_losses.py"


def test_the_page_says_what_the_code_says() -> None:
    spec = importlib.util.spec_from_file_location("write_losses", TOOL)
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert tool.PAGE.read_text(encoding="utf-8") == tool.page(), "run python tools/write_losses.py"


def test_every_feature_has_a_name_of_its_own() -> None:
    assert len({feature.label for feature in Feature}) == len(Feature)


@pytest.mark.parametrize("wire", CHAT_FORMATS)
def test_no_format_claims_what_only_another_one_knows(wire: str) -> None:
    (form,) = [translator(known) for known in CHAT_FORMATS if known == wire]
    only_one_knows = {Feature.UNKNOWN_FIELDS, Feature.FOREIGN_PARTS, Feature.SERVER_TOOLS, Feature.FILES}
    history = {Feature.FOREIGN_HISTORY, Feature.CITATIONS_HISTORY}
    assert not form.carries & (only_one_knows | history)
