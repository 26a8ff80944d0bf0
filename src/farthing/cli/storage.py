"""`farthing storage`: where ledger, keys and budgets are kept, and moving them to a PostgreSQL or back."""

from typing import TYPE_CHECKING

import click

from farthing.cli.context import current_home, say
from farthing.cli.number import Number
from farthing.cli.tables import counted, print_json

if TYPE_CHECKING:
    from farthing.cli.storage_move import Progress


@click.group()
def storage() -> None:
    """Say where things are kept, and move them."""


@storage.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(as_json: bool) -> None:  # noqa: FBT001  (click's flag)
    """Say where ledger, keys and budgets are kept, and how much there is."""
    from farthing.cli.storage_move import state_of  # noqa: PLC0415  (opens the database; not for --help)

    state = state_of(current_home())
    if as_json:
        print_json(state)
        return
    click.echo(f"kept in   {state['place']}")
    click.echo(f"attempts  {state['attempts']:,}")
    click.echo(f"keys      {state['keys']:,}")
    click.echo(f"budgets   {state['budgets']:,}")


@storage.command()
@click.option("--to", "to", metavar="PLACE", required=True, help="A PostgreSQL's URL, env:NAME, file:/path; or sqlite.")
@click.option(
    "--wait-s",
    type=Number(min=0, max=604_800),
    default=3_600,
    show_default=True,
    help="How long a gateway that still serves is followed until it is stopped.",
)
def migrate(to: str, wait_s: int) -> None:
    """Move ledger, keys and budgets to PLACE, and have settings.yaml name it.

    To a PostgreSQL also while a gateway serves: what it writes is followed until you stop it, and then the rest is
    moved, compared, and the settings changed; start it again then. Interrupted, the same command goes on. The old
    database is kept aside. To sqlite, every host that shares the database must be stopped first.
    """
    from farthing.cli.storage_move import move  # noqa: PLC0415  (opens the databases; not for --help)

    moved = move(current_home(), to, wait_s=wait_s, told=_told)
    say(f"{counted(moved.attempts, 'attempt')}, every key and budget moved; totals are the same on both sides.")
    say(f"settings.yaml says {moved.setting} now.")
    if moved.kept is not None:
        say(f"The old database is kept as {moved.kept}; remove it when you need it no more.")
    say('Start the gateway again; "farthing ledger verify" proves that the books agree.')


def _told(progress: "Progress") -> None:
    if progress.served_by is None:
        say(f"{counted(progress.copied, 'attempt')} copied")
    else:
        say(
            f"{counted(progress.copied, 'attempt')} copied. The gateway (pid {progress.served_by}) still writes and is"
            " followed: stop it, and the move is completed. Ctrl-C leaves everything as it was."
        )
