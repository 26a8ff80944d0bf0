"""`farthing outcomes`, and what reports say of what was told."""

import json
from pathlib import Path

import pytest

from farthing.config.paths import Home
from tests.unit.cli.test_audit import lines
from tests.unit.cli.test_lost import farthing


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    assert farthing(home, "keys", "create", "first").exit_code == 0
    return home


def test_what_is_told_is_listed_and_has_a_line_in_the_audit_log(home: Home) -> None:
    assert "Nothing was told yet" in farthing(home, "outcomes", "list").output
    assert farthing(home, "outcomes", "tell", "success", "--task", "T-1").exit_code == 0
    assert farthing(home, "outcomes", "tell", "failure", "--session", "S", "--team", "core").exit_code == 0
    (session, task) = json.loads(farthing(home, "outcomes", "list", "--json").stdout)
    assert (task["kind"], task["name"], task["result"], task["team"]) == ("task", "T-1", "success", None)
    assert (session["kind"], session["result"], session["organisation"]) == ("session", "failure", "default")
    table = farthing(home, "outcomes", "list").output
    assert "team 'core'" in table
    line = lines(home)[-1]
    assert (line.action, line.outcome, line.subject) == ("outcomes.tell", "done", session["id"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "One of a task and a session"),
        (("--task", "T", "--session", "S"), "One of a task and a session"),
        (("--task", ""), "One of a task and a session"),
        (("--task", "T", "--organisation", "acme"), "No team of 'acme'"),
    ],
)
def test_what_is_meant_must_be_said(home: Home, options: tuple[str, ...], said: str) -> None:
    refused = farthing(home, "outcomes", "tell", "success", *options)
    assert refused.exit_code != 0
    assert said in refused.output
    assert lines(home)[-1].action == "keys.create"
