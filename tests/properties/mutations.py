"""Spoils streams and answers the ways that networks, proxies and providers do, and some that nobody has seen yet.

Everything follows from the `Random` that is handed in: a failing case is its seed.
"""

import json
import re
from collections.abc import Callable
from itertools import pairwise
from random import Random
from typing import Any

_BLANK_LINE = re.compile(rb"(?<=\n\n)|(?<=\r\n\r\n)")
_ODD_VALUES = (
    "null",
    "true",
    "false",
    "0",
    "-1",
    "-0",
    "1.5",
    "1e2",
    "1e999999",
    "-1e-999999",
    "9" * 30,
    "9" * 5_000,
    "1073741825",
    '""',
    '"7"',
    '"\\ud800"',
    '"\\udc00\\ud800"',
    '"a\\u0000b"',
    '"\u2028"',
    "[]",
    "{}",
    "[null]",
    '[{"a": []}]',
    '{"message": null}',
    '{"message": {"message": 1}}',
    "[" * 3_000 + "]" * 3_000,
    '{"a":' * 3_000 + "1" + "}" * 3_000,
    "NaN",
    "Infinity",
    "'",
)
_PLACE = "\ue000here\ue000"
_NAMES = (
    "usage",
    "error",
    "choices",
    "delta",
    "message",
    "type",
    "model",
    "done",
    "response",
    "content",
    "id",
    "index",
)


def events_of(data: bytes) -> list[bytes]:
    """Return the events of a stream: parted by blank lines, or lines where there are none."""
    parts = _BLANK_LINE.split(data)
    if len(parts) < 3:
        parts = data.splitlines(keepends=True)
    return [part for part in parts if part]


def spoiled(random: Random, data: bytes) -> bytes:
    """Return `data` with one to four things wrong with it."""
    for _ in range(random.randint(1, 4)):
        data = random.choice(_WAYS)(random, data)
    return data


def pieces_of(random: Random, data: bytes) -> list[bytes]:
    """Return `data` cut at random places: byte by byte, anywhere, or next to line ends, where parsers err."""
    match random.randrange(4):
        case 0 if len(data) < 5_000:
            return [data[at : at + 1] for at in range(len(data))]
        case 1:
            ends = [found.end() for found in re.finditer(rb"[\r\n]", data)]
            places = random.sample(ends, min(len(ends), random.randint(1, 40)))
        case _:
            places = [random.randint(0, len(data)) for _ in range(random.randint(0, 30))]
    bounds = [0, *sorted(places), len(data)]
    return [data[start:end] for start, end in pairwise(bounds) if start < end]


def _flip(random: Random, data: bytes) -> bytes:
    spoilt = bytearray(data)
    for _ in range(random.randint(1, 8)):
        if spoilt:
            spoilt[random.randrange(len(spoilt))] = random.randrange(256)
    return bytes(spoilt)


def _take_out(random: Random, data: bytes) -> bytes:
    start = random.randint(0, len(data))
    return data[:start] + data[start + random.randint(0, 40) :]


def _put_in(random: Random, data: bytes) -> bytes:
    at = random.randint(0, len(data))
    odd = random.choice(
        (b"\n", b"\r", b"\r\n\r\n", b"\n\n\n", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b": still here\n\n", b"data:")
    )
    return data[:at] + odd + data[at:]


def _truncate(random: Random, data: bytes) -> bytes:
    return data[: random.randint(0, len(data))]


def _line_ends(random: Random, data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n").replace(b"\n", random.choice((b"\r\n", b"\r", b"\n\r")))


def _of_events(change: Callable[[Random, list[bytes]], None]) -> Callable[[Random, bytes], bytes]:
    def changed(random: Random, data: bytes) -> bytes:
        events = events_of(data)
        if events:
            change(random, events)
        return b"".join(events)

    return changed


def _drop(random: Random, events: list[bytes]) -> None:
    del events[random.randrange(len(events))]


def _twice(random: Random, events: list[bytes]) -> None:
    at = random.randrange(len(events))
    events[at:at] = [events[at]] * random.randint(1, 3)


def _swap(random: Random, events: list[bytes]) -> None:
    first, second = random.randrange(len(events)), random.randrange(len(events))
    events[first], events[second] = events[second], events[first]


def _backwards(random: Random, events: list[bytes]) -> None:  # noqa: ARG001 - it is called as its siblings are
    events.reverse()


def _spoil_json(random: Random, events: list[bytes]) -> None:
    """Replace, remove, rename or add a member somewhere in one event's JSON."""
    at = random.randrange(len(events))
    start, end = events[at].find(b"{"), events[at].rfind(b"}") + 1
    try:
        value = json.loads(events[at][start:end])
    except (ValueError, RecursionError):
        return
    holders = [holder for holder in _holders(value) if holder]
    if not holders:
        return
    _change_member(random, random.choice(holders))
    text = json.dumps(value, ensure_ascii=random.random() < 0.5)
    for mark in (json.dumps(_PLACE), json.dumps(_PLACE, ensure_ascii=False)):
        while mark in text:
            text = text.replace(mark, random.choice(_ODD_VALUES), 1)
    events[at] = events[at][:start] + text.encode("utf-8", "surrogatepass") + events[at][end:]


def _change_member(random: Random, holder: Any) -> None:
    if isinstance(holder, list):
        holder[random.randrange(len(holder))] = _PLACE
        return
    name = random.choice(list(holder))
    match random.randrange(6):
        case 0:
            del holder[name]
        case 1:
            holder[random.choice(_NAMES)] = holder.pop(name)
        case 2:
            holder[random.choice(_NAMES)] = _PLACE
        case _:
            holder[name] = _PLACE


def _holders(value: Any) -> list[Any]:
    """Return every object and list inside a decoded value."""
    found: list[Any] = []
    waiting = [value]
    while waiting:
        here = waiting.pop()
        if isinstance(here, dict | list):
            found.append(here)
            waiting.extend(here.values() if isinstance(here, dict) else here)
    return found


_WAYS: tuple[Callable[[Random, bytes], bytes], ...] = (
    _flip,
    _take_out,
    _put_in,
    _truncate,
    _line_ends,
    *(_of_events(change) for change in (_drop, _twice, _swap, _backwards)),
    *[_of_events(_spoil_json)] * 9,  # half of all: what a meter reads is inside the JSON
)


def is_thinned(got: bytes, sent: bytes) -> bool:
    """Whether all that was got was sent, in that order: what follows a format's end is left out, and nothing added."""
    rest = iter(sent)
    return all(byte in rest for byte in got)
