"""Reads journals: those of dead processes to post them, those of a living one to see whether the store has caught up.

A file's last line may be torn: the process died in the middle of a write, or the power went. Whatever else cannot be
read is reported with file and line, and the rest of the file is read all the same: one bad line must not hide the money
in the others. So is a whole file that cannot be: what its attempts came to is not known then, but may be later, when
the file was given back to whom it belongs.
"""

import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from farthing.ledger.journal import SUFFIX, Line
from farthing.types.calls import Attempt, Opening, Progress

MAX_LINE_BYTES = 4 << 20
"""No record of ours comes near it: headers and error messages are bounded. A longer line is damage, read in pieces."""

_WAY_OUT = "give it to the account that Farthing runs as, and start again; its calls are posted then"

_decoder = msgspec.json.Decoder(Line)


class Damage(msgspec.Struct, frozen=True):
    """A line that cannot be read, by its number from 1, or a whole file, with 0; and why."""

    path: Path
    line: int
    reason: str

    @property
    def place(self) -> str:
        """Where it is: the file's name, and the line where it is one."""
        return f"{self.path.name}:{self.line}" if self.line else self.path.name

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


class Ended(msgspec.Struct, frozen=True):
    """An attempt's end, read in this file."""

    path: Path
    attempt: Attempt


class InFlight(msgspec.Struct, frozen=True):
    """An attempt that was begun and has no end in any of the files; `progress` is the last of its `checkpoints`.

    `path` is the file in which it was begun last.
    """

    opening: Opening
    progress: Progress | None
    checkpoints: int = 0
    path: Path | None = None


def segments(folder: Path, pid: int | None = None) -> list[Path]:
    """Return the journal's files, or those of one process, oldest first; an empty list where there is no folder."""
    return sorted(folder.glob(f"*{SUFFIX}" if pid is None else f"*-{pid}-*{SUFFIX}"))


def boot_of(path: Path) -> str:
    """Return what the names of one process's files begin with; see `Journal`."""
    return path.name.rpartition("-")[0]


def read(paths: Iterable[Path]) -> Iterator[Ended | Damage | InFlight]:
    """Yield every end and every damage as they come, and at last the attempts that have no end.

    A file that is gone has been posted, and is passed over. Needs memory for the attempts in flight, not for the file.
    """
    begun: dict[str, InFlight] = {}
    for path in paths:
        openings: dict[str, Opening] = {}  # of this file: a short end line refers to nothing else
        for number, line in _lines(path):
            if isinstance(line, str):
                yield Damage(path, number, line)
            elif line.begin is not None:
                openings[line.begin.attempt_id] = line.begin
                begun[line.begin.attempt_id] = InFlight(line.begin, None, path=path)
            elif line.checkpoint is not None:
                seen = begun.get(line.checkpoint.attempt_id)
                if seen is not None:
                    begun[line.checkpoint.attempt_id] = InFlight(
                        seen.opening, line.checkpoint, seen.checkpoints + 1, seen.path
                    )
            elif line.ended is not None:
                begun.pop(line.ended.opening.attempt_id, None)
                yield Ended(path, line.ended)
            elif line.end is not None:
                opening = openings.pop(line.end.attempt_id, None)
                if opening is None:
                    yield Damage(path, number, f"the end of {line.end.attempt_id!r} without its begin")
                else:
                    begun.pop(line.end.attempt_id, None)
                    yield Ended(path, line.end.attempt(opening))
            else:
                yield Damage(path, number, "a line of a kind that this program does not know")
    yield from begun.values()


def unreadable(paths: Iterable[Path]) -> list[Damage]:
    """Return which of these files cannot be read as a whole; the lines of the others are not looked at."""
    return [Damage(path, 0, why) for path in paths if (why := _why_not_opened(path)) is not None]


def _why_not_opened(path: Path) -> str | None:
    try:
        # Asked before it is opened: a pipe that somebody called a journal would be waited for until it is written to.
        if not stat.S_ISREG(path.stat().st_mode):
            return "is no file; move it out of the journal's folder"
        path.open("rb").close()
    except FileNotFoundError:
        return None  # it was posted
    except OSError as error:
        return f"cannot be read: {error.strerror or error}; {_WAY_OUT}"
    return None


def _lines(path: Path) -> Iterator[tuple[int, Line | str]]:
    """Yield (number, line), where the line is its damage in words if it cannot be read; 0 is the whole file."""
    number = 0
    if (why := _why_not_opened(path)) is not None:
        yield 0, why
        return
    try:
        with path.open("rb") as file:
            while raw := file.readline(MAX_LINE_BYTES):
                number += 1
                whole = raw.endswith(b"\n")
                if whole and raw.isspace():
                    continue
                try:
                    line: Line | str = _decoder.decode(raw)
                except msgspec.MsgspecError as error:
                    if not whole and len(raw) < MAX_LINE_BYTES:
                        return  # the torn last line; nothing that depends on it was let out
                    line = f"cannot be read: {error}"
                yield number, line
    except FileNotFoundError:
        return
    except OSError as error:
        yield 0, f"cannot be read from line {number + 1} on: {error.strerror or error}; check the disk"
