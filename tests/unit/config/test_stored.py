"""Settings of the admin API beside those of the file: read by the same rules, and the file wins."""

from pathlib import Path

import pytest
from msgspec import structs

from farthing.config.load import load_settings
from farthing.config.schema import Settings
from farthing.config.stored import PLAIN, Layered, with_stored
from farthing.providers.registry import known_providers
from farthing.types.settings import StoredSetting

KNOWN = known_providers()
FILE = """version: 1
server: {drain_s: 30}
providers:
  lab: {kind: openai-compatible, base_url: "http://127.0.0.1:9/v1", credential: none}
models: {fast: "lab:small"}
prices:
  - {model: "lab:small", input: 1, output: 2}
"""


def read(tmp_path: Path, text: str = FILE) -> Settings:
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    return load_settings(path, known=KNOWN, environment={})


def layered(file: Settings, **stored: object) -> Layered:
    made = [
        StoredSetting(path=path.replace("__", "."), value=value, changed_at_us=1, changed_by="admin")
        for path, value in stored.items()
    ]
    return with_stored(file, made, KNOWN, {})


def test_the_file_wins_wherever_it_says_something_even_what_is_the_default(tmp_path: Path) -> None:
    file = read(tmp_path)
    paths = {"server.drain_s": 5, "providers.lab": {}, "models.fast": "lab:x", "prices.lab:small": {}}
    found = layered(file, **paths)
    assert found.settings == file
    assert {path: why.partition(" in ")[0] for path, why in found.problems.items()} == dict.fromkeys(
        paths, "settings.yaml names it"
    )


def test_what_is_stored_may_lean_on_what_is_stored(tmp_path: Path) -> None:
    mine = {"kind": "openai-compatible", "base_url": "http://127.0.0.1:8/v1", "credential": "none"}
    found = layered(
        read(tmp_path),
        models__quick="mine:big",
        prices__mine={},
        **{"prices.mine:big": {"input": "1", "output": "2.5"}, "providers.mine": mine, "unpriced": "refuse"},
    )
    assert set(found.settings.providers) == {"lab", "mine"}
    assert str(found.settings.models["quick"].model) == "big"
    assert [row.pattern for row in found.settings.prices] == ["lab:small", "mine:big"]
    assert found.settings.unpriced == "refuse"
    assert set(found.problems) == {"prices.mine"}


def test_what_leans_on_what_is_gone_is_left_out_and_the_rest_holds(tmp_path: Path) -> None:
    stored = {"models.quick": "lab:big", "prices.lab:big": {"input": "1", "output": "1"}, "server.max_headers": 50}
    assert layered(read(tmp_path), **stored).problems == {}
    found = layered(read(tmp_path, "version: 1\n"), **stored)
    assert set(found.problems) == {"models.quick", "prices.lab:big"}
    assert found.settings.server.max_headers == 50


def test_a_price_of_one_model_is_asked_before_that_of_a_pattern(tmp_path: Path) -> None:
    amounts = {"input": "1", "output": "1"}
    patterns = ["prices.lab:*", "prices.lab:big", "prices.lab:b*", "prices.*:x"]
    found = layered(read(tmp_path), **dict.fromkeys(patterns, amounts))
    assert [row.pattern for row in found.settings.prices] == ["lab:small", "lab:big", "lab:b*", "lab:*", "*:x"]


@pytest.mark.parametrize("path", [path for path in PLAIN if path != "server.drain_s"])
def test_every_value_that_may_be_stored_is_read_by_its_own_rule(tmp_path: Path, path: str) -> None:
    numbers = {"server", "alerts"}
    good = 1024 if path.partition(".")[0] in numbers else "refuse" if path == "unpriced" else "pass"
    found = layered(read(tmp_path), **{path: good})
    assert found.problems == {}
    assert found.settings != read(tmp_path)
    assert set(layered(read(tmp_path), **{path: "nonsense"}).problems) == {path}


@pytest.mark.parametrize(
    "path", ["server.port", "server.host", "storage.url", "version", "log.level", "budgets.x", "x"]
)
def test_nothing_else_is_stored(tmp_path: Path, path: str) -> None:
    assert set(layered(read(tmp_path), **{path: "1"}).problems) == {path}


def test_where_things_stand_is_no_part_of_what_they_say(tmp_path: Path) -> None:
    moved = FILE.replace("server:", "# a comment\n\nserver:")
    assert structs.replace(read(tmp_path), prices=()) == structs.replace(read(tmp_path, moved), prices=())
    assert read(tmp_path, moved).said.lines["server.drain_s"] == 4
    assert read(tmp_path, moved).said.lines["prices.lab:small"] == 9
