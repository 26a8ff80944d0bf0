"""Log lines: their forms, what they may not hold, and that nobody waits for whoever reads them."""

import asyncio
import io
import json
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from farthing.config.paths import Home
from farthing.config.schema import LogSettings
from farthing.events import News
from farthing.monitoring.access_log import access_line
from farthing.monitoring.logs import BATCH, LogFormat, LogOutput, Logs, QueueingHandler, hidden, log_line
from farthing.monitoring.watch import Watch
from farthing.storage.offload import ThreadOffload
from tests.contracts.ledger_samples import SetClock, until
from tests.unit.monitoring.test_metrics import attempt

AT_S = 1_763_700_000.25


@pytest.fixture
def pipe() -> Iterator[tuple[io.FileIO, int]]:
    read, write = os.pipe()
    with open(read, "rb", buffering=0) as reader:  # noqa: PTH123 - a descriptor has no path
        yield reader, write
        os.close(write)


def plain_line(text: str) -> Callable[[LogFormat], str]:
    return lambda _: text + "\n"


def logger_to(output: LogOutput) -> logging.Logger:
    logger = logging.getLogger("farthing.test")
    logger.handlers, logger.propagate = [QueueingHandler(output)], False
    return logger


def test_a_text_line_is_one_line_whatever_is_in_it() -> None:
    told = log_line("text", AT_S, "warning", "farthing.x", "a\nfake 2026-01-01 ERROR line\r\x1b[2J\u2028")
    assert told == (
        "2025-11-21T04:40:00.250Z WARNING farthing.x: a\\x0afake 2026-01-01 ERROR line\\x0d\\x1b[2J\\x2028\n"
    )


def test_a_json_line_is_one_object() -> None:
    told = log_line("json", AT_S, "error", "farthing.x", 'two\nlines "quoted"', "Traceback\n  ...")
    assert told.count("\n") == 1
    assert json.loads(told) == {
        "at": "2025-11-21T04:40:00.250Z",
        "level": "error",
        "logger": "farthing.x",
        "message": 'two\nlines "quoted"',
        "trace": "Traceback\n  ...",
    }


@pytest.mark.parametrize(
    "secret",
    [
        "ft-" + "a" * 49,
        "fta-" + "b" * 43,
        "sk-proj-abcdefghijklmnop",
        "sk-ant-api03-abcdefghijklmnop",
        "AIzaSyAbcdefghijklmnop",
        "gsk_abcdefghijklmnop",
    ],
)
@pytest.mark.parametrize("form", ["{}", "authorization: Bearer {}", "/k/{}/v1/models", '{{"key":"{}"}}', "?key={}&x"])
def test_what_looks_like_a_key_becomes_stars(secret: str, form: str) -> None:
    told = hidden(form.format(secret))
    assert secret[4:] not in told
    assert "***" in told


@pytest.mark.parametrize("harmless", ["gpt-4o-mini-2024-07-18", "task-runner-for-the-night", "call_01kagv3x7q5c2r8m4z"])
def test_names_are_not_taken_for_keys(harmless: str) -> None:
    assert hidden(harmless) == harmless


def test_an_access_line_says_what_a_call_cost_and_none_of_what_it_said() -> None:
    told = json.loads(access_line("json", attempt(error_message="the prompt was: a private matter", error_code="bad")))
    assert (told["key"], told["error"], told["cost_nanousd"], told["duration_ms"]) == ("laptop", "bad", 20_000, 20.0)
    assert "private" not in json.dumps(told)
    text = access_line("text", attempt(model='a model" key=x\n'))
    assert text.count("\n") == 1
    assert r'model="a model\" key=x\\x0a"' in text


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("context_length_exceeded", "context_length_exceeded"),
        ("429", "429"),
        ("InvalidParameter.DataInspection", "InvalidParameter.DataInspection"),
        ("invalid prompt: a private matter", "other"),
        ("private\nmatter", "other"),
        ("private" * 10, "other"),
        ("", "other"),
        (None, None),
    ],
)
@pytest.mark.parametrize("form", ["json", "text"])
def test_a_providers_code_is_told_only_where_it_has_the_shape_of_a_name(
    code: str | None, told: str | None, form: LogFormat
) -> None:
    line = access_line(form, attempt(error_code=code))
    assert told == code or "private" not in line
    if form == "json":
        assert json.loads(line).get("error") == told
    else:
        assert (f" error={told} " in line) if told else " error=" not in line


@pytest.mark.parametrize("sign", ["\u202e", "\u2066", "\u200b", "\ufeff", "\x9b", "\x7f", "\U000e0041"])
def test_marks_that_turn_or_hide_letters_are_written_out(sign: str) -> None:
    text = log_line("text", AT_S, "warning", "farthing.x", f"Größe 漢字\u3000😀 {sign}evil")
    assert sign not in text
    assert f"\\x{ord(sign):02x}evil" in text
    assert "Größe 漢字\u3000😀" in text
    line = log_line("json", AT_S, "warning", "farthing.x", f"Größe {sign}evil")
    assert sign not in line
    assert json.loads(line)["message"] == f"Größe {sign}evil"
    for form in ("text", "json"):
        assert sign not in access_line(form, attempt(model=f"m{sign}"))


def test_before_the_loop_runs_lines_are_written_in_place(pipe: tuple[io.FileIO, int]) -> None:
    reader, descriptor = pipe
    logger_to(LogOutput(descriptor, SetClock())).warning("starting %s", "up")
    assert reader.read(1000).endswith(b"WARNING farthing.test: starting up\n")


async def test_lines_leave_in_order_from_a_thread(pipe: tuple[io.FileIO, int]) -> None:
    reader, descriptor = pipe
    output, offload = LogOutput(descriptor, SetClock()), ThreadOffload("test-logs")
    output.attach(offload)
    for number in range(BATCH + 10):
        output.put(plain_line(f"{number}"))
    await output.detach()
    await offload.close()
    assert reader.read(1 << 16).split() == [b"%d" % number for number in range(BATCH + 10)]


async def test_a_pipe_that_nobody_reads_drops_lines_counts_them_and_says_so(pipe: tuple[io.FileIO, int]) -> None:
    reader, descriptor = pipe
    output, offload = LogOutput(descriptor, SetClock(), max_waiting=20), ThreadOffload("test-logs")
    output.attach(offload)
    output.put(plain_line("x" * 200_000))  # more than a pipe holds
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    for _ in range(30):
        output.put(plain_line("y"))
    assert output.dropped >= 10
    await until(lambda: output.dropped >= 11)  # the long line was given up
    taken = b""
    while b"dropped" not in taken:
        taken += await asyncio.to_thread(reader.read, 65_536)
    await output.detach()
    await offload.close()
    after = taken.partition(b"\n")[2]
    assert b"WARNING farthing.monitoring.logs: " in after
    assert b" log lines were dropped: nobody took them in time\n" in after


async def test_a_line_that_cannot_be_made_loses_no_other(pipe: tuple[io.FileIO, int]) -> None:
    reader, descriptor = pipe

    def broken(_: LogFormat) -> str:
        raise ValueError("no")

    output, offload = LogOutput(descriptor, SetClock()), ThreadOffload("test-logs")
    output.attach(offload)
    output.put(broken)
    output.put(plain_line("good"))
    logger_to(output).warning("%d arguments", "no number")
    await output.detach()
    await offload.close()
    told = reader.read(4096).decode()
    assert "could not be written: ValueError" in told
    assert "good\n" in told
    assert "'%d arguments' (its arguments do not fit it)" in told


def test_a_closed_descriptor_harms_nobody() -> None:
    read, write = os.pipe()
    os.close(read)
    output = LogOutput(write, SetClock())
    output.put(plain_line("into the void"))
    assert output.dropped == 1
    os.close(write)
    output.put(plain_line("into less"))
    assert output.dropped == 2


async def test_lines_of_several_processes_on_one_pipe_stay_whole(pipe: tuple[io.FileIO, int]) -> None:
    reader, descriptor = pipe
    outputs = [LogOutput(descriptor, SetClock()) for _ in range(4)]
    lines = 200

    async def log(mark: str, output: LogOutput) -> None:
        output.attach(ThreadOffload(f"log-{mark}"))
        for number in range(lines):
            output.put(plain_line(f"{mark} {number} " + mark * (number % 90)))
        offload = output._offload
        await output.detach()
        assert offload is not None
        await offload.close()

    def read() -> list[bytes]:
        data = b""
        while data.count(b"\n") < lines * len(outputs):
            data += reader.read(65536)
        return data.splitlines()

    reading = asyncio.get_running_loop().run_in_executor(None, read)
    await asyncio.gather(*(log(mark, output) for mark, output in zip("abcd", outputs, strict=True)))
    for line in await asyncio.wait_for(reading, 30):
        mark, number, rest = line.decode().split(" ")
        assert rest == mark * (int(number) % 90)


async def test_a_level_that_cannot_be_read_is_told_once_and_changes_nothing(
    tmp_path: Path, pipe: tuple[io.FileIO, int], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "log-level").mkdir()  # as good as a file that is root's
    logs = Logs(pipe[1])
    watch = Watch(
        News(), log_settings=LogSettings, home=Home(tmp_path), logs=logs, offload=ThreadOffload(), keeps_level=True
    )
    await watch.start()
    await until(lambda: bool(caplog.messages))
    await watch.close()
    (message,) = caplog.messages
    assert message == f"the level that is asked for cannot be read from {tmp_path / 'log-level'}: Is a directory"
    assert logs.level == "warning"
