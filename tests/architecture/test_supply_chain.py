"""What is installed with Farthing is pinned, hashed and told; what Farthing itself installs is only its own package."""

import json
import shutil
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path
from zipfile import ZipFile

import pytest

from tools.audit import audit
from tools.inspect_wheel import problems
from tools.sbom import NotLocked, bill, read_lock

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
HASH = "--hash=sha256:" + "a" * 64


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_requirement_is_pinned_and_hashed(lock: Path) -> None:
    locked = read_lock(lock.read_text(encoding="utf-8"))
    assert locked
    assert all(one.hashes for one in locked)
    assert len({one.name for one in locked}) == len(locked)


@pytest.mark.parametrize(
    "line",
    [
        f"click {HASH}",
        f"click>=8.1 {HASH}",
        "click==8.1",
        f"click==8.* {HASH}",
        "click==8.1 --hash=md5:" + "a" * 32,
        f"click @ https://example.com/click.whl {HASH}",
        f"-e . {HASH}",
        "--index-url https://example.com",
        f"click==8.1 --no-verify {HASH}",
    ],
)
def test_what_could_be_something_else_tomorrow_is_found(line: str) -> None:
    with pytest.raises(NotLocked):
        read_lock(f"msgspec==0.22.0 \\\n    {HASH}\n{line}\n")


def test_the_bill_of_materials_names_every_locked_package_and_its_licence() -> None:
    lock = read_lock((ROOT / "requirements" / "core.txt").read_text(encoding="utf-8"))
    told = bill(lock)
    assert (told["bomFormat"], told["specVersion"], told["version"]) == ("CycloneDX", "1.6", 1)
    components = {component["name"]: component for component in told["components"]}
    assert set(components) == {one.name for one in lock}
    for one in lock:
        component = components[one.name]
        assert component["purl"] == f"pkg:pypi/{one.name}@{one.version}"
        hashes = {part["value"] for part in component["properties"] if part["name"] == "farthing:sha256"}
        assert hashes == set(one.hashes)
        assert component["licenses"] or one.marker, f"{one.name} has no licence"
    refs = [component["bom-ref"] for component in told["components"]]
    assert len(set(refs)) == len(refs)
    assert {edge["ref"] for edge in told["dependencies"]} == {"farthing", *refs}


def test_the_bill_is_the_same_each_time_and_dated_only_when_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1763700000")
    run = [sys.executable, str(ROOT / "tools" / "sbom.py")]
    first, second = (subprocess.run(run, capture_output=True, check=True).stdout for _ in range(2))
    assert first == second
    assert json.loads(first)["metadata"]["timestamp"] == "2025-11-21T04:40:00Z"
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    lock = read_lock((ROOT / "requirements" / "core.txt").read_text(encoding="utf-8"))
    assert "timestamp" not in bill(lock)["metadata"]


def test_the_bill_follows_what_the_project_asks_for() -> None:
    project = (ROOT / "requirements" / "core.in").read_text(encoding="utf-8").split()
    locked = {one.name for one in read_lock((ROOT / "requirements" / "core.txt").read_text(encoding="utf-8"))}
    for name in ("apsw", "click", "msgspec", "uvicorn"):
        assert name in project
        assert name in locked


def wheel(path: Path, **more: str) -> str:
    content = {
        "farthing/__init__.py": "",
        "farthing/catalog/data/prices/openai.json": "{}",
        "farthing-0.1.0.dist-info/METADATA": "",
        "farthing-0.1.0.dist-info/entry_points.txt": "[console_scripts]\nfarthing = farthing.cli:main\n",
        **more,
    }
    with ZipFile(path, "w") as made:
        for name, text in content.items():
            made.writestr(name, text)
    return str(path)


def test_a_wheel_with_something_that_runs_unasked_is_found(tmp_path: Path) -> None:
    assert not [one for one in problems(wheel(tmp_path / "good.whl")) if "dates" not in one]
    for name in (
        "farthing.pth",
        "farthing-init.pth",
        "sitecustomize.py",
        "farthing/fast.so",
        "farthing-0.1.0.data/scripts/setup.sh",
        "other/module.py",
    ):
        assert any(name in one for one in problems(wheel(tmp_path / "bad.whl", **{name: ""}))), name
    leaked = {"farthing/left.py": "KEY = 'sk-" + "a" * 40 + "'"}
    assert any("looks like a key" in one for one in problems(wheel(tmp_path / "bad.whl", **leaked)))
    command = {"farthing-0.1.0.dist-info/entry_points.txt": "[console_scripts]\npip = farthing.cli:main\n"}
    assert any("entry points" in one for one in problems(wheel(tmp_path / "bad.whl", **command)))


def test_what_is_installed_is_what_the_locks_name() -> None:
    site = Path(str(distribution("msgspec").locate_file("")))
    assert audit(site, [lock.read_text(encoding="utf-8") for lock in LOCKS]) == []


def test_what_was_changed_or_added_after_it_was_installed_is_found(tmp_path: Path) -> None:
    click = distribution("click")
    lock = f"click=={click.version} {HASH}\n"
    for folder in {Path(str(file)).parts[0] for file in click.files or () if ".." not in str(file)}:
        shutil.copytree(str(click.locate_file(folder)), tmp_path / folder)
    assert audit(tmp_path, [lock]) == []

    with (tmp_path / "click" / "core.py").open("a", encoding="utf-8") as file:
        file.write("import os\n")
    (tmp_path / "click" / "utils.py").unlink()
    (tmp_path / "unasked.pth").write_text("import os\n")
    (tmp_path / "sitecustomize.py").write_text("")
    other = tmp_path / "stowaway-1.0.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: stowaway\nVersion: 1.0\n")
    assert audit(tmp_path, [lock.replace(click.version, "0.1")]) == [
        f"click is {click.version}, and the lock says 0.1",
        "click: click/core.py is not what was installed",
        "click: click/utils.py is gone",
        "stowaway 1.0 is installed, and no lock names it",
        "sitecustomize.py runs at every start, and no package owns it",
        "unasked.pth runs at every start, and no package owns it",
    ]
