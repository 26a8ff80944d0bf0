"""What a linter cannot know about this repository."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "farthing"
MODULES = sorted(SOURCE.rglob("*.py"))
MAX_LINES = 500


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout: nothing says which files belong to the repository")
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_module_says_what_it_is_and_fits_a_reader(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text)), "no docstring"
    assert text.count("\n") <= MAX_LINES


def test_no_room_is_empty() -> None:
    for room in [path for path in SOURCE.iterdir() if path.is_dir() and path.name != "__pycache__"]:
        assert len([path for path in room.rglob("*.py") if path.name != "__init__.py"]) > 0, room.name


def test_nothing_is_called_utils() -> None:
    assert not [path for path in MODULES if re.search(r"util|helper|common|misc", path.stem)]


def test_lock_files_have_hashes_and_no_addresses() -> None:
    for lock in sorted((ROOT / "requirements").glob("*.txt")):
        text = lock.read_text(encoding="utf-8")
        assert "--hash=sha256:" in text
        assert not re.search(r"https?:|--index|--find-links|@ file", text), lock.name


def test_no_committed_file_names_a_package_host_or_a_path_of_one_machine() -> None:
    forbidden = re.compile(
        r"https?://[^\s\"]*(/simple([/\"]|$)|/packages/|\.tgz)|(?<![a-zA-Z0-9.])/(root|" + "wor" + r"k|farm)/[a-z.]"
    )
    for path in tracked():
        if path.suffix in {".png", ".ico"} or path.name == "test_tidy.py":
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            assert not forbidden.search(line), f"{path.relative_to(ROOT)}:{number}"


def test_only_the_clock_reads_the_time_and_only_identity_is_given_randomness() -> None:
    reads_time = re.compile(r"\btime\.(time|time_ns|monotonic|perf_counter)\(|datetime\.(now|utcnow)\(")
    for path in MODULES:
        if path.name == "clock.py" or "testing" in path.parts:
            continue
        assert not reads_time.search(path.read_text(encoding="utf-8")), path
