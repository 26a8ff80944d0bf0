"""What a running gateway shows of itself: `/metrics`, log lines, the access log, and its limits."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.support import Gateway, clean_environment, free_port, request, running_gateway, start_gateway
from tests.e2e.upstream import Upstream, streamed, upstream, whole
from tests.unit.monitoring.exposition_reader import Scrape

ANSWER = b'{"model":"m","choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":10,"completion_tokens":5}}'
STREAM = (
    b'data: {"model":"m","choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"stop"}]}\n\n'
    b'data: {"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5}}\n\ndata: [DONE]\n\n'
)
ASK = {"model": "openai:m", "messages": []}
TOKEN = "fta-a-token-for-the-tests-of-metrics"


def settings(server: Upstream, log: str = "") -> str:
    return f"""{log}
providers:
  openai: {{base_url: {server.url}/v1, credential: env:KEY}}
prices:
  - {{model: "openai:m", input: 1, output: 2}}
"""


def scrape(gateway: Gateway) -> Scrape:
    answer = request(gateway.port, "GET", "/metrics", headers={"authorization": f"Bearer {TOKEN}"})
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return Scrape(answer.body.decode())


def lines_of(home: Path) -> list[str]:
    return (home / "serve.log").read_text(encoding="utf-8").splitlines()


def until(condition: Any, what: str, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


def test_whoever_has_an_answer_finds_its_call_counted(tmp_path: Path) -> None:
    scripts = (whole(ANSWER), streamed(STREAM), whole(b'{"error":{"message":"no"}}', status="500 Oops"))
    with (
        upstream(*scripts) as server,
        running_gateway(tmp_path / "home", settings(server), KEY="k", FARTHING_ADMIN_TOKEN=TOKEN) as gateway,
    ):
        key = gateway.new_key()
        assert gateway.post("/v1/chat/completions", ASK, key).status == 200
        told = scrape(gateway)
        assert told.value("farthing_attempts_total", gen_ai_provider_name="openai", gen_ai_request_model="m") == 1
        assert gateway.post("/v1/chat/completions", {**ASK, "stream": True}, key).status == 200
        assert gateway.post("/v1/chat/completions", ASK, key).status == 500
        told = scrape(gateway)
        assert told.value("farthing_attempts_total", outcome="ok") == 2
        assert told.value("farthing_attempts_total", outcome="provider_error") == 1
        assert told.value("farthing_tokens_total", gen_ai_token_type="input") == 20
        assert told.value("farthing_cost_nanodollars_total") == 2 * (10 * 1000 + 5 * 2000)
        assert told.value("farthing_attempt_duration_seconds_count") == 3
        assert told.value("farthing_time_to_first_output_seconds_count") == 2
        assert told.value("farthing_attempts_in_flight") == 0
        assert told.value("farthing_requests_in_flight") == 1  # the scrape itself
        assert told.value("farthing_journal_writable") == told.value("farthing_store_reachable") == 1
        assert told.value("farthing_provider_connections", gen_ai_provider_name="openai") == 1
        assert told.value("farthing_events_dropped_total") == told.value("farthing_log_lines_dropped_total") == 0
        assert told.value("farthing_build_info") == 1
        assert told.value("process_resident_memory_bytes") > 1e7
        assert key not in " ".join(told.label_values("gen_ai_request_model"))


def test_it_is_counted_since_when_it_serves_and_whether_the_settings_hold(tmp_path: Path) -> None:
    before = time.time()
    with (
        upstream(whole(ANSWER)) as server,
        running_gateway(tmp_path / "home", settings(server), KEY="k", FARTHING_ADMIN_TOKEN=TOKEN) as gateway,
    ):
        told = scrape(gateway)
        assert before - 1 <= told.value("process_start_time_seconds") <= time.time() + 1
        assert told.value("farthing_settings_taken_up") == 1
        (gateway.home / "settings.yaml").write_text("servr: 1\n")
        until(lambda: scrape(gateway).value("farthing_settings_taken_up") == 0, "a wrong file shows in the figures")
        (gateway.home / "settings.yaml").write_text("version: 1\nfind_local: false\n")
        until(lambda: scrape(gateway).value("farthing_settings_taken_up") == 1, "a good one, too")


def test_figures_are_for_whoever_has_the_admins_token_also_on_this_machine(tmp_path: Path) -> None:
    with upstream(whole(ANSWER)) as server, running_gateway(tmp_path / "home", settings(server), KEY="k") as gateway:
        key = gateway.new_key()
        nobodys: tuple[dict[str, str], ...] = (
            {},
            {"authorization": f"Bearer {key}"},
            {"authorization": "Bearer "},
            {"authorization": "Bearer fta-wrong"},
            {"x-api-key": key},
            {"cookie": f"farthing_admin={key}"},
        )
        for headers in nobodys:
            refused = request(gateway.port, "GET", "/metrics", headers=headers)
            assert refused.status == 401, headers
            assert b"farthing_attempts" not in refused.body
            assert b"admin's token" in refused.body
        link = gateway.farthing("admin", "link").stdout
        token = link.strip().rpartition("token=")[2]
        assert request(gateway.port, "GET", "/metrics", headers={"authorization": f"Bearer {token}"}).status == 200
        assert request(gateway.port, "POST", "/metrics", b"", {"authorization": f"Bearer {token}"}).status == 404


@pytest.mark.parametrize("form", ["json", "text"])
def test_the_access_log_has_a_line_for_each_call_and_no_text_of_it(tmp_path: Path, form: str) -> None:
    log = f"log: {{format: {form}, access: true}}"
    with (
        upstream(whole(ANSWER)) as server,
        running_gateway(tmp_path / "home", settings(server, log), KEY="k") as gateway,
    ):
        key = gateway.new_key("laptop")
        asked = {**ASK, "messages": [{"role": "user", "content": "a private matter"}]}
        answer = gateway.post("/v1/chat/completions", asked, key)
        call_id = answer.headers["x-farthing-call-id"]
        until(lambda: any(call_id in line for line in lines_of(gateway.home)), "the line is written")
        (line,) = [line for line in lines_of(gateway.home) if call_id in line]
        if form == "json":
            told = json.loads(line)
            assert (told["logger"], told["key"], told["provider"], told["model"]) == (
                "farthing.access",
                "laptop",
                "openai",
                "m",
            )
            assert (told["input_tokens"], told["output_tokens"], told["cost_nanousd"]) == (10, 5, 20_000)
            assert (told["outcome"], told["status"], told["cost_basis"]) == ("ok", 200, "reported")
            assert 0 < told["duration_ms"] < 60_000
        else:
            for word in ("INFO farthing.access:", "key=laptop", "model=m", "outcome=ok", "cost_nanousd=20000"):
                assert word in line
    everything = "\n".join(lines_of(tmp_path / "home"))
    assert "private matter" not in everything
    assert key not in everything


def test_there_is_no_access_log_unless_it_is_asked_for(tmp_path: Path) -> None:
    with upstream(whole(ANSWER)) as server, running_gateway(tmp_path / "home", settings(server), KEY="k") as gateway:
        assert gateway.post("/v1/chat/completions", ASK, gateway.new_key()).status == 200
    assert not [line for line in lines_of(tmp_path / "home") if "farthing.access" in line]


def test_the_level_changes_while_the_gateway_runs_and_goes_back_with_the_next_start(tmp_path: Path) -> None:
    with upstream(whole(ANSWER)) as server:
        text = settings(server)
        with running_gateway(tmp_path / "home", text, KEY="k") as gateway:
            assert gateway.farthing("logs", "level").stdout == "warning\n"
            gateway.farthing("logs", "level", "debug")
            assert gateway.farthing("logs", "level").stdout == "debug\n"
            until(lambda: any("from this level on: debug" in line for line in lines_of(gateway.home)), "it took effect")
            gateway.farthing("logs", "level", "settings")
            assert gateway.farthing("logs", "level").stdout == "warning\n"
            gateway.farthing("logs", "level", "error")
        with running_gateway(tmp_path / "home", text, KEY="k") as gateway:
            assert gateway.farthing("logs", "level").stdout == "warning\n"
        refused = subprocess.run(
            [sys.executable, "-m", "farthing", "--home", str(tmp_path / "home"), "logs", "level", "debug"],
            env=gateway.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        assert refused.returncode == 1
        assert "No gateway serves the home" in refused.stderr


def test_a_terminal_that_nobody_reads_stops_no_call(tmp_path: Path) -> None:
    home, port = tmp_path / "home", free_port()
    home.mkdir(mode=0o700)
    with upstream(whole(ANSWER)) as server:
        text = settings(server, "log: {format: json, access: true}")
        (home / "settings.yaml").write_text(f"version: 1\nserver: {{port: {port}}}\n{text}", encoding="utf-8")
        environment = clean_environment(HOME=str(home), KEY="k", FARTHING_ADMIN_TOKEN=TOKEN)
        process = subprocess.Popen(
            [sys.executable, "-m", "farthing", "serve", "--home", str(home), "--port", str(port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment,
        )
        try:
            until(lambda: _answers(port), "the gateway is up", 20)
            gateway = Gateway(home, port, process, environment)
            key = gateway.new_key()
            for _ in range(300):  # 300 lines of 400 bytes do not fit into a pipe of 64 KB
                assert gateway.post("/v1/chat/completions", ASK, key).status == 200
            until(
                lambda: scrape(gateway).value("farthing_log_lines_dropped_total") > 0, "lines are dropped and counted"
            )
            assert scrape(gateway).value("farthing_attempts_total") == 300
            process.terminate()
            written = process.communicate(timeout=30)[1].decode().splitlines()
            assert process.returncode == 0
        finally:
            process.kill()
            process.wait(10)
    assert any("log lines were dropped" in line for line in written)
    assert "everything is settled" in written[-1]


def _answers(port: int) -> bool:
    try:
        return request(port, "GET", "/ready", timeout_s=2).status == 200
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="limits of a process are read in /proc")
def test_a_gateway_leaves_no_core_dump(tmp_path: Path) -> None:
    with upstream(whole(ANSWER)) as server:
        gateway = start_gateway(tmp_path / "home", settings(server), KEY="k")
        try:
            limits = Path(f"/proc/{gateway.process.pid}/limits").read_text(encoding="ascii").splitlines()
        finally:
            assert gateway.stop() == 0
    (core,) = [line for line in limits if line.startswith("Max core file size")]
    assert core.split()[4:6] == ["0", "0"]


def test_a_change_of_the_settings_changes_level_form_and_access_log_without_a_restart(tmp_path: Path) -> None:
    with upstream(whole(ANSWER)) as server, running_gateway(tmp_path / "home", settings(server), KEY="k") as gateway:
        key = gateway.new_key()
        file = gateway.home / "settings.yaml"
        wanted = "log: {format: json, level: debug, access: true}"
        file.write_text(file.read_text(encoding="utf-8") + wanted + "\n", encoding="utf-8")
        until(lambda: any("this level on: debug" in line for line in lines_of(gateway.home)), "it took effect")
        assert gateway.post("/v1/chat/completions", ASK, key).status == 200
        until(lambda: any('"logger":"farthing.access"' in line for line in lines_of(gateway.home)), "there is a line")
        assert gateway.farthing("logs", "level").stdout == "debug\n"


def test_what_we_refuse_ourselves_is_counted_and_can_be_read(tmp_path: Path) -> None:
    home = tmp_path / "h"
    with (
        upstream(whole(ANSWER)) as server,
        running_gateway(home, settings(server, "log: {level: info}"), KEY="k", FARTHING_ADMIN_TOKEN=TOKEN) as gateway,
    ):
        key = gateway.new_key()
        assert gateway.post("/v1/chat/completions", ASK, "ft-wrong").status == 401
        assert gateway.post("/v1/chat/completions", {**ASK, "model": "nobody-has-this"}, key).status == 404
        assert gateway.post("/v1/nothing", ASK, key).status == 404
        assert request(gateway.port, "POST", "/v1/messages", headers={"x": "y" * 70_000}).status == 431
        found = scrape(gateway)
        told = {
            (dict(labels)["http_response_status_code"], dict(labels)["error_type"]): value
            for (name, labels), value in found.samples.items()
            if name == "farthing_errors_total"
        }
        assert told == {
            ("401", "invalid_api_key"): 1,
            ("404", "model_not_found"): 1,
            ("404", "not_found"): 1,
            ("431", "headers_too_large"): 1,
        }
        until(lambda: sum(" is answered with 4" in line for line in lines_of(home)) == 4, "a line for each")
        assert "ft-wrong" not in "\n".join(lines_of(home))
