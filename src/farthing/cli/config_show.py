"""`farthing config show` and `schema`: what holds, where it comes from, and what an editor needs to know."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from farthing.cli.context import HOME_KEY, current_home, say

if TYPE_CHECKING:
    from farthing.config.origins import Shown
    from farthing.config.paths import Home
    from farthing.config.running import Running


@click.command()
@click.argument("path", required=False)
@click.option("--origin", is_flag=True, help="Say for each value where it comes from.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def show(ctx: click.Context, path: str | None, origin: bool, as_json: bool) -> None:  # noqa: FBT001  (click's flags)
    """Show every setting that holds, or those at PATH: from the file, the environment, a default, a command line.

    Credentials are shown by their place, never themselves.
    """
    from farthing.cli.tables import Column, print_json, print_table, printable  # noqa: PLC0415  (not for --help)
    from farthing.config.running import read_running  # noqa: PLC0415

    home = current_home()
    running = read_running(home)
    rows = [row for row in _rows(home, running, ctx.meta.get(HOME_KEY)) if path is None or _is_at(row.path, path)]
    if not rows:
        raise _unknown(str(path))
    if as_json:
        print_json([{"path": row.path, "value": row.value, "origin": row.origin} for row in rows])
    elif origin:
        columns = [Column("SETTING", "left"), Column("VALUE", "left"), Column("ORIGIN", "left")]
        print_table(columns, [(row.path, row.value, row.origin) for row in rows])
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


def _rows(home: "Home", running: "Running | None", option: str | None) -> "list[Shown]":
    from farthing.cli.config_file import settings_to_serve  # noqa: PLC0415  (--help must not pay for it)
    from farthing.config.load import read_tree  # noqa: PLC0415
    from farthing.config.origins import Origins, Shown  # noqa: PLC0415
    from farthing.config.problems import Problems  # noqa: PLC0415
    from farthing.providers.registry import known_providers  # noqa: PLC0415

    settings = settings_to_serve(home)
    root = read_tree(home.settings, Problems(str(home.settings)))
    told: Mapping[str, Shown] = {}
    if running is not None:
        where = f"command line of the running gateway (pid {running.pid})"
        told = {path: Shown(path, value, where) for path, value in running.settings.told.items()}
    from_option = "command line" if option else "environment FARTHING_HOME" if _home_variable() else "default"
    origins = Origins(root, home.settings.name, known_providers(), told)
    return [Shown("home", str(home.path), from_option), *origins.of(settings)]


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
