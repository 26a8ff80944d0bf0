"""A home that has lost something: nothing is made up in its place, and every message names the way out."""

import asyncio
import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from farthing.app import Farthing
from farthing.cli import root
from farthing.config.load import load_settings
from farthing.config.lock import HomeLock
from farthing.config.paths import Home
from farthing.config.running import Running, write_running
from farthing.errors import StoreError
from farthing.ledger.journal_reader import segments
from farthing.types.calls import Attempt
from tests.unit.cli.test_books import journal, keep

Make = Callable[..., Attempt]

READING = [("costs",), ("calls",), ("keys", "list"), ("ledger", "verify"), ("ledger", "rebuild"), ("backup", "{out}")]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home that was used: it has a key."""
    home = Home(tmp_path / "home")
    assert farthing(home, "keys", "create", "laptop").exit_code == 0
    home.settings.write_text("providers: {openai: {credential: none}}\n")
    return home


def farthing(home: Home, *arguments: str, **environment: str | None) -> Result:
    return CliRunner(env={"FARTHING_HOME": str(home.path), "FARTHING_ADMIN_TOKEN": None, **environment}).invoke(
        root, [one.replace("{out}", str(home.path.parent)) for one in arguments]
    )


def names(home: Home) -> set[str]:
    return {path.name for path in home.path.iterdir() if path.name != "lock"}


def opened(home: Home) -> None:
    """Open the house, as `serve` does."""

    async def run() -> None:
        house = Farthing(load_settings(home.settings, known={}, environment={}), home, environment={})
        await house.open()
        await house.close()

    asyncio.run(run())


def found_by_doctor(home: Home, what: str) -> list[dict[str, Any]]:
    return [one for one in json.loads(farthing(home, "doctor", "--json").stdout) if one["what"] == what]


@pytest.mark.parametrize("command", [*READING, ("keys", "create")], ids=" ".join)
def test_no_command_makes_a_database_in_the_place_of_a_lost_one(home: Home, command: tuple[str, ...]) -> None:
    home.database.unlink()
    before = names(home)
    told = farthing(home, *command)
    assert told.exit_code == 1
    assert f"The ledger's database '{home.database}' is missing; it was there before: pepper still is." in told.stderr
    assert "put the file back, or stop the server and restore a backup" in told.stderr
    assert "ledger new" in told.stderr
    assert names(home) == before


def test_beside_a_gateway_a_database_that_was_moved_away_is_told_and_not_replaced(home: Home) -> None:
    home.database.rename(home.path / "elsewhere")
    with HomeLock.acquire(home.lock):
        told = farthing(home, "costs")
        assert (told.exit_code, told.stdout) == (1, "")
        assert "is missing" in told.stderr
    (home.path / "elsewhere").rename(home.database)
    assert "laptop" in farthing(home, "keys", "list").stdout


def test_a_start_without_the_database_of_before_is_refused(home: Home) -> None:
    home.settings.write_text("")
    home.database.unlink()
    with pytest.raises(StoreError, match="is missing; it was there before: pepper still is"):
        opened(home)
    assert not home.database.exists()


def test_answered_calls_in_the_journal_tell_of_a_lost_database_too(home: Home, make_attempt: Make) -> None:
    journal(home, make_attempt(1))
    home.pepper.unlink()
    home.database.unlink()
    told = farthing(home, "costs")
    assert "it was there before: journal still is." in told.stderr
    assert len(segments(home.journal)) == 1


def test_the_log_of_a_lost_database_is_not_put_beside_a_new_one(home: Home) -> None:
    home.pepper.unlink()
    home.database.rename(home.path / "farthing.db-wal")
    assert "it was there before: farthing.db-wal still is." in farthing(home, "keys", "create").stderr


def test_doctor_calls_a_lost_database_a_problem(home: Home) -> None:
    home.database.unlink()
    (found,) = found_by_doctor(home, "database")
    assert found["level"] == "problem"
    assert "is missing" in found["message"]
    assert "ledger new" in found["hint"]


def test_a_database_cut_to_nothing_is_a_problem_to_doctor_and_to_backup(home: Home) -> None:
    home.database.write_bytes(b"")
    (found,) = found_by_doctor(home, "database")
    assert (found["level"], found["message"]) == (
        "problem",
        f"The ledger's database '{home.database}' is empty: it was cut to nothing.",
    )
    told = farthing(home, "backup", str(home.path.parent))
    assert told.exit_code == 1
    assert "is empty: it was cut to nothing.\nhint: stop the server and restore a backup" in told.stderr


def test_a_new_ledger_is_begun_by_name_and_posts_what_the_journal_holds(home: Home, make_attempt: Make) -> None:
    pepper = home.pepper.read_bytes()
    journal(home, make_attempt(1))
    home.database.write_bytes(b"")
    told = farthing(home, "ledger", "new")
    assert told.exit_code == 0, told.output
    (kept,) = home.path.glob("replaced-*")
    assert [path.name for path in kept.iterdir()] == ["farthing.db"]
    assert f"what was there is in {kept}" in told.stderr
    assert json.loads(farthing(home, "costs", "--json").stdout)["total"]["calls"] == 1
    assert json.loads(farthing(home, "keys", "list", "--json").stdout) == []
    assert home.pepper.read_bytes() == pepper
    assert farthing(home, "keys", "create").exit_code == 0


def test_a_new_ledger_is_begun_where_the_old_one_is_gone_altogether(home: Home) -> None:
    home.database.unlink()
    assert farthing(home, "ledger", "new").exit_code == 0
    assert list(home.path.glob("replaced-*")) == []
    assert farthing(home, "costs").exit_code == 0


def test_a_damaged_ledger_is_kept_aside_when_a_new_one_is_begun(home: Home) -> None:
    home.database.write_bytes(b"no database" * 1_000)
    assert "ledger new" in farthing(home, "costs").stderr
    assert farthing(home, "ledger", "new").exit_code == 0
    (kept,) = home.path.glob("replaced-*/farthing.db")
    assert kept.read_bytes() == b"no database" * 1_000


def test_a_sound_ledger_and_one_that_is_served_are_not_replaced(home: Home) -> None:
    before = home.database.read_bytes()
    told = farthing(home, "ledger", "new")
    assert told.exit_code == 1
    assert "is whole; nothing was changed." in told.stderr
    assert home.database.read_bytes() == before
    home.database.unlink()
    with HomeLock.acquire(home.lock):
        told = farthing(home, "ledger", "new")
    assert told.exit_code == 1
    assert "serves the home" in told.stderr
    assert not home.database.exists()


def test_a_start_without_the_pepper_of_the_keys_is_refused(home: Home) -> None:
    home.settings.write_text("")
    home.pepper.unlink()
    with pytest.raises(StoreError, match=r"The pepper .* is missing, and 1 key was made under it"):
        opened(home)
    assert not home.pepper.exists()
    for command in (("keys", "create"), ("admin", "link")):
        told = farthing(home, *command)
        assert told.exit_code == 1
        assert "keys revoke --all" in told.stderr
    assert not home.pepper.exists()
    (found,) = found_by_doctor(home, "pepper")
    assert found["level"] == "problem"


def test_without_the_pepper_revoking_every_key_is_the_way_to_new_ones(home: Home) -> None:
    home.pepper.unlink()
    told = farthing(home, "keys", "revoke", "--all")
    assert told.stderr.startswith("Revoked the key 'laptop' (key_")
    assert farthing(home, "keys", "revoke", "--all").stderr == "No key counted any more.\n"
    assert found_by_doctor(home, "pepper") == []
    assert farthing(home, "keys", "create", "new").exit_code == 0
    assert home.pepper.exists()


def test_revoke_takes_one_key_or_all(home: Home) -> None:
    for arguments in ((), ("laptop", "--all")):
        assert farthing(home, "keys", "revoke", *arguments).exit_code == 2
    assert "Revoked the key 'laptop'" in farthing(home, "keys", "revoke", "laptop").stderr


def test_a_first_start_that_was_interrupted_is_gone_on_with(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.create()
    keep(home)
    assert not home.pepper.exists()
    home.settings.write_text("")
    opened(home)
    assert home.pepper.exists()


@pytest.mark.parametrize("command", [*READING, ("admin", "link"), ("keys", "revoke", "x"), ("logs", "level")])
@pytest.mark.parametrize("kind", ["file", "empty folder", "other folder"])
def test_what_is_no_home_is_told_and_left_as_it_is(tmp_path: Path, command: tuple[str, ...], kind: str) -> None:
    place = tmp_path / "place"
    if kind == "file":
        place.write_text("root:x:0:0")
    else:
        place.mkdir()
    if kind == "other folder":
        (place / "settings.yaml").write_text("other: program\n")
        (place / "journal").mkdir()
    told = farthing(Home(place), *command)
    assert told.exit_code == 1
    assert ("is no folder, so no home." if kind == "file" else "is no home of Farthing: nothing in it") in told.stderr
    assert sorted(path.name for path in tmp_path.rglob("*")) == sorted(
        ["place", *(["settings.yaml", "journal"] if kind == "other folder" else [])]
    )


def test_an_empty_folder_is_a_fine_new_home(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert farthing(home, "keys", "create").exit_code == 0
    assert "my-app-1" in farthing(home, "keys", "list").stdout


def test_a_setting_is_not_put_into_a_new_file_while_a_gateway_goes_on_with_a_lost_one(home: Home) -> None:
    assert farthing(home, "config", "set", "server.port", "3001").exit_code == 0
    home.settings.unlink()
    for command in (("config", "set", "server.port", "3002"), ("providers", "add", "groq")):
        with HomeLock.acquire(home.lock):
            told = farthing(home, *command)
        assert told.exit_code == 1
        assert f"'{home.settings}' is gone, and the running gateway" in told.stderr
        assert "settings.yaml.bak' is what it said before the last change" in told.stderr
        assert not home.settings.exists()
    assert farthing(home, "config", "set", "server.port", "3002").exit_code == 0


def test_two_backups_in_one_second_are_two(home: Home, tmp_path: Path) -> None:
    into = tmp_path / "backups"
    into.mkdir()
    for _ in range(3):
        told = farthing(home, "backup", str(into))
        assert told.exit_code == 0, told.output
        assert " files of " in told.stderr
    assert len(list(into.iterdir())) == 3
    shutil.rmtree(home.path)
    told = farthing(home, "restore", str(min(into.iterdir())))
    assert told.stderr.startswith("restoring the backup that Farthing ")
    assert " UTC\n" in told.stderr


def test_wrong_settings_do_not_keep_the_level_from_being_shown_or_changed(home: Home) -> None:
    home.settings.write_text("log: {level: loud}\n")
    with HomeLock.acquire(home.lock):
        write_running(home, Running(os.getpid(), "h", 1, "http://h:1", ()))
        told = farthing(home, "logs", "level")
        assert (told.exit_code, told.stdout) == (0, "settings\n")
        assert "settings.yaml is wrong just now" in told.stderr
        assert farthing(home, "logs", "level", "debug").stderr.endswith("writes from this level on: debug\n")
        assert farthing(home, "logs", "level").stdout == "debug\n"
        told = farthing(home, "logs", "level", "settings")
        assert "what log.level said when settings.yaml was last right" in told.stderr


def test_a_database_that_is_locked_for_writing_does_not_keep_a_start_that_writes_nothing(home: Home) -> None:
    home.settings.write_text("")
    opened(home)
    locker = sqlite3.connect(home.database, isolation_level=None)
    locker.execute("BEGIN EXCLUSIVE")
    opened(home)
    locker.close()


def test_a_restore_brings_a_lost_database_back_with_its_keys(home: Home, tmp_path: Path) -> None:
    assert farthing(home, "backup", str(tmp_path / "b.tar.gz")).exit_code == 0
    home.database.unlink()
    assert farthing(home, "restore", str(tmp_path / "b.tar.gz"), "--replace").exit_code == 0
    assert "laptop" in farthing(home, "keys", "list").stdout
