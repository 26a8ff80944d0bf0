"""The benchmark of a large ledger asks what it says it asks, in small."""

import runpy
from pathlib import Path
from typing import Any

import pytest

from farthing.storage.postgres import PostgresStore
from farthing.storage.protocols import Store
from farthing.storage.sqlite import SqliteStore
from tests.contracts.ledger_samples import InPlace
from tests.postgres_server import new_schema

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("backend", ["sqlite", "postgres"])
async def test_costs_and_sums_of_a_month_are_asked_of_both(
    backend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench: dict[str, Any] = runpy.run_path(str(ROOT / "benchmarks" / "big_ledger.py"))
    path = tmp_path / "farthing.db" if backend == "sqlite" else None
    url = new_schema()

    def open_store() -> Store:
        return PostgresStore(url) if path is None else SqliteStore(path, InPlace())

    await bench["prepare"](open_store, 600, 3, path)
    assert await bench["measure"](open_store, 3) > 0
    printed = capsys.readouterr().out
    assert "600 lines in" in printed
    if path is not None:
        took_s, cpu_s = bench["run"](tmp_path, "costs", "--by=tag")
        assert 0 < cpu_s <= took_s * 4
    assert "sums by branch, provider" in printed
