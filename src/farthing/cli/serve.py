"""`farthing serve`: the gateway, from nothing.

The first start makes the home, writes settings.yaml, creates one client key and one admin link, and prints them once
with a snippet for each kind of client. Everything printed here goes to stderr but for the one line that says where we
listen: scripts read that one.
"""

import asyncio
import gc
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from farthing.cli.context import current_home, say

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Iterator, Mapping

    from farthing.app import Farthing
    from farthing.config.paths import Home
    from farthing.config.schema import ServerSettings
    from farthing.config.watch import Stamp, Taken
    from farthing.ledger import Ledger

_OPEN_FILES = 65_536
"""Two descriptors a call and 4,096 connections by default leave room below this."""

_LOCK_PATIENCE_S = 2.0
"""A reading command holds the home while it posts what a crash left; a server that stops, until it is done."""

_GC_THRESHOLDS = (20_000, 10, 10)
"""A call makes about 100 tracked objects and no cycles; collecting every seventh call (700) took 4 % of the time."""


@click.command()
@click.option("--host", metavar="ADDRESS", help="Listen here instead of server.host.")
@click.option("--port", type=click.IntRange(0, 65_535), help="Listen here instead of server.port; 0: any free one.")
def serve(host: str | None, port: int | None) -> None:
    """Serve calls until a signal: SIGTERM or Ctrl-C lets answers end (30 s), a second one ends at once."""
    from farthing.config.lock import HomeLock  # noqa: PLC0415 (--help must not pay for it)

    os.umask(0o077)
    home = current_home()
    home.create()
    with HomeLock.acquire(home.lock, patience_s=_LOCK_PATIENCE_S):
        _serve(host, port)


def _serve(host: str | None, port: int | None) -> None:

    import msgspec  # noqa: PLC0415

    from farthing.app import Farthing  # noqa: PLC0415
    from farthing.cli.cautions import unknown_models, unused_addresses  # noqa: PLC0415
    from farthing.cli.config_follow import with_told  # noqa: PLC0415
    from farthing.cli.context import current_settings  # noqa: PLC0415
    from farthing.cli.first_words import whom_it_calls  # noqa: PLC0415
    from farthing.cli.start_up import prepare_process  # noqa: PLC0415
    from farthing.config.first_start import write_first_settings  # noqa: PLC0415
    from farthing.config.local_ollama import Knock  # noqa: PLC0415
    from farthing.config.watch import stamp_of  # noqa: PLC0415
    from farthing.server.live import bind  # noqa: PLC0415

    home = current_home()
    wrote = write_first_settings(home.settings)
    if wrote:
        say(f"wrote {home.settings}")
    seen = stamp_of(home.settings)
    settings = current_settings(home)
    if _brought_up_to_date(home):
        seen = stamp_of(home.settings)
        settings = current_settings(home)
    prepare_process(settings.log)
    # A first start that found its port taken has written settings and no more; the next one is the first again.
    is_new = wrote or (bool(settings.local) and not home.database.exists())
    server, told = with_told(settings.server, host, port)
    knocks = {name: Knock(provider.base_url) for name, provider in settings.local.items()}
    _warn(settings.warnings if host is None else _with_told_host(settings.warnings, server))
    sock = bind(server.host, server.port)
    server = msgspec.structs.replace(server, port=sock.getsockname()[1])
    _raise_open_files()
    found = {name: settings.local[name] for name, knock in knocks.items() if knock.answered()}
    for name, provider in found.items():
        say(f'found {name} at {provider.base_url}: ask for its models by name or as "{name}:NAME"; they cost nothing')
    settings = msgspec.structs.replace(settings, providers={**settings.providers, **found})
    for line in whom_it_calls(settings.providers, os.environ, is_new=is_new):
        say(line)
    farthing = Farthing(settings, home, environment=os.environ)
    _warn([*unused_addresses(settings, os.environ, {server.port}), *unknown_models(settings, farthing.prices)])
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_run(farthing, server, sock, seen, told))
    finally:
        with suppress(OSError):  # left behind it is not believed: nobody holds the lock then
            home.running.unlink(missing_ok=True)


def _brought_up_to_date(home: "Home") -> bool:
    """Rewrite settings of an older version, once; who cannot write them is served by what they mean all the same."""
    from farthing.config.edit import SettingsFile  # noqa: PLC0415 (--help must not pay for it)
    from farthing.config.save import version_backup  # noqa: PLC0415
    from farthing.errors import ConfigError  # noqa: PLC0415
    from farthing.providers.registry import known_providers  # noqa: PLC0415

    try:
        migrated = SettingsFile(home.settings, known=known_providers(), environment=os.environ).migrate()
    except ConfigError as error:
        say(f"warning: {error.message}")
        return False
    if migrated.done:
        kept = version_backup(home.settings, migrated.version)
        say(f"brought {home.settings} up to date ({'; '.join(migrated.done)}); the old one is {kept}")
    return bool(migrated.done)


def _warn(warnings: "Iterable[str]") -> None:
    for warning in warnings:
        say(f"warning: {warning}")


def _with_told_host(warnings: "Iterable[str]", server: "ServerSettings") -> "Iterator[str]":
    """Yield the settings' warnings for a host from the command line: what they say of their own does not hold."""
    from farthing.config.addresses import is_loopback  # noqa: PLC0415
    from farthing.config.load import exposed  # noqa: PLC0415

    yield from (warning for warning in warnings if " server.host: " not in warning)
    if not is_loopback(server.host) and not server.behind_proxy:
        yield exposed(server.host)


async def _run(
    farthing: "Farthing",
    server: "ServerSettings",
    sock: "socket.socket",
    seen: "Stamp | None",
    told: "Mapping[str, str]",
) -> None:
    from farthing.cli.config_follow import following_settings  # noqa: PLC0415
    from farthing.cli.first_words import first_words  # noqa: PLC0415
    from farthing.config.reach import reachable_host, url_of  # noqa: PLC0415
    from farthing.config.watch import Taken  # noqa: PLC0415
    from farthing.server.build import build_server  # noqa: PLC0415

    await farthing.open()
    try:
        url = server.public_url or url_of(reachable_host(server.host), server.port)
        words = await first_words(farthing, url)

        def leave_note(taken: Taken) -> None:
            _leave_note(farthing, server, url, taken, told)

        def ready() -> None:
            leave_note(Taken())
            for line in words:
                say(line)
            if not farthing.providers:
                say('no provider yet: set a key such as OPENAI_API_KEY, start again; or "farthing providers add NAME"')
            click.echo(f"farthing listens on {url_of(server.host, server.port)}")
            sys.stdout.flush()
            # What exists now lives as long as the process; leaving it out of each collection saves its time.
            gc.collect()
            gc.freeze()
            gc.set_threshold(*_GC_THRESHOLDS)

        live = build_server(farthing, server, on_ready=ready)
        fields = [path.removeprefix("server.") for path in told]
        async with following_settings(farthing, live, seen=seen, told=fields, tell=leave_note):
            await live.serve(sockets=[sock])
    finally:
        await farthing.close()
    say(last_words(farthing.ledger, str(farthing.home.journal)))


def _leave_note(
    farthing: "Farthing", server: "ServerSettings", url: str, taken: "Taken", told: "Mapping[str, str]"
) -> None:
    """Tell commands in other terminals where we listen, whom we can call, and what we made of the settings."""
    from farthing.cli.providers import missing_credential  # noqa: PLC0415
    from farthing.config.running import Running, RunningProvider, RunningSettings, write_running  # noqa: PLC0415

    providers = tuple(
        RunningProvider(name, provider.base_url, str(provider.credential), missing_credential(provider) is None)
        for name, provider in farthing.settings.providers.items()
    )
    looked = RunningSettings(farthing.clock.now_us(), taken.problem, taken.needs_restart, dict(told))
    try:
        write_running(farthing.home, Running(os.getpid(), server.host, server.port, url, providers, looked))
    except OSError as error:  # calls do not depend on it
        say(f"warning: {str(farthing.home.running)!r} cannot be written: {error.strerror or error}")


def last_words(ledger: "Ledger", journal_folder: str) -> str:
    """Say truthfully what a ledger that is closed now has kept, and where."""
    if not (ledger.queued or ledger.spilled or ledger.in_flight):
        said = "farthing stopped; everything is settled"
    elif not (ledger.queued or ledger.spilled):
        said = f"farthing stopped; {ledger.in_flight} attempts were cut, the next start settles them from the journal"
    else:
        at_least = "more than " if ledger.spilled else ""
        said = (
            f"farthing stopped, but {at_least}{ledger.queued} ended attempts are not in the ledger yet"
            f" ({ledger.store_error}); they wait in {journal_folder!r} for the next start"
        )
    if ledger.in_memory_only:
        said += (
            f". {ledger.in_memory_only} of them ended while the journal could not be written: they will be estimated"
        )
    if ledger.refused:
        said += f'. The store refused {ledger.refused} attempts: "farthing ledger verify" shows them'
    return said


def _loop_factory() -> "type[asyncio.AbstractEventLoop] | None":
    try:
        import uvloop  # noqa: PLC0415
    except ImportError:  # Windows, or a Python that uvloop has no wheel for: the standard loop is 20 % slower
        return None
    return uvloop.Loop


def _raise_open_files() -> None:
    try:
        import resource  # noqa: PLC0415
    except ImportError:
        return  # Windows has no such limit
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
