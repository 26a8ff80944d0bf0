"""Seals are kept where every call of a conversation comes, and nowhere else."""

from pathlib import Path

import pytest

from farthing.app import Farthing
from farthing.config.paths import Home
from farthing.config.schema import Settings, StorageSettings

SHARED = StorageSettings(url="postgresql://db.example/farthing")


@pytest.mark.parametrize(
    ("storage", "workers", "alone"),
    [(StorageSettings(), 1, True), (StorageSettings(), 2, False), (SHARED, 1, False), (SHARED, 2, False)],
)
async def test_one_worker_on_a_ledger_of_its_own_sees_whole_conversations(
    tmp_path: Path, storage: StorageSettings, workers: int, *, alone: bool
) -> None:
    home = Home(tmp_path / "home")
    home.create()
    settings = Settings(providers={}, models={}, prices=(), storage=storage)
    assert Farthing(settings, home, environment={}, workers=workers).gateway.alone is alone
