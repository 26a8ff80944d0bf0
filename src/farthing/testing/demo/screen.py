"""What the demo shows: calls as they end, and the closing report. In a terminal a live table, elsewhere plain lines."""

import sys
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Literal, Protocol, Self

from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from farthing.cli.context import program
from farthing.testing.demo.books import Comparison, without_cache_nanousd
from farthing.types.calls import Attempt
from farthing.types.ledger import CostsRow
from farthing.types.money import usd_text

SHOWN = 18
"""Lines of the live table: with totals and title it fits the 24 rows that every terminal has."""
PLAIN_WIDTH = 100

ROOMY = 100
"""Columns from which the live table has room for how long each call took."""

_OUTCOMES = {
    "ok": ("ok", "green"),
    "provider_error": ("error", "red"),
    "provider_cut": ("cut", "red"),
    "cancelled": ("client left", "yellow"),
    "timeout": ("timeout", "red"),
    "unreachable": ("unreachable", "red"),
    "crashed": ("crashed", "red"),
}


class Screen(Protocol):
    """Where the demo talks to."""

    console: Console

    def __enter__(self) -> Self:
        """Begin."""
        ...

    def __exit__(self, *_: object) -> None:
        """Leave the terminal as it was."""
        ...

    def show(self, ended: Sequence[Attempt], total: CostsRow) -> None:
        """Show attempts that have ended since the last time, and the total."""
        ...


def screen(*, plain: bool) -> Screen:
    """Return a live table for a terminal, plain lines for anything else."""
    return PlainLines() if plain or not sys.stdout.isatty() else LiveTable()


class PlainLines:
    """A line per attempt, for pipes, logs and screen readers."""

    def __init__(self) -> None:
        self.console = Console(force_terminal=False, no_color=True, width=PLAIN_WIDTH, highlight=False)

    def __enter__(self) -> Self:
        """Say what the columns are."""
        print(f"{'who':<14}{'model':<26}{'input':>8}{'cached':>8}{'output':>8}{'USD':>13}{'ms':>7}  outcome")
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to put back."""

    def show(self, ended: Sequence[Attempt], total: CostsRow) -> None:
        """See `Screen.show`."""
        del total
        for attempt in ended:
            who, model, tokens, cached, output, usd, lasted, outcome = _cells(attempt)
            print(f"{who:<14}{model:<26}{tokens:>8}{cached:>8}{output:>8}{usd:>13}{lasted:>7}  {outcome}", flush=True)


class LiveTable:
    """The latest calls and the running total, redrawn in place."""

    def __init__(self) -> None:
        self.console = Console(highlight=False)
        self._latest: deque[Attempt] = deque(maxlen=SHOWN)
        self._live = Live(console=self.console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        """Take the screen."""
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Give the screen back."""
        self._live.stop()

    def show(self, ended: Sequence[Attempt], total: CostsRow) -> None:
        """See `Screen.show`."""
        self._latest.extend(ended)
        self._live.update(latest_calls(self._latest, total, self.console.width), refresh=True)


def latest_calls(attempts: Iterable[Attempt], total: CostsRow, width: int) -> Table:
    """Return the table of the latest calls for a terminal of that width, with the total of all as its foot."""
    footers = (
        f"{total.calls} calls",
        "",
        f"{total.input_tokens:,}",
        f"{total.cache_read_input_tokens:,}",
        f"{total.output_tokens:,}",
        ("~" if total.estimated_attempts else "") + _short_usd(total.cost_nanousd),
        "",
        f"{total.estimated_attempts} estimated" if total.estimated_attempts else "",
    )
    names = ("who", "model", "input", "cached", "output", "USD", "ms", "outcome")
    kept = [index for index, name in enumerate(names) if name != "ms" or width >= ROOMY]
    table = _table(show_footer=True, title="Farthing's ledger, live", title_justify="left", show_edge=False)
    for index in kept:
        _add_column(table, names[index], footers[index], shrinks=names[index] == "model")
    for attempt in attempts:
        *cells, outcome = _cells(attempt)
        row: list[str | Text] = [*cells, Text(outcome, style=_OUTCOMES[attempt.outcome][1])]
        table.add_row(*(row[index] for index in kept))
    return table


def _table(**options: Any) -> Table:
    return Table(box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False, **options)


def _add_column(table: Table, name: str, footer: str = "", *, shrinks: bool = False) -> None:
    """Add a column that is never cut, least of all money; names of models give way where the terminal is narrow."""
    justify: Literal["left", "right"] = "left" if name in _WORDS else "right"
    table.add_column(name, footer, justify=justify, no_wrap=not shrinks, overflow="ellipsis")


_WORDS = {"who", "model", "outcome", "project", "why"}


def report(
    console: Console, attempts: Sequence[Attempt], compared: Comparison, by_project: Sequence[CostsRow], verified: str
) -> None:
    """Print the closing report: what was spent, where, whether it is right, and what to do next."""
    total = sum(attempt.cost_nanousd or 0 for attempt in attempts)
    estimated = [attempt for attempt in attempts if attempt.cost_basis == "estimated"]
    mark = "~" if estimated else ""
    console.rule("What was spent", align="left")
    console.print(f"{len(attempts)} calls cost [bold]{mark}{usd_text(total)} USD[/bold]; none of it was real.")
    if estimated:
        part = usd_text(sum(attempt.cost_nanousd or 0 for attempt in estimated))
        cut = "1 call that was cut" if len(estimated) == 1 else f"{len(estimated)} calls that were cut"
        console.print(f"~ says that estimates are in it: {part} USD, of {cut}.")
    if compared.unknown:
        console.print(f"{len(compared.unknown)} of unknown cost, not in it: see below.")
    without = without_cache_nanousd(attempts)
    if without > total:
        console.print(f"Without the providers' prompt caches it would have been {usd_text(without)} USD.")
    console.print(_by_project(by_project))
    _print_exactness(console, compared)
    if compared.estimated:
        _print_estimated(console, compared)
    console.print(f'"farthing ledger verify" says: {verified.splitlines()[0] if verified else "nothing"}')
    console.rule("Next", align="left")
    console.print("[bold]make serve[/bold]\n  the real thing, on 127.0.0.1:3000; it prints a key and how to use it")
    console.print(f"[bold]{program()} costs --by project[/bold]\n  then shows this table for your own calls")


def _by_project(rows: Sequence[CostsRow]) -> Table:
    table = _table()
    for name in ("project", "calls", "input", "cached", "output", "USD"):
        _add_column(table, name)
    for row in rows:
        table.add_row(
            row.group or "none",
            f"{row.calls:,}",
            f"{row.input_tokens:,}",
            f"{row.cache_read_input_tokens:,}",
            f"{row.output_tokens:,}",
            ("~" if row.estimated_attempts else "") + usd_text(row.cost_nanousd),
        )
    return table


def _print_exactness(console: Console, compared: Comparison) -> None:
    console.rule("Is it right?", align="left")
    ours = sum(pair.ours.cost_nanousd or 0 for pair in compared.exact)
    theirs = sum(pair.theirs.nanousd or 0 for pair in compared.exact)
    console.print("The fake providers kept account of what they would bill, by their own arithmetic.")
    console.print(f"{len(compared.exact)} calls agree in every token and to the nanodollar:")
    console.print(f"  Farthing's ledger  {usd_text(ours)} USD\n  the providers      {usd_text(theirs)} USD")
    for pair in compared.differing:
        console.print(
            f"[red]DIFFERS[/red] {pair.ours.opening.call_id}: ledger {pair.ours.cost_nanousd}, provider "
            f"{pair.theirs.nanousd} nanodollars ({pair.ours.outcome}, {pair.theirs.ended})",
        )
    for line in compared.unmatched:
        console.print(f"[red]NOT IN THE LEDGER[/red] request {line.request_id}: {line.nanousd} nanodollars")
    if compared.unknown:
        console.print(
            f"{len(compared.unknown)} of unknown cost, and shown as such: the connection broke in the middle of a "
            "whole answer, so that neither its usage nor its length ever arrived."
        )


def _print_estimated(console: Console, compared: Comparison) -> None:
    console.rule("Streams that were cut", align="left")
    console.print("Nobody was told what these cost, so Farthing estimates from what had arrived, and marks them:")
    table = _table()
    for name in ("who", "why", "output, ours", "theirs", "USD, ours", "theirs"):
        _add_column(table, name)
    for pair in compared.estimated[-SHOWN:]:
        table.add_row(
            pair.ours.opening.attribution.key_name,
            _OUTCOMES[pair.ours.outcome][0],
            f"~{pair.ours.usage.output_tokens or 0:,}",
            f"{pair.theirs.usage.output_tokens or 0:,}",
            "~" + usd_text(pair.ours.cost_nanousd or 0),
            usd_text(pair.theirs.nanousd or 0),
        )
    ours = sum(pair.ours.cost_nanousd or 0 for pair in compared.estimated)
    theirs = sum(pair.theirs.nanousd or 0 for pair in compared.estimated)
    table.add_section()
    table.add_row("all of them", str(len(compared.estimated)), "", "", "~" + usd_text(ours), usd_text(theirs))
    console.print(table)


def _cells(attempt: Attempt) -> tuple[str, str, str, str, str, str, str, str]:
    opening, usage = attempt.opening, attempt.usage
    mark = "~" if attempt.cost_basis == "estimated" else ""
    return (
        opening.attribution.key_name,
        opening.model.rpartition("/")[2],
        _count(usage.input_tokens),
        _count(usage.cache_read_input_tokens),
        mark + _count(usage.output_tokens),
        mark + _short_usd(attempt.cost_nanousd),
        f"{(attempt.ended_at_us - opening.started_at_us) // 1000:,}",
        _OUTCOMES[attempt.outcome][0],
    )


def _count(tokens: int | None) -> str:
    return "?" if tokens is None else f"{tokens:,}"


def _short_usd(nanousd: int | None) -> str:
    """Two digits fewer than the ledger has, which is enough for a moving table."""
    return "unknown" if nanousd is None else usd_text(nanousd)[:-2]
