"""The admin link, and a token that the environment chooses."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from farthing.cli.home_checks import check_admin
from farthing.config.lock import HomeLock
from farthing.config.paths import Home
from farthing.config.running import Running, write_running
from farthing.errors import ConfigError
from farthing.server.admin.token import ENVIRONMENT, MIN_LENGTH, chosen_token
from tests.unit.cli.test_lost import farthing


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    assert farthing(home, "keys", "create").exit_code == 0
    return home


def test_no_link_is_printed_for_a_gateway_that_takes_the_environments_token(home: Home) -> None:
    assert farthing(home, "admin", "link").exit_code == 0
    before = (home.path / "admin").read_bytes()
    with HomeLock.acquire(home.lock):
        write_running(home, Running(os.getpid(), "h", 1, "http://h:1", (), admin_token_chosen=True))
        told = farthing(home, "admin", "link")
    assert (told.exit_code, told.stdout) == (1, "")
    assert f"was started with {ENVIRONMENT}: it takes that token, and no link.\n" in told.stderr
    assert "hint: open http://h:1/admin/login?token=..." in told.stderr
    assert (home.path / "admin").read_bytes() == before


def test_this_terminals_token_is_not_taken_for_the_running_gateways(home: Home) -> None:
    chosen = {ENVIRONMENT: "a" * MIN_LENGTH}
    with HomeLock.acquire(home.lock):
        write_running(home, Running(os.getpid(), "h", 1, "http://h:1", ()))
        told = farthing(home, "admin", "link", **chosen)
    assert told.stdout.startswith("http://h:1/admin/login?token=fta-")
    assert told.stderr == ""
    told = farthing(home, "admin", "link", **chosen)
    assert f"warning: {ENVIRONMENT} is set; a gateway that is started with it" in told.stderr


@pytest.mark.parametrize(
    ("token", "why"),
    [
        ("short", "has 5 characters; it could be guessed"),
        ("has a space in the middle", "a space"),
        ("é" * 20, "a space"),
    ],
)
def test_a_token_that_can_be_guessed_or_not_be_sent_is_refused(token: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        chosen_token({ENVIRONMENT: token})
    (found,) = check_admin({ENVIRONMENT: token})
    assert (found.level, found.what) == ("problem", "admin")
    assert token not in found.message


def test_a_good_token_is_taken_and_none_is_none() -> None:
    assert chosen_token({ENVIRONMENT: "a" * MIN_LENGTH}) == "a" * MIN_LENGTH
    assert chosen_token({ENVIRONMENT: ""}) is None
    assert chosen_token({}) is None
    assert list(check_admin({})) == []


def test_the_start_is_refused_with_a_token_that_can_be_guessed(tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "farthing", "--home", str(tmp_path), "serve", "--port", "0"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), ENVIRONMENT: "short"},
        timeout=30,
    )
    assert told.returncode == 1
    assert "could be guessed" in told.stderr
    assert not (tmp_path / "settings.yaml").exists()
