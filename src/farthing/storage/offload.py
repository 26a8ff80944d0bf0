"""One thread for blocking work, so that the event loop never waits for a disk.

One thread and not a pool, because SQLite has one writer anyway and work in order needs no locks. What surprised us:
`run_in_executor` takes work back when the waiting task is cancelled before the thread came to it. A batch of the ledger
must not vanish like that, so the wait is shielded.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from farthing.errors import StoreError

T = TypeVar("T")

MAX_WAITING = 64
"""Work items that may wait; the ledger has one batch under way and the keys one poll, so 64 is a jam, not a load."""


class ThreadOffload:
    """Runs blocking functions one at a time and in order on a thread of its own; see `types/offload.py`."""

    def __init__(self, name: str = "farthing-store", *, max_waiting: int = MAX_WAITING) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._free = asyncio.Semaphore(max_waiting)
        self._closed = False

    async def run(self, work: Callable[[], T]) -> T:
        """Return what `work` returns; waits while the queue is full.

        Raises:
            StoreError: the offload is closed.
        """
        await self._free.acquire()
        if self._closed:
            self._free.release()
            raise StoreError("The thread for blocking work is closed: the program is stopping.")
        future = asyncio.get_running_loop().run_in_executor(self._executor, work)
        future.add_done_callback(self._release)
        return await asyncio.shield(future)

    async def close(self) -> None:
        """Finish what was begun, then take nothing more; closing twice changes nothing."""
        if self._closed:
            return
        self._closed = True
        # The last item in the queue: once it has run, shutting down waits for nothing.
        await asyncio.get_running_loop().run_in_executor(self._executor, _nothing)
        self._executor.shutdown(wait=True)

    def _release(self, _: asyncio.Future[T]) -> None:
        self._free.release()


def _nothing() -> None:
    """Mark the end of the queue."""
