"""The worker's journal: one line per event of an attempt, on its way to the disk before the bytes that depend on it.

A record is one `os.write` to a file opened with O_APPEND: once it returns, the record survives `kill -9`, because it
lies in the kernel (3 us; an fsync would cost a thousand). It does not survive the power going off before the kernel has
written it out, which may take half a minute. Only the store fsyncs. So a power cut can lose what is not committed there
yet: about 50 ms and a commit of calls in daily life, and everything queued or spilled while the database is away.

Lines are JSON objects with one member:

    {"begin": Opening}         before the first byte goes upstream
    {"checkpoint": Progress}   at most once a second while a stream flows
    {"end": Ending}            an attempt whose begin line stands in the same file
    {"ended": Attempt}         an attempt begun in an earlier file: whole, so that each file speaks for itself

Blank lines are what a probe left. The journal is cut into segments so that what has been posted can be deleted. While
the store is away nothing can be, so the segments together have a bound: at it nothing more begins (503), while what is
under way still ends in the journal.
"""

import os
from pathlib import Path
from typing import Protocol

import msgspec

from farthing.errors import JournalUnwritable
from farthing.types.calls import Attempt, CostBasis, Opening, Outcome, Progress
from farthing.types.usage import Usage

SUFFIX = ".journal"
FILE_MODE = 0o600
FOLDER_MODE = 0o700
MAX_SEGMENT_BYTES = 16 << 20
"""About 16,000 calls. Small enough to read in a fifth of a second, large enough that files are made rarely."""

MAX_JOURNAL_BYTES = 4 << 30
"""All segments together: four million calls, or eleven hours without a store at a hundred calls a second. Whoever has
not mended the database by then learns it from calls that are refused, not from a full disk."""

MAX_BEGIN_BYTES = 64 << 10
"""An opening with every attribution header there is takes 2 KB; a request whose line is longer is refused."""
MAX_RECORD_BYTES = 128 << 10
"""An opening, and an ending whose texts were cut; far below what readers take for damage."""

_PROBE = b" " * 4095 + b"\n"  # as large as our largest ordinary record; a blank line to readers
_MAX_NAME_TRIES = 1000  # names collide only in a simulator, where clock and pid stand still


class Ending(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """An `Attempt` less its opening, which the journal has already."""

    attempt_id: str
    ended_at_us: int
    outcome: Outcome
    usage: Usage
    cost_basis: CostBasis
    http_status: int | None = None
    cost_nanousd: int | None = None
    price_id: str | None = None
    reported_cost_nanousd: int | None = None
    model_served: str | None = None
    service_tier: str | None = None
    first_output_us: int | None = None
    upstream_request_id: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    losses: str | None = None

    @classmethod
    def of(cls, attempt: Attempt) -> "Ending":
        """Return how an attempt ended; field by field by their names takes twice as long."""
        opening, ended_at_us, outcome, status, usage, cost, basis, price, *rest = msgspec.structs.astuple(attempt)
        return cls(opening.attempt_id, ended_at_us, outcome, usage, basis, status, cost, price, *rest)

    def attempt(self, opening: Opening) -> Attempt:
        """Return the whole attempt."""
        fields = msgspec.structs.asdict(self)
        del fields["attempt_id"]
        return Attempt(opening=opening, **fields)


class Line(msgspec.Struct, frozen=True):
    """A journal line; exactly one member is there."""

    begin: Opening | None = None
    checkpoint: Progress | None = None
    end: Ending | None = None
    ended: Attempt | None = None


class RecordTooLong(Exception):
    """A record is beyond its bound; nothing of it was written."""


class Files(Protocol):
    """The system calls that a journal makes; a test puts a full disk here."""

    def open(self, path: Path) -> int:
        """Make a new file for appending, for our eyes only; FileExistsError where there is one."""
        ...

    def write(self, descriptor: int, data: bytes) -> int:
        """Append; return how many bytes were taken."""
        ...

    def truncate(self, descriptor: int, length: int) -> None:
        """Cut the file."""
        ...

    def close(self, descriptor: int) -> None:
        """Let go."""
        ...

    def identity(self, at: int | Path) -> tuple[int, int] | None:
        """Return which file that is, by device and number, of a descriptor or a path; `None` where there is none."""
        ...


class SystemFiles:
    """The system's own calls."""

    def open(self, path: Path) -> int:
        """See `Files.open`."""
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), FILE_MODE)

    write = staticmethod(os.write)
    truncate = staticmethod(os.ftruncate)
    close = staticmethod(os.close)

    def identity(self, at: int | Path) -> tuple[int, int] | None:
        """See `Files.identity`."""
        try:
            found = os.stat(at)  # noqa: PTH116 - of a path or a descriptor
        except OSError:
            return None
        return found.st_dev, found.st_ino


class Segment:
    """One journal file.

    `holds` counts the attempts whose begin, last checkpoint or end stands here and which are not posted yet; `spilled`
    says that it has ends which only a reader can find again. With neither it may go.
    """

    __slots__ = ("holds", "identity", "path", "size_bytes", "spilled")

    def __init__(self, path: Path, identity: tuple[int, int] | None) -> None:
        self.path = path
        self.identity = identity
        self.holds = 0
        self.spilled = False
        self.size_bytes = 0


class Journal:
    """Appends records to this process's own segments. Not for several threads.

    `boot` names the process: its start and its pid, so that names sort by time and none is used twice.
    """

    def __init__(
        self,
        folder: Path,
        boot: str,
        *,
        max_segment_bytes: int = MAX_SEGMENT_BYTES,
        max_bytes: int = MAX_JOURNAL_BYTES,
        files: Files | None = None,
    ) -> None:
        self._folder = folder
        self._boot = boot
        self._max_segment_bytes = max_segment_bytes
        self._max_bytes = max_bytes
        self._files: Files = files or SystemFiles()
        self._write = self._files.write
        self._encode = msgspec.json.Encoder().encode
        self._descriptor = -1
        self._sequence = 0
        self._torn = False
        self._room_bytes = 0
        """What the current segment may still take; 0 where the next line has to look for one."""
        self._closed = False
        self.writable = False  # until the first probe
        self.full = False  # looked at where a segment begins and where some are taken away
        self.segment: Segment | None = None
        self.segments: list[Segment] = []

    def begin(self, opening: Opening) -> Segment:
        """Write a begin line; return the segment it stands in.

        Raises:
            JournalUnwritable: it could not be written; nothing of it is left in the file.
            RecordTooLong: it was not written, because it is longer than MAX_BEGIN_BYTES.
            UnicodeEncodeError: it was not written, because a text is no Unicode.
        """
        if self.full:
            raise _full(self._folder, self._max_bytes)
        line = b'{"begin":' + self._encode(opening) + b"}\n"
        if len(line) > MAX_BEGIN_BYTES:
            raise RecordTooLong
        return self._append(line)

    def checkpoint(self, progress: Progress) -> Segment:
        """Write a checkpoint line; otherwise as `begin`."""
        return self._append(b'{"checkpoint":' + self._encode(progress) + b"}\n")

    def end(self, attempt: Attempt, begun_in: Segment) -> Segment:
        """Write an end line; short where the attempt was begun in the current segment, whole elsewhere."""
        if self._room_bytes <= 0:
            self._find_room()
        if begun_in is not self.segment:
            return self._append(b'{"ended":' + self._encode(attempt) + b"}\n")
        return self._append(b'{"end":' + self._encode(Ending.of(attempt)) + b"}\n")

    def probe(self) -> bool:
        """Try to write when writing had failed; return whether the journal is writable now."""
        if not self.writable:
            try:
                segment = self._append(_PROBE)
            except JournalUnwritable:
                return False
            try:
                self._files.truncate(self._descriptor, segment.size_bytes - len(_PROBE))
                segment.size_bytes -= len(_PROBE)
                self._room_bytes += len(_PROBE)
            except OSError:
                pass  # it stays behind as a blank line
        return self.writable

    def close(self) -> None:
        """Let go of the current segment's file; nothing can be written afterwards, so it too can be `finished`."""
        self.writable = False
        self._closed = True
        self.segment, self._room_bytes = None, 0
        self._let_go()

    def finished(self) -> list[Segment]:
        """Take and return the segments that nothing will be written to and nothing is awaited from."""
        finished = [one for one in self.segments if one.holds == 0 and not one.spilled and one is not self.segment]
        if finished:
            self.segments = [one for one in self.segments if one not in finished]
            self._look_whether_full()
        return finished

    def is_lost(self, segment: Segment) -> bool:
        """Return whether the segment's file is gone from its path, or another stands there. For any thread."""
        return segment.identity is not None and self._files.identity(segment.path) != segment.identity

    def abandon(self, segment: Segment) -> None:
        """Write no more into a segment that is lost; the next record, or a probe, begins a new one."""
        if segment is self.segment:
            self.segment, self._room_bytes, self._torn, self.writable = None, 0, False, False
            self._let_go()

    def _append(self, line: bytes) -> Segment:
        size = len(line)
        if size > MAX_RECORD_BYTES:
            raise RecordTooLong
        if self._room_bytes <= 0:
            self._find_room()
        segment = self.segment
        assert segment is not None, "there is room in it"
        try:
            written = self._write(self._descriptor, line)
        except OSError as error:
            self.writable = False
            raise _unwritable(self._folder, error.strerror or str(error)) from error
        if written != size:
            # A full disk takes part of a line. That part must go, or it would spoil the next line.
            self.writable = False
            self._torn, self._room_bytes = True, 0
            raise _unwritable(self._folder, f"only {written} of {size} bytes were taken, as on a full disk")
        segment.size_bytes += size
        self._room_bytes -= size
        self.writable = True
        return segment

    def _find_room(self) -> None:
        """Find the segment that the next line goes to: the one there is, mended, or a new one."""
        segment = self.segment
        if segment is not None and self._torn:
            try:
                self._files.truncate(self._descriptor, segment.size_bytes)
            except OSError:
                pass  # then it keeps its torn last line, which readers tolerate, and a new one is begun
            else:
                self._torn = False
                self._room_bytes = self._max_segment_bytes - segment.size_bytes
                if self._room_bytes > 0:
                    return
        if self._closed:
            raise _unwritable(self._folder, "it is closed, the program is stopping")
        try:
            path, descriptor = self._make_file()
        except OSError as error:
            self.writable = False
            raise _unwritable(self._folder, error.strerror or str(error)) from error
        self._let_go()
        self._descriptor, self._torn = descriptor, False
        self.segment = Segment(path, self._files.identity(descriptor))
        self._room_bytes = self._max_segment_bytes
        self.segments.append(self.segment)
        self._look_whether_full()

    def _look_whether_full(self) -> None:
        self.full = sum(segment.size_bytes for segment in self.segments) >= self._max_bytes

    def _make_file(self) -> tuple[Path, int]:
        for _ in range(_MAX_NAME_TRIES):
            self._sequence += 1
            path = self._folder / f"{self._boot}-{self._sequence:06d}{SUFFIX}"
            try:
                return path, self._files.open(path)
            except FileExistsError:
                continue
            except FileNotFoundError:  # the folder was removed; made again, the next name finds it
                self._folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        raise OSError(f"{_MAX_NAME_TRIES} names beginning with {self._boot!r} are taken")

    def _let_go(self) -> None:
        if self._descriptor >= 0:
            self._files.close(self._descriptor)
            self._descriptor = -1


def _unwritable(folder: Path, reason: str) -> JournalUnwritable:
    return _refused(
        folder,
        f"cannot be written: {reason}. Nothing is forwarded that could not be billed.",
        hint="make room, or check who owns the folder; the journal is tried again every second.",
        retry_after_s=1,
    )


def _full(folder: Path, max_bytes: int) -> JournalUnwritable:
    return _refused(
        folder,
        f"has reached its bound of {max_bytes:,} bytes, because the ledger's database takes nothing. Nothing is"
        " forwarded that could not be billed.",
        hint='mend the database ("farthing doctor" tells what is wrong with it); calls are taken again by themselves.',
        retry_after_s=5,
    )


def _refused(folder: Path, why: str, *, hint: str, retry_after_s: int) -> JournalUnwritable:
    """Return the error; clients are told why, and not where the journal is."""
    error = JournalUnwritable(f"The journal in {str(folder)!r} {why}", hint=hint, retry_after_s=retry_after_s)
    error.public = f"The journal {why}".replace(str(folder), "its folder")
    return error
