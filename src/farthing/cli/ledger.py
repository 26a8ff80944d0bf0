"""`farthing ledger`: proof that attempts, totals and journals agree; the totals made again where they do not.

And a new ledger where the old one is lost: never made unasked, because an empty one looks like one that cost nothing.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import click

from farthing.cli.context import current_home, current_settings, say
from farthing.cli.tables import counted, print_json, printable
from farthing.types.calls import Attempt
from farthing.types.ledger import Finding, utc_day

if TYPE_CHECKING:
    from farthing.config.paths import Home

_TOLD_EVERY_S = 5.0
"""As long as people wait before they wonder; half a million attempts."""
_PRICES_NAMED = 5
"""Of prices that are not known any more: enough to see which kind it is."""


@click.group()
def ledger() -> None:
    """Prove that the books agree, make the totals again, begin anew; how long calls are kept."""


@ledger.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def verify(ctx: click.Context, as_json: bool) -> None:  # noqa: FBT001  (click's flag)
    """Read every line again, and check costs, totals and journal against each other. Ends with 1 when they disagree.

    A cost is checked where its price is still known as it was; how many are not is told.
    """
    from farthing.cli.books import Books, read_books  # noqa: PLC0415  (opens the database; not for --help)
    from farthing.clock import SystemClock  # noqa: PLC0415
    from farthing.ledger.verify import MAX_FINDINGS  # noqa: PLC0415
    from farthing.ledger.verify import verify as verify_books  # noqa: PLC0415

    home = current_home()
    home.recognise()
    again = _pricing(home)
    unchecked: Counter[str] = Counter()  # as many as there are prices

    def reprice(attempt: Attempt) -> int | None:
        cost = again(attempt)
        if cost is None:
            unchecked[str(attempt.price_id)] += 1
        return cost

    def check(books: Books) -> Awaitable[list[Finding]]:
        now_us = SystemClock().now_us()
        return verify_books(
            books.store,
            home.journal,
            books.offload,
            now_us=now_us,
            live=books.live,
            reprice=reprice,
            budgets=books.store.budgets,
            tell=_told_now_and_then(SystemClock().monotonic),
        )

    found = read_books(home, check)
    if as_json:
        print_json([{"kind": one.kind, "subject": one.subject, "message": one.message} for one in found])
    else:
        for one in found:
            click.echo(printable(f"{one.kind.replace('_', ' ')}: {one.subject}: {one.message}"))
    if unchecked:
        say(_unchecked(unchecked))
    if not found:
        checked = "costs, totals and journal" if not unchecked else "totals, journal and the other costs"
        say(f"The books agree: every attempt is in the ledger once, and {checked} tell the same.")
        return
    more = " or more" if len(found) >= MAX_FINDINGS else ""
    say(f"The books do not agree: {len(found)}{more} finding{'' if len(found) == 1 else 's'}.")
    ctx.exit(1)


def _told_now_and_then(now_s: Callable[[], float]) -> Callable[[str], None]:
    """Return what says what is being checked, where that takes long: nothing of a ledger that is read at once."""
    told_s = now_s()

    def tell(what: str) -> None:
        nonlocal told_s
        if now_s() - told_s >= _TOLD_EVERY_S:
            told_s = now_s()
            say(f"checking {what} ...")

    return tell


def _pricing(home: "Home") -> Callable[[Attempt], int | None]:
    """Return what prices attempts again: nothing while the settings are wrong; the rest is checked all the same."""
    from farthing.cli.pricing import pricing_of  # noqa: PLC0415  (not for --help)
    from farthing.errors import ConfigError  # noqa: PLC0415

    try:
        return pricing_of(home).again
    except ConfigError:
        say('warning: the settings are wrong ("farthing config check"), so costs are not checked against prices.')
        return lambda _: None


def _unchecked(prices: Counter[str]) -> str:
    number, most = prices.total(), prices.most_common(_PRICES_NAMED)
    names = ", ".join(f"{price_id} ({times})" for price_id, times in most)
    more = f", and {len(prices) - len(most)} more" if len(prices) > len(most) else ""
    costs = "1 cost was" if number == 1 else f"{number} costs were"
    return f"{costs} not checked: made with prices that are not known any more: {names}{more}."


@ledger.command()
def new() -> None:
    """Begin a new and empty ledger, where the database was lost or is damaged. No gateway may serve the home.

    What is there is kept aside in the home, and the journal is posted to the new ledger. Settings and prices stay.
    Keys of clients were in the database: the next start prints a new one. A backup, where there is one, is better.
    """
    from farthing.cli.lost import begin_anew  # noqa: PLC0415  (opens the database; not for --help)

    home = current_home()
    home.recognise()
    kept = begin_anew(home)
    if kept is not None:
        say(f"what was there is in {kept}")
    say('began a new ledger; "farthing serve" prints a new client key')


@ledger.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def retention(as_json: bool) -> None:  # noqa: FBT001  (click's flag)
    """Say how long single calls are kept, which are gone, and which a gateway will let expire next.

    What they cost stays for ever, and is in every sum. `retention.calls` in the settings says how long they are kept.
    """
    from farthing.cli.books import Books, read_books  # noqa: PLC0415  (opens the database; not for --help)
    from farthing.clock import SystemClock  # noqa: PLC0415
    from farthing.ledger.housekeeping import expires_before  # noqa: PLC0415
    from farthing.types.retention import Retained, Waiting  # noqa: PLC0415

    home = current_home()
    home.recognise()
    kept = current_settings(home).retention
    before_us = None if kept.calls_us is None else expires_before(kept.calls_us, SystemClock().now_us())

    async def look(books: Books) -> tuple[Retained, Waiting]:
        store = books.store.retention
        return await store.retained(), Waiting(0, None) if before_us is None else await store.waiting(before_us)

    gone, waiting = read_books(home, look)
    if as_json:
        print_json(
            {
                "calls": kept.calls,
                "kept_from_us": gone.kept_from_us,
                "expired_attempts": gone.expired,
                "expired_at_us": gone.expired_at_us,
                "expires_before_us": before_us,
                "waiting_attempts": waiting.attempts,
                "oldest_us": waiting.oldest_us,
            }
        )
        return
    click.echo(f"kept     {'for ever' if kept.calls is None else kept.calls}")
    told = "nothing yet"
    if gone.kept_from_us is not None and gone.expired_at_us is not None:
        told = f"{counted(gone.expired, 'attempt')} before {utc_day(gone.kept_from_us)}"
        told += f", the last on {utc_day(gone.expired_at_us)}"
    click.echo(f"gone     {told}")
    if before_us is not None:
        click.echo(f"waiting  {counted(waiting.attempts, 'attempt')} before {utc_day(before_us)}")
    if waiting.attempts:
        say("A gateway lets them expire while it serves, a few at a time; what they cost stays in every sum.")


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
