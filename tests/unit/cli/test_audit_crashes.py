"""A command that is killed leaves no change without its line: whatever it was doing, in a real process.

Each command runs in a process of its own (a fork of one that has imported everything) and ends at a point as `kill -9`
ends it: before its line is written, between the line and the change, or when the change is made and nothing is said of
what came of it.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from farthing.config.paths import Home
from tests.unit.cli.test_audit import lines
from tests.unit.cli.test_lost import farthing

REPOSITORY = Path(__file__).parents[3]
KILLED = 9
COMMANDS = {
    "keys.create": ("keys", "create", "new"),
    "keys.disable": ("keys", "disable", "first"),
    "keys.delete": ("keys", "delete", "first"),
    "budget.set": ("budget", "set", "daily", "--usd", "1", "--period", "day"),
    "budget.remove": ("budget", "remove", "kept"),
    "limits.set": ("limits", "set", "slow", "requests_per_minute=1"),
    "limits.remove": ("limits", "remove", "kept"),
    "tokens.create": ("admin", "token", "create", "board", "--role", "viewer"),
    "tokens.revoke": ("admin", "token", "revoke", "kept"),
    "config.set": ("config", "set", "unpriced", "refuse"),
}
PROGRAM = """
import json, os, sys
from farthing.cli import root
from farthing.storage.sqlite.admin import SqliteAdmin
import farthing.cli.books, farthing.cli.config_audit, farthing.storage.sqlite

def die(*_, **__):
    os._exit(9)

async def killed(*_, **__):
    die()

begin = SqliteAdmin.begin_change

async def begin_and_die(self, change):
    await begin(self, change)
    die()

for command, arguments in json.loads(sys.argv[1]).items():
    if os.fork() == 0:
        if sys.argv[2] == "before the line":
            SqliteAdmin.begin_change = killed
        elif sys.argv[2] == "before the change":
            SqliteAdmin.begin_change = begin_and_die
        else:
            SqliteAdmin.end_change = killed
        root(arguments, standalone_mode=True)
        os._exit(0)
    _, status = os.wait()
    print(command, os.waitstatus_to_exitcode(status))
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    for words in (
        ("keys", "create", "first"),
        ("budget", "set", "kept", "--usd", "1", "--period", "day"),
        ("limits", "set", "kept", "requests_per_minute=1"),
        ("admin", "token", "create", "kept", "--role", "viewer"),
        ("config", "set", "unpriced", "allow"),
    ):
        assert farthing(home, *words).exit_code == 0, words
    return home


def killed(home: Home, point: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(COMMANDS), point],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "FARTHING_HOME": str(home.path), "PYTHONPATH": f"{REPOSITORY / 'src'}:{REPOSITORY}"},
    )
    assert ran.stdout.split("\n")[:-1] == [f"{command} {KILLED}" for command in COMMANDS], ran.stderr


def state(home: Home) -> Any:
    found = [
        json.loads(farthing(home, *words, "--json").stdout)
        for words in (("keys", "list"), ("budget", "list"), ("limits", "list"), ("admin", "token", "list"))
    ]
    return [*found, home.settings.read_text(encoding="utf-8")]


@pytest.mark.parametrize("point", ["before the line", "before the change"])
def test_killed_before_its_line_stands_a_command_has_changed_nothing(home: Home, point: str) -> None:
    before, told = state(home), len(lines(home))
    killed(home, point)
    assert state(home) == before
    begun = lines(home)[told:]
    assert [line.action for line in begun] == ([] if point == "before the line" else list(COMMANDS))
    assert {line.outcome for line in begun} <= {"begun"}


def test_killed_when_the_change_is_made_a_command_has_left_the_line_that_it_was_about_to(home: Home) -> None:
    before, told = state(home), len(lines(home))
    killed(home, "behind the change")
    after = state(home)
    assert all(was != now for was, now in zip(before, after, strict=True)), "every one of them was made"
    begun = lines(home)[told:]
    assert [(line.action, line.outcome, line.after) for line in begun] == [
        (command, "begun", None) for command in COMMANDS
    ]
    assert all(line.subject for line in begun if line.action != "keys.create")
