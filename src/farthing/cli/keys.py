"""`farthing keys`: the keys that clients use. A key is shown once, when it is made; only its hash is kept."""

from typing import TYPE_CHECKING

import click

from farthing.cli.complete import key_names
from farthing.cli.context import current_home, say
from farthing.cli.tables import Column, counted, moment, print_json, print_table
from farthing.storage.protocols import KeyRecord

if TYPE_CHECKING:
    from farthing.auth import KeyRing


@click.group()
def keys() -> None:
    """Create, list, revoke and rename the keys that clients use."""


@keys.command()
@click.argument("name", required=False)
@click.option("--project", help="The project its calls are for.")
@click.option("--team", help="The team its calls are for.")
@click.option("--user", help="The user its calls are for.")
@click.option("--json", "as_json", is_flag=True, help='Print {"id", "name", "key"}.')
def create(name: str | None, project: str | None, team: str | None, user: str | None, as_json: bool) -> None:  # noqa: FBT001  (click's flag)
    """Make a key and print it: on stdout, this once."""
    from farthing.cli.books import make_key  # noqa: PLC0415  (opens the database; not for --help)

    record, secret = make_key(current_home(), lambda ring: ring.create(name, project=project, team=team, user=user))
    if as_json:
        print_json({"id": record.id, "name": record.name, "key": secret.reveal()})
        return
    click.echo(secret.reveal())
    say(f"The key {record.name!r} ({record.id}). Keep it: it is not shown again.")


@keys.command(name="list")
@click.option("--all", "every", is_flag=True, help="Also those that were made for a session which is over.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, of every key.")
def list_keys(every: bool, as_json: bool) -> None:  # noqa: FBT001  (click's flags)
    """List keys, revoked ones too, oldest first. The keys themselves are not kept."""
    from farthing.cli.books import read_store  # noqa: PLC0415  (opens the database; not for --help)
    from farthing.clock import SystemClock  # noqa: PLC0415

    records = read_store(current_home(), lambda store: store.keys())
    now_us = SystemClock().now_us()
    over = [record for record in records if record.expires_at_us is not None and not record.counts(now_us)]
    if not (every or as_json):
        records = [record for record in records if record not in over]
    if as_json:
        print_json([_as_data(record) for record in records])
        return
    if not records:
        say('No keys yet; "farthing keys create" makes one.' if not over else _over(over))
        return
    columns = [Column("NAME", "left"), Column("KEY", "left"), Column("ID", "left"), Column("MADE", "left")]
    revoked = any(record.revoked_at_us is not None for record in records)
    ends = any(record.expires_at_us is not None for record in records)
    owners = any(record.project or record.team or record.user for record in records)
    columns += [Column("REVOKED", "left")] if revoked else []
    columns += [Column("ENDS", "left")] if ends else []
    columns += [Column("FOR", "left")] if owners else []
    rows = []
    for record in records:
        row = [record.name, f"{record.shown}...", record.id, _day(record.created_at_us)]
        row += [_day(record.revoked_at_us)] if revoked else []
        row += ["" if record.expires_at_us is None else moment(record.expires_at_us)[:16]] if ends else []
        row += [", ".join(filter(None, (record.project, record.team, record.user)))] if owners else []
        rows.append(row)
    print_table(columns, rows)
    if over and not every:
        say(_over(over))


def _over(over: list[KeyRecord]) -> str:
    return f'{counted(len(over), "key")} of sessions that are over not shown; "farthing keys list --all" shows them.'


@keys.command()
@click.argument("key", metavar="ID_OR_NAME", required=False, shell_complete=key_names)
@click.option("--all", "every", is_flag=True, help="Every key: after a leak, or when the pepper was lost.")
def revoke(key: str | None, every: bool) -> None:  # noqa: FBT001  (click's flag)
    """Make a key invalid, for good: a running server refuses it within a second."""
    from farthing.cli.books import change_keys  # noqa: PLC0415  (opens the database; not for --help)

    if (key is None) != every:
        raise click.UsageError("Name the key, or give --all alone.")
    revoked = change_keys(current_home(), lambda ring: _revoke(ring, key))
    for record in revoked:
        say(f"Revoked the key {record.name!r} ({record.id}).")
    if not revoked:
        say("No key counted any more.")


@keys.command()
@click.argument("key", metavar="ID_OR_NAME", shell_complete=key_names)
@click.argument("name", metavar="NEW_NAME")
def rename(key: str, name: str) -> None:
    """Give a key another name; what it spent before shows under the new one too."""
    from farthing.cli.books import change_keys  # noqa: PLC0415  (opens the database; not for --help)

    record = change_keys(current_home(), lambda ring: ring.rename(key, name))
    say(f"The key {record.id} is now called {record.name!r}.")


async def _revoke(ring: "KeyRing", key: str | None) -> list[KeyRecord]:
    """Revoke one key, or all where none is named; return those that were."""
    if key is not None:
        return [await ring.revoke(key)]
    return [await ring.revoke(record.id) for record in await ring.keys() if record.revoked_at_us is None]


def _day(at_us: int | None) -> str:
    return "" if at_us is None else moment(at_us)[:10]


def _as_data(record: KeyRecord) -> dict[str, str | int | None]:
    """Return a key for programs: everything but its digest."""
    return {name: getattr(record, name) for name in record.__struct_fields__ if name != "digest"}
