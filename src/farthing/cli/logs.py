"""`farthing logs`: what the running gateway writes, while it runs."""

import click

from farthing.cli.context import current_settings, existing_home, say

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
    from farthing.config.running import read_running  # noqa: PLC0415 (--help must not pay for it)
    from farthing.errors import ConfigError  # noqa: PLC0415
    from farthing.monitoring.logs import as_level  # noqa: PLC0415
    from farthing.monitoring.watch import level_file, read_level, write_level  # noqa: PLC0415

    home = existing_home()
    path = level_file(home)
    running = read_running(home)
    if level is None:
        asked = read_level(path) if running is not None else None
        click.echo(asked or current_settings(home).log.level)
        return
    if running is None:
        raise ConfigError(
            f"No gateway serves the home {str(home.path)!r} now.",
            hint="set log.level in settings.yaml for the next start.",
        )
    try:
        write_level(path, as_level(level))
    except OSError as error:
        raise ConfigError(f"{str(path)!r} cannot be written: {error.strerror or error}.") from error
    now = as_level(level) or current_settings(home).log.level
    say(f"the gateway (pid {running.pid}) writes from this level on: {now}")
