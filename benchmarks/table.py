"""The table of a run: each figure beside what a release must keep, what is aimed at, and what is dreamt of."""

import json
from pathlib import Path

from benchmarks.slices import MIN_CALM

HERE = Path(__file__).resolve().parent
HISTORY = HERE / "history.jsonl"
README = HERE / "README.md"

Figures = dict[str, float]

# name, what it is, unit, keep, goal, moonshot (lower is better but for requests per second)
_ROWS: tuple[tuple[str, str, str, float | None, float | None, float | None], ...] = (
    ("small_us", "not streamed, 935 B, c=64: CPU per request", "us", 100, 66, 40),
    ("small_per_s", "the same: requests per second on one core", "/s", 10_000, 15_000, 25_000),
    ("event_us", "streamed, c=64: CPU per event", "us", 20, 16, 13),
    (
        "large_added_us",
        "112 KB agent body, the next of its conversation: CPU added to the small one's",
        "us",
        80,
        50,
        30,
    ),
    ("first_large_added_us", "112 KB agent body, the first of its conversation: the same", "us", 80, 50, 30),
    ("added_p50_c1_us", "latency added, p50, c=1", "us", 250, 200, 120),
    ("added_p50_c64_50ms_us", "latency added, p50, c=64, upstream takes 50 ms", "us", 1_000, 1_000, 500),
    ("start_s", "start to first answer", "s", 1.0, 0.5, 0.25),
    ("rss_idle_mb", "memory, idle", "MB", 80, 60, 50),
    ("rss_loaded_mb", "memory after 100,000 requests", "MB", 100, 80, 60),
    ("import_s", "import farthing, CPU", "s", 0.3, 0.15, 0.1),
    ("import_app_s", "import farthing.app, the whole house, CPU", "s", 0.3, 0.15, 0.1),
)
_BESIDE = (
    ("scan_us", "the machine itself: msgspec alone, finding the members of the 112 KB body"),
    ("echo_us", "bare echo on the same server and Python: CPU per request"),
    ("nginx_us", "nginx as a reverse proxy: CPU per request"),
    ("nginx_event_us", "nginx: CPU per event"),
    ("nginx_large_us", "nginx: CPU added by the 112 KB body"),
)
_FORMATS = ("messages", "responses", "completions", "embeddings", "gemini", "ollama")
_MORE_IS_BETTER = {"small_per_s"}


def render(figures: Figures, where: dict[str, str]) -> str:
    """Return the table as Markdown."""
    lines = [
        f"Measured {where['date']} on {where['processor']}, Python {where['python']}.",
        "",
        _conditions(figures),
        "",
        "| what | measured | of all slices | keep | goal | moonshot | reached |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, what, unit, *targets in _ROWS:
        value = figures[name]
        bounds = [f"{target:g}" if target is not None else "" for target in targets]
        measured = f"{_text(value)} {unit}{_spread(name, figures)}"
        as_it_came = f"{_text(figures[f'{name}_all'])} {unit}" if f"{name}_all" in figures else ""
        lines.append(
            f"| {what} | {measured} | {as_it_came} | {' | '.join(bounds)} | {_reached(name, value, targets)} |"
        )
    lines += ["", "Each further format, as large, c=64, in microseconds of CPU (keep: 100 and 20):", ""]
    lines += ["| format | per request | per event | of all slices |", "|---|---|---|---|"]
    for name in _FORMATS:
        if f"{name}_us" in figures:
            costs = [_text(figures[at]) if at in figures else "" for at in (f"{name}_us", f"{name}_event_us")]
            every = [_text(figures[at]) for at in (f"{name}_us_all", f"{name}_event_us_all") if at in figures]
            lines.append(f"| {name} | {' | '.join(costs)} | {', '.join(every)} |")
    lines += ["", "Beside it in the same run:", "", "| what | measured | of all slices |", "|---|---|---|"]
    lines += [
        f"| {what} | {_text(figures[name])} us{_spread(name, figures)} | {_text(figures[f'{name}_all'])} us |"
        for name, what in _BESIDE
        if name in figures
    ]
    ratios = f"{figures['ratio_small']:.2f}, {figures['ratio_event']:.2f}"
    lines.append(f"| ratio of the best tenths: gateway / echo, per request and per event | {ratios} | |")
    return "\n".join(lines)


def _conditions(figures: Figures) -> str:
    """Say how much of the time the machine ran at its full speed, and which figures had too little of it."""
    short = [name for name in figures if figures.get(f"{name}_calm", MIN_CALM) < MIN_CALM]
    told = (
        f"The fixed loop took {figures['loop_us']:.0f} us at full speed, "
        f"which {figures['calm_share']:.0%} of the slices had; those count."
    )
    if short:
        told += f" All slices count, as too few were at full speed, for {', '.join(short)}."
    return told


def _text(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.3g}"


def _spread(name: str, figures: Figures) -> str:
    """Return the best and the worst tenth of the slices in brackets, where they are kept."""
    if f"{name}_low" not in figures:
        return ""
    return f" ({_text(figures[f'{name}_low'])} to {_text(figures[f'{name}_high'])})"


def _reached(name: str, value: float, targets: list[float | None]) -> str:
    best = "nothing"
    for label, target in zip(("keep", "goal", "moonshot"), targets, strict=True):
        if target is not None and (value >= target if name in _MORE_IS_BETTER else value <= target):
            best = label
    return best


def write_readme(figures: Figures, where: dict[str, str]) -> None:
    """Write the page: this run's table, and the history of the figures that matter most."""
    rows = []
    for line in HISTORY.read_text(encoding="utf-8").splitlines():
        kept = json.loads(line)
        f, w = kept["figures"], kept["machine"]
        rows.append(
            f"| {w['date']} | {w['python']} | {f['small_us']:.0f} | {f['event_us']:.1f} | {f['large_added_us']:.0f} "
            f"| {f['rss_idle_mb']:.0f} / {f['rss_loaded_mb']:.0f} | {f['start_s']:.2f} | {f['ratio_small']:.2f} |"
        )
    README.write_text(
        "\n".join(
            [
                "# Benchmarks",
                "",
                "`make bench` measures the gateway as its users run it, with key check, journal, ledger, three budgets",
                "and two limits: pinned to one core, load and a C upstream on another, over loopback with kept",
                "connections. Rows of before 2026-11-22 are without budgets and limits.",
                "Absolute figures belong to a machine and a Python; compare CPU microseconds, and ratios in one run.",
                "On a shared machine the same work takes twice as long while a neighbour uses the other thread of a",
                "core. So a fixed loop runs ten times in each slice of 100 ms, and the slices count in which the",
                "machine was at its full speed, as that loop tells it (`slices.py`); in brackets their best and worst",
                "tenth. What all slices together give stands beside it. What was tried to get here, and what the rest",
                "is: [HOT_ROUTES.md](HOT_ROUTES.md). What a translated call costs: [TRANSLATED.md](TRANSLATED.md).",
                "",
                render(figures, where),
                "",
                "## History",
                "",
                "| date | Python | us/request | us/event | us for 112 KB | MB idle, loaded | start s | to echo |",
                "|---|---|---|---|---|---|---|---|",
                *rows,
                "",
            ]
        ),
        encoding="utf-8",
    )
