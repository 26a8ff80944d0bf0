import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from farthing.config.credentials import credential_warning, read_credential
from farthing.config.first_start import FIRST_SETTINGS, write_first_settings
from farthing.config.load import load_settings
from farthing.config.lock import HANDED_OVER, HomeLock, holder
from farthing.config.paths import Home, find_home
from farthing.config.save import settings_lock
from farthing.config.schema import CredentialSource, LogSettings, ProviderSettings, ServerSettings, Settings, Timeouts
from farthing.errors import ConfigError, CredentialMissing, HomeLocked, StoreError
from farthing.types.providers import KnownProvider
from tests.unit.config.first_settings import uncommented

KNOWN = {
    kind: KnownProvider(kind=kind, wire="openai_chat", base_url=base_url, credential_env=variable)
    for kind, base_url, variable in (
        ("openai", "https://api.openai.example/v1", "OPENAI_API_KEY"),
        ("anthropic", "https://api.anthropic.example", "ANTHROPIC_API_KEY"),
        ("azure", None, "AZURE_OPENAI_API_KEY"),
        ("openrouter", "https://openrouter.example/api/v1", "OPENROUTER_API_KEY"),
        ("openai-compatible", None, None),
    )
}


def test_the_option_wins_over_the_environment_and_that_over_the_system() -> None:
    environment = {"FARTHING_HOME": "/env/home", "HOME": "/home/me", "XDG_DATA_HOME": "/xdg"}
    assert find_home("/option", environment).path == Path("/option")
    assert find_home(None, environment).path == Path("/env/home")
    del environment["FARTHING_HOME"]
    assert find_home(None, environment, platform="linux").path == Path("/xdg/farthing")
    assert find_home(None, {"HOME": "/home/me", "XDG_DATA_HOME": "relative"}, platform="linux").path == Path(
        "/home/me/.local/share/farthing"
    )


def test_each_system_has_its_own_place() -> None:
    environment = {"HOME": "/Users/me", "LOCALAPPDATA": "/local"}
    assert find_home(None, environment, platform="darwin").path == Path(
        "/Users/me/Library/Application Support/Farthing"
    )
    assert find_home(None, environment, platform="win32").path == Path("/local/Farthing")
    assert find_home(None, {"USERPROFILE": "/me"}, platform="win32").path == Path("/me/AppData/Local/Farthing")


def test_the_home_is_for_its_owner_only(tmp_path: Path) -> None:
    home = Home(tmp_path / "a" / "home")
    home.create()
    home.path.chmod(0o755)
    home.create()
    assert home.path.stat().st_mode & 0o777 == 0o700
    assert home.journal.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
def test_a_folder_of_others_is_not_closed_to_them(tmp_path: Path) -> None:
    for mode, kept in ((0o755, "passwd"), (0o711, "settings.yaml"), (0o1777, "journal/of-another")):
        shared = tmp_path / oct(mode)
        (shared / kept).parent.mkdir(parents=True)
        (shared / kept).write_text("theirs")
        shared.chmod(mode)
        with pytest.raises(ConfigError, match="as a home it would be closed to them") as caught:
            Home(shared).create()
        assert caught.value.hint is not None
        assert f"chmod 700 {shared}" in caught.value.hint
        assert shared.stat().st_mode & 0o7777 == mode
        assert [path.name for path in shared.iterdir()] == [kept.partition("/")[0]], "nothing was made in it"
        shared.chmod(0o700)
        Home(shared).create()


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
@pytest.mark.parametrize("inside", [[], ["lost+found/"], ["pepper", "theirs"], ["journal/1-1-000001.journal"]], ids=str)
def test_an_empty_folder_and_a_home_are_closed_to_others(tmp_path: Path, inside: list[str]) -> None:
    for name in inside:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).mkdir() if name.endswith("/") else (tmp_path / name).touch()
    tmp_path.chmod(0o755)
    Home(tmp_path).create()
    assert tmp_path.stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "journal").stat().st_mode & 0o777 == 0o700


def test_a_home_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"Cannot use '.*/file/home' as the home: Not a directory\."):
        Home(tmp_path / "file" / "home").create()


def test_a_second_owner_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with HomeLock.acquire(path):
        assert path.stat().st_mode & 0o777 == 0o600
        assert holder(path) == os.getpid()
        with pytest.raises(HomeLocked) as caught:
            HomeLock.acquire(path)
        assert caught.value.message == f"Another process (pid {os.getpid()}) serves the home '{tmp_path}'."
    assert holder(path) is None
    HomeLock.acquire(path).release()


def test_a_killed_owner_leaves_no_lock_behind(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    code = (
        "import sys, pathlib; from farthing.config.lock import HomeLock;"
        "lock = HomeLock.acquire(pathlib.Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "held\n"
        assert holder(path) == owner.pid
        with pytest.raises(HomeLocked, match=f"pid {owner.pid}"):
            HomeLock.acquire(path)
        owner.kill()
        owner.wait(10)
    assert holder(path) is None
    HomeLock.acquire(path).release()


POSIX = pytest.mark.skipif(os.name != "posix", reason="Windows removes no open files, and has no exec that keeps them")


@POSIX
def test_a_lock_file_that_was_removed_does_not_free_the_home(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with HomeLock.acquire(path) as lock:
        path.unlink()
        assert holder(path) == 0
        with pytest.raises(HomeLocked, match=r"serves the home .*, whose lock file was removed"):
            HomeLock.acquire(path)
        assert not path.exists()
        (tmp_path / "running.json").write_text('{"pid": 4711, "port": 1}')
        assert holder(path) == 4711
        path.write_text("99999 serve\n")  # and somebody made another one
        with pytest.raises(HomeLocked):
            HomeLock.acquire(path)
        assert lock.keep()
        assert path.read_text() == f"{os.getpid()} serve\n"
        assert not lock.keep()
        with pytest.raises(HomeLocked, match=rf"pid {os.getpid()}\) serves"):
            HomeLock.acquire(path)
    assert holder(path) is None
    HomeLock.acquire(path).release()


@POSIX
def test_a_lock_file_that_cannot_be_made_again_is_told(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with HomeLock.acquire(path) as lock:
        path.unlink()
        path.symlink_to(tmp_path / "elsewhere")
        with pytest.raises(OSError, match="symbolic link"):
            lock.keep()
        assert not (tmp_path / "elsewhere").exists()


@POSIX
def test_a_home_that_is_reached_over_a_link_is_the_same_home(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "link").symlink_to("home")
    with HomeLock.acquire(tmp_path / "home" / "lock"):
        (tmp_path / "home" / "lock").unlink()
        with pytest.raises(HomeLocked):
            HomeLock.acquire(tmp_path / "link" / "lock")


@POSIX
def test_who_is_refused_is_told_who_really_holds_the_home(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    code = (
        "import pathlib, subprocess, sys; from farthing.config.lock import HomeLock;"
        "lock = HomeLock.acquire(pathlib.Path(sys.argv[1]));"
        "print(subprocess.Popen(['sleep', '60'], pass_fds=lock.descriptors, stdout=subprocess.DEVNULL).pid, flush=True)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        worker = int(owner.stdout.readline())
        owner.wait(10)
    try:
        with pytest.raises(HomeLocked) as caught:
            HomeLock.acquire(path)
        told = caught.value
        assert told.message.startswith(f"The gateway of the home '{tmp_path}' (pid {owner.pid}) is gone, but workers")
        if Path("/proc").exists():
            assert f"still hold it (pid {worker})" in told.message
            assert f"kill -9 {worker}." in str(told.hint)
    finally:
        os.kill(worker, signal.SIGKILL)
    HomeLock.acquire(path, patience_s=10).release()


@POSIX
def test_a_holder_that_cannot_be_seen_is_not_said_to_be_gone(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait(10)
    path = tmp_path / "lock"
    with HomeLock.acquire(path):  # what we hold ourselves is not looked for among others
        path.write_text(f"{ended.pid} serve\n")  # as a container's process knows itself
        with pytest.raises(HomeLocked, match=rf"cannot be seen from here; pid {ended.pid} took it") as caught:
            HomeLock.acquire(path)
    assert "kill" not in str(caught.value.hint)


@POSIX
def test_a_lock_that_is_handed_over_is_held_at_every_moment(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    after = (
        "import os, pathlib, sys; from farthing.config.lock import HANDED_OVER, HomeLock;"
        "lock = HomeLock.handed_over(pathlib.Path(sys.argv[1]), os.environ);"
        "print(lock is not None, HANDED_OVER in os.environ, flush=True); sys.stdin.read()"
    )
    before = (
        "import os, pathlib, sys; from farthing.config.lock import HomeLock;"
        "lock = HomeLock.acquire(pathlib.Path(sys.argv[1])); print('held', flush=True); sys.stdin.readline();"
        f"lock.hand_over(os.environ); os.execv(sys.executable, [sys.executable, '-c', {after!r}, sys.argv[1]])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", before, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdin is not None
        assert owner.stdout is not None
        assert owner.stdout.readline() == "held\n"
        said: list[str] = []
        reading = threading.Thread(target=lambda: said.append(owner.stdout.readline()))  # type: ignore[union-attr]
        reading.start()
        owner.stdin.write("go\n")
        owner.stdin.flush()
        while reading.is_alive():
            assert holder(path) == owner.pid
        assert said == ["True False\n"]
        assert holder(path) == owner.pid
        owner.stdin.close()
        owner.wait(10)
    HomeLock.acquire(path).release()


@POSIX
def test_a_lock_of_another_process_or_home_is_not_taken_for_handed_over(tmp_path: Path) -> None:
    assert HomeLock.handed_over(tmp_path / "lock", {}) is None
    environment = {HANDED_OVER: f"{os.getpid() + 1}:10,11"}
    assert HomeLock.handed_over(tmp_path / "lock", environment) is None
    assert not environment
    (tmp_path / "other").mkdir()
    with HomeLock.acquire(tmp_path / "lock") as lock:
        lock.hand_over(environment)
        assert HomeLock.handed_over(tmp_path / "other" / "lock", environment) is None
    assert holder(tmp_path / "lock") is None


def _look(path: Path, times: int) -> None:
    for _ in range(times):
        holder(path)


def test_looking_who_holds_the_home_never_keeps_a_server_from_starting(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    HomeLock.acquire(path).release()
    looker = multiprocessing.get_context("spawn").Process(target=_look, args=(path, 20_000))
    looker.start()
    try:
        while looker.is_alive():
            HomeLock.acquire(path).release()
    finally:
        looker.join(20)


def test_nobody_holds_a_home_that_is_not_there(tmp_path: Path) -> None:
    assert holder(tmp_path / "none" / "lock") is None
    with pytest.raises(StoreError, match="cannot be opened: No such file or directory"):
        HomeLock.acquire(tmp_path / "none" / "lock")


def test_first_settings_load_without_warnings_and_mean_the_same_as_no_file(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    environment = {"OPENAI_API_KEY": "x"}
    nothing = load_settings(path, known=KNOWN, environment=environment)
    assert write_first_settings(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_settings(path, known=KNOWN, environment=environment) == nothing
    assert nothing.warnings == ()
    assert [file.name for file in tmp_path.iterdir()] == ["settings.yaml"]


def test_first_settings_never_replace_the_operators_file(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("version: 1\n")
    assert not write_first_settings(path)
    assert path.read_text() == "version: 1\n"
    with pytest.raises(ConfigError, match="cannot be written: No such file or directory"):
        write_first_settings(tmp_path / "none" / "settings.yaml")


@pytest.mark.parametrize("target", ["not-mounted/settings.yaml", "settings.yaml"])
def test_a_link_that_leads_nowhere_is_told_and_never_replaced(tmp_path: Path, target: str) -> None:
    path = tmp_path / "settings.yaml"
    path.symlink_to(target)
    with pytest.raises(ConfigError, match=r"is a link to '.*', which cannot be read: "):
        write_first_settings(path)
    with pytest.raises(ConfigError, match=r"is a link to '.*', which cannot be read: "):
        load_settings(path, known=KNOWN, environment={"OPENAI_API_KEY": "x"})
    with pytest.raises(ConfigError, match=r"is a link to '.*', which cannot be read: "), settings_lock(path):
        pass
    assert str(path.readlink()) == target


def test_a_link_to_a_file_is_read_and_kept(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "settings.yaml").write_text("version: 1\nunpriced: refuse\n")
    path = tmp_path / "settings.yaml"
    path.symlink_to("elsewhere/settings.yaml")
    assert not write_first_settings(path)
    assert load_settings(path, known=KNOWN, environment={}).unpriced == "refuse"


def test_what_first_settings_show_in_comments_is_true(tmp_path: Path) -> None:
    """Every setting appears; with its comment signs taken off, the file loads and the defaults it shows hold."""
    key = tmp_path / "key"
    key.write_text("x")
    key.chmod(0o600)
    path = tmp_path / "settings.yaml"
    path.write_text(uncommented().replace("/etc/farthing/anthropic.key", str(key)))
    named = ("OPENAI_API_KEY", "AZURE_KEY", "OPENROUTER_API_KEY")
    alerts = ("OPS_WEBHOOK_URL", "OPS_WEBHOOK_SECRET", "SLACK_WEBHOOK_URL")
    settings = load_settings(path, known=KNOWN, environment=dict.fromkeys((*named, *alerts), "x"))
    assert settings.warnings == ()
    assert [one.kind for one in settings.alerts.channels] == ["webhook", "slack", "email"]
    assert settings.server == ServerSettings(public_url="https://farthing.example.com")
    assert settings.log == LogSettings()
    assert list(settings.providers) == ["openai", "anthropic", "azure", "openrouter", "lab"]
    lab = settings.providers["lab"]
    assert lab.timeouts == Timeouts()
    assert (lab.max_connections, lab.hold_s) == (256, 10.0)
    assert list(settings.models) == ["fast"]
    assert len(settings.prices) == 3
    set_elsewhere = {"name", "wire", "price_key", "local", "providers_named", "said", "vault_first", "warnings"}
    for struct in (Settings, ServerSettings, LogSettings, ProviderSettings, Timeouts):
        for field in set(struct.__struct_fields__) - set_elsewhere:
            assert f"{field}:" in FIRST_SETTINGS, field


def test_credentials_are_read_from_where_the_settings_say(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("  from-file\n")
    found = read_credential(CredentialSource("file", str(file)), {})
    assert found is not None
    assert found.reveal() == "from-file"
    found = read_credential(CredentialSource("env", "K"), {"K": "from-env"})
    assert found is not None
    assert found.reveal() == "from-env"
    assert read_credential(CredentialSource("none"), {}) is None


@pytest.mark.parametrize("value", ["two\nlines", "clé", "x" * 20_000])
def test_a_credential_that_cannot_be_sent_is_refused_and_not_shown(tmp_path: Path, value: str) -> None:
    file = tmp_path / "key"
    file.write_text(value, "utf-8")
    for source in (CredentialSource("env", "K"), CredentialSource("file", str(file))):
        with pytest.raises(CredentialMissing, match="cannot be a credential") as caught:
            read_credential(source, {"K": value})
        assert value not in str(caught.value)


def test_a_credential_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(CredentialMissing, match="The environment variable K is not set or empty"):
        read_credential(CredentialSource("env", "K"), {})
    with pytest.raises(CredentialMissing, match="cannot be read: No such file"):
        read_credential(CredentialSource("file", str(tmp_path / "none")), {})


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
def test_a_secret_that_somebody_else_mounted_is_not_asked_to_be_changed() -> None:
    mounted = CredentialSource("file", "/etc/passwd")  # root's and readable by all, as a mounted secret is
    before = os.geteuid()
    if before == 0:
        os.seteuid(65_534)
    try:
        assert credential_warning(mounted, {}) is None
    finally:
        os.seteuid(before)


def test_a_credential_file_that_others_can_read_is_warned_of(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("x")
    file.chmod(0o644)
    settings = tmp_path / "settings.yaml"
    settings.write_text(
        f"providers:\n  openai: {{credential: 'file:{file}'}}\n  anthropic: {{credential: 'file:/none'}}\n"
    )
    assert load_settings(settings, known=KNOWN, environment={}).warnings == (
        f"{settings}:2: providers.openai.credential: '{file}' can be read by others; chmod 600 it.",
        (
            f"{settings}:3: providers.anthropic.credential: '/none' cannot be read (No such file or directory);"
            " calls to this provider will be refused."
        ),
    )
