import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from farthing.cli import root
from farthing.cli.agents.protocol import Edit
from farthing.cli.settings_edits import Changed, plan, write

CLAUDE = """{
  "model": "opus", "env": {"ANTHROPIC_BASE_URL": "https://elsewhere.example", "X": "1"},
  "permissions": {"allow": ["Bash(ls)"]}
}
"""
CODEX = """# mine
model = "gpt-5-codex"
model_provider = "openai"   # for now

[projects."/home/ann/site"]
trust_level = "trusted"
model_provider = "not ours: it is below a table"
"""
AIDER = """# aider
model: sonnet
openai-api-key: sk-mine
dark-mode: true"""
GEMINI = """{
  // comments are allowed here
  "theme": "GitHub",
  "security": {"auth": {"selectedType": "oauth-personal",},},
}
"""
DOTENV = "GEMINI_API_KEY=mine\nOTHER=1\n"

FILES = {
    "claude": {".claude/settings.json": CLAUDE},
    "codex": {".codex/config.toml": CODEX},
    "aider": {".aider.conf.yml": AIDER},
    "gemini": {".gemini/settings.json": GEMINI, ".gemini/.env": DOTENV},
    "opencode": {".config/opencode/opencode.json": '{"provider": {}, "theme": "x"}\n'},
}


class Account:
    """Somebody's home directory, and the commands run by them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.runner = CliRunner(env={"HOME": str(path), "FARTHING_HOME": str(path / "farthing"), **_NOT_SET})
        assert self.run("keys", "create", "first").exit_code == 0

    def run(self, *arguments: str) -> Result:
        return self.runner.invoke(root, arguments)

    def put(self, agent: str) -> None:
        for name, text in FILES[agent].items():
            file = self.path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")

    def everything(self) -> dict[str, bytes | str]:
        found: dict[str, bytes | str] = {}
        for file in sorted(self.path.rglob("*")):
            name = str(file.relative_to(self.path))
            if not name.startswith("farthing"):
                found[name] = str(file.readlink()) if file.is_symlink() else file.read_bytes() if file.is_file() else ""
        return found

    def text(self, name: str) -> str:
        return (self.path / name).read_text(encoding="utf-8")

    def keys(self) -> dict[str, bool]:
        """Return each key's name and whether it counts."""
        found = json.loads(self.run("keys", "list", "--json").stdout)
        return {key["name"].rpartition("-")[0] or key["name"]: key["revoked_at_us"] is None for key in found}


_NOT_SET = dict.fromkeys(("CLAUDE_CONFIG_DIR", "CODEX_HOME", "GEMINI_CLI_HOME", "XDG_CONFIG_HOME"))


@pytest.fixture
def account(tmp_path: Path) -> Account:
    return Account(tmp_path)


@pytest.mark.parametrize("agent", FILES)
def test_settings_come_back_byte_for_byte(account: Account, agent: str) -> None:
    account.put(agent)
    for name in FILES[agent]:
        (account.path / name).chmod(0o640)
    before = account.everything()
    told = account.run("wire", agent)
    assert told.exit_code == 0, told.output
    assert account.everything() != before
    assert account.keys()[f"wire-{agent}"]
    told = account.run("unwire", agent)
    assert told.exit_code == 0, told.output
    assert account.everything() == before
    for name in FILES[agent]:
        assert (account.path / name).stat().st_mode & 0o777 == 0o640
    assert not account.keys()[f"wire-{agent}"]
    assert not (account.path / "farthing" / "wired" / f"{agent}.json").exists()


@pytest.mark.parametrize("agent", FILES)
def test_what_was_not_there_is_removed_with_its_folders(account: Account, agent: str) -> None:
    assert account.everything() == {}
    told = account.run("wire", agent, "--model", "ollama:qwen3:8b")
    assert told.exit_code == 0, told.output
    for name in FILES[agent]:
        assert (account.path / name).stat().st_mode & 0o777 == 0o600
        assert "ollama:qwen3:8b" in "".join(account.text(name) for name in FILES[agent])
    assert account.run("unwire", agent).exit_code == 0
    assert account.everything() == {}


def test_claudes_settings_say_what_they_should_and_all_else_as_before(account: Account) -> None:
    account.put("claude")
    account.run("wire", "claude", "--model", "fast")
    found = json.loads(account.text(".claude/settings.json"))
    assert found["env"]["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:3000"
    assert found["env"]["ANTHROPIC_AUTH_TOKEN"].startswith("ft-")
    assert (found["env"]["X"], found["env"]["ANTHROPIC_MODEL"]) == ("1", "fast")
    assert (found["model"], found["permissions"]) == ("opus", {"allow": ["Bash(ls)"]})


def test_codexs_settings_say_what_they_should_and_all_else_as_before(account: Account) -> None:
    account.put("codex")
    account.run("wire", "codex")
    text = account.text(".codex/config.toml")
    found, before = tomllib.loads(text), tomllib.loads(CODEX)
    assert (found["model_provider"], found["model"]) == ("farthing", "gpt-5-codex")
    provider = found["model_providers"]["farthing"]
    assert (provider["base_url"], provider["wire_api"]) == ("http://127.0.0.1:3000/v1", "responses")
    assert provider["http_headers"]["Authorization"].startswith("Bearer ft-")
    assert found["projects"] == before["projects"]
    assert "# mine" in text


def test_aiders_and_geminis_say_what_they_should(account: Account) -> None:
    for agent in ("aider", "gemini"):
        account.put(agent)
        assert account.run("wire", agent).exit_code == 0
    aider = yaml.safe_load(account.text(".aider.conf.yml"))
    assert (aider["openai-api-base"], aider["model"], aider["dark-mode"]) == (
        "http://127.0.0.1:3000/v1",
        "sonnet",
        True,
    )
    assert aider["openai-api-key"].startswith("ft-")
    assert '"selectedType": "gemini-api-key"' in account.text(".gemini/settings.json")
    assert "// comments" in account.text(".gemini/settings.json")
    lines = account.text(".gemini/.env").splitlines()
    assert next(line for line in lines if line.startswith("GEMINI_API_KEY=")).startswith('GEMINI_API_KEY="ft-')
    assert "OTHER=1" in lines


def test_what_was_changed_since_stays_and_only_ours_is_taken_out(account: Account) -> None:
    for agent in FILES:
        account.put(agent)
        account.run("wire", agent)
    claude = account.text(".claude/settings.json").replace('"opus"', '"sonnet"')
    (account.path / ".claude/settings.json").write_text(claude, encoding="utf-8")
    with (account.path / ".codex/config.toml").open("a", encoding="utf-8") as file:
        file.write("\n[tui]\nnotifications = true\n")
    with (account.path / ".aider.conf.yml").open("a", encoding="utf-8") as file:
        file.write("\nauto-commits: false\n")
    gemini = account.text(".gemini/settings.json").replace("GitHub", "Dracula")
    (account.path / ".gemini/settings.json").write_text(gemini, encoding="utf-8")
    (account.path / ".gemini/.env").unlink()
    for agent in FILES:
        told = account.run("unwire", agent)
        assert told.exit_code == 0, told.output
    assert account.text(".claude/settings.json") == CLAUDE.replace("opus", "sonnet")
    assert account.text(".codex/config.toml") == CODEX + "\n[tui]\nnotifications = true\n"
    assert account.text(".aider.conf.yml") == AIDER + "\n\nauto-commits: false\n"
    assert account.text(".gemini/settings.json") == GEMINI.replace("GitHub", "Dracula")
    assert not (account.path / ".gemini/.env").exists()


def test_a_value_that_its_owner_set_since_is_theirs(account: Account) -> None:
    account.run("wire", "claude")
    path = account.path / ".claude/settings.json"
    found = json.loads(path.read_bytes())
    found["env"]["ANTHROPIC_BASE_URL"] = "https://mine.example"
    found["theme"] = "dark"
    path.write_text(json.dumps(found), encoding="utf-8")
    told = account.run("unwire", "claude")
    assert "took our part out of" in told.stderr
    assert json.loads(path.read_bytes()) == {"env": {"ANTHROPIC_BASE_URL": "https://mine.example"}, "theme": "dark"}


def test_a_link_stays_a_link(account: Account) -> None:
    dotfiles = account.path / "dotfiles"
    dotfiles.mkdir()
    (dotfiles / "claude.json").write_text(CLAUDE, encoding="utf-8")
    (account.path / ".claude").mkdir()
    (account.path / ".claude/settings.json").symlink_to(dotfiles / "claude.json")
    before = account.everything()
    account.run("wire", "claude")
    assert (account.path / ".claude/settings.json").is_symlink()
    assert "ft-" in (dotfiles / "claude.json").read_text(encoding="utf-8")
    account.run("unwire", "claude")
    assert account.everything() == before


@pytest.mark.parametrize(
    ("agent", "name", "text", "told"),
    [
        ("claude", ".claude/settings.json", "{broken", "cannot be changed"),
        ("claude", ".claude/settings.json", '{"env": 7}', "env is no object"),
        ("claude", ".claude/settings.json", "[]", "no JSON object"),
        ("codex", ".codex/config.toml", "[model_providers.farthing]\nname = 'mine'\n", "cannot be changed"),
        ("codex", ".codex/config.toml", "'model_provider' = 'mine'\n", "cannot be changed"),
        ("codex", ".codex/config.toml", "x = [\n", "cannot be changed"),
        ("aider", ".aider.conf.yml", "a: [1\n", "cannot be changed"),
        ("aider", ".aider.conf.yml", "openai-api-key:\n  - x\n", "cannot be changed"),
    ],
)
def test_what_cannot_be_changed_is_told_and_left_alone(
    account: Account, agent: str, name: str, text: str, told: str
) -> None:
    path = account.path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    done = account.run("wire", agent)
    assert done.exit_code == 1
    assert told in done.stderr
    assert "by hand" in done.stderr
    assert path.read_text(encoding="utf-8") == text
    assert not account.keys()[f"wire-{agent}"]


def test_twice_is_refused_and_so_is_nothing_to_undo(account: Account) -> None:
    assert account.run("unwire", "claude").exit_code == 1
    account.run("wire", "claude")
    done = account.run("wire", "claude")
    assert done.exit_code == 1
    assert "is wired already" in done.stderr


def test_an_open_file_with_a_key_in_it_is_warned_of(account: Account) -> None:
    account.put("claude")
    (account.path / ".claude/settings.json").chmod(0o644)
    assert "chmod 600" in account.run("wire", "claude").stderr


def test_our_part_with_its_end_cut_off_is_told(account: Account) -> None:
    account.put("codex")
    account.run("wire", "codex")
    path = account.path / ".codex/config.toml"
    path.write_text(path.read_text(encoding="utf-8").replace("# <<< farthing\n", ""), encoding="utf-8")
    done = account.run("unwire", "codex")
    assert done.exit_code == 1
    assert "no end any more" in done.stderr
    assert account.keys()["wire-codex"]


def test_a_folder_that_cannot_be_written_takes_everything_back(account: Account, tmp_path: Path) -> None:
    (tmp_path / "no-folder").write_text("a file", encoding="utf-8")
    account.put("claude")
    before = account.everything()
    environment = {"CLAUDE_CONFIG_DIR": str(tmp_path / "no-folder" / "below")}
    done = account.runner.invoke(root, ["wire", "claude"], env=environment)
    assert (done.exit_code, done.exception.__class__) == (1, SystemExit), done.output
    assert "cannot be used: Not a directory. Nothing was changed" in done.stderr
    assert account.everything() == before
    assert not account.keys()["wire-claude"]
    assert not (account.path / "farthing" / "wired" / "claude.json").exists()


def test_a_write_that_fails_takes_everything_back(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    account.put("gemini")
    before = account.everything()

    def full(path: Path, data: bytes) -> None:
        if path.name == ".env":
            raise OSError(28, "No space left on device")
        write(path, data)

    monkeypatch.setattr("farthing.cli.wire.write", full)
    done = account.run("wire", "gemini")
    assert done.exit_code == 1
    assert "cannot be written: No space left on device" in done.stderr
    assert "all is as it was before" in done.stderr
    assert account.everything() == before
    assert not account.keys()["wire-gemini"]
    assert account.run("wire", "claude").exit_code == 0


def test_what_is_to_be_added_by_hand_names_no_key_that_is_revoked(account: Account) -> None:
    for agent, name in (("claude", ".claude/settings.json"), ("codex", ".codex/config.toml")):
        path = account.path / name
        path.parent.mkdir()
        path.write_text("[broken", encoding="utf-8")
        told = account.run("wire", agent).stderr
        assert "ft-..." in told
        assert not re.search(r"ft-\w", told)
        assert "keys create" in told


def test_unwire_says_whether_all_is_as_it_was(account: Account) -> None:
    account.put("claude")
    path = account.path / ".claude/settings.json"
    account.run("wire", "claude")
    assert "claude is as it was before; the key 'wire-claude-" in account.run("unwire", "claude").stderr
    account.run("wire", "claude")
    path.write_text(path.read_text(encoding="utf-8").replace('"opus"', '"haiku"'), encoding="utf-8")
    assert "what you changed stays" in account.run("unwire", "claude").stderr
    account.run("wire", "claude")
    path.unlink()
    told = account.run("unwire", "claude").stderr
    assert f"gone already: {path}" in told
    assert "as it was before" not in told


def test_of_two_that_wire_at_once_one_does_and_what_was_there_before_is_kept(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.put("claude")
    before = account.everything()
    others: list[Result] = []

    def plan_late(edit: Edit) -> tuple[Changed, bytes]:
        patched.setattr("farthing.cli.wire.plan", plan)
        others.append(account.run("wire", "claude"))  # between the look for a note and the note
        return plan(edit)

    with monkeypatch.context() as patched:
        patched.setattr("farthing.cli.wire.plan", plan_late)
        late = account.run("wire", "claude")
    assert others[0].exit_code == 0
    assert (late.exit_code, "wired already" in late.stderr) == (1, True)
    keys = json.loads(account.run("keys", "list", "--json").stdout)
    assert [key["revoked_at_us"] is None for key in keys if key["name"].startswith("wire-")] == [False, True]
    assert account.run("unwire", "claude").exit_code == 0
    assert account.everything() == before
