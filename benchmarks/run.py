"""Measure Farthing beside a bare echo and nginx, and print the table.

    python benchmarks/run.py             measure and print
    python benchmarks/run.py --record    and keep the figures in history.jsonl, and the table in README.md
    python benchmarks/run.py --guard     and fail when a ratio to the echo of the same run is 15 % worse than recorded

The gateway runs as its users run it, with everything switched on, pinned to one core; load and upstream share another.
CPU microseconds at the machine's full speed are what to compare. FARTHING_CI_SCALE shortens every measurement.
"""

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.measure import measure, measure_guarded
from benchmarks.processes import upstream
from benchmarks.table import HISTORY, Figures, render, write_readme

GUARD_ROOM = 1.15
SLOWED = 1.25
GUARD_TRIES = 6
GUARD_PAUSE_S = 15.0
"""A neighbour's minutes on a shared machine can pass for a slower gateway, which is slower in all of six tries over
several minutes: what it does is far larger than its sibling's caches, and the bare echo's is not."""


def machine() -> dict[str, str]:
    """Say where this was measured."""
    model = "unknown processor"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text(encoding="utf-8").splitlines() if line.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    return {
        "processor": f"{model}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def guard(figures: Figures, where: dict[str, str]) -> int:
    """Compare the ratios with the last recorded ones; return the exit status.

    The best tenth of the slices is compared: it moves least with the machine. Where the same machine was never near the
    speed that it had then, nothing can be said of the program, and that is what is said.
    """
    if not HISTORY.exists():
        print("guard: nothing is recorded yet")
        return 0
    kept = json.loads(HISTORY.read_text(encoding="utf-8").splitlines()[-1])
    last, then = kept["figures"], kept["machine"]
    slowed = figures["loop_us"] / last["loop_us"]
    if then["processor"] == where["processor"] and then["python"] == where["python"] and slowed > SLOWED:
        print(f"guard: not judged; this machine's own fixed loop took {slowed:.2f} times what it took when recorded")
        return 0
    status = 0
    for name in ("ratio_small", "ratio_event"):
        worse = figures[name] / last[name]
        print(f"guard: {name} is {figures[name]:.2f}, recorded {last[name]:.2f} ({worse - 1:+.0%})")
        status |= worse > GUARD_ROOM
    return status


def main() -> int:
    """Measure, print, and keep or compare as asked."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--guard", action="store_true")
    options = parser.parse_args()
    where = machine()
    with upstream() as provider:
        figures = measure(provider)
        print(render(figures, where))
        status = guard(figures, where) if options.guard else 0
        for _ in range(GUARD_TRIES - 1):
            if status:
                time.sleep(GUARD_PAUSE_S)
                status = guard(measure_guarded(provider), where)
    if options.record:
        with HISTORY.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"machine": where, "figures": {k: round(v, 4) for k, v in figures.items()}}) + "\n")
        write_readme(figures, where)
    return status


if __name__ == "__main__":
    sys.exit(main())
