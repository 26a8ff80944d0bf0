"""Play a schedule from its first process to its last, then look whether the books are right."""

import asyncio
import gc
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from farthing.errors import StoreError
from farthing.testing.simulator.budgets import with_budgets
from farthing.testing.simulator.clients import ClientEnd
from farthing.testing.simulator.disk import Process, ProcessDied
from farthing.testing.simulator.expiry import OldJournals, with_expiry
from farthing.testing.simulator.facts import Facts
from farthing.testing.simulator.house import TIMEOUTS, TOKEN, House, Keep
from farthing.testing.simulator.judgement import judge_books, judge_leftovers, judge_quiet
from farthing.testing.simulator.routers import with_routers
from farthing.testing.simulator.schedule import Life, draw
from farthing.testing.simulator.virtual_time import NothingWillHappen, TookTooLong, VirtualLoop
from farthing.types.ledger import US_PER_DAY

LIMIT_S = 3_600.0
"""Virtual seconds that one process may take. The longest wait is a total timeout of 90 s, one behind the other over a
single connection for 20 calls."""
_QUIET_S = 4.0
"""When all clients are gone: longer than providers are asked for their models, which nobody waits for by then."""
_TRIES_EVERY_S = 1.0
_SETTLES_S = 2.0
"""How long the last process looks at what it has found: longer than a batch lingers."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a simulation; `problems` is empty where everything was as it must be."""

    seed: int
    calls: int
    attempts: int
    deaths: int
    virtual_s: float
    problems: tuple[str, ...]
    trace: tuple[str, ...]


def simulate(seed: int, *, folder: Path | None = None) -> Result:
    """Play the schedule of a seed; its files are made below `folder`, else in memory where the system can."""
    with tempfile.TemporaryDirectory(dir=folder or _fast_folder(), prefix=f"farthing-{seed}-") as home:
        return _simulate(seed, Path(home))


def _simulate(seed: int, folder: Path) -> Result:
    schedule = with_routers(with_expiry(with_budgets(draw(seed))))
    facts = Facts(schedule)
    keep = Keep(schedule, folder)
    journals = OldJournals(keep.home.journal)
    now_s = 1.0
    with _no_collections():
        for number, life in enumerate(schedule.lives):
            _let_days_pass(keep, number)
            now_s = _live(keep, facts, life, now_s)
            journals.copy()
        quiet = Life(
            clients=(),
            connecting=(),
            store_faults=(),
            journal_faults=(),
            clock_steps=(),
            stops_s=None,
            drain_s=0.0,
            death=None,
        )
        _let_days_pass(keep, len(schedule.lives))
        if schedule.expiry is not None and schedule.expiry.journals_return:
            journals.put_back()
        now_s = _live(keep, facts, quiet, now_s)
        attempts = judge_books(keep, facts, now_s)
    return Result(
        seed=seed,
        calls=schedule.asks,
        attempts=attempts,
        deaths=facts.deaths,
        virtual_s=now_s,
        problems=tuple(facts.problems),
        trace=tuple(facts.lines()),
    )


def _let_days_pass(keep: Keep, number: int) -> None:
    """Set the clock forward by the days before a process: nobody serves meanwhile."""
    plan = keep.schedule.expiry
    if plan is not None:
        keep.clock.step_us += plan.days_before[number] * US_PER_DAY


def _live(keep: Keep, facts: Facts, life: Life, now_s: float) -> float:
    """Play one process, begun again for as long as it cannot start; return the time at its end."""
    born_s = now_s
    while True:
        loop = VirtualLoop(now_s, now_s + LIMIT_S)
        keep.clock.loop = loop
        process = Process(loop, life, facts, born_s)
        loop.set_exception_handler(partial(_unexpected, process))
        house: House | None = None
        try:
            with _complaints(process):
                house = House(keep, process)
                loop.run_until_complete(_play(keep, process, house))
        except StoreError as error:
            process.note("process", "cannot start")
            now_s = loop.time() + _TRIES_EVERY_S
            if now_s < born_s + LIMIT_S:
                continue
            facts.wrong(f"a process could not start for {LIMIT_S:.0f} s: {error.message}")
        except ProcessDied:
            for client in life.clients:
                for ask in client.asks:
                    facts.calls[ask.number].life_ended_in_death = True
        except NothingWillHappen:
            facts.wrong("everybody waits for somebody: nothing will ever happen again")
        except TookTooLong:
            facts.wrong(f"a process was not done after {LIMIT_S:.0f} s")
        finally:
            process.alive = False
            _bury(loop, process, house)
        return loop.time()


async def _play(keep: Keep, process: Process, house: House) -> None:
    life, loop = process.life, process.loop
    if life.death is not None and life.death.at == "time":
        loop.call_at(max(process.born_s + life.death.after_s, loop.time()), process.die)
    for after_s, by_s in life.clock_steps:
        loop.call_later(after_s, _step_clock, keep, process, by_s)
    await house.start()
    clients = [ClientEnd(client, TOKEN, process, house.listener) for client in life.clients]
    for client, end in zip(life.clients, clients, strict=True):
        loop.call_later(client.begins_s, end.begin)
    if clients:
        _, calling = await asyncio.wait([end.over for end in clients], timeout=life.stops_s)
        if not calling:
            await asyncio.sleep(_QUIET_S)
            if house.listener.lingering:  # they are read to their end, which comes with the provider's time limit
                await asyncio.sleep(TIMEOUTS.total_s)
            judge_quiet(house, process)
    else:
        await asyncio.sleep(_SETTLES_S)
    await house.stop(life.drain_s)
    judge_leftovers(house, process, asyncio.current_task())


def _step_clock(keep: Keep, process: Process, by_s: float) -> None:
    process.note("clock", f"steps by {by_s:+g} s")
    keep.clock.step_us += round(by_s * 1_000_000)


def _bury(loop: VirtualLoop, process: Process, house: House | None) -> None:
    """Let go of what a process held: the kernel delivers what it has sent, and closes its files."""
    for link in process.links:
        link.far_finds_what_was_sent()
    logging.disable(logging.CRITICAL)  # what dies may complain, and nobody hears it
    for task in asyncio.all_tasks(loop):
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001 - it is meant to end here
        coroutine: Any = task.get_coro()
        with suppress(BaseException):
            coroutine.close()
    logging.disable(logging.NOTSET)
    if house is not None:
        house.bury()
    loop.close()


@contextmanager
def _no_collections() -> Iterator[None]:
    """Keep the collector from ending things at a time that no seed decides."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


@contextmanager
def _complaints(process: Process) -> Iterator[None]:
    """Take what the gateway logs as an error for a problem."""

    class Listening(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            message = record.getMessage()
            if process.alive and not message.startswith("The store refuses"):
                error = f": {record.exc_info[1]!r}" if record.exc_info else ""
                process.facts.wrong(f"logged: {message}{error}")

    handler = Listening(logging.ERROR)
    farthing = logging.getLogger("farthing")
    farthing.addHandler(handler)
    try:
        yield
    finally:
        farthing.removeHandler(handler)


def _unexpected(process: Process, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    if process.alive:
        process.facts.wrong(f"unexpected: {context.get('message')}: {context.get('exception')!r}")


def _fast_folder() -> str | None:
    memory = Path("/dev/shm")  # noqa: S108 - a folder of our own is made below it
    return str(memory) if memory.is_dir() else None
