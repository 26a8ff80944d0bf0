import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from farthing.cli import root


@pytest.fixture
def runner(tmp_path: Path) -> CliRunner:
    return CliRunner(env={"FARTHING_HOME": str(tmp_path / "home")})


def test_a_key_is_created_shown_once_listed_renamed_and_revoked(runner: CliRunner, tmp_path: Path) -> None:
    told = runner.invoke(root, ["keys", "create", "laptop", "--json", "--project", "site"])
    assert told.stderr == f"made the home {tmp_path / 'home'}\n"
    made = json.loads(told.stdout)
    assert list(made) == ["id", "name", "key"]
    assert made["name"] == "laptop"
    assert made["key"].startswith("ft-")
    assert len(made["key"]) == 52

    assert runner.invoke(root, ["keys", "rename", "laptop", "desk"]).stderr == (
        f"The key {made['id']} is now called 'desk'.\n"
    )
    told = runner.invoke(root, ["keys", "list"])
    assert made["key"] not in told.stdout
    head, line = told.stdout.splitlines()
    assert head.split() == ["NAME", "KEY", "ID", "MADE", "FOR"]
    assert line.startswith(f"desk  {made['key'][:9]}...  {made['id']}  2")
    assert line.endswith("  site")

    assert runner.invoke(root, ["keys", "revoke", made["id"]]).exit_code == 0
    (record,) = json.loads(runner.invoke(root, ["keys", "list", "--json"]).stdout)
    assert record["revoked_at_us"] >= record["created_at_us"]
    assert (record["name"], record["project"], record["team"]) == ("desk", "site", None)
    assert "digest" not in record
    assert (tmp_path / "home").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "home" / "pepper").stat().st_mode & 0o777 == 0o600


def test_without_a_name_one_is_found_and_the_key_alone_is_on_stdout(runner: CliRunner) -> None:
    told = runner.invoke(root, ["keys", "create"])
    assert told.stdout.startswith("ft-")
    assert len(told.stdout.split()) == 1
    assert told.stderr.splitlines()[-1].startswith("The key 'my-app-1' (key_")
    assert json.loads(runner.invoke(root, ["keys", "create", "--json"]).stdout)["name"] == "my-app-2"


def test_what_cannot_be_done_is_told_with_the_way_out(runner: CliRunner) -> None:
    runner.invoke(root, ["keys", "create", "laptop"])
    told = runner.invoke(root, ["keys", "create", "laptop"])
    assert (told.exit_code, told.stdout) == (1, "")
    assert told.stderr.startswith("farthing: A key named 'laptop' exists already.\nhint: ")
    told = runner.invoke(root, ["keys", "revoke", "labtop"])
    assert told.exit_code == 1
    assert told.stderr.startswith("farthing: Unknown key 'labtop'; nearest: laptop.\nhint: run \"farthing ")
    assert runner.invoke(root, ["keys", "list"]).stderr == ""
