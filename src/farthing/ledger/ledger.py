"""The live end of the ledger: begin, checkpoint, settle, each a journal line; the store follows in batches.

The three hot methods are plain calls, because nothing in them waits: a journal line is one `os.write`, and what a
settled attempt still needs is a place in a queue. One task carries the queue to the store, many attempts to a commit
(90 us a row one by one, 7 us by the hundred).

When the store is away, attempts wait in the queue and are tried again. When the queue is full, further attempts are
left to the journal alone ("spilled") and read back from there once the store is back: memory stays bounded, and nothing
is lost.
"""

import asyncio
import logging
import os
from collections import deque
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import msgspec

from farthing.clock import Clock
from farthing.errors import InvalidRequest, JournalUnwritable, StoreError
from farthing.events import News
from farthing.ledger.bounds import MAX_COST_NANOUSD, MAX_COUNT, all_counts, bounded, bounded_progress, with_plain_texts
from farthing.ledger.journal import (
    MAX_JOURNAL_BYTES,
    MAX_SEGMENT_BYTES,
    Files,
    Journal,
    RecordTooLong,
    Segment,
)
from farthing.ledger.journal_reader import Damage
from farthing.ledger.recovery import (
    THIS_HOME,
    PriceAtCrash,
    Recovered,
    holder_name,
    no_price,
    post_ends,
    recover,
    remove,
)
from farthing.ledger.refused import NAME as REFUSED_NAME
from farthing.ledger.refused import Refused, post
from farthing.storage.protocols import BudgetStore, LedgerStore
from farthing.types.calls import Attempt, Opening, Progress
from farthing.types.offload import Offload

log = logging.getLogger(__name__)

FLUSH_ROWS = 1024
"""A batch of this size goes at once; with 256 the process spends 60 us on a call, so 55 (2026-11)."""
LINGER_S = 0.05
"""How long the first attempt of a batch waits for company; `farthing costs` may lag by as much."""
MAX_BATCH_ROWS = 1024
"""Most rows in a commit: about 6 ms of the store's thread."""
MAX_QUEUED = 8192
"""Attempts held in memory for the store, about 16 MB; at 10,000 calls a second the store may pause for 0.8 s."""
FIRST_BACKOFF_S, LAST_BACKOFF_S = 0.05, 5.0
PROBE_S = 1.0
"""How often an unwritable journal is tried, whether or not a call asks for it."""
CLOSE_TIMEOUT_S = 10.0
"""How long `close` waits for the store; what is not posted by then waits in the journal for the next start."""
_LOOK_AGAIN_S = 0.005
"""How often whoever waits for the store looks; a commit takes a millisecond or two."""
WATCH_S = 1.0
"""How often is looked whether database and journal still stand where the next start would look for them."""


class _InFlight(msgspec.Struct, eq=False):
    """An attempt between begin and settle, and the segments its begin and its last checkpoint stand in."""

    opening: Opening
    begun_in: Segment
    latest: Segment


class Ledger:
    """Records every attempt once. Its methods belong to one event loop's thread."""

    def __init__(
        self,
        store: LedgerStore,
        journal_folder: Path,
        clock: Clock,
        offload: Offload,
        *,
        price_at_crash: PriceAtCrash = no_price,
        max_queued: int = MAX_QUEUED,
        max_segment_bytes: int = MAX_SEGMENT_BYTES,
        max_journal_bytes: int = MAX_JOURNAL_BYTES,
        files: Files | None = None,
        recovers: bool = True,
        budgets: BudgetStore | None = None,
        home: str = THIS_HOME,
    ) -> None:
        """Without `recovers` the journals of others are left alone: somebody else looks after them."""
        began_us = clock.now_us()
        self.holder = holder_name(home, os.getpid(), began_us)
        """The name under which this process leases from budgets."""
        self._home = home
        self._budgets = budgets
        self._store = store
        self._recovers = recovers
        self._folder = journal_folder
        self._clock = clock
        self._offload = offload
        self._price_at_crash = price_at_crash
        self._max_queued = max_queued
        boot = f"{began_us:016d}-{os.getpid()}"
        self._journal = Journal(
            journal_folder, boot, max_segment_bytes=max_segment_bytes, max_bytes=max_journal_bytes, files=files
        )
        self._in_flight: dict[str, _InFlight] = {}
        self._queue: deque[tuple[Attempt, Segment]] = deque()
        self._posted = 0
        self._wake = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._prober: asyncio.TimerHandle | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._store_gone = False
        self._in_memory_only: set[str] = set()
        self.call_finished: News[Attempt] = News()
        self.refused = 0
        self.store_ok = True
        self.store_error: str | None = None
        self.damage: list[Damage] = []

    @property
    def journal_writable(self) -> bool:
        """Whether calls may be forwarded."""
        return self._journal.writable and not self._journal.full

    @property
    def in_flight(self) -> int:
        """Attempts begun and not settled."""
        return len(self._in_flight)

    @property
    def under_way(self) -> list[Opening]:
        """The attempts begun and not settled."""
        return [attempt.opening for attempt in self._in_flight.values()]

    @property
    def queued(self) -> int:
        """Settled attempts in memory that the store has not."""
        return len(self._queue)

    @property
    def in_memory_only(self) -> int:
        """Those of the queued whose end could not be journaled: without the store they are lost with the process."""
        return len(self._in_memory_only)

    @property
    def spilled(self) -> bool:
        """Whether settled attempts wait in the journal alone, because the queue was full."""
        return any(segment.spilled for segment in self._journal.segments)

    async def start(self) -> Recovered:
        """Post what earlier processes left, then be ready; return what was found.

        The caller holds the home's lock, or is one of several under the process that does.

        Raises:
            StoreError: the store cannot be used; start again when it can.
        """
        assert self._writer is None, "the ledger is started already"
        recovered = Recovered()
        if self._recovers:
            recovered = await recover(
                self._store,
                self._folder,
                self._offload,
                now_us=self._clock.now_us(),
                price_at_crash=self._price_at_crash,
                budgets=self._budgets,
                home=self._home,
            )
        self.damage += recovered.damage
        for damage in (*recovered.damage, *recovered.stuck):
            log.warning("journal: %s", damage)
        self._note_refused(recovered.refused)
        self._loop = asyncio.get_running_loop()
        self._probe()
        self._writer = self._loop.create_task(self._carry(), name="ledger")
        self._watcher = self._loop.create_task(self._watch(), name="ledger-watch")
        return recovered

    def begin(self, opening: Opening) -> None:
        """Journal that an attempt begins. Call it before the first byte goes upstream.

        Raises:
            JournalUnwritable: nothing was recorded, so nothing may be forwarded.
            InvalidRequest: a text in the opening is no Unicode, or they are too long together.
        """
        attempt_id = opening.attempt_id
        assert attempt_id not in self._in_flight, f"{attempt_id!r} was begun already"
        try:
            segment = self._journal.begin(opening)
        except JournalUnwritable:
            self._probe_later()
            raise
        except UnicodeEncodeError as error:
            raise InvalidRequest(
                f"The request's attribution or model holds text that is no Unicode: {error.object[:80]!r}."
            ) from error
        except RecordTooLong as error:
            raise InvalidRequest(
                "The request's attribution and model together are too long for the ledger.", hint="send shorter names."
            ) from error
        segment.holds += 1
        self._in_flight[attempt_id] = _InFlight(opening, segment, segment)

    def checkpoint(self, progress: Progress) -> None:
        """Journal what a stream has produced so far. Call it before bytes leave that the last one did not cover.

        Raises:
            JournalUnwritable: the attempt goes on, and would be posted at its last checkpoint after a crash.
        """
        attempt = self._in_flight.get(progress.attempt_id)
        assert attempt is not None, f"{progress.attempt_id!r} is not in flight"
        cost = progress.cost_nanousd
        assert cost is None or cost >= 0, f"{progress.attempt_id!r} costs {cost}"
        progress = bounded_progress(progress)
        try:
            segment = self._journal.checkpoint(progress)
        except JournalUnwritable:
            self._probe_later()
            raise
        except (UnicodeEncodeError, RecordTooLong):
            segment = self._journal.checkpoint(msgspec.structs.replace(progress, model_served=None))
        if segment is not attempt.latest:
            if attempt.latest is not attempt.begun_in:
                attempt.latest.holds -= 1
            segment.holds += 1
            attempt.latest = segment

    def settle(self, attempt: Attempt) -> None:
        """Journal how an attempt ended and queue it for the store. Call it before the answer's last byte leaves.

        Exactly once for each attempt begun; the opening is the one it was begun with.

        Raises:
            JournalUnwritable: the end is queued for the store, but would be lost with the process until it is there.
        """
        attempt = _checked(attempt)
        opening = attempt.opening
        begun = self._in_flight.get(opening.attempt_id)
        assert begun is not None, f"{opening.attempt_id!r} was not begun, or is settled already"
        assert begun.opening is opening or begun.opening == opening, (
            f"{opening.attempt_id!r} was begun with another opening"
        )
        del self._in_flight[opening.attempt_id]
        self.call_finished.publish(attempt)
        if begun.latest is not begun.begun_in:
            begun.latest.holds -= 1
        try:
            segment = self._journal.end(attempt, begun.begun_in)
        except JournalUnwritable:
            # The store is the only place left, so the queue's bound gives way: no new attempt can begin now, so it
            # grows by at most those in flight. The begin line keeps its segment until the attempt is posted.
            self._enqueue_unjournaled(attempt, begun.begun_in)
            raise
        except (UnicodeEncodeError, RecordTooLong):
            # A lone surrogate from an answer is legal in JSON, and in neither UTF-8 nor the store.
            attempt = with_plain_texts(attempt)
            try:
                segment = self._journal.end(attempt, begun.begun_in)
            except JournalUnwritable:
                self._enqueue_unjournaled(attempt, begun.begun_in)
                raise
        if segment is not begun.begun_in:
            begun.begun_in.holds -= 1
            segment.holds += 1
        if len(self._queue) < self._max_queued:
            self._enqueue(attempt, segment)
        else:
            segment.holds -= 1
            segment.spilled = True

    async def posted(self, timeout_s: float) -> int:
        """Wait until the store has what is settled now; return how many attempts it still lacks after so long."""
        loop = asyncio.get_running_loop()
        deadline, until = loop.time() + timeout_s, self._posted + len(self._queue)
        self._wake.set()
        while self._posted < until and loop.time() < deadline:  # noqa: ASYNC110 - an event would cost every batch
            await asyncio.sleep(_LOOK_AGAIN_S)
        return max(0, until - self._posted) + self.spilled

    async def close(self) -> None:
        """Post what is queued and let go. What cannot be posted in time stays in the journal for the next start."""
        if self._prober is not None:
            self._prober.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.wait([self._watcher])
            self._watcher = None
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.wait([self._writer])
            self._writer = None
            try:
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await self._look_for_store()
                    while (self._queue or self.spilled) and await self._post():
                        pass
            except TimeoutError:
                self._store_failed(TimeoutError(f"the store took longer than {CLOSE_TIMEOUT_S} s"))
        self._journal.close()
        if not self._queue and self.store_ok:
            await self._remove_finished()

    async def _carry(self) -> None:
        """Carry the queue to the store for as long as the ledger is open."""
        backoff_s = FIRST_BACKOFF_S
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue or self.spilled:
                if not await self._post():
                    await asyncio.sleep(backoff_s)
                    backoff_s = min(backoff_s * 2, LAST_BACKOFF_S)
                    continue
                backoff_s = FIRST_BACKOFF_S
                if len(self._queue) < FLUSH_ROWS and not self.spilled:
                    break
            if self._queue:
                self._wake_later()

    async def _post(self) -> bool:
        """Post one batch, and what was spilled once the queue is short; return whether the store took it."""
        if self._store_gone:
            return False  # what would be written into a deleted file nobody finds; the journal keeps it
        batch = list(islice(self._queue, MAX_BATCH_ROWS))
        try:
            if batch:
                attempts = [attempt for attempt, _ in batch]
                _, refused = await post(self._store, attempts, self._folder, self._offload, self.holder)
                self._note_refused(refused)
                for _, segment in batch:
                    segment.holds -= 1
                    self._queue.popleft()  # only now: until the store has it, the queue does
                self._posted += len(batch)
                if self._in_memory_only:
                    self._in_memory_only.difference_update(attempt.opening.attempt_id for attempt, _ in batch)
            if len(self._queue) < FLUSH_ROWS:
                await self._post_spilled()
        except Exception as error:  # noqa: BLE001 - whatever it is, the attempts must be tried again and not be lost
            self._store_failed(error)
            return False
        self._store_took_it()
        if self.store_ok:
            await self._remove_finished()
        return self.store_ok

    async def _post_spilled(self) -> None:
        spilled = [segment for segment in self._journal.segments if segment.spilled]
        if not spilled:
            return
        for segment in spilled:
            segment.spilled = False  # set again by whatever is spilled while we read
        try:
            paths = [segment.path for segment in spilled]
            damage, refused = await post_ends(self._store, paths, self._folder, self._offload, self.holder)
        except BaseException:
            for segment in spilled:
                segment.spilled = True
            raise
        for segment in spilled:
            if any(one.path == segment.path for one in damage):
                segment.holds += 1  # never given back: the file stays for a person to look at
        self.damage += damage
        self._note_refused(refused)

    async def _watch(self) -> None:
        """Notice that database or journal are taken away while we go on writing into files that have no name."""
        while True:
            await asyncio.sleep(WATCH_S)
            await self._look_for_store()
            await self._look_for_journal()

    async def _look_for_store(self) -> None:
        try:
            gone = not await self._store.intact()
        except StoreError:
            return  # it cannot be asked; whoever posts next learns why
        if gone != self._store_gone:
            self._store_gone = gone
            if gone:
                self._store_failed(StoreError(_STORE_GONE))
                log.error(_STORE_GONE)
            else:  # put back
                self.store_ok, self.store_error = True, None

    async def _look_for_journal(self) -> None:
        segment = self._journal.segment
        if segment is None:
            return
        try:
            lost = await self._offload.run(lambda: self._journal.is_lost(segment))
        except StoreError:
            return  # the program is stopping
        if not lost or segment is not self._journal.segment:
            return
        log.error("The journal %s was removed or replaced; a new one is begun.", segment.path)
        self._journal.abandon(segment)
        if not self._journal.probe():
            self._probe_later()
            return
        try:
            for attempt in self._in_flight.values():  # so that a crash still finds what is under way
                again = self._journal.begin(attempt.opening)
                if attempt.latest is not attempt.begun_in:
                    attempt.latest.holds -= 1
                attempt.begun_in.holds -= 1
                again.holds += 1
                attempt.begun_in = attempt.latest = again
        except JournalUnwritable:
            self._probe_later()

    def _note_refused(self, refused: Sequence[Refused]) -> None:
        self.refused += len(refused)
        for one in refused:
            log.error("The store refuses %s, set aside in %s: %s", one.attempt_id, REFUSED_NAME, one.reason)

    async def _remove_finished(self) -> None:
        paths = [segment.path for segment in self._journal.finished()]
        if paths:
            try:
                await self._offload.run(lambda: remove(paths))
            except StoreError:
                pass  # the store has all of it; the next start finds nothing new in the files and tries again

    def _enqueue_unjournaled(self, attempt: Attempt, segment: Segment) -> None:
        self._in_memory_only.add(attempt.opening.attempt_id)
        self._enqueue(attempt, segment)
        self._probe_later()

    def _enqueue(self, attempt: Attempt, segment: Segment) -> None:
        queue = self._queue
        queue.append((attempt, segment))
        if len(queue) == 1:
            self._wake_later()
        elif len(queue) == FLUSH_ROWS:
            self._wake.set()

    def _wake_later(self) -> None:
        assert self._loop is not None, "start the ledger before its first attempt"
        self._loop.call_later(LINGER_S, self._wake.set)

    def _store_took_it(self) -> None:
        if not self._store_gone:  # or it was found to be gone meanwhile
            self.store_ok, self.store_error = True, None

    def _store_failed(self, error: Exception) -> None:
        self.store_ok = False
        self.store_error = f"{type(error).__name__}: {error}"

    def _probe(self) -> None:
        self._prober = None
        if not self._journal.probe():
            self._probe_later()

    def _probe_later(self) -> None:
        if self._prober is None and self._loop is not None:
            self._prober = self._loop.call_later(PROBE_S, self._probe)


def _checked(attempt: Attempt) -> Attempt:
    """Assert what must hold of money at the door; what a provider can cause is mended instead, and shows as unknown."""
    cost, reported = attempt.cost_nanousd, attempt.reported_cost_nanousd
    if (  # as nearly all are
        reported is None
        and cost is not None
        and attempt.cost_basis != "unknown"
        and 0 <= cost <= MAX_COST_NANOUSD
        and 0 <= all_counts(attempt.usage) <= MAX_COUNT
    ):
        return attempt
    attempt_id = attempt.opening.attempt_id
    assert (cost is None) == (attempt.cost_basis == "unknown"), f"{attempt_id!r} costs {cost}, {attempt.cost_basis}"
    assert cost is None or cost >= 0, f"{attempt_id!r} costs {cost}"
    assert reported is None or reported >= 0, f"{attempt_id!r} is reported to cost {reported}"
    counts = all_counts(attempt.usage)
    assert counts >= 0, f"{attempt_id!r} used {attempt.usage}"
    if counts <= MAX_COUNT and (cost or 0) <= MAX_COST_NANOUSD and (reported or 0) <= MAX_COST_NANOUSD:
        return attempt
    return bounded(attempt)


_STORE_GONE = (
    "The ledger's database was removed or replaced under the running server. Calls are kept in the journal;"
    " put the file back, or stop the server, restore a backup and start it, and they are posted."
)
