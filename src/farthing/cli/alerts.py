"""`farthing alerts`: what was told, to whom, and whether the channels work."""

import asyncio
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from farthing.cli.context import current_home, current_settings, existing_home, say
from farthing.cli.number import Number
from farthing.cli.tables import Column, counted, folded, moment, print_json, print_table
from farthing.errors import ConfigError, InvalidRequest

if TYPE_CHECKING:
    from farthing.config.schema import AlertChannelSettings
    from farthing.storage.protocols import Store
    from farthing.types.alerts import Told

_MOST = 10_000
"""Alerts that are listed at once; a quarter of a year of a busy gateway."""


@click.group()
def alerts() -> None:
    """What was told, to whom; try channels, and send again what none took."""


@alerts.command(name="list")
@click.option("--limit", type=Number(1, _MOST), default=20, show_default=True, help="How many, the youngest first.")
@click.option("--dead", is_flag=True, help="Only those that a channel never took.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_alerts(limit: int, dead: bool, as_json: bool) -> None:  # noqa: FBT001  (click's flags)
    """List alerts, the youngest first."""
    from farthing.cli.books import read_store  # noqa: PLC0415  (opens the database; not for --help)
    from farthing.monitoring.notify.words import message_of  # noqa: PLC0415

    found = read_store(current_home(), lambda store: _told(store, limit, dead=dead))
    if as_json:
        print_json([_as_data(one) for one in found])
        return
    if not found:
        say("Every alert was taken." if dead else "Nothing was told yet.")
        return
    for one in found:
        message = message_of(one.fact)
        click.echo(f"{moment(one.fact.at_us)}  {click.style(message.title, bold=True)}")
        first, _, more = message.text.partition("\n")  # a report has more lines; --json has them all
        for line in (*folded(first + (" ..." if more else ""), indent=2), *folded(_where(one), indent=2)):
            click.echo(f"  {line}")
    if any(standing.state == "dead" for one in found for standing in one.deliveries):
        say('"farthing alerts retry --all" sends again what no channel took.')


@alerts.command()
@click.argument("channel", required=False)
def test(channel: str | None) -> None:
    """Send a test message to the channels of the settings, or to one."""
    home = existing_home()
    settings = current_settings(home).alerts.channels
    chosen = [one for one in settings if channel in (None, one.name)]
    if not chosen:
        known = ", ".join(one.name for one in settings) or "none"
        raise ConfigError(
            f"There is no channel {channel!r}; the settings have: {known}." if channel else "There is no channel yet.",
            hint="channels stand in settings.yaml, under alerts.channels; "
            "\"farthing config set alerts.channels.me '{kind: webhook, url: env:MY_WEBHOOK}'\" makes one.",
        )
    failed = 0
    rows = []
    for one, error in zip(chosen, asyncio.run(_try(chosen)), strict=True):
        rows.append([one.name, one.kind, "taken" if error is None else error])
        failed += error is not None
    print_table([Column("CHANNEL", "left"), Column("KIND", "left"), Column("TEST MESSAGE", "left")], rows)
    if failed:
        raise ConfigError(f"{counted(failed, 'channel')} did not take it.", hint="what was said is in the table.")


@alerts.command()
@click.argument("alert", metavar="ID", required=False)
@click.option("--all", "every", is_flag=True, help="Every alert that a channel never took.")
def retry(alert: str | None, every: bool) -> None:  # noqa: FBT001  (click's flag)
    """Send again what a channel never took; the gateway does it when it runs."""
    from farthing.cli.books import change_store  # noqa: PLC0415  (opens the database; not for --help)
    from farthing.clock import SystemClock  # noqa: PLC0415

    if (alert is None) != every:
        raise click.UsageError("Name the alert, or give --all alone.")
    now_us = SystemClock().now_us()

    async def run(store: "Store") -> int:
        return await store.alerts.retry(None if alert is None else await _found(store, alert), now_us)

    again = change_store(current_home(), run)
    say(f"{counted(again, 'delivery', 'deliveries')} will be tried again." if again else "There was none to try again.")


async def _told(store: "Store", limit: int, *, dead: bool) -> "list[Told]":
    """Return what was told, the youngest first, with keys by their names."""
    import msgspec  # noqa: PLC0415  (--help must not pay for it)

    from farthing.monitoring.notify.key_names import with_key_names  # noqa: PLC0415

    found = await store.alerts.told(limit, dead_only=dead)
    facts = await with_key_names(store, [one.fact for one in found])
    return [msgspec.structs.replace(one, fact=fact) for one, fact in zip(found, facts, strict=True)]


async def _found(store: "Store", prefix: str) -> str:
    ids = await store.alerts.fact_ids(prefix, 2)
    if len(ids) != 1:
        why = "There is no alert" if not ids else "More than one alert begins with"
        raise InvalidRequest(f"{why} {prefix!r}.", hint='run "farthing alerts list --json".')
    return ids[0]


async def _try(channels: "Sequence[AlertChannelSettings]") -> list[str | None]:
    """Return for each channel what was wrong, or nothing."""
    from farthing.clock import SystemClock  # noqa: PLC0415  (what sends; not for --help)
    from farthing.monitoring.notify.channel import Message  # noqa: PLC0415
    from farthing.monitoring.notify.channels import make_channel  # noqa: PLC0415
    from farthing.providers.pool import Dialer, Pool, Poster, Proxies  # noqa: PLC0415
    from farthing.storage.offload import ThreadOffload  # noqa: PLC0415
    from farthing.types.identity import IdSource  # noqa: PLC0415

    clock, offload, pool = SystemClock(), ThreadOffload("farthing-alerts"), Pool(connect=Dialer(Proxies(os.environ)))
    message = Message(IdSource(clock, os.urandom).new("test"), "A test", "This channel works.", clock.now_us())
    try:
        outcomes = []
        for one in channels:
            channel = make_channel(one, os.environ, post=Poster(pool), offload=offload, clock=clock)
            outcomes.append(await channel.send(message))
        return [outcome.error for outcome in outcomes]
    finally:
        await pool.close()
        await offload.close()


def _where(told: "Told") -> str:
    """Return in words where an alert went, and its id."""
    if not told.routed:
        where = "waits for a gateway to send it"
    elif not told.deliveries:
        where = "no channel wants it"
    else:
        where = "; ".join(
            f"{one.channel}: {one.state}" + (f", {one.error}" if one.error else "") for one in told.deliveries
        )
    return f"{told.fact.id[:18]}  {where}"


def _as_data(told: "Told") -> dict[str, Any]:
    import msgspec  # noqa: PLC0415  (--help must not pay for it)

    from farthing.monitoring.notify.webhook import as_data  # noqa: PLC0415
    from farthing.monitoring.notify.words import message_of  # noqa: PLC0415

    return {
        **as_data(message_of(told.fact)),
        "routed": told.routed,
        "deliveries": [msgspec.structs.asdict(one) for one in told.deliveries],
    }
