"""Follows the journals of the other processes of a home, to tell what ends there while somebody watches.

Journals are there anyway and all of the home's processes may read them, so that who watches costs the others nothing:
no channel, no copy, no lock. What was read is dropped at once; only attempts that are under way are remembered, because
a short end line refers to its begin. A file is kept open until it is read to its end, so that one which is posted and
deleted meanwhile is not missed.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from farthing.ledger.journal import Line
from farthing.ledger.journal_reader import MAX_LINE_BYTES, boot_of, segments
from farthing.types.calls import Attempt, Opening

MAX_READ_BYTES = 8 << 20
"""Of one file at a look, a tenth of a second of a thread; ten workers at a hundred calls a second write 1 MB."""


class JournalFollower:
    """For one thread at a time. `pid` is whose journal is left out."""

    def __init__(self, folder: Path, pid: int) -> None:
        self._folder = folder
        self._own = f"-{pid}"
        self._tails: dict[Path, _Tail] = {}
        self._began = False

    def look(self) -> list[Attempt]:
        """Return what has ended since the look before; the first look only finds out what is under way."""
        for path in segments(self._folder):
            if path not in self._tails and not boot_of(path).endswith(self._own):
                try:
                    self._tails[path] = _Tail(path)
                except OSError:  # gone between two looks, or not ours to read: of no use to who watches
                    continue
        found = [attempt for tail in self._tails.values() for attempt in tail.ended()]
        for path in [path for path, tail in self._tails.items() if tail.at_end and not path.exists()]:
            self._tails.pop(path).close()
        if not self._began and all(tail.at_end for tail in self._tails.values()):
            self._began = True
            return []
        return found if self._began else []

    def close(self) -> None:
        """Let go of the files."""
        for tail in self._tails.values():
            tail.close()
        self._tails.clear()


class _Tail:
    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("rb")
        self._rest = b""
        self._begun: dict[str, Opening] = {}
        self._decode = msgspec.json.Decoder(Line).decode
        self.at_end = False

    def close(self) -> None:
        self._file.close()

    def ended(self) -> Iterator[Attempt]:
        """Yield the attempts whose ends have been written since."""
        data = self._file.read(MAX_READ_BYTES)
        self.at_end = len(data) < MAX_READ_BYTES
        *whole, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > MAX_LINE_BYTES:
            self._rest = b""  # damage; who posts the journal tells of it
        for raw in whole:
            if raw.strip() and (attempt := self._read(raw)) is not None:
                yield attempt

    def _read(self, raw: bytes) -> Attempt | None:
        try:
            line = self._decode(raw)
        except msgspec.MsgspecError:
            return None
        if line.begin is not None:
            self._begun[line.begin.attempt_id] = line.begin
        elif line.end is not None:
            opening = self._begun.pop(line.end.attempt_id, None)
            return None if opening is None else line.end.attempt(opening)
        elif line.ended is not None:
            self._begun.pop(line.ended.opening.attempt_id, None)
        return line.ended
