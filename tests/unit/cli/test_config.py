import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from farthing.cli import root
from farthing.config.json_schema import settings_schema
from farthing.config.lock import HomeLock
from farthing.config.paths import Home
from farthing.config.running import Running, RunningProvider, RunningSettings, write_running
from farthing.providers.registry import known_providers

TEXT = """\
version: 1
server: {port: 3001}
providers:
  openai:
  lab:
    kind: vllm
    timeouts: {idle_s: 5}
models: {fast: "openai:gpt-5"}
prices:
  - {model: "lab:*", input: 0.50, output: 2}
"""


@pytest.fixture
def runner(tmp_path: Path) -> CliRunner:
    return CliRunner(env={"FARTHING_HOME": str(tmp_path), "OPENAI_API_KEY": "sk-secret", "OLLAMA_HOST": "10.0.0.1"})


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """A gateway that serves the home, as other terminals see it; this process is it."""
    home = Home(tmp_path)
    with HomeLock.acquire(home.lock):
        settings = RunningSettings(
            1, "settings.yaml:3: it is wrong", ("server.host: a holds, b needs a restart",), {"server.port": "4000"}
        )
        there = (RunningProvider("openai", "https://api.openai.com/v1", "env:OPENAI_API_KEY", ready=True),)
        found = Running(os.getpid(), "127.0.0.1", 4000, "http://127.0.0.1:4000", there, settings)
        write_running(home, found)
        yield found


def origins(runner: CliRunner, *arguments: str) -> dict[str, tuple[Any, str]]:
    told = runner.invoke(root, ["config", "show", "--json", *arguments])
    assert told.exit_code == 0, told.stderr
    assert "sk-secret" not in told.output
    return {row["path"]: (row["value"], row["origin"]) for row in json.loads(told.stdout)}


def test_every_value_is_shown_with_where_it_comes_from(runner: CliRunner, tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text(TEXT)
    found = origins(runner)
    assert found["home"] == (str(tmp_path), "environment FARTHING_HOME")
    assert found["server.port"] == (3001, "settings.yaml:2")
    assert found["server.keep_alive_s"] == (75.0, "default")
    assert found["providers.openai.kind"] == ("openai", "settings.yaml:4 (its name)")
    assert found["providers.openai.base_url"] == ("https://api.openai.com/v1", "default of the kind openai")
    assert found["providers.openai.credential"] == ("env:OPENAI_API_KEY", "default of the kind openai")
    assert found["providers.lab.kind"] == ("vllm", "settings.yaml:6")
    assert found["providers.lab.timeouts.idle_s"] == (5.0, "settings.yaml:7")
    assert found["providers.lab.timeouts.total_s"] == (3600.0, "default")
    assert found["models.fast"] == ("openai:gpt-5", "settings.yaml:8")
    assert found["prices[0].input"] == ("0.50", "settings.yaml:10")
    assert found["unpriced"] == ("allow", "default")
    assert origins(runner, "--home", str(tmp_path))["home"][1] == "command line"


def test_what_the_environment_gives_is_told(runner: CliRunner) -> None:
    found = origins(runner)
    assert found["providers.openai.credential"] == ("env:OPENAI_API_KEY", "environment OPENAI_API_KEY")
    assert found["providers.openai.kind"] == ("openai", "default of the kind openai")


def test_a_part_or_one_value_can_be_asked_for(runner: CliRunner, tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text(TEXT)
    assert runner.invoke(root, ["config", "show", "server.port"]).stdout == "3001\n"
    told = runner.invoke(root, ["config", "show", "providers.lab.timeouts"]).stdout.splitlines()
    assert told[0] == "providers.lab.timeouts.connect_s: 10"
    assert len(told) == 4
    table = runner.invoke(root, ["config", "show", "prices", "--origin"]).stdout.splitlines()
    assert table[0].split() == ["SETTING", "ORIGIN", "VALUE"]
    assert table[1].split() == ["prices[0].model", "settings.yaml:10", "lab:*"]
    wrong = runner.invoke(root, ["config", "show", "servr"])
    assert (wrong.exit_code, "Nothing holds at 'servr'." in wrong.stderr) == (1, True)


def test_a_running_gateways_command_line_and_its_last_look_are_told(
    runner: CliRunner, tmp_path: Path, running: Running
) -> None:
    (tmp_path / "settings.yaml").write_text(TEXT)
    shown = runner.invoke(root, ["config", "show", "server.port", "--origin"])
    assert f"server.port  command line of pid {running.pid}  4000" in " ".join(shown.stdout.split("\n"))
    assert "still uses what the file said before" in shown.stderr
    check = runner.invoke(root, ["config", "check"])
    assert check.exit_code == 0
    assert "did not take the file up as it was when it looked: settings.yaml:3: it is wrong" in check.stderr
    assert "server.host: a holds, b needs a restart" in check.stderr
    doctor = runner.invoke(root, ["doctor", "--json"])
    told = [(one["level"], one["message"]) for one in json.loads(doctor.stdout) if one["what"] == "settings"]
    assert any(level == "problem" and "goes on with those before" in message for level, message in told)
    assert any(level == "warning" and "needs a restart" in message for level, message in told)
    (tmp_path / "settings.yaml").write_text("nonsense: 1\n")
    check = runner.invoke(root, ["config", "check"])
    assert check.exit_code == 1
    assert f"The running gateway (pid {running.pid}) goes on with the settings that it had." in check.stderr


def test_setting_and_taking_out_say_what_follows(runner: CliRunner, tmp_path: Path, running: Running) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(TEXT)
    told = runner.invoke(root, ["config", "set", "server.host", "0.0.0.0"])
    assert told.exit_code == 0
    assert told.stderr.splitlines()[0] == f"Set server.host to '0.0.0.0' in {file}."
    assert "is reached from the network" in told.stderr
    waits = f"The running gateway (pid {running.pid}): server.host: 127.0.0.1 holds, 0.0.0.0 needs a restart."
    assert waits in told.stderr
    # The port is the command line's there, whatever the file says.
    assert "needs a restart" not in runner.invoke(root, ["config", "set", "server.port", "5"]).stderr
    assert "Took server.port out of" in runner.invoke(root, ["config", "unset", "server.port"]).stderr
    wrong = runner.invoke(root, ["config", "set", "server.port", "x"])
    assert wrong.exit_code == 1
    assert "'x' is not allowed; write a whole number" in wrong.stderr


def test_setting_something_of_the_first_provider_says_whom_that_leaves_out(runner: CliRunner) -> None:
    arguments = ["config", "set", "providers.groq.credential", "env:GROQ_API_KEY"]
    told = runner.invoke(root, arguments, env={"GROQ_API_KEY": "x"})
    assert "are left out, unless you add them too: openai." in told.stderr


def test_the_schema_is_printed_for_editors(runner: CliRunner) -> None:
    told = runner.invoke(root, ["config", "schema"])
    assert json.loads(told.stdout) == settings_schema(known_providers())
