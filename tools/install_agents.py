"""Install the coding agents that tests drive through the gateway, into a cache beside the repository's, not in it.

    python tools/install_agents.py            installs what is missing
    python tools/install_agents.py --where    prints the folder

Versions and digests are those of `tools/agents/package-lock.json` and `requirements/aider.txt`; the folder's name holds
their digest, so that a new lock is a new installation and an old one is reused as long as nothing changed. 1 GB.
What surprised us: nothing may be run while npm installs (`--ignore-scripts`), and Claude Code then still wants its own
program put in place, which its package does in a script; so that one alone is run.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "tools" / "agents"
PYTHON_LOCK = ROOT / "requirements" / "aider.txt"
COMMANDS = ("claude", "codex", "gemini", "aider")
_NEWEST_PYTHON = (3, 12)
"""aider's locked version does not start on a newer one."""


def folder(environment: Mapping[str, str]) -> Path:
    """Return where the agents of these locks are, or will be."""
    cache = environment.get("XDG_CACHE_HOME", "")
    base = Path(cache) if cache.startswith("/") else Path(environment.get("HOME") or Path.home()) / ".cache"
    digest = hashlib.sha256()
    for lock in (LOCKS / "package.json", LOCKS / "package-lock.json", PYTHON_LOCK):
        digest.update(lock.read_bytes())
    return base / "farthing" / "agents" / digest.hexdigest()[:12]


def command(name: str, environment: Mapping[str, str]) -> Path | None:
    """Return the program of an agent; `None` where it is not installed."""
    found = folder(environment) / "bin" / name
    return found if found.exists() else None


def main() -> int:
    """Install what is missing, or say where it is."""
    place = folder(os.environ)
    if "--where" in sys.argv:
        print(place)
        return 0
    missing = [name for name in COMMANDS if command(name, os.environ) is None]
    if not missing:
        print(f"The agents are in {place}")
        return 0
    print(f"Installing {', '.join(missing)} into {place} (about 1 GB, once) ...", flush=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    (place / "bin").mkdir(parents=True, exist_ok=True)
    if set(missing) - {"aider"}:
        _install_with_npm(place)
    if "aider" in missing:
        _install_aider(place)
    print(f"The agents are in {place}")
    return 0


def _install_with_npm(place: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit(
            "Claude Code, Codex and Gemini CLI come with npm, and there is none. On Debian: apt install npm"
        )
    draft = Path(tempfile.mkdtemp(prefix="npm-", dir=place))
    try:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(LOCKS / name, draft / name)
        quiet = ("--no-audit", "--no-fund", "--loglevel=error", "--ignore-scripts")
        subprocess.run([npm, "ci", *quiet], cwd=draft, check=True)
        subprocess.run(
            [npm, "rebuild", "@anthropic-ai/claude-code", "--loglevel=error"],
            cwd=draft,
            check=True,
        )
        shutil.rmtree(place / "npm", ignore_errors=True)
        draft.rename(place / "npm")
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    for name in ("claude", "codex", "gemini"):
        _link(place, name, place / "npm" / "node_modules" / ".bin" / name)


def _install_aider(place: Path) -> None:
    python = _python()
    shutil.rmtree(place / "aider", ignore_errors=True)
    subprocess.run([python, "-m", "venv", str(place / "aider")], check=True)
    pip = [str(place / "aider" / "bin" / "python"), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    subprocess.run([*pip, "--require-hashes", "-r", str(PYTHON_LOCK)], check=True)
    _link(place, "aider", place / "aider" / "bin" / "aider")


def _python() -> str:
    """Return an interpreter that aider's lock is for: ours, or the newest that is old enough."""
    if sys.version_info[:2] <= _NEWEST_PYTHON:
        return sys.executable
    for version in ("3.12", "3.11"):
        found = shutil.which(f"python{version}")
        if found is not None and subprocess.run([found, "-c", "import ensurepip"], check=False).returncode == 0:
            return found
    raise SystemExit("aider needs Python 3.11 or 3.12, and there is none.")


def _link(place: Path, name: str, target: Path) -> None:
    link = place / "bin" / name
    link.unlink(missing_ok=True)
    link.symlink_to(target)


if __name__ == "__main__":
    sys.exit(main())
