"""One process serves a home; this lock tells the second one so, and who the first one is.

The system drops the lock with the process that held it, however it died, so there are no stale locks to clean up: the
pid and the purpose inside the file are for reading only. Two surprises: `flock` follows the open file, so the lock must
not be inherited by children (Python opens files that way), and Windows locks bytes against reading too, so there the
locked byte lies far behind the pid.
"""

import os
import sys
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import Literal, Self

from farthing.clock import SystemClock
from farthing.config.home_files import open_lock_file, way_out
from farthing.errors import HomeLocked, StoreError

if sys.platform == "win32":
    import msvcrt

    _LOCK_AT = 1 << 30  # far behind the pid, which stays readable

    def _lock(descriptor: int, *, shared: bool) -> bool:
        """Lock one byte; Windows knows no shared lock here, so a probe holds the home for an instant."""
        del shared
        os.lseek(descriptor, _LOCK_AT, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _lock(descriptor: int, *, shared: bool) -> bool:
        """Lock the file if nobody else has it; a shared lock keeps out owners, not other shared ones."""
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError:
            return False
        return True


Purpose = Literal["serve", "recovery"]
"""A server holds the home while it lives; a reading command for a moment, while it posts a dead server's journal."""

_DOING: dict[str, str] = {"serve": "serves", "recovery": "is posting what a crash left in"}

_NOTE_BYTES = 32  # a pid has at most ten digits; whatever else is in there is not ours
_PATIENCE_S = 1.0  # a probe lasts microseconds, or a time slice or two where its process is put aside meanwhile
_RETRY_S = 0.001
_POLL_S = 0.02


class HomeLock:
    """Holds the home until `release`, or until the process ends."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    @classmethod
    def acquire(cls, path: Path, purpose: Purpose = "serve", *, patience_s: float = 0) -> Self:
        """Take the lock at `path`, if need be after waiting, and write into it who we are and what for.

        Raises:
            HomeLocked: another process holds it.
            StoreError: the file cannot be used; nobody is said to hold it.
        """
        try:
            descriptor = open_lock_file(path)
        except OSError as error:
            raise StoreError(
                f"The lock {str(path)!r} cannot be opened: {error.strerror}.", hint=way_out(error, path.parent)
            ) from error
        if not lock_in_time(descriptor, patience_s):
            pid, held_for = _read_note(descriptor)
            os.close(descriptor)
            raise HomeLocked(
                f"Another process{f' (pid {pid})' if pid else ''} {_DOING[held_for]} the home {str(path.parent)!r}.",
                hint="stop it first, or choose another home with --home."
                if held_for == "serve"
                else "that takes moments; try again.",
            )
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, b"%d %b\n" % (os.getpid(), purpose.encode()))
        return cls(descriptor)

    @property
    def descriptor(self) -> int:
        """The open file; whoever inherits it holds the home as well, until all have let go of it."""
        assert self._descriptor is not None, "the lock is released"
        return self._descriptor

    def release(self) -> None:
        """Let go; a second release changes nothing. The file stays: removing it would race with the next holder."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


def holder(path: Path) -> int | None:
    """Return the pid of the process that holds this lock, 0 when it has not written it yet, `None` when nobody does."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return None  # no file, or not ours to open: then the store will not open either, and says why
    try:
        return None if _lock(descriptor, shared=True) else _read_note(descriptor)[0] or 0
    finally:
        os.close(descriptor)


def lock_in_time(descriptor: int, patience_s: float) -> bool:
    """Lock an open file for ourselves, if need be after waiting; whether that was done. Closing it lets go."""
    clock = SystemClock()
    until = clock.monotonic() + patience_s
    while not _lock_past_probes(descriptor):
        if clock.monotonic() >= until:
            return False
        Event().wait(_POLL_S)
    return True


def _lock_past_probes(descriptor: int) -> bool:
    clock = SystemClock()
    until = clock.monotonic() + _PATIENCE_S
    while not _lock(descriptor, shared=False):
        if sys.platform == "win32" or not _lock(descriptor, shared=True):
            return False  # a real owner
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # only somebody who looks (`holder`) is in the way
        if clock.monotonic() > until:
            return False
        Event().wait(_RETRY_S)
    return True


def _read_note(descriptor: int) -> tuple[int | None, Purpose]:
    """Return the holder's pid, where it has written it, and what it holds the home for."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    pid, _, purpose = os.read(descriptor, _NOTE_BYTES).strip().partition(b" ")
    return int(pid) if pid.isdigit() else None, "recovery" if purpose == b"recovery" else "serve"
