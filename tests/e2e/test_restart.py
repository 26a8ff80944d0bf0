"""Leaving and coming back: a hundred open streams, and restarts that nobody notices."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from farthing.cli.config_follow import on_hangup
from farthing.config.lock import holder
from tests.e2e.serving import (
    ANSWER,
    ASK,
    COST,
    DONE,
    STREAM,
    by_what_is_asked,
    chunk,
    held_until,
    load,
    said,
    serving,
    settings,
    until,
)
from tests.e2e.support import Answer, Gateway, clean_environment, free_port, wait_until_answers
from tests.e2e.upstream import streamed, upstream, whole

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGUSR2"), reason="Windows starts anew by ending and beginning")
STREAMS = 100

NOHUP = """
import fcntl, os, signal, sys, termios
fcntl.ioctl(int(sys.argv[1]), termios.TIOCSCTTY, 0)
os.close(int(sys.argv[1]))
signal.signal(signal.SIGHUP, signal.SIG_IGN)
log = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
os.dup2(log, 1), os.dup2(log, 2)
os.execv(sys.executable, sys.argv[3:])
"""

HANDED_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3, inheritable=True)
os.environ.update(LISTEN_FDS=sys.argv[2], LISTEN_PID=str(os.getpid()))
os.execv(sys.executable, sys.argv[3:])
"""


def open_streams(gateway: Gateway, key: str, count: int) -> "tuple[list[threading.Thread], list[Answer]]":
    answers: list[Answer] = []

    def ask() -> None:
        answers.append(gateway.post("/v1/chat/completions", STREAM, key))

    threads = [threading.Thread(target=ask) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads, answers


@pytest.mark.parametrize("workers", [1, 2])
def test_a_hundred_open_streams_end_whole_before_the_gateway_does(tmp_path: Path, workers: int) -> None:
    go_on = threading.Event()

    with (
        upstream(held_until(go_on)) as server,
        serving(tmp_path / "h", settings(server), "--workers", str(workers)) as gateway,
    ):
        key = gateway.new_key()
        threads, answers = open_streams(gateway, key, STREAMS)
        until(lambda: len(server.requests) == STREAMS, "every stream has begun")
        gateway.process.send_signal(signal.SIGTERM)
        until(lambda: not connects(gateway.port), "the port is closed")
        assert gateway.process.poll() is None
        assert not answers
        go_on.set()
        for thread in threads:
            thread.join(30)
        assert gateway.process.wait(30) == 0
        assert [answer.status for answer in answers] == [200] * STREAMS
        assert all(answer.body.endswith(DONE) for answer in answers)
        assert gateway.costs()["total"]["nanousd"] == STREAMS * COST
        assert {attempt.outcome for attempt in gateway.attempts()} == {"ok"}
        gateway.verify()
    assert "everything is settled" in said(tmp_path / "h")


def test_of_a_hundred_streams_that_do_not_end_each_is_told_and_settled(tmp_path: Path) -> None:
    endless = streamed(chunk("a"), end=False)
    with upstream(endless) as server, serving(tmp_path / "h", settings(server, "server: {drain_s: 1}")) as gateway:
        threads, answers = open_streams(gateway, gateway.new_key(), STREAMS)
        until(lambda: len(server.requests) == STREAMS, "every stream has begun")
        began = time.monotonic()
        gateway.process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join(30)
        assert gateway.process.wait(30) == 0
        assert time.monotonic() - began < 10
        assert len(answers) == STREAMS
        assert all(b'"error"' in answer.body and not answer.body.endswith(DONE) for answer in answers)
        attempts = gateway.attempts()
        assert len(attempts) == STREAMS
        assert all(attempt.outcome != "ok" and attempt.cost_nanousd for attempt in attempts)
        gateway.verify()


@pytest.mark.parametrize("workers", [1, 2])
def test_nobody_is_refused_while_it_starts_anew_under_load(tmp_path: Path, workers: int) -> None:
    with (
        upstream(by_what_is_asked) as server,
        serving(tmp_path / "h", settings(server), "--workers", str(workers)) as gateway,
    ):
        key = gateway.new_key()
        with load(gateway, key) as seen:
            for number in range(1, 4):
                before = seen["good"]
                until(lambda before=before: seen["good"] > before + 50, f"{dict(seen)}")
                gateway.process.send_signal(signal.SIGUSR2)
                word = "every worker was replaced" if workers > 1 else "farthing listens on"
                wanted = number + (workers == 1)  # the first start listens as well
                until(lambda word=word, wanted=wanted: said(tmp_path / "h").count(word) == wanted, "it starts anew")
        assert set(seen) == {"good"}, seen
        assert gateway.process.poll() is None
        gateway.verify()
        assert gateway.costs()["total"]["nanousd"] == seen["good"] * COST


def test_a_restart_with_settings_that_are_wrong_is_not_begun(tmp_path: Path) -> None:
    home = tmp_path / "h"
    with upstream(whole(ANSWER)) as server, serving(home, settings(server)) as gateway:
        key = gateway.new_key()
        good = (home / "settings.yaml").read_text()
        (home / "settings.yaml").write_text(good.replace("base_url", "base_ulr"))
        gateway.process.send_signal(signal.SIGUSR2)
        until(lambda: "the restart that was asked for is not begun" in said(home), "it is told")
        assert "base_ulr" in said(home)
        assert gateway.post("/v1/chat/completions", ASK, key).status == 200
        assert said(home).count("farthing listens on") == 1


def test_who_asks_for_the_end_while_it_starts_anew_gets_the_end(tmp_path: Path) -> None:
    home = tmp_path / "h"
    with upstream(streamed(chunk("a"), end=False)) as server, serving(home, settings(server)) as gateway:
        threads, answers = open_streams(gateway, gateway.new_key(), 3)
        until(lambda: len(server.requests) == 3, "three streams are open")
        gateway.process.send_signal(signal.SIGUSR2)
        until(lambda: "then we start anew" in said(home), "their answers are waited for")
        gateway.process.send_signal(signal.SIGTERM)
        until(lambda: not connects(gateway.port), "nobody is left to wait in the queue")
        assert gateway.process.poll() is None  # they may still end
        gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait(10) == 0
        for thread in threads:
            thread.join(30)
        assert len(answers) == 3
        assert "does not start anew" in said(home)
        assert re.search(r"3 calls were still in flight after \d\.\d s, when we were told to end at once", said(home))
        assert said(home).count("farthing listens on") == 1
        assert not connects(gateway.port)
        gateway.verify()


def test_answers_end_whole_where_the_end_is_asked_for_while_it_starts_anew(tmp_path: Path) -> None:
    home = tmp_path / "h"
    go_on = threading.Event()
    with upstream(held_until(go_on)) as server, serving(home, settings(server)) as gateway:
        threads, answers = open_streams(gateway, gateway.new_key(), 3)
        until(lambda: len(server.requests) == 3, "three streams are open")
        gateway.process.send_signal(signal.SIGUSR2)
        until(lambda: "then we start anew" in said(home), "their answers are waited for")
        gateway.process.send_signal(signal.SIGTERM)
        until(lambda: not connects(gateway.port), "the port is closed")
        go_on.set()
        assert gateway.process.wait(10) == 0
        for thread in threads:
            thread.join(30)
        assert len(answers) == 3
        assert all(answer.body.endswith(DONE) for answer in answers)
        assert said(home).count("farthing listens on") == 1
        gateway.verify()
    assert "everything is settled" in said(home)


def test_the_home_is_held_at_every_moment_of_a_restart(tmp_path: Path) -> None:
    home = tmp_path / "h"
    with upstream(whole(ANSWER)) as server, serving(home, settings(server)) as gateway:
        key = gateway.new_key()
        for number in (2, 3):
            gateway.process.send_signal(signal.SIGUSR2)
            while said(home).count("farthing listens on") < number:
                assert holder(home / "lock") == gateway.process.pid
        assert gateway.post("/v1/chat/completions", ASK, key).status == 200
    assert holder(home / "lock") is None


@pytest.mark.parametrize("arguments", [[], ["--workers", "2"]])
def test_a_lock_file_that_is_removed_costs_nobody_anything(tmp_path: Path, arguments: list[str]) -> None:
    home = tmp_path / "h"
    go_on = threading.Event()
    with upstream(held_until(go_on)) as server, serving(home, settings(server), *arguments) as gateway:
        threads, answers = open_streams(gateway, gateway.new_key(), 4)
        until(lambda: len(server.requests) == 4, "four streams are open")
        until(lambda: len(list((home / "journal").glob("*.journal"))) >= 1, "they are in a journal")
        (home / "lock").unlink()
        assert gateway.costs()["total"]["attempts"] == 0  # nothing was posted for dead
        second = subprocess.run(
            [sys.executable, "-m", "farthing", "serve", "--home", str(home), "--port", "0"],
            capture_output=True,
            text=True,
            env=gateway.environment,
            timeout=60,
            check=False,
        )
        assert second.returncode == 1
        assert f"(pid {gateway.process.pid}) serves the home" in second.stderr
        until(lambda: "it is made again" in said(home), "the gateway notices")
        assert (home / "lock").read_text() == f"{gateway.process.pid} serve\n"
        go_on.set()
        for thread in threads:
            thread.join(30)
        assert all(answer.body.endswith(DONE) for answer in answers)
        assert gateway.costs()["total"]["nanousd"] == 4 * COST
        assert {attempt.outcome for attempt in gateway.attempts()} == {"ok"}
        gateway.verify()


def test_a_gateway_that_outlives_its_terminal_does_so_after_it_started_anew(tmp_path: Path) -> None:
    import pty  # noqa: PLC0415 (Windows has none)

    home, port = tmp_path / "h", free_port()
    home.mkdir(mode=0o700)
    environment = clean_environment(HOME=str(home), KEY="sk-real")
    with upstream(by_what_is_asked) as server:
        (home / "settings.yaml").write_text(settings(server))
        ours, theirs = pty.openpty()
        command = [sys.executable, "-c", NOHUP, str(theirs), str(home / "serve.log"), sys.executable]
        command += ["-m", "farthing", "serve", "--home", str(home), "--port", str(port)]
        process = subprocess.Popen(command, env=environment, pass_fds=[theirs], start_new_session=True)
        os.close(theirs)
        gateway = Gateway(home, port, process, environment)
        try:
            wait_until_answers(port, "/ready", process)
            process.send_signal(signal.SIGUSR2)
            until(lambda: said(home).count("farthing listens on") == 2, "it starts anew")
            os.close(ours)  # the window is closed: the system sends SIGHUP
            looked = (home / "running.json").stat().st_mtime_ns
            process.send_signal(signal.SIGHUP)
            until(lambda: (home / "running.json").stat().st_mtime_ns > looked, "it has read its settings again")
            assert gateway.post("/v1/chat/completions", ASK, gateway.new_key()).status == 200
            assert gateway.stop() == 0
        finally:
            if process.poll() is None:
                gateway.kill()


async def test_a_signal_that_is_handled_no_more_ends_nobody() -> None:
    heard: list[str] = []
    undo = on_hangup(lambda: heard.append("ask"), lambda: heard.append("stop"))
    undo()
    assert signal.getsignal(signal.SIGHUP) != signal.SIG_DFL
    os.kill(os.getpid(), signal.SIGHUP)
    await asyncio.sleep(0)
    assert heard == []


def test_settings_that_become_wrong_while_answers_end_leave_nobody_without_a_gateway(tmp_path: Path) -> None:
    home = tmp_path / "h"
    go_on = threading.Event()
    with upstream(held_until(go_on), by_what_is_asked) as server, serving(home, settings(server)) as gateway:
        key = gateway.new_key()
        threads, answers = open_streams(gateway, key, 1)
        until(lambda: len(server.requests) == 1, "a stream is open")
        gateway.process.send_signal(signal.SIGUSR2)
        until(lambda: "stopping:" in said(home), "its end is waited for")
        good = (home / "settings.yaml").read_text()
        (home / "settings.yaml").write_text(good.replace("base_url", "base_ulr"))
        go_on.set()
        until(lambda: said(home).count("farthing listens on") == 2, "it serves again")
        assert "is given up" in said(home)
        assert gateway.post("/v1/chat/completions", ASK, key).status == 200
        threads[0].join(30)
        assert answers[0].body.endswith(DONE)
        (home / "settings.yaml").write_text(good)
        gateway.process.send_signal(signal.SIGUSR2)
        until(lambda: said(home).count("farthing listens on") == 3, "then it starts anew")
        assert gateway.post("/v1/chat/completions", ASK, key).status == 200
        gateway.verify()


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGUSR2, signal.SIGHUP])
def test_signals_that_come_while_it_stops_do_not_end_it_early(
    tmp_path: Path, workers: int, number: signal.Signals
) -> None:
    home = tmp_path / "h"
    go_on = threading.Event()
    with upstream(held_until(go_on)) as server, serving(home, settings(server), "--workers", str(workers)) as gateway:
        threads, answers = open_streams(gateway, gateway.new_key(), 3)
        until(lambda: len(server.requests) == 3, "three streams are open")
        gateway.process.send_signal(signal.SIGTERM)
        until(lambda: not connects(gateway.port), "the port is closed")
        for _ in range(100):
            gateway.process.send_signal(number)
            time.sleep(0.005)
        go_on.set()
        while gateway.process.poll() is None:
            gateway.process.send_signal(number)
            time.sleep(0.002)
        assert gateway.process.wait(30) == 0
        for thread in threads:
            thread.join(30)
        assert all(answer.body.endswith(DONE) for answer in answers)
        assert gateway.costs()["total"]["nanousd"] == 3 * COST
        gateway.verify()


def test_a_storm_of_requests_to_start_anew_is_survived(tmp_path: Path) -> None:
    with upstream(by_what_is_asked) as server, serving(tmp_path / "h", settings(server)) as gateway:
        key = gateway.new_key()
        deadline = time.monotonic() + 20
        while said(tmp_path / "h").count("farthing listens on") < 4:
            assert time.monotonic() < deadline
            gateway.process.send_signal(signal.SIGUSR2)
            time.sleep(0.004)
        assert gateway.post("/v1/chat/completions", ASK, key).status == 200
        assert gateway.process.poll() is None


def test_a_socket_that_systemd_hands_over_is_served_and_outlives_the_process(tmp_path: Path) -> None:
    home = tmp_path / "h"
    home.mkdir(mode=0o700)
    with upstream(by_what_is_asked) as server, socket.create_server(("127.0.0.1", 0), backlog=512) as sock:
        port = int(sock.getsockname()[1])
        (home / "settings.yaml").write_text(settings(server, f"server: {{port: {free_port()}}}"))
        environment = clean_environment(HOME=str(home), KEY="sk-real")

        def start() -> Gateway:
            command = [sys.executable, "-c", HANDED_OVER, str(sock.fileno()), "1", sys.executable]
            command += ["-m", "farthing", "serve", "--home", str(home)]
            with (home / "serve.log").open("ab") as log:
                process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, pass_fds=[sock.fileno()])
            return Gateway(home, port, process, environment)

        gateway = start()
        try:
            wait_until_answers(port, "/ready", gateway.process)
            key = gateway.new_key()
            with load(gateway, key) as seen:
                for _ in range(3):
                    before = seen["good"]
                    until(lambda before=before: seen["good"] > before + 50, f"{dict(seen)}")
                    assert gateway.stop() == 0
                    gateway = start()
                    wait_until_answers(port, "/ready", gateway.process)
            assert set(seen) == {"good"}, seen
            assert gateway.costs()["total"]["nanousd"] == seen["good"] * COST
            assert f"listens on http://127.0.0.1:{port}" in said(home)
        finally:
            assert gateway.stop() == 0


@pytest.mark.parametrize(
    ("count", "kind", "told"),
    [
        ("2", "listens", "2 sockets"),
        ("1", "connects", "does not listen"),
        ("9" * 5000, "listens", f"'{'9' * 40}' sockets"),
    ],
)
def test_a_socket_that_is_no_good_is_told(tmp_path: Path, count: str, kind: str, told: str) -> None:
    with socket.socket() as sock:
        if kind == "listens":
            sock.bind(("127.0.0.1", 0))
            sock.listen()
        command = [sys.executable, "-c", HANDED_OVER, str(sock.fileno()), count, sys.executable]
        command += ["-m", "farthing", "serve", "--home", str(tmp_path / "h")]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            env=clean_environment(HOME=str(tmp_path)),
            pass_fds=[sock.fileno()],
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert told in done.stderr
    assert "ListenStream=" in done.stderr
    assert not list((tmp_path / "h" / "journal").iterdir())


def connects(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True
