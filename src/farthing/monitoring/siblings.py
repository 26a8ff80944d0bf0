"""The figures of several processes that serve one home together, told by whichever of them is asked.

A scrape reaches one process by chance. So each leaves its figures in a file once a second, and the one that is asked
tells them all, each series under the label `worker`. What the others counted within the last second is missing until
the next scrape; a process that is replaced begins its counters anew, as every restart does. While one still ends its
last answers, another has its place and its file already: what the first counts from then on is told by nobody, because
a counter that went to and fro between two processes would be taken for a restart every second.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import msgspec

from farthing.clock import Clock, SystemClock
from farthing.config.paths import DIRECTORY_MODE, FILE_MODE, Home
from farthing.errors import StoreError
from farthing.monitoring.exposition import Family
from farthing.types.offload import Offload

log = logging.getLogger(__name__)

PUBLISH_S = 1.0
"""How old the figures of another process may be; leaving them takes 0.3 ms of the loop with the most series."""
_MAX_BYTES = 4 << 20
"""Three hundred series of attempts and all the rest are 100 KB; what is larger was not written by us."""
_SUFFIX = ".figures"


class Siblings:
    """One process among `farthing serve --workers`; `index` counts them from 1."""

    def __init__(self, home: Home, index: int, offload: Offload, clock: Clock | None = None) -> None:
        """The `clock` is one for all processes of the machine: it tells which of two that have a place came later."""
        self._folder = figures_folder(home)
        self._index = index
        self._offload = offload
        self._began_s = (clock or SystemClock()).monotonic()

    async def publish(self, families: Callable[[], Iterable[Family]]) -> None:
        """Leave our figures every second, until cancelled or replaced; at the end nothing is taken away."""
        path = self._folder / f"{self._index}{_SUFFIX}"
        stands_still = False
        while True:
            left = _Figures(self._began_s, _labelled(families(), self._index))
            try:
                if not await self._offload.run(partial(_leave, path, left)):
                    return
                stands_still = False
            except StoreError:
                return  # the process is stopping
            except OSError as error:
                if not stands_still:
                    told = "%s cannot be written (%s): the figures of worker %d stand still"
                    log.warning(told, path, error, self._index)
                stands_still = True
            await asyncio.sleep(PUBLISH_S)

    async def close(self) -> None:
        """Let go of the thread."""
        await self._offload.close()

    async def all(self, families: Iterable[Family]) -> list[Family]:
        """Return our figures as they are now and those that the others left, each metric once."""
        merged = {one.name: one for one in _labelled(families, self._index)}
        for other in await self._offload.run(self._others):
            mine = merged.get(other.name)
            samples = [*(mine.samples if mine else ()), *other.samples]
            merged[other.name] = msgspec.structs.replace(other, samples=samples)
        return list(merged.values())

    def _others(self) -> list[Family]:
        found: list[Family] = []
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            if path.name != f"{self._index}{_SUFFIX}":
                figures = _read(path)
                found += figures.families if figures is not None else ()
        return found


class _Left(Family, frozen=True):
    """A family as it is read back."""

    samples: list[tuple[str, str, int | float]]


class _Figures(msgspec.Struct, frozen=True):
    """What a process leaves, and when it began."""

    began_s: float
    families: Sequence[Family]


class _FiguresLeft(_Figures, frozen=True):
    """The same as it is read back."""

    families: list[_Left]


def figures_folder(home: Home) -> Path:
    """Return where the figures of a home's processes lie."""
    return home.path / "workers"


def forget_figures(home: Home) -> None:
    """Make the folder, and take away what an earlier start left in it.

    Raises:
        OSError: the home cannot be written.
    """
    folder = figures_folder(home)
    folder.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
    for path in folder.iterdir():  # drafts of one that was killed as well
        path.unlink(missing_ok=True)


def forget_figures_of(home: Home, index: int) -> None:
    """Take away what a process left that has died: it has no call in flight and no connection open any more."""
    with suppress(OSError):  # then they stand there until its successor has its own; calls do not depend on it
        (figures_folder(home) / f"{index}{_SUFFIX}").unlink(missing_ok=True)


def _labelled(families: Iterable[Family], index: int) -> list[Family]:
    return [
        msgspec.structs.replace(
            family, samples=[(suffix, _with_worker(labels, index), value) for suffix, labels, value in family.samples]
        )
        for family in families
    ]


def _with_worker(labels: str, index: int) -> str:
    worker = f'worker="{index}"'
    return f"{{{worker},{labels[1:]}" if labels else f"{{{worker}}}"


def _leave(path: Path, figures: _Figures) -> bool:
    """Write figures, but not over those of a process that began later; return whether that was done."""
    there = _read(path)
    if there is not None and there.began_s > figures.began_s:
        return False
    draft = path.with_suffix(f".{os.getpid()}")
    draft.touch(mode=FILE_MODE)
    draft.write_bytes(msgspec.msgpack.encode(figures))
    draft.replace(path)
    return True


def _read(path: Path) -> _FiguresLeft | None:
    """Return what a process left; `None` where it is of an earlier version, or cannot be read."""
    try:
        with path.open("rb") as file:
            return msgspec.msgpack.decode(file.read(_MAX_BYTES), type=_FiguresLeft)
    except (OSError, msgspec.DecodeError):
        return None
