"""What commands say of a gateway that runs in another terminal, whose environment is not theirs."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from farthing.cli import checks, root
from farthing.config.load import load_settings
from farthing.config.lock import HomeLock
from farthing.config.paths import Home
from farthing.config.running import Running, RunningProvider, RunningSettings, write_running
from farthing.config.schema import ServerSettings
from farthing.errors import ConfigError, CredentialMissing
from farthing.providers.protocol import Credential
from farthing.providers.registry import create_provider, known_providers

UNSET = {row.credential_env: None for row in known_providers().values() if row.credential_env}
OPENAI = RunningProvider("openai", "https://api.openai.com/v1", "env:OPENAI_API_KEY", ready=True)
LAB = "providers: {lab: {kind: openai-compatible, base_url: http://127.0.0.1:8000/v1, credential: none}}\n"
Run = Callable[..., Result]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    assert CliRunner().invoke(root, ["--home", str(home.path), "keys", "create"]).exit_code == 0
    home.settings.write_text("server: {port: 3000}\n")
    return home


@pytest.fixture
def run(home: Home) -> Run:
    """Runs a command beside a gateway that says this of itself."""

    def run(
        command: str, *providers: RunningProvider, environment: dict[str, str] | None = None, **said: object
    ) -> Result:
        settings = RunningSettings(**said)  # type: ignore[arg-type]  # each test names the fields that it is about
        with HomeLock.acquire(home.lock):
            write_running(home, Running(os.getpid(), "127.0.0.1", 3000, "http://127.0.0.1:3000", providers, settings))
            runner = CliRunner(env={**UNSET, "FARTHING_HOME": str(home.path), "OLLAMA_HOST": "10.0.0.1"})
            return runner.invoke(root, command.split(), env=environment)

    return run


def looked_before(home: Home) -> int:
    """Return a moment before the settings were changed last."""
    return home.settings.stat().st_mtime_ns // 1000 - 1


def looked_after(home: Home) -> int:
    return home.settings.stat().st_mtime_ns // 1000 + 1


@pytest.mark.parametrize(
    "command",
    [
        "providers add lab --base-url http://127.0.0.1:8000/v1 --credential none",
        "config set providers.vllm.base_url http://127.0.0.1:8000/v1",
    ],
)
def test_who_names_the_first_provider_is_told_whom_the_gateway_loses(run: Run, command: str) -> None:
    told = run(command, OPENAI)
    assert told.exit_code == 0, told.stderr
    assert "are left out, unless you add them too: openai." in told.stderr
    assert "left out" not in run("providers add groq", OPENAI).stderr


def test_who_adds_a_provider_is_told_that_its_key_must_be_in_the_gateways_environment(run: Run) -> None:
    told = run("providers add groq", environment={"GROQ_API_KEY": "sk"})
    assert "reads GROQ_API_KEY in its own environment, not in this terminal's" in told.stderr
    assert "in its own environment" not in run("providers add openai", OPENAI).stderr


def test_before_the_gateway_has_looked_nobody_is_sent_to_start_it_again(run: Run, home: Home) -> None:
    home.settings.write_text(LAB)
    told = run("providers list", OPENAI, looked_at_us=looked_before(home))
    assert "has not taken up the last change of the settings yet; it does within two seconds." in told.stderr
    assert "start it again" not in told.stderr
    doctor = json.loads(run("doctor --json", OPENAI, looked_at_us=looked_before(home)).stdout)
    (lab,) = [one for one in doctor if one["what"] == "provider lab"]
    assert lab["level"] == "ok"
    assert "takes it up within two seconds" in lab["message"]
    told = run("providers list", OPENAI, looked_at_us=looked_after(home), problem="settings.yaml:1: wrong")
    assert 'does not have lab: it did not take the settings up ("farthing ' in told.stderr


def test_what_waits_for_a_restart_is_measured_by_what_the_gateway_was_started_with(run: Run, home: Home) -> None:
    home.settings.write_text("server: {port: 3000}\n")
    started = ServerSettings(port=3000)
    told = run("config set server.port 3005", OPENAI, started=started)
    assert "server.port: 3000 holds, 3005 needs a restart." in told.stderr
    told = run("config set server.port 3006", OPENAI, started=started)
    assert "server.port: 3000 holds, 3006 needs a restart." in told.stderr
    assert "needs a restart" not in run("config unset server.port", OPENAI, started=started).stderr


def test_with_wrong_settings_the_gateways_providers_are_listed(run: Run, home: Home) -> None:
    home.settings.write_text("servr: 1\n")
    told = run("providers list", OPENAI)
    assert told.exit_code == 0
    assert told.stdout.splitlines()[1].split() == ["openai", "env:OPENAI_API_KEY", "https://api.openai.com/v1"]
    assert "settings.yaml:1: servr: is not a setting" in told.stderr


def test_with_wrong_settings_prices_of_the_list_are_shown(run: Run, home: Home) -> None:
    home.settings.write_text("servr: 1\n")
    for command in ("prices show", "prices show openai:gpt-5-mini"):
        told = run(command)
        assert told.exit_code == 0
        assert told.stderr.startswith("warning: the settings are wrong ")
        assert told.stdout


def test_one_mistake_is_told_once_by_doctor(run: Run, home: Home) -> None:
    home.settings.write_text("servr: 1\n")
    known = known_providers()
    with pytest.raises(ConfigError, match="servr") as raised:
        load_settings(home.settings, known=known, environment={})
    told = run("doctor", OPENAI, problem=raised.value.message)
    assert told.stdout.count("servr: is not a setting") == 1
    assert "did not take them up and goes on with those before" in told.stdout


# ---- credentials in files


def test_who_has_a_key_in_a_file_is_not_told_to_set_a_variable(home: Home) -> None:
    key = home.path / "key"
    text = f"providers: {{groq: {{credential: file:{key}}}}}\nfind_local: false\n"
    home.settings.write_text(text)
    settings = load_settings(home.settings, known=known_providers(), environment={})
    (found, _) = checks.check_providers(settings, None)
    assert found.hint is not None
    assert found.hint.startswith("put the key there, readable for the gateway's account")
    key.write_text("sk")
    key.chmod(0o600)
    unread = RunningProvider("groq", "https://api.groq.com/openai/v1", f"file:{key}", ready=False)
    there = Running(77, "127.0.0.1", 3000, "http://127.0.0.1:3000", (unread,))
    (found,) = checks.check_providers(settings, there)
    assert (found.level, found.hint) == ("warning", "let its account read the file, then kill -HUP 77")


@pytest.mark.parametrize(("source", "way_out"), [("file:/none", "on SIGHUP"), ("env:NONE", "starts Farthing again")])
def test_a_client_hears_what_the_operator_does_about_a_missing_key(home: Home, source: str, way_out: str) -> None:
    home.settings.write_text(f"providers: {{groq: {{credential: '{source}'}}}}\n")
    settings = load_settings(home.settings, known=known_providers(), environment={})
    provider = create_provider(settings.providers["groq"], Credential(missing="it is missing"))
    with pytest.raises(CredentialMissing) as refused:
        provider.request_head("chat.completions", b"", b"", 0)
    assert refused.value.hint is not None
    assert refused.value.hint.endswith(way_out)


def test_an_empty_key_file_is_told_when_it_is_named(run: Run, home: Home) -> None:
    key = home.path / "key"
    key.touch(mode=0o600)
    told = run(f"providers add groq --credential file:{key}")
    assert f"{str(key)!r} is empty; calls to this provider will be refused." in told.stderr
    assert "is empty" in run("config check").stderr
