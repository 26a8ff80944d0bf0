import multiprocessing
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from farthing.config.edit import SettingsFile, set_setting, unset_setting
from farthing.config.first_start import FIRST_SETTINGS, SCHEMA_NAME
from farthing.config.migrate import Migration
from farthing.config.places import with_value, without
from farthing.config.save import KEEP_BACKUPS, settings_lock
from farthing.config.schema import Settings
from farthing.errors import ConfigError
from farthing.providers.registry import known_providers
from tests.unit.config.first_settings import uncommented

KNOWN = known_providers()
ENVIRONMENT = {"OPENAI_API_KEY": "sk"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "settings.yaml"


def file(path: Path, migrations: Sequence[Migration] = ()) -> SettingsFile:
    return SettingsFile(path, known=KNOWN, environment=ENVIRONMENT, migrations=migrations)


TEXT = """\
# ours
version: 1
server:
  port: 3000      # the old port
  # keep_alive_s: 75

providers:
  openai: {credential: env:OPENAI_API_KEY}  # dear
  lab.a:
    kind: vllm
    timeouts: {idle_s: 5}   # impatient

models:
  gpt-5.1: openai:gpt-5.1   # a name with a dot
prices:
  - {model: "openai:*", input: 1.5, output: 2}  # guessed
# end
"""


def changed_lines(before: str, after: str) -> list[str]:
    left = before.splitlines()
    return [line for line in after.splitlines() if line not in left]


@pytest.mark.parametrize(
    ("setting", "value", "line"),
    [
        ("server.port", "3001", "  port: 3001      # the old port"),
        ("server.keep_alive_s", "20", "  keep_alive_s: 20"),
        ("providers.openai.free", "true", "  openai: {free: true, credential: env:OPENAI_API_KEY}  # dear"),
        ("providers.lab.a.free", "true", "    free: true"),
        ("providers.lab.a.timeouts.idle_s", "7.5", "    timeouts: {idle_s: 7.5}   # impatient"),
        ("providers.lab.a.timeouts.total_s", "70", "    timeouts: {total_s: 70, idle_s: 5}   # impatient"),
        ("models.gpt-5.1", "openai:gpt-5.2", "  gpt-5.1: openai:gpt-5.2   # a name with a dot"),
        ("models.fast", "lab.a:m", "  fast: lab.a:m"),
        ("prices[0].input", "1.25", '  - {model: "openai:*", input: 1.25, output: 2}  # guessed'),
        ("unpriced", "refuse", "unpriced: refuse"),
    ],
)
def test_a_setting_is_set_where_it_stands_and_all_else_stays(path: Path, setting: str, value: str, line: str) -> None:
    path.write_text(TEXT)
    before, after = set_setting(file(path), setting, value)
    assert before != after
    assert changed_lines(TEXT, path.read_text()) == [line]
    assert len(path.read_text().splitlines()) - len(TEXT.splitlines()) in (0, 1)
    assert path.with_name("settings.yaml.bak").read_text() == TEXT
    assert after == file(path).load()


def test_several_credentials_and_timeouts_of_a_provider_are_set_whole(path: Path) -> None:
    path.write_text("version: 1\nproviders:\n  openai: {free: true}\n")
    set_setting(file(path), "providers.openai.credentials", '[vault, {source: "env:KEY", weight: 3, usd_per_day: 20}]')
    _, after = set_setting(file(path), "providers.openai.timeouts", "{idle_s: 200}")
    openai = after.providers["openai"]
    assert [str(share.source) for share in openai.credentials] == ["vault", "env:KEY"]
    assert (openai.credentials[1].weight, openai.timeouts.idle_s) == (3, 200)


def test_a_budget_a_limit_and_a_channel_are_set_whole(path: Path) -> None:
    path.write_text(TEXT)
    set_setting(file(path), "budgets.daily", "{usd: 20, period: day, at: {25: warn, 5: pause}}")
    set_setting(file(path), "budgets.daily", "{usd: 10, period: day}")
    set_setting(file(path), "budgets.daily.at", "{10: warn}")
    set_setting(file(path), "limits.polite", '{key: "*", requests_per_minute: 60}')
    set_setting(file(path), "alerts.channels.me", "{kind: webhook, url: env:HOOK, facts: [threshold, unusual]}")
    _, after = set_setting(file(path), "alerts.channels.me.facts", "[errors]")
    assert changed_lines(TEXT, path.read_text()) == [
        "budgets:",
        "  daily: {at: {10: warn}, usd: 10, period: day}",
        "limits:",
        '  polite: {key: "*", requests_per_minute: 60}',
        "alerts:",
        "  channels: {me: {kind: webhook, url: env:HOOK, facts: [errors]}}",
    ]
    assert [budget.usd for budget in after.budgets] == [10 * 10**9]
    unset_setting(file(path), "budgets.daily.at")
    assert "daily: {usd: 10, period: day}" in path.read_text()


def test_a_section_that_is_not_there_is_begun(path: Path) -> None:
    path.write_text("version: 1\nproviders: {openai: }")
    set_setting(file(path), "server.max_body_mb", "64")
    assert path.read_text() == "version: 1\nproviders: {openai: }\n\nserver:\n  max_body_mb: 64\n"
    _, after = set_setting(file(path), "models.fast", "openai:gpt-5")
    assert path.read_text().endswith("\n\nmodels:\n  fast: openai:gpt-5\n")
    assert str(after.models["fast"]) == "openai:gpt-5"


def test_without_a_file_the_first_one_is_written_with_its_schema(path: Path) -> None:
    set_setting(file(path), "server.port", "3001")
    assert path.read_text() == FIRST_SETTINGS.replace("  port: 3000", "  port: 3001")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.with_name(SCHEMA_NAME).exists()


def test_every_setting_of_the_first_file_can_be_set_and_taken_out(path: Path) -> None:
    for setting, value in (
        ("server.host", "::1"),
        ("server.public_url", "https://f.example"),
        ("log.level", "info"),
        ("providers.groq.credential", "none"),
        ("providers.groq.timeouts.idle_s", "3"),
        ("find_local", "false"),
        ("prices_source", "/var/lib/list.json"),
    ):
        path.unlink(missing_ok=True)
        set_setting(file(path), setting, value)
        assert value in path.read_text()
        unset_setting(file(path), setting)
        assert value not in "\n".join(changed_lines(FIRST_SETTINGS, path.read_text()))


@pytest.mark.parametrize(
    ("setting", "value", "why"),
    [
        ("server.port", "70000", r"settings\.yaml:4: server\.port: '70000' is not allowed"),
        ("server.prt", "1", r"server\.prt: is not a setting \(did you mean 'port'\?\)"),
        ("servr.port", "1", "servr: is not a setting"),
        ("models.fast", "opnai:x", "names no provider"),
        ("models.fast", "fast", "is an alias itself"),
        ("models.fast", "a: {b", "names no provider"),
        ("providers.openai.credential", "sk-live-123", "not shown here"),
        ("providers.openai", "x", "is a provider, not a setting of it"),
        ("server", "x", "is a section"),
        ("version", "2", "is not set"),
        ("server.port.x", "1", "no plain mapping"),
        ("prices[7].input", "1", r"There is no prices\[7\]"),
        ("prices[x].input", "1", "no path"),
        ("server..port", "1", "no path"),
        ("budgets.daily", "{usd: 20", "while parsing"),
        ("budgets.daily", "{usd: , period: day}", "leaves something empty"),
        ("budgets.daily", "{usd: 20}", "period"),
        ("server.host", " ", "An empty value says nothing"),
        ("server.host", "\udcff", "Unicode"),
    ],
)
def test_what_cannot_be_set_changes_nothing(path: Path, setting: str, value: str, why: str) -> None:
    path.write_text(TEXT)
    with pytest.raises(ConfigError, match=why) as caught:
        set_setting(file(path), setting, value)
    assert "sk-live" not in str(caught.value)
    assert path.read_text() == TEXT
    assert {one.name for one in path.parent.iterdir()} <= {".settings.yaml.lock", "settings.yaml"}


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ("server: &all {port: 1}\nlog: *all\n", "log.level"),
        ("providers:\n  a: &one {kind: vllm}\n  b: *one\n", "providers.b.free"),
        ("server: {host: &h 127.0.0.1, public_url: *h}\n", "server.host"),
        ("server:\n  host: |\n    127.0.0.1\n", "server.host"),
        ("version: 1\n...\n", "server.port"),
    ],
)
def test_what_is_written_in_an_odd_way_is_left_to_the_operator(path: Path, text: str, setting: str) -> None:
    path.write_text(text)
    with pytest.raises(ConfigError):
        set_setting(file(path), setting, "7")
    assert path.read_text() == text


def test_what_is_referred_to_is_not_taken_out(path: Path) -> None:
    path.write_text(TEXT)
    with pytest.raises(ConfigError, match=r"server\.host' is not in the file: its default holds already"):
        unset_setting(file(path), "server.host")
    with pytest.raises(ConfigError, match="row of a list"):
        unset_setting(file(path), "prices[0].input")
    unset_setting(file(path), "providers.lab.a.timeouts.idle_s")
    assert "    timeouts: {}   # impatient" in path.read_text()


def test_so_many_backups_are_kept_and_no_more(path: Path) -> None:
    path.write_text(TEXT)
    for port in range(1, KEEP_BACKUPS + 6):
        set_setting(file(path), "server.port", str(port))
    kept = sorted(one.name for one in path.parent.iterdir() if ".bak" in one.name)
    assert len(kept) == KEEP_BACKUPS
    newest = KEEP_BACKUPS + 4
    assert f"port: {newest} " in path.with_name("settings.yaml.bak").read_text()
    for number in range(2, KEEP_BACKUPS + 1):
        assert f"port: {newest + 1 - number} " in path.with_name(f"settings.yaml.bak.{number}").read_text()


def test_a_second_command_waits_and_then_says_what_is_in_the_way(path: Path) -> None:
    path.write_text(TEXT)
    with settings_lock(path):
        told = "is being changed by another command"
        with pytest.raises(ConfigError, match=told), settings_lock(path, patience_s=0.05):
            raise AssertionError
    set_setting(file(path), "server.port", "1")


def test_what_an_editor_wrote_meanwhile_is_not_overwritten(path: Path) -> None:
    path.write_text(TEXT)

    def rewrite(text: str, _before: Settings) -> str:
        path.write_text(TEXT + "# an editor was here\n")
        return with_value(text, ("server", "port"), "1")

    with pytest.raises(ConfigError, match="changed by somebody else meanwhile"):
        file(path).change(rewrite, lambda _before, _after: True)
    assert path.read_text() == TEXT + "# an editor was here\n"


def _set_many(path: Path, name: str, count: int) -> None:
    for number in range(count):
        set_setting(file(path), f"models.{name}-{number}", f"openai:{name}")


def test_of_commands_in_several_processes_none_undoes_another_and_nobody_reads_half(path: Path) -> None:
    path.write_text(TEXT)
    names, count = ("a", "b", "c"), 5
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_set_many, args=(path, name, count)) for name in names]
    for writer in writers:
        writer.start()
    reads = 0
    while any(writer.is_alive() for writer in writers):
        seen = file(path).load()
        assert "gpt-5.1" in seen.models
        assert path.read_text().endswith("# end\n")
        reads += 1
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert reads > 3
    assert len(file(path).load().models) == 1 + len(names) * count


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can give a file away")
def test_the_file_stays_its_owners(path: Path) -> None:
    path.write_text(TEXT)
    path.chmod(0o640)
    os.chown(path, 12_345, 54_321)
    set_setting(file(path), "server.port", "1")
    state = path.stat()
    assert (state.st_uid, state.st_gid, state.st_mode & 0o777) == (12_345, 54_321, 0o640)


SETTINGS = (
    ("server", "port"),
    ("server", "host"),
    ("models", "fast"),
    ("unpriced",),
    ("log", "level"),
    ("providers", "openai", "free"),
    ("providers", "lab", "timeouts", "idle_s"),
    ("models", "a b: {"),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.sampled_from([
            "server:\n  port: 1\n", "server: {port: 1}  # x\n", "server:\n", "# between\n", "models:  # none\n",
            "providers:\n  openai:\n  lab:\n    timeouts:\n      idle_s: 3\n", "providers: {openai: {free: false}}\n",
            "unpriced: allow\n", "log: ~\n", "models: {}\n", "prices:\n- {model: x}\n",
        ]),
        unique_by=lambda part: part.split(":")[0],
        max_size=6,
    ),
    st.sampled_from(SETTINGS),
    st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12).filter(str.strip),
    st.booleans(),
)  # fmt: skip
def test_in_any_file_of_these_parts_a_value_is_set_or_the_file_is_left_alone(
    parts: list[str], keys: tuple[str, ...], value: str, windows: bool
) -> None:
    text = "".join(parts)
    text = text.replace("\n", "\r\n") if windows else text
    try:
        after = with_value(text, keys, value)
    except ConfigError:
        return  # said to be for the operator; `with_value` itself proves what it returns
    kept = after.replace("\r\n", "\n").split("\n")
    for line in text.replace("\r\n", "\n").split("\n"):
        comment = line.partition("#")[2]
        assert not comment or any(comment in other for other in kept)
    assert with_value(after, keys, value) == after
    assert with_value(without(after, keys), keys, value)


def test_every_line_of_the_first_settings_can_be_changed() -> None:
    text = uncommented()
    for keys, value in ((("providers", "lab", "timeouts", "idle_s"), "1"), (("prices", 2, "web_search"), "0.5")):
        changed = changed_lines(text, with_value(text, keys, value))
        assert len(changed) == 1
        assert value in changed[0]


def test_the_version_is_not_taken_out(path: Path) -> None:
    path.write_text(TEXT)
    with pytest.raises(ConfigError, match="follows from what stands in it; it is not taken out"):
        unset_setting(file(path), "version")
    assert path.read_text() == TEXT


# ---- versions


def renamed(text: str) -> str:
    """What a migration is made of: `unpriced` becomes `log.level`, say; the comment stays."""
    return text.replace("unpriced: refuse", "unpriced: allow")


MIGRATION = Migration("calls without a price are allowed", renamed)
OLD = "# mine\nversion: 1   # the first\nproviders: {openai: }\nunpriced: refuse  # strict\n"


def test_an_older_file_is_read_as_what_the_migrations_make_of_it(path: Path) -> None:
    path.write_text(OLD)
    found = file(path, [MIGRATION]).load()
    assert (found.version, found.unpriced) == (2, "allow")
    assert path.read_text() == OLD


@pytest.mark.parametrize("named", [True, False])
def test_a_migration_keeps_comments_and_the_old_file(path: Path, named: bool) -> None:
    old = OLD if named else OLD.replace("version: 1   # the first\n", "")
    path.write_text(old)
    path.chmod(0o640)
    done = file(path, [MIGRATION]).migrate()
    assert (done.version, done.done) == (1, ("calls without a price are allowed",))
    text = path.read_text()
    assert "unpriced: allow  # strict" in text
    assert text.startswith("# mine\n")
    assert ("version: 2   # the first" if named else "version: 2\n") in text
    assert path.with_name("settings.yaml.version-1.bak").read_text() == old
    assert path.with_name("settings.yaml.version-1.bak").stat().st_mode & 0o777 == 0o640
    assert file(path, [MIGRATION]).migrate().done == ()

    # Changes afterwards rotate the other backups, and never this one.
    for port in range(1, KEEP_BACKUPS + 3):
        set_setting(file(path, [MIGRATION]), "server.port", str(port))
    assert path.with_name("settings.yaml.version-1.bak").read_text() == old


def test_a_file_of_a_newer_version_is_refused_with_the_way_out(path: Path) -> None:
    path.write_text(OLD)
    file(path, [MIGRATION]).migrate()
    text = path.read_text()
    older = file(path)
    with pytest.raises(ConfigError, match="'2' was written for a newer Farthing, and this one reads up to 1") as caught:
        older.load()
    assert f"put back the file as it was before: {path.with_name('settings.yaml.version-1.bak')}." in str(caught.value)
    with pytest.raises(ConfigError, match="newer Farthing"):
        set_setting(older, "server.port", "1")
    assert path.read_text() == text
    path.with_name("settings.yaml.version-1.bak").unlink()
    with pytest.raises(ConfigError, match="update it, or write 1 and take out what is said to be no setting then"):
        older.load()


def test_a_change_of_an_older_file_migrates_it_first(path: Path) -> None:
    path.write_text(OLD)
    _, after = set_setting(file(path, [MIGRATION]), "server.port", "7")
    assert (after.version, after.unpriced, after.server.port) == (2, "allow", 7)
    assert path.with_name("settings.yaml.version-1.bak").read_text() == OLD


def test_a_migration_that_makes_the_file_wrong_changes_nothing(path: Path) -> None:
    path.write_text(OLD + "nonsense: 1\n")
    with pytest.raises(ConfigError, match=r"(?s):5: nonsense: .*the lines are those after the change to 2"):
        file(path, [MIGRATION]).load()
    path.write_text(OLD)
    broken = Migration("broken", lambda text: text.replace("unpriced", "unprised"))
    with pytest.raises(ConfigError, match=r":4: unprised: is not a setting"):
        file(path, [broken]).migrate()
    odd = Migration("odd", lambda text: text + "version: 1\n")
    with pytest.raises(ConfigError, match=r"cannot be brought to version 2 \(odd\)"):
        file(path, [odd]).migrate()
    assert path.read_text() == OLD


@pytest.mark.parametrize("text", ["version: 0\n", "version: -1\n", "version: 1.0\n", "version: ²\n", "version: [1]\n"])
def test_what_is_no_version_is_told(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"1: version: .*; write 1\."):
        file(path).load()
