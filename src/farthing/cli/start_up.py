"""What a process that serves does to itself first: leaves no memory image behind, and takes over the logs.

And what it makes of signals from its first moment to its last. What surprised us: to hold signals back is a thread's
own affair, so the system hands them to another thread; and a loop that lets go of a signal leaves it to the system,
which ends the process. So whoever handles SIGHUP or SIGUSR2 no more has it change nothing.
"""

import signal
from typing import TYPE_CHECKING

from farthing.config.schema import LogSettings
from farthing.monitoring.logs import PROCESS_LOGS

if TYPE_CHECKING:
    import asyncio

_HELD = [getattr(signal, name) for name in ("SIGHUP", "SIGUSR2") if hasattr(signal, name)]
"""Windows has neither."""

STARTED_TO_OUTLIVE_TERMINAL = hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
"""Whether we were started with SIGHUP ignored, as `nohup` does; looked at before anybody handles it."""


def prepare_process(log: LogSettings) -> None:
    """Call it before a credential is read."""
    no_core_dumps()
    PROCESS_LOGS.begin(log.format, log.level)


def hold_signals() -> None:
    """Have SIGHUP and SIGUSR2 wait: they would end a process that has not said yet what it makes of them."""
    if _HELD:
        signal.pthread_sigmask(signal.SIG_BLOCK, _HELD)


def hear_signals() -> None:
    """Take what waited, and what comes; a process that was started meanwhile has to call it too."""
    if _HELD:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD)


def ignore_signals() -> None:
    """Have SIGHUP and SIGUSR2 change nothing any more.

    Whoever stops has nobody left who handles them, and settles still; unhandled, they would end it in the middle. It is
    done by a handler because, unlike being ignored, one is not inherited by what the process becomes.
    """
    for number in _HELD:
        signal.signal(number, lambda *_: None)


def handle_no_more(loop: "asyncio.AbstractEventLoop", number: int) -> None:
    """Have a signal that the loop handled change nothing any more, without a moment in which it would end us."""
    loop.add_signal_handler(number, lambda: None)


def outlive_terminal_again() -> None:
    """Leave SIGHUP to the program that we become as we found it: only what is ignored is inherited."""
    if STARTED_TO_OUTLIVE_TERMINAL:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


def no_core_dumps() -> None:
    """Forbid core dumps, to this process and those it starts: one would hold every credential in plain text.

    A system that pipes dumps into a program leaves the decision to that program; systemd's keeps to the limit.
    """
    try:
        import resource  # noqa: PLC0415 - Windows has none, and writes no such files unasked
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
