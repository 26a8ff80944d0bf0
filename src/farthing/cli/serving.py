"""Runs one server on a socket that listens already: the only process of a home, or one of several."""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial

import click
import msgspec

from farthing.app import Farthing
from farthing.cli.cautions import unknown_models, unused_addresses
from farthing.cli.config_follow import following_settings
from farthing.cli.context import say
from farthing.cli.first_words import first_words
from farthing.cli.providers import missing_credential
from farthing.cli.start_up import handle_no_more, hear_signals, hold_signals, ignore_signals
from farthing.config.lock import HomeLock
from farthing.config.paths import Home
from farthing.config.reach import reachable_host, url_of
from farthing.config.running import Running, RunningProvider, RunningSettings, write_running
from farthing.config.schema import ServerSettings, Settings
from farthing.config.watch import Stamp, Taken, stamp_of
from farthing.errors import FarthingError, StoreError
from farthing.ledger import Ledger
from farthing.server.admin.token import chosen_token
from farthing.server.build import build_server

log = logging.getLogger(__name__)

_GC_THRESHOLDS = (20_000, 10, 10)
"""A call makes about 100 tracked objects and no cycles; collecting every seventh call (700) took 4 % of the time."""

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_MALLOC_OPTIONS = ((_M_MMAP_THRESHOLD, 4 << 20), (_M_TRIM_THRESHOLD, 8 << 20), (_M_TOP_PAD, 1 << 20))
"""Bytes: blocks below 4 MB come from the heap, of which up to 8 MB stay ours when they are free. A call with a prompt
of 112 KB takes 30 us less (2026-11)."""

_CHECK_S = 30.0
"""How long the successor may take to say whether it can start; it needs half a second."""

_LOCK_LOOK_S = 1.0
"""How often is looked whether the home's lock is still there; meanwhile the lock of its folder keeps others out."""


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """What a start has found out: `server` is where we listen really, `told` what the command line decides of it."""

    home: Home
    settings: Settings
    server: ServerSettings
    sock: socket.socket
    seen: Stamp | None
    told: Mapping[str, str]

    @property
    def url(self) -> str:
        """How clients reach us."""
        return self.server.public_url or url_of(reachable_host(self.server.host), self.server.port)


class _Kept(msgspec.Struct, frozen=True):
    """What is left of a process that has stopped for its successor; `checked` is the file that it was found fit for."""

    sock: socket.socket
    settings: Settings
    checked: Stamp | None


async def serve_alone(start: Start, lock: HomeLock) -> socket.socket | None:
    """Serve until a signal; return the listening socket where the signal asked for a successor."""
    async with keeping_lock(lock, start.home):
        while (kept := await _serve_until_signal(start)) is not None:
            if stamp_of(start.home.settings) == kept.checked:
                return kept.sock
            problem = await problem_of_successor(start.home)  # half a minute may have passed while answers ended
            if problem is None:
                return kept.sock
            say(f"the restart that was asked for is given up, and what was served is served again: {problem}")
            start = msgspec.structs.replace(start, sock=kept.sock, settings=kept.settings)
    return None


async def _serve_until_signal(start: Start) -> _Kept | None:
    checked: Stamp | None = None
    farthing = Farthing(start.settings, start.home, environment=os.environ)
    words = await open_and_greet(farthing, start)
    try:

        def tell(taken: Taken) -> None:
            leave_note(start, farthing.settings, taken, farthing.clock.now_us())

        def ready() -> None:
            tell(Taken())
            say_ready(start, words)
            settle_memory()
            hear_signals()

        live = build_server(farthing, start.server, on_ready=ready)

        def begin_anew() -> None:
            nonlocal checked
            if not live.should_exit:  # else whoever asked for the end meanwhile gets that
                checked = stamp_of(start.home.settings)
                live.stop(keeping_sockets=True)

        try:
            async with (
                on_restart(partial(problem_of_successor, start.home), begin_anew),
                following_settings(farthing, live, seen=start.seen, told=told_fields(start), tell=tell),
            ):
                await live.serve(sockets=[start.sock])
                hold_signals()
        finally:
            ignore_signals()
    finally:
        await farthing.close()
    say(last_words(farthing.ledger, str(start.home.journal)))
    if not live.kept:
        return None
    (sock,) = live.kept
    return _Kept(sock, farthing.settings, checked)


async def open_and_greet(farthing: Farthing, start: Start) -> list[str]:
    """Open the house, which completes what a crash left; return what there is to say to whoever starts it."""
    for warning in (
        *unused_addresses(start.settings, os.environ, {start.server.port}),
        *unknown_models(start.settings, farthing.prices),
    ):
        say(f"warning: {warning}")
    await farthing.open()
    try:
        return await first_words(farthing, start.url)
    except BaseException:
        await farthing.close()
        raise


def say_ready(start: Start, words: list[str]) -> None:
    """Say what there is to say, and where we listen."""
    for line in words:
        say(line, as_it_stands=True)
    if not start.settings.providers:
        say('no provider yet: set a key such as OPENAI_API_KEY, start again; or "farthing providers add NAME"')
    click.echo(f"farthing listens on {url_of(start.server.host, start.server.port)}")
    sys.stdout.flush()


def settle_memory() -> None:
    """Leave out of every later collection what exists now: it lives as long as the process."""
    keep_freed_memory()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)


def keep_freed_memory() -> None:
    """Have the C library keep some of what prompts leave, where it is glibc.

    By itself it gives large blocks back to the system at once, and each prompt of an agent finds its pages anew.
    """
    if sys.platform != "linux":
        return
    import ctypes  # noqa: PLC0415 - 3 ms that commands do not need

    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library
        return
    for option, value in _MALLOC_OPTIONS:
        mallopt(option, value)


def told_fields(start: Start) -> list[str]:
    """Return the fields of `server` that the command line decides."""
    return [path.removeprefix("server.") for path in start.told]


def leave_note(start: Start, settings: Settings, taken: Taken, now_us: int) -> None:
    """Tell commands in other terminals where we listen, whom we can call, and what we made of the settings."""
    server = start.server
    providers = tuple(
        RunningProvider(name, provider.base_url, str(provider.credential), missing_credential(provider) is None)
        for name, provider in settings.providers.items()
    )
    looked = RunningSettings(now_us, taken.problem, taken.needs_restart, dict(start.told), start.settings.server)
    chosen = chosen_token(os.environ) is not None
    running = Running(os.getpid(), server.host, server.port, start.url, providers, looked, chosen)
    try:
        write_running(start.home, running)
    except OSError as error:  # calls do not depend on it
        say(f"warning: {str(start.home.running)!r} cannot be written: {error.strerror or error}")


@asynccontextmanager
async def keeping_lock(lock: HomeLock, home: Home) -> AsyncIterator[None]:
    """Look after the home's lock while the block runs: make it again where it was removed, and say so."""
    told: str | None = None

    async def look() -> None:
        nonlocal told
        while True:
            await asyncio.sleep(_LOCK_LOOK_S)
            try:
                made_again = lock.keep()
            except (OSError, FarthingError) as error:
                problem = error.message if isinstance(error, FarthingError) else error.strerror or str(error)
                if problem != told:
                    log.error("the lock %s is gone and cannot be made again: %s", home.lock, problem)  # noqa: TRY400
                    told = problem
                continue
            if made_again:
                log.error("the lock %s was removed or replaced under us; it is made again", home.lock)
            told = None

    task = asyncio.create_task(look(), name="lock")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


@asynccontextmanager
async def on_restart(problem: Callable[[], Awaitable[str | None]], begin: Callable[[], None]) -> AsyncIterator[None]:
    """Have SIGUSR2 handled while the block runs; afterwards it changes nothing.

    `begin` is called when there is no `problem` with the program as it is installed now: whoever restarts after an
    upgrade must not be left without a gateway.
    """
    if not hasattr(signal, "SIGUSR2"):
        yield  # Windows
        return
    loop = asyncio.get_running_loop()
    checking: list[asyncio.Task[None]] = []

    async def check() -> None:
        found = await problem()
        if found is None:
            begin()
        else:
            log.error("the restart that was asked for is not begun: %s", found)

    def asked() -> None:
        if all(task.done() for task in checking):
            checking[:] = [loop.create_task(check(), name="restart")]

    loop.add_signal_handler(signal.SIGUSR2, asked)
    try:
        yield
    finally:
        handle_no_more(loop, signal.SIGUSR2)
        for task in checking:
            task.cancel()
        if checking:
            await asyncio.wait(checking)


async def problem_of_successor(home: Home) -> str | None:
    """Return why a process of the program as it is installed now would not serve this home; `None` where it would."""
    from farthing.cli.books import home_pepper  # noqa: PLC0415  (only a restart needs it)

    try:
        home_pepper(home)  # a successor is refused where it or the database was lost; we have both open still
    except StoreError as error:
        return error.message
    return await complaint_of("farthing", "--home", str(home.path), "config", "check")


async def complaint_of(module: str, *arguments: str) -> str | None:
    """Run a module as it is installed now; return what it says where it does not end well."""
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module, *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    except OSError as error:
        return f"the program cannot be started: {error.strerror or error}"
    try:
        async with asyncio.timeout(_CHECK_S):
            output, _ = await process.communicate()
    except TimeoutError:
        return f"the program did not read its settings within {_CHECK_S:.0f} s"
    finally:
        if process.returncode is None:  # it hangs, or we stop; its pipe must be closed before the loop is
            with suppress(ProcessLookupError):
                process.kill()
            await process.communicate()
    return None if process.returncode == 0 else output.decode("utf-8", "replace").strip()


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
