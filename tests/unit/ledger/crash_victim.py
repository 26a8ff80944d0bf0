"""A process with a ledger, killed at a named point: `python crash_victim.py HOME POINT`.

It prints the ids of the attempts that it has told somebody about (whose settle returned), then kills itself, so that
the test can ask for exactly those afterwards.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import msgspec

from farthing.ledger import Ledger
from farthing.storage.offload import ThreadOffload
from farthing.storage.sqlite import SqliteStore
from farthing.types.calls import Attempt, Progress
from farthing.types.usage import Usage
from tests.contracts.ledger_samples import SetClock, attempt, opening

MANY = 700


def die() -> NoReturn:
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still alive")


class DiesPosting(SqliteStore):
    """Dies in the middle of a batch: its rows are inserted, nothing is committed."""

    async def append(self, attempts: Sequence[Attempt], holder: str = "") -> int:
        if attempts:
            assert self.connections.writer is not None
            self.connections.writer.exec_trace = lambda _, sql, __: "INTO daily_totals" not in sql or die()
        return await super().append(attempts, holder)


class DiesPosted(SqliteStore):
    """Dies right after a commit, before the ledger hears of it."""

    async def append(self, attempts: Sequence[Attempt], holder: str = "") -> int:
        new = await super().append(attempts, holder)
        if new:
            die()
        return new


async def main(home: Path, point: str) -> None:
    kind = {"posting": DiesPosting, "posted": DiesPosted}.get(point, SqliteStore)
    store = kind(home / "farthing.db", ThreadOffload())
    await store.open()
    ledger = Ledger(store, home, SetClock(), ThreadOffload(), max_segment_bytes=64_000)
    await ledger.start()
    ledger.begin(opening(1))
    if point == "begun":
        die()
    usage = Usage(input_tokens=50, output_tokens=40)
    checkpoint = Progress("att_000001", opening(1).started_at_us + 2_000_000, usage, 400, "p")
    ledger.checkpoint(checkpoint)
    if point == "checkpointed":
        die()
    if point == "torn":
        assert ledger._journal.segment is not None
        with ledger._journal.segment.path.open("ab") as file:
            file.write(b'{"end":' + msgspec.json.encode(attempt(1))[:100])
        die()
    settle(ledger, attempt(1))
    if point == "settled":
        die()
    for number in range(2, MANY):
        ledger.begin(opening(number))
        settle(ledger, attempt(number))
    ledger.begin(opening(MANY))
    await asyncio.sleep(30)  # dies before: in the store


def settle(ledger: Ledger, ended: Attempt) -> None:
    ledger.settle(ended)
    print(ended.opening.attempt_id)  # noqa: T201 - what the test reads: this attempt was answered


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
