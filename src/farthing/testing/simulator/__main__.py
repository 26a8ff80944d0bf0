"""`python -m farthing.testing.simulator`: play seeds, and say of each that fails how to play it again."""

import argparse
import sys
import time
from collections.abc import Sequence

from farthing.testing.simulator.run import Result, simulate

REPLAY = "python -m farthing.testing.simulator --seed {seed} --trace"


def main(arguments: Sequence[str] | None = None) -> int:
    """Play what the command line asks for; return 1 where a seed fails."""
    parser = argparse.ArgumentParser(prog="python -m farthing.testing.simulator", description=__doc__)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--seed", type=int, help="play this one")
    which.add_argument("--seeds", type=int, default=500, metavar="COUNT", help="play so many (500), from --first on")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="the first of them (0)")
    parser.add_argument("--trace", action="store_true", help="print everything that happens")
    asked = parser.parse_args(arguments)
    seeds = range(asked.first, asked.first + asked.seeds) if asked.seed is None else (asked.seed,)
    begun_s = time.perf_counter()
    results: list[Result] = []
    for seed in seeds:
        result = simulate(seed)
        results.append(result)
        if asked.trace:
            print("\n".join(result.trace))
        if result.problems:
            print(failure(result))
    failed = sum(bool(result.problems) for result in results)
    print(
        f"{len(results)} seeds, {sum(one.calls for one in results)} calls, {sum(one.deaths for one in results)} deaths,"
        f" {sum(one.virtual_s for one in results):.0f} virtual seconds in {time.perf_counter() - begun_s:.1f};"
        f" {failed} failed"
    )
    return 1 if failed else 0


def failure(result: Result) -> str:
    """Return what is printed of a seed that fails: what is wrong, and the one command that plays it again."""
    problems = "\n".join(f"  {problem}" for problem in result.problems)
    return f"seed {result.seed} fails:\n{problems}\n  play it again: {REPLAY.format(seed=result.seed)}"


if __name__ == "__main__":
    sys.exit(main())
