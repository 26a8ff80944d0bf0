"""What is installed with Farthing is pinned, hashed and told; what Farthing itself installs is only its own package."""

import json
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

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
