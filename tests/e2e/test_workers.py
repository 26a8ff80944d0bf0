"""Several processes that serve one home: together they are one gateway, and the death of one is nobody's loss."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

import farthing
from farthing.cli.worker import LENGTH_BYTES, ORDER_VERSION, VERSION_BYTES, read_order
from farthing.cli.workers import _Worker
from farthing.config.paths import Home
from farthing.errors import ConfigError
from farthing.monitoring.exposition import Family
from farthing.monitoring.siblings import Siblings, forget_figures, forget_figures_of
from farthing.storage.offload import ThreadOffload
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
    workers_of,
)
from tests.e2e.support import Gateway, request
from tests.e2e.upstream import streamed, upstream, whole

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="Windows hands no sockets from process to process"),
    pytest.mark.skipif(not Path("/proc").exists(), reason="needs /proc to find the workers of a home"),
]


def scrape(gateway: Gateway) -> list[str]:
    link = gateway.farthing("admin", "link").stdout
    token = "fta-" + link.partition("fta-")[2].split()[0]
    found = request(gateway.port, "GET", "/metrics", headers={"authorization": f"Bearer {token}"})
    assert found.status == 200
    return found.body.decode().splitlines()


def test_together_they_are_one_gateway(tmp_path: Path) -> None:
    home = tmp_path / "h"
    with upstream(by_what_is_asked) as server, serving(home, settings(server), "--workers", "3") as gateway:
        key = gateway.new_key()
        assert len(workers_of(home)) == 3
        assert len(list((home / "journal").glob("*.journal"))) == 3
        with load(gateway, key) as seen:
            until(lambda: seen["good"] > 300, f"{dict(seen)}")
        assert set(seen) == {"good"}, seen
        assert gateway.costs()["total"]["nanousd"] == seen["good"] * COST
        gateway.verify()

        def counted() -> int:
            ours = [line for line in scrape(gateway) if line.startswith("farthing_attempts_total{")]
            return sum(int(line.rpartition(" ")[2]) for line in ours)

        until(lambda: counted() == seen["good"], "every worker's calls are counted")
        lines = scrape(gateway)
        names = [line.split()[2] for line in lines if line.startswith("# TYPE")]
        assert len(names) == len(set(names))
        for number in (1, 2, 3):
            assert f'farthing_store_reachable{{worker="{number}"}} 1' in lines

        running = json.loads((home / "running.json").read_text())
        assert running["pid"] == gateway.process.pid
        assert running["port"] == gateway.port

        gateway.farthing("keys", "revoke", "test")
        time.sleep(1)
        assert {gateway.post("/v1/chat/completions", ASK, key).status for _ in range(30)} == {401}
    assert not workers_of(home)
    assert not list((home / "journal").glob("*.journal"))


def test_a_change_of_the_settings_reaches_all_and_a_mistake_none(tmp_path: Path) -> None:
    home = tmp_path / "h"
    with upstream(whole(ANSWER)) as server, serving(home, settings(server), "--workers", "2") as gateway:
        key = gateway.new_key()
        good = settings(server)
        (home / "settings.yaml").write_text(good + "models: {nick: 'openai:m'}\n")

        def all_know() -> bool:
            asked = {**ASK, "model": "nick"}
            return {gateway.post("/v1/chat/completions", asked, key).status for _ in range(20)} == {200}

        until((home / "running.json").exists, "all have started")
        looked = json.loads((home / "running.json").read_text())["settings"]["looked_at_us"]
        until(
            lambda: json.loads((home / "running.json").read_text())["settings"]["looked_at_us"] > looked, "it is read"
        )
        until(lambda: all(all_know() for _ in range(5)), "the alias holds in every worker")
        (home / "settings.yaml").write_text(good.replace("providers:", "provders:"))
        gateway.process.send_signal(signal.SIGHUP)
        until(lambda: "provders" in (home / "running.json").read_text(), "the mistake is told")
        assert all_know()
        # Who dies meanwhile comes back with what held before the mistake.
        (first, *_) = workers_of(home)
        os.kill(first, signal.SIGKILL)
        until(lambda: "is back" in said(home), "another takes its place")
        assert len(workers_of(home)) == 2
        assert all_know()


def test_the_death_of_a_worker_loses_nothing_and_disturbs_no_other(tmp_path: Path) -> None:
    home = tmp_path / "h"
    kept = streamed(chunk("a" * 400), end=False)
    with (
        upstream(*[kept] * 12, by_what_is_asked) as server,
        serving(home, settings(server), "--workers", "2") as gateway,
    ):
        key = gateway.new_key()
        ended: list[str] = []

        def ask() -> None:
            try:
                gateway.post("/v1/chat/completions", STREAM, key)
                ended.append("told")
            except Exception as error:  # noqa: BLE001 - that is what the dead worker's clients see
                ended.append(type(error).__name__)

        asking = [threading.Thread(target=ask, daemon=True) for _ in range(12)]
        for one in asking:
            one.start()
        until(lambda: len(server.requests) == 12, "twelve streams are open")

        def outcomes() -> Counter[str]:
            return Counter(attempt.outcome for attempt in gateway.attempts())

        for number, victim in enumerate(workers_of(home), 1):
            os.kill(victim, signal.SIGKILL)  # in one of the two turns, or in both, streams die with it
            answered = sum(gateway.post("/v1/chat/completions", ASK, key).status == 200 for _ in range(50))
            assert answered == 50
            until(lambda number=number: said(home).count("is back") == number, "another takes its place")
        for one in asking:
            one.join(30)
        assert len(ended) == 12
        assert "told" not in ended
        until(lambda: outcomes()["crashed"] == 12, f"who was cut is settled: {outcomes()}")
        assert outcomes() == {"ok": 100, "crashed": 12}
        assert all(attempt.cost_basis == "estimated" for attempt in gateway.attempts() if attempt.outcome == "crashed")
        gateway.verify()
    assert said(home).count("ended with -9") == 2


def test_when_who_started_them_is_killed_they_leave_in_order_and_hold_the_home_till_then(tmp_path: Path) -> None:
    home = tmp_path / "h"
    go_on = threading.Event()

    with upstream(held_until(go_on)) as server, serving(home, settings(server), "--workers", "2") as gateway:
        key = gateway.new_key()
        bodies: list[bytes] = []
        threads = [
            threading.Thread(target=lambda: bodies.append(gateway.post("/v1/chat/completions", STREAM, key).body))
            for _ in range(6)
        ]
        for thread in threads:
            thread.start()
        until(lambda: len(server.requests) == 6, "six streams are open")
        gateway.kill()
        second = subprocess.run(
            [sys.executable, "-m", "farthing", "serve", "--home", str(home), "--port", "0"],
            capture_output=True,
            text=True,
            env=gateway.environment,
            timeout=60,
            check=False,
        )
        assert second.returncode == 1
        assert f"(pid {gateway.process.pid}) is gone, but workers that it started still hold it" in second.stderr
        assert all(str(worker) in second.stderr for worker in workers_of(home))
        go_on.set()
        for thread in threads:
            thread.join(30)
        assert len(bodies) == 6
        assert all(body.endswith(DONE) for body in bodies)
        until(lambda: not workers_of(home), "both have left")
        assert gateway.costs()["total"]["nanousd"] == 6 * COST
        gateway.verify()


def test_a_place_is_not_left_empty_until_the_books_of_who_died_are_complete(tmp_path: Path) -> None:
    home = tmp_path / "h"
    kept = streamed(chunk("a"), end=False)
    with (
        upstream(*[kept] * 4, by_what_is_asked) as server,
        serving(home, settings(server), "--workers", "2") as gateway,
    ):
        key = gateway.new_key()
        asking = [
            threading.Thread(target=lambda: suppressed(lambda: gateway.post("/v1/chat/completions", STREAM, key)))
            for _ in range(4)
        ]
        for one in asking:
            one.start()
        until(lambda: len(server.requests) == 4, "four streams are open")
        writes = sqlite3.connect(home / "farthing.db", isolation_level=None)
        writes.execute("BEGIN IMMEDIATE")
        for victim in workers_of(home):
            os.kill(victim, signal.SIGKILL)
        until(lambda: said(home).count("is back") == 2, "both places are taken")
        assert "attempts that it left in flight" not in said(home)
        assert gateway.post("/v1/chat/completions", ASK, key).status == 200
        writes.execute("ROLLBACK")
        writes.close()
        for one in asking:
            one.join(30)

        def outcomes() -> Counter[str]:
            return Counter(attempt.outcome for attempt in gateway.attempts())

        until(lambda: outcomes() == {"crashed": 4, "ok": 1}, f"the books are complete: {outcomes()}")
        gateway.verify()


def test_a_price_list_that_is_broken_when_workers_die_keeps_them_away_no_longer_than_it_is(tmp_path: Path) -> None:
    home = tmp_path / "h"
    with (
        upstream(streamed(chunk("a"), end=False)) as server,
        serving(home, settings(server), "--workers", "2") as gateway,
    ):
        key = gateway.new_key()
        asking = threading.Thread(target=lambda: suppressed(lambda: gateway.post("/v1/chat/completions", STREAM, key)))
        asking.start()
        until(lambda: len(server.requests) == 1, "a stream is open")
        (home / "prices").mkdir(exist_ok=True)
        (home / "prices" / "state.json").write_text("{")
        for victim in workers_of(home):
            os.kill(victim, signal.SIGKILL)
        until(lambda: "left is not in the ledger yet: The price list" in said(home), "it is told")
        (home / "prices" / "state.json").unlink()
        until(lambda: said(home).count("is back") == 2, "both are back")
        until(lambda: "1 attempts that it left in flight" in said(home), "the books are complete")
        asking.join(30)
    assert "everything is settled" in said(home)


@pytest.mark.parametrize("first", ["workers", "who started them"])
def test_a_signal_that_a_service_manager_sends_to_all_processes_lets_answers_end(tmp_path: Path, first: str) -> None:
    home = tmp_path / "h"
    go_on = threading.Event()
    with upstream(held_until(go_on)) as server, serving(home, settings(server), "--workers", "2") as gateway:
        key = gateway.new_key()
        bodies: list[bytes] = []
        threads = [
            threading.Thread(target=lambda: bodies.append(gateway.post("/v1/chat/completions", STREAM, key).body))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        until(lambda: len(server.requests) == 4, "four streams are open")
        workers = workers_of(home)
        for process in (*workers, gateway.process.pid) if first == "workers" else (gateway.process.pid, *workers):
            with contextlib.suppress(ProcessLookupError):  # a worker that got no stream leaves at once
                os.kill(process, signal.SIGTERM)
            until(
                lambda pid=process: "stopping:" in said(home) or (pid in workers and pid not in workers_of(home)),
                "the first to hear of it has done what it can",
            )
        time.sleep(1)
        assert not bodies
        go_on.set()
        for thread in threads:
            thread.join(30)
        assert len(bodies) == 4
        assert all(body.endswith(DONE) for body in bodies)
        assert gateway.process.wait(30) == 0


@pytest.mark.parametrize("restarting", [False, True])
def test_a_second_signal_cuts_at_once_and_all_is_settled(tmp_path: Path, restarting: bool) -> None:
    home = tmp_path / "h"
    with (
        upstream(streamed(chunk("a"), end=False)) as server,
        serving(home, settings(server), "--workers", "2") as gateway,
    ):
        key = gateway.new_key()
        bodies: list[bytes] = []
        threads = [
            threading.Thread(target=lambda: bodies.append(gateway.post("/v1/chat/completions", STREAM, key).body))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        until(lambda: len(server.requests) == 4, "four streams are open")
        if restarting:  # a new worker is about to start, and must keep nobody waiting
            gateway.process.send_signal(signal.SIGUSR2)
            until(lambda: len(workers_of(home)) == 3, "a new worker starts")
        gateway.process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
        gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait(10) == 0
        assert not workers_of(home)
        for thread in threads:
            thread.join(30)
        assert len(bodies) == 4
        assert all(b'"error"' in body for body in bodies)
        assert not list((home / "journal").glob("*.journal"))
        gateway.verify()
    assert "everything is settled" in said(home)
    assert "Traceback" not in said(home)


def test_who_tells_a_worker_to_leave_need_not_wait_for_its_answers_to_have_another(tmp_path: Path) -> None:
    home = tmp_path / "h"
    go_on = threading.Event()
    with upstream(held_until(go_on)) as server, serving(home, settings(server), "--workers", "2") as gateway:
        threads, bodies = [], []
        key = gateway.new_key()
        for _ in range(8):
            threads.append(
                threading.Thread(target=lambda: bodies.append(gateway.post("/v1/chat/completions", STREAM, key).body))
            )
            threads[-1].start()
        until(lambda: len(server.requests) == 8, "eight streams are open")
        before = workers_of(home)
        for worker in before:
            os.kill(worker, signal.SIGTERM)
        until(lambda: said(home).count("is back") == 2, "others take their places")
        assert said(home).count("got a signal and leaves") == 2
        assert not bodies
        go_on.set()
        for thread in threads:
            thread.join(30)
        assert all(body.endswith(DONE) for body in bodies)
        until(lambda: not set(before) & set(workers_of(home)), "the old ones have left")
        assert gateway.costs()["total"]["nanousd"] == 8 * COST
        gateway.verify()


def test_the_figures_of_a_dead_worker_are_told_no_more(tmp_path: Path) -> None:
    home = Home(tmp_path)
    forget_figures(home)
    (tmp_path / "workers" / "1.figures").write_bytes(b"")
    (tmp_path / "workers" / "2.figures").write_bytes(b"")
    forget_figures_of(home, 1)
    forget_figures_of(home, 1)  # there is nothing any more
    assert [path.name for path in (tmp_path / "workers").iterdir()] == ["2.figures"]


@pytest.fixture
def upgraded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have gateways run from a copy of the program, which a test may then change as an upgrade does."""
    installed = tmp_path / "installed"
    shutil.copytree(
        Path(farthing.__file__).parent, installed / "farthing", ignore=shutil.ignore_patterns("__pycache__")
    )
    monkeypatch.setenv("PYTHONPATH", str(installed))
    return installed / "farthing"


def test_workers_are_not_replaced_by_those_of_a_program_that_would_change_the_tables(
    tmp_path: Path, upgraded: Path
) -> None:
    home = tmp_path / "h"
    with upstream(by_what_is_asked) as server, serving(home, settings(server), "--workers", "2") as gateway:
        key = gateway.new_key()
        before = workers_of(home)
        migrations = upgraded / "storage" / "sqlite" / "migrations"
        number = len(list(migrations.glob("*.sql"))) + 1
        (migrations / f"{number:04d}_more.sql").write_text("CREATE TABLE more (id INTEGER PRIMARY KEY) STRICT;")
        gateway.process.send_signal(signal.SIGUSR2)
        until(lambda: "the restart that was asked for is not begun" in said(home), "it is refused")
        assert f"its ledger has tables of version {number}, and those of the running one have version" in said(home)
        assert "stop the gateway and start it again" in said(home)
        assert workers_of(home) == before
        # One that dies is not replaced by such a program either.
        os.kill(before[0], signal.SIGKILL)
        until(lambda: "a worker did not start: Another program is installed now" in said(home), "it is refused")
        assert gateway.post("/v1/chat/completions", ASK, key).status == 200
        with sqlite3.connect(home / "farthing.db") as reads:
            assert reads.execute("PRAGMA user_version").fetchone() == (number - 1,)
    assert "Traceback" not in said(home)


def test_a_program_with_other_settings_reads_them_itself(tmp_path: Path, upgraded: Path) -> None:
    home = tmp_path / "h"
    with upstream(by_what_is_asked) as server, serving(home, settings(server), "--workers", "2") as gateway:
        key = gateway.new_key()
        schema = upgraded / "config" / "schema.py"
        text = schema.read_text()
        assert text.count("    drain_s: ") == 1
        schema.write_text(text.replace("    drain_s: ", "    nap_s: float = 5.0\n    drain_s: "))
        gateway.process.send_signal(signal.SIGUSR2)
        until(lambda: "every worker was replaced" in said(home), said(home))
        assert gateway.post("/v1/chat/completions", ASK, key).status == 200
    assert "Traceback" not in said(home)


def test_an_order_of_another_version_is_refused_in_words() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall((ORDER_VERSION + 1).to_bytes(VERSION_BYTES) + (3).to_bytes(LENGTH_BYTES) + b"\xff\xff\xff")
        with pytest.raises(ConfigError, match=f"take orders of version {ORDER_VERSION}, and get those of version"):
            read_order(theirs)


async def test_a_worker_that_hangs_when_it_is_to_leave_is_killed() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        hung = await asyncio.create_subprocess_exec("sleep", "60")
        _Worker(1, hung, ours).retire(within_s=0.05)
        async with asyncio.timeout(10):
            assert await hung.wait() == -signal.SIGKILL


def test_settings_that_are_to_be_read_again_while_workers_start_end_none_of_them(tmp_path: Path) -> None:
    home = tmp_path / "h"
    with upstream(by_what_is_asked) as server, serving(home, settings(server), "--workers", "2") as gateway:
        before = workers_of(home)
        gateway.process.send_signal(signal.SIGUSR2)
        deadline = time.monotonic() + 20
        while "every worker was replaced" not in said(home):
            assert time.monotonic() < deadline, said(home)
            gateway.process.send_signal(signal.SIGHUP)
            time.sleep(0.05)
        until(lambda: not set(before) & set(workers_of(home)), "the old ones have left")
        until(lambda: len(workers_of(home)) == 2, "and two are there")


async def test_the_figures_of_a_place_are_those_of_the_process_that_came_last(tmp_path: Path) -> None:
    home = Home(tmp_path)
    forget_figures(home)
    offload = ThreadOffload("test")
    old, new, other = (Siblings(home, index, offload) for index in (1, 1, 2))

    def counted(value: int) -> list[Family]:
        return [Family("calls", "counter", "Calls.", [("_total", "", value)])]

    older, newer = (
        asyncio.create_task(one.publish(lambda value=value: counted(value)))  # type: ignore[misc]  # bound as default
        for one, value in ((old, 7), (new, 1))
    )
    try:
        async with asyncio.timeout(10):
            await older  # it sees that another has its place, and goes
        (family,) = await other.all([])
        assert family.samples == [("_total", '{worker="1"}', 1)]
    finally:
        newer.cancel()
        await asyncio.wait([newer])
        await offload.close()


def suppressed(work: object) -> None:
    """Do what a dead worker's clients do, whose error is of no interest."""
    assert callable(work)
    with suppress(Exception):
        work()


def test_more_workers_than_make_sense_are_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "farthing", "serve", "--home", str(tmp_path / "h"), "--workers", "65"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "65 is not in the range 1<=x<=64" in done.stderr
    assert not (tmp_path / "h").exists()
