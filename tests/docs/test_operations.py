"""docs/operations.md names every figure that there is, and none that there is not."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
SOURCES = (ROOT / "src/farthing/monitoring/metrics.py", ROOT / "src/farthing/server/figures.py")


def test_the_page_names_every_figure_and_no_other() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in SOURCES)
    made = set(re.findall(r'"(farthing_[a-z_]+)"', code))
    told = set(re.findall(r"\b(farthing_[a-z_]+)\b", PAGE))
    assert len(made) > 20
    assert told <= made
    # A bound is told with what it bounds.
    assert {name for name in made - told if not name.endswith("_max")} == set()
