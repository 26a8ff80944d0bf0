"""`farthing logs`: what the running gateway writes, while it runs."""

from typing import TYPE_CHECKING

import click

from farthing.cli.context import current_home, current_settings, say

if TYPE_CHECKING:
    from farthing.config.paths import Home

_LEVELS = ("debug", "info", "warning", "error")


@click.group()
def logs() -> None:
    """See and change from which level on the running gateway writes log lines."""


@logs.command()
@click.argument("level", required=False, type=click.Choice([*_LEVELS, "settings"]))
def level(level: str | None) -> None:
    """Show the level, or change it within a second; 'settings' goes back to log.level in settings.yaml.

    The next start goes back by itself.
    """
    from farthing.config.home_files import way_out  # noqa: PLC0415
    from farthing.config.running import read_running  # noqa: PLC0415 (--help must not pay for it)
    from farthing.errors import ConfigError  # noqa: PLC0415
    from farthing.monitoring.logs import as_level  # noqa: PLC0415
    from farthing.monitoring.watch import level_file, read_level, write_level  # noqa: PLC0415

    home = current_home()
    home.recognise()
    path = level_file(home)
    running = read_running(home)
    if level is None:
        asked = read_level(path) if running is not None else None
        told = asked or _level_of_settings(home)
        click.echo(told or "settings")
        if told is None:
            say("settings.yaml is wrong just now, so what it says of the level is not shown.")
        return
    if running is None:
        raise ConfigError(
            f"No gateway serves the home {str(home.path)!r} now.",
            hint="set log.level in settings.yaml for the next start.",
        )
    try:
        write_level(path, as_level(level))
    except OSError as error:
        raise ConfigError(
            f"{str(path)!r} cannot be written: {error.strerror or error}.", hint=way_out(error, home.path)
        ) from error
    now = as_level(level) or _level_of_settings(home) or "what log.level said when settings.yaml was last right"
    say(f"the gateway (pid {running.pid}) writes from this level on: {now}")


def _level_of_settings(home: "Home") -> str | None:
    """Return log.level, `None` while the file is wrong: the gateway goes on with what it said before."""
    from farthing.errors import ConfigError  # noqa: PLC0415 (--help must not pay for it)

    try:
        return current_settings(home).log.level
    except ConfigError:
        return None
