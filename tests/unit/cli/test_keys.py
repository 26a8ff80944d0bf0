import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from farthing.cli import root
from farthing.cli.keys import print_keys
from farthing.storage.protocols import KeyRecord, OldSecret


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
    assert head.split() == ["NAME", "KEY", "ID", "MADE", "STATE", "FOR"]
    assert line.startswith(f"desk  {made['key'][:9]}...  {made['id']}  2")
    assert line.endswith("  project site")

    assert runner.invoke(root, ["keys", "revoke", made["id"]]).exit_code == 0
    (record,) = json.loads(runner.invoke(root, ["keys", "list", "--json"]).stdout)
    assert record["revoked_at_us"] >= record["created_at_us"]
    assert (record["name"], record["project"], record["team"]) == ("desk", "site", None)
    assert "digest" not in record
    assert (tmp_path / "home").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "home" / "pepper").stat().st_mode & 0o777 == 0o600


def test_a_key_for_what_nobody_has_is_made_and_said_so(runner: CliRunner, tmp_path: Path) -> None:
    runner.invoke(root, ["keys", "create", "laptop"])
    (tmp_path / "home" / "settings.yaml").write_text(
        "version: 1\nproviders: {openai: {credential: env:K}}\nrouters: {careful: {models: [openai:gpt-5]}}\n"
    )
    made = runner.invoke(root, ["keys", "create", "bound", "--bind", "carefull"])
    assert made.exit_code == 0
    assert made.stderr.splitlines()[-1] == (
        "No router, alias or model of the price list has the name 'carefull' (routers: careful): unless a provider of"
        " yours lists it itself, which only a running gateway asks, its calls are refused."
    )
    told = runner.invoke(root, ["keys", "edit", "bound", "--model", "opneai:*", "--model", "openai:*"]).stderr
    assert "has the name 'opneai:*'" in told
    assert "that allows nothing." in told
    known = ["careful", "gpt-5-mini", "openai:*", "open*", "*", "ollama:qwen3:8b", "openrouter/any"]
    said = runner.invoke(root, ["keys", "create", "many", *(f"--model={one}" for one in known)])
    assert len(said.stderr.splitlines()) == 1, said.stderr


def test_of_a_name_that_a_server_may_list_it_is_said_how_to_be_certain(runner: CliRunner, tmp_path: Path) -> None:
    runner.invoke(root, ["keys", "create", "laptop"])
    lab = "lab: {kind: openai-compatible, base_url: 'http://127.0.0.1:1/v1', credential: none}"
    (tmp_path / "home" / "settings.yaml").write_text(f"version: 1\nproviders:\n  {lab}\n")
    said = runner.invoke(root, ["keys", "create", "online", "--bind", "small"]).stderr
    assert "unless a provider of yours lists it itself" in said
    assert "Nothing is known" not in said, "a running gateway may know it: this command cannot"
    assert "Where you mean the one of 'lab', 'lab:small' is certain." in said
    certain = runner.invoke(root, ["keys", "create", "sure", "--bind", "lab:small"]).stderr
    assert len(certain.splitlines()) == 1, certain


def test_what_is_about_a_deleted_key_alone_goes_with_it(runner: CliRunner) -> None:
    runner.invoke(root, ["keys", "create", "laptop"])
    runner.invoke(root, ["budget", "set", "own", "--usd", "1", "--period", "day", "--key", "laptop"])
    runner.invoke(root, ["budget", "set", "all", "--usd", "1", "--period", "day", "--key", "*"])
    runner.invoke(root, ["limits", "set", "slow", "requests_per_minute=1", "--key", "laptop"])
    shown = runner.invoke(root, ["keys", "show", "laptop"]).stdout
    assert re.search(r"^budgets +own$", shown, re.MULTILINE), shown
    assert re.search(r"^limits +slow$", shown, re.MULTILINE), shown
    data = json.loads(runner.invoke(root, ["keys", "show", "laptop", "--json"]).stdout)
    assert (data["budgets"], data["limits"]) == (["own"], ["slow"])
    said = runner.invoke(root, ["keys", "delete", "laptop"]).stderr
    assert said.endswith(", and what was about it alone: the budget 'own', the limit 'slow'.\n")
    assert [one["name"] for one in json.loads(runner.invoke(root, ["budget", "list", "--json"]).stdout)] == ["all"]
    assert json.loads(runner.invoke(root, ["limits", "list", "--json"]).stdout) == []


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


def make(runner: CliRunner, *arguments: str) -> dict[str, str]:
    made: dict[str, str] = json.loads(runner.invoke(root, ["keys", "create", *arguments, "--json"]).stdout)
    return made


def shown(runner: CliRunner, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(runner.invoke(root, ["keys", "show", name, "--json"]).stdout)
    return found


def test_what_a_key_says_and_may_is_given_shown_and_changed(runner: CliRunner) -> None:
    owner = ("--organisation", "acme", "--team", "core", "--user", "ann", "--tags", "a, b")
    may = ("--bind", "fast", "--model", "openai:*", "--model", "lab:m", "--format", "openai", "--expires", "90d")
    make(runner, "ci", *owner, *may)
    record = shown(runner, "ci")
    assert (record["organisation"], record["team"], record["user"]) == ("acme", "core", "ann")
    assert (record["tags"], record["models"], record["faces"]) == (["a", "b"], ["openai:*", "lab:m"], ["openai"])
    assert (record["bound_model"], record["state"]) == ("fast", "active")
    assert record["expires_at_us"] - record["created_at_us"] < 90 * 86_400_000_000 + 60_000_000
    assert not {"digest", "changed"} & record.keys()
    told = runner.invoke(root, ["keys", "show", "ci"]).stdout
    assert "bound to      fast\n" in told
    assert "models        openai:*, lab:m\n" in told
    changed = runner.invoke(root, ["keys", "edit", "ci", "--any-model", "--any-format", "--bind", "", "--tags", "c"])
    assert changed.stderr == f"Changed the key 'ci' ({record['id']}).\n"
    record = shown(runner, "ci")
    assert (record["models"], record["faces"], record["bound_model"], record["tags"]) == ([], [], None, ["c"])
    assert record["team"] == "core"
    assert runner.invoke(root, ["keys", "edit", "ci"]).exit_code == 2


def test_a_key_fixes_the_project_and_user_that_it_is_made_with_unless_it_is_told_otherwise(runner: CliRunner) -> None:
    made = {
        "own": (("--project", "site", "--team", "core"), ["project"]),
        "both": (("--project", "site", "--user", "ann", "--tags", "a"), ["project", "user"]),
        "open": (("--project", "site", "--fixed", "none"), []),
        "more": (("--project", "site", "--fixed", "project, tags"), ["project", "tags"]),
        "plain": ((), []),
    }
    for name, (options, fixed) in made.items():
        make(runner, name, *options)
        assert shown(runner, name)["fixed"] == fixed, name
    assert "fixed         project, tags\n" in runner.invoke(root, ["keys", "show", "more"]).stdout
    runner.invoke(root, ["keys", "edit", "plain", "--project", "site"])
    assert shown(runner, "plain")["fixed"] == [], "what is there keeps what it may"
    runner.invoke(root, ["keys", "edit", "plain", "--fixed", "project,session"])
    assert shown(runner, "plain")["fixed"] == ["project", "session"]
    refused = runner.invoke(root, ["keys", "edit", "plain", "--fixed", "team"])
    assert refused.exit_code != 0
    assert "'team' cannot be fixed" in refused.stderr


def test_a_key_is_rotated_under_the_pepper_it_was_made_with(runner: CliRunner) -> None:
    old = make(runner, "ci")
    told = runner.invoke(root, ["keys", "rotate", "ci"])
    assert told.stdout.startswith("ft-")
    assert told.stdout.strip() != old["key"]
    assert "The old one is taken until 2" in told.stderr
    assert runner.invoke(root, ["keys", "list"]).stdout.count("rotating until") == 1
    new = json.loads(runner.invoke(root, ["keys", "rotate", "ci", "--grace", "0", "--json"]).stdout)
    assert (new["id"], new["name"]) == (old["id"], "ci")
    assert [one["shown"] for one in shown(runner, "ci")["old_secrets"]] == [told.stdout[:9], old["key"][:9]]
    assert shown(runner, "ci")["state"] == "active"


def test_the_list_tells_what_becomes_of_a_call_with_each_key(runner: CliRunner) -> None:
    for name in ("works", "off", "over", "gone", "deleted"):
        make(runner, name)
    for command in (["disable", "off"], ["expire", "over", "--now"], ["revoke", "gone"], ["delete", "deleted"]):
        assert runner.invoke(root, ["keys", *command]).exit_code == 0
    lines = runner.invoke(root, ["keys", "list"]).stdout.splitlines()[1:]
    assert [(line.split()[0], line.split()[4]) for line in lines] == [
        ("works", "active"),
        ("off", "disabled"),
        ("over", "expired"),
        ("gone", "revoked"),
    ]
    runner.invoke(root, ["keys", "expire", "over", "--never"])
    runner.invoke(root, ["keys", "enable", "off"])
    assert {shown(runner, name)["state"] for name in ("works", "off", "over")} == {"active"}
    assert runner.invoke(root, ["keys", "expire", "over", "--never", "--now"]).exit_code == 2
    told = runner.invoke(root, ["keys", "expire", "over", "--at", "2020-01-01"])
    assert "is no moment to come" in told.stderr


def test_the_list_tells_what_keys_are_bound_to_or_allowed_where_one_is(runner: CliRunner) -> None:
    make(runner, "anything")
    assert "MODELS" not in runner.invoke(root, ["keys", "list"]).stdout
    long = "openrouter:" + "m" * 60
    make(runner, "editor", "--bind", "ollama:qwen3:8b")
    make(runner, "guest", "--model", "ollama:*", "--model", "openai:gpt-5-mini", "--model", "fast")
    make(runner, "one", "--model", "openai:*", "--team", "t" * 20)
    make(runner, "bound", "--bind", long)
    make(runner, "long", "--model", long, "--model", "fast")
    head, *lines = runner.invoke(root, ["keys", "list"]).stdout.splitlines()
    at = head.index("MODELS")
    told = {line.split()[0]: line[at:] for line in lines}
    assert told == {
        "anything": "",
        "editor": "bound to ollama:qwen3:8b",
        "guest": "ollama:* and 2 more",
        "one": "openai:*",
        "bound": "bound",
        "long": "2 models",
    }
    assert max(len(line) for line in (head, *lines)) <= 100
    listed = {one["name"]: one for one in json.loads(runner.invoke(root, ["keys", "list", "--json"]).stdout)}
    assert (listed["bound"]["bound_model"], listed["long"]["models"]) == (long, [long, "fast"])


@pytest.mark.parametrize("width", [None, 100])
def test_one_long_key_is_folded_and_leaves_the_others_as_they_are(
    capsys: pytest.CaptureFixture[str], width: int | None
) -> None:
    hour_us = 3_600_000_000
    long = KeyRecord(
        id="key_01m80b8k1pcvbmyt6kgx086qj3",
        name="n" * 50,
        shown="ft-abcdef",
        digest=b"",
        created_at_us=1,
        expires_at_us=30 * hour_us,
        old_secrets=(OldSecret(shown="ft-before", digest=b"", ends_at_us=5 * hour_us),),
        project="a-rather-long-project-name",
        team="a-rather-long-team-name",
        user="someone@example.com",
    )
    short = KeyRecord(
        id="key_2",
        name="search-service",
        shown="ft-ghijkl",
        digest=b"",
        created_at_us=1,
        models=("anthropic:claude-opus-4-*", "b"),
    )
    print_keys([long, short], 2, width=width)
    head, above, *folded, last, more = capsys.readouterr().out.splitlines()
    assert head.split() == ["NAME", "KEY", "STATE", "FOR", "MODELS"]
    assert above == long.name
    assert max(map(len, folded)) <= 100
    for_whom = head.index("FOR"), head.index("MODELS")
    told = "".join(line[slice(*for_whom)] for line in folded).replace(" ", "")
    assert told == "projecta-rather-long-project-name,teama-rather-long-team-name,usersomeone@example.com"
    state = slice(head.index("STATE"), head.index("FOR"))
    assert " ".join(" ".join(line[state] for line in folded).split()) == (
        "rotating until 1970-01-01 05:00, ends 1970-01-02 06:00"
    )
    assert more.split() == ["and", "1", "more"]
    assert last.split() == ["search-service", "ft-ghijkl...", "active", "anthropic:claude-opus-4-*"]


def test_on_a_narrow_screen_the_list_leaves_out_what_show_has_too(capsys: pytest.CaptureFixture[str]) -> None:
    record = KeyRecord(
        id="key_01m80b8k1pcvbmyt6kgx086qj3", name="search-service", shown="ft-abcdef", digest=b"", created_at_us=1
    )
    heads = {
        90: ["NAME", "KEY", "ID", "MADE", "STATE"],
        70: ["NAME", "KEY", "ID", "STATE"],
        50: ["NAME", "KEY", "STATE"],
    }
    for width, head in heads.items():
        print_keys([record], 2, width=width)
        assert capsys.readouterr().out.splitlines()[0].split() == head
    bound = msgspec.structs.replace(record, bound_model="anthropic:claude-opus-4-*")
    for width, head in {80: ["NAME", "KEY", "STATE", "MODELS"], 60: ["NAME", "KEY", "STATE"]}.items():
        print_keys([bound], 2, width=width)
        assert capsys.readouterr().out.splitlines()[0].split() == head
