import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from farthing.cli import root


@pytest.fixture
def runner(tmp_path: Path) -> CliRunner:
    return CliRunner(env={"FARTHING_HOME": str(tmp_path / "home")})


def test_a_limit_is_made_changed_listed_and_removed(runner: CliRunner) -> None:
    runner.invoke(root, ["keys", "create", "laptop"])
    made = runner.invoke(
        root, ["limits", "set", "polite", "requests_per_minute=60", "usd_per_day=2.5", "--key", "laptop"]
    )
    assert made.exit_code == 0, made.stderr
    assert "Made the limit 'polite' (key 'laptop'): 60 requests per minute, $2.50 per day." in made.stderr
    runner.invoke(root, ["keys", "rename", "laptop", "desk"])
    changed = runner.invoke(root, ["limits", "set", "polite", "usd_per_day=none", "concurrency=4"])
    assert changed.exit_code == 0, changed.stderr
    assert "Changed the limit 'polite' (key 'desk'): 60 requests per minute, 4 at once." in changed.stderr
    assert runner.invoke(root, ["limits", "list"]).stdout.splitlines() == [
        "LIMIT   WHOSE CALLS  AT MOST                 USED  LEFT  ALL BACK IN",
        "polite  key 'desk'   60 requests per minute     0    60",
        "polite  key 'desk'   4 at once                  0     4",
    ]
    (told,) = json.loads(runner.invoke(root, ["limits", "list", "--json"]).stdout)
    assert told["rates"] == {"requests_per_minute": 60, "concurrency": 4}
    assert runner.invoke(root, ["limits", "remove", "polite"]).exit_code == 0
    assert json.loads(runner.invoke(root, ["limits", "list", "--json"]).stdout) == []


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (["requests_per_second=1"], "is no rate; one of requests_per_minute"),
        (["requests_per_minute=1.5"], "says no whole number"),
        (["usd_per_day=0.0000000001"], "at most nine decimals"),
        ([], "limits nothing"),
        (["concurrency=1", "--key", "nobody"], "Unknown key 'nobody'"),
        (["concurrency=1", "--credential", "work"], "the source of one credential: env:NAME, file:/path or vault:NAME"),
    ],
)
def test_what_is_no_limit_is_refused_with_the_way_out(runner: CliRunner, told: list[str], why: str) -> None:
    runner.invoke(root, ["keys", "create", "laptop"])
    refused = runner.invoke(root, ["limits", "set", "x", *told])
    assert refused.exit_code != 0
    assert why in refused.stderr + str(refused.exception)
