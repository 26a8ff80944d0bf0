"""`farthing doctor`: what was found, what is missing, what to do."""

import os
from typing import TYPE_CHECKING

import click

from farthing.cli.context import current_home, current_settings, say
from farthing.cli.tables import print_json, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from farthing.cli.checks import Found
    from farthing.config.paths import Home

_MARKS = {"ok": ("ok", "green"), "warning": ("warning", "yellow"), "problem": ("PROBLEM", "red")}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:  # noqa: FBT001  (click's flag)
    """Look at home, settings, providers, port, database, disk and clock; say what to do. Ends with 1 on a problem.

    Nothing is changed, and no provider is called: "farthing providers test" does that.
    """
    found = list(_look(current_home()))
    if as_json:
        print_json([{field: getattr(one, field) for field in one.__struct_fields__} for one in found])
    else:
        width = max(len(one.what) for one in found)
        for one in found:
            mark, colour = _MARKS[one.level]
            first, *rest = one.message.splitlines()
            click.echo(f"{click.style(f'{mark:<7}', fg=colour)}  {printable(one.what):<{width}}  {printable(first)}")
            for line in (*rest, *((f"-> {one.hint}",) if one.hint else ())):
                click.echo(f"{'':<7}  {'':<{width}}  {printable(line)}")
    problems = sum(one.level == "problem" for one in found)
    warnings = sum(one.level == "warning" for one in found)
    say(_summary(problems, warnings))
    if problems:
        ctx.exit(1)


def _look(home: "Home") -> "Iterator[Found]":
    from farthing.cli import checks  # noqa: PLC0415  (--help must not pay for it)
    from farthing.clock import SystemClock  # noqa: PLC0415
    from farthing.config.schema import ServerSettings  # noqa: PLC0415
    from farthing.errors import ConfigError  # noqa: PLC0415
    from farthing.providers.registry import known_providers  # noqa: PLC0415

    server = ServerSettings()
    yield from checks.check_home(home)
    try:
        settings = current_settings(home)
    except ConfigError as error:
        yield checks.Found("problem", "settings", error.message, error.hint)
    else:
        server = settings.server
        told = str(home.settings) if home.settings.exists() else f"no {home.settings}; defaults hold"
        yield checks.Found("ok", "settings", told)
        # What is missing with a provider is told with the provider, and not again as what the settings warn of.
        for warning in settings.warnings:
            if "the environment variable" not in warning:
                yield checks.Found("warning", "settings", warning)
        yield from checks.check_providers(settings)
        yield from checks.check_environment(settings, known_providers(), os.environ)
        yield from checks.check_ollama(settings, os.environ)
    yield from checks.check_port(home, server)
    yield from checks.check_database(home)
    yield from checks.check_journal(home)
    yield from checks.check_room(home)
    yield from checks.check_clock(home, SystemClock().now_us())
    yield from checks.check_open_files(server)


def _summary(problems: int, warnings: int) -> str:
    if not problems and not warnings:
        return "All is well."
    told = [
        f"{number} {noun}{'' if number == 1 else 's'}"
        for number, noun in ((problems, "problem"), (warnings, "warning"))
        if number
    ]
    return f"{' and '.join(told)}; what to do stands below each."
