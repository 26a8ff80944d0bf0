"""What commands change stands in the audit log, as what is changed through the admin API does."""

import asyncio
import os
import pwd
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from farthing.cli import root
from farthing.config.paths import Home
from farthing.errors import StoreError
from farthing.storage.offload import ThreadOffload
from farthing.storage.sqlite import SqliteStore
from farthing.types.admin import Change
from tests.unit.cli.test_lost import farthing

SECRET = "sk-of-the-tests-0123456789abcdefghij"
ME = pwd.getpwuid(os.getuid()).pw_name


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    assert farthing(home, "keys", "create", "first").exit_code == 0
    return home


def lines(home: Home) -> list[Change]:
    """Return the audit log, oldest first."""

    async def read() -> list[Change]:
        offload = ThreadOffload()
        store = SqliteStore(home.database, offload)
        await store.open()
        try:
            return list(reversed(await store.admin.changes(1_000)))
        finally:
            await store.close()
            await offload.close()

    return asyncio.run(read())


def changed(home: Home, *arguments: str, given: str | None = None, **environment: str) -> Change:
    """Run a command that changes one thing; return its line."""
    before = len(lines(home))
    variables = {"FARTHING_HOME": str(home.path), **environment}
    result = CliRunner(env=variables).invoke(root, list(arguments), input=given)
    assert result.exit_code == 0, result.output
    (line,) = lines(home)[before:]
    assert (line.who, line.who_name, line.role, line.outcome) == (f"cli:{ME}", ME, "admin", "done")
    return line


def told(side: dict[str, Any] | None, name: str) -> Any:
    assert side is not None
    return side[name]


def test_the_whole_life_of_a_key(home: Home) -> None:
    (made,) = lines(home)
    assert (made.action, made.before, told(made.after, "name")) == ("keys.create", None, "first")
    line = changed(home, "keys", "rename", "first", "second")
    assert (line.action, line.subject) == ("keys.rename", made.subject)
    assert (told(line.before, "name"), told(line.after, "name")) == ("first", "second")
    line = changed(home, "keys", "edit", "second", "--team", "core")
    assert (told(line.before, "team"), told(line.after, "team")) == (None, "core")
    assert changed(home, "keys", "rotate", "second").action == "keys.rotate"
    assert told(changed(home, "keys", "disable", "second").after, "disabled_at_us") is not None
    assert changed(home, "keys", "enable", "second").action == "keys.enable"
    assert changed(home, "keys", "expire", "second", "--now").action == "keys.expire"
    assert told(changed(home, "keys", "revoke", "second").after, "revoked_at_us") is not None
    line = changed(home, "keys", "delete", "second")
    assert (told(line.before, "name"), line.after) == ("second", None)


def test_budgets_limits_and_tokens(home: Home) -> None:
    line = changed(home, "budget", "set", "all", "--usd", "5", "--period", "day")
    assert (line.action, line.before, told(line.after, "limit_nanousd")) == ("budget.set", None, 5 * 10**9)
    line = changed(home, "budget", "set", "all", "--usd", "7")
    assert (told(line.before, "limit_nanousd"), told(line.after, "limit_nanousd")) == (5 * 10**9, 7 * 10**9)
    assert changed(home, "budget", "remove", "all").after is None
    assert told(changed(home, "limits", "set", "slow", "requests_per_minute=6").after, "name") == "slow"
    assert told(changed(home, "limits", "remove", "slow").before, "name") == "slow"
    line = changed(home, "admin", "token", "create", "rita", "--role", "manager", "--team", "core")
    assert (line.action, told(line.after, "role"), told(line.after, "team")) == ("tokens.create", "manager", "core")
    line = changed(home, "admin", "token", "revoke", "rita")
    assert (line.action, told(line.before, "revoked_at_us")) == ("tokens.revoke", None)
    assert told(line.after, "revoked_at_us") is not None


def test_credentials_without_what_is_secret_of_them(home: Home) -> None:
    line = changed(home, "credentials", "add", "openai", "--name", "ours", given=SECRET)
    assert (line.action, line.before, told(line.after, "name")) == ("credentials.add", None, "ours")
    line = changed(home, "credentials", "rotate", "ours", given=f"{SECRET}-2")
    assert (told(line.before, "rotated_at_us"), line.subject) == (None, line.subject)
    assert told(line.after, "rotated_at_us") is not None
    assert changed(home, "credentials", "remove", "ours").after is None
    kept = b"".join(path.read_bytes() for path in home.path.rglob("*") if path.is_file())
    assert SECRET.encode() not in kept


def test_edits_of_the_file_with_the_settings_that_they_change(home: Home) -> None:
    line = changed(home, "config", "set", "server.drain_s", "12")
    assert (line.action, line.subject) == ("config.set", "settings.yaml")
    assert (line.before, line.after) == ({"server.drain_s": 30}, {"server.drain_s": 12})
    line = changed(home, "config", "unset", "server.drain_s")
    assert (line.before, line.after) == ({"server.drain_s": 12}, {"server.drain_s": 30})
    base = "http://127.0.0.1:8000/v1"
    line = changed(home, "providers", "add", "lab", "--base-url", base, "--credential", "none")
    assert (line.action, told(line.after, "providers.lab.base_url")) == ("providers.add", base)
    assert told(changed(home, "providers", "remove", "lab").before, "providers.lab.base_url") == base


def test_a_new_link_of_the_admins(home: Home) -> None:
    line = changed(home, "admin", "link")
    assert (line.action, line.subject, line.before, line.after) == ("admin.link", "admin", {}, {})


def test_what_is_refused_says_so(home: Home) -> None:
    assert farthing(home, "config", "set", "server.drain_s", "nonsense").exit_code != 0
    assert farthing(home, "keys", "create", "first").exit_code != 0
    found = [(line.action, line.outcome, line.after) for line in lines(home)[1:]]
    assert found[0] == ("config.set", "refused", None)
    assert all(outcome == "refused" and after is None for _, outcome, after in found)


def test_the_environment_cannot_say_who_it_was(home: Home) -> None:
    line = changed(home, "keys", "create", "other", USER="root2", LOGNAME="root2", USERNAME="root2")
    assert line.who == f"cli:{ME}"


def test_what_reads_leaves_no_line(home: Home) -> None:
    before = lines(home)
    for command in (["keys", "list"], ["costs"], ["budget", "show"], ["credentials", "list"], ["config", "show"]):
        assert farthing(home, *command).exit_code == 0, command
    assert lines(home) == before


def test_the_file_is_edited_also_where_the_store_cannot_be_used(home: Home) -> None:
    home.database.write_bytes(b"no database at all" * 1_000)
    result = farthing(home, "config", "set", "server.drain_s", "12")
    assert result.exit_code == 0, result.output
    assert "this is in no audit log" in result.stderr
    assert "drain_s: 12" in home.settings.read_text()
    result = farthing(home, "keys", "create", "second")
    assert (result.exit_code, type(result.exception)) != (0, StoreError)
