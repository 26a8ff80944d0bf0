"""`farthing config show` and `schema`: what holds, where it comes from, and what an editor needs to know."""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from farthing.cli.complete import setting_paths
from farthing.cli.context import HOME_KEY, current_home, say

if TYPE_CHECKING:
    from farthing.config.origins import Shown
    from farthing.config.paths import Home
    from farthing.config.running import Running


@click.command()
@click.argument("path", required=False, shell_complete=setting_paths)
@click.option("--origin", is_flag=True, help="Say for each value where it comes from.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def show(ctx: click.Context, path: str | None, origin: bool, as_json: bool) -> None:  # noqa: FBT001  (click's flags)
    """Show every setting that holds, or those at PATH: from the file, the environment, a default, a command line.

    Credentials are shown by their place, never themselves.
    """
    from farthing.cli.tables import print_json, printable  # noqa: PLC0415  (not for --help)
    from farthing.config.running import read_running  # noqa: PLC0415

    home = current_home()
    running = read_running(home)
    rows = [row for row in _rows(home, running, ctx.meta.get(HOME_KEY)) if path is None or _is_at(row.path, path)]
    if not rows:
        raise _unknown(str(path))
    if as_json:
        print_json([{"path": row.path, "value": row.plain, "origin": row.origin} for row in rows])
    elif origin:
        _print_with_origins(rows)
    elif path is not None and [row.path for row in rows] == [path]:
        click.echo(printable(rows[0].value))
    else:
        for row in rows:
            click.echo(f"{row.path}: {printable(row.value)}")
    if running is not None and running.settings.problem is not None:
        say(f"warning: the running gateway (pid {running.pid}) still uses what the file said before.")


@click.command()
def schema() -> None:
    """Print the JSON Schema of settings.yaml, for editors that complete and check YAML.

    "farthing serve" writes the same as settings.schema.json into the home, where the first line of settings.yaml names
    it.
    """
    from farthing.cli.tables import print_json  # noqa: PLC0415  (--help must not pay for it)
    from farthing.config.json_schema import settings_schema  # noqa: PLC0415
    from farthing.providers.registry import known_providers  # noqa: PLC0415

    print_json(settings_schema(known_providers()))


def _print_with_origins(rows: "Sequence[Shown]") -> None:
    """Print each setting with where it is from; the value stands last, because no other column can be long.

    On a screen that is too narrow for three columns the origin stands at the right, below what leaves it no room.
    """
    from farthing.cli.tables import Column, fits, print_table, printable, screen_width  # noqa: PLC0415

    columns = [Column("SETTING", "left"), Column("ORIGIN", "left"), Column("VALUE", "left")]
    table = [(row.path, row.origin, row.value) for row in rows]
    room = screen_width()
    short = [row for row in table if len(row[2]) <= _LONG]
    if room is None or fits(columns, short):
        print_table(columns, table, width=room and _NO_LIMIT)
        return
    at = max(room - max(len(where) for _, where, _ in table), _LEAST)
    for path, where, value in table:
        told = printable(f"{path}: {value}")
        if len(told) + 2 > at:
            click.echo(told)
            told = ""
        click.echo(f"{told:<{at}}{where}")


_NO_LIMIT = 10_000
_LEAST = 20
_LONG = 40
"""An address; only that of the price list is longer, and stands at the end of its line, where that does no harm."""


def _rows(home: "Home", running: "Running | None", option: str | None) -> "list[Shown]":
    from farthing.cli.books import settings_that_hold  # noqa: PLC0415  (--help must not pay for it)
    from farthing.cli.config_file import with_found  # noqa: PLC0415
    from farthing.config.load import read_tree  # noqa: PLC0415
    from farthing.config.origins import Origins, Shown  # noqa: PLC0415
    from farthing.config.problems import Problems  # noqa: PLC0415
    from farthing.providers.registry import known_providers  # noqa: PLC0415

    settings, stored = settings_that_hold(home)
    settings = with_found(settings)
    root = read_tree(home.settings, Problems(str(home.settings)))
    told: Mapping[str, Shown] = {}
    if running is not None:
        where = f"command line of pid {running.pid}"
        told = {
            path: Shown(path, value, where, int(value) if path == "server.port" else value)
            for path, value in running.settings.told.items()
        }
    from_option = "command line" if option else "environment FARTHING_HOME" if _home_variable() else "default"
    origins = Origins(root, home.settings.name, known_providers(), told, stored)
    return [Shown("home", str(home.path), from_option, str(home.path)), *origins.of(settings)]


def _home_variable() -> bool:
    return bool(os.environ.get("FARTHING_HOME"))


def _is_at(path: str, asked: str) -> bool:
    return path == asked or path.startswith((f"{asked}.", f"{asked}["))


def _unknown(path: str) -> Exception:
    from farthing.config.problems import quoted  # noqa: PLC0415  (--help must not pay for it)
    from farthing.errors import ConfigError  # noqa: PLC0415

    return ConfigError(
        f"Nothing holds at {quoted(path)}.", hint='"farthing config show" lists every setting that has a value.'
    )
