"""`farthing chargeback`: what a month cost each project, team, branch, task, key, user, session or set of tags."""

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast, get_args

import click

from farthing.cli.context import current_home, current_settings, say
from farthing.cli.tables import Column, counted, fits, grouped, moment, print_csv, print_json, print_table, usd

if TYPE_CHECKING:
    from farthing.ledger.chargeback import Chargeback, ChargebackBy, ChargebackLine

_MONTH = re.compile(r"(20[0-9]{2})-(0[1-9]|1[0-2])", re.ASCII)
_BY = ("project", "team", "branch", "task", "key", "user", "organisation", "session", "tags")
NOT_ATTRIBUTED = "(not attributed)"


class Month(click.ParamType[tuple[int, int]]):
    """A month as `2026-11`; its value is where it begins and ends, microseconds since 1970 UTC."""

    name = "month"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Return the bounds."""
        if isinstance(value, tuple):
            return value
        found = _MONTH.fullmatch(str(value))
        if found is None:
            self.fail(f"{value!r} is no month; write 2026-11.", param, ctx)
        year, month = int(found[1]), int(found[2])
        return _us(year, month), _us(year + month // 12, month % 12 + 1)


@click.command()
@click.argument("month", type=Month(), metavar="[MONTH]", required=False)
@click.option("--by", type=click.Choice(_BY), default="project", show_default=True, help="Whom it is charged to.")
@click.option("--with-fixed", is_flag=True, help="Spread the fixed costs of settings.yaml, by tokens.")
@click.option(
    "--format", "form", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True, help="How."
)
def chargeback(month: tuple[int, int] | None, by: str, with_fixed: bool, form: str) -> None:  # noqa: FBT001  (click's flag)
    """Show what a MONTH (2026-11, in UTC) cost each group; the lines add up to the ledger's total, exactly.

    Without a MONTH it is the one that is not over yet.
    """
    from farthing.cli.books import read_books  # noqa: PLC0415  (opens the database; not for --help)
    from farthing.clock import SystemClock  # noqa: PLC0415
    from farthing.ledger import chargeback as made  # noqa: PLC0415

    home = current_home()
    group_by = cast("ChargebackBy", by)
    assert set(_BY) == set(get_args(made.ChargebackBy))
    fixed = current_settings(home).fixed_costs if with_fixed else ()
    since_us, until_us = month or Month().convert(moment(SystemClock().now_us())[:7], None, None)
    told = read_books(home, lambda books: made.chargeback(books.store, group_by, since_us, until_us, fixed))
    if form == "json":
        print_json(
            {
                "month": _month_name(since_us),
                "by": by,
                "lines": [line_as_data(line, by) for line in told.lines],
                "total": _total_as_data(told),
                "fixed_costs": [{"name": one.cost.name, **_money("usd", "nanousd", one.nanousd)} for one in told.fixed],
            }
        )
    elif form == "csv":
        header = list(line_as_data(_total_line(told), by))
        print_csv([line_as_data(line, by) for line in told.lines], header)
    elif told.lines:
        print_chargeback(told)
    if month is None:
        say(f"{_month_name(since_us)}, which is not over yet.")
    if told.total.unknown_cost_attempts:
        say(
            f"{counted(told.total.unknown_cost_attempts, 'attempt')} of {grouped(told.total.attempts)} of unknown cost:"
            " in no sum."
        )
    if not told.total.attempts:
        say(f"Nothing was called in {_month_name(since_us)}.")


def print_chargeback(told: "Chargeback") -> None:
    """Print the table for people; a column that would hold nothing is left out, and the cache's where there is no room.

    What is left of the tokens is enough to see who used much; --format json has everything.
    """
    columns, rows, total = _table(told, cached=True)
    short = [("", *row[1:]) for row in (*rows, total)]
    if not fits(columns, short):
        columns, rows, total = _table(told, cached=False)
    print_table(columns, rows, total=total)


def _table(told: "Chargeback", *, cached: bool) -> tuple[list[Column], list[list[str]], list[str]]:
    total = told.total
    cached = cached and bool(total.cache_read_input_tokens or total.cache_creation_input_tokens)
    columns = [Column(told.by.upper(), "left"), Column("CALLS"), Column("INPUT")]
    columns += [Column("CACHE READ"), Column("WRITTEN")] if cached else []
    columns += [Column("OUTPUT"), Column("USD", "point")]
    columns += [Column("UNKNOWN")] if total.unknown_cost_attempts else []
    columns += [Column("FIXED USD", "point")] if told.fixed else []

    def cells(line: "ChargebackLine", name: str) -> list[str]:
        sums = line.sums
        found = [name, grouped(sums.calls), grouped(sums.input_tokens)]
        if cached:
            found += [grouped(sums.cache_read_input_tokens), grouped(sums.cache_creation_input_tokens)]
        found += [grouped(sums.output_tokens), usd(sums.known_cost_nanousd)]
        if total.unknown_cost_attempts:
            found.append(grouped(sums.unknown_cost_attempts) if sums.unknown_cost_attempts else "")
        if told.fixed:
            found.append(usd(line.fixed_nanousd))
        return found

    rows = [cells(line, NOT_ATTRIBUTED if line.group is None else line.group) for line in told.lines]
    return columns, rows, cells(_total_line(told), "total")


def line_as_data(line: "ChargebackLine", by: str) -> dict[str, Any]:
    """Return a line for JSON or CSV; the group is `None` for what nobody was named for."""
    sums = line.sums
    names = [name for name in sums.__struct_fields__ if name not in ("groups", "cost_nanousd")]
    counts = {name: getattr(sums, name) for name in names}
    cost = _money("usd", "nanousd", sums.known_cost_nanousd)
    return {by: line.group, **counts, **cost, **_money("fixed_usd", "fixed_nanousd", line.fixed_nanousd)}


def _total_as_data(told: "Chargeback") -> dict[str, Any]:
    return {name: value for name, value in line_as_data(_total_line(told), told.by).items() if name != told.by}


def _total_line(told: "Chargeback") -> "ChargebackLine":
    from farthing.ledger.chargeback import ChargebackLine  # noqa: PLC0415  (not for --help)

    return ChargebackLine(None, told.total, sum(one.nanousd for one in told.fixed))


def _money(text: str, number: str, nanousd: int | None) -> dict[str, Any]:
    from farthing.types.money import usd_text  # noqa: PLC0415  (not for --help)

    return {text: None if nanousd is None else usd_text(nanousd), number: nanousd}


def _us(year: int, month: int) -> int:
    return (datetime(year, month, 1, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _month_name(since_us: int) -> str:
    return datetime.fromtimestamp(since_us // 1_000_000, UTC).strftime("%Y-%m")
