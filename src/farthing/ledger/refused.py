"""Attempts that the store will never take: set aside in a file, so that one of them cannot block the others.

It should never happen; but without this, one row that the database refuses would keep every later batch and every start
from succeeding. The file stands beside the journals, one JSON object a line with the reason and the whole attempt, and
`farthing ledger verify` shows it until the attempt is in the store. A line may stand there twice, where a recovery was
interrupted and begun again.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from farthing.storage.protocols import LedgerStore, RowsRefused
from farthing.types.calls import Attempt
from farthing.types.offload import Offload

NAME = "attempts.refused.jsonl"
FILE_MODE = 0o600
MAX_REASON = 500


class Refused(msgspec.Struct, frozen=True):
    """An attempt that the store refused; `shown` instead of it, where it cannot be written as JSON either."""

    attempt_id: str
    reason: str
    attempt: Attempt | None = None
    shown: str | None = None


async def post(
    store: LedgerStore, attempts: Sequence[Attempt], folder: Path, offload: Offload, holder: str = ""
) -> tuple[int, list[Refused]]:
    """Append the attempts, and set aside on the disk those that the store refuses alone; return how many were new.

    Halves a refused batch until the row is found: 20 tries for one in a thousand.

    Raises:
        StoreError: the store cannot be used; begin again with the same attempts.
        OSError: what was refused cannot be set aside; likewise.
    """
    try:
        return await store.append(attempts, holder), []
    except RowsRefused as error:
        if len(attempts) == 1:
            refused = Refused(attempts[0].opening.attempt_id, error.message[:MAX_REASON], attempts[0])
            await offload.run(lambda: _set_aside(folder / NAME, refused))
            return 0, [refused]
    middle = len(attempts) // 2
    new, refused_first = await post(store, attempts[:middle], folder, offload, holder)
    more, refused_then = await post(store, attempts[middle:], folder, offload, holder)
    return new + more, refused_first + refused_then


def read_refused(folder: Path) -> dict[str, Refused]:
    """Return what was set aside, by attempt id; a line that cannot be read stands under its place in the file."""
    try:
        lines = (folder / NAME).read_bytes().splitlines()
    except FileNotFoundError:
        return {}
    found: dict[str, Refused] = {}
    for number, line in enumerate(lines, 1):
        try:
            one = msgspec.json.decode(line, type=Refused)
        except msgspec.MsgspecError as error:
            one = Refused(f"{NAME}:{number}", f"cannot be read: {error}")
        found[one.attempt_id] = one
    return found


def _set_aside(path: Path, refused: Refused) -> None:
    try:
        line = msgspec.json.encode(refused)
    except (OverflowError, UnicodeEncodeError):  # what SQLite cannot take may be nothing that JSON can
        shown = Refused(ascii(refused.attempt_id), ascii(refused.reason), shown=ascii(refused.attempt))
        line = msgspec.json.encode(shown)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), FILE_MODE)
    try:
        with open(descriptor, "ab", closefd=False) as file:
            file.write(line + b"\n")
        os.fsync(descriptor)  # the journal's line goes afterwards
    finally:
        os.close(descriptor)
