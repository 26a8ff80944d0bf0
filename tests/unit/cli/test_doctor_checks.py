"""What `farthing doctor` finds in places that are not well in a less usual way."""

import os
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner

from farthing.cli import checks, home_checks, root
from farthing.config.paths import Home
from farthing.config.schema import ServerSettings, Settings
from farthing.storage.sqlite.database import APPLICATION_ID


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.create()
    return home


NO_SETTINGS = Settings(providers={}, models={}, prices=())


def test_a_home_that_is_a_file_is_a_problem_and_not_looked_into(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("somebody's file")
    (found,) = home_checks.check_home(Home(tmp_path / "home"))
    assert (found.level, found.message.endswith("is no folder")) == ("problem", True)
    assert found.hint == "choose another with --home or FARTHING_HOME"


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to this account")
def test_a_home_and_a_journal_of_somebody_else_are_problems(home: Home) -> None:
    home.journal.chmod(0o500)
    (found,) = home_checks.check_journal(home)
    assert (found.level, found.hint) == ("problem", "check who owns it")
    home.path.chmod(0o500)
    (found,) = home_checks.check_home(home)
    assert (found.level, found.hint) == ("problem", "check who owns it")


def test_an_ollama_on_another_machine_is_not_knocked_at() -> None:
    (found,) = checks.check_ollama(NO_SETTINGS, {"OLLAMA_HOST": "http://ollama.example:11434"})
    assert found.level == "ok"
    assert "another machine" in found.message


def test_a_price_list_that_cannot_be_used_is_a_problem_with_the_way_out(home: Home) -> None:
    (home.path / "prices").mkdir(mode=0o700)
    (home.path / "prices" / "state.json").write_text("no state")
    (found,) = checks.check_models(home, NO_SETTINGS)
    assert (found.what, found.level) == ("prices", "problem")
    assert found.hint


def test_any_free_port_is_not_tried(home: Home) -> None:
    (found,) = checks.check_port(home, ServerSettings(host="192.0.2.1", port=0), None)
    assert (found.level, found.message) == ("ok", "any free one at 192.0.2.1")


def a_proc(folder: Path, table: str) -> Path:
    (folder / "net").mkdir(parents=True)
    (folder / "net" / "tcp").write_text("  sl  local_address rem_address   st\n" + table, encoding="ascii")
    return folder


LISTENS = "   0: 0100007F:0BB8 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1\n"
TALKS = "   1: 0100007F:0BB8 0100007F:D431 01 00000000:00000000 00:00000000 00000000  1000        0 4712 1\n"


def test_who_listens_is_found_past_processes_that_cannot_be_looked_into(tmp_path: Path) -> None:
    proc = a_proc(tmp_path / "proc", TALKS + LISTENS)
    for pid, inode in (("7", "4712"), ("8", "4711")):
        (proc / pid / "fd").mkdir(parents=True)
        (proc / pid / "fd" / "3").symlink_to(f"socket:[{inode}]")
    for other in range(100, 140):
        (proc / str(other)).mkdir()
        (proc / str(other) / "fd").write_text("another user's: it cannot be listed")
    assert checks.listener_pid(3000, proc) == 8
    assert checks.listener_pid(3001, proc) is None


def test_where_the_system_tells_nothing_nobody_is_named(tmp_path: Path) -> None:
    assert checks.listener_pid(3000, tmp_path) is None


def test_a_database_of_another_program_is_left_to_it(home: Home) -> None:
    with sqlite3.connect(home.database) as other:
        other.execute("PRAGMA user_version = 3")
        other.execute("CREATE TABLE theirs (id)")
    other.close()
    before = home.database.read_bytes()
    (found,) = home_checks.check_database(home)
    assert (found.level, found.hint) == ("problem", "choose another home with --home")
    assert home.database.read_bytes() == before


def made_by_us(home: Home) -> None:
    made = CliRunner(env={"FARTHING_HOME": str(home.path)}).invoke(root, ["keys", "create", "first"])
    assert made.exit_code == 0, made.output


def test_a_database_with_a_damaged_page_is_a_problem_and_a_restore_the_way_out(home: Home) -> None:
    made_by_us(home)
    for side in ("-wal", "-shm"):
        assert not home.database.with_name(f"{home.database.name}{side}").exists(), "all is in the file"
    connection = sqlite3.connect(home.database)
    (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE type = 'index' LIMIT 1").fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    connection.close()
    with home.database.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    (found,) = home_checks.check_database(home)
    assert (found.level, "is damaged" in found.message) == ("problem", True)
    assert "restore a copy" in (found.hint or "")


def test_a_database_of_an_older_version_is_well_and_stays_as_it_is(home: Home) -> None:
    with sqlite3.connect(home.database) as older:
        older.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        older.execute("PRAGMA user_version = 1")
    older.close()
    before = home.database.read_bytes()
    (found,) = home_checks.check_database(home)
    assert found.level == "ok"
    assert "version 1; the next start brings it to" in found.message
    assert home.database.read_bytes() == before


@pytest.mark.parametrize(("bound", "level"), [("NO_ROOM_BYTES", "problem"), ("LITTLE_ROOM_BYTES", "warning")])
def test_a_disk_with_little_room_is_told(home: Home, monkeypatch: pytest.MonkeyPatch, bound: str, level: str) -> None:
    monkeypatch.setattr(checks, "NO_ROOM_BYTES", 0)
    monkeypatch.setattr(checks, bound, 1 << 62)
    (found,) = checks.check_room(home)
    assert (found.what, found.level) == ("disk", level)
    assert "make room" in (found.hint or "")
