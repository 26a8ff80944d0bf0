"""The first start, as somebody sees it who has read nothing: what is printed can be copied and works."""

import os
import re
import shlex
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.support import clean_environment, free_port, request
from tests.e2e.upstream import upstream, whole

pytestmark = pytest.mark.skipif(os.name != "posix", reason="shells and signals are POSIX's")


class Start:
    """What a start printed on stderr, up to the line that says where it listens, and the process."""

    def __init__(self, process: "subprocess.Popen[str]", said: str, port: int) -> None:
        self.process = process
        self.said = said
        self.port = port

    @property
    def key(self) -> str:
        (key,) = set(re.findall(r"ft-[A-Za-z0-9]{49}", self.said))
        return str(key)


@contextmanager
def started(place: Path, *arguments: str, **environment: str) -> Iterator[Start]:
    port = free_port()
    log = place / "said"
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "farthing", "serve", "--port", str(port), *arguments],
            env=clean_environment(**{"HOME": str(place), "OLLAMA_HOST": "http://127.0.0.1:1", **environment}),
            cwd=place,
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
        )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("farthing listens on "), log.read_text()
        yield Start(process, log.read_text(), port)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait(10)
        assert process.stdout is not None
        process.stdout.close()


def test_it_says_what_was_found_what_is_missing_and_how_each_client_is_pointed_here(tmp_path: Path) -> None:
    with started(tmp_path, OPENAI_API_KEY="sk", ANTHROPIC_API_KEY="sk", GEMINI_API_KEY="sk") as start:
        said, url, key = start.said, f"http://127.0.0.1:{start.port}", start.key
    assert "openai (OPENAI_API_KEY)" in " ".join(said.split())
    assert "keys not set: OPENROUTER_API_KEY, and " in said
    assert "\nYour client key, shown this once; its name is my-app-1:\n" in said
    for line in (
        f"export OPENAI_BASE_URL={url}/v1",
        f"export OPENAI_API_KEY={key}",
        f"export ANTHROPIC_BASE_URL={url}",
        f"export ANTHROPIC_AUTH_TOKEN={key}",
        f"export GOOGLE_GEMINI_BASE_URL={url}",
        f"export GEMINI_API_KEY={key}",
    ):
        assert f"\n{line}\n" in said
    assert "warning" not in said


def test_clients_of_every_format_are_pointed_here_whoever_is_called(tmp_path: Path) -> None:
    with started(tmp_path, OPENAI_API_KEY="sk") as start:
        for name in ("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "GOOGLE_GEMINI_BASE_URL", "OLLAMA_HOST"):
            assert f"\nexport {name}=" in start.said
        assert " run claude\n" in start.said


def test_a_later_start_says_whom_it_calls_and_no_secret(tmp_path: Path) -> None:
    with started(tmp_path, OPENAI_API_KEY="sk"):
        pass
    with started(tmp_path, GROQ_API_KEY="sk") as start:
        assert start.said == "providers: groq (GROQ_API_KEY)\n"


def test_what_the_first_settings_show_can_be_set_over_the_admin_api(tmp_path: Path) -> None:
    """As docs/admin-api.md does: what the file names is the file's, so it names nothing that nobody has decided."""
    token = {"authorization": "Bearer an-admin-token-of-the-tests"}
    with started(tmp_path, OPENAI_API_KEY="sk", FARTHING_ADMIN_TOKEN="an-admin-token-of-the-tests") as start:
        put = request(start.port, "PUT", "/admin/v1/settings/unpriced", b'{"value": "refuse"}', token)
        assert (put.status, put.json()["value"]) == (200, "refuse"), put.body


def test_an_ollama_that_answers_is_found_and_told(tmp_path: Path) -> None:
    with upstream(whole(b'{"version":"0.12.0"}')) as ollama, started(tmp_path, OLLAMA_HOST=ollama.url) as start:
        assert f"providers: ollama ({ollama.url})\n" in start.said
        assert f"\nexport OLLAMA_HOST=http://127.0.0.1:{start.port}/k/{start.key}\n" in start.said


ANSWERS = {
    "openai": b'{"choices":[{"message":{"content":"Hello"}}],"usage":{"prompt_tokens":1,"completion_tokens":1}}',
    "anthropic": b'{"content":[{"type":"text","text":"Hello"}],"usage":{"input_tokens":1,"output_tokens":1}}',
    "gemini": b'{"candidates":[{"content":{"parts":[{"text":"Hello"}]}}],"usageMetadata":{"promptTokenCount":1}}',
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_the_command_to_try_it_works_as_printed(tmp_path: Path, kind: str) -> None:
    with upstream(whole(ANSWERS[kind], content_type="application/json")) as server:
        home = tmp_path / "home"
        home.mkdir(mode=0o700)
        base = f"{server.url}/v1" if kind == "openai" else server.url
        (home / "settings.yaml").write_text(f"providers: {{{kind}: {{base_url: '{base}', credential: env:KEY}}}}\n")
        with started(tmp_path, "--home", str(home), KEY="sk") as start:
            command = start.said.partition("# try it\n")[2].partition("\n\n")[0]
            curl, url, *options = shlex.split(command)
            headers = [options[at + 1] for at, option in enumerate(options) if option == "-H"]
            body = options[options.index("-d") + 1].encode()
            assert curl == "curl"
            asked = urllib.request.Request(url, body, dict(line.split(": ", 1) for line in headers))
            with urllib.request.urlopen(asked, timeout=20) as answer:
                assert b"Hello" in answer.read()


def test_the_next_commands_work_as_printed_from_where_it_was_started(tmp_path: Path) -> None:
    home = tmp_path / "my home"
    with started(tmp_path, OPENAI_API_KEY="sk", FARTHING_HOME=str(home)) as start:
        commands = start.said.partition("in another terminal:\n\n")[2].splitlines()
        assert [command.split()[-1] for command in commands] == ["costs", "calls", "NAME", "day"]
        for command in commands:
            assert f"--home '{home}'" in command
            ran = subprocess.run(
                shlex.split(command),
                cwd=tmp_path,
                env=clean_environment(HOME=str(tmp_path)),
                capture_output=True,
                text=True,
                check=False,
                timeout=30,
            )
            assert ran.returncode == 0, ran.stderr


def test_on_every_address_it_warns_and_prints_one_that_can_be_called(tmp_path: Path) -> None:
    with started(tmp_path, "--host", "0.0.0.0", OPENAI_API_KEY="sk") as start:
        assert "warning: 0.0.0.0 is reached from the network: a Farthing key is all that protects the gateway" in (
            start.said
        )
        assert "http://0.0.0.0" not in start.said
        link = re.search(r"http://([^/]+):\d+(/admin/login\?token=\S+)", start.said)
        assert link is not None
        # The page knows itself by the name in its link; whether that name leads here is up to the machine's network.
        answer = request(start.port, "GET", link[2], headers={"host": f"{link[1]}:{start.port}"})
        assert answer.status == 303
        assert request(start.port, "GET", link[2], headers={"host": "rebound.example"}).status == 421


def test_a_host_on_the_command_line_is_warned_of_and_not_the_one_in_the_settings(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(mode=0o700)
    (tmp_path / "home" / "settings.yaml").write_text("server: {host: 0.0.0.0}\nproviders: {vllm: }\n")
    with started(tmp_path, "--home", "home", "--host", "127.0.0.1") as start:
        assert "warning" not in start.said
    with started(tmp_path, "--home", "home") as start:
        assert "settings.yaml:1: server.host: 0.0.0.0 is reached from the network" in start.said
