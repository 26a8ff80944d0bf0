"""`farthing costs`: what was spent, by whatever it is asked by.

Sums are over what is known. How many attempts they are silent about stands beside them in every form, because a total
that leaves something out must say so.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar, cast, get_args

import click

from farthing.cli.context import current_home, say
from farthing.cli.gone import gone_before, say_gone
from farthing.cli.records import costs_as_data, nothing_known
from farthing.cli.since import Since
from farthing.cli.tables import Column, grouped, print_csv, print_json, print_table, usd
from farthing.types.ledger import CostsBy, CostsFilter, CostsRow

if TYPE_CHECKING:
    from farthing.cli.books import Books
    from farthing.ledger.reports import CostsReport
    from farthing.types.retention import Retained

MOST_SHOWN = 1_000
"""Groups in a table for people: a month may have a hundred thousand sessions, and to print them took ten seconds."""

F = TypeVar("F", bound=Callable[..., object])

_ONLY = {
    "model": "of this model, such as openai:gpt-5-mini, or of this name at any provider",
    "provider": "at this provider",
    "key": "with this key, by its name or id",
    "tag": "with this tag",
    "face": "by clients of this format",
    "sub_agent": "of this sub-agent",
}

_BY = f"Make groups by one of: {', '.join(get_args(CostsBy))}.  [default: model]"


class Group(click.Choice[str]):
    """The type of `--by`; what is two words may be written with a hyphen, as options are."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Understand `pull-request` for `pull_request`."""
        return super().convert(str(value).replace("-", "_"), param, ctx)


def only_options(command: F) -> F:
    """Give a command an option for each condition of `CostsFilter`."""
    for name in reversed(CostsFilter.__struct_fields__):
        told = _ONLY.get(name) or f"of this {name.replace('_', ' ')}"
        command = click.option(f"--{name.replace('_', '-')}", name, help=f"Only {told}.")(command)
    return command


@click.command()
@click.option("--by", type=Group(get_args(CostsBy)), default="model", metavar="GROUP", help=_BY)
@click.option("--since", type=Since(), help="Only from then on: 2026-11-01, 7d, 24h, today (UTC).")
@click.option("--until", type=Since(), help="Only before then.")
@only_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
def costs(
    by: str,
    since: int | None,
    until: int | None,
    as_json: bool,  # noqa: FBT001  (click's flag)
    as_csv: bool,  # noqa: FBT001
    **only: str | None,
) -> None:
    """Show what was spent, exactly, and on what; with conditions, only where all of them hold."""
    from farthing.cli.books import read_books  # noqa: PLC0415  (opens the database; not for --help)
    from farthing.ledger.reports import costs_report  # noqa: PLC0415

    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other.")
    group_by = cast("CostsBy", by)
    meant = CostsFilter(**only)
    limit = None if as_json or as_csv or by == "day" else MOST_SHOWN

    async def look(books: "Books") -> tuple["CostsReport", "Retained"]:
        report = await costs_report(books.store, group_by, since, until, meant, limit)
        return report, await books.store.retention.retained()

    report, retained = read_books(current_home(), look)
    if as_json:
        data = [costs_as_data(row, group_by) for row in report.rows]
        told = {name: value for name, value in only.items() if value is not None}
        about = {"by": by, "since_us": since, "until_us": until, "only": told}
        about |= {"lines_gone_before_us": gone_before(retained, since)}
        print_json({**about, "groups": data, "total": _ungrouped(report.total, group_by)})
    elif as_csv:
        header = list(costs_as_data(report.total, group_by))
        print_csv([costs_as_data(row, group_by) for row in report.rows], header)
    else:
        print_costs(by, report.rows, report.total)
    if report.shortened:
        say(f"Only the {grouped(MOST_SHOWN)} dearest are shown; the total is of all, and --csv and --json show them.")
    for line in remarks(report.total):
        say(line)
    say_gone(retained, since, "what they cost is in the sums, by quarter of an hour")
    if by == "tag" and sum(row.attempts for row in report.rows) > report.total.attempts:
        say("A call with several tags stands under each of them, and in the total once.")


def print_costs(by: str, rows: Sequence[CostsRow], total: CostsRow) -> None:
    """Print the table for people; a column that would hold nothing but zeros is left out."""
    columns = [
        Column(by.replace("_", " ").upper(), "left"),
        Column("CALLS"),
        Column("INPUT"),
        Column("OUTPUT"),
        Column("USD", "point"),
    ]
    cached = total.cache_read_input_tokens or total.cache_creation_input_tokens
    if cached:
        columns[3:3] = [Column("CACHE READ"), Column("WRITTEN")]
    if total.unknown_cost_attempts:
        columns.append(Column("UNKNOWN"))

    def cells(row: CostsRow, name: str) -> list[str]:
        found = [name, grouped(row.calls), grouped(row.input_tokens)]
        if cached:
            found += [grouped(row.cache_read_input_tokens), grouped(row.cache_creation_input_tokens)]
        found += [grouped(row.output_tokens), usd(None if nothing_known(row) else row.cost_nanousd)]
        if total.unknown_cost_attempts:
            found.append(grouped(row.unknown_cost_attempts) if row.unknown_cost_attempts else "")
        return found

    table = [cells(row, row.group if row.group is not None else f"(no {by.replace('_', ' ')})") for row in rows]
    print_table(columns, table, total=cells(total, "total"))


def remarks(total: CostsRow) -> list[str]:
    """Return what the sums are silent about or only estimate, and how the providers' own figures compare."""
    lines = []
    of_all = f"of {grouped(total.attempts)} {_noun(total.attempts)}"
    if not total.attempts:
        lines.append("Nothing was called in that time.")
    if total.unknown_cost_attempts:
        lines.append(
            f"{grouped(total.unknown_cost_attempts)} {of_all} {_is(total.unknown_cost_attempts)} of unknown cost and"
            ' not in the sum: no price, or no usage. "farthing calls --unknown" shows which.'
        )
    if total.estimated_attempts:
        lines.append(
            f"{grouped(total.estimated_attempts)} {of_all} {_is(total.estimated_attempts)} estimated: the answer was"
            " cut, or came without usage."
        )
    if total.unknown_usage_attempts:
        lines.append(
            f"{grouped(total.unknown_usage_attempts)} {of_all} came without usage; their tokens are not in the sums."
        )
    if total.comparable_cost_nanousd or total.reported_cost_nanousd:
        lines.append(_comparison(total))
    if total.reported_only_nanousd:
        lines.append(f"Where we know no price, providers reported {usd(total.reported_only_nanousd)} USD.")
    return lines


def _ungrouped(total: CostsRow, by: CostsBy) -> dict[str, Any]:
    return {name: value for name, value in costs_as_data(total, by).items() if name != by}


def _comparison(total: CostsRow) -> str:
    ours, theirs = total.comparable_cost_nanousd, total.reported_cost_nanousd
    number = total.comparable_attempts
    of = f"{grouped(number)} {_noun(number)}"
    told = f"Providers reported {usd(theirs)} USD for {of} that we priced at {usd(ours)} USD: "
    if ours == theirs and not total.largest_difference_ppm:
        return told + "the same."
    share = f" ({Decimal(100 * abs(ours - theirs)) / Decimal(theirs):.3g} %)" if theirs else ""
    higher = "higher" if ours > theirs else "lower"
    sums = f"ours is {usd(abs(ours - theirs))} USD{share} {higher}" if ours != theirs else "the sums are the same"
    if number == 1:
        return f"{told}{sums}."
    return f"{told}{sums}; the furthest single one is off by {Decimal(total.largest_difference_ppm) / 10_000:.3g} %."


def _noun(number: int) -> str:
    return "attempt" if number == 1 else "attempts"


def _is(number: int) -> str:
    return "is" if number == 1 else "are"
