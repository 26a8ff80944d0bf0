"""What is told of this process where a system tells less than Linux does."""

import os
import resource
from pathlib import Path

import pytest

from farthing.monitoring import process
from farthing.monitoring.exposition import exposition
from farthing.monitoring.process import process_families
from tests.unit.monitoring.exposition_reader import Scrape

BEGAN_US = 1_795_000_000_000_000


def test_without_proc_what_is_unknown_is_left_out_and_not_zero(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_PROC", tmp_path)
    before = sum(os.times()[:2])
    told = Scrape(exposition(process_families(BEGAN_US)).decode())
    assert set(told.kinds) == {"process_start_time_seconds", "process_cpu_seconds_total"}
    assert told.value("process_start_time_seconds") == BEGAN_US / 1e6
    assert before <= told.value("process_cpu_seconds_total") <= sum(os.times()[:2])


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="without /proc no limit is told")
def test_a_process_that_may_open_any_number_of_files_has_no_largest_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    names = {family.name for family in process_families(BEGAN_US)}
    assert "process_open_fds" in names
    assert "process_max_fds" not in names
