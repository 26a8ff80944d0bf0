"""The commands of `farthing keys` that change a key which is there. A running gateway follows within a second."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from farthing.cli.complete import key_names
from farthing.cli.context import current_home, say
from farthing.cli.key_options import KeyOptions, key_options, say_of_unknown
from farthing.cli.since import Ahead, Span
from farthing.cli.tables import moment, print_json
from farthing.storage.protocols import KeyRecord, Store

if TYPE_CHECKING:
    from farthing.auth import KeyRing

T = TypeVar("T")

_named = click.argument("key", metavar="ID_OR_NAME", shell_complete=key_names)


@click.command()
@_named
@key_options
@click.option("--any-model", is_flag=True, help="Allow every model again.")
@click.option("--any-format", is_flag=True, help="Allow clients of every format again.")
def edit(key: str, any_model: bool, any_format: bool, **options: Any) -> None:  # noqa: FBT001  (click's flags)
    """Change what a key says of its calls from now on, and what it may be used for.

    An empty text takes away what is there.
    """
    fields = KeyOptions(**options).fields()
    if any_model:
        fields["models"] = ()
    if any_format:
        fields["faces"] = ()
    if not fields:
        raise click.UsageError("Say what to change.")
    record = _change(lambda ring: ring.change(key, **fields))
    say(f"Changed the key {record.name!r} ({record.id}).")
    say_of_unknown(fields)


@click.command()
@_named
@click.argument("name", metavar="NEW_NAME")
def rename(key: str, name: str) -> None:
    """Give a key another name; what it spent before shows under the new one too."""
    record = _change(lambda ring: ring.rename(key, name))
    say(f"The key {record.id} is now called {record.name!r}.")


@click.command()
@_named
@click.option("--grace", type=Span(), default="24h", show_default=True, help="How long the old one is taken too, or 0.")
@click.option("--json", "as_json", is_flag=True, help='Print {"id", "name", "key", "old_key_until_us"}.')
def rotate(key: str, grace: int, as_json: bool) -> None:  # noqa: FBT001  (click's flag)
    """Make a new key in the place of one, with its id, name and all; print it: on stdout, this once."""
    from farthing.cli.books import rotate_key  # noqa: PLC0415  (opens the database; not for --help)

    record, secret = rotate_key(current_home(), lambda ring: ring.rotate(key, grace_s=grace))
    until_us = record.old_secrets[0].ends_at_us
    if as_json:
        told = {"id": record.id, "name": record.name, "key": secret.reveal(), "old_key_until_us": until_us}
        print_json(told)
        return
    click.echo(secret.reveal())
    old = f"The old one is taken until {moment(until_us)} UTC." if grace else "The old one is not taken any more."
    say(f"The new key {record.name!r} ({record.id}). Keep it: it is not shown again. {old}")


@click.command()
@_named
def enable(key: str) -> None:
    """Take a disabled key again."""
    record = _change(lambda ring: ring.enable(key))
    say(f"Enabled the key {record.name!r} ({record.id}).")


@click.command()
@_named
def disable(key: str) -> None:
    """Refuse a key until it is enabled again."""
    record = _change(lambda ring: ring.disable(key))
    say(f"Disabled the key {record.name!r} ({record.id}).")


@click.command()
@_named
@click.option("--at", type=Ahead(), help="When it ends: 30d, 12h, 2027-01-31 (UTC).")
@click.option("--now", is_flag=True, help="It ends now.")
@click.option("--never", is_flag=True, help="It does not end by itself.")
def expire(key: str, at: int | None, now: bool, never: bool) -> None:  # noqa: FBT001  (click's flags)
    """Say when a key ends by itself, or that it does not."""
    from farthing.clock import SystemClock  # noqa: PLC0415  (not for --help)

    if (at is not None) + now + never != 1:
        raise click.UsageError("Say one of --at, --now and --never.")
    at_us = SystemClock().now_us() if now else at
    record = _change(lambda ring: ring.expire(key, at_us))
    if record.expires_at_us is None:
        say(f"The key {record.name!r} ({record.id}) does not end by itself.")
    else:
        ends = "ended" if now else "ends"
        say(f"The key {record.name!r} ({record.id}) {ends} at {moment(record.expires_at_us)} UTC.")


@click.command()
@click.argument("key", metavar="ID_OR_NAME", required=False, shell_complete=key_names)
@click.option("--all", "every", is_flag=True, help="Every key: after a leak, or when the pepper was lost.")
def revoke(key: str | None, every: bool) -> None:  # noqa: FBT001  (click's flag)
    """Make a key invalid, for good: a running server refuses it within a second."""
    if (key is None) != every:
        raise click.UsageError("Name the key, or give --all alone.")
    revoked = _change(lambda ring: _revoke(ring, key))
    for record in revoked:
        say(f"Revoked the key {record.name!r} ({record.id}).")
    if not revoked:
        say("No key counted any more.")


@click.command()
@_named
def delete(key: str) -> None:
    """Forget a key; what it spent stays under its name. The name is free again.

    Budgets and limits that are about it alone go with it.
    """
    from farthing.cli.books import change_store  # noqa: PLC0415  (opens the database; not for --help)

    record = _change(lambda ring: ring.delete(key))
    gone = change_store(current_home(), lambda store: _forget_rules(store, record.id))
    more = f", and what was about it alone: {', '.join(gone)}" if gone else ""
    say(f"Deleted the key {record.name!r} ({record.id}){more}.")


async def _forget_rules(store: Store, key_id: str) -> list[str]:
    """Remove budgets and limits of one key, but for those of the settings; return what they were called."""
    gone = []
    for budget in await store.budgets.all():
        if budget.own_of(key_id):
            await store.budgets.remove(budget.id)
            gone.append(f"the budget {budget.name!r}")
    for limit in await store.limits.all():
        if limit.own_of(key_id):
            await store.limits.remove(limit.id)
            gone.append(f"the limit {limit.name!r}")
    return gone


async def _revoke(ring: "KeyRing", key: str | None) -> list[KeyRecord]:
    """Revoke one key, or all where none is named; return those that were."""
    if key is not None:
        return [await ring.revoke(key)]
    return [await ring.revoke(record.id) for record in await ring.keys() if record.revoked_at_us is None]


def _change(work: "Callable[[KeyRing], Awaitable[T]]") -> T:
    from farthing.cli.books import change_keys  # noqa: PLC0415  (opens the database; not for --help)

    return change_keys(current_home(), work)
