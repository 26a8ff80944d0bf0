"""`farthing credentials` as somebody types it."""

import json
import os
import tarfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from farthing.cli import root
from farthing.cli.credentials import masked

SECRET = "sk-canary-at-the-command-line-Zq7"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (*os.environ,):
        if name.endswith(("_API_KEY", "_TOKEN")) or name.startswith("FARTHING_"):
            monkeypatch.delenv(name)
    return tmp_path / "home"


def credentials(home: Path, *arguments: str, secret: str | None = None) -> Result:
    result = CliRunner().invoke(root, ["--home", str(home), "credentials", *arguments], input=secret)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert SECRET not in result.output
    return result


def listed(home: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(credentials(home, "list", "--json").stdout)["credentials"]
    return found


def test_one_is_added_listed_changed_and_removed(home: Path) -> None:
    added = credentials(home, "add", "openai", "--weight", "3", "--usd-per-day", "2.50", secret=f"{SECRET}\n")
    assert added.exit_code == 0
    assert "'openai-1' of openai is in the vault" in added.stderr
    assert '"farthing' in added.stderr or "credential vault" in added.stderr  # how it comes to be used
    (one,) = listed(home)
    assert (one["name"], one["provider"], one["weight"], one["enabled"]) == ("openai-1", "openai", 3, True)
    assert one["quotas"] == {"nanousd_per_day": 2_500_000_000}
    assert not {"ciphertext", "nonce", "secret"} & one.keys()
    assert "2.50 usd per day" in credentials(home, "list").stdout
    assert credentials(home, "set", "openai-1", "--weight", "5", "--requests-per-minute", "60").exit_code == 0
    (one,) = listed(home)
    assert (one["weight"], one["quotas"]) == (5, {"requests_per_minute": 60, "nanousd_per_day": 2_500_000_000})
    credentials(home, "set", "openai-1", "--no-quotas")
    assert listed(home)[0]["quotas"] == {}
    assert "is disabled" in credentials(home, "disable", "openai-1").stderr
    assert credentials(home, "remove", "openai-1").exit_code == 0
    assert listed(home) == []


def test_a_secret_is_shown_by_its_ends_alone(home: Path) -> None:
    credentials(home, "add", "groq", "--name", "lab", secret=SECRET)
    shown = credentials(home, "show", "lab").stdout
    assert "sk-c...-Zq7" in shown
    assert masked("short-secret-of-23-chars") == "shor...hars"
    assert masked("x" * 23) == "***"


def test_a_key_of_nobody_is_not_kept(home: Path) -> None:
    refused = credentials(home, "add", "opnai", secret=SECRET)
    assert refused.exit_code == 1
    assert "Unknown provider 'opnai'" in refused.stderr
    assert not (home / "farthing.db").exists()
    assert "No secret was given" in credentials(home, "add", "openai", secret="").stderr
    assert not (home / "master.key").exists()


def test_what_the_settings_say_against_it_is_told(home: Path) -> None:
    home.mkdir(mode=0o700)
    (home / "settings.yaml").write_text("providers: {openai: {credential: env:K}}\n")
    told = credentials(home, "add", "openai", secret=SECRET).stderr
    assert "settings.yaml has openai call with env:K, and not with the vault's" in told


def test_options_that_make_no_sense_change_nothing(home: Path) -> None:
    credentials(home, "add", "openai", secret=SECRET)
    before = listed(home)
    for arguments in (("set", "openai-1"), ("set", "openai-1", "--usd-per-day", "-1"), ("remove",), ("set", "nobody")):
        assert credentials(home, *arguments).exit_code in (1, 2), arguments
    assert listed(home) == before


def test_a_lost_master_key_is_told_and_the_way_out_works(home: Path) -> None:
    credentials(home, "add", "openai", secret=SECRET)
    (home / "master.key").unlink()
    for arguments in (("show", "openai-1"), ("rotate-master",)):
        refused = credentials(home, *arguments)
        assert refused.exit_code == 1
        assert "The vault is locked" in refused.stderr
    assert [one["name"] for one in listed(home)] == ["openai-1"]
    failed = credentials(home, "test")
    assert failed.exit_code == 1
    assert not (home / "master.key").exists()
    assert credentials(home, "remove", "--all").exit_code == 0
    assert credentials(home, "add", "openai", secret=SECRET).exit_code == 0


def test_a_backup_has_the_sealed_credentials_and_not_their_key(home: Path, tmp_path: Path) -> None:
    credentials(home, "add", "openai", secret=SECRET)
    made = CliRunner().invoke(root, ["--home", str(home), "backup", str(tmp_path / "b.tar.gz")])
    assert made.exit_code == 0, made.output
    with tarfile.open(tmp_path / "b.tar.gz") as tar:
        names = tar.getnames()
    assert "farthing.db" in names
    assert "master.key" not in names
    elsewhere = tmp_path / "elsewhere"
    assert CliRunner().invoke(root, ["--home", str(elsewhere), "restore", str(tmp_path / "b.tar.gz")]).exit_code == 0
    assert [one["name"] for one in listed(elsewhere)] == ["openai-1"]
    assert "The vault is locked" in credentials(elsewhere, "show", "openai-1").stderr
    (elsewhere / "master.key").write_bytes((home / "master.key").read_bytes())
    assert "sk-c...-Zq7" in credentials(elsewhere, "show", "openai-1").stdout
