"""What newcomers meet: the first words, a second terminal, a wrong home, and what is probably not meant."""

import json
import os
import ssl
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme
from click.testing import CliRunner

from farthing.catalog.prices import price_book
from farthing.cli import checks, root
from farthing.cli.cautions import unknown_models, unused_addresses
from farthing.cli.context import _program
from farthing.cli.first_words import whom_it_calls
from farthing.config.load import load_settings
from farthing.config.lock import HomeLock
from farthing.config.paths import Home
from farthing.config.running import Running, RunningProvider, read_running, write_running
from farthing.config.schema import ServerSettings, Settings
from farthing.providers.registry import known_providers
from tests.e2e.upstream import hang_up, upstream

UNSET = {row.credential_env: None for row in known_providers().values() if row.credential_env}
OPENAI = RunningProvider("openai", "https://api.openai.com/v1", "env:OPENAI_API_KEY", ready=True)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.create()
    return home


@pytest.fixture
def runner(home: Home) -> CliRunner:
    return CliRunner(env={**UNSET, "FARTHING_HOME": str(home.path), "OLLAMA_HOST": "http://127.0.0.1:1"})


def load(home: Home, text: str, **environment: str) -> Settings:
    home.settings.write_text(text)
    return load_settings(home.settings, known=known_providers(), environment=environment)


def running(*providers: RunningProvider, port: int = 3999) -> Running:
    return Running(os.getpid(), "127.0.0.1", port, f"http://127.0.0.1:{port}", providers)


# ---- the first words


def test_a_new_home_says_whom_it_calls_and_which_well_known_keys_are_missing(home: Home) -> None:
    environment = {"OPENAI_API_KEY": "sk"}
    providers = load(home, "", **environment).providers
    first, second, *rest = whom_it_calls(providers, environment, is_new=True)
    assert first == "providers: openai (OPENAI_API_KEY)"
    assert second.startswith("keys not set: ANTHROPIC_API_KEY, GEMINI_API_KEY, OPENROUTER_API_KEY, and ")
    assert all(len(line) <= 80 for line in (first, second, *rest))
    assert whom_it_calls(providers, environment, is_new=False) == [first]


def test_a_key_that_is_not_set_and_an_address_without_one_are_told_apart(home: Home) -> None:
    providers = load(home, "providers: {groq: , vllm: }\n").providers
    assert whom_it_calls(providers, {}, is_new=False) == [
        "providers: groq (GROQ_API_KEY is not set), vllm (http://127.0.0.1:8000/v1)"
    ]


def test_whose_keys_are_in_the_vault_is_said_so(home: Home) -> None:
    text = "providers: {openai: {credential: vault}, groq: {credentials: [vault:a, env:GROQ]}}\n"
    assert whom_it_calls(load(home, text, GROQ="k").providers, {}, is_new=False) == [
        "providers: openai (vault), groq (vault:a, env:GROQ)"
    ]


@pytest.mark.skipif(os.name != "posix", reason="the shell's rules for paths")
def test_commands_are_spelled_as_they_work_where_the_person_stands(tmp_path: Path) -> None:
    folder = tmp_path / "my checkout" / ".venv" / "bin"
    folder.mkdir(parents=True)
    (folder / "farthing").write_text("#!/bin/sh\n")
    (folder / "farthing").chmod(0o755)
    elsewhere = {"PATH": "/nowhere"}
    assert _program(folder, {"PATH": f"/nowhere:{folder}"}, tmp_path) == "farthing"
    assert _program(folder, elsewhere, tmp_path / "my checkout") == ".venv/bin/farthing"
    assert _program(folder, elsewhere, folder) == "./farthing"
    assert _program(folder, elsewhere, Path("/usr")) == f"'{folder}/farthing'"
    assert _program(tmp_path, elsewhere, tmp_path) == f"{sys.executable} -m farthing"


def test_hints_name_the_home_that_was_asked_for(home: Home) -> None:
    told = CliRunner(env=UNSET).invoke(root, ["providers", "remove", "x", "--home", str(home.path)])
    assert "farthing" not in told.stdout
    told = CliRunner(env=UNSET).invoke(root, ["providers", "test", "x", "--home", str(home.path)])
    assert f'hint: run "farthing --home {home.path} providers list".' in told.stderr


# ---- a second terminal


def test_what_a_gateway_says_of_itself_counts_while_it_holds_the_home(home: Home) -> None:
    said = running(OPENAI)
    write_running(home, said)
    assert home.running.stat().st_mode & 0o777 == 0o600
    assert read_running(home) is None
    with HomeLock.acquire(home.lock):
        assert read_running(home) == said
        write_running(home, Running(1, "127.0.0.1", 3999, "http://127.0.0.1:3999", ()))
        assert read_running(home) is None
        for damaged in (b"", b"{}", b"\xff", b'{"pid":"x"}'):
            home.running.write_bytes(damaged)
            assert read_running(home) is None


def test_the_admin_link_leads_to_where_the_gateway_really_listens(home: Home, runner: CliRunner) -> None:
    home.settings.write_text("server: {port: 3111}\n")
    assert runner.invoke(root, ["keys", "create"]).exit_code == 0
    write_running(home, running(port=3999))
    told = runner.invoke(root, ["admin", "link"])
    assert told.stdout.startswith("http://127.0.0.1:3111/admin/login?token=fta-")
    assert told.stderr.startswith("No gateway serves this home now")
    with HomeLock.acquire(home.lock):
        told = runner.invoke(root, ["admin", "link"])
        assert told.stdout.startswith("http://127.0.0.1:3999/admin/login?token=fta-")
        assert told.stderr == ""
        told = runner.invoke(root, ["admin", "link", "--port", "3222"])
        assert told.stdout.startswith("http://127.0.0.1:3222/admin/login?token=fta-")


def test_doctor_looks_at_the_port_that_is_served_and_at_the_one_it_is_asked_about(home: Home) -> None:
    with HomeLock.acquire(home.lock):
        (found,) = checks.check_port(home, ServerSettings(), running(port=3999))
        assert found.message == f"127.0.0.1:3999 is served by Farthing (pid {os.getpid()})"
        (found,) = checks.check_port(home, ServerSettings(), running(port=3999), 3999)
        assert found.message.startswith("127.0.0.1:3999 is served")
        (found,) = checks.check_port(home, ServerSettings(host="127.0.0.1"), running(port=3999), 1)
        assert "127.0.0.1:1 " in found.message


def test_a_key_that_only_the_gateway_has_is_told_and_is_no_problem(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in UNSET:
        monkeypatch.delenv(variable, raising=False)
    settings = load(home, "providers: {openai: }\nfind_local: false\n")
    (alone, none) = checks.check_providers(settings, None)
    assert (alone.level, none.level) == ("warning", "problem")
    (found,) = checks.check_providers(settings, running(OPENAI))
    assert found.level == "ok"
    assert found.message.endswith("the running gateway has that, this terminal does not")
    (found,) = checks.check_providers(load(home, "find_local: false\n"), running(OPENAI))
    assert (found.what, found.level) == ("provider openai", "ok")


def test_a_key_that_the_gateway_does_not_have_is_a_warning(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk")
    (found,) = checks.check_providers(load(home, "providers: {openai: }\n"), running())
    assert (found.level, "does not have that" in found.message) == ("warning", True)


def test_the_list_says_what_only_the_gateway_knows(home: Home, runner: CliRunner) -> None:
    write_running(home, running(OPENAI))
    with HomeLock.acquire(home.lock):
        told = runner.invoke(root, ["providers", "list"], env={"GROQ_API_KEY": "sk"})
        assert "also has openai (env:OPENAI_API_KEY), unknown here." in told.stderr
        assert "does not have groq: start it again to use it." in told.stderr
        home.settings.write_text("providers: {openai: }\n")
        told = runner.invoke(root, ["providers", "list", "--json"])
        (row,) = json.loads(told.stdout)
        assert (row["credential_present"], row["credential_in_gateway"]) == (False, True)
        assert "has the credential of openai; this terminal lacks it." in told.stderr


def test_where_this_terminal_has_nobody_the_gateways_providers_are_told(home: Home, runner: CliRunner) -> None:
    write_running(home, running(OPENAI))
    with HomeLock.acquire(home.lock):
        for command in ("providers test", "config check"):
            told = runner.invoke(root, command.split())
            assert "also has openai (env:OPENAI_API_KEY), unknown here." in told.stderr, command


# ---- a home that is not there


@pytest.mark.parametrize(
    "command", ["costs", "calls", "calls show x", "keys list", "keys revoke x", "ledger verify", "admin link"]
)
def test_a_home_that_is_not_there_is_told_and_not_made(tmp_path: Path, command: str) -> None:
    told = CliRunner(env=UNSET).invoke(root, [*command.split(), "--home", str(tmp_path / "typo")])
    assert (told.exit_code, told.stdout) == (1, "")
    assert told.stderr.startswith(f"farthing: There is no home at '{tmp_path / 'typo'}'.\nhint: the first ")
    assert not (tmp_path / "typo").exists()


def test_providers_of_the_environment_are_listed_without_a_home_and_that_is_said(tmp_path: Path) -> None:
    runner = CliRunner(env={**UNSET, "OLLAMA_HOST": "http://127.0.0.1:1", "GROQ_API_KEY": "sk"})
    told = runner.invoke(root, ["providers", "list", "--home", str(tmp_path / "typo")])
    assert told.exit_code == 0
    assert "groq" in told.stdout
    assert told.stderr.startswith(f"There is no home at '{tmp_path / 'typo'}' yet")


# ---- what is probably not meant


def test_a_farthing_key_where_the_providers_own_belongs_is_told_and_not_shown(home: Home, tmp_path: Path) -> None:
    environment = {"OPENAI_API_KEY": "ft-secret"}
    (warning,) = load(home, "find_local: false\n", **environment).warnings
    assert warning.startswith("provider openai: the environment variable OPENAI_API_KEY holds a Farthing key")
    (warning,) = load(home, "providers: {openai: }\n", **environment).warnings
    assert warning.startswith(f"{home.settings}:1: providers.openai.credential: the environment variable OPENAI")
    assert "secret" not in warning
    file = tmp_path / "key"
    file.write_text("\nft-secret\n")
    file.chmod(0o600)
    (warning,) = load(home, f"providers: {{openai: {{credential: 'file:{file}'}}}}\n").warnings
    assert f"'{file}' holds a Farthing key" in warning


def test_an_address_for_clients_is_said_not_to_be_followed(home: Home) -> None:
    environment = {"OPENAI_API_KEY": "sk", "OPENAI_BASE_URL": "https://proxy.example/k/ft-secret"}
    settings = load(home, "", **environment)
    (caution,) = unused_addresses(settings, environment, {3000})
    assert caution.startswith("OPENAI_BASE_URL is for clients and not used here: openai is called at https://api.open")
    assert '"farthing providers add openai --base-url URL --credential env:OPENAI_API_KEY"' in caution
    assert "ft-secret" not in caution
    # Our own address there is what we told clients; and who has said where the provider is has decided.
    for ours in ("http://127.0.0.1:3000/v1", "http://localhost:3000", "https://api.openai.com/v1/", ""):
        assert list(unused_addresses(settings, {**environment, "OPENAI_BASE_URL": ours}, {3000})) == []
    (_,) = unused_addresses(settings, {"OPENAI_BASE_URL": "http://127.0.0.1:8000/v1"}, {3000})
    decided = load(home, "providers: {openai: {base_url: 'https://proxy.example', credential: none}}\n")
    assert list(unused_addresses(decided, environment, {3000})) == []


def test_an_alias_for_a_model_that_nobody_knows_is_told(home: Home) -> None:
    settings = load(
        home,
        """\
providers: {openai: {credential: none}, lab: {kind: vllm}}
models: {fast: openai:gpt-5-mni, right: openai:gpt-5-mini, own: lab:anything, priced: openai:new}
prices: [{model: "openai:new", input: 1, output: 1}]
""",
    )
    (caution,) = unknown_models(settings, price_book(settings.prices, home.prices))
    assert caution.startswith(
        "models.fast: openai is not known to have a model 'gpt-5-mni' (did you mean 'gpt-5-mini'?)"
    )


def test_cautions_stand_in_doctor_and_config_check(home: Home, runner: CliRunner) -> None:
    home.settings.write_text("providers: {openai: }\nmodels: {fast: openai:gpt-5-mni}\n")
    environment = {"OPENAI_API_KEY": "ft-x", "OPENAI_BASE_URL": "https://proxy.example"}
    told = runner.invoke(root, ["config", "check"], env=environment)
    for words in ("holds a Farthing key", "OPENAI_BASE_URL is for clients", "models.fast: "):
        assert told.stderr.count(words) == 1
    found = json.loads(runner.invoke(root, ["doctor", "--json"], env=environment).stdout)
    warned = [one["message"] for one in found if one["level"] == "warning"]
    for words in ("holds a Farthing key", "OPENAI_BASE_URL is for clients", "models.fast: "):
        assert sum(words in message for message in warned) == 1


def test_doctor_stays_within_the_screen(home: Home, runner: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    home.settings.write_text("providers: {openai: }\nmodels: {fast: openai:gpt-5-mni}\n")
    monkeypatch.setattr("farthing.cli.tables.screen_width", lambda: 80)
    monkeypatch.setattr("farthing.cli.home_checks.check_home", lambda _: [checks.Found("ok", "home", "here")])
    lines = runner.invoke(root, ["doctor"]).stdout.splitlines()
    assert any(line.startswith(" ") for line in lines)
    assert [line for line in lines if len(line) > 80 and "/" not in line] == []


# ---- adding and testing a provider


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["lab"], "'lab' is none of the providers that Farthing knows.", "add lab --base-url http://127.0.0.1:8000/v1"),
        (["opnai"], "'opnai' is none of the providers that Farthing knows (did you mean 'openai'?).", "openai, "),
        (
            ["azure"],
            "The kind 'azure' has no address of its own; it needs --base-url.",
            "add azure --base-url https://",
        ),
        (
            ["lab", "--kind", "openai-compatible"],
            "The kind 'openai-compatible' has no address of its own; it needs --base-url.",
            "add lab --kind openai-compatible --base-url http://127.0.0.1:8000/v1",
        ),
    ],
)
def test_who_cannot_be_added_is_told_with_the_command_that_can(
    runner: CliRunner, arguments: list[str], message: str, hint: str
) -> None:
    told = runner.invoke(root, ["providers", "add", *arguments])
    assert told.exit_code == 1
    assert told.stderr.startswith(f"farthing: {message}\nhint: ")
    assert hint in told.stderr


class Lists(BaseHTTPRequestHandler):
    """Lists models at /v1/models and nowhere else."""

    def do_GET(self) -> None:
        body = b'{"data":[{"id":"a"}]}'
        self.send_response(200 if self.path == "/v1/models" else 404)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def listing(tls: ssl.SSLContext | None = None) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Lists)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # who speaks plainly to TLS fails there
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


def advice_for(runner: CliRunner, url: str) -> str:
    runner.invoke(root, ["providers", "add", "lab", "--base-url", url, "--credential", "none"])
    told = runner.invoke(root, ["providers", "test"])
    assert told.exit_code == 1
    return told.stderr


def test_an_address_without_its_v1_is_told_with_it(runner: CliRunner) -> None:
    with listing() as address:
        assert f"-> set base_url to http://{address}/v1: there it answers" in advice_for(runner, f"http://{address}")


def test_tls_spoken_to_a_plain_port_is_told_with_the_other_address(runner: CliRunner) -> None:
    with listing() as address:
        told = advice_for(runner, f"https://{address}/v1")
    assert "cannot be used: that port speaks plain HTTP, and no TLS (yours to mend)" in told
    assert f"-> set base_url to http://{address}/v1\n" in told


def test_plain_http_spoken_to_a_tls_port_is_told_with_the_other_address(runner: CliRunner) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with listing(context) as address:
        told = advice_for(runner, f"http://{address}/v1")
    assert "cannot be used: that port speaks TLS (yours to mend)" in told
    assert f"-> set base_url to https://{address}/v1\n" in told


def test_who_answers_nothing_is_not_said_to_bill(runner: CliRunner) -> None:
    with upstream(hang_up) as server:
        assert "-> check that base_url is an API" in advice_for(runner, server.url)
