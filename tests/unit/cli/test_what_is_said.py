"""How commands talk: lines that fit, colours that can be refused, mistakes that are understood."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from farthing.cli import root
from farthing.cli.context import _program
from farthing.cli.tables import counted, wrapped
from farthing.config.paths import Home


def run(home: Path, *words: str) -> Result:
    return CliRunner(env={"OLLAMA_HOST": "10.0.0.1"}).invoke(root, ["--home", str(home), *words])


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = Home(tmp_path / "home")
    home.create()
    home.settings.write_text("models: {fast: 'lab:m'}\nproviders: {lab: {kind: vllm}}\nserver: {port: 3001}\n")
    return home.path


def on_a_screen(home: Path, *words: str, columns: int = 80, **environment: str) -> list[str]:
    """Return the lines of a command that writes to a terminal."""
    ours, theirs = pty.openpty()
    try:
        ran = subprocess.Popen(
            [sys.executable, "-m", "farthing", "--home", str(home), *words],
            env={"PYTHONPATH": ":".join(filter(None, sys.path)), "COLUMNS": str(columns), **environment},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        said = b""
        while True:
            try:
                piece = os.read(ours, 65_536)
            except OSError:  # Linux's way to say that nobody writes any more
                break
            if not piece:
                break
            said += piece
        ran.wait(30)
    finally:
        os.close(ours)
    return said.decode().splitlines()


posix = pytest.mark.skipif(os.name != "posix", reason="terminals of POSIX")


# ---- commands that can be typed as they are printed


@pytest.mark.parametrize("place", ["--home", "FARTHING_HOME"])
def test_a_hint_names_the_home_in_full_wherever_it_was_given(tmp_path: Path, place: str) -> None:
    (tmp_path / "h").mkdir()
    with pytest.MonkeyPatch.context() as here:
        here.chdir(tmp_path)
        runner = CliRunner(env={"FARTHING_HOME": "h" if place == "FARTHING_HOME" else None})
        words = ["--home", "h"] if place == "--home" else []
        told = runner.invoke(root, [*words, "providers", "test", "x"])
    assert f'hint: run "farthing --home {tmp_path / "h"} providers list".' in told.stderr


@posix
def test_at_the_root_a_command_is_named_by_its_whole_path(tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "farthing").write_text("#!/bin/sh\n")
    (folder / "farthing").chmod(0o755)
    assert _program(folder, {"PATH": "/nowhere"}, Path("/")) == str(folder / "farthing")


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("serv", "No such command 'serv'. Did you mean 'serve'?"),
        ("help", "Did you mean 'farthing --help'?"),
        ("version", "Did you mean 'farthing --version'?"),
        ("serve --port abc", "'abc' is not a valid number."),
        ("calls --limit 0", "0 is not in the range"),
    ],
)
def test_a_mistyped_command_line_is_told_with_what_was_meant(home: Path, typed: str, told: str) -> None:
    answer = run(home, *typed.split())
    assert answer.exit_code == 2
    assert told in answer.stderr


# ---- lines that fit


@posix
def test_notes_and_errors_are_broken_between_words_on_a_screen(home: Path) -> None:
    lines = on_a_screen(home, "providers", "add", "own", "--kind", "nope", "--base-url", "http://127.0.0.1:1")
    assert len(lines) > 4
    # The home's own path has no space to be broken at.
    assert all(len(line) <= 80 or line.startswith(str(home)) for line in lines)


@posix
def test_what_is_said_ends_within_100_columns_on_a_wide_screen(home: Path) -> None:
    words = ("--usd", "12345.678901", "--period", "month", "--user", "someone@example.com", "--at", "25:prefer_cheaper")
    run(home, "keys", "create", "laptop")
    said = on_a_screen(home, "budget", "set", "of-the-search-team", *words, "--at", "5:emergency", columns=250)
    assert len(said) > 1
    assert [line for line in said if len(line) > 100 and str(home) not in line] == []
    assert "With less left: prefer_cheaper below 25 %, emergency below 5 %." in " ".join(" ".join(said).split())


def test_a_command_in_quotes_stays_on_one_line() -> None:
    lines = wrapped('first do this: "farthing --home /somewhere config check" and then that', 30, "  ")
    assert '  "farthing --home /somewhere config check"' in lines


@posix
@pytest.mark.parametrize("columns", [80, 120])
def test_settings_and_their_origins_fit_the_screen(home: Path, columns: int) -> None:
    lines = on_a_screen(home, "config", "show", "--origin", columns=columns)
    long = (str(home), "https://raw")  # no place of ours can be broken
    assert all(len(line) <= columns for line in lines if not any(text in line for text in long))
    columns_of_origin = {line.index("default") for line in lines if line.endswith("default") and "https" not in line}
    assert len(columns_of_origin) <= 1


def test_no_line_of_help_is_cut_off() -> None:
    context = click.Context(root)
    for name in root.list_commands(context):
        command = root.get_command(context, name)
        assert command is not None
        told = command.get_help(click.Context(command, info_name=name, terminal_width=80))
        assert "...\n" not in told.partition("Commands:")[2], name


@posix
def test_colours_are_left_out_where_nobody_wants_them(home: Path) -> None:
    assert any("\x1b[" in line for line in on_a_screen(home, "doctor"))
    assert not any("\x1b[" in line for line in on_a_screen(home, "doctor", NO_COLOR="1"))


def test_one_thing_is_not_told_as_several() -> None:
    assert [counted(1, "provider"), counted(0, "model"), counted(2330, "model")] == [
        "1 provider",
        "0 models",
        "2,330 models",
    ]


# ---- settings


def test_programs_get_numbers_and_truth_values_of_settings(home: Path) -> None:
    found = {row["path"]: row["value"] for row in json.loads(run(home, "config", "show", "--json").stdout)}
    assert found["server.port"] == 3001
    assert found["find_local"] is True
    assert found["server.drain_s"] == 30
    assert found["providers.lab.free"] is True


def test_a_negative_value_is_a_value_and_no_option(home: Path) -> None:
    told = run(home, "config", "set", "server.drain_s", "-1")
    assert told.exit_code == 1
    assert "server.drain_s: '-1' is not allowed; write a number in digits, above 0" in told.stderr


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("models.fasst", "There is no models.fasst in the file (did you mean 'fast'?)."),
        ("server.host", "'server.host' is not in the file: its default holds already."),
        ("log.level", "'log.level' is not in the file: its default holds already."),
        ("providers.lab.timeouts.idle_s", "'providers.lab.timeouts.idle_s' is not in the file: its default holds"),
        ("servr.port", "There is no servr in the file (did you mean 'server'?)."),
    ],
)
def test_what_cannot_be_taken_out_is_told_with_what_is_there(home: Path, path: str, told: str) -> None:
    answer = run(home, "config", "unset", path)
    assert answer.exit_code == 1
    assert f"farthing: {told}" in answer.stderr


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("models: {fast: 'opnai:m'}\nproviders: {vllm: }\n", "(did you mean 'openai'? that one is not configured)"),
        ("models: {fast: 'vlm:m'}\nproviders: {vllm: }\n", "(did you mean 'vllm'?)"),
        (
            "server:\n  port: 1\n   host: x\n",
            "settings.yaml:3: this is not YAML: a ':' stands where none may; probably",
        ),
        ("server:\n  port: 1\n host: x\n", "settings.yaml:3: this is not YAML: this line is indented neither as"),
    ],
)
def test_a_wrong_file_is_told_in_words_that_help_and_not_sent_in_a_circle(home: Path, text: str, told: str) -> None:
    (home / "settings.yaml").write_text(text)
    answer = run(home, "config", "check")
    assert answer.exit_code == 1
    assert told in answer.stderr
    assert answer.stderr.endswith("hint: mend that in the file; nothing was started or changed.\n")
