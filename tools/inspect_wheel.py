"""See that a wheel holds our package and its metadata, and nothing that would run unasked.

    python tools/inspect_wheel.py FILE.whl

A `.pth` file runs with every start of the interpreter, whoever started it: that is how a gateway's stolen release read
the keys of every machine that had it installed. Nor may a wheel bring scripts or data outside its own folder.
"""

import re
import sys
from zipfile import ZipFile

_OURS = re.compile(
    r"farthing/[\w./-]+\.(py|sql|lua|css|json|gz|msgpack|bin|typed)|farthing-[\w.+]+\.dist-info/[\w./-]+"
)
_KEY = re.compile(rb"\b(?:ft|fta|sk|sk-ant)-[A-Za-z0-9_-]{32,}|-----BEGIN [A-Z ]*PRIVATE KEY|\bAIza[A-Za-z0-9_-]{30,}")
_NEVER = re.compile(r"\.(pth|so|pyd|dll|dylib|pyc|exe|sh)$|(^|/)(sitecustomize|usercustomize)\.py$|\.data/|\.\.|^/")


def problems(path: str) -> list[str]:
    """Return what should not be in the wheel, as sentences; none is good."""
    with ZipFile(path) as wheel:
        names = wheel.namelist()
        entry_points = next((name for name in names if name.endswith(".dist-info/entry_points.txt")), None)
        scripts = wheel.read(entry_points).decode().split() if entry_points else []
        keys = [name for name in names if _KEY.search(wheel.read(name))]
        dates = {info.date_time for info in wheel.infolist()}
    found = [f"{name} would run or lie where it was not asked for" for name in names if _NEVER.search(name)]
    found += [f"{name} is of no kind that the package has" for name in names if not _OURS.fullmatch(name)]
    found += [f"{name} holds what looks like a key" for name in keys]
    if scripts != ["[console_scripts]", "farthing", "=", "farthing.cli:main"]:
        found.append(f"the entry points are {' '.join(scripts)!r}, not the one command")
    if len(dates) != 1:
        found.append(f"its files have {len(dates)} dates: the next build would be other bytes")
    return found


def main() -> None:
    """Inspect the wheels that are named."""
    for path in sys.argv[1:]:
        found = problems(path)
        if found:
            sys.exit("\n".join(found))
        print(f"{path.rpartition('/')[2]}: only the package, one command, one date")


if __name__ == "__main__":
    main()
