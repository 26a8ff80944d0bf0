"""Audit what is installed beside Farthing: nothing but what the lock names, as it was installed, and nothing unasked.

    python tools/audit.py [LOCK ...]      locks: requirements/core.txt when none is named

The lock's hashes hold when something is installed; afterwards nobody looks. So every file of a locked package is
compared with the hash that its own record has of it, every package with the lock, and whatever runs at each start of
the interpreter (`.pth`, sitecustomize) is told, whoever brought it, unless a package of ours or of the lock owns it.
Needs no network. It does not know of holes that others found: `pip-audit` asks for those, where a network is.
"""

import base64
import hashlib
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tools.sbom import read_lock

ROOT = Path(__file__).resolve().parent.parent
OWN = frozenset({"farthing"})
TOOLS = frozenset({"pip", "setuptools", "wheel"})
"""What a virtual environment or a system's Python brings along; not imported by us."""
_AT_START = ("sitecustomize.py", "usercustomize.py")


def audit(site: Path, locks: Iterable[str]) -> list[str]:
    """Return what is wrong in a site-packages folder, as sentences; none is good. `locks` are the texts of locks."""
    locked = {one.name: one.version for text in locks for one in read_lock(text)}
    found: list[str] = []
    owned: set[Path] = set()
    for installed in sorted(distributions(path=[str(site)]), key=_name):
        name = _name(installed)
        if name in OWN | TOOLS:
            owned |= {_path(installed, file) for file in installed.files or ()}
            continue
        if name not in locked:
            found.append(f"{name} {installed.version} is installed, and no lock names it")
            continue
        if installed.version != locked[name]:
            found.append(f"{name} is {installed.version}, and the lock says {locked[name]}")
        owned |= {_path(installed, file) for file in installed.files or ()}
        found += _changed(installed)
    found += [
        f"{path.name} runs at every start, and no package owns it" for path in sorted(_run_at_start(site) - owned)
    ]
    return found


def _changed(installed: Distribution) -> Iterator[str]:
    name = _name(installed)
    if not installed.files:
        yield f"{name} has no record of its files"
    for file in installed.files or ():
        if file.hash is None:
            continue  # the record itself, and what was compiled here
        path = _path(installed, file)
        if not path.is_file():
            yield f"{name}: {file} is gone"
            continue
        digest = hashlib.new(file.hash.mode, path.read_bytes()).digest()
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != file.hash.value:
            yield f"{name}: {file} is not what was installed"


def _run_at_start(site: Path) -> set[Path]:
    return {path.resolve() for path in (*site.glob("*.pth"), *(site / name for name in _AT_START)) if path.exists()}


def _path(installed: Distribution, file: object) -> Path:
    return Path(str(installed.locate_file(str(file)))).resolve()


def _name(installed: Distribution) -> str:
    return installed.name.lower().replace("_", "-").replace(".", "-")


def main() -> None:
    """Audit this interpreter's packages."""
    locks = [Path(name) for name in sys.argv[1:]] or [ROOT / "requirements" / "core.txt"]
    site = Path(next(path for path in sys.path if path.endswith("site-packages")))
    found = audit(site, [lock.read_text(encoding="utf-8") for lock in locks])
    if found:
        sys.exit("audit: " + "\naudit: ".join(found))
    print(f"audit: what is installed in {site.name} is what {', '.join(lock.name for lock in locks)} names")


if __name__ == "__main__":
    main()
