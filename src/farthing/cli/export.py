"""`farthing export`: the ledger for other programs, streamed, in order of time."""

import io
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast, get_args

import click

from farthing.cli.context import current_home, say
from farthing.cli.gone import say_gone
from farthing.cli.since import Since, since_us
from farthing.cli.tables import counted
from farthing.errors import InvalidRequest
from farthing.types.retention import Retained

if TYPE_CHECKING:
    from collections.abc import Iterator

    from farthing.cli.books import Books
    from farthing.ledger.exports.writers import ExportFormat
    from farthing.ledger.reports import Record
    from farthing.types.spending import SpendingBy


class Groups(click.ParamType["tuple[SpendingBy, ...]"]):
    """What sums are made by: `day,team,tag`."""

    name = "group,group"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> "tuple[SpendingBy, ...]":
        """Return the groups, each once; the day is always one of them."""
        from farthing.types.spending import SpendingBy  # noqa: PLC0415  (not for --help)

        if isinstance(value, tuple):
            return value
        known: tuple[SpendingBy, ...] = get_args(SpendingBy)
        names = dict.fromkeys(("day", *(name.strip().replace("-", "_") for name in str(value).split(","))))
        if wrong := [name for name in names if name not in known]:
            self.fail(f"{wrong[0]!r} is nothing to make sums by; known: {', '.join(known)}.", param, ctx)
        return tuple(name for name in known if name in names)


@click.group()
def export() -> None:
    """Hand the ledger to other programs: CSV, JSON, FOCUS."""


def _options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(
        [
            click.option("--since", type=Since(), help="Only from then on: 2026-11-01, 7d, today (UTC)."),
            click.option("--until", type=Since(), help="Only before then."),
            click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write into this FILE."),
        ]
    ):
        command = option(command)
    return command


@export.command()
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "json", "jsonl", "focus"]),
    default="csv",
    show_default=True,
    help="focus is CSV with the columns of FOCUS 1.2.",
)
@click.option("--known-only", is_flag=True, help="Leave out what is of unknown cost.")
@_options
def attempts(form: str, known_only: bool, since: int | None, until: int | None, out: Path | None) -> None:  # noqa: FBT001  (click's flags)
    """Write every attempt upstream: what it was, for whom, what it used and what it cost."""
    from farthing.cli.pricing import pricing_of  # noqa: PLC0415  (opens price lists; not for --help)
    from farthing.ledger.exports.focus import FOCUS_COLUMNS, focus_rows  # noqa: PLC0415
    from farthing.ledger.exports.pages import attempt_columns, attempts_between, exported_attempt  # noqa: PLC0415

    home = current_home()
    explain = pricing_of(home).explain if form == "focus" else None
    unknown = 0
    retained: list[Retained] = []

    async def records(books: "Books") -> "AsyncIterator[Record]":
        nonlocal unknown
        retained.append(await books.store.retention.retained())
        async for attempt in attempts_between(books.store, since, until):
            unknown += attempt.cost_nanousd is None
            if known_only and attempt.cost_nanousd is None:
                continue
            if explain is None:
                yield exported_attempt(attempt)
            else:
                for row in focus_rows(attempt, explain):
                    yield row

    columns = attempt_columns() if explain is None else list(FOCUS_COLUMNS)
    _write(records, columns, "csv" if form == "focus" else form, out)
    if unknown:
        told = "left out" if known_only else "in it, with no cost" + (" (FOCUS wants one)" if explain else "")
        say(f"{counted(unknown, 'attempt')} of unknown cost: {told}.")
    for one in retained:
        say_gone(one, since, '"farthing export costs" has their sums')


@export.command()
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "json", "jsonl"]),
    default="csv",
    show_default=True,
    help="The form of the lines.",
)
@click.option("--by", type=Groups(), help="Sums by these alone: day,team,tag.  [default: all but sessions and tags]")
@_options
def costs(
    form: str, by: "tuple[SpendingBy, ...] | None", since: int | None, until: int | None, out: Path | None
) -> None:
    """Write sums by UTC day, model and whatever else a call is known by; each UTC day by itself."""
    from farthing.clock import SystemClock  # noqa: PLC0415  (not for --help)
    from farthing.ledger.exports.pages import (  # noqa: PLC0415
        SUMMED_BY,
        exported_sum,
        sum_columns,
        sums_between,
    )

    groups = by or SUMMED_BY

    async def records(books: "Books") -> "AsyncIterator[Record]":
        days = await books.store.daily_totals()  # of lines that have expired, too
        if not days:
            return
        first_us = since_us(days[0].day, 0)
        last_us = SystemClock().now_us() if until is None else until
        async for row in sums_between(books.store, since, until, max(first_us, since or 0), last_us, groups):
            yield exported_sum(row, groups)

    _write(records, sum_columns(groups), form, out)
    if "tag" in groups:
        say("A call with several tags stands under each of them; by tags, it stands once.")


def _write(
    records: "Callable[[Books], AsyncIterator[Record]]", columns: list[str], form: str, out: Path | None
) -> None:
    from farthing.cli.books import read_books  # noqa: PLC0415  (opens the database; not for --help)
    from farthing.ledger.exports.writers import write_records  # noqa: PLC0415

    def work(file: TextIO) -> "Callable[[Books], Awaitable[int]]":
        return lambda books: write_records(records(books), columns, cast("ExportFormat", form), file)

    with _opened(out) as file:
        count = read_books(current_home(), work(file))
    if out is not None:
        say(f"{counted(count, 'line')} in {out}")


@contextmanager
def _opened(out: Path | None) -> "Iterator[TextIO]":
    """Open what is written to; a file is there when it is whole, and readable by its owner only."""
    if out is None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(newline="")  # CRLF is what CSV has, and JSON has what it is given
        yield sys.stdout
        return
    special = out.exists() and not out.is_file()  # /dev/stdout, a pipe: nothing to be put in its place
    part = out if special else out.with_name(f".{out.name}.part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError as error:
        raise InvalidRequest(
            f"{str(out)!r} cannot be written: {error.strerror}.", hint="choose another --out, or leave it out."
        ) from error
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            yield file
        if not special:
            part.replace(out)
    except BaseException:
        if not special:
            part.unlink(missing_ok=True)
        raise
