"""Two homes, as on two hosts, that share one real PostgreSQL: one ledger, one set of keys."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.serving import ANSWER, ASK, COST, by_what_is_asked, load, said, serving, settings
from tests.e2e.support import clean_environment, farthing
from tests.e2e.upstream import upstream, whole
from tests.postgres_server import control, new_schema, server

STORAGE = "storage: {url: file:%s}"


@pytest.fixture
def url_file(tmp_path: Path) -> Path:
    path = tmp_path / "database.url"
    path.write_text(new_schema() + "\n")
    path.chmod(0o600)
    return path


def run(home: Path, *arguments: str, told: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "farthing", "--home", str(home), *arguments],
        input=told,
        capture_output=True,
        text=True,
        check=False,
        env=clean_environment(HOME=str(home.parent), KEY="k"),
        timeout=20,
    )


def test_hosts_share_a_ledger_and_keys_and_each_has_its_own_journal(tmp_path: Path, url_file: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    with upstream(whole(ANSWER)) as provider:
        text = settings(provider, STORAGE % url_file)
        with serving(one, text) as first:
            key = first.new_key()
            assert first.post("/v1/chat/completions", ASK, key).status == 200
            two.mkdir(mode=0o700)
            (two / "settings.yaml").write_text(text)
            refused = run(two, "serve", "--port", "0")
            assert refused.returncode == 1
            assert 'copy the file "pepper" from the home of a host' in refused.stderr
            assert not (two / "pepper").exists()
            shutil.copy(one / "pepper", two / "pepper")
            with serving(two, text, "--workers", "2") as second:
                assert second.post("/v1/chat/completions", ASK, key).status == 200
                second.process.kill()  # its journal may hold what was answered
                second.process.wait(10)
            for home in (one, two):  # each looks after its own
                farthing(home, "ledger", "verify", environment=first.environment)
            total = first.costs()["total"]
            assert (total["calls"], total["nanousd"]) == (2, 2 * COST)
            assert [line["cost_basis"] for line in first.calls()] == ["reported"] * 2
            first.farthing("keys", "revoke", "test")
            assert "USD today" in first.farthing("status").stdout
            assert "postgresql://" in first.farthing("doctor").stdout
    assert not (one / "farthing.db").exists()


def test_what_one_host_leases_of_a_budget_leaves_something_for_the_other(tmp_path: Path, url_file: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    with upstream(whole(ANSWER)) as provider:
        text = settings(provider, f"{STORAGE % url_file}\nbudgets: {{all: {{usd: 1, period: total, wait_s: 0}}}}")
        with serving(one, text) as first:
            key = first.new_key()
            assert first.post("/v1/chat/completions", ASK, key).status == 200
            two.mkdir(mode=0o700)
            shutil.copy(one / "pepper", two / "pepper")
            with serving(two, text) as second:
                for gateway in (second, first, second, second):
                    assert gateway.post("/v1/chat/completions", ASK, key).status == 200
                request = tmp_path / "request.json"
                request.write_text(json.dumps(ASK))
                (row,) = json.loads(second.farthing("estimate", str(request), "--json").stdout)
                assert row["answers"] == 5
                assert " left of all |" in second.farthing("status").stdout
                sealed = run(two, "credentials", "add", "openai", told="sk-any\n")
                assert "Other hosts of the database need that master key, too" in sealed.stderr


def test_a_database_that_restarts_delays_lines_and_no_call(tmp_path: Path, url_file: Path) -> None:
    with upstream(whole(ANSWER)) as provider, serving(tmp_path / "home", settings(provider, STORAGE % url_file)) as one:
        key = one.new_key()
        assert one.post("/v1/chat/completions", ASK, key).status == 200
        control("stop", "-m", "immediate")
        try:
            assert one.post("/v1/chat/completions", ASK, key).status == 200
            away = run(one.home, "costs")
            assert away.returncode == 1
            assert "see that the server runs" in away.stderr
        finally:
            control("start", "-o", f'-h "" -k {server().pgdata}')
        assert one.post("/v1/chat/completions", ASK, key).status == 200
        assert one.costs()["total"]["nanousd"] == 3 * COST
        one.verify()


def test_a_first_start_that_cannot_reach_the_database_leaves_nothing_that_looks_like_a_loss(
    tmp_path: Path, url_file: Path
) -> None:
    home = tmp_path / "home"
    good = url_file.read_text()
    with upstream(whole(ANSWER)) as provider:
        text = settings(provider, STORAGE % url_file)
        home.mkdir(mode=0o700)
        (home / "settings.yaml").write_text(text)
        url_file.write_text("postgresql://ann:s3cret@127.0.0.1:1/books")
        refused = run(home, "serve", "--port", "0")
        assert refused.returncode == 1
        assert "'postgresql://ann@127.0.0.1:1/books' cannot be reached" in refused.stderr
        assert "s3cret" not in refused.stderr + refused.stdout
        assert "cannot be reached" in run(home, "keys", "create").stderr
        url_file.write_text(good)
        with serving(home, text) as gateway:
            assert gateway.post("/v1/chat/completions", ASK, gateway.new_key()).status == 200
        assert "everything is settled" in said(home)


def test_tables_that_are_gone_are_not_made_anew_without_being_asked(tmp_path: Path, url_file: Path) -> None:
    home = tmp_path / "home"
    with upstream(whole(ANSWER)) as provider:
        text = settings(provider, STORAGE % url_file)
        with serving(home, text):
            pass
        url_file.write_text(new_schema())
        for command in (("serve", "--port", "0"), ("costs",), ("keys", "create")):
            refused = run(home, *command)
            assert refused.returncode == 1
            assert "has no tables of Farthing" in refused.stderr
            assert '"farthing --home' in refused.stderr or "ledger new" in refused.stderr
        assert run(home, "ledger", "new").returncode == 0
        assert "has its tables; nothing was changed" in run(home, "ledger", "new").stderr
        with serving(home, text) as gateway:
            assert gateway.post("/v1/chat/completions", ASK, gateway.new_key()).status == 200


def test_a_backup_takes_the_home_and_says_what_takes_the_database(tmp_path: Path, url_file: Path) -> None:
    home = tmp_path / "home"
    with upstream(whole(ANSWER)) as provider, serving(home, settings(provider, STORAGE % url_file)):
        made = run(home, "backup", str(tmp_path / "b.tar.gz"))
        assert made.returncode == 0
        assert "pg_dump" in made.stderr
    assert run(tmp_path / "again", "restore", str(tmp_path / "b.tar.gz")).returncode == 0
    keys = json.loads(run(tmp_path / "again", "keys", "list", "--json").stdout)
    assert len(keys) == 1
    assert not (tmp_path / "again" / "name").exists()  # made when it first serves: it is another home


def test_a_password_in_the_settings_is_refused_without_being_repeated(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "settings.yaml").write_text("version: 1\nstorage:\n  url: postgresql://ann:s3cret@db/books\n")
    (home / "pepper").write_bytes(b"x" * 32)
    for command in (("config", "check"), ("costs",)):
        refused = run(home, *command)
        assert refused.returncode == 1
        assert "s3cret" not in refused.stderr + refused.stdout
    assert ":3: storage.url: holds a password" in run(home, "config", "check").stderr


def test_a_ledger_of_its_own_beside_the_shared_one_is_not_passed_over(tmp_path: Path, url_file: Path) -> None:
    home = tmp_path / "home"
    with upstream(whole(ANSWER)) as provider:
        with serving(home, settings(provider)):
            pass
        (home / "settings.yaml").write_text(settings(provider, STORAGE % url_file))
        for command in (("serve", "--port", "0"), ("costs",)):
            refused = run(home, *command)
            assert refused.returncode == 1
            assert "holds a ledger as well" in refused.stderr


def test_a_home_moves_to_postgresql_under_load_and_back_and_loses_nothing(tmp_path: Path, url_file: Path) -> None:
    home = tmp_path / "home"
    move = ("storage", "migrate", "--to", f"file:{url_file}")
    with upstream(by_what_is_asked) as provider:
        text = settings(provider)
        with serving(home, text) as gateway:
            key = gateway.new_key()
            with load(gateway, key, callers=4) as seen:
                moving = subprocess.Popen(
                    [sys.executable, "-m", "farthing", "--home", str(home), *move],
                    stderr=subprocess.PIPE,
                    text=True,
                    env=clean_environment(HOME=str(home.parent), KEY="k"),
                )
                assert moving.stderr is not None
                followed = moving.stderr.readline()
                assert f"The gateway (pid {gateway.process.pid}) still writes" in followed.replace("\n", " ")
            assert set(seen) == {"good"}
            assert gateway.stop() == 0
        assert moving.wait(20) == 0, moving.stderr.read()
        moving.stderr.close()
        assert [path.name[:18] for path in home.glob("farthing.db*")] == ["farthing.db.moved-"]
        moved = (home / "settings.yaml").read_text()
        with serving(home, moved) as gateway:
            assert gateway.post("/v1/chat/completions", ASK, key).status == 200
            gateway.verify()
            calls = seen["good"] + 1
            total = gateway.costs()["total"]
            assert (total["calls"], total["nanousd"]) == (calls, calls * COST)
        state = json.loads(run(home, "storage", "status", "--json").stdout)
        assert state["attempts"] == calls
        assert state["place"].startswith("postgresql://")
        back = run(home, "storage", "migrate", "--to", "sqlite")
        assert back.returncode == 0, back.stderr
        with serving(home, (home / "settings.yaml").read_text()) as gateway:
            assert gateway.post("/v1/chat/completions", ASK, key).status == 200
            gateway.verify()
            assert gateway.costs()["total"]["calls"] == calls + 1
        assert (home / "farthing.db").exists()


def test_a_move_that_was_killed_between_its_last_steps_is_completed_by_the_same_command(
    tmp_path: Path, url_file: Path
) -> None:
    home = tmp_path / "home"
    with upstream(whole(ANSWER)) as provider:
        with serving(home, settings(provider)) as gateway:
            assert gateway.post("/v1/chat/completions", ASK, gateway.new_key()).status == 200
        database = (home / "farthing.db").read_bytes()
        assert run(home, "storage", "migrate", "--to", f"file:{url_file}").returncode == 0
        (home / "farthing.db").write_bytes(database)  # as if it had not come to the renaming
        assert "holds a ledger as well" in run(home, "costs").stderr
        again = run(home, "storage", "migrate", "--to", f"file:{url_file}")
        assert again.returncode == 0, again.stderr
        assert json.loads(run(home, "costs", "--json").stdout)["total"]["calls"] == 1


def test_a_url_with_a_password_goes_into_a_file_of_its_own(tmp_path: Path, url_file: Path) -> None:
    home = tmp_path / "home"
    with upstream(whole(ANSWER)) as provider, serving(home, settings(provider)):
        pass
    url = url_file.read_text().strip().replace("postgres:@", "postgres:s3cret@")
    moved = run(home, "storage", "migrate", "--to", url)
    assert moved.returncode == 0, moved.stderr
    assert "s3cret" not in moved.stdout + moved.stderr + (home / "settings.yaml").read_text()
    assert (home / "database.url").stat().st_mode & 0o777 == 0o600
    told = run(home, "storage", "status").stdout
    assert "kept in   postgresql://" in told
    assert "s3cret" not in told
