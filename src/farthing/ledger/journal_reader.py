"""Reads journals: those of dead processes to post them, those of a living one to see whether the store has caught up.

A file's last line may be torn: the process died in the middle of a write, or the power went. Whatever else cannot be
read is reported with file and line, and the rest of the file is read all the same: one bad line must not hide the money
in the others.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from farthing.ledger.journal import SUFFIX, Line
from farthing.types.calls import Attempt, Opening, Progress

MAX_LINE_BYTES = 4 << 20
"""No record of ours comes near it: headers and error messages are bounded. A longer line is damage, read in pieces."""

_decoder = msgspec.json.Decoder(Line)


class Damage(msgspec.Struct, frozen=True):
    """A line that cannot be read: file, line number from 1, and why."""

    path: Path
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.path.name}:{self.line}: {self.reason}"


class Ended(msgspec.Struct, frozen=True):
    """An attempt's end, read in this file."""

    path: Path
    attempt: Attempt


class InFlight(msgspec.Struct, frozen=True):
    """An attempt that was begun and has no end in any of the files; `progress` is the last of its `checkpoints`."""

    opening: Opening
    progress: Progress | None
    checkpoints: int = 0


def segments(folder: Path, pid: int | None = None) -> list[Path]:
    """Return the journal's files, or those of one process, oldest first; an empty list where there is no folder."""
    return sorted(folder.glob(f"*{SUFFIX}" if pid is None else f"*-{pid}-*{SUFFIX}"))


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
                begun[line.begin.attempt_id] = InFlight(line.begin, None)
            elif line.checkpoint is not None:
                seen = begun.get(line.checkpoint.attempt_id)
                if seen is not None:
                    begun[line.checkpoint.attempt_id] = InFlight(seen.opening, line.checkpoint, seen.checkpoints + 1)
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


def _lines(path: Path) -> Iterator[tuple[int, Line | str]]:
    """Yield (number, line), where the line is its damage in words if it cannot be read."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        number = 0
        while raw := file.readline(MAX_LINE_BYTES):
            number += 1
            whole = raw.endswith(b"\n")
            if whole and raw.isspace():
                continue
            try:
                yield number, _decoder.decode(raw)
            except msgspec.MsgspecError as error:
                if not whole and len(raw) < MAX_LINE_BYTES:
                    return  # the torn last line; nothing that depends on it was let out
                yield number, f"cannot be read: {error}"
