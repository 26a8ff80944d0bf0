"""`farthing serve`: the gateway, from nothing.

The first start makes the home, writes settings.yaml, creates one client key and one admin link, and prints them once
with a snippet for each kind of client. Everything printed here goes to stderr but for the one line that says where we
listen: scripts read that one.

SIGUSR2 starts anew without a refused connection: one process ends in order and becomes its successor, with the same
number and the same listening socket, in whose queue whoever connects meanwhile waits; several are replaced one by one.
"""

import asyncio
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

import click

from farthing.cli.context import current_home, say
from farthing.cli.number import Number

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Iterator

    from farthing.cli.serving import Start
    from farthing.config.lock import HomeLock
    from farthing.config.paths import Home
    from farthing.config.schema import ServerSettings

_OPEN_FILES = 65_536
"""Two descriptors a call and 4,096 connections by default leave room below this."""

_LOCK_PATIENCE_S = 2.0
"""A reading command holds the home while it posts what a crash left; a server that stops, until it is done."""

_MAX_WORKERS = 64
"""SQLite takes the commits of so many one after another; who needs more wants several hosts."""


@click.command()
@click.option("--host", metavar="ADDRESS", help="Listen here instead of server.host.")
@click.option("--port", type=Number(0, 65_535), help="Listen here instead of server.port; 0: any free one.")
@click.option(
    "--workers",
    type=Number(1, _MAX_WORKERS),
    default=1,
    show_default=True,
    help="Processes that serve together, for a machine with several cores.",
)
def serve(host: str | None, port: int | None, workers: int) -> None:
    """Serve calls until a signal: SIGTERM or Ctrl-C lets answers end (30 s), a second one ends at once.

    SIGHUP reads the settings again; SIGUSR2 starts anew, with what is installed now, and refuses no connection.
    """
    from farthing.cli.start_up import hold_signals  # noqa: PLC0415
    from farthing.config.lock import HomeLock  # noqa: PLC0415 (--help must not pay for it)
    from farthing.errors import ConfigError  # noqa: PLC0415

    hold_signals()
    if workers > 1 and os.name != "posix":
        raise ConfigError("--workers needs a system that hands sockets from process to process", hint="leave it out.")
    os.umask(0o077)
    home = current_home()
    home.create()
    lock = HomeLock.handed_over(home.lock, os.environ)  # by who we were before we started anew
    with lock or HomeLock.acquire(home.lock, patience_s=_LOCK_PATIENCE_S) as lock:
        kept = _serve(home, lock, host, port, workers)
        if kept is not None:
            _serve_anew(kept, lock)


def _serve(home: "Home", lock: "HomeLock", host: str | None, port: int | None, workers: int) -> "socket.socket | None":
    """Serve until the end; return the listening socket where a successor is to go on with it."""
    from farthing.cli.serving import serve_alone  # noqa: PLC0415

    start = _prepare(home, host, port)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        try:
            if workers == 1:
                return runner.run(serve_alone(start, lock))
            from farthing.cli.workers import serve_together  # noqa: PLC0415

            runner.run(serve_together(start, lock, workers))
        except BaseException:
            start.sock.close()  # or whoever connects while we end waits in the queue of nobody
            raise
        finally:
            with suppress(OSError):  # left behind it is not believed: nobody holds the lock then
                home.running.unlink(missing_ok=True)
    return None


def _prepare(home: "Home", host: str | None, port: int | None) -> "Start":
    """Read the settings, say what there is to say about them, and listen."""
    import msgspec  # noqa: PLC0415

    from farthing.cli.config_follow import with_told  # noqa: PLC0415
    from farthing.cli.context import current_settings  # noqa: PLC0415
    from farthing.cli.first_words import whom_it_calls  # noqa: PLC0415
    from farthing.cli.serving import Start  # noqa: PLC0415
    from farthing.cli.start_up import prepare_process  # noqa: PLC0415
    from farthing.config.first_start import write_first_settings  # noqa: PLC0415
    from farthing.config.local_ollama import Knock  # noqa: PLC0415
    from farthing.config.watch import stamp_of  # noqa: PLC0415
    from farthing.server.admin.token import chosen_token  # noqa: PLC0415

    chosen_token(os.environ)  # one that is no good is told before anything is made
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
    is_new = wrote or (bool(settings.local) and settings.storage.url is None and not home.database.exists())
    server, told = with_told(settings.server, host, port)
    knocks = {name: Knock(provider.base_url) for name, provider in settings.local.items()}
    sock, server = _listen(server)
    warnings = settings.warnings
    _warn(warnings if server.host == settings.server.host else _with_other_host(warnings, server))
    _raise_open_files()
    found = {name: settings.local[name] for name, knock in knocks.items() if knock.answered()}
    for name, provider in found.items():
        say(f'found {name} at {provider.base_url}: ask for its models by name or as "{name}:NAME"; they cost nothing')
    settings = msgspec.structs.replace(settings, providers={**settings.providers, **found})
    for line in whom_it_calls(settings.providers, os.environ, is_new=is_new):
        say(line)
    return Start(home=home, settings=settings, server=server, sock=sock, seen=seen, told=told)


def _listen(server: "ServerSettings") -> "tuple[socket.socket, ServerSettings]":
    """Return the socket we were handed over, or a new one, and where it listens."""
    import msgspec  # noqa: PLC0415

    from farthing.server.live import bind, inherited_socket, is_address_of  # noqa: PLC0415

    sock = inherited_socket(os.environ)
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):  # not for whom we start
        os.environ.pop(name, None)
    if sock is None:
        sock = bind(server.host, server.port)
    address, port = sock.getsockname()[:2]
    host = server.host if is_address_of(server.host, address) else address
    return sock, msgspec.structs.replace(server, host=host, port=port)


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


def _with_other_host(warnings: "Iterable[str]", server: "ServerSettings") -> "Iterator[str]":
    """Yield the settings' warnings for another host than theirs: what they say of their own does not hold."""
    from farthing.config.addresses import is_loopback  # noqa: PLC0415
    from farthing.config.load import exposed  # noqa: PLC0415

    yield from (warning for warning in warnings if " server.host: " not in warning)
    if not is_loopback(server.host) and not server.behind_proxy:
        yield exposed(server.host)


def _serve_anew(sock: "socket.socket", lock: "HomeLock") -> NoReturn:
    """Become our successor: the same command line and number, with the listening socket where systemd would put it.

    The home is held all the while: nobody may settle the books in between, and keep the successor from starting.
    """
    from farthing.cli.start_up import hold_signals, outlive_terminal_again  # noqa: PLC0415
    from farthing.server.live import FIRST_INHERITED  # noqa: PLC0415

    lock.hand_over(os.environ)  # before the socket takes the number that may be the lock's
    if sock.fileno() != FIRST_INHERITED:
        os.dup2(sock.fileno(), FIRST_INHERITED)
    os.set_inheritable(FIRST_INHERITED, True)  # noqa: FBT003 - the os module's own signature
    hold_signals()
    outlive_terminal_again()
    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - our own command line, no shell's


def loop_factory() -> "type[asyncio.AbstractEventLoop] | None":
    """Return what makes the loop that serves; nothing stands for the standard library's."""
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
