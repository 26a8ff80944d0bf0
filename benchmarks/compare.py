"""Compare this tree with another checkout of Farthing, in the same minutes on the same core.

    python benchmarks/compare.py OTHER      the folder of the other checkout, for example a `git worktree` of last week

Rounds alternate between the two, each in slices (see slices.py), so whatever the machine does it does to both.
"""

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.bodies import LARGE, SMALL, STREAMED
from benchmarks.measure import MOST_ROUNDS, PATIENCE_S, Subject, ask, take_round
from benchmarks.processes import GATEWAY_CORE, gateway, upstream
from benchmarks.slices import MIN_CALM, Cost, Patience, calm, cost

ROWS = {
    "request": ("not streamed, 935 B: CPU us per request", SMALL, False),
    "event": ("streamed: CPU us per event", STREAMED, True),
    "large": ("112 KB body: CPU us per request", LARGE, False),
}
TREES = ("other", "this")


def measure(other: Path) -> dict[str, Cost]:
    """Return what each costs, by tree and row."""
    with ExitStack() as stack:
        provider = stack.enter_context(upstream())
        subjects: list[Subject] = []
        for tree in TREES:
            served = stack.enter_context(gateway(provider.port, other / "src" if tree == "other" else None))
            for row, (_, body, streamed) in ROWS.items():
                asked = ask(served.port, served.key, body, 64, streamed=streamed)
                subjects.append(Subject(name=f"{tree} {row}", process=served.process, done=provider.sent, ask=asked))
        subjects.sort(key=lambda one: one.name.split()[1])  # the two of a row stand side by side
        patience = Patience(GATEWAY_CORE, PATIENCE_S)
        for number in range(MOST_ROUNDS):
            for subject in subjects:
                if number < MOST_ROUNDS // 2 or len(calm(subject.slices)) < MIN_CALM:
                    patience.wait()
                    take_round(subject)
        return {one.name: cost(one.slices) for one in subjects}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("other", type=Path)
    found = measure(parser.parse_args().other.resolve())
    print("| what | other | this | of all slices | slices that count, of |")
    print("|---|---|---|---|---|")
    for row, (what, _, _) in ROWS.items():
        other, this = (found[f"{tree} {row}"] for tree in TREES)
        counted = f"{min(other.calm, other.slices)}/{other.slices}, {min(this.calm, this.slices)}/{this.slices}"
        print(f"| {what} | {other.us:.1f} | {this.us:.1f} | {other.all_us:.1f}, {this.all_us:.1f} | {counted} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
