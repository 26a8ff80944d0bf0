"""Writes figures in the Prometheus text format, version 0.0.4.

The format's reference library takes 14 MB, 55 ms of start and 9 us to count one call (docs/decisions/0007), so the
fifty lines that we need of it stand here. Label texts are made once for a series and not once for a scrape: that is
most of what a scrape costs.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Literal

import msgspec

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"

_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


class Family(msgspec.Struct, frozen=True):
    """One metric: its samples are (suffix, label text, value); integers stay integers."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    samples: Iterable[tuple[str, str, float]]


class Histogram:
    """Durations in whole microseconds, counted into buckets whose upper bounds are told in seconds.

    A bucket holds what is up to and including its bound.
    """

    __slots__ = ("_bounds_us", "_buckets", "_labels", "_le", "_sum_us")

    def __init__(self, bounds_us: Sequence[int], labels: Mapping[str, str]) -> None:
        self._bounds_us = bounds_us
        self._labels = labels_text(labels)
        self._le = [labels_text({**labels, "le": f"{bound / 1_000_000:g}"}) for bound in bounds_us]
        self._le.append(labels_text({**labels, "le": "+Inf"}))
        self._buckets = [0] * len(self._le)
        self._sum_us = 0

    def add(self, durations_us: list[int]) -> None:
        """Count some durations, and empty the list."""
        if not durations_us:
            return
        durations_us.sort()
        if durations_us[0] < 0:  # a clock that was set back in the middle
            durations_us[:] = sorted(max(duration, 0) for duration in durations_us)
        self._sum_us += sum(durations_us)
        below = 0
        for at, bound in enumerate(self._bounds_us):
            up_to = bisect_right(durations_us, bound, below)
            self._buckets[at] += up_to - below
            below = up_to
            if below == len(durations_us):
                break
        self._buckets[-1] += len(durations_us) - below
        durations_us.clear()

    def samples(self) -> list[tuple[str, str, float]]:
        """Return cumulated buckets, sum and count, in seconds."""
        told: list[tuple[str, str, float]] = [
            ("_bucket", labels, count) for labels, count in zip(self._le, accumulate(self._buckets), strict=True)
        ]
        told.append(("_sum", self._labels, self._sum_us / 1_000_000))
        told.append(("_count", self._labels, sum(self._buckets)))
        return told


def labels_text(labels: Mapping[str, str]) -> str:
    """Return the label part of a sample, escaped; empty where there are no labels."""
    if not labels:
        return ""
    told = ",".join(f'{name}="{_plain(value)}"' for name, value in labels.items())
    return f"{{{told}}}"


def exposition(families: Iterable[Family]) -> bytes:
    """Return the text of a scrape; a family without samples is left out."""
    lines: list[str] = []
    for family in families:
        name = family.name
        told = [f"{name}{suffix}{labels} {value}" for suffix, labels, value in family.samples]
        if told:
            lines += (f"# HELP {name} {family.help}", f"# TYPE {name} {family.kind}")
            lines += told
    return ("\n".join(lines) + "\n").encode("utf-8", "replace")


def _plain(value: str) -> str:
    """Return a label's value as the format wants it; other control characters would spoil the reader's screen."""
    escaped = value.translate(_ESCAPES)
    return escaped if escaped.isprintable() else "".join(c if c.isprintable() else "?" for c in escaped)
