"""How long `farthing costs` and reports take over a ledger of ten million lines: a month of it, by each group.

    python benchmarks/big_ledger.py [--lines 10000000] [--days 90] [--keep FOLDER] [--postgres URL]

The lines are spread evenly over the days, and over 200 keys of which few are busy, 20 models, 25 projects, 8 teams, 80
users, some tags, 330,000 sessions of 30 lines and 80,000 tickets with their branches; each fiftieth is a call's second
attempt. They are written as rows rather than through the ledger, which takes twice as long, and rolled up as a gateway
does it. Then a month is asked for: `farthing costs` by each group as its user runs it, a process of its own with all
that belongs to it, and the sums that reports are made of on a connection of their own. The fastest of three counts;
beside it stands the CPU of that one's process. With `--postgres` the lines are appended to that database, which must be
empty or hold them already; it adds them up at once.
"""

import argparse
import asyncio
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from pathlib import Path
from typing import get_args

import apsw

from farthing.ledger.housekeeping import PORTION_ROWS
from farthing.storage.postgres import PostgresStore
from farthing.storage.protocols import Store
from farthing.storage.rows import COLUMNS, row_of
from farthing.storage.sqlite import SqliteStore
from farthing.types.calls import Attempt, Attribution, Opening
from farthing.types.ledger import CostsBy
from farthing.types.spending import SpendingBy
from farthing.types.usage import Usage

DAY_US = 86_400_000_000
FIRST_US = 1_788_000_000_000_000
TARGET_S = 1.0
REPORT_TARGET_S = 2.0
"""For `farthing report month`, and for the sums that reports and chargebacks are made of: up to 80,000 groups."""


class InPlace:
    """Runs work where it is asked for."""

    async def run(self, work):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201, D102
        return work()

    async def close(self) -> None:
        """Nothing is open."""


KEYS, ACTIVE_SESSIONS, LINES_A_SESSION = 200, 60, 30
MODELS = tuple(
    (provider, f"{provider}-{size}-{version}")
    for provider in ("openai", "anthropic", "gemini", "groq", "ollama")
    for size in ("large", "small")
    for version in (1, 2)
)
TAGS = (None, "ci", "batch,night", None, "search", "ci,nightly,release")


def who_of(session: int) -> Attribution:
    """Return for whom the calls of a session are made: few keys are busy, and some tickets are worked on at a time."""
    rng = random.Random(session)
    key = int(KEYS * rng.random() ** 2)
    ticket = session // 40 * 10 + rng.randrange(10) if rng.random() < 0.5 else None
    return Attribution(
        key_id=f"key_{key:026d}",
        key_name=f"app-{key}",
        team=f"team-{key % 8}",
        project=f"project-{key % 25}",
        user=f"user-{key % 80}" if key % 10 else None,
        session=f"session-{session}",
        conversation=f"conversation-{session}",
        task=None if ticket is None else f"ticket-{ticket}",
        sub_agent="explore" if session % 7 == 0 else None,
        branch=None if ticket is None else f"work/ticket-{ticket}",
        pull_request=None if ticket is None or ticket % 2 else str(ticket),
        tags=TAGS[key % len(TAGS)],
    )


def session_of(number: int, rng: random.Random) -> int:
    """Return whose line it is, of those sessions that are under way at the same time."""
    return number // (ACTIVE_SESSIONS * LINES_A_SESSION) * ACTIVE_SESSIONS + rng.randrange(ACTIVE_SESSIONS)


def line(number: int, at_us: int, rng: random.Random) -> Attempt:
    """Return a line: some are a call's second attempt elsewhere, and of some the cost is unknown."""
    again = number % 50 == 49
    session = session_of(number - again, random.Random(number - again))
    who = _who_of(session)
    provider, model = MODELS[(session % 20 + (again or rng.random() < 0.2) * 7) % len(MODELS)]
    opening = Opening(
        attempt_id=f"att_{number - again:026d}-{1 + again}",
        call_id=f"call_{number - again:026d}",
        ordinal=1 + again,
        started_at_us=at_us,
        face="openai",
        operation="chat",
        provider=provider,
        model_asked="fast",
        model=model,
        streamed=True,
        input_tokens_estimate=900,
        attribution=who,
    )
    failed, known = number % 50 == 48, number % 20 != 7 or provider != "ollama"
    return Attempt(
        opening=opening,
        ended_at_us=at_us + 2_000_000,
        outcome="provider_error" if failed else "ok",
        http_status=503 if failed else 200,
        usage=Usage(input_tokens=1000 + number % 4093, output_tokens=200 + number % 509, cache_read_input_tokens=600),
        cost_nanousd=(1_000_000 + number % 997) if known else None,
        cost_basis="reported" if known else "unknown",
        price_id=f"{provider}/{model}" if known else None,
    )


_who_of = lru_cache(maxsize=4 * ACTIVE_SESSIONS)(who_of)


def size_of(path: Path) -> int:
    return path.stat().st_size


def fill(path: Path, lines: int, days: int) -> None:
    """Write the rows, the totals aside: no question here asks for those."""
    rng = random.Random(1)
    connection = apsw.Connection(str(path))
    connection.pragma("synchronous", "OFF")
    names = ", ".join(f'"{name}"' for name in COLUMNS)
    statement = f"INSERT INTO attempts ({names}) VALUES ({', '.join('?' * len(COLUMNS))})"
    step_us = days * DAY_US // lines
    for start in range(0, lines, 100_000):
        rows = (
            row_of(line(number, FIRST_US + number * step_us, rng))
            for number in range(start, min(start + 100_000, lines))
        )
        with connection:
            connection.executemany(statement, rows)
    connection.close()


Open = Callable[[], Store]
Question = Callable[[Store], Awaitable[object]]


async def asked(open_store: Open, question: Question) -> float:
    """Return the seconds of one answer."""
    store = open_store()
    await store.open()
    began = time.perf_counter()
    await question(store)
    took_s = time.perf_counter() - began
    await store.close()
    return took_s


async def prepare(open_store: Open, lines: int, days: int, path: Path | None) -> None:
    """Write the lines where there are none, and roll them up."""
    store = open_store()
    await store.open()
    if not await store.call_ids("call_", 1):
        began = time.perf_counter()
        if path is not None:
            fill(path, lines, days)
        else:
            rng = random.Random(1)
            for start in range(0, lines, 5_000):
                page = range(start, min(start + 5_000, lines))
                await store.append([line(one, FIRST_US + one * (days * DAY_US // lines), rng) for one in page])
        size = "" if path is None else f", {size_of(path) / 1e9:.1f} GB"
        print(f"{lines:,} lines in {time.perf_counter() - began:.0f} s{size}", flush=True)
    began, done, slowest_s = time.perf_counter(), 0, 0.0
    while True:
        portion = time.perf_counter()
        rolled = await store.roll_up(PORTION_ROWS)
        if not rolled:
            break
        slowest_s = max(slowest_s, time.perf_counter() - portion)
        done += rolled
    if done:
        took_s = time.perf_counter() - began
        print(f"rolled up in {took_s:.0f} s: {took_s / done * 1e6:.1f} us a line", end="")
        print(f"; the slowest {PORTION_ROWS:,} took {slowest_s * 1e3:.0f} ms", flush=True)
    await store.close()


async def sums(store: Store, by: tuple[SpendingBy, ...], since_us: int, until_us: int) -> None:
    await store.spending(by, since_us=since_us, until_us=until_us)


def commands(home: Path, days: int) -> tuple[float, float]:
    """Print how long the command takes by each group, with its CPU; return the slowest, and how long a report takes."""
    last = datetime.fromtimestamp(FIRST_US / 1e6 + (days - 1) * 86_400, UTC)
    first = last - timedelta(days=min(30, days))
    span = [f"--since={first:%Y-%m-%d}", f"--until={last:%Y-%m-%d}"]
    worst_s = 0.0
    for by in get_args(CostsBy):
        took_s, cpu_s = min(run(home, "costs", f"--by={by}", *span) for _ in range(3))
        worst_s = max(worst_s, took_s)
        print(f"{f'farthing costs --by {by}':<60}{took_s:8.3f} s, {cpu_s:5.2f} s of CPU", flush=True)
    others = (["report", "month", f"--of={first:%Y-%m-%d}"], ["budget", "show"], ["calls"])
    took = [min(run(home, *words) for _ in range(3)) for words in others]
    for words, (took_s, cpu_s) in zip(others, took, strict=True):
        print(f"{'farthing ' + ' '.join(words):<60}{took_s:8.3f} s, {cpu_s:5.2f} s of CPU", flush=True)
    return worst_s, took[0][0]


def run(home: Path, *words: str) -> tuple[float, float]:
    """Return the seconds of a command, and those of CPU."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-m", "farthing", "--home", str(home), *words]
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    took_s, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return took_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


async def measure(open_store: Open, days: int) -> float:
    """Print a table of sums; return the slowest of the answers."""
    until_us = FIRST_US + days * DAY_US - 1_234_567_890
    since_us = until_us - min(30, days) * DAY_US
    questions: dict[str, Question] = {}
    for groups in SUMMED:
        name = f"sums by {', '.join(groups) or 'nothing'}"
        questions[name] = partial(sums, by=groups, since_us=since_us, until_us=until_us)
    worst_s = 0.0
    for name, question in questions.items():
        took_s = min([await asked(open_store, question) for _ in range(3)])
        worst_s = max(worst_s, took_s)
        print(f"{name:<60}{took_s:8.3f} s", flush=True)
    return worst_s


SUMMED: tuple[tuple[SpendingBy, ...], ...] = (
    (),
    ("project",),
    ("model",),
    ("provider", "model"),
    ("provider", "model", "model_served", "price_id", "service_tier"),
    ("team", "provider"),
    ("branch", "provider"),
)
"""What reports and chargebacks of a month ask for."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--lines", type=int, default=10_000_000)
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--keep", type=Path, help="Leave the ledger here, and use it again.")
    parser.add_argument("--postgres", metavar="URL")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = None if given.postgres else (given.keep or Path(folder)) / "farthing.db"

        def open_store() -> Store:
            return PostgresStore(given.postgres) if path is None else SqliteStore(path, InPlace())

        asyncio.run(prepare(open_store, given.lines, given.days, path))
        home = Path(folder) if path is None else path.parent
        if given.postgres:
            (home / "settings.schema.json").touch()  # tells that it is a home
            (home / "settings.yaml").write_text(f"storage:\n  url: {given.postgres}\n", encoding="utf-8")
        worst_s, report_s = commands(home, given.days)
        report_s = max(report_s, asyncio.run(measure(open_store, given.days)))
    print(f"slowest {worst_s:.3f} s of {TARGET_S} s; of reports {report_s:.3f} s of {REPORT_TARGET_S} s")
    raise SystemExit(worst_s > TARGET_S or report_s > REPORT_TARGET_S)


if __name__ == "__main__":
    main()
