"""docs/security.md names the tests that hold it to its word, and they exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(test_[a-z0-9_]+)`", PAGE)))


@pytest.fixture(scope="module")
def tests() -> set[str]:
    return {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE)
    }


@pytest.mark.parametrize("name", NAMED)
def test_every_test_that_the_page_names_exists(name: str, tests: set[str]) -> None:
    assert name in tests


def test_every_border_names_a_test() -> None:
    borders = PAGE.partition("## Borders")[2].partition("\n## ")[0].split("\n### ")[1:]
    assert len(borders) >= 6
    for border in borders:
        assert re.search(r"`test_", border), border.splitlines()[0]
