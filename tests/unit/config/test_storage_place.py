from pathlib import Path

import pytest

from farthing.config.first_start import FIRST_SETTINGS
from farthing.config.paths import Home
from farthing.config.storage_place import database_of, home_name
from farthing.errors import ConfigError

URL = "postgresql://ann@db/books"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        f"storage: {{url: {URL}}}\n",
        f"version: 1\nstorage:\n\n  # here\n  url: {URL}\n",
        f"{{version: 1, storage: {{url: {URL}}}}}\n",
        f'"storage":\n  "url": {URL}\n',
        "storage: {url: env:BOOKS}\n",
    ],
)
def test_the_place_is_found_however_it_is_written(home: Home, text: str) -> None:
    home.settings.write_text(text)
    assert database_of(home, {"BOOKS": f" {URL}\n"}) == URL


@pytest.mark.parametrize(
    "text", [FIRST_SETTINGS, "", "storage:\nserver: {port: 1}\n", "storage: # none\n", "storage: {}\n"]
)
def test_a_file_that_names_none_keeps_the_ledger_in_the_home(home: Home, text: str) -> None:
    home.settings.write_text(text)
    assert database_of(home, {}) is None


def test_without_a_file_the_ledger_is_in_the_home(home: Home) -> None:
    assert database_of(home, {}) is None


def test_settings_that_cannot_be_read_do_not_keep_a_ledger_in_the_home_from_being_read(home: Home) -> None:
    home.settings.write_text("storage: [\n")
    with pytest.raises(ConfigError):
        database_of(home, {})
    home.database.write_bytes(b"x")
    assert database_of(home, {}) is None


def test_a_variable_that_is_not_set_and_a_file_that_is_empty_are_named(home: Home) -> None:
    home.settings.write_text("storage: {url: env:BOOKS}\n")
    with pytest.raises(ConfigError, match=r"variable BOOKS, which storage\.url names, is not set"):
        database_of(home, {})
    (home.path / "url").write_text("\n")
    home.settings.write_text(f"storage: {{url: file:{home.path / 'url'}}}\n")
    with pytest.raises(ConfigError, match="is empty"):
        database_of(home, {})


def test_a_home_keeps_its_name_and_two_have_different_ones(home: Home, tmp_path: Path) -> None:
    other = Home(tmp_path / "other")
    other.path.mkdir()
    names = [home_name(home, lambda n: b"\1" * n), home_name(home, lambda n: b"\2" * n)]
    assert names == ["01" * 8] * 2
    assert home_name(other, lambda n: b"\2" * n) != names[0]
    assert (home.path / "name").stat().st_mode & 0o777 == 0o600
