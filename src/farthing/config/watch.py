"""Notice that settings.yaml has changed, and have it taken up; a file that is wrong changes nothing and is told of.

The file's date, size and number are looked at twice a second. A change is read when it has been the same for two looks,
because an editor that writes in place leaves half a file for a moment, and half a file may well be a good one: with
fewer providers. For the same reason a file that is gone is taken for an accident, not for an operator who wants the
defaults. Reading happens on a thread: a settings file takes 10 ms to read, and calls must not wait for it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from farthing.config.schema import Settings
from farthing.errors import FarthingError
from farthing.types.offload import Offload

log = logging.getLogger(__name__)

LOOK_S = 0.5
"""A change holds within a second and a half; a look asks the system for one file's date, 2 us."""

Stamp = tuple[int, int, int]


class Taken(msgspec.Struct, frozen=True):
    """What became of a look at the file: what holds now, what of it waits for a restart, and what is wrong with it."""

    changes: tuple[str, ...] = ()
    needs_restart: tuple[str, ...] = ()
    problem: str | None = None


def stamp_of(path: Path) -> Stamp | None:
    """Return what changes with the file; `None` while it is not there, or cannot be looked at."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_mtime_ns, state.st_size, state.st_ino


class SettingsWatch:
    """Follows one file. Make it before the file is read for the first time, so that no change falls between."""

    def __init__(
        self,
        path: Path,
        *,
        read: Callable[[], Settings],
        take: Callable[[Settings], Awaitable[Taken]],
        tell: Callable[[Taken], None],
        offload: Offload,
        seen: Stamp | None,
    ) -> None:
        """`read` runs on the offload's thread; `take` makes the settings hold, and raises where they cannot."""
        self._path = path
        self._read = read
        self._take = take
        self._tell = tell
        self._offload = offload
        self._seen = seen
        self._candidate = seen
        self._asked = asyncio.Event()

    def ask(self) -> None:
        """Read the file at once, changed or not; what it names (files with credentials) may have changed."""
        self._asked.set()

    async def follow(self, interval_s: float = LOOK_S) -> None:
        """Look every `interval_s`, until cancelled."""
        while True:
            try:
                async with asyncio.timeout(interval_s):
                    await self._asked.wait()
            except TimeoutError:
                if not self._changed():
                    continue
            self._asked.clear()
            await self.look()

    def _changed(self) -> bool:
        """Whether the file is another than the one that was read last, and has been so for two looks."""
        stamp, before = stamp_of(self._path), self._candidate
        self._candidate = stamp
        return stamp != self._seen and stamp == before

    async def look(self) -> None:
        """Read the file and have it taken up, or say why not."""
        stamp = stamp_of(self._path)
        try:
            if stamp is None:
                taken = Taken(problem=f"{self._path} is gone or cannot be read; what it said still holds.")
            else:
                settings = await self._offload.run(self._read)
                if stamp_of(self._path) != stamp:
                    return  # written while it was read; the next looks see it
                taken = await self._take(settings)
        except FarthingError as error:
            taken = Taken(problem=error.message)
        except Exception as error:  # whatever is wrong with a file, the gateway goes on with what it has
            log.error("the settings could not be taken up", exc_info=error)  # noqa: TRY400 - told below as well
            taken = Taken(problem=f"{type(error).__name__}: {error}")
        self._seen = self._candidate = stamp
        if taken.problem is not None:
            log.warning("the settings stay what they were: %s", taken.problem)
        else:
            log.info("took up %s: %s", self._path, "; ".join(taken.changes) or "nothing else is said")
            for waiting in taken.needs_restart:
                log.warning("%s", waiting)
        self._tell(taken)
