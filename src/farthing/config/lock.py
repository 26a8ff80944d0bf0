"""One process serves a home; this lock tells the second one so, and who the first one is.

The system drops the lock with the last process that held it, however it died, so there are no stale locks to clean up:
the pid and the purpose inside the file are for reading only. `flock` follows the open file: it is inherited only by
whom it is handed to, the workers of a home and the successor of a process that starts anew.

Three surprises. People remove lock files, and a new one at the same place is another file, which nobody has locked: who
believed it would post the calls that a living gateway is still answering. So the home's folder is locked as well, which
nobody removes by mistake, and the gateway makes its file again. The pid in the file may be dead while its workers hold
the home, so who is refused is told who really does. And Windows locks bytes against reading too (there the locked byte
lies far behind the pid), locks no folders, and lets nobody remove a file that is open.
"""

import os
import sys
from collections.abc import Callable, MutableMapping
from contextlib import ExitStack
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import Literal, Self

import msgspec

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

    def _open_folder(folder: Path) -> int | None:
        """Windows locks no folders."""
        del folder
        return None

else:
    import fcntl

    def _open_folder(folder: Path) -> int | None:
        """Open a folder that is to be locked; `None` where its file system locks no folders, as some of networks do.

        Raises:
            OSError: it cannot be opened.
        """
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        except BlockingIOError:
            pass  # somebody has it
        except OSError:
            os.close(descriptor)
            return None
        return descriptor

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

HANDED_OVER = "FARTHING_HELD_LOCK"
"""The variable by which a process that becomes its successor names the open files that hold the home."""
_HANDED_OVER_FROM = 10
"""Those files lie from here on: the one before them is where a listening socket is handed over."""

_NOTE_BYTES = 32  # a pid has at most ten digits; whatever else is in there is not ours
_RUNNING_BYTES = 1 << 20  # as much as is read of it elsewhere
_PATIENCE_S = 1.0  # a probe lasts microseconds, or a time slice or two where its process is put aside meanwhile
_RETRY_S = 0.001
_POLL_S = 0.02
_MOST_NAMED = 8  # so many holders are named in a message; there are as many as workers


class HomeLock:
    """Holds the home until `release`, or until the process and those that it gave its `descriptors` have ended."""

    def __init__(self, path: Path, descriptor: int, folder: int | None) -> None:
        self._path = path
        self._descriptor: int | None = descriptor
        self._folder = folder

    @classmethod
    def acquire(cls, path: Path, purpose: Purpose = "serve", *, patience_s: float = 0) -> Self:
        """Take the lock at `path`, if need be after waiting, and write into it who we are and what for.

        Raises:
            HomeLocked: another process holds it.
            StoreError: the file cannot be used; nobody is said to hold it.
        """
        with ExitStack() as opened:
            try:
                folder = _open_folder(path.parent)
                if folder is not None:
                    opened.callback(os.close, folder)
                # The folder first: where the file was removed, nobody may find a new one, not even for a moment.
                taken = folder is None or lock_in_time(folder, patience_s)
                descriptor = open_lock_file(path) if taken else None
                if descriptor is not None:
                    opened.callback(os.close, descriptor)
                    taken = lock_in_time(descriptor, patience_s)
                    if taken:
                        _write_note(descriptor, purpose)
            except OSError as error:
                raise StoreError(
                    f"The lock {str(path)!r} cannot be opened: {error.strerror}.", hint=way_out(error, path.parent)
                ) from error
            if descriptor is None or not taken:
                raise _refusal(path)
            opened.pop_all()
        return cls(path, descriptor, folder)

    @classmethod
    def handed_over(cls, path: Path, environment: MutableMapping[str, str]) -> Self | None:
        """Return the lock that we held before we became what we are (see `hand_over`), or `None`."""
        owner, _, numbers = environment.pop(HANDED_OVER, "").partition(":")
        if owner != str(os.getpid()):
            return None  # none, or meant for the process that started us
        descriptor, folder = (int(number) if number else None for number in numbers.split(","))
        assert descriptor is not None, "there is always a file"
        for one in (descriptor, folder):
            if one is not None:
                os.set_inheritable(one, False)  # noqa: FBT003 - the os module's own signature
        lock = cls(path, descriptor, folder)
        if folder is not None and not _is_same(
            folder, path.parent.resolve()
        ):  # the command line names another home now
            lock.release()
            return None
        return lock

    @property
    def descriptors(self) -> tuple[int, ...]:
        """The open files; whoever inherits them holds the home as well, until all have let go of them."""
        assert self._descriptor is not None, "the lock is released"
        return (self._descriptor,) if self._folder is None else (self._descriptor, self._folder)

    def hand_over(self, environment: MutableMapping[str, str]) -> None:
        """Have the program that this process becomes next find the lock: it is let go of at no moment."""
        if sys.platform == "win32":
            raise NotImplementedError
        moved = [fcntl.fcntl(one, fcntl.F_DUPFD, _HANDED_OVER_FROM) for one in self.descriptors]  # these are inherited
        environment[HANDED_OVER] = f"{os.getpid()}:{moved[0]},{moved[1] if len(moved) > 1 else ''}"

    def keep(self) -> bool:
        """Make the file again where it was removed or replaced, so that others see who we are; whether it was needed.

        Raises:
            HomeLocked: there is another one by now, and another process has locked it.
            OSError: it cannot be made.
        """
        assert self._descriptor is not None, "the lock is released"
        if _is_same(self._descriptor, self._path):
            return False
        made = open_lock_file(self._path)
        try:
            if not _lock_past_probes(made):
                raise _refusal(self._path)
            _write_note(made, "serve")
            # In the old one's place: its number may just be handed to a worker that starts.
            os.dup2(made, self._descriptor, inheritable=False)
        finally:
            os.close(made)
        return True

    def release(self) -> None:
        """Let go; a second release changes nothing. The file stays: removing it would race with the next holder."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        if self._folder is not None:
            os.close(self._folder)
            self._folder = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


def holder(path: Path) -> int | None:
    """Return the pid of the process that holds this lock, 0 when it is not known, `None` when nobody holds it."""
    file_held = _is_held(lambda: os.open(path, os.O_RDWR))
    if file_held or _is_held(lambda: _open_folder(path.parent)):
        return _noted(path, file_held=file_held)[0] or 0
    return None


def _is_held(open_it: Callable[[], int | None]) -> bool:
    try:
        descriptor = open_it()
    except OSError:
        return False  # not there, or not ours to open: then the store will not open either, and says why
    if descriptor is None:
        return False
    try:
        return not _lock(descriptor, shared=True)
    finally:
        os.close(descriptor)


def _is_same(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat(follow_symlinks=False))
    except FileNotFoundError:
        return False


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


def _write_note(descriptor: int, purpose: Purpose) -> None:
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, b"%d %b\n" % (os.getpid(), purpose.encode()))


def _noted(path: Path, *, file_held: bool) -> tuple[int | None, Purpose]:
    """Return the holder's pid, where it has written it, and what it holds the home for.

    A lock file that nobody holds is not the holder's: then it counts what the gateway says of itself beside it.
    """
    if not file_held:
        try:
            with path.with_name("running.json").open("rb") as file:
                return msgspec.json.decode(file.read(_RUNNING_BYTES), type=_Pid).pid, "serve"
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            pass  # who has held it a moment ago is told
    try:
        with path.open("rb") as file:
            pid, _, purpose = file.read(_NOTE_BYTES).strip().partition(b" ")
    except OSError:
        return None, "serve"
    return int(pid) if pid.isdigit() else None, "recovery" if purpose == b"recovery" else "serve"


class _Pid(msgspec.Struct, frozen=True):
    """What is read here of `running.json`."""

    pid: int


def _refusal(path: Path) -> HomeLocked:
    """Return what to tell who wanted a home that is held: by whom really, and what to do."""
    file_held = _is_held(lambda: os.open(path, os.O_RDWR))
    noted, held_for = _noted(path, file_held=file_held)
    really = _holders(path)
    home = str(path.parent)
    pid = next((one for one, called in really.items() if noted in (None, called)), noted)
    if noted is not None and noted != os.getpid() and noted not in really.values():
        if really:
            names = [str(one) for one in list(really)[:_MOST_NAMED]]
            return HomeLocked(
                f"The gateway of the home {home!r} (pid {noted}) is gone, but workers that it started still hold it"
                f" (pid {', '.join(names)}).",
                hint="they end when their last answers are out; one that hangs has to be killed:"
                f" kill -9 {' '.join(names)}. Then start again.",
            )
        if not _is_alive(noted):
            return HomeLocked(
                f"The home {home!r} is held by processes that cannot be seen from here; pid {noted} took it.",
                hint="that one runs in another container or account, or is gone while its workers end their answers.",
            )
    told = f"Another process{f' (pid {pid})' if pid else ''} {_DOING[held_for]} the home {home!r}"
    if not file_held and not path.exists():
        told += ", whose lock file was removed"
    return HomeLocked(
        f"{told}.",
        hint="stop it first, or choose another home with --home."
        if held_for == "serve"
        else "that takes moments; try again.",
    )


def _is_alive(pid: int) -> bool:
    if sys.platform == "win32":
        return True  # there the lock ends with the process that took it, and signal 0 would end that
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # another account's
    return True


def _holders(path: Path) -> dict[int, int]:
    """Return who has the home's folder open, where the system tells (Linux, one's own processes); not ourselves.

    By their pids here; each with the one that it has in its own eyes, which is another in a container.
    """
    found = {}
    try:
        folder = path.parent.stat()
        processes = [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - only names
    except OSError:
        return {}
    for pid in sorted(processes):
        try:
            with os.scandir(f"/proc/{pid}/fd") as files:
                if pid != os.getpid() and any(_is_file(one, folder) for one in files):
                    found[pid] = _own_pid(pid)
        except OSError:
            continue  # it has ended, or is another account's
    return found


def _own_pid(pid: int) -> int:
    with Path(f"/proc/{pid}/status").open(encoding="utf-8") as file:
        numbers = next((line.split()[1:] for line in file if line.startswith("NSpid:")), [])
    return int(numbers[-1]) if numbers else pid


def _is_file(entry: "os.DirEntry[str]", wanted: os.stat_result) -> bool:
    try:
        return os.path.samestat(entry.stat(), wanted)
    except OSError:
        return False  # closed meanwhile
