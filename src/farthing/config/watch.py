"""Notice that settings.yaml has changed, and have it taken up; a file that is wrong changes nothing and is told of.

The file's date, size and number are looked at twice a second. A change is read when it has been the same for two looks,
because an editor that writes in place leaves half a file for a moment, and half a file may well be a good one: with
fewer providers and without `unpriced: refuse`. So a file that was cut in place, to a beginning of what it said, is
waited for much longer; and one that is gone, empty, or has lost its `version:` is taken for an accident, not for an
operator who wants the defaults. Reading happens on a thread: a settings file takes 10 ms to read, and calls must not
wait for it.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from farthing.config.schema import Settings
from farthing.config.yaml_tree import MAX_BYTES
from farthing.errors import FarthingError
from farthing.types.offload import Offload

log = logging.getLogger(__name__)

LOOK_S = 0.5
"""A change holds within a second and a half; a look asks the system for one file's date, 2 us."""

CUT_LOOKS = 20
"""How many looks a file that was cut must stay as it is: ten seconds. Editors on slow disks pause for two."""

Stamp = tuple[int, int, int]

_VERSION = re.compile(rb"""^(?:\xef\xbb\xbf)?(?:\{\s*)?["']?version["']?\s*:""", re.MULTILINE)
_NOTHING = b"\xef\xbb\xbf \t\r\n\0"
"""What an empty file may consist of: some file systems leave zeros where a power cut took the text."""


class Taken(msgspec.Struct, frozen=True):
    """What became of a look at the file: what holds now, what of it waits for a restart, and what is wrong with it.

    `losses` are those changes that an operator must hear of even if they were meant.
    """

    changes: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()
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
        self._alike = 0
        self._cut: Stamp | None = None
        self._asked = asyncio.Event()
        # What was taken up last, and which file that was; unknown where the file has changed since `seen`.
        self._text: bytes | None = b"" if seen is None else None
        self._file = None if seen is None else seen[2]
        if seen is not None and stamp_of(path) == seen:
            self._text = _text_of(path)

    def ask(self) -> None:
        """Read the file at once, changed or not; what it names (files with credentials) may have changed."""
        self._asked.set()

    async def follow(self, interval_s: float = LOOK_S) -> None:
        """Look every `interval_s`, until cancelled."""
        while True:
            asked = True
            try:
                async with asyncio.timeout(interval_s):
                    await self._asked.wait()
            except TimeoutError:
                asked = False
                if not self._changed():
                    continue
            self._asked.clear()
            await self.look(asked=asked)

    def _changed(self) -> bool:
        """Whether the file is another than the one that was read last, and has been so for two looks, or for many."""
        stamp, before = stamp_of(self._path), self._candidate
        self._candidate = stamp
        self._alike = self._alike + 1 if stamp == before else 0
        needed = CUT_LOOKS if stamp is not None and stamp == self._cut else 1
        return stamp != self._seen and self._alike >= needed

    async def look(self, *, asked: bool = True) -> None:
        """Read the file and have it taken up, or say why not; who was `asked` waits for no second half."""
        stamp = stamp_of(self._path)
        text: bytes | None = None
        try:
            if stamp is None:
                taken = Taken(problem=f"{self._path} is gone or cannot be read; what it said still holds.")
            else:
                text = await self._offload.run(lambda: _text_of(self._path))
                missing = self._missing(text)
                if missing is not None:
                    taken = Taken(problem=missing)
                elif not asked and self._cut != stamp and self._is_cut(text, stamp):
                    self._wait_for_the_rest(stamp)
                    return
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
            self._text, self._file = text, stamp[2] if stamp is not None else None
            log.info("took up %s: %s", self._path, "; ".join(taken.changes) or "it says what it said before")
            if taken.losses:
                log.warning("%s says less than before, and that holds now: %s", self._path, "; ".join(taken.losses))
            for waiting in taken.needs_restart:
                log.warning("%s", waiting)
        self._tell(taken)

    def _missing(self, text: bytes | None) -> str | None:
        """Return why a file that says nothing is not believed, or `None`."""
        if text is None:
            return None  # whoever reads it says why it cannot be read
        if not text.strip(_NOTHING):
            if self._text is not None and not self._text.strip(_NOTHING):
                return None  # it was empty all along
            return f'{self._path} is empty; what it said still holds. For the defaults write "version: 1".'
        if self._text is not None and _VERSION.search(self._text) and not _VERSION.search(text):
            return f'{self._path} has lost its "version: 1"; what it said before still holds. Write it, if that is all.'
        return None

    def _is_cut(self, text: bytes | None, stamp: Stamp) -> bool:
        """Whether this may be the first half of a file that is being written.

        What was put there by a rename is another file, and whole: our own commands and most editors do so.
        """
        if text is None:
            return False
        if self._text is None:
            return True  # it was changed while we began, and nobody knows what it would be a half of
        return stamp[2] == self._file and len(text) < len(self._text) and self._text.startswith(text)

    def _wait_for_the_rest(self, stamp: Stamp) -> None:
        self._cut, self._alike = stamp, 0
        problem = (
            f"{self._path} may be half written; what it said still holds. It is taken up if it stays as it is for"
            f" {CUT_LOOKS * LOOK_S:.0f} seconds, or at once on SIGHUP."
        )
        log.warning("the settings stay what they were: %s", problem)
        self._tell(Taken(problem=problem))


def _text_of(path: Path) -> bytes | None:
    """Return what the file says, as far as it is looked at; `None` where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError:
        return None
