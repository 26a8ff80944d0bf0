"""Takes a running load in slices of 100 ms, and tells which of them the machine ran at its full speed.

On a shared machine a neighbour on the other thread of the same core halves the speed of everything, for milliseconds or
for minutes, and CPU time does not show it. So a fixed loop that has nothing to do with the gateway runs on the measured
core ten times in each slice. A slice counts where the loop took on average at most CALM times its time at full speed
under the same load; the figure is the CPU time of those slices by what was done in them. Where too few count, all do.

A slice is as long as it is because 64 connections move together: what is answered in one turn of the gateway's loop
falls into one moment, and a slice of a few turns would have one burst of answers too many or too few.
"""

import os
import threading
import time
from collections.abc import Callable

import msgspec

SLICE_S = 0.1
LOOPS = 10
"""In each slice: with 0.15 ms for each, under two hundredths of its time."""
CALM = 1.08
"""The loop's own times at full speed lie within 5 %; at half speed they are twice as long."""
MIN_CALM = 10
"""So many slices are a second's work: some ten thousand requests, or fifty thousand events."""
_TURNS = 3_000


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """What was used and done between two turns of the loop, and how long they took."""

    used_us: float
    done: int
    wall_s: float
    loop_us: float


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """Microseconds for one, the best and the worst tenth of the slices, and how many of them counted."""

    us: float
    low: float
    high: float
    per_s: float
    calm: int
    slices: int
    all_us: float


def loop_us(core: int) -> float:
    """Return the CPU microseconds of the fixed loop on `core`."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(threading.get_native_id(), {core})
    began = time.thread_time_ns()
    total, seen = 0, {0: 0}
    for turn in range(_TURNS):
        seen[turn & 511] = turn
        total += len(seen)
    return (time.thread_time_ns() - began) / 1_000


class Patience:
    """Waits for the machine to be calm before something is measured, for so many seconds in all."""

    def __init__(self, core: int, seconds: float) -> None:
        self._core = core
        self._left_s = seconds
        self._best_us = min(loop_us(core) for _ in range(2_000))

    def wait(self) -> None:
        """Return when most turns of a moment were at full speed, or when no patience is left."""
        began = time.monotonic()
        while time.monotonic() - began < self._left_s:
            turns = [loop_us(self._core) for _ in range(100)]
            self._best_us = min(self._best_us, *turns)
            if sum(turn <= self._best_us * CALM for turn in turns) >= 70:
                break
            time.sleep(0.1)
        self._left_s -= time.monotonic() - began


def take(core: int, used_us: Callable[[], float], done: Callable[[], int], going_on: Callable[[], bool]) -> list[Slice]:
    """Return the slices of a load while it goes on; `used_us` and `done` only ever grow."""
    loop_us(core)  # this thread stays on the core: while it reads, what it measures stands still
    taken: list[Slice] = []
    while going_on():
        began, used, count = time.perf_counter(), used_us(), done()
        loops = 0.0
        for _ in range(LOOPS):
            time.sleep(SLICE_S / LOOPS)
            loops += loop_us(core)
        taken.append(
            Slice(
                used_us=used_us() - used,
                done=done() - count,
                wall_s=time.perf_counter() - began,
                loop_us=loops / LOOPS,
            )
        )
    return taken[:-1]  # the load ended within the last


def full_speed_us(slices: list[Slice]) -> float:
    """Return the time of the loop at full speed; infinite where there is none.

    That is what one slice in twenty had: a single best is a matter of luck.
    """
    times = sorted(one.loop_us for one in slices)
    return times[len(times) // 20] if times else float("inf")


def calm(slices: list[Slice]) -> list[Slice]:
    """Return those that ran at full speed, among slices of one load: another leaves the loop another cache."""
    bound = full_speed_us(slices) * CALM
    return [one for one in slices if one.loop_us <= bound]


def cost(slices: list[Slice]) -> Cost:
    """Return what one thing cost in the slices that count."""
    chosen = calm(slices)
    counted = chosen if len(chosen) >= MIN_CALM else slices
    single = sorted(one.used_us / one.done for one in counted if one.done)
    tenth = len(single) // 10
    return Cost(
        us=_each(counted),
        low=single[tenth],
        high=single[-1 - tenth],
        per_s=sum(one.done for one in counted) / sum(one.wall_s for one in counted),
        calm=len(chosen),
        slices=len(slices),
        all_us=_each(slices),
    )


def _each(slices: list[Slice]) -> float:
    return sum(one.used_us for one in slices) / sum(one.done for one in slices)
