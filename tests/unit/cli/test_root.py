import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from farthing import __version__
from farthing.cli import root

GOOD = """\
version: 1
providers:
  openai: {credential: env:OPENAI_API_KEY}
  lab: {kind: openai-compatible, base_url: http://127.0.0.1:8000/v1}
models: {fast: openai:gpt-5-mini}
prices: [{model: "lab:*", input: 0, output: 0}]
"""


@pytest.fixture
def runner(tmp_path: Path) -> CliRunner:
    return CliRunner(env={"FARTHING_HOME": str(tmp_path), "OPENAI_API_KEY": "x", "ANTHROPIC_API_KEY": None})


def farthing(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "farthing", *arguments],
        env={"FARTHING_HOME": str(home), "PYTHONPATH": ":".join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_version_and_help_come_without_importing_a_room(tmp_path: Path) -> None:
    assert farthing("--version", home=tmp_path).stdout.startswith(f"farthing {__version__} (Python 3.")
    told = farthing("--help", home=tmp_path)
    assert told.stderr == ""
    for name in ("serve", "costs", "calls", "keys", "ledger", "config"):
        assert f"  {name} " in told.stdout
    code = (
        "import sys; from click.testing import CliRunner; from farthing.cli import root;"
        "CliRunner().invoke(root, ['--help']); print(*sys.modules)"
    )
    modules = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    ).stdout.split()
    assert not {"yaml", "rich", "apsw", "asyncio", "msgspec", "farthing.config.load"} & set(modules)


def test_a_command_line_that_makes_no_sense_ends_with_2(tmp_path: Path) -> None:
    told = farthing("spend", home=tmp_path)
    assert told.returncode == 2
    assert "No such command 'spend'" in told.stderr
    assert told.stdout == ""


def test_config_check_shows_what_the_settings_give(runner: CliRunner, tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text(GOOD)
    told = runner.invoke(root, ["config", "check"])
    assert told.exit_code == 0
    assert told.stdout.splitlines() == [
        "PROVIDER  KIND               CREDENTIAL          ADDRESS",
        "openai    openai             env:OPENAI_API_KEY  https://api.openai.com/v1",
        "lab       openai-compatible  none                http://127.0.0.1:8000/v1",
        "fast = openai:gpt-5-mini",
    ]
    assert told.stderr.splitlines() == [
        f"settings: {tmp_path / 'settings.yaml'}",
        "Good: 2 providers, 1 alias, 1 price of your own.",
    ]


def test_config_check_tells_every_mistake_and_ends_with_1(runner: CliRunner, tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(GOOD.replace("fast: openai:", "fast: opnai:").replace("input: 0", "input: -1"))
    told = runner.invoke(root, ["config", "check"])
    assert told.exit_code == 1
    assert told.stdout == ""
    assert told.stderr.splitlines() == [
        (
            f"farthing: {file}:5: models.fast: 'opnai:gpt-5-mini' names no provider (did you mean 'openai'?);"
            " configured: lab, openai."
        ),
        f"{file}:6: prices[0].input: '-1' is negative; a price is 0 or more.",
        "hint: mend that in the file; nothing was started or changed.",
    ]


def test_config_check_prints_warnings_and_does_not_touch_the_home(runner: CliRunner, tmp_path: Path) -> None:
    told = runner.invoke(root, ["config", "check"], env={"OPENAI_API_KEY": None})
    assert told.exit_code == 0
    assert told.stderr.splitlines() == [
        f"settings: no {tmp_path / 'settings.yaml'}; defaults hold",
        "warning: no provider; name one under providers:, or set a key such as OPENAI_API_KEY.",
    ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["--home", "{home}", "config", "check"],
        ["config", "--home", "{home}", "check"],
        ["config", "check", "--home", "{home}"],
    ],
)
def test_the_home_may_stand_before_or_behind_the_command(
    runner: CliRunner, tmp_path: Path, arguments: list[str]
) -> None:
    home = tmp_path / "other"
    told = runner.invoke(root, [argument.format(home=home) for argument in arguments])
    assert f"settings: no {home / 'settings.yaml'}; defaults hold" in told.stderr
