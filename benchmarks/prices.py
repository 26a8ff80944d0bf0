"""What prices cost: one look-up and one pricing on the hot path, and loading the list.

    python benchmarks/prices.py

Medians of five rounds. Loading is measured in a process of its own, because the second time costs nothing; its memory
is what Python's allocator handed out for it, with the file of the largest provider that is asked about.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from farthing.catalog.prices import PriceBook
from farthing.catalog.pricing import price_nanousd
from farthing.types.usage import Usage

ROUNDS = 5
NOW_US = 1_795_000_000_000_000

# name, what it is, unit, keep
ROWS = (
    ("price_lookup_us", "a price look-up, warm", "us", 2.0),
    ("price_us", "pricing a usage with cache reads, warm", "us", 5.0),
    ("price_list_load_ms", "opening the list and reading its largest provider", "ms", 5.0),
    ("price_list_mb", "the same, memory", "MB", 3.0),
)

_LOAD = """
import time, tracemalloc
import farthing.catalog.prices as prices
from farthing.catalog.snapshot import bundled_snapshot
measure = %r
if measure == "memory":
    tracemalloc.start()
began = time.perf_counter()
book = prices.PriceBook(snapshot=bundled_snapshot())
assert book.find("openrouter", "openrouter", "openai/gpt-4o", 1795000000000000) is not None
took = time.perf_counter() - began
print(tracemalloc.get_traced_memory()[0] / 1e6 if measure == "memory" else took * 1e3)
"""


def measure() -> dict[str, float]:
    """Return every figure by its name."""
    book = PriceBook()
    sheet = book.find("openai", "openai", "gpt-5-mini-2025-08-07", NOW_US, asked="gpt-5-mini")
    assert sheet is not None
    usage = Usage(input_tokens=12_345, output_tokens=321, cache_read_input_tokens=10_000, reasoning_output_tokens=64)
    return {
        "price_lookup_us": _us(
            lambda: book.find("openai", "openai", "gpt-5-mini-2025-08-07", NOW_US, asked="gpt-5-mini")
        ),
        "price_us": _us(lambda: price_nanousd(usage, sheet, service_tier="default")),
        "price_list_load_ms": statistics.median(_in_a_process("time") for _ in range(ROUNDS)),
        "price_list_mb": _in_a_process("memory"),
    }


def render(figures: dict[str, float]) -> str:
    """Return the rows for a table of figures, as Markdown."""
    lines = ["| what | measured | keep |", "|---|---|---|"]
    lines += [f"| {what} | {figures[name]:.3g} {unit} | {keep:g} |" for name, what, unit, keep in ROWS]
    return "\n".join(lines)


def _us(work: Callable[[], object], times: int = 20_000) -> float:
    rounds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(times):
            work()
        rounds.append((time.perf_counter() - began) / times * 1e6)
    return statistics.median(rounds)


def _in_a_process(what: str) -> float:
    done = subprocess.run([sys.executable, "-c", _LOAD % what], capture_output=True, text=True, check=True, timeout=60)
    return float(done.stdout)


if __name__ == "__main__":
    print(render(measure()))
