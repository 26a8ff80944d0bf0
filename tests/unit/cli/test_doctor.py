import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from farthing.cli import checks, home_checks, root
from farthing.config.lock import HomeLock
from farthing.config.paths import Home
from farthing.config.schema import ServerSettings
from tests.e2e.upstream import upstream, whole

NOW_US = 1_794_000_000_000_000  # 2026-11-06
KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GROQ_API_KEY", "HF_TOKEN")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.create()
    return home


def doctor(home: Home, settings: str | None = None, **environment: str) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    if settings is not None:
        home.settings.write_text(f"server: {{port: 0}}\n{settings}")
        home.settings.chmod(0o600)
    variables = {**dict.fromkeys(KEYS), "FARTHING_HOME": str(home.path), "OLLAMA_HOST": "http://127.0.0.1:1"}
    told = CliRunner(env={**variables, **environment}).invoke(root, ["doctor", "--json"])
    found: dict[str, list[dict[str, Any]]] = {}
    for one in json.loads(told.stdout):
        found.setdefault(one["what"], []).append(one)
    return told.exit_code, found


def levels(found: dict[str, list[dict[str, Any]]]) -> set[str]:
    return {one["level"] for several in found.values() for one in several}


def test_a_home_that_was_never_used_is_well(tmp_path: Path) -> None:
    status, found = doctor(Home(tmp_path / "none"), OPENAI_API_KEY="sk")
    assert status == 0
    assert levels(found) <= {"ok", "warning"}
    assert found["provider openai"][0]["message"].endswith("with its credential from env:OPENAI_API_KEY")
    assert not (tmp_path / "none").exists()


def test_a_home_that_was_used_is_well(home: Home) -> None:
    runner = CliRunner(env={"FARTHING_HOME": str(home.path)})
    assert runner.invoke(root, ["keys", "create"]).exit_code == 0
    status, found = doctor(home, "providers: {vllm: }\n")
    assert status == 0
    assert levels(found) == {"ok"}
    assert found["database"][0]["message"].endswith(", whole")


def test_mistakes_in_the_settings_are_told_with_their_line(home: Home) -> None:
    status, found = doctor(home, "servr: 1\n")
    assert status == 1
    assert "settings.yaml:2: servr: is not a setting" in found["settings"][0]["message"]
    assert "provider openai" not in found


def test_nobody_to_call_is_a_problem_and_a_missing_key_a_warning(home: Home) -> None:
    status, found = doctor(home, "providers: {openai: }\nfind_local: false\n")
    assert status == 1
    assert found["providers"][0]["level"] == "problem"
    assert found["provider openai"][0]["level"] == "warning"
    assert len(found["settings"]) == 1


def test_keys_that_nobody_uses_are_told(home: Home) -> None:
    status, found = doctor(home, "providers: {vllm: }\n", GROQ_API_KEY="sk-1", AZURE_OPENAI_API_KEY="sk-2")
    assert status == 0
    azure, groq = found["environment"]
    assert groq["hint"].startswith('"farthing providers add groq"')
    assert azure["hint"].startswith('"farthing providers add azure --base-url URL"')
    assert "sk-" not in json.dumps(found)
    text = "providers: {groq: {credential: none, base_url: 'http://127.0.0.1:1/v1'}}\n"
    (groq,) = doctor(home, text, GROQ_API_KEY="sk-1")[1]["environment"]
    assert groq["hint"].startswith('"farthing config set providers.groq.credential env:GROQ_API_KEY"')


def test_an_ollama_that_is_not_used_is_told(home: Home) -> None:
    with upstream(whole(b'{"version":"0.12.0"}')) as ollama:
        _, found = doctor(home, "providers: {vllm: }\n", OLLAMA_HOST=ollama.url)
        assert found["ollama"][0]["level"] == "warning"
        _, found = doctor(home, f"providers: {{ollama: {{base_url: '{ollama.url}'}}}}\n", OLLAMA_HOST=ollama.url)
        assert found["ollama"][0]["message"].endswith("is used as ollama")


def test_files_that_others_can_read_are_told_with_the_command(home: Home) -> None:
    home.pepper.write_text("x")
    home.pepper.chmod(0o644)
    (found,) = home_checks.check_home(home)
    assert (found.level, found.hint) == ("warning", f"chmod 600 {home.pepper}")
    home.path.chmod(0o755)
    assert {one.hint for one in home_checks.check_home(home)} == {f"chmod 600 {home.pepper}", f"chmod 700 {home.path}"}


def test_a_port_that_is_taken_is_told_with_who_has_it(home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = ServerSettings(port=taken.getsockname()[1])
        (found,) = checks.check_port(home, server, None)
        assert found.level == "problem"
        assert "cannot be taken" in found.message
        if Path("/proc/net/tcp").exists():
            assert found.message.endswith(f"by pid {os.getpid()}")
        with HomeLock.acquire(home.lock):
            (found,) = checks.check_port(home, server, None)
            assert (found.level, found.message.endswith(f"is served by Farthing (pid {os.getpid()})")) == ("ok", True)
    (found,) = checks.check_port(home, server, None)
    assert found.level == "ok"


def test_a_database_that_is_not_ours_newer_or_none_is_a_problem(home: Home) -> None:
    home.database.write_bytes(b"hello" * 1000)
    (found,) = home_checks.check_database(home)
    assert found.level == "problem"
    home.database.unlink()
    CliRunner(env={"FARTHING_HOME": str(home.path)}).invoke(root, ["keys", "create"])
    (found,) = home_checks.check_database(home)
    assert (found.level, found.message.startswith("version ")) == ("ok", True)
    # The version is bytes 60 to 64 of the file's header (sqlite.org/fileformat.html, 1.3.14).
    with home.database.open("r+b") as file:
        file.seek(60)
        file.write((9_999).to_bytes(4, "big"))
    (found,) = home_checks.check_database(home)
    assert (found.level, found.hint) == ("problem", "install the newer Farthing again")


def test_a_journal_file_that_no_start_can_settle_is_a_problem(home: Home) -> None:
    (home.journal / "foo.journal").mkdir()
    (found,) = home_checks.check_journal(home)
    assert found.level == "problem"
    assert found.message.endswith("foo.journal is no file; move it out of the journal's folder")


def test_a_journal_that_a_dead_server_left_is_told(home: Home) -> None:
    assert [one.level for one in home_checks.check_journal(home)] == ["ok"]
    (home.journal / "1.journal").write_text("")
    (found,) = home_checks.check_journal(home)
    assert (found.level, found.message) == ("warning", "a server that ended without order left 1 file")
    with HomeLock.acquire(home.lock):
        assert [one.level for one in home_checks.check_journal(home)] == ["ok"]


def test_a_clock_that_cannot_be_right_is_told(home: Home) -> None:
    assert [one.level for one in checks.check_clock(home, NOW_US)] == ["ok"]
    assert [one.level for one in checks.check_clock(home, 0)] == ["problem"]
    home.settings.write_text("")
    os.utime(home.settings, (NOW_US // 1_000_000 + 86_400,) * 2)
    (found,) = checks.check_clock(home, NOW_US)
    assert (found.level, "settings.yaml was written later" in found.message) == ("warning", True)


def test_too_few_open_files_are_told() -> None:
    (found,) = checks.check_open_files(ServerSettings(max_connections=1_000_000))
    assert found.level in ("ok", "warning")
    assert found.level == "ok" or "need 2,000,064" in found.message


def test_for_people_each_line_says_what_to_do(home: Home) -> None:
    home.settings.write_text("servr: 1\n")
    told = CliRunner(env={"FARTHING_HOME": str(home.path)}).invoke(root, ["doctor"])
    assert told.exit_code == 1
    assert "PROBLEM  settings" in told.stdout
    assert f'-> "farthing --home {home.path} config check" reads the file again' in told.stdout
    assert told.stderr.startswith("1 problem")


def test_what_goes_through_a_proxy_is_told_and_one_that_cannot_be_used_is_a_problem(home: Home) -> None:
    text = "providers: {openai: {credential: none}, vllm: }\n"
    status, found = doctor(home, text, HTTPS_PROXY="http://me:pw@proxy.example:3128")
    assert found["proxy"][0]["message"] == "openai through http://proxy.example:3128 (HTTPS_PROXY)"
    status, found = doctor(home, text, HTTPS_PROXY="socks5://proxy.example")
    assert (status, found["proxy"][0]["level"]) == (1, "problem")
    assert "socks5" in found["proxy"][0]["message"]
