"""`farthing config`: what the settings say, what is wrong with them, and changing one; `check` starts nothing."""

import os
from typing import TYPE_CHECKING

import click

from farthing.cli.config_change import set_value, unset
from farthing.cli.config_show import schema, show
from farthing.cli.context import current_home, current_settings, say
from farthing.cli.tables import Column, counted, print_table

if TYPE_CHECKING:
    from farthing.config.running import Running


@click.group(name="config")
def config() -> None:
    """Read the settings, say what is wrong with them, and change one."""


config.add_command(show)
config.add_command(set_value)
config.add_command(unset)
config.add_command(schema)


@config.command()
def check() -> None:
    """Read settings.yaml and show which providers and names it gives; every mistake with its line."""
    from farthing.catalog.prices import price_book  # noqa: PLC0415  (--help must not pay for it)
    from farthing.cli.cautions import unknown_models, unused_addresses  # noqa: PLC0415
    from farthing.cli.providers import differences  # noqa: PLC0415
    from farthing.config.problems import CHECK_AGAIN  # noqa: PLC0415
    from farthing.config.running import read_running  # noqa: PLC0415
    from farthing.errors import ConfigError  # noqa: PLC0415

    home = current_home()
    running = read_running(home)
    try:
        settings = current_settings(home)
    except ConfigError as error:
        if running is not None:
            say(f"The running gateway (pid {running.pid}) goes on with the settings that it had.")
        if error.hint == CHECK_AGAIN:  # that is what is being done
            raise ConfigError(error.message, hint="mend that in the file; nothing was started or changed.") from error
        raise
    prices = price_book(settings.prices, home.prices)
    ports = {settings.server.port, *((running.port,) if running is not None else ())}
    for warning in (
        *settings.warnings,
        *unused_addresses(settings, os.environ, ports),
        *unknown_models(settings, prices),
    ):
        say(f"warning: {warning}")
    file = str(home.settings) if home.settings.exists() else f"no {home.settings}; defaults hold"
    say(f"settings: {file}")
    _tell_running(running)
    if not settings.providers:
        say("warning: no provider; name one under providers:, or set a key such as OPENAI_API_KEY.")
        for line in differences({}, running, home, named=False):
            say(line)
        return
    print_table(
        [
            Column("PROVIDER", "left"),
            Column("KIND", "left"),
            Column("CREDENTIAL", "left"),
            Column("ADDRESS", "left"),
        ],
        [
            (provider.name, provider.kind, str(provider.credential), provider.base_url)
            for provider in settings.providers.values()
        ],
    )
    for alias, model in settings.models.items():
        click.echo(f"{alias} = {model}")
    for name, router in settings.routers.items():
        click.echo(f"{name} = {router.strategy} of {', '.join(map(str, router.models))}")
    rules = [
        *([counted(len(settings.routers), "router")] if settings.routers else []),
        *([counted(len(settings.budgets), "budget")] if settings.budgets else []),
        *([counted(len(settings.limits), "limit")] if settings.limits else []),
        *([counted(len(settings.alerts.channels), "channel") + " of alerts"] if settings.alerts.channels else []),
    ]
    say(
        f"Good: {counted(len(settings.providers), 'provider')}, {counted(len(settings.models), 'alias', 'aliases')},"
        f" {', '.join([counted(len(settings.prices), 'price') + ' of your own', *rules])}."
    )


def _tell_running(running: "Running | None") -> None:
    """Say what a running gateway did not take up of the file when it looked last."""
    if running is None:
        return
    gateway = f"the running gateway (pid {running.pid})"
    if running.settings.problem is not None:
        say(f"warning: {gateway} did not take the file up as it was when it looked: {running.settings.problem}")
    for waiting in running.settings.needs_restart:
        say(f"warning: {gateway}: {waiting}")
