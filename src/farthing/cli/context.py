"""What every command starts from: the home that was asked for, the settings in it, and how people are talked to.

Messages everywhere name commands as `"farthing costs"`. Whoever started from a checkout has no `farthing` on the PATH,
and whoever gave `--home` means that home in the next command too; so what is printed is put into the form that works
where it is read.
"""

import os
import re
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from farthing.config.paths import Home
    from farthing.config.schema import Settings
    from farthing.errors import ConfigError

HOME_KEY = "farthing.home"
"""Where `--home` is remembered in click's `Context.meta`, which a command shares with those above it."""


def current_home() -> "Home":
    """Return the home of this command line: `--home`, `FARTHING_HOME`, or the system's place.

    Raises:
        ConfigError: there is no such place.
    """
    from farthing.config.paths import find_home  # noqa: PLC0415  (--help must not pay for it)

    return find_home(click.get_current_context().meta.get(HOME_KEY), os.environ)


def existing_home() -> "Home":
    """Return the home of this command line, for commands that make no sense without one.

    Raises:
        ConfigError: there is no such place, or nothing is there.
    """
    home = current_home()
    if not home.path.exists():
        raise no_home(home)
    return home


def no_home(home: "Home") -> "ConfigError":
    """Return the error for a home that is not there: an empty table would look like an empty ledger."""
    from farthing.errors import ConfigError  # noqa: PLC0415  (--help must not pay for it)

    return ConfigError(
        f"There is no home at {str(home.path)!r}.",
        hint='the first "farthing serve" makes it; if yours is elsewhere, name it with --home or FARTHING_HOME.',
    )


def current_settings(home: "Home") -> "Settings":
    """Return the settings of a home, checked.

    Raises:
        ConfigError: with a line for each mistake.
    """
    from farthing.config.load import load_settings  # noqa: PLC0415  (reading commands do not need it)
    from farthing.providers.registry import known_providers  # noqa: PLC0415

    return load_settings(home.settings, known=known_providers(), environment=os.environ)


def say(message: str, *, as_it_stands: bool = False) -> None:
    """Talk to the person: on stderr, so that data on stdout can be piped.

    On a screen lines are broken between words, after 100 columns where it is wider; what is there to be copied is left
    `as_it_stands`. In a pipe a sentence stays one line, which programs search.
    """
    told = as_typed(message)
    if not as_it_stands and sys.stderr.isatty():
        from farthing.cli.tables import WIDEST, wrapped  # noqa: PLC0415  (--help must not pay for it)

        width = min(shutil.get_terminal_size().columns, WIDEST)
        told = "\n".join(line for said in told.split("\n") for line in wrapped(said, width, "  "))
    click.echo(told, err=True)


def as_typed(message: str) -> str:
    """Return a message with each command in quotes as it must be typed here: by its path, and with this home."""
    if not _COMMAND.search(message):
        return message
    context = click.get_current_context(silent=True)
    option = context.meta.get(HOME_KEY) if context is not None else None
    if option or os.environ.get("FARTHING_HOME"):
        from farthing.config.paths import find_home  # noqa: PLC0415  (--help must not pay for it)

        command = command_for(find_home(option, os.environ))
    else:
        command = program()
    return message if command == "farthing" else _COMMAND.sub(command.replace("\\", r"\\") + " ", message)


def command_for(home: "Home") -> str:
    """Return how `farthing` is called for a home from a terminal that was not told about it.

    The environment of a service names its home, and whoever reads what the service said has another one.
    """
    from farthing.config.paths import find_home  # noqa: PLC0415  (--help must not pay for it)
    from farthing.errors import ConfigError  # noqa: PLC0415

    untold = {name: value for name, value in os.environ.items() if name != "FARTHING_HOME"}
    try:
        if find_home(None, untold) == home:
            return program()
    except ConfigError:
        pass  # an account without a home of its own has none to leave out
    return f"{program()} --home {shlex.quote(str(home.path))}"


def program() -> str:
    """Return how `farthing` is called from where the person stands."""
    return _program(Path(sys.executable).parent, os.environ, Path.cwd())


_COMMAND = re.compile(r"""(?<=["'])farthing (?=[a-z])""")


def _program(folder: Path, environment: Mapping[str, str], here: Path) -> str:
    found = shutil.which("farthing", path=environment.get("PATH", ""))
    ours = shutil.which("farthing", path=str(folder))
    if ours is None:
        return "farthing" if found is not None else f"{shlex.quote(sys.executable)} -m farthing"
    if found is not None and Path(found).samefile(ours):
        return "farthing"
    path = Path(ours)
    if path.is_relative_to(here) and here != Path(here.anchor):  # a service's "/" is no place where anybody stands
        path = path.relative_to(here)
        return shlex.quote(str(path) if len(path.parts) > 1 else f".{os.sep}{path}")
    return shlex.quote(str(path))
