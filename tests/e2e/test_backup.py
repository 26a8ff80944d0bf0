"""`farthing backup` beside a gateway that serves, and `farthing restore`: what was answered is there, once."""

import json
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from farthing.config.paths import Home
from farthing.ledger.journal_reader import segments
from tests.e2e.support import Gateway, clean_environment, farthing, request, running_gateway, start_gateway
from tests.e2e.test_process import ANSWER, ASK, COST, STREAM, ask_in_background, chunk, settings, until
from tests.e2e.upstream import streamed, upstream, whole

SCALE = float(os.environ.get("FARTHING_CI_SCALE", "1"))


def run(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "farthing", "--home", str(home), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=clean_environment(HOME=str(home.parent), KEY="k"),
        timeout=60,
    )


def total(home: Path) -> tuple[int, int]:
    """Return calls and nanodollars, once the books agree."""
    environment = clean_environment(HOME=str(home.parent), KEY="k")
    costs = json.loads(farthing(home, "costs", "--json", environment=environment).stdout)["total"]
    farthing(home, "ledger", "verify", environment=environment)
    return costs["calls"], costs["nanousd"]


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A home with a settled call in it, that nobody serves."""
    with upstream(whole(ANSWER)) as server, running_gateway(tmp_path / "home", settings(server), KEY="k") as gateway:
        assert gateway.post("/v1/chat/completions", ASK, gateway.new_key()).status == 200
    return tmp_path / "home"


def backed_up(home: Path) -> Path:
    path = home.with_name("backup.tar.gz")
    assert run(home, "backup", str(path)).stdout == f"{path}\n"
    return path


def test_a_backup_beside_a_gateway_holds_every_call_that_was_answered_before_it(tmp_path: Path) -> None:
    calls = max(50, int(400 * SCALE))
    with upstream(whole(ANSWER)) as server, running_gateway(tmp_path / "home", settings(server), KEY="k") as gateway:
        key = gateway.new_key()
        answered = 0
        lock = threading.Lock()

        def ask() -> None:
            nonlocal answered
            for _ in range(calls // 4):
                assert gateway.post("/v1/chat/completions", ASK, key).status == 200
                with lock:
                    answered += 1

        clients = [threading.Thread(target=ask) for _ in range(4)]
        for client in clients:
            client.start()
        backups: list[tuple[int, Path, int]] = []
        while any(client.is_alive() for client in clients) or not backups:
            before, path = answered, tmp_path / f"{len(backups)}.tar.gz"
            gateway.farthing("backup", str(path))
            backups.append((before, path, answered))
        for client in clients:
            client.join()
        assert (gateway.costs()["total"]["calls"], answered) == (calls // 4 * 4, calls // 4 * 4)
        gateway.verify()
    for before, path, after in backups[-3:]:
        home = tmp_path / f"restored-{path.name}"
        assert run(home, "restore", str(path)).returncode == 0
        found, cost = total(home)
        # Calls that were under way at that moment are in flight in the copy, and are there as estimates.
        assert before <= found <= after + 4
        assert cost >= before * COST
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_restored_home_serves_with_the_same_keys_and_settles_what_was_in_flight(tmp_path: Path) -> None:
    endless = streamed(chunk("some words"), end=False)
    with upstream(whole(ANSWER), endless, whole(ANSWER)) as server:
        text = settings(server)
        with running_gateway(tmp_path / "home", f"server: {{port: 0, drain_s: 0.2}}\n{text}", KEY="k") as gateway:
            key = gateway.new_key()
            assert gateway.post("/v1/chat/completions", ASK, key).status == 200
            ask_in_background(gateway, key, STREAM)
            until(lambda: len(server.requests) == 2, "the stream is under way")
            path = tmp_path / "b.tar.gz"
            gateway.farthing("backup", str(path))
        moved = tmp_path / "moved"
        assert run(moved, "restore", str(path)).returncode == 0
        served = start_from(moved)
        try:
            assert served.post("/v1/chat/completions", ASK, key).status == 200
            outcomes = [call["outcome"] for call in served.calls()]
            assert sorted(outcomes) == ["crashed", "ok", "ok"]
            served.verify()
        finally:
            assert served.stop() == 0
        for one in {moved, *moved.rglob("*")} - {moved / "serve.log"}:
            assert stat.S_IMODE(one.stat().st_mode) == (0o700 if one.is_dir() else 0o600), one
        assert segments(moved / "journal") == []


def start_from(home: Path) -> Gateway:
    """Serve a home with the settings that are in it."""
    text = (home / "settings.yaml").read_text(encoding="utf-8").removeprefix("version: 1\n")
    return start_gateway(home, text, KEY="k")


def test_a_backup_after_kill_9_has_what_only_the_journal_has(tmp_path: Path) -> None:
    with upstream(whole(ANSWER)) as server:
        gateway = start_gateway(tmp_path / "home", settings(server), KEY="k")
        key = gateway.new_key()
        for _ in range(20):
            assert gateway.post("/v1/chat/completions", ASK, key).status == 200
        os.kill(gateway.process.pid, signal.SIGKILL)
        gateway.process.wait(10)
        path = backed_up(gateway.home)
        assert segments(gateway.home / "journal"), "a backup changes nothing"
    assert run(tmp_path / "new", "restore", str(path)).returncode == 0
    assert total(tmp_path / "new") == (20, 20 * COST)


def test_a_home_in_use_is_not_restored_into(tmp_path: Path) -> None:
    with upstream(whole(ANSWER)) as server, running_gateway(tmp_path / "home", settings(server), KEY="k") as gateway:
        path = backed_up(gateway.home)
        refused = run(gateway.home, "restore", "--replace", str(path))
        assert refused.returncode == 1
        assert f"pid {gateway.process.pid}" in refused.stderr
        assert request(gateway.port, "GET", "/ready").status == 200


def test_a_home_that_is_not_empty_is_kept_unless_told_and_kept_aside_then(kept: Path) -> None:
    path = backed_up(kept)
    before = total(kept)
    refused = run(kept, "restore", str(path))
    assert refused.returncode == 1
    assert "is not empty: it has settings.yaml, pepper, admin, farthing.db." in refused.stderr
    assert "give --replace" in refused.stderr
    assert total(kept) == before == (1, COST)

    (kept / "settings.yaml").write_text("providers: nonsense")
    told = run(kept, "restore", "--replace", str(path))
    assert told.returncode == 0, told.stderr
    assert total(kept) == before
    (old,) = kept.glob("replaced-*")
    assert str(old) in told.stderr
    assert (old / "settings.yaml").read_text() == "providers: nonsense"
    assert (old / "farthing.db").exists()


@pytest.mark.parametrize("damage", ["cut", "flipped", "foreign"])
def test_a_damaged_or_foreign_backup_changes_nothing(kept: Path, damage: str) -> None:
    path = backed_up(kept)
    content = path.read_bytes()
    half = len(content) // 2
    spoiled = {"cut": content[:half], "flipped": content[:half] + b"\x00\xff" + content[half + 2 :], "foreign": b"x"}
    path.write_bytes(spoiled[damage])
    before = {one: one.read_bytes() for one in kept.rglob("*") if one.is_file() and one.name != "lock"}
    refused = run(kept, "restore", "--replace", str(path))
    assert refused.returncode == 1
    assert "is damaged" in refused.stderr
    assert {one: one.read_bytes() for one in kept.rglob("*") if one.is_file() and one.name != "lock"} == before


def test_a_damaged_database_is_not_backed_up_as_if_it_were_whole(kept: Path) -> None:
    content = bytearray((kept / "farthing.db").read_bytes())
    content[3 * 4096 : 4 * 4096] = os.urandom(4096)
    (kept / "farthing.db").write_bytes(content)
    refused = run(kept, "backup", str(kept.with_name("b.tar.gz")))
    assert refused.returncode == 1
    assert "database is damaged" in refused.stderr or "malformed" in refused.stderr
    assert not kept.with_name("b.tar.gz").exists()
    assert sorted(one.name for one in kept.parent.iterdir()) == ["home"]


def test_an_existing_file_is_not_written_over_and_a_folder_gets_a_name_with_the_date(kept: Path) -> None:
    path = backed_up(kept)
    again = run(kept, "backup", str(path))
    assert again.returncode == 1
    assert "is there already" in again.stderr
    folder = kept.with_name("backups")
    folder.mkdir()
    made = Path(run(kept, "backup", str(folder)).stdout.strip())
    assert made.parent == folder
    assert made.name.startswith("farthing-20")
    assert run(kept, "backup", str(kept / "no" / "folder")).returncode == 1


@pytest.mark.parametrize("renames", range(24))
def test_a_restore_that_is_killed_leaves_the_old_home_or_is_completed(kept: Path, renames: int) -> None:
    path = backed_up(kept)
    (kept / "settings.yaml").write_text("providers: nonsense")
    died = subprocess.run(
        [sys.executable, "-c", _DIES_RENAMING, str(renames), "--home", str(kept), "restore", "--replace", str(path)],
        env=clean_environment(HOME=str(kept.parent), KEY="k"),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if (kept / "restoring").exists():
        refused = run(kept, "keys", "list")
        assert refused.returncode == 1
        assert "was interrupted" in refused.stderr
        assert "restore --finish" in refused.stderr
        assert run(kept, "restore", "--replace", str(path)).returncode == 1
        assert run(kept, "restore", "--finish").returncode == 0
        assert total(kept) == (1, COST)
    elif died.returncode == 0:
        assert total(kept) == (1, COST)
        assert (kept / "settings.yaml").read_text() != "providers: nonsense"
    else:
        assert (kept / "settings.yaml").read_text() == "providers: nonsense"
        assert (kept / "farthing.db").exists()


_DIES_RENAMING = """
import os, pathlib, signal, sys
left = int(sys.argv.pop(1))
def dies(move):
    def moved(source, target):
        global left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return move(source, target)
    return moved
pathlib.Path.rename = dies(pathlib.Path.rename)
pathlib.Path.replace = dies(pathlib.Path.replace)
os.link = dies(os.link)
from farthing.cli import main
main()
"""


def test_nothing_to_finish_is_said(kept: Path) -> None:
    told = run(kept, "restore", "--finish")
    assert (told.returncode, told.stderr) == (0, "There is no interrupted restore.\n")
    assert run(kept, "restore").returncode == 2


def test_totals_are_made_again_beside_a_gateway(tmp_path: Path) -> None:
    with upstream(whole(ANSWER)) as server, running_gateway(tmp_path / "home", settings(server), KEY="k") as gateway:
        key = gateway.new_key()
        assert gateway.post("/v1/chat/completions", ASK, key).status == 200
        gateway.calls()
        spoil_totals(gateway.home)
        done = []
        for _ in range(5):
            assert gateway.post("/v1/chat/completions", ASK, key).status == 200
            done.append(json.loads(gateway.farthing("ledger", "rebuild", "--json").stdout))
        assert "cost_nanousd is" in done[0]["differed"][0]["message"]
        assert [one["differed"] for one in done[1:]] == [[]] * 4
        gateway.verify()
        assert gateway.costs()["total"]["nanousd"] == 6 * COST


def spoil_totals(folder: Path) -> None:
    with sqlite3.connect(Home(folder).database) as other:
        other.execute("UPDATE daily_totals SET cost_nanousd = cost_nanousd + 7")
    other.close()


def test_a_home_without_a_ledger_can_be_backed_up(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert run(home, "providers", "add", "openai").returncode == 0
    path = backed_up(home)
    shutil.rmtree(home)
    assert run(home, "restore", str(path)).returncode == 0
    assert not (home / "farthing.db").exists()
    assert (home / "settings.yaml").exists()
