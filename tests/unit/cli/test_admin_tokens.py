import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from farthing.cli import root
from farthing.storage.offload import ThreadOffload
from farthing.storage.sqlite import SqliteStore
from farthing.types.admin import Change


@pytest.fixture
def runner(tmp_path: Path) -> CliRunner:
    runner = CliRunner(env={"FARTHING_HOME": str(tmp_path / "home")})
    assert runner.invoke(root, ["keys", "create"]).exit_code == 0
    return runner


def test_a_token_is_made_shown_once_listed_and_revoked(runner: CliRunner, tmp_path: Path) -> None:
    made = runner.invoke(root, ["admin", "token", "create", "rita", "--role", "manager", "--team", "core"])
    assert made.stdout.startswith("fta-")
    assert "a manager's of the team 'core'" in made.stderr
    listed = runner.invoke(root, ["admin", "token", "list"])
    assert listed.stdout.splitlines()[1].split()[0] == "rita"
    assert made.stdout.strip() not in listed.stdout
    taken = runner.invoke(root, ["admin", "token", "create", "rita", "--role", "viewer"])
    assert "exists already" in taken.stderr
    assert "Revoked the token 'rita'" in runner.invoke(root, ["admin", "token", "revoke", "rita"]).stderr
    again = json.loads(runner.invoke(root, ["admin", "token", "create", "rita", "--role", "viewer", "--json"]).stdout)
    assert (again["role"], again["team"]) == ("viewer", None)
    kept = json.loads(runner.invoke(root, ["admin", "token", "list", "--json"]).stdout)
    assert [one["revoked_at_us"] is None for one in kept] == [False, True]
    assert "digest" not in kept[0]
    assert [(one.who.partition(":")[0], one.action, one.outcome) for one in _audit(tmp_path / "home")] == [
        ("cli", "keys.create", "done"),
        ("cli", "tokens.create", "done"),
        ("cli", "tokens.create", "refused"),
        ("cli", "tokens.revoke", "done"),
        ("cli", "tokens.create", "done"),
    ]


@pytest.mark.parametrize("given", [["--role", "manager"], ["--role", "admin", "--team", "core"], ["--role", "king"]])
def test_a_manager_has_a_team_and_an_admin_has_none(runner: CliRunner, given: list[str]) -> None:
    assert runner.invoke(root, ["admin", "token", "create", "x", *given]).exit_code != 0
    assert json.loads(runner.invoke(root, ["admin", "token", "list", "--json"]).stdout) == []


def _audit(home: Path) -> list[Change]:
    async def read() -> list[Change]:
        offload = ThreadOffload()
        store = SqliteStore(home / "farthing.db", offload)
        await store.open()
        try:
            return (await store.admin.changes(10))[::-1]
        finally:
            await store.close()
            await offload.close()

    return asyncio.run(read())
