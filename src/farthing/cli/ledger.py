"""`farthing ledger`: proof that attempts, totals and journals agree, and the totals made again where they do not."""

from collections.abc import Awaitable

import click

from farthing.cli.context import current_home, current_settings, say
from farthing.cli.tables import print_json, printable
from farthing.types.ledger import Finding


@click.group()
def ledger() -> None:
    """Prove that the books agree, or make the totals again."""


@ledger.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def verify(ctx: click.Context, as_json: bool) -> None:  # noqa: FBT001  (click's flag)
    """Read every line again, and check costs, totals and journal against each other. Ends with 1 when they disagree."""
    from farthing.cli.books import Books, read_books  # noqa: PLC0415  (opens the database; not for --help)
    from farthing.cli.pricing import Pricing  # noqa: PLC0415
    from farthing.clock import SystemClock  # noqa: PLC0415
    from farthing.ledger.verify import MAX_FINDINGS  # noqa: PLC0415
    from farthing.ledger.verify import verify as verify_books  # noqa: PLC0415

    home = current_home()
    reprice = Pricing(current_settings(home), home).again

    def check(books: Books) -> Awaitable[list[Finding]]:
        now_us = SystemClock().now_us()
        return verify_books(books.store, home.journal, books.offload, now_us=now_us, live=books.live, reprice=reprice)

    found = read_books(home, check)
    if as_json:
        print_json([{"kind": one.kind, "subject": one.subject, "message": one.message} for one in found])
    else:
        for one in found:
            click.echo(printable(f"{one.kind.replace('_', ' ')}: {one.subject}: {one.message}"))
    if not found:
        say("The books agree: every attempt is in the ledger once, and costs, totals and journal tell the same.")
        return
    more = " or more" if len(found) >= MAX_FINDINGS else ""
    say(f"The books do not agree: {len(found)}{more} findings.")
    ctx.exit(1)


@ledger.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def rebuild(as_json: bool) -> None:  # noqa: FBT001  (click's flag)
    """Make the daily totals again from the attempts, in one transaction, and show what differed.

    A gateway may be at work meanwhile. The attempts are what was billed; they are never changed.
    """
    from farthing.cli.books import Books, read_books  # noqa: PLC0415  (opens the database; not for --help)
    from farthing.ledger.rebuild import Rebuilt  # noqa: PLC0415
    from farthing.ledger.rebuild import rebuild as rebuild_totals  # noqa: PLC0415

    def again(books: Books) -> Awaitable[Rebuilt]:
        return rebuild_totals(books.store)

    done = read_books(current_home(), again)
    if as_json:
        differed = [{"subject": one.subject, "message": one.message} for one in done.differed]
        print_json({"totals": done.totals, "differed": differed})
    else:
        for one in done.differed:
            click.echo(printable(f"{one.subject}: {one.message}"))
    told = f"{len(done.differed)} had been something else" if done.differed else "they were right before"
    say(f"{done.totals} totals were made again from the attempts; {told}.")
