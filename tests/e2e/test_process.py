"""The process: first start, lock, ports, signals, kill -9."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.e2e.support import Answer, Gateway, clean_environment, free_port, request, running_gateway, start_gateway
from tests.e2e.upstream import Upstream, streamed, upstream, whole

ANSWER = b'{"model":"m","choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":10,"completion_tokens":5}}'
COST = 10 * 1000 + 5 * 2000
ASK = {"model": "openai:m", "messages": []}
STREAM = {**ASK, "stream": True}


def chunk(text: str, **more: object) -> bytes:
    content = {"model": "m", "choices": [{"index": 0, "delta": {"content": text}, **more}]}
    return b"data: " + json.dumps(content).encode() + b"\n\n"


USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5}}\n\n'
DONE = b"data: [DONE]\n\n"


def settings(server: Upstream, server_settings: str = "") -> str:
    return f"""{server_settings}
providers:
  openai: {{base_url: {server.url}/v1, credential: env:KEY}}
prices:
  - {{model: "openai:m", input: 1, output: 2}}
"""


def ask_in_background(gateway: Gateway, key: str, body: object) -> "list[Answer | Exception]":
    done: list[Answer | Exception] = []

    def ask() -> None:
        try:
            done.append(gateway.post("/v1/chat/completions", body, key))
        except (OSError, ValueError) as error:
            done.append(error)
        except Exception as error:  # noqa: BLE001 - whatever it was, the test looks at it
            done.append(error)

    threading.Thread(target=ask, daemon=True).start()
    return done


def until(condition: object, what: str, seconds: float = 10) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.01)


def test_the_first_start_tells_a_key_an_admin_link_and_snippets_once(tmp_path: Path) -> None:
    home, port = tmp_path / "home", free_port()
    environment = clean_environment(HOME=str(tmp_path), OPENAI_API_KEY="sk-x", FARTHING_HOME=str(home))

    def start() -> str:
        with subprocess.Popen(
            [sys.executable, "-m", "farthing", "serve", "--port", str(port)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == f"farthing listens on http://127.0.0.1:{port}\n"
            assert request(port, "GET", "/health").json() == {"status": "ok"}
            assert request(port, "GET", "/ready").status == 200
            process.send_signal(signal.SIGTERM)
            _, talk = process.communicate(timeout=20)
            assert process.returncode == 0
            return talk

    talk = start()
    (key,) = {word.strip('",') for word in talk.split() if word.startswith("ft-")}
    assert len(key) == 3 + 43 + 6
    for snippet in ("OPENAI_BASE_URL", "my-app-1", "/k/ft-", "curl ", "/admin/login?token="):
        assert snippet in talk
    assert "ft-" not in start()
    stored = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    assert key.encode() not in stored
    assert (home / "settings.yaml").exists()
    for path in [home, *home.rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), f"{path} is {mode:o}"


def test_a_second_server_on_the_same_home_is_refused_with_the_pid(tmp_path: Path) -> None:
    with upstream(whole(ANSWER)) as server, running_gateway(tmp_path / "home", settings(server), KEY="k") as gateway:
        second = subprocess.run(
            [sys.executable, "-m", "farthing", "serve", "--home", str(gateway.home), "--port", "0"],
            env=gateway.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
        )
        assert second.returncode == 1
        assert f"pid {gateway.process.pid}" in second.stderr


def test_a_taken_port_and_a_foreign_address_are_told_in_words(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for arguments, words in (
            (["--port", str(taken.getsockname()[1])], 'doctor" says which program has it'),
            (["--host", "203.0.113.1", "--port", "0"], "or --host"),
        ):
            refused = subprocess.run(
                [sys.executable, "-m", "farthing", "serve", "--home", str(tmp_path / "home"), *arguments],
                env=clean_environment(HOME=str(tmp_path)),
                capture_output=True,
                text=True,
                check=False,
                timeout=20,
            )
            assert refused.returncode == 1
            assert words in refused.stderr
            assert "hint:" in refused.stderr


def test_sigterm_lets_answers_end_and_takes_no_new_ones(tmp_path: Path) -> None:
    slow = streamed(chunk("a"), 0.6, chunk("b", finish_reason="stop") + USAGE + DONE)
    with upstream(slow) as server, running_gateway(tmp_path / "home", settings(server), KEY="k") as gateway:
        key = gateway.new_key()
        done = ask_in_background(gateway, key, STREAM)
        until(lambda: server.requests, "the call is in flight")
        gateway.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        with pytest.raises(OSError):  # noqa: PT011 - refused or reset, as the system has it
            request(gateway.port, "GET", "/health", timeout_s=2)
        assert gateway.process.wait(20) == 0
        until(lambda: done, "the answer came")
        (answer,) = done
        assert isinstance(answer, Answer)
        assert answer.body.endswith(DONE)
        assert gateway.calls()[0]["nanousd"] == COST


def test_what_is_left_after_the_drain_is_cut_with_an_error_and_settled(tmp_path: Path) -> None:
    endless = streamed(chunk("some words"), end=False)
    port = free_port()
    text = f"server: {{port: {port}, drain_s: 0.3}}\n"
    with upstream(endless) as server, running_gateway(tmp_path / "home", settings(server, text), KEY="k") as gateway:
        key = gateway.new_key()
        done = ask_in_background(gateway, key, STREAM)
        until(lambda: server.requests, "the call is in flight")
        time.sleep(0.2)
        began = time.monotonic()
        assert gateway.stop() == 0
        assert time.monotonic() - began < 5
        until(lambda: done, "the answer came")
        (answer,) = done
        assert isinstance(answer, Answer)
        assert b'"code":"draining"' in answer.body
        (call,) = gateway.calls()
        assert (call["outcome"], call["cost_basis"]) == ("cancelled", "estimated")


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    with (
        upstream(streamed(chunk("some words"), end=False)) as server,
        running_gateway(tmp_path / "home", settings(server), KEY="k") as gateway,
    ):
        done = ask_in_background(gateway, gateway.new_key(), STREAM)
        until(lambda: server.requests, "the call is in flight")
        gateway.process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert gateway.process.poll() is None
        gateway.process.send_signal(signal.SIGINT)
        assert gateway.process.wait(5) == 0
        until(lambda: done, "the client was told")
        assert gateway.calls()[0]["outcome"] == "cancelled"


@pytest.mark.parametrize("moment", ["after begin", "mid-stream", "after the last byte"])
def test_kill_9_loses_nothing_that_was_answered_and_counts_nothing_twice(tmp_path: Path, moment: str) -> None:
    scripts = {
        "after begin": streamed(end=False),
        "mid-stream": streamed(chunk("some words "), 1.2, chunk("and more"), end=False),
        "after the last byte": streamed(chunk("hi", finish_reason="stop") + USAGE + DONE),
    }
    text = None
    with upstream(whole(ANSWER), scripts[moment]) as server:
        text = settings(server)
        gateway = start_gateway(tmp_path / "home", text, KEY="k")
        try:
            key = gateway.new_key()
            assert gateway.post("/v1/chat/completions", ASK, key).status == 200
            done = ask_in_background(gateway, key, STREAM)
            if moment == "after the last byte":
                until(lambda: done, "the answer came")
            else:
                until(lambda: len(server.requests) == 2, "the call is in flight")
                time.sleep(1.6 if moment == "mid-stream" else 0.1)
        finally:
            gateway.kill()
        costs = gateway.costs()
        assert costs["total"]["calls"] == 2
        last = gateway.calls()[0]
        if moment == "after the last byte":
            assert costs["total"]["nanousd"] == 2 * COST
        else:
            assert (last["outcome"], last["cost_basis"]) == ("crashed", "estimated")
            assert costs["total"]["nanousd"] > COST
        again = gateway.costs()
        assert again == costs
        with running_gateway(tmp_path / "home", text, KEY="k") as restarted:
            assert restarted.costs() == costs
            restarted.verify()


def test_many_calls_answered_before_a_kill_are_all_there(tmp_path: Path) -> None:
    with upstream(whole(ANSWER)) as server:
        gateway = start_gateway(tmp_path / "home", settings(server), KEY="k")
        answered = 0
        try:
            key = gateway.new_key()
            for _ in range(60):
                answered += gateway.post("/v1/chat/completions", ASK, key).status == 200
        finally:
            os.kill(gateway.process.pid, signal.SIGKILL)
            gateway.process.wait(10)
        assert answered == 60
        total = gateway.costs()["total"]
        assert (total["calls"], total["nanousd"]) == (60, 60 * COST)


def test_a_revoked_key_stops_within_a_second(tmp_path: Path) -> None:
    with upstream(whole(ANSWER)) as server, running_gateway(tmp_path / "home", settings(server), KEY="k") as gateway:
        key = gateway.new_key("soon-gone")
        until(lambda: gateway.post("/v1/chat/completions", ASK, key).status == 200, "a new key works", 1.5)
        gateway.farthing("keys", "revoke", "soon-gone")
        until(lambda: gateway.post("/v1/chat/completions", ASK, key).status == 401, "a revoked key stops", 1.5)


def test_a_client_that_takes_us_for_its_proxy_is_answered_all_the_same(tmp_path: Path) -> None:
    with upstream(whole(ANSWER)) as server, running_gateway(tmp_path / "h", settings(server), KEY="k") as gateway:
        sent = {"authorization": f"Bearer {gateway.new_key()}", "content-type": "application/json"}
        for address in (gateway.url, "https://elsewhere.example"):
            assert request(gateway.port, "GET", f"{address}/health").status == 200
            answer = request(gateway.port, "POST", f"{address}/v1/chat/completions", json.dumps(ASK).encode(), sent)
            assert (answer.status, answer.body) == (200, ANSWER)
        assert request(gateway.port, "GET", "http://only.a.host").status == 200
        assert [line.split(b" ")[1] for line in server.requests] == [b"/v1/chat/completions"] * 2
