"""What every command starts from: the home that was asked for, and the settings in it."""

import os
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from farthing.config.paths import Home
    from farthing.config.schema import Settings

HOME_KEY = "farthing.home"
"""Where `--home` is remembered in click's `Context.meta`, which a command shares with those above it."""


def current_home() -> "Home":
    """Return the home of this command line: `--home`, `FARTHING_HOME`, or the system's place.

    Raises:
        ConfigError: there is no such place.
    """
    from farthing.config.paths import find_home  # noqa: PLC0415  (--help must not pay for it)

    return find_home(click.get_current_context().meta.get(HOME_KEY), os.environ)


def current_settings(home: "Home") -> "Settings":
    """Return the settings of a home, checked.

    Raises:
        ConfigError: with a line for each mistake.
    """
    from farthing.config.load import load_settings  # noqa: PLC0415  (reading commands do not need it)
    from farthing.providers.registry import known_providers  # noqa: PLC0415

    return load_settings(home.settings, known=known_providers(), environment=os.environ)


def say(message: str) -> None:
    """Talk to the person: on stderr, so that data on stdout can be piped."""
    click.echo(message, err=True)
