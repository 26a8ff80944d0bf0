"""`farthing config set` and `unset`: change one setting, checked before it is saved; comments stay."""

from typing import TYPE_CHECKING

import click

from farthing.cli.complete import paths_in_the_file, setting_paths, setting_values
from farthing.cli.context import current_home, say

if TYPE_CHECKING:
    from collections.abc import Callable

    from farthing.config.edit import SettingsFile
    from farthing.config.paths import Home
    from farthing.config.schema import Settings

    Change = Callable[[SettingsFile], tuple[Settings, Settings]]


# A value may begin with a minus; so what is no option of ours is taken for one.
@click.command(name="set", context_settings={"ignore_unknown_options": True})
@click.argument("path", shell_complete=setting_paths)
@click.argument("value", shell_complete=setting_values)
def set_value(path: str, value: str) -> None:
    """Give the setting at PATH this VALUE in settings.yaml, after checking that it may have it.

    PATH is as "farthing config show" prints it. A budget, a limit or a channel of alerts is made whole, as a mapping in
    braces. The rest of the file stays as it is, comments too; what it said is kept
    beside it (.bak, ten changes back). A running gateway takes the change up within two seconds.
    """
    from farthing.config.edit import set_setting  # noqa: PLC0415  (--help must not pay for it)

    home = current_home()
    is_new = not home.path.exists()
    home.create()
    before, after = _change(home, lambda file: set_setting(file, path, value))
    say(f"Set {path} to {value!r} in {home.settings}.")
    if is_new:
        say(f"The home {home.path} was made for it.")
    _tell(home, before, after)


@click.command(epilog="\b\nExamples:\n  farthing config unset server.port\n  farthing config unset models.fast")
@click.argument("path", shell_complete=paths_in_the_file)
def unset(path: str) -> None:
    """Take the setting at PATH out of settings.yaml, so that its default holds."""
    from farthing.cli.context import existing_home  # noqa: PLC0415  (--help must not pay for it)
    from farthing.config.edit import unset_setting  # noqa: PLC0415

    home = existing_home()
    before, after = _change(home, lambda file: unset_setting(file, path))
    say(f"Took {path} out of {home.settings}.")
    _tell(home, before, after)


def _change(home: "Home", change: "Change") -> "tuple[Settings, Settings]":
    from farthing.cli.config_audit import written_down  # noqa: PLC0415  (--help must not pay for it)
    from farthing.cli.config_file import settings_file  # noqa: PLC0415

    return written_down(home, lambda: change(settings_file(home)))


def _tell(home: "Home", before: "Settings", after: "Settings") -> None:
    """Say what follows from a change: new warnings, providers that are left out, what waits for a restart."""
    from farthing.cli.providers import tell_left_out  # noqa: PLC0415  (--help must not pay for it)
    from farthing.config.changes import needs_restart  # noqa: PLC0415
    from farthing.config.running import read_running  # noqa: PLC0415

    known = {warning.partition(": ")[2] for warning in before.warnings}
    for warning in after.warnings:
        if warning.partition(": ")[2] not in known:
            say(f"warning: {warning}")
    running = read_running(home)
    tell_left_out(before, after, running)
    if running is None:
        return
    told = [name.removeprefix("server.") for name in running.settings.told]
    for waiting in needs_restart(running.settings.started or before.server, after.server, told):
        say(f"The running gateway (pid {running.pid}): {waiting}.")
