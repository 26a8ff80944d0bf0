"""Lets a serving process follow its settings.yaml: by itself when the file changes, at once on SIGHUP.

What surprised us: SIGHUP is also what a process gets whose terminal is closed. Whoever closes the window in which the
gateway ran means to end it, so where there was a terminal and it is gone, SIGHUP ends the process as SIGTERM does,
unless it was started to outlive it (nohup).
"""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from farthing.cli.config_file import settings_to_serve
from farthing.cli.start_up import STARTED_TO_OUTLIVE_TERMINAL, handle_no_more
from farthing.config.changes import changes, losses, needs_restart
from farthing.config.first_start import write_schema
from farthing.config.watch import SettingsWatch, Stamp, Taken
from farthing.providers.registry import known_providers
from farthing.server.bounds import bounds_of
from farthing.storage.offload import ThreadOffload

if TYPE_CHECKING:
    from farthing.app import Farthing
    from farthing.config.schema import ServerSettings, Settings
    from farthing.server.live import LiveServer

log = logging.getLogger(__name__)


@asynccontextmanager
async def following_settings(
    farthing: "Farthing",
    live: "LiveServer",
    *,
    seen: Stamp | None,
    told: Collection[str],
    tell: Callable[[Taken], None],
) -> AsyncIterator[None]:
    """Take up what the file says while the block runs; `tell` is called after each look at it.

    `seen` is the file that `farthing` was built from, and `told` are the fields of `server` that the command line
    decides.
    """
    # A thread of its own: the ledger's must not wait for a large file to be read.
    offload = ThreadOffload("farthing-settings")
    started = farthing.settings.server

    async def take(settings: "Settings") -> Taken:
        before = farthing.settings
        await farthing.reload(settings)
        after = farthing.settings  # with what the admin API has beside the file
        retune(after)
        _tell_left_out(before, after)
        waiting = needs_restart(started, after.server, told)
        return Taken(changes=changes(before, after), losses=losses(before, after), needs_restart=waiting)

    path = farthing.home.settings
    last = Taken()

    def read() -> "Settings":
        return settings_to_serve(farthing.home, farthing.settings.providers)

    def told_of(taken: Taken) -> None:
        nonlocal last
        last = taken
        farthing.settings_taken_up = taken.problem is None
        tell(taken)

    def retune(settings: "Settings") -> None:
        live.retune(bounds_of(settings.server), settings.server.drain_s)

    def holds(settings: "Settings") -> None:
        retune(settings)
        tell(last)

    retune(farthing.settings)  # the admin API may have set some of it before this start
    farthing.layers.on_taken = holds
    watch = SettingsWatch(path, read=read, take=take, tell=told_of, offload=offload, seen=seen)

    async def follow() -> None:
        with suppress(OSError):  # for editors only; a home that cannot be written is told of elsewhere
            await offload.run(partial(write_schema, path, known_providers()))
        await watch.follow()

    task = asyncio.create_task(follow(), name="settings")
    undo = on_hangup(watch.ask, live.stop)
    try:
        yield
    finally:
        undo()
        task.cancel()
        await asyncio.wait([task])
        await offload.close()


def _tell_left_out(before: "Settings", after: "Settings") -> None:
    """Log which providers are gone because the file names others now: nobody asked for that in so many words."""
    gone = ", ".join(name for name in before.providers if name not in after.providers)
    if gone and after.providers_named and not before.providers_named:
        log.warning(
            "settings.yaml names providers now, so those are not used any more that were found by their key in the"
            ' environment, or on this machine: %s; "farthing providers add NAME" names one there as well',
            gone,
        )


def with_told(server: "ServerSettings", host: str | None, port: int | None) -> "tuple[ServerSettings, dict[str, str]]":
    """Return what holds when the command line decides some of it, and what that is, by its path, as text."""
    told = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    return msgspec.structs.replace(server, **told), {f"server.{name}": str(value) for name, value in told.items()}


def on_hangup(ask: Callable[[], None], stop: Callable[[], None]) -> Callable[[], None]:
    """Have SIGHUP handled, in the running loop; return what ends that, after which it changes nothing."""
    if not hasattr(signal, "SIGHUP"):
        return lambda: None  # Windows; there the file is followed all the same
    outlives_terminal = STARTED_TO_OUTLIVE_TERMINAL or not _has_terminal()

    def hung_up() -> None:
        if outlives_terminal or _has_terminal():
            ask()
        else:
            stop()

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, hung_up)
    return partial(handle_no_more, loop, signal.SIGHUP)


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
