"""The recipes say what is true of this program: units are accepted by systemd, images follow their promises."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from farthing.config.schema import ServerSettings
from tests.unit.cli.test_examples import parse

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "recipes" / "systemd" / "farthing.service"
SOCKET = UNIT.with_name("farthing.socket")
CONTAINER = ROOT / "recipes" / "container" / "Containerfile"


def unit_settings() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith(("#", "[")):
            name, equals, value = line.partition("=")
            assert equals, line
            found.setdefault(name, []).append(value)
    return found


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"^#.*\n", "", CONTAINER.read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = [line.strip() for line in re.sub(r"\\\n", " ", text).splitlines() if line.strip()]
    return [(line.partition(" ")[0], line.partition(" ")[2].strip()) for line in lines]


def test_a_reload_of_the_unit_reads_the_settings_again() -> None:
    assert "\nExecReload=/bin/kill -HUP $MAINPID\n" in UNIT.read_text(encoding="utf-8")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_systemd_accepts_the_unit_and_finds_it_well_shut(tmp_path: Path) -> None:
    program = tmp_path / "farthing"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / "farthing.service"
    unit.write_text(UNIT.read_text(encoding="utf-8").replace("/opt/farthing/bin/farthing", str(program)))
    (tmp_path / "farthing.socket").write_text(SOCKET.read_text(encoding="utf-8"))
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit), str(tmp_path / "farthing.socket")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (verified.returncode, [line for line in verified.stderr.splitlines() if "farthing" in line]) == (0, [])
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(unit)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert rated.returncode == 0, rated.stdout[-300:]


def test_the_unit_starts_the_command_that_there_is_and_gives_it_time_to_drain() -> None:
    told = unit_settings()
    (start,) = told["ExecStart"]
    assert parse(start.replace("/opt/farthing/bin/", "")) == ["serve"]
    assert told["Type"] == ["exec"]
    assert told["KillSignal"] == ["SIGTERM"]
    assert float(told["TimeoutStopSec"][0]) >= ServerSettings().drain_s + 10
    assert told["Environment"] == [f"FARTHING_HOME=/var/lib/{told['StateDirectory'][0]}"]
    for name, value in {
        "DynamicUser": "yes",
        "NoNewPrivileges": "yes",
        "ProtectSystem": "strict",
        "LimitCORE": "0",
    }.items():
        assert told[name] == [value]


def test_the_image_is_built_from_locked_requirements_and_runs_as_nobody_special() -> None:
    told = instructions()
    froms = [value for name, value in told if name == "FROM"]
    assert len(froms) == 2  # what builds stays behind
    assert not any("/" in value.split()[0] for value in froms)  # whose registry is the builder's choice
    last = told[max(at for at, (name, _) in enumerate(told) if name == "FROM") :]
    (user,) = [value for name, value in last if name == "USER"]
    assert int(user) > 0
    assert [name for name, _ in last].index("USER") < [name for name, _ in last].index("ENTRYPOINT")
    installs = [part for name, value in told if name == "RUN" for part in value.split("&&") if "pip install" in part]
    assert installs
    assert all("--require-hashes" in part or "--no-deps" in part for part in installs)
    assert not [
        value
        for name, value in told
        if name == "ADD" or "curl" in value or "wget" in value or "://" in value.replace("http://127.0.0.1", "")
    ]


def test_the_image_copies_what_there_is_and_starts_the_command_that_there_is() -> None:
    told = instructions()
    for name, value in told:
        if name == "COPY" and not value.startswith("--from"):
            for source in value.split()[:-1]:
                assert (ROOT / source).exists(), source
    kept = (CONTAINER.parent / "Containerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    sources = {
        source for name, value in told if name == "COPY" and "--from" not in value for source in value.split()[:-1]
    }
    assert {line[1:] for line in kept if line.startswith("!")} == sources
    words = [
        word
        for wanted in ("ENTRYPOINT", "CMD")
        for name, value in told
        if name == wanted
        for word in re.findall(r'"([^"]*)"', value)
    ]
    assert parse(shlex.join(words)) == ["serve"]
