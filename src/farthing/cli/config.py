"""`farthing config check`: reads the settings as `serve` would, and starts nothing."""

import os

import click

from farthing.cli.context import current_home, current_settings, say
from farthing.cli.tables import Column, print_table


@click.group(name="config")
def config() -> None:
    """Read the settings and say what is wrong with them."""


@config.command()
def check() -> None:
    """Read settings.yaml and show which providers and names it gives; every mistake with its line."""
    from farthing.catalog.prices import price_book  # noqa: PLC0415  (--help must not pay for it)
    from farthing.cli.cautions import unknown_models, unused_addresses  # noqa: PLC0415
    from farthing.cli.providers import differences  # noqa: PLC0415
    from farthing.config.running import read_running  # noqa: PLC0415

    home = current_home()
    settings = current_settings(home)
    prices = price_book(settings.prices, home.prices)
    running = read_running(home)
    ports = {settings.server.port, *((running.port,) if running is not None else ())}
    for warning in (
        *settings.warnings,
        *unused_addresses(settings, os.environ, ports),
        *unknown_models(settings, prices),
    ):
        say(f"warning: {warning}")
    file = str(home.settings) if home.settings.exists() else f"no {home.settings}; defaults hold"
    say(f"settings: {file}")
    if not settings.providers:
        say("warning: no provider; name one under providers:, or set a key such as OPENAI_API_KEY.")
        for line in differences({}, running):
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
    say(
        f"Good: {_counted(len(settings.providers), 'provider')}, {_counted(len(settings.models), 'alias', 'aliases')},"
        f" {_counted(len(settings.prices), 'price')} of your own."
    )


def _counted(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
