"""A restore into a home where names cannot be moved: mounts, other disks, links, file systems without second names."""

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result

from farthing.config.paths import Home
from tests.unit.cli.test_lost import farthing
from tests.unit.cli.test_whose_home import ROOT, SERVICE

Mount = Callable[..., None]
NEW, OLD = "log: {level: debug}\n", "log: {level: error}\n"
JOURNALLED, PRICED = "1-1-000001.journal", "prices-2026-11-21-00000000.json"


class Killed(BaseException):
    """Stands for a process that ends at once: nothing that handles errors handles it."""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A used home, and beside it `b.tar.gz`, which says something else of everything."""
    home = Home(tmp_path / "home")
    assert farthing(home, "keys", "create", "kept").exit_code == 0
    home.settings.write_text(NEW)
    home.prices.mkdir()
    (home.prices / PRICED).write_text("new")
    (home.journal / JOURNALLED).write_text("")
    assert farthing(home, "backup", str(tmp_path / "b.tar.gz")).exit_code == 0
    home.settings.write_text(OLD)
    (home.prices / PRICED).write_text("old")
    (home.prices / "older.json").write_text("older")
    (home.journal / JOURNALLED).unlink()
    assert farthing(home, "keys", "create", "later").exit_code == 0
    return home


@pytest.fixture
def mount() -> Iterator[Mount]:
    """Mount something in a home; tests are skipped where this account may mount nothing."""
    places: list[Path] = []

    def mounted(*arguments: object) -> None:
        done = subprocess.run(["mount", *map(str, arguments)], check=False, capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip(f"this account may mount nothing: {done.stderr.partition(chr(10))[0]}")
        place = Path(str(arguments[-1]))
        if place not in places:
            places.append(place)

    try:
        yield mounted
    finally:
        for place in reversed(places):
            subprocess.run(["umount", place], check=True)


def mount_all(home: Home, mount: Mount) -> None:
    """Mount the settings as a file of their own, and prices and journal from elsewhere."""
    for place in (home.settings, home.prices, home.journal):
        there = home.path.with_name(f"mounted-{place.name}")
        place.rename(there)
        place.mkdir() if there.is_dir() else place.touch()
        mount("--bind", there, place)


def restore(home: Home) -> Result:
    return farthing(home, "restore", str(home.path.with_name("b.tar.gz")), "--replace")


def content(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(folder.iterdir()) if path.is_file()}


def assert_restored(home: Home) -> None:
    assert home.settings.read_text() == NEW
    assert content(home.prices) == {PRICED: "new"}
    assert content(home.journal) == {JOURNALLED: ""}
    keys = farthing(home, "keys", "list").stdout
    assert "kept" in keys
    assert "later" not in keys
    assert not list(home.path.glob(".restore-*"))
    assert not (home.path / "restoring").exists()
    (old,) = home.path.glob("replaced-*")
    assert (old / "settings.yaml").read_text() == OLD
    assert content(old / "prices") == {"older.json": "older", PRICED: "old"}
    assert (old / "farthing.db").exists()


def assert_untouched(home: Home) -> None:
    assert home.settings.read_text() == OLD
    assert content(home.prices) == {"older.json": "older", PRICED: "old"}
    assert "later" in farthing(home, "keys", "list").stdout
    assert not [path.name for path in home.path.iterdir() if path.name.startswith((".restore", "re"))]


def test_mounted_settings_prices_and_journal_are_restored_where_they_are(home: Home, mount: Mount) -> None:
    mount_all(home, mount)
    told = restore(home)
    assert told.exit_code == 0, told.output
    assert_restored(home)
    assert home.path.with_name("mounted-settings.yaml").read_text() == NEW
    assert farthing(home, "config", "check").exit_code == 0


def test_a_restore_into_mounts_that_is_killed_is_completed(
    home: Home, mount: Mount, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount_all(home, mount)
    decided = 0
    for steps in range(500):
        with monkeypatch.context() as patched:
            kill_after(steps, patched)
            try:
                assert restore(home).exit_code == 0
            except Killed:
                pass
            else:
                break
        if (home.path / "restoring").exists():
            decided += 1
            assert "was interrupted" in farthing(home, "keys", "list").stderr
            done = farthing(home, "restore", "--finish")
            assert done.exit_code == 0, done.output
            assert_restored(home)
            back(home)
        elif not list(home.path.glob("replaced-*")):
            assert_untouched(home)
        else:  # killed when all was done but for removing what is over
            break
    assert_restored(home)
    assert decided > 20, "it was killed in the midst of it"


def kill_after(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    left = steps

    def dying(act: Callable[..., object]) -> Callable[..., object]:
        def acted(*arguments: object, **named: object) -> object:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            return act(*arguments, **named)

        return acted

    for where, name in (
        (os, "link"),
        (os, "fsync"),
        *((Path, one) for one in ("rename", "replace", "unlink", "touch")),
    ):
        monkeypatch.setattr(where, name, dying(getattr(where, name)))


def back(home: Home) -> None:
    """Make the home again what it was before the restore, without taking the mounts away."""
    (old,) = home.path.glob("replaced-*")
    home.settings.write_text(OLD)
    (home.prices / PRICED).write_text("old")
    (home.prices / "older.json").write_text("older")
    (home.journal / JOURNALLED).unlink()
    for name in ("farthing.db", "farthing.db-wal", "farthing.db-shm"):
        (home.path / name).unlink(missing_ok=True)
        if (old / name).exists():
            (old / name).rename(home.path / name)
    subprocess.run(["rm", "-r", old], check=True)


def test_settings_mounted_for_reading_only_refuse_a_restore_before_it_is_decided(home: Home, mount: Mount) -> None:
    mount("--bind", home.settings, home.settings)
    mount("-o", "remount,ro,bind", home.settings)
    told = restore(home)
    assert told.exit_code == 1
    assert f"'{home.settings}' cannot be written: Read-only file system. Nothing was restored." in told.stderr
    assert "mount it so" in told.stderr
    assert_untouched(home)


def test_a_journal_on_a_disk_that_can_only_be_read_refuses_a_restore(home: Home, mount: Mount) -> None:
    mount("--bind", home.journal, home.journal)
    mount("-o", "remount,ro,bind", home.journal)
    told = restore(home)
    assert told.exit_code == 1
    assert f"'{home.journal}' cannot be written: Read-only file system. Nothing was restored." in told.stderr
    assert_untouched(home)


def test_a_mount_that_the_backup_has_nothing_for_is_told(home: Home, mount: Mount) -> None:
    place = home.path / "admin"
    place.write_text("a digest")
    mount("--bind", place, place)
    told = restore(home)
    assert told.exit_code == 1
    assert f"'{place}' is a mount of its own and cannot be moved" in told.stderr
    assert "hint: unmount it first." in told.stderr
    assert_untouched(home)


def test_a_restore_that_found_no_room_is_told_and_completed_when_there_is(home: Home, mount: Mount) -> None:
    (home.prices / PRICED).write_text("n" * 50_000)
    made = farthing(home, "backup", str(home.path.with_name("large.tar.gz")))
    assert made.exit_code == 0
    mount("-t", "tmpfs", "-o", "size=16k", "tmpfs", home.prices)
    told = farthing(home, "restore", str(home.path.with_name("large.tar.gz")), "--replace")
    assert told.exit_code == 1
    assert f"The restore into '{home.path}' cannot be completed yet: " in told.stderr
    assert "No space left on device" in told.stderr
    assert "make room" in told.stderr
    assert "restore --finish" in told.stderr
    mount("-o", "remount,size=1m", home.prices)
    assert farthing(home, "restore", "--finish").exit_code == 0
    assert (home.prices / PRICED).read_text() == "n" * 50_000
    assert "later" in farthing(home, "keys", "list").stdout


def test_a_restore_needs_no_second_names_for_files(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)  # as on FAT
    told = restore(home)
    assert told.exit_code == 0, told.output
    assert_restored(home)


def test_a_link_at_the_settings_stays_one_and_what_it_names_is_restored(home: Home) -> None:
    elsewhere = home.path.with_name("elsewhere")
    elsewhere.mkdir()
    home.settings.rename(elsewhere / "mine.yaml")
    home.settings.symlink_to("../elsewhere/mine.yaml")
    told = restore(home)
    assert told.exit_code == 0, told.output
    assert str(home.settings.readlink()) == "../elsewhere/mine.yaml"
    assert_restored(home)
    (old,) = home.path.glob("replaced-*")
    assert not (old / "settings.yaml").is_symlink()


@pytest.mark.parametrize("replace", [["--replace"], []], ids=["replace", "empty"])
def test_a_link_at_the_settings_that_leads_nowhere_is_told_before_anything_is_restored(
    home: Home, tmp_path: Path, replace: list[str]
) -> None:
    into = home if replace else Home(tmp_path / "fresh")
    into.path.mkdir(exist_ok=True, mode=0o700)
    into.settings.unlink(missing_ok=True)
    into.settings.symlink_to("../not-mounted/settings.yaml")
    told = farthing(into, "restore", str(tmp_path / "b.tar.gz"), *replace)
    assert told.exit_code == 1
    assert "is a link to '../not-mounted/settings.yaml', which cannot be read" in told.stderr
    assert into.settings.is_symlink()
    assert not (into.path / "restoring").exists()


@ROOT
def test_a_link_of_the_services_does_not_have_root_restore_over_another_file(home: Home, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("root's")
    home.settings.unlink()
    home.settings.symlink_to(precious)
    os.chown(home.settings, SERVICE, SERVICE, follow_symlinks=False)
    told = restore(home)
    assert told.exit_code == 1
    assert "the link belongs to one account and the file to another" in told.stderr
    assert precious.read_text() == "root's"
    assert not (home.path / "restoring").exists()
