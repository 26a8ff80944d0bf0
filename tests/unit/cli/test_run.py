"""`farthing run` in front of small scripts that say what they were given."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from farthing.cli import root
from farthing.cli.child import ending_in_order
from tests.e2e.support import Gateway, running_gateway

TELL = """#!{python}
import json, os, sys
files = {{}}
for folder in [os.environ.get("GEMINI_CLI_HOME")]:
    for place, _, names in os.walk(folder or "/nonexistent", followlinks=True):
        files |= {{os.path.join(place, n)[len(folder):]: open(os.path.join(place, n)).read() for n in names}}
if "--settings" in sys.argv:
    path = sys.argv[sys.argv.index("--settings") + 1]
    files["settings"] = open(path).read()
    assert os.stat(path).st_mode & 0o77 == 0 and os.stat(os.path.dirname(path)).st_mode & 0o77 == 0
print(json.dumps({{"arguments": sys.argv[1:], "environment": dict(os.environ), "files": files}}))
sys.exit(3)
"""
WAIT = """#!{python}
import pathlib, signal, sys, time
def end(number, frame):
    sys.exit(40 + number)
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, end)
pathlib.Path(sys.argv[1]).touch()
time.sleep(60)
"""
SETTINGS = """providers:
  openai: {base_url: 'http://127.0.0.1:9/v1', credential: env:KEY}
  lab: {kind: openai-compatible, base_url: 'http://127.0.0.1:9/v1', credential: none}
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running_gateway(tmp_path_factory.mktemp("served") / "home", SETTINGS, KEY="sk-real") as gateway:
        yield gateway


class Person:
    """Somebody in a folder, with agents on the PATH that only tell what they were given."""

    def __init__(self, gateway: Gateway, path: Path) -> None:
        self.gateway = gateway
        self.here = path / "site"
        self.home = path / "their-home"
        self.programs = path / "programs"
        for folder in (self.here, self.home, self.programs):
            folder.mkdir()
        for name in ("claude", "codex", "gemini", "aider", "opencode", "anything"):
            self.program(name, TELL)
        subprocess.run(["git", "init", "-q", "-b", "greet"], cwd=self.here, check=True)
        self.environment = {
            **{name: os.environ[name] for name in ("COVERAGE_PROCESS_CONFIG",) if name in os.environ},
            "PATH": f"{self.programs}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.home),
            "OPENAI_API_KEY": "sk-secret",
            "ANTHROPIC_API_KEY": "sk-secret",
            "MISTRAL_API_KEY": "sk-secret",
            "OLLAMA_HOST": "http://elsewhere.example",
            "EDITOR": "vi",
        }

    def program(self, name: str, text: str) -> None:
        (self.programs / name).write_text(text.format(python=sys.executable), encoding="utf-8")
        (self.programs / name).chmod(0o755)

    def start(self, *arguments: str, **more: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "farthing", "--home", str(self.gateway.home), "run", *arguments]
        return subprocess.Popen(
            command,
            cwd=self.here,
            env={**self.environment, **more},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **more: str) -> dict[str, Any]:
        """Return what the agent was given."""
        process = self.start(*arguments, **more)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 3, err
        found: dict[str, Any] = json.loads(out)
        assert "sk-secret" not in out
        return found

    def last_key(self) -> dict[str, Any]:
        found: list[dict[str, Any]] = json.loads(self.gateway.farthing("keys", "list", "--json").stdout)
        return found[-1]


@pytest.fixture
def person(gateway: Gateway, tmp_path: Path) -> Person:
    return Person(gateway, tmp_path)


def test_claude_code_gets_two_variables_and_the_key_ends_with_it(person: Person) -> None:
    given = person.run("--task", "t1", "claude", "--resume", "-p", "hello")
    told = given["environment"]
    assert given["arguments"] == ["--resume", "-p", "hello"]
    assert told["ANTHROPIC_BASE_URL"] == person.gateway.url
    assert told["ANTHROPIC_AUTH_TOKEN"].startswith("ft-")
    assert told["EDITOR"] == "vi"
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_MODEL", "OPENAI_API_KEY", "MISTRAL_API_KEY", "OLLAMA_HOST"):
        assert name not in told
    key = person.last_key()
    assert key["name"].startswith("run-claude-")
    assert (key["project"], key["branch"], key["task"], key["session"]) == ("site", "greet", "t1", key["name"])
    assert key["revoked_at_us"] is not None
    assert key["expires_at_us"] - key["created_at_us"] == 7 * 86_400_000_000
    assert list(person.home.iterdir()) == []


def test_a_model_is_told_in_each_agents_own_words(person: Person) -> None:
    claude = person.run("--model", "lab:m", "claude")["environment"]
    assert {claude[name] for name in claude if name.endswith("_MODEL")} == {"lab:m"}
    codex = person.run("--model", "lab:m", "codex", "exec")["arguments"]
    assert 'model="lab:m"' in codex
    assert codex[-1] == "exec"
    assert person.run("--model", "lab:m", "gemini")["environment"]["GEMINI_MODEL"] == "lab:m"
    assert person.run("--model", "lab:m", "aider")["environment"]["AIDER_MODEL"] == "openai/lab:m"
    content = json.loads(person.run("--model", "lab:m", "opencode")["environment"]["OPENCODE_CONFIG_CONTENT"])
    assert content["model"] == "farthing/lab:m"
    assert "lab:m" in content["provider"]["farthing"]["models"]


def test_no_key_stands_among_the_arguments_where_every_account_could_read_it(person: Person) -> None:
    for agent in ("claude", "codex", "gemini", "aider", "opencode", "anything"):
        given = person.run(agent)
        assert "ft-" not in str(given["arguments"])
        assert "ft-" in str(given["environment"])


def test_what_claude_codes_own_settings_say_is_overruled_and_not_changed(person: Person) -> None:
    settings = person.home / ".claude" / "settings.json"
    settings.parent.mkdir()
    text = '{"env": {"ANTHROPIC_BASE_URL": "https://elsewhere.example", "CLAUDE_CODE_USE_BEDROCK": "1"}}'
    settings.write_text(text, encoding="utf-8")
    given = person.run("claude", "-p", "hi")
    overruled = json.loads(given["files"]["settings"])["env"]
    assert overruled["ANTHROPIC_BASE_URL"] == person.gateway.url
    assert overruled["CLAUDE_CODE_USE_BEDROCK"] == ""
    assert given["arguments"][2:] == ["-p", "hi"]
    assert not Path(given["arguments"][1]).exists()
    assert settings.read_text(encoding="utf-8") == text
    refused = person.start("claude", "--settings", "mine.json")
    assert "leaves no room for ours" in refused.communicate(timeout=60)[1]


def test_gemini_cli_gets_a_home_that_links_to_the_users(person: Person) -> None:
    theirs = person.home / ".gemini"
    theirs.mkdir()
    (theirs / "GEMINI.md").write_text("be brief", encoding="utf-8")
    text = '{"ui": {"theme": "x"}, "security": {"auth": {"selectedType": "oauth-personal"}}} // mine'
    (theirs / "settings.json").write_text(text, encoding="utf-8")
    given = person.run("gemini", "-p", "hi")
    told = given["environment"]
    assert (told["GOOGLE_GEMINI_BASE_URL"], told["GEMINI_API_KEY"][:3]) == (person.gateway.url, "ft-")
    assert given["files"]["/.gemini/GEMINI.md"] == "be brief"
    settings = json.loads(given["files"]["/.gemini/settings.json"])
    assert settings == {"ui": {"theme": "x"}, "security": {"auth": {"selectedType": "gemini-api-key"}}}
    assert not Path(told["GEMINI_CLI_HOME"]).exists()
    assert (theirs / "GEMINI.md").read_text(encoding="utf-8") == "be brief"
    assert (theirs / "settings.json").read_text(encoding="utf-8") == text


def test_any_other_command_gets_every_clients_variables(person: Person) -> None:
    told = person.run("--keep", "MISTRAL_MODE", "anything", "--flag", "value")["environment"]
    url = person.gateway.url
    assert (told["OPENAI_BASE_URL"], told["ANTHROPIC_BASE_URL"]) == (f"{url}/v1", url)
    assert told["OLLAMA_HOST"] == f"{url}/k/{told['OPENAI_API_KEY']}"
    assert person.last_key()["name"].startswith("run-anything-")


def test_behind_a_proxy_the_gateway_is_called_past_it(person: Person) -> None:
    told = person.run("claude", HTTPS_PROXY="http://proxy.example:3128", NO_PROXY="corp.example")["environment"]
    assert told["NO_PROXY"] == told["no_proxy"] == "corp.example,127.0.0.1"
    assert "NO_PROXY" not in person.run("claude")["environment"]


def test_a_dry_run_makes_no_key_and_starts_nothing(person: Person) -> None:
    before = person.last_key()
    process = person.start("--dry-run", "--model", "lab:m", "claude", "-p", "hi")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert "set    ANTHROPIC_AUTH_TOKEN=ft-...\n" in out
    assert "unset  ANTHROPIC_API_KEY\n" in out
    assert out.endswith(f"start  {person.programs / 'claude'} -p hi\n")
    assert person.last_key() == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_is_passed_on_and_the_key_revoked_after_the_agents_end(person: Person, number: int) -> None:
    person.program("anything", WAIT)
    process = person.start("anything", str(person.here / "started"))
    wait_for(person.here / "started")
    assert person.last_key()["revoked_at_us"] is None
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == 40 + number
    assert person.last_key()["revoked_at_us"] is not None


def test_an_agent_that_a_signal_ends_is_told_as_shells_do(person: Person) -> None:
    person.program("anything", "#!/bin/sh\nkill -9 $$\n")
    process = person.start("anything")
    process.communicate(timeout=30)
    assert process.returncode == 128 + 9


def test_a_program_that_is_not_there_is_told_before_a_key_is_made(person: Person) -> None:
    before = person.last_key()
    process = person.start("no-such-agent")
    assert "There is no program 'no-such-agent' on the PATH" in process.communicate(timeout=30)[1]
    assert process.returncode == 1
    assert person.last_key() == before


def test_a_path_to_what_is_no_program_is_told_as_one(person: Person) -> None:
    (person.here / "notes.txt").touch()
    told = [person.start(path).communicate(timeout=30)[1] for path in ("./notes.txt", "./nothing")]
    assert "'./notes.txt' may not be executed" in told[0]
    assert "'./nothing' is no program" in told[1]


def test_an_option_that_there_is_not_is_told_and_no_program(person: Person) -> None:
    process = person.start("--modle", "lab:m", "claude")
    assert "No such option '--modle'" in process.communicate(timeout=30)[1]
    assert process.returncode == 2


def test_a_model_that_nobody_has_is_told_before_the_agent_starts(person: Person) -> None:
    process = person.start("--model", "lba:m", "claude")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert "--model: Unknown model 'lba:m'" in err
    assert "configured providers: openai, lab" in err
    assert person.last_key()["revoked_at_us"] is not None


def test_a_dry_run_prints_what_a_shell_could_read(person: Person) -> None:
    out = person.start("--dry-run", "codex", "exec", "two words").communicate(timeout=60)[0]
    line = next(line for line in out.splitlines() if line.startswith("start  "))
    arguments = shlex.split(line.removeprefix("start  "))
    assert arguments[-2:] == ["exec", "two words"]
    assert 'model_provider="farthing"' in arguments


def test_without_a_gateway_it_says_how_to_start_one(tmp_path: Path) -> None:
    home = str(tmp_path / "home")
    runner = CliRunner()
    assert runner.invoke(root, ["--home", home, "keys", "create"]).exit_code == 0
    told = runner.invoke(root, ["--home", home, "run", "true"])
    assert told.exit_code == 1
    assert "No gateway serves the home" in told.stderr
    assert "serve" in told.stderr


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 30
    with suppress(OSError):
        while not path.exists():
            assert time.monotonic() < deadline, path
            time.sleep(0.02)


COUNT = """#!{python}
import os, pathlib, signal, sys
heard = 0
def hear(number, frame):
    global heard
    heard += 1
signal.signal(signal.SIGINT, hear)
signal.signal(signal.SIGALRM, lambda *_: None)
pathlib.Path(sys.argv[1]).touch()
while not heard:
    signal.pause()
for _ in range(2):  # long enough for one that was passed on to arrive
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    signal.pause()
sys.exit(50 + heard)
"""
IN_FRONT = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_a_terminals_interrupt_reaches_the_agent_once(person: Person) -> None:
    person.program("anything", COUNT)
    ours, theirs = os.openpty()
    try:
        started = person.here / "started"
        farthing = [sys.executable, "-m", "farthing", "--home", str(person.gateway.home), "run"]
        process = subprocess.Popen(
            [sys.executable, "-c", IN_FRONT, *farthing, "anything", str(started)],
            cwd=person.here,
            env=person.environment,
            stdin=theirs,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for(started)
        os.write(ours, b"\x03")
        assert process.wait(30) == 51
    finally:
        os.close(ours)
        os.close(theirs)
    assert person.last_key()["revoked_at_us"] is not None


def test_a_signal_before_the_agent_runs_takes_back_what_was_made() -> None:
    made: list[str] = []

    def make() -> None:
        with ending_in_order() as nothing_ends_us:
            made.append("key")
            try:
                os.kill(os.getpid(), signal.SIGTERM)
            finally:
                nothing_ends_us()
                os.kill(os.getpid(), signal.SIGTERM)
                made.clear()

    with pytest.raises(SystemExit) as ended:
        make()
    assert ended.value.code == 128 + signal.SIGTERM
    assert made == []
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_folder_that_is_gone_is_said_and_makes_no_key(person: Person, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    keys = person.gateway.farthing("keys", "list", "--json").stdout
    home = shlex.quote(str(person.gateway.home))
    command = f"rmdir {shlex.quote(str(gone))} && exec {shlex.quote(sys.executable)} -m farthing --home {home} run true"
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=gone,
        env=person.gateway.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "is gone" in done.stderr
    assert "Traceback" not in done.stderr
    assert person.gateway.farthing("keys", "list", "--json").stdout == keys
