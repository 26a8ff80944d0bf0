"""A database that is taken away under a gateway, or between two starts: nothing is made up, nothing is lost."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.serving import ANSWER, ASK, COST, said, serving, settings
from tests.e2e.support import Gateway, clean_environment, request
from tests.e2e.test_process import until
from tests.e2e.upstream import upstream, whole


def run(gateway: Gateway, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "farthing", "--home", str(gateway.home), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=clean_environment(HOME=str(gateway.home), KEY="k"),
        timeout=60,
    )


def ask(gateway: Gateway, key: str) -> int:
    return gateway.post("/v1/chat/completions", ASK, key).status


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_database_that_is_put_back_has_every_call_and_every_key(tmp_path: Path, workers: str) -> None:
    with (
        upstream(whole(ANSWER)) as server,
        serving(tmp_path / "home", settings(server), "--workers", workers) as gateway,
    ):
        key = gateway.new_key()
        assert ask(gateway, key) == 200
        assert gateway.costs()["total"]["nanousd"] == COST
        database = gateway.home / "farthing.db"
        database.rename(gateway.home / "elsewhere")
        until(lambda: request(gateway.port, "GET", "/ready").status == 503, "the gateway has noticed")
        for command in (("costs",), ("keys", "list"), ("keys", "create"), ("ledger", "verify"), ("ledger", "new")):
            told = run(gateway, *command)
            assert told.returncode == 1, command
            assert "is missing" in told.stderr or "serves the home" in told.stderr
        assert not database.exists()
        gateway.process.send_signal(signal.SIGUSR2)
        until(lambda: "restart that was asked for is not begun: The ledger's database" in said(gateway.home), "told")
        assert ask(gateway, key) == 200
        (gateway.home / "elsewhere").rename(database)
        until(lambda: request(gateway.port, "GET", "/ready").status == 200, "the gateway has noticed")
        assert ask(gateway, key) == 200
        until(lambda: gateway.costs()["total"]["nanousd"] == 3 * COST, "all three calls are in the ledger")
        gateway.verify()


def test_a_start_after_the_database_was_removed_is_refused_until_a_new_ledger_is_asked_for(tmp_path: Path) -> None:
    with upstream(whole(ANSWER)) as server:
        text = settings(server)
        with serving(tmp_path / "home", text) as gateway:
            key = gateway.new_key()
            assert ask(gateway, key) == 200
            for path in gateway.home.glob("farthing.db*"):
                path.unlink()
            assert ask(gateway, key) == 200
        left = {path.name for path in gateway.home.iterdir()}
        refused = run(gateway, "serve", "--port", "0")
        assert refused.returncode == 1
        assert "is missing; it was there before: pepper, journal still are." in refused.stderr
        assert {path.name for path in gateway.home.iterdir()} == left
        assert run(gateway, "ledger", "new").returncode == 0
        with serving(tmp_path / "home", text) as gateway:
            assert "Your client key, shown this once" in said(gateway.home)
            assert gateway.costs()["total"]["nanousd"] >= COST, "what the journal held was posted"
            gateway.verify()
