"""`farthing calls`: the latest calls, and everything that is known of one."""

from collections.abc import Sequence

import click

from farthing.cli.call_advice import GIVE_A_PRICE
from farthing.cli.context import current_home, say
from farthing.cli.number import Number
from farthing.cli.records import attempt_as_data, call_as_data
from farthing.cli.tables import Column, grouped, moment, print_json, print_table, usd
from farthing.errors import ConfigError
from farthing.types.calls import Attempt
from farthing.types.ledger import CallLine
from farthing.types.prices import Cost

_MOST = 10_000
"""What `--limit` takes: a screenful is 50, and 10,000 calls are 10 MB of JSON."""


@click.group(invoke_without_command=True)
@click.option("--limit", type=Number(1, _MOST), default=20, show_default=True, help="How many calls.")
@click.option("--unknown", is_flag=True, help=f"Only those of unknown cost, of the latest {_MOST:,}.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def calls(ctx: click.Context, limit: int, unknown: bool, as_json: bool) -> None:  # noqa: FBT001  (click's flags)
    """Show the latest calls, youngest first; 'calls show ID' explains one."""
    if ctx.invoked_subcommand is not None:
        return
    from farthing.cli.books import read_books  # noqa: PLC0415  (opens the database; not for --help)
    from farthing.ledger.reports import call_lines  # noqa: PLC0415

    lines = read_books(current_home(), lambda books: call_lines(books.store, _MOST if unknown else limit))
    if unknown:
        lines = [line for line in lines if line.cost_nanousd is None][:limit]
    if as_json:
        print_json([call_as_data(line) for line in lines])
    elif lines:
        print_calls(lines)
    else:
        say("No call of unknown cost." if unknown else "No calls yet.")
    if unknown and any(line.input_tokens is not None for line in lines):
        say(GIVE_A_PRICE)


@calls.command()
@click.argument("call_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(call_id: str, as_json: bool) -> None:  # noqa: FBT001  (click's flag)
    """Show one call: each attempt, what was used, and how its cost comes about. The first letters of the ID will do."""
    from farthing.cli.books import read_books  # noqa: PLC0415  (opens the database; not for --help)
    from farthing.cli.call_sheet import Explain, lines_as_data, print_call, unpriced  # noqa: PLC0415
    from farthing.cli.pricing import pricing_of  # noqa: PLC0415
    from farthing.ledger.reports import call_line, find_call  # noqa: PLC0415

    home = current_home()
    attempts = read_books(home, lambda books: find_call(books.store, call_id))
    try:
        explain: Explain = pricing_of(home).explain
    except ConfigError:
        say('warning: the settings are wrong ("farthing config check"), so prices are not explained.')
        explain = _unexplained
    if as_json:
        tries = [{**attempt_as_data(attempt), "price_lines": lines_as_data(explain(attempt))} for attempt in attempts]
        print_json({**call_as_data(call_line(attempts)), "attempts": tries})
    else:
        print_call(attempts, explain)
        if any(unpriced(attempt) for attempt in attempts):
            say(GIVE_A_PRICE)


def print_calls(lines: Sequence[CallLine]) -> None:
    """Print one line per call; a long name stands above its numbers."""
    columns = [
        Column("CALL", "left"),
        Column("BEGAN (UTC)", "left"),
        Column("OUTCOME", "left"),
        Column("INPUT"),
        Column("OUTPUT"),
        Column("USD", "point"),
    ]
    rows = [
        (
            f"{line.call_id} {line.provider}:{line.model}",
            moment(line.started_at_us),
            line.outcome if line.attempts == 1 else f"{line.outcome} ({line.attempts} tries)",
            grouped(line.input_tokens),
            grouped(line.output_tokens),
            ("~" if line.cost_basis == "estimated" else "") + usd(line.cost_nanousd),
        )
        for line in lines
    ]
    print_table(columns, rows)
    if any(line.cost_basis == "estimated" for line in lines):
        say("~ marks an estimate: the answer was cut, or came without usage.")


def _unexplained(_attempt: Attempt) -> Cost | None:
    return None
