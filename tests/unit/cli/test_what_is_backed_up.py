"""What a backup takes of a home in which other things lie too, and what a restore says of a backup that is odd."""

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from farthing.config.paths import Home
from farthing.types.calls import Attempt
from tests.unit.cli.test_books import journal
from tests.unit.cli.test_lost import farthing

Make = Callable[..., Attempt]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    assert farthing(home, "keys", "create", "laptop").exit_code == 0
    home.settings.write_text("providers: {openai: {credential: none}}\n")
    return home


def archived(path: Path) -> list[str]:
    with tarfile.open(path) as tar:
        return [name for name in tar.getnames() if "/" in name]


def packed(path: Path, files: dict[str, bytes], **told: object) -> Path:
    """Write a backup as somebody else might."""
    listed = [
        {"name": name, "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in files.items()
    ]
    manifest = {"kind": "farthing backup", "version": 1, "farthing": "0.1.0", "made_at_us": 1, "files": listed}
    head = msgspec.json.encode({**manifest, "database_version": None, **told})
    with tarfile.open(path, "w:gz") as tar:
        for name, data in (
            ("manifest.json", head),
            ("manifest.sha256", hashlib.sha256(head).hexdigest().encode()),
            *files.items(),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def test_what_lies_about_in_the_journals_folder_breaks_no_backup_and_is_told(
    home: Home, tmp_path: Path, make_attempt: Make
) -> None:
    journal(home, make_attempt(1))
    (one,) = home.journal.glob("*.journal")
    (home.journal / f"{one.name}~").write_text("an editor's")
    (home.journal / "folder").mkdir()
    (home.journal / "folder.journal").mkdir()
    (home.journal / ".draft").write_text("ours")
    (home.journal / "nowhere.journal").symlink_to("gone")
    home.prices.mkdir()
    (home.prices / "my list.json").write_text("{}")
    told = farthing(home, "backup", str(tmp_path / "b.tar.gz"))
    assert told.exit_code == 0, told.output
    for name in (f"journal/{one.name}~", "journal/folder", "journal/folder.journal", "prices/my list.json"):
        assert f"left out: '{name}', which is no file of Farthing's or cannot be read\n" in told.stderr
    assert "draft" not in told.stderr
    assert archived(tmp_path / "b.tar.gz") == [f"journal/{one.name}"]


def test_a_copied_journal_is_backed_up_under_another_name_because_it_is_read_as_one(
    home: Home, tmp_path: Path, make_attempt: Make
) -> None:
    journal(home, make_attempt(1))
    (one,) = home.journal.glob("*.journal")
    for name in ("old (copy).journal", "old [copy].journal", "é.journal", ".journal", f"{'x' * 240}.journal"):
        (home.journal / name).write_bytes(one.read_bytes())
    one.unlink()
    told = farthing(home, "backup", str(tmp_path / "b.tar.gz"))
    assert told.exit_code == 0, told.output
    assert "left out" not in told.stderr
    assert sorted(archived(tmp_path / "b.tar.gz")) == [
        "journal/2-copy.journal",
        "journal/2-old--copy.journal",
        "journal/copy.journal",
        "journal/old--copy.journal",
        f"journal/{'x' * 150}.journal",
    ]
    into = Home(tmp_path / "new")
    assert farthing(into, "restore", str(tmp_path / "b.tar.gz")).exit_code == 0
    assert json.loads(farthing(into, "costs", "--json").stdout)["total"]["calls"] == 1


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
def test_a_file_that_cannot_be_read_is_named(home: Home, tmp_path: Path) -> None:
    home.settings.unlink()
    home.settings.mkdir()  # as a container makes it where the file to mount is missing
    told = farthing(home, "backup", str(tmp_path / "b.tar.gz"))
    assert told.exit_code == 1
    assert f"'{home.settings}' cannot be read: Is a directory. No backup was made." in told.stderr
    assert not (tmp_path / "b.tar.gz").exists()


def test_settings_behind_a_link_to_nothing_are_told_as_left_out(home: Home, tmp_path: Path) -> None:
    home.settings.unlink()
    home.settings.symlink_to("gone.yaml")
    told = farthing(home, "backup", str(tmp_path / "b.tar.gz"))
    assert told.exit_code == 0
    assert "left out: 'settings.yaml'" in told.stderr


def test_wrong_settings_in_a_backup_are_told_and_keep_nothing_back(home: Home, tmp_path: Path) -> None:
    home.settings.write_text("not: [yaml")
    assert farthing(home, "backup", str(tmp_path / "b.tar.gz")).exit_code == 0
    into = Home(tmp_path / "new")
    told = farthing(into, "restore", str(tmp_path / "b.tar.gz"))
    assert told.exit_code == 0, told.output
    assert "warning: the settings in the backup are wrong" in told.stderr
    assert f"{into.settings}:" in told.stderr
    assert "laptop" in farthing(into, "keys", "list").stdout


@pytest.mark.parametrize("made_at_us", [10**19, -(10**17), 253_402_300_800_000_000])
def test_a_backup_of_no_date_is_refused_and_nothing_is_decided(tmp_path: Path, made_at_us: int) -> None:
    path = packed(tmp_path / "b.tar.gz", {"settings.yaml": b"version: 1\n"}, made_at_us=made_at_us)
    home = Home(tmp_path / "home")
    told = farthing(home, "restore", str(path))
    assert told.exit_code == 1
    assert "is damaged: " in told.stderr
    assert sorted(one.name for one in home.path.iterdir()) == ["journal", "lock"]


def test_a_backup_of_nothing_is_no_backup(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    told = farthing(home, "restore", str(packed(tmp_path / "b.tar.gz", {})))
    assert told.exit_code == 1
    assert "is damaged: it holds no files" in told.stderr


def test_two_restores_in_one_second_keep_two_homes_aside(home: Home, tmp_path: Path) -> None:
    assert farthing(home, "backup", str(tmp_path / "b.tar.gz")).exit_code == 0
    for number in range(3):
        home.settings.write_text(f"server: {{port: {3000 + number}}}\n")
        assert farthing(home, "restore", str(tmp_path / "b.tar.gz"), "--replace").exit_code == 0
    kept = sorted((old / "settings.yaml").read_text() for old in home.path.glob("replaced-*"))
    assert kept == [f"server: {{port: {3000 + number}}}\n" for number in range(3)]
