"""`farthing doctor`: what was found, what is missing, what to do."""

import os
from typing import TYPE_CHECKING

import click

from farthing.cli.context import as_typed, current_home, current_settings, say
from farthing.cli.number import Number
from farthing.cli.tables import counted, folded, print_json, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from farthing.cli.checks import Found
    from farthing.config.paths import Home
    from farthing.config.running import Running
    from farthing.config.schema import Settings

_MARKS = {"ok": ("ok", "green"), "warning": ("warning", "yellow"), "problem": ("PROBLEM", "red")}
_MARK_WIDTH = max(len(mark) for mark, _ in _MARKS.values())


@click.command()
@click.option("--port", type=Number(1, 65_535), help="The port that is to be free, instead of server.port.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def doctor(ctx: click.Context, port: int | None, as_json: bool) -> None:  # noqa: FBT001  (click's flag)
    """Look at home, settings, providers, port, database, disk and clock; say what to do. Ends with 1 on a problem.

    Nothing is changed, and no provider is called: "farthing providers test" does that. Keys are looked for in the
    environment of this terminal; where a gateway runs, what it has found in its own is told too.
    """
    found = list(_look(current_home(), port))
    if as_json:
        print_json([{field: getattr(one, field) for field in one.__struct_fields__} for one in found])
    else:
        _print(found)
    problems = sum(one.level == "problem" for one in found)
    warnings = sum(one.level == "warning" for one in found)
    say(_summary(problems, warnings))
    if problems:
        ctx.exit(1)


def _print(found: "Sequence[Found]") -> None:
    width = max(len(one.what) for one in found)
    indent = _MARK_WIDTH + width + 4
    for one in found:
        mark, colour = _MARKS[one.level]
        lines = [line for told in one.message.splitlines() for line in folded(printable(told), indent=indent)]
        if one.hint:
            first, *rest = folded(printable(as_typed(one.hint)), indent=indent + 3)
            lines += [f"-> {first}", *(f"   {line}" for line in rest)]
        first, *rest = lines
        click.echo(f"{click.style(f'{mark:<{_MARK_WIDTH}}', fg=colour)}  {printable(one.what):<{width}}  {first}")
        for line in rest:
            click.echo(f"{'':<{indent}}{line}")


def _look(home: "Home", port: int | None) -> "Iterator[Found]":
    from farthing.cli import checks, home_checks  # noqa: PLC0415  (--help must not pay for it)
    from farthing.cli.config_checks import check_taken_up  # noqa: PLC0415
    from farthing.clock import SystemClock  # noqa: PLC0415
    from farthing.config.running import read_running  # noqa: PLC0415
    from farthing.config.schema import ServerSettings  # noqa: PLC0415
    from farthing.errors import ConfigError  # noqa: PLC0415

    server, running = ServerSettings(), read_running(home)
    wrong: str | None = None
    yield from home_checks.check_home(home)
    if home_checks.is_closed(home):
        return
    try:
        settings = current_settings(home)
    except ConfigError as error:
        wrong = error.message
        yield checks.Found("problem", "settings", error.message, error.hint)
    else:
        server = settings.server
        told = str(home.settings) if home.settings.exists() else f"no {home.settings}; defaults hold"
        yield checks.Found("ok", "settings", told)
        yield from _look_at_settings(home, settings, running)
    yield from check_taken_up(running, wrong)
    yield from checks.check_port(home, server, running, port)
    yield from home_checks.check_database(home)
    yield from home_checks.check_pepper(home)
    yield from home_checks.check_admin(os.environ)
    yield from home_checks.check_journal(home)
    yield from checks.check_room(home)
    yield from checks.check_clock(home, SystemClock().now_us())
    yield from checks.check_open_files(server)


def _look_at_settings(home: "Home", settings: "Settings", running: "Running | None") -> "Iterator[Found]":
    from farthing.cli import checks  # noqa: PLC0415  (--help must not pay for it)
    from farthing.cli.providers import held_here  # noqa: PLC0415
    from farthing.config.credentials import credential_warning  # noqa: PLC0415
    from farthing.config.running import has_looked  # noqa: PLC0415
    from farthing.providers.registry import known_providers  # noqa: PLC0415

    # What is wrong with a credential is told with its provider, and not again as what the settings warn of.
    told = [credential_warning(provider.credential, os.environ) for provider in settings.providers.values()]
    for warning in settings.warnings:
        if not any(again is not None and warning.endswith(again) for again in told):
            yield checks.Found("warning", "settings", warning)
    yield from checks.check_models(home, settings)
    looked = running is None or has_looked(home, running)
    yield from checks.check_providers(settings, running, held_here(home), looked=looked)
    yield from checks.check_environment(settings, known_providers(), os.environ)
    ports = {settings.server.port, *((running.port,) if running is not None else ())}
    yield from checks.check_addresses(settings, os.environ, ports)
    yield from checks.check_proxies(settings, os.environ)
    yield from checks.check_ollama(settings, os.environ)


def _summary(problems: int, warnings: int) -> str:
    if not problems and not warnings:
        return "All is well."
    told = [counted(number, noun) for number, noun in ((problems, "problem"), (warnings, "warning")) if number]
    return f"{' and '.join(told)}; what to do stands below each."
