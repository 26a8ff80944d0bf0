"""A gateway in front of a fake model in every provider's format, and an agent that is started on it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from farthing.testing.fake_model import Player, writes_a_file
from farthing.testing.fake_provider import FakeProvider, in_thread
from farthing.testing.fakes.account import Tariff
from tests.e2e.support import Gateway, clean_environment, running_gateway
from tools.install_agents import command

TASK = "Create a file named greeting.txt whose only content is: good morning"
NAME, CONTENT = "greeting.txt", "good morning"
TARIFF = Tariff(input="3", output="15", cache_read="0.3", cache_write_5m="3.75", cache_write_1h="6")
FORMATS = {
    "chat": ("openai", "openai-compatible", "fake-model"),
    "responses": ("openai-responses", "openai", "gpt-5.4"),
    "claude": ("anthropic", "anthropic", "fake-model"),
    "google": ("gemini", "gemini", "fake-model"),
    "local": ("ollama", "ollama", "fake-model"),
}
"""By the provider's name in the settings: the fake's format, the provider's kind, and a model that it has."""

AGENT_S = 180
"""How long an agent may take; Gemini CLI needs 8 s where nothing else runs."""

ARGUMENTS = {
    "claude": ["-p", TASK, "--permission-mode", "acceptEdits"],
    "codex": ["exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", TASK],
    "gemini": ["-y", "--skip-trust", "-p", TASK],
    "aider": [
        *("--no-git", "--yes-always", "--no-check-update", "--no-analytics", "--no-show-model-warnings"),
        *("--no-show-release-notes", "--message", TASK, NAME),
    ],
}
QUIET = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_TELEMETRY": "1",
    "DISABLE_AUTOUPDATER": "1",
    "CI": "1",
}


class House:
    """The gateway, what stands behind it, and where the agent works."""

    def __init__(self, gateway: Gateway, fakes: dict[str, FakeProvider], here: Path, theirs: Path) -> None:
        self.gateway = gateway
        self.fakes = fakes
        self.here = here
        self.theirs = theirs
        """The agent's home, empty at first."""

    def run(self, agent: str, provider: str, *options: str) -> subprocess.CompletedProcess[str]:
        """Let `farthing run` start an agent that does the task on a provider's model."""
        return self._start(
            *(sys.executable, "-m", "farthing", "--home", str(self.gateway.home), "run"),
            *("--model", f"{provider}:{FORMATS[provider][2]}", *options, agent, *ARGUMENTS[agent]),
            programs=program_of(agent).parent,
        )

    def wire(self, agent: str, provider: str) -> None:
        model = f"{provider}:{FORMATS[provider][2]}"
        command = (sys.executable, "-m", "farthing", "--home", str(self.gateway.home), "wire", agent, "--model", model)
        done = self._start(*command, programs=program_of(agent).parent)
        assert done.returncode == 0, done.stderr

    def start(self, agent: str) -> subprocess.CompletedProcess[str]:
        """Start an agent by itself, with nothing but its own settings."""
        program = program_of(agent)
        return self._start(str(program), *ARGUMENTS[agent], programs=program.parent)

    def _start(self, *command: str, programs: Path) -> subprocess.CompletedProcess[str]:
        environment = clean_environment(HOME=str(self.theirs), OPENAI_API_KEY="sk-not-for-agents", **QUIET)
        del environment["PYTHONWARNINGS"]  # aider has some
        environment["PATH"] = f"{programs}{os.pathsep}{environment['PATH']}"
        done = subprocess.run(
            command,
            cwd=self.here,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=AGENT_S,
            check=False,
        )
        with (self.theirs.parent / "said.log").open("a", encoding="utf-8") as log:
            log.write(f"{command}\n{done.stdout}\n--\n{done.stderr}\n")
        return done

    def keys(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.gateway.farthing("keys", "list", "--json").stdout)
        return [key for key in found if key["name"].startswith("run-")]


def program_of(agent: str) -> Path:
    """Return an agent's program; without one the test is left out, and says what to do."""
    found = command(agent, os.environ)
    if found is None:
        told = f"{agent} is not installed: run `make agents`"
        assert "FARTHING_CI" not in os.environ, told
        pytest.skip(told)
    return found


@contextmanager
def standing(tmp_path: Path, playing: Callable[[Player], Player] = lambda player: player) -> Iterator[House]:
    here, theirs = tmp_path / "work" / "site", tmp_path / "their-home"
    here.mkdir(parents=True)
    theirs.mkdir()
    subprocess.run(["git", "init", "-q", "-b", "greet", str(here)], check=True)
    player = playing(writes_a_file(NAME, CONTENT, folder=str(here)))
    fakes = {
        name: FakeProvider(format_name, player=player, models=(model,), tariffs={model: TARIFF})
        for name, (format_name, _, model) in FORMATS.items()
    }
    with in_thread(*fakes.values()):
        lines = [
            f"  {name}: {{kind: {kind}, base_url: '{fakes[name].url}', credential: env:KEY}}"
            for name, (_, kind, _) in FORMATS.items()
        ]
        prices = [
            f"  - {{model: '{name}:*', input: {TARIFF.input}, output: {TARIFF.output}, cache_read: {TARIFF.cache_read},"
            f" cache_write_5m: {TARIFF.cache_write_5m}, cache_write_1h: {TARIFF.cache_write_1h}}}"
            for name in FORMATS
        ]
        settings = "providers:\n" + "\n".join(lines) + "\nprices:\n" + "\n".join(prices) + "\n"
        with running_gateway(tmp_path / "home", settings, KEY="sk-real") as gateway:
            yield House(gateway, fakes, here, theirs)
