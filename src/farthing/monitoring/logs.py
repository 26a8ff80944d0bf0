"""Log lines, carried away by a thread so that nobody waits for a terminal, a pipe or a disk.

What is logged waits in a bounded queue and is made into text and written by one piece of work at a time; what does not
fit, or what nobody reads in time, is dropped and counted, and the next line that gets out says how many are missing.
Before the loop runs and after it has ended lines are written where they are logged: start and stop may wait.

Text that came from outside cannot begin a line of its own, move a terminal's cursor or turn the order of its letters;
what looks like a key is made stars, whoever logged it.
What surprised us: a pipe that nobody reads blocks for ever even the thread, and the end of the process with it; so it
is asked before each piece whether it takes one.
"""

import asyncio
import logging
import os
import re
import select
import unicodedata
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

import msgspec

from farthing.clock import Clock, SystemClock
from farthing.errors import StoreError
from farthing.types.offload import Offload

LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

MAX_WAITING = 10_000
"""Lines in memory, 4 MB of them: one second of access log at 10,000 calls a second."""
BATCH = 512
"""Lines made into text at once, about 3 ms of the thread."""
WRITE_S = 1.0
"""How long a pipe or terminal may take no byte before a batch is dropped."""
CLOSE_S = 2.0
"""How long the end of the process waits for what is still queued."""
MAX_LINE = 16_384
"""Characters of a line; a traceback of fifty frames has 8,000."""
_PIECE = 4096
"""A pipe that is ready takes at least so many bytes without waiting (PIPE_BUF)."""

_KEYS = re.compile(
    r"\b(?:ft|fta|sk|xai|pplx)-[A-Za-z0-9_-]{12,}|\b(?:gsk|hf|r8)_[A-Za-z0-9]{12,}|\bAIza[A-Za-z0-9_-]{12,}"
    r"|(?<=[Bb]earer )[^\s\"',]{8,}|(?<=/k/)[^/\s\"']{8,}"
)
"""Our clients' keys, our admin's tokens, and what the keys of the well-known providers look like."""
_SIGNS = ("ft-", "fta-", "sk-", "xai-", "pplx-", "gsk_", "hf_", "r8_", "AIza", "earer ", "/k/")
"""One of these is in whatever `_KEYS` finds; to look for all of them takes 1 us, the expression 15."""
_UNSEEN = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs", "Co", "Cn"})
"""Unicode's categories of what is no sign: controls, marks that turn the order of letters, ends of lines, half a pair,
and what is private or not given away. Spaces of other languages are signs."""
_LEVELS: dict[str, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

Line = Callable[[LogFormat], str]
"""Makes a line when it is written: what that costs is the thread's business."""


class LogOutput:
    """The way out for every line of this process."""

    def __init__(
        self, descriptor: int, clock: Clock, form: LogFormat = "text", *, max_waiting: int = MAX_WAITING
    ) -> None:
        self.form: LogFormat = form
        self._clock = clock
        self.dropped = 0
        self._descriptor = descriptor
        self._max_waiting = max_waiting
        self._waiting: deque[Line] = deque()
        self._told = 0
        self._torn = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._offload: Offload | None = None
        self._carrying: asyncio.Task[None] | None = None

    def put(self, line: Line) -> None:
        """Take a line; from any thread."""
        loop = self._loop
        if loop is None:
            self._write([line])
        elif len(self._waiting) >= self._max_waiting:
            self.dropped += 1
        else:
            self._waiting.append(line)
            if self._carrying is None:
                try:
                    loop.call_soon_threadsafe(self._carry_on)
                except RuntimeError:  # the loop has ended, and nobody told us
                    self._loop = None

    def attach(self, offload: Offload) -> None:
        """From now on write with `offload`, in the running loop."""
        self._loop, self._offload = asyncio.get_running_loop(), offload

    async def detach(self) -> None:
        """Write what is queued, for a while, and then write where lines are logged again."""
        self._carry_on()
        self._loop = None
        if self._carrying is not None:
            await asyncio.wait([self._carrying], timeout=CLOSE_S)
        if self._waiting:
            self.dropped += len(self._waiting)
            self._waiting.clear()
        self._offload = None
        if self.dropped != self._told:
            self._write([])

    def _carry_on(self) -> None:
        if self._carrying is None and self._waiting and self._loop is not None:
            self._carrying = self._loop.create_task(self._carry(), name="logs")

    async def _carry(self) -> None:
        try:
            while self._waiting and self._offload is not None:
                batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), BATCH))]
                await self._offload.run(lambda batch=batch: self._write(batch))  # type: ignore[misc]  # bound as default
        except StoreError:
            self._loop = None  # the thread has ended before us: what comes is written in place
        finally:
            self._carrying = None
            self._carry_on()  # a line that came in between

    def _write(self, lines: list[Line]) -> None:
        texts = []
        missing = self.dropped - self._told
        if missing:
            self._told = self.dropped
            message = f"{missing} log lines were dropped: nobody took them in time"
            texts.append(log_line(self.form, self._clock.now_us() / 1_000_000, "warning", __name__, message))
        texts += [_made(line, self.form) for line in lines]
        data = ("\n" * self._torn + "".join(texts)).encode("utf-8", "backslashreplace")
        left = self._out(data)
        self._torn = 0 < left < len(data)
        if left:
            self.dropped += len(lines)

    def _out(self, data: bytes) -> int:
        """Write; return how many bytes are left because nobody takes them."""
        waits = os.name == "posix"  # elsewhere only sockets can be asked
        try:
            while data:
                if waits and not select.select([], [self._descriptor], [], WRITE_S)[1]:
                    break
                data = data[os.write(self._descriptor, _piece(data) if waits else data) :]
        except (OSError, ValueError):
            pass  # closed, or its reader is gone: there is nowhere to tell it
        return len(data)


def _piece(data: bytes) -> bytes:
    """Return what is written at once, whole lines where they are short enough: several processes may share a pipe."""
    return data[: data.rfind(b"\n", 0, _PIECE) + 1 or _PIECE]


class QueueingHandler(logging.Handler):
    """Hands the standard library's records to the output."""

    def __init__(self, output: LogOutput) -> None:
        super().__init__()
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        """Make the message now, while its arguments are what they are, and the line later."""
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 - a wrong call of a logger must not take down who made it
            message = f"{record.msg!r} (its arguments do not fit it)"
        trace = ""
        if record.exc_info and record.exc_info[0] is not None:
            trace = logging.Formatter().formatException(record.exc_info)
        at, level, name = record.created, record.levelname.lower(), record.name
        self._output.put(lambda form: log_line(form, at, level, name, message, trace))


class Logs:
    """The logs of this process: where they go, in which form, from which level on."""

    def __init__(self, descriptor: int) -> None:
        self.output = LogOutput(descriptor, SystemClock())
        self.level: LogLevel = "warning"
        self._handler = QueueingHandler(self.output)

    def begin(self, form: LogFormat, level: LogLevel) -> None:
        """Take over whatever the process logs."""
        self.output.form = form
        root = logging.getLogger()
        for handler in [*root.handlers]:
            root.removeHandler(handler)
        root.addHandler(self._handler)
        self.set_level(level)

    def set_level(self, level: LogLevel) -> None:
        """Choose from which level on our own lines are written; other libraries' talk below warnings never is."""
        self.level = level
        logging.getLogger().setLevel(max(_LEVELS[level], logging.WARNING))
        logging.getLogger("farthing").setLevel(_LEVELS[level])


PROCESS_LOGS = Logs(2)
"""The standard error of this process, of which there is one, as there is one root of all loggers."""


def log_line(form: LogFormat, at_s: float, level: str, name: str, message: str, trace: str = "") -> str:
    """Return one entry, with the end of its line."""
    if form == "json":
        told = {"at": utc(at_s), "level": level, "logger": name, "message": message[:MAX_LINE]}
        if trace:
            told["trace"] = trace[-MAX_LINE:]
        return hidden(plain_json(msgspec.json.encode(told).decode())) + "\n"
    text = f"{utc(at_s)} {level.upper()} {name}: {plain(message[:MAX_LINE])}\n"
    for line in trace[-MAX_LINE:].splitlines():
        text += f"  {plain(line)}\n"
    return hidden(text)


def utc(at_s: float) -> str:
    """Return a time as ISO 8601 in UTC, with milliseconds."""
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def plain(text: str) -> str:
    """Return the text with the characters that nobody sees written out."""
    return text if text.isprintable() else _written_out(text, lambda sign: f"\\x{ord(sign):02x}")


def plain_json(text: str) -> str:
    """Return JSON with the characters that nobody sees written out: it says the same to whoever parses it."""
    return text if text.isprintable() else _written_out(text, _in_json)


def _written_out(text: str, write: Callable[[str], str]) -> str:
    return "".join(write(sign) if unicodedata.category(sign) in _UNSEEN else sign for sign in text)


def _in_json(sign: str) -> str:
    pairs = sign.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{pairs[at : at + 4]}" for at in range(0, len(pairs), 4))


def hidden(text: str) -> str:
    """Return the text with stars for what looks like a key."""
    return _KEYS.sub("***", text) if any(sign in text for sign in _SIGNS) else text


def as_level(text: str) -> LogLevel | None:
    """Return the level of that name."""
    return text if text in _LEVELS else None  # type: ignore[return-value]  # the keys are the levels


def _made(line: Line, form: LogFormat) -> str:
    try:
        return line(form)
    except Exception as error:  # noqa: BLE001 - one line that cannot be made must not lose its batch
        return f"a log line could not be written: {type(error).__name__}\n"
