"""A home that belongs to another account than the one whose command it is, or that can only be read."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from farthing.catalog.price_lists import KeptList, use
from farthing.cli import home_checks
from farthing.config.lock import HomeLock
from farthing.config.paths import Home
from farthing.config.running import Running, write_running
from farthing.server.admin.token import admin_digest
from tests.unit.cli.test_lost import farthing

SERVICE = 61_234
"""An account that nobody has, as a service's often is in a container."""

ROOT = pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root gives files away")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A used home that belongs to the service."""
    home = Home(tmp_path / "home")
    home.path.mkdir(mode=0o700)
    os.chown(home.path, SERVICE, SERVICE)
    home.create()
    return home


def owners(home: Home) -> dict[str, int]:
    return {str(path.relative_to(home.path)): path.stat().st_uid for path in home.path.rglob("*")}


@ROOT
def test_what_root_makes_in_a_services_home_is_the_services(home: Home) -> None:
    assert farthing(home, "config", "set", "server.port", "3001").exit_code == 0
    assert farthing(home, "config", "set", "server.port", "3002").exit_code == 0
    assert farthing(home, "keys", "create").exit_code == 0
    assert farthing(home, "admin", "link").exit_code == 0
    kept = KeptList(id="prices-2026-11-21-00000000", date="2026-11-21", source="here", sha256="")
    use(home.prices, "prices", kept, b"{}")
    home.lock.unlink(missing_ok=True)
    with HomeLock.acquire(home.lock):
        write_running(home, Running(os.getpid(), "h", 1, "http://h:1", ()))
        os.chown(home.running, SERVICE, SERVICE)  # by the gateway, which is the service
        assert farthing(home, "logs", "level", "debug").exit_code == 0
    made = owners(home)
    assert {
        ".settings.yaml.lock",
        "settings.yaml.bak",
        "admin",
        "pepper",
        "log-level",
        "lock",
        "journal",
    } <= made.keys()
    assert {name: owner for name, owner in made.items() if owner != SERVICE} == {}
    assert all(path.stat().st_mode & 0o077 == 0 for path in home.path.rglob("*"))
    assert [one.level for one in home_checks.check_home(home)] == ["ok"]


@ROOT
def test_what_root_restores_into_a_services_home_is_the_services(home: Home, tmp_path: Path) -> None:
    assert farthing(home, "keys", "create").exit_code == 0
    assert farthing(home, "backup", str(tmp_path / "b.tar.gz")).exit_code == 0
    told = farthing(home, "restore", str(tmp_path / "b.tar.gz"), "--replace")
    assert told.exit_code == 0, told.output
    made = owners(home)
    assert any(name.startswith("replaced-") for name in made)
    assert {name: owner for name, owner in made.items() if owner != SERVICE} == {}


@ROOT
def test_a_link_in_the_services_home_does_not_lead_root_to_another_file(home: Home, tmp_path: Path) -> None:
    assert farthing(home, "keys", "create").exit_code == 0
    precious = tmp_path / "precious"
    precious.write_text("root's")
    for name in ("admin", "log-level", "lock", ".settings.yaml.lock"):
        (home.path / name).unlink(missing_ok=True)
        (home.path / name).symlink_to(precious)
    assert farthing(home, "admin", "link").exit_code == 0
    for command in (("costs",), ("config", "set", "server.port", "3001")):
        told = farthing(home, *command)
        assert told.exit_code == 1
        assert "Too many levels of symbolic links" in told.stderr
    assert (precious.read_text(), precious.stat().st_uid) == ("root's", 0)


@ROOT
def test_doctor_names_a_file_that_the_gateways_account_cannot_read(home: Home) -> None:
    admin = home.path / "admin"
    admin.write_text("")
    admin.chmod(0o600)
    (found,) = home_checks.check_home(home)
    assert (found.level, found.hint) == ("warning", f"chown {SERVICE} {admin}")
    assert f"{admin} belongs to another account (uid 0)" in found.message


@ROOT
@pytest.mark.parametrize(
    "command",
    [
        "costs",
        "calls",
        "calls show x",
        "keys list",
        "keys create",
        "prices show",
        "backup /nowhere/b.tar.gz",
        "admin link",
    ],
)
def test_the_home_of_another_account_is_told_without_a_traceback(home: Home, command: str) -> None:
    assert farthing(home, "keys", "create").exit_code == 0
    told = as_another(home, *command.split())
    assert told.returncode == 1, told
    assert "Traceback" not in told.stderr
    assert "Permission denied" in told.stderr
    assert "hint: it belongs to " in told.stderr


@ROOT
def test_doctor_says_that_a_home_is_closed_and_nothing_else_of_it(home: Home) -> None:
    told = as_another(home, "doctor")
    assert told.returncode == 1
    assert told.stdout.startswith("PROBLEM  home  ")
    assert "cannot be written" in told.stdout
    assert "Traceback" not in told.stderr


_AS_ANOTHER = f"""
import os, pwd, sys
from click.testing import CliRunner
from farthing.cli import root
_, mine, theirs, *command = sys.argv
CliRunner().invoke(root, ["--home", mine, *command])  # imports what is needed: the other account may not read it
os.setgroups([])
os.setresgid(*3 * [{SERVICE + 1}])
os.setresuid(*3 * [{SERVICE + 1}])
root.main(["--home", theirs, *command])
"""


def as_another(home: Home, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a command as an account that is neither root's nor the service's."""
    for folder in home.path.parents:
        if folder.name.startswith(("pytest-", "popen-", "test_")):
            folder.chmod(0o755)
    mine = Home(home.path.with_name("mine"))
    assert farthing(mine, "keys", "create").exit_code == 0
    return subprocess.run(
        [sys.executable, "-c", _AS_ANOTHER, str(mine.path), str(home.path), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        # Where lines are counted, another account could not leave its count beside ours.
        env={name: value for name, value in os.environ.items() if name != "COVERAGE_PROCESS_CONFIG"},
    )


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Home]:
    """A used home on a file system that can only be read, where we may mount one."""
    home = Home(tmp_path / "home")
    assert farthing(home, "keys", "create", "laptop").exit_code == 0
    mounted = subprocess.run(["mount", "--bind", home.path, home.path], check=False, capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("this account may mount nothing")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", home.path], check=True)
        yield home
    finally:
        subprocess.run(["umount", home.path], check=True)


@ROOT
def test_a_home_that_can_only_be_read_is_read_and_backed_up(read_only: Home, tmp_path: Path) -> None:
    assert "laptop" in farthing(read_only, "keys", "list").stdout
    for command in (("costs",), ("calls",), ("ledger", "verify"), ("backup", str(tmp_path / "b.tar.gz"))):
        told = farthing(read_only, *command)
        assert told.exit_code == 0, told.output
    for line in ("keys create", "admin link", "config set server.port 1"):
        told = farthing(read_only, *line.split())
        assert told.exit_code == 1
        assert "Read-only file system" in told.stderr
        assert "hint: the file system can only be read" in told.stderr
    (found,) = home_checks.check_home(read_only)
    assert found.level == "problem"
    assert "can only be read" in found.message


def test_an_admin_file_that_cannot_be_used_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    home = Home(tmp_path)
    assert admin_digest(home, b"pepper") == b""
    assert caplog.messages == []
    (home.path / "admin").mkdir()  # as good as one that is root's: it cannot be read
    for _ in range(3):
        assert admin_digest(home, b"pepper") == b""
    (message,) = caplog.messages
    assert message.startswith(f"{home.path / 'admin'} cannot be used, so no admin link counts: ")
