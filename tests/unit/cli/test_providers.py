import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from farthing.cli import root
from tests.e2e.upstream import Script, Upstream, hang_up, upstream, whole

VARIABLES = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GROQ_API_KEY", "HF_TOKEN")


@pytest.fixture
def runner(tmp_path: Path) -> CliRunner:
    empty: dict[str, str | None] = dict.fromkeys(VARIABLES)
    elsewhere = {"OLLAMA_HOST": "http://127.0.0.1:1"}
    return CliRunner(env={**empty, **elsewhere, "FARTHING_HOME": str(tmp_path / "home"), "KEY": "sk-secret"})


@pytest.fixture
def lists() -> Iterator[Upstream]:
    with upstream(whole(b'{"data":[{"id":"a"},{"id":"b"}]}')) as server:
        yield server


def test_a_provider_is_added_listed_tested_and_removed(runner: CliRunner, lists: Upstream) -> None:
    told = runner.invoke(root, ["providers", "add", "lab", "--base-url", f"{lists.url}/v1", "--credential", "env:KEY"])
    assert (told.exit_code, told.stdout) == (0, "")
    assert told.stderr.startswith("Added 'lab' to ")
    head, line, more = runner.invoke(root, ["providers", "list"]).stdout.splitlines()
    assert max(map(len, (head, line, more))) <= 100
    assert head.split() == ["NAME", "KIND", "CREDENTIAL", "TODAY", "SPEAKS", "ADDRESS"]
    cells = line.split()
    assert (cells[:4], cells[-1]) == (["lab", "openai-compatible", "env:KEY", "0"], f"{lists.url}/v1")
    assert [*cells[4:-1], *more.split()] == ["chat,", "completions,", "embeddings,", "responses"]
    assert more.index(more.split()[0]) == head.index("SPEAKS")
    (row,) = json.loads(runner.invoke(root, ["providers", "list", "--json"]).stdout)
    assert (row["credential_present"], row["calls_today"], row["free"]) == (True, 0, False)

    told = runner.invoke(root, ["providers", "test", "lab"])
    assert (told.exit_code, told.stderr) == (0, "")
    name, ok, _, models = told.stdout.splitlines()[1].split()
    assert (name, ok, models) == ("lab", "ok", "2")
    assert lists.requests[0].startswith(b"GET /v1/models HTTP/1.1\r\n")
    assert b"authorization: Bearer sk-secret\r\n" in lists.requests[0]

    told = runner.invoke(root, ["providers", "remove", "lab"])
    assert told.stderr.startswith("Removed 'lab' from ")
    told = runner.invoke(root, ["providers", "list"])
    assert (told.exit_code, told.stdout) == (0, "")
    assert told.stderr.startswith("No provider: ")


@pytest.mark.parametrize(
    ("script", "who", "reason", "hint"),
    [
        (
            whole(b'{"error":{"message":"bad key sk-secret"}}', "401 Unauthorized"),
            "operator",
            "401: bad key ***",
            "check the credential, env:KEY: it is refused",
        ),
        (whole(b"<html><title>Not here</title>", "404 Not Found"), "operator", "404: Not here", "base_url"),
        (whole(b'{"error":{"message":"slow"}}', "429 Too Many Requests"), "provider", "429: slow", "later"),
        (whole(b"", "503 Service Unavailable"), "provider", "503: the provider", "later"),
        (whole(b'{"code":"invalid","error":"Incorrect key"}', "400 Bad Request"), "operator", "400: Incorrect", "cred"),
        (whole(b"", "301 Moved", location="http://x"), "operator", "it redirects (301)", "base_url"),
        (whole(b"<html>hello</html>"), "operator", "it answers, but not with a list", "base_url"),
        (hang_up, "operator", "", ""),
    ],
    ids=["key", "path", "limit", "down", "xai's key", "redirect", "html", "cut"],
)
def test_what_is_wrong_with_a_provider_is_told_with_who_must_act(
    runner: CliRunner, script: Script, who: str, reason: str, hint: str
) -> None:
    with upstream(script) as server:
        runner.invoke(root, ["providers", "add", "lab", "--base-url", server.url, "--credential", "env:KEY"])
        told = runner.invoke(root, ["providers", "test", "--json"])
    assert told.exit_code == 1
    (check,) = json.loads(told.stdout)
    assert (check["ok"], check["who"]) == (False, who)
    assert check["reason"].startswith(reason)
    assert hint in check["hint"]
    assert "sk-secret" not in told.output


def test_who_has_no_credential_is_not_asked(runner: CliRunner, lists: Upstream) -> None:
    runner.invoke(root, ["providers", "add", "lab", "--base-url", lists.url, "--credential", "env:UNSET_KEY"])
    told = runner.invoke(root, ["providers", "test"])
    assert told.exit_code == 1
    assert "UNSET_KEY is not set or empty" in told.stderr
    assert "(yours to mend)\n  -> " in told.stderr
    assert lists.requests == []
    assert "env:UNSET_KEY (missing)" in runner.invoke(root, ["providers", "list"]).stdout


def test_the_first_one_in_the_file_says_whom_it_leaves_out(runner: CliRunner) -> None:
    env = {"OPENAI_API_KEY": "sk", "GROQ_API_KEY": "sk"}
    told = runner.invoke(root, ["providers", "add", "groq"], env=env)
    assert "are left out, unless you add them too: openai." in told.stderr
    told = runner.invoke(root, ["providers", "remove", "groq"], env=env)
    assert "every one whose key is set is used: groq, openai." in told.stderr


def test_a_name_that_nobody_has_is_told_with_the_nearest(runner: CliRunner, tmp_path: Path) -> None:
    runner.invoke(root, ["providers", "add", "vllm"])
    told = runner.invoke(root, ["providers", "test", "vlm"])
    assert told.stderr == (
        "farthing: Unknown provider 'vlm' (did you mean 'vllm'?); configured: vllm.\n"
        f'hint: run "farthing --home {tmp_path / "home"} providers list".\n'
    )


def test_on_a_narrow_screen_each_provider_has_lines_of_its_own(
    runner: CliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner.invoke(root, ["providers", "add", "vllm"])
    monkeypatch.setattr("farthing.cli.tables.screen_width", lambda: 60)
    lines = runner.invoke(root, ["providers", "list"]).stdout.splitlines()
    assert lines[0] == "vllm"
    assert "  address     http://127.0.0.1:8000/v1" in lines


def test_what_fits_on_no_page_beside_each_other_has_lines_of_its_own_in_a_pipe_too(runner: CliRunner) -> None:
    url = f"https://a-rather-long-host-name.example.com/{'p' * 30}/v1"
    runner.invoke(root, ["providers", "add", "lab", "--base-url", url, "--credential", "env:A_RATHER_LONG_NAME_OF_IT"])
    lines = runner.invoke(root, ["providers", "list"]).stdout.splitlines()
    assert lines[0] == "lab"
    assert f"  address     {url}" in lines
    assert max(map(len, lines)) <= 100


def test_an_ollama_that_answers_here_is_listed_while_the_file_names_nobody(runner: CliRunner) -> None:
    with upstream(whole(b'{"version":"0.12.0"}')) as ollama:
        told = runner.invoke(root, ["providers", "list", "--json"], env={"OLLAMA_HOST": ollama.url})
    (row,) = json.loads(told.stdout)
    assert (row["name"], row["base_url"], row["free"]) == ("ollama", ollama.url, True)
