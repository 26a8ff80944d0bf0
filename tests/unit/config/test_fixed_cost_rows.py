"""`fixed_costs:` in settings.yaml: what is taken, and what is told of what is wrong."""

from pathlib import Path

import pytest

from farthing.config.load import load_settings
from farthing.config.schema import Settings
from farthing.errors import ConfigError
from farthing.providers.registry import known_providers
from farthing.types.fixed_costs import FixedCost


def load(path: Path, rows: str) -> Settings:
    file = path / "settings.yaml"
    file.write_text(f"providers:\n  lab: {{kind: openai, credential: none}}\nfixed_costs:\n{rows}", encoding="utf-8")
    return load_settings(file, known=known_providers(), environment={})


def test_rows_are_exact_dollars(tmp_path: Path) -> None:
    rows = "  - {name: Plan, usd: 20, per: month}\n"
    rows += "  - {name: power, usd: 0.123456789, per: day, providers: [lab, ollama]}\n"
    assert load(tmp_path, rows).fixed_costs == (
        FixedCost(name="Plan", nanousd=20_000_000_000, per="month"),
        FixedCost(name="power", nanousd=123_456_789, per="day", providers=("lab", "ollama")),
    )
    assert load(tmp_path, "").fixed_costs == ()


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("  - {name: x, usd: 1, per: year}", "settings.yaml:4: fixed_costs[0].per: 'year' is not allowed"),
        ("  - {name: x, usd: -1, per: day}", "fixed_costs[0].usd: '-1' is no amount; USD in digits"),
        ("  - {name: x, usd: 1e3, per: day}", "'1e3' is no amount"),
        ("  - {name: x, per: day}", "a fixed cost needs name, usd and per; missing: usd"),
        ("  - {name: x, usd: 1, per: day, provider: lab}", "fixed_costs[0].provider: is not a setting"),
        ("  - {name: x, usd: 1, per: day, providers: lab}", "must be a list of providers"),
        ("  - {name: x, usd: 1, per: day, providers: [lob]}", "'lob' is no provider (did you mean 'lab'?)"),
        ("  - plan", "must be a mapping (name: ..., usd: ..., per: month)"),
        ("  plan: 3", "must be a list of rows"),
        (
            "  - {name: x, usd: 1, per: day}\n  - {name: x, usd: 2, per: day}",
            "yaml:5: fixed_costs[1]: 'x' stands",
        ),
    ],
)
def test_a_wrong_row_is_told_with_its_line(tmp_path: Path, row: str, told: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(tmp_path, row + "\n")
    assert told in str(raised.value)
