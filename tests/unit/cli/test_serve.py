import os
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from farthing.cli.serving import last_words
from farthing.config.lock import HomeLock, holder
from farthing.errors import HomeLocked
from farthing.ledger import Ledger


def said(**changes: object) -> str:
    closed = {"queued": 0, "spilled": False, "in_flight": 0, "in_memory_only": 0, "refused": 0, "store_error": None}
    return last_words(cast("Ledger", SimpleNamespace(**closed | changes)), "/home/journal")


def test_a_server_that_stops_says_what_is_where() -> None:
    assert said() == "farthing stopped; everything is settled"
    assert said(queued=3, store_error="StoreError: locked") == (
        "farthing stopped, but 3 ended attempts are not in the ledger yet (StoreError: locked);"
        " they wait in '/home/journal' for the next start"
    )
    assert "more than 8192 ended attempts" in said(queued=8192, spilled=True)
    assert "1 of them ended while the journal could not be written" in said(queued=1, in_memory_only=1)
    assert "2 attempts were cut" in said(in_flight=2)
    assert "refused 4 attempts" in said(refused=4)


def test_the_lock_tells_what_it_is_held_for(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with HomeLock.acquire(path, "recovery"):
        assert path.read_text() == f"{os.getpid()} recovery\n"
        assert holder(path) == os.getpid()
        with pytest.raises(HomeLocked, match=r"is posting what a crash left in the home .*try again"):
            HomeLock.acquire(path)
    with HomeLock.acquire(path):
        assert path.read_text() == f"{os.getpid()} serve\n"


def test_a_server_waits_for_a_recovery_to_end(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    held = HomeLock.acquire(path, "recovery")
    timer = threading.Timer(0.1, held.release)
    timer.start()
    HomeLock.acquire(path, patience_s=10).release()
    timer.join()
