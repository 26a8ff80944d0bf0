"""Start a program, pass on what this process is told, and return how it ended.

A terminal sends Ctrl-C to everybody in front of it, so the program has had it already and a second one would make some
agents give up at once; from anywhere else a signal reaches us alone and is passed on. We never die of one ourselves:
what was made for the program must be taken back after its end.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType

_PASSED_ON = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGBREAK")
_FROM_THE_TERMINAL = ("SIGINT", "SIGQUIT")


def run_child(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a command to its end; return its status as shells do, 128 and the signal where one ended it.

    Raises:
        OSError: it cannot be started.
    """
    early: list[int] = []
    child: list[subprocess.Popen[bytes]] = []

    def pass_on(number: int, _frame: FrameType | None) -> None:
        if not child:
            early.append(number)
        elif not (signal.Signals(number).name in _FROM_THE_TERMINAL and _in_front()):
            _send(child[0], number)

    before = {number: signal.signal(number, pass_on) for number in _numbers()}
    try:
        child.append(subprocess.Popen(list(command), env=dict(environment)))  # noqa: S603 - what the person asked for
        for number in early:
            _send(child[0], number)
        status = child[0].wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return status if status >= 0 else 128 - status


@contextmanager
def ending_in_order() -> Iterator[Callable[[], None]]:
    """Let signals end a block by an exception, so that what it has made is taken back; yields what makes them wait."""

    def end(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in _numbers()}

    def nothing_ends_us() -> None:
        for number in before:
            signal.signal(number, signal.SIG_IGN)

    try:
        yield nothing_ends_us
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _numbers() -> list[signal.Signals]:
    """A signal that is ignored (`nohup`) stays so, for the program as well."""
    found = [getattr(signal, name) for name in _PASSED_ON if hasattr(signal, name)]
    return [number for number in found if signal.getsignal(number) is not signal.SIG_IGN]


def _send(child: "subprocess.Popen[bytes]", number: int) -> None:
    try:
        child.send_signal(number)
    except (OSError, ValueError):
        pass  # it has ended, or this system knows no such signal for others


def _in_front() -> bool:
    """Whether a terminal's keys reach this process and so its child, which is in the same group."""
    if sys.platform == "win32":
        return True  # consoles have no other way to send these
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
