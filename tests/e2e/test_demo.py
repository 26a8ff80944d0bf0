import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.support import clean_environment

COMMAND = [sys.executable, "-m", "farthing.testing.demo"]
MOST_S = 60.0


def start_demo(place: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=clean_environment(TMPDIR=str(place), HOME=str(place)),
    )


@pytest.mark.slow
def test_the_demo_agrees_with_its_providers_and_leaves_nothing_behind(tmp_path: Path) -> None:
    demo = start_demo(tmp_path, "--seconds", "4", "--plain")
    told, _ = demo.communicate(timeout=MOST_S)
    assert demo.returncode == 0, told
    found = re.search(r"(\d+) calls agree in every token and to the nanodollar", told)
    assert found is not None, told
    assert int(found[1]) >= 10, told
    assert "The books agree" in told
    for who in ("ada-agent", "support-chat", "nightly-batch", "cho-reader", "eli-lab"):
        assert who in told
    assert "client left" in told
    assert "make serve" in told
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals of one process to another are POSIX's")
def test_ctrl_c_ends_the_demo_early_and_in_order(tmp_path: Path) -> None:
    began = time.monotonic()
    with start_demo(tmp_path, "--seconds", "60", "--plain") as demo:
        assert demo.stdout is not None
        next(line for line in demo.stdout if line.endswith(" ok\n"))  # a first call has ended
        demo.send_signal(signal.SIGINT)
        told = demo.stdout.read()
        assert demo.wait(MOST_S) == 0, told
    assert time.monotonic() - began < MOST_S / 2
    assert "Is it right?" in told
    assert "Traceback" not in told
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="signals of one process to another are POSIX's")
def test_ctrl_c_before_the_first_call_leaves_nothing_behind(tmp_path: Path) -> None:
    with start_demo(tmp_path, "--seconds", "60", "--plain") as demo:
        assert demo.stdout is not None
        assert "Starting" in demo.stdout.readline()
        demo.send_signal(signal.SIGINT)
        told = demo.stdout.read()
        assert demo.wait(MOST_S) == 0, told
    assert "Traceback" not in told
    assert list(tmp_path.iterdir()) == []
