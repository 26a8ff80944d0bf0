"""Several processes that serve one home: starts them, looks after them, replaces them, and completes their books.

This process serves nothing itself. It holds the home's lock and the listening socket, which all of them accept from; so
whoever connects while one is replaced waits in the socket's queue and is refused nothing. Each worker has a journal of
its own. When one dies, this process sees it end, posts what it left, and starts another in its place.

The workers hold the lock as well, through the same open file: were this process killed, no other could take the home
for abandoned and settle calls that are still being answered. They see it end, and leave in order.
"""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress

import msgspec

from farthing.app import Farthing
from farthing.catalog.prices import price_book
from farthing.cli.config_file import settings_to_serve
from farthing.cli.config_follow import on_hangup
from farthing.cli.context import say
from farthing.cli.serving import (
    Start,
    complaint_of,
    keeping_lock,
    leave_note,
    on_restart,
    open_and_greet,
    problem_of_successor,
    say_ready,
    told_fields,
)
from farthing.cli.start_up import hear_signals, hold_signals, ignore_signals
from farthing.cli.worker import AT_ONCE, CHECK, LEAVE, LEAVING, ORDER_VERSION, READY, Order, shape_of_settings
from farthing.clock import SystemClock
from farthing.config.changes import needs_restart
from farthing.config.lock import HomeLock
from farthing.config.schema import Settings
from farthing.config.storage_place import database_url, home_name
from farthing.config.watch import SettingsWatch, Stamp, Taken, stamp_of
from farthing.errors import ConfigError, FarthingError
from farthing.gateway.crash_prices import price_at_crash
from farthing.gateway.layers import settings_with_stored
from farthing.ledger.recovery import THIS_HOME, recover
from farthing.monitoring.siblings import forget_figures, forget_figures_of
from farthing.monitoring.watch import level_file
from farthing.storage.chosen import store_of
from farthing.storage.offload import ThreadOffload
from farthing.storage.sqlite.database import shipped_migrations

log = logging.getLogger(__name__)

READY_S = 30.0
"""How long a worker may take until it takes calls; it needs half a second."""
FIRST_PAUSE_S, SHORT_LIFE_PAUSE_S, LAST_PAUSE_S = 0.1, 1.0, 10.0
"""How long a place stays empty after its worker died: longer where it lived for less than the last of these, and twice
as long after each try that fails. What it left in its journal is tried again after such pauses, too."""
STOP_S = 20.0
"""What a worker may take beyond `drain_s`: cut streams, the last commits. Then it is killed, and its journal posted."""
AT_ONCE_S = 15.0
"""What it may take after a second signal: two seconds to cut streams, ten for a store that is away."""


async def serve_together(start: Start, lock: HomeLock, workers: int) -> None:
    """Serve with so many workers until a signal."""
    farthing = Farthing(start.settings, start.home, environment=os.environ)
    words = await open_and_greet(farthing, start)
    await farthing.close()
    try:
        forget_figures(start.home)
    except OSError as error:  # calls do not depend on it
        say(f"warning: {error.filename!r} is in the way of the workers' figures: {error.strerror or error}")
    level_file(start.home).unlink(missing_ok=True)
    house = _House(start, lock, workers)
    try:
        await house.serve(lambda: say_ready(start, words))
    finally:
        await house.close()
    say(
        "farthing stopped; everything is settled"
        if house.settled
        else "farthing stopped; the next start settles the rest"
    )


class _Worker:
    """A process in a place; `ready` once it takes calls, `retired` once it has been told to leave."""

    def __init__(self, place: int, process: asyncio.subprocess.Process, channel: socket.socket) -> None:
        self.place = place
        self.process = process
        self.channel = channel
        self.began_s = asyncio.get_running_loop().time()
        self.ready = False
        self.retired = False
        self.deadline: asyncio.TimerHandle | None = None

    def signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            self.process.send_signal(number)

    def retire(self, within_s: float) -> None:
        """Have it leave in order; one that hangs is killed."""
        self.retired = True
        self.tell(LEAVE)
        self.deadline = asyncio.get_running_loop().call_later(within_s, self._kill)

    def tell(self, word: bytes) -> None:
        with suppress(OSError):  # it has ended already
            self.channel.send(word)

    def _kill(self) -> None:
        if self.process.returncode is None:
            log.error("worker %d (pid %d) does not end, and is killed", self.place, self.process.pid)
            self.signal(signal.SIGKILL)


class _House:
    """The workers of a home, and what they serve by."""

    def __init__(self, start: Start, lock: HomeLock, workers: int) -> None:
        self._start = start
        self._lock = lock
        self._count = workers
        self._settings = start.settings
        self._seen: Stamp | None = start.seen
        self._offload = ThreadOffload("farthing-settings")
        self._clock = SystemClock()
        self._places: dict[int, _Worker] = {}
        self._alive: dict[asyncio.Task[None], _Worker] = {}
        self._filling: set[asyncio.Task[None]] = set()
        self._open_books: set[int] = set()
        self._stopping = asyncio.Event()
        self._at_once = asyncio.Event()
        self._hangups = 0
        self._renewing: asyncio.Task[None] | None = None
        self._handlers = AsyncExitStack()
        # As they are in this program, whatever is installed later.
        self._tables = len(shipped_migrations())
        self._shape = shape_of_settings()

    @property
    def settled(self) -> bool:
        """Whether what every worker left is in the ledger."""
        return not self._open_books

    async def serve(self, on_ready: Callable[[], None]) -> None:
        """Start all, and look after them until a signal.

        Raises:
            ConfigError: a worker cannot start; it has said why.
        """
        self._handlers.callback(self._on_signals())
        watch = SettingsWatch(
            self._start.home.settings,
            read=lambda: settings_to_serve(self._start.home, self._settings.providers),
            take=self._take,
            tell=self._tell,
            offload=self._offload,
            seen=self._seen,
        )

        def hung_up() -> None:
            watch.ask()
            self._hangups += 1  # for those that start just now, which would die of it
            for worker in self._alive.values():
                if worker.ready:
                    worker.signal(signal.SIGHUP)

        self._handlers.callback(on_hangup(hung_up, self._stop))
        await self._handlers.enter_async_context(on_restart(self._problem_of_successors, self._renew))
        await self._handlers.enter_async_context(keeping_lock(self._lock, self._start.home))
        following = asyncio.create_task(watch.follow(), name="settings")
        try:
            started = await asyncio.gather(*(self._launch(place) for place in range(1, self._count + 1)))
            if not all(started):
                raise ConfigError("a worker did not start", hint="its own words stand above.")
            self._tell(Taken())
            on_ready()
            hear_signals()
            await self._stopping.wait()
        finally:
            following.cancel()
            await asyncio.wait([following])

    async def close(self) -> None:
        """Have all end in order; what does not end in time is killed, and completed from its journal."""
        self._stopping.set()
        self._start.sock.close()
        try:
            launching = [*self._filling, *([self._renewing] if self._renewing else [])]
            for task in launching:
                task.cancel()
            for worker in self._alive.values():
                if worker.ready and not worker.retired:
                    self._retire(worker)
            if launching:
                await asyncio.wait(launching)
            for worker in self._alive.values():
                if not worker.retired:  # of a start that failed
                    self._retire(worker)
            ended = asyncio.create_task(self._ended(self._settings.server.drain_s + STOP_S))
            hurried = asyncio.create_task(self._at_once.wait())
            await asyncio.wait([ended, hurried], return_when=asyncio.FIRST_COMPLETED)
            if self._at_once.is_set():
                for worker in self._alive.values():
                    worker.tell(AT_ONCE)
                await self._ended(AT_ONCE_S)
            ended.cancel()
            hurried.cancel()
            for worker in self._alive.values():
                worker.signal(signal.SIGKILL)
            await self._ended(READY_S)
        finally:
            hold_signals()
            await self._handlers.aclose()
            ignore_signals()
            await self._offload.close()

    async def _ended(self, timeout_s: float) -> None:
        if self._alive:
            await asyncio.wait(self._alive, timeout=timeout_s)

    def _retire(self, worker: _Worker) -> None:
        worker.retire(self._settings.server.drain_s + STOP_S)

    # ---- workers

    async def _launch(self, place: int) -> bool:
        """Start a worker and give it the place when it takes calls; whether it does."""
        hangups = self._hangups
        order = Order(
            home=str(self._start.home.path),
            tables=self._tables,
            shape=self._shape,
            settings=msgspec.msgpack.encode(self._settings),
            host=self._start.server.host,
            port=self._start.server.port,
            seen=self._seen,
            told=told_fields(self._start),
            index=place,
            workers=self._count,
        )
        try:
            process, ours = await self._spawn()
        except OSError as error:  # no memory, no process number, no descriptor: tried again, or told
            log.error("worker %d cannot be started: %s", place, error.strerror or error)  # noqa: TRY400
            return False
        worker = _Worker(place, process, ours)
        if process.pid in self._open_books:  # a dead one's number, whose journal will be posted by it
            worker.signal(signal.SIGKILL)
            ours.close()
            await process.wait()
            return False
        self._open_books.add(process.pid)
        task = asyncio.create_task(self._look_after(worker), name=f"worker-{place}")
        self._alive[task] = worker
        task.add_done_callback(self._alive.pop)
        loop = asyncio.get_running_loop()
        said = b""
        try:
            async with asyncio.timeout(READY_S):
                await loop.sock_sendall(ours, order.encoded())
                said = await loop.sock_recv(ours, 1)
        except (OSError, TimeoutError):
            pass  # it died, or hangs
        except asyncio.CancelledError:  # we stop; it may have taken its first calls, and leaves in order
            worker.retire(AT_ONCE_S)
            raise
        if said != READY or process.returncode is not None:
            worker.retired = True
            worker.signal(signal.SIGKILL)
            ours.close()
            return False
        worker.ready = True
        loop.add_reader(ours, self._hear, worker)
        before, self._places[place] = self._places.get(place), worker
        if before is not None and not before.retired and before.process.returncode is None:
            self._retire(before)
        if self._stopping.is_set():
            self._retire(worker)
        if hangups != self._hangups:
            worker.signal(signal.SIGHUP)
        return True

    async def _spawn(self) -> tuple[asyncio.subprocess.Process, socket.socket]:
        """Start a process; return it and our end of its channel.

        Raises:
            OSError: the system has no room for it, or the program is gone.
        """
        ours, theirs = socket.socketpair()
        inherited = (theirs.fileno(), self._start.sock.fileno(), *self._lock.descriptors)
        try:
            ours.setblocking(False)  # noqa: FBT003 - the socket module's own signature
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "farthing.cli.worker", str(inherited[0]), str(inherited[1])),
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=inherited,
                    start_new_session=True,  # Ctrl-C is for us: it would reach them twice, and twice means at once
                )
        except BaseException:
            ours.close()
            raise
        return process, ours

    async def _look_after(self, worker: _Worker) -> None:
        """Wait for a worker's end, fill its place where it was not told to leave it, and complete its books.

        One does not wait for the other: a store that takes nothing (locked, or brought up to date by a newer program
        than we are) must not leave the place empty.
        """
        status = await worker.process.wait()
        if worker.deadline is not None:
            worker.deadline.cancel()
        if worker.ready:  # before, somebody waits for a word from it, and hears the end
            asyncio.get_running_loop().remove_reader(worker.channel)
            worker.channel.close()
        if not worker.retired:
            log.error("worker %d (pid %d) ended with %d", worker.place, worker.process.pid, status)
            if worker.ready:
                forget_figures_of(self._start.home, worker.place)  # what was under way there is so no more
                self._have_filled(worker)
        await self._complete(worker)

    def _hear(self, worker: _Worker) -> None:
        """Take a word from a worker that serves: somebody else than we has told it to leave."""
        asyncio.get_running_loop().remove_reader(worker.channel)
        try:
            said = worker.channel.recv(1)
        except OSError:
            return  # it has ended
        if said == LEAVING and not worker.retired and not self._stopping.is_set():
            log.warning("worker %d (pid %d) got a signal and leaves", worker.place, worker.process.pid)
            self._retire(worker)
            self._have_filled(worker)

    def _have_filled(self, worker: _Worker) -> None:
        if not self._stopping.is_set():
            filling = asyncio.create_task(self._fill(worker), name=f"place-{worker.place}")
            self._filling.add(filling)
            filling.add_done_callback(self._filling.discard)

    async def _fill(self, dead: _Worker) -> None:
        """Start another worker in the place of one that is dead or leaves, as often as it takes."""
        loop = asyncio.get_running_loop()
        pause_s = FIRST_PAUSE_S if loop.time() - dead.began_s > LAST_PAUSE_S else SHORT_LIFE_PAUSE_S
        while not self._stopping.is_set():
            await self._pause(pause_s)
            if self._stopping.is_set() or self._places.get(dead.place) is not dead:
                return
            if await self._launch(dead.place):
                log.warning("worker %d is back", dead.place)
                return
            pause_s = min(pause_s * 2, LAST_PAUSE_S)

    async def _pause(self, seconds: float) -> None:
        """Wait, but not when we stop."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _complete(self, worker: _Worker) -> None:
        """Post what a worker left in its journal; where the store takes nothing, again and again until we stop."""
        pause_s = SHORT_LIFE_PAUSE_S
        offload = ThreadOffload("farthing-recovery")
        url = database_url(self._start.settings.storage, os.environ)
        name = THIS_HOME if url is None else home_name(self._start.home, os.urandom)
        store = store_of(url, self._start.home.database, offload)
        try:
            while True:
                try:
                    await store.open()
                    settings = await settings_with_stored(self._settings, store, os.environ, offload)
                    prices = price_book(settings.prices, self._start.home.prices)
                    found = await recover(
                        store,
                        self._start.home.journal,
                        offload,
                        now_us=self._clock.now_us(),
                        price_at_crash=price_at_crash(settings, prices),
                        pid=worker.process.pid,
                        budgets=store.budgets,
                        home=name,
                    )
                except (FarthingError, OSError) as error:  # the store, or the lists of prices
                    log.error("what worker %d left is not in the ledger yet: %s", worker.place, error)  # noqa: TRY400
                    if self._stopping.is_set():
                        return
                    await self._pause(pause_s)
                    pause_s = min(pause_s * 2, LAST_PAUSE_S)
                    continue
                self._open_books.discard(worker.process.pid)
                for damage in found.damage:
                    log.error("what worker %d left is not all in the ledger: %s", worker.place, damage)
                if found.ended or found.crashed:
                    log.warning(
                        "from the journal of worker %d: %d ends posted, %d attempts that it left in flight estimated",
                        worker.place,
                        found.ended,
                        found.crashed,
                    )
                return
        finally:
            await store.close()
            await offload.close()

    async def _problem_of_successors(self) -> str | None:
        """Return why workers of the program as it is installed now could not serve beside ours, and under us."""
        return await complaint_of(
            "farthing.cli.worker", CHECK, str(ORDER_VERSION), str(self._tables)
        ) or await problem_of_successor(self._start.home)

    def _renew(self) -> None:
        """Replace one worker after the other; not while that is being done."""
        if not self._stopping.is_set() and (self._renewing is None or self._renewing.done()):
            self._renewing = asyncio.create_task(self._replace_all(), name="renewal")

    async def _replace_all(self) -> None:
        leaving = [one for one in self._alive.values() if one.retired and one.process.returncode is None]
        if leaving:  # or each restart would add as many processes as there are workers
            log.warning("the restart waits until %d workers that the last one replaced have ended", len(leaving))
            await asyncio.gather(*(worker.process.wait() for worker in leaving))
        for place in sorted(self._places):
            if self._stopping.is_set():
                return
            if not await self._launch(place):
                log.error("the restart ends here: a new worker did not start, the old ones go on")
                return
        log.warning("every worker was replaced; the old ones end when their last answer is out")

    # ---- settings

    async def _take(self, settings: Settings) -> Taken:
        # A worker that takes another's place keeps its books where the others do.
        self._settings = msgspec.structs.replace(settings, storage=self._start.settings.storage)
        self._seen = stamp_of(self._start.home.settings)
        return Taken(
            needs_restart=needs_restart(self._start.settings.server, settings.server, told_fields(self._start))
        )

    def _tell(self, taken: Taken) -> None:
        leave_note(self._start, self._settings, taken, self._clock.now_us())

    # ---- signals

    def _on_signals(self) -> Callable[[], None]:
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGTERM, signal.SIGINT)
        for number in numbers:
            loop.add_signal_handler(number, self._stop)

        def undo() -> None:
            for number in numbers:
                loop.remove_signal_handler(number)

        return undo

    def _stop(self) -> None:
        if self._stopping.is_set():
            self._at_once.set()
        self._stopping.set()
