"""Puts a provider's figures beside the ledger's, by UTC day and model, and says what of them the ledger has.

The capture rate is the share of what the provider tells that we have too, cell by cell: what we have too much of one
model does not make up for what is missing of another. Only what an export tells is compared: one without requests says
nothing about requests.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from fractions import Fraction
from typing import Literal

import msgspec

from farthing.errors import ExportUnreadable
from farthing.ledger.reconciliation.lines import BilledLine, same_model
from farthing.types.money import NANOUSD_PER_USD
from farthing.types.spending import SpendingRow

MAX_CELLS = 100_000
"""Days by models: a year of 270 models. What is held is this, however long the file is."""
SAME_TOKENS_PERCENT = 1
"""Two counts of the same tokens closer than this are taken for the same; the money is then what differs."""

Measure = Literal["usd", "requests", "input_tokens", "output_tokens", "cache_read_tokens"]
MEASURES: tuple[Measure, ...] = ("usd", "requests", "input_tokens", "output_tokens", "cache_read_tokens")

Reason = Literal[
    "around_the_gateway",  # the provider has calls that we have not
    "not_in_the_export",  # we have calls that the export has not
    "unknown_price",  # we have the calls, and no price for some
    "another_price",  # the same tokens cost something else
    "estimated_usage",  # answers that were cut: their usage is our estimate
    "time_zone",  # the day beside it differs the other way
    "other",
]


class Side(msgspec.Struct, kw_only=True):
    """One side's sums of a day and model; nanodollars. `None` is what it does not tell."""

    usd: int | None = None
    requests: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Where the two sides differ; `model` is `None` for a day of an export that does not tell models."""

    day: str
    model: str | None
    theirs: Side
    ours: Side
    reasons: tuple[Reason, ...]

    def by(self, measure: Measure) -> int:
        """How much more we have than they; 0 where they do not tell it, all of theirs where we do not know it."""
        return _more(self.theirs, self.ours, measure)


class Capture(msgspec.Struct, frozen=True):
    """Of `theirs` we have `captured`; `ours` is all that we have in those days, `None` where there is nothing told."""

    measure: Measure
    theirs: int
    ours: int
    captured: int


class Reconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it; differences largest first."""

    first_day: str
    last_day: str
    cells: int
    agreeing: int
    captures: tuple[Capture, ...]
    differences: tuple[Difference, ...]


_Cell = tuple[str, str | None]


def add_up(lines: Iterable[BilledLine]) -> dict[_Cell, Side]:
    """Return an export's sums by day and model, rounded to nanodollars once.

    Raises:
        ExportUnreadable: there is nothing in it, or more days and models than could be one.
    """
    money: dict[_Cell, Fraction] = {}
    sides: dict[_Cell, Side] = {}
    for line in lines:
        cell = (line.day, same_model(line.model))
        side = sides.get(cell)
        if side is None:
            if len(sides) >= MAX_CELLS:
                raise ExportUnreadable(f"The export has more than {MAX_CELLS:,} days by models; give it in parts.")
            side = sides[cell] = Side()
        if line.usd is not None:
            money[cell] = money.get(cell, Fraction(0)) + line.usd
        for measure in MEASURES[1:]:
            told = getattr(line, measure)
            if told is not None:
                setattr(side, measure, (getattr(side, measure) or 0) + told)
    if not sides:
        raise ExportUnreadable("The export holds no usage and no costs.", hint="was it made for the right days?")
    for cell, usd in money.items():
        sides[cell].usd = round(usd * NANOUSD_PER_USD)
    return sides


def compare(theirs: Mapping[_Cell, Side], ours: Sequence[SpendingRow]) -> Reconciliation:
    """Return what the ledger has of an export; `ours` are sums by (day, model served) of the same days."""
    by_model = any(model is not None for _, model in theirs)
    told = {measure for side in theirs.values() for measure in MEASURES if getattr(side, measure) is not None}
    mine: dict[_Cell, list[SpendingRow]] = {}
    for row in ours:
        day, model = row.groups
        mine.setdefault((day or "", same_model(model) if by_model else None), []).append(row)
    cells = sorted({*theirs, *mine}, key=lambda cell: (cell[0], cell[1] or ""))
    pairs = [(cell, theirs.get(cell, _nothing(told)), _side(mine.get(cell, ()))) for cell in cells]
    differing = {cell: (a, b) for cell, a, b in pairs if any(_differ(a, b, measure) for measure in told)}
    differences = [
        Difference(
            day=cell[0],
            model=cell[1],
            theirs=a,
            ours=b,
            reasons=_reasons(cell, a, b, mine.get(cell, ()), differing),
        )
        for cell, (a, b) in differing.items()
    ]
    differences.sort(key=lambda one: (-abs(one.by("usd")), -abs(one.by("input_tokens") + one.by("output_tokens"))))
    return Reconciliation(
        first_day=cells[0][0],
        last_day=cells[-1][0],
        cells=len(cells),
        agreeing=len(cells) - len(differing),
        captures=tuple(_capture(measure, pairs) for measure in MEASURES if measure in told),
        differences=tuple(differences),
    )


def _side(rows: Sequence[SpendingRow]) -> Side:
    """Return our sums; the money is `None` where we know the cost of none of the calls, and there are some."""
    unknown = bool(rows) and all(row.known_cost_nanousd is None for row in rows)
    return Side(
        usd=None if unknown else sum(row.cost_nanousd for row in rows),
        requests=sum(row.attempts - row.failed_attempts for row in rows),
        input_tokens=sum(row.input_tokens for row in rows),
        output_tokens=sum(row.output_tokens for row in rows),
        cache_read_tokens=sum(row.cache_read_input_tokens for row in rows),
    )


def _nothing(told: Iterable[Measure]) -> Side:
    """Return a provider's silence about a day and model in what it tells of others: nothing, and not unknown."""
    return Side(**dict.fromkeys(told, 0))


def _differ(theirs: Side, ours: Side, measure: Measure) -> bool:
    told, kept = getattr(theirs, measure), getattr(ours, measure)
    if told is None or told == kept:
        return False
    # The ledger rounds each attempt to a nanodollar and the provider a sum: half a nanodollar for each request.
    return measure != "usd" or kept is None or abs(told - kept) > max(1, ours.requests or 0)


def _capture(measure: Measure, pairs: Sequence[tuple[_Cell, Side, Side]]) -> Capture:
    told = [(getattr(a, measure) or 0, getattr(b, measure) or 0) for _, a, b in pairs]
    return Capture(measure, sum(a for a, _ in told), sum(b for _, b in told), sum(max(0, min(a, b)) for a, b in told))


def _reasons(
    cell: _Cell, theirs: Side, ours: Side, rows: Sequence[SpendingRow], differing: Mapping[_Cell, tuple[Side, Side]]
) -> tuple[Reason, ...]:
    """Return what may explain it, the likeliest first; a guess from the figures, and no more."""
    if _beside(cell, theirs, ours, differing):
        return ("time_zone",)
    reasons: list[Reason] = []
    shape = _shape(theirs, ours)
    if shape > 0:
        reasons.append("around_the_gateway")
    if shape < 0:
        reasons.append("not_in_the_export")
    if any(row.unknown_cost_attempts for row in rows) and theirs.usd is not None:
        reasons.append("unknown_price")
    if any(row.estimated_attempts for row in rows):
        reasons.append("estimated_usage")
    tokens_told = theirs.input_tokens is not None or theirs.output_tokens is not None
    if shape == 0 and tokens_told and _differ(theirs, ours, "usd") and not reasons:
        reasons.append("another_price")
    return tuple(reasons) or ("other",)


def _shape(theirs: Side, ours: Side) -> int:
    """Return 1 where they have more calls than we, -1 where we have, 0 where they are as good as the same."""
    for measure in ("requests", "input_tokens", "output_tokens", "usd"):
        told, kept = getattr(theirs, measure), getattr(ours, measure)
        if told is None:
            continue
        if measure == "usd":
            return 1 if not ours.requests else -1 if told == 0 else 0
        if abs(told - kept) * 100 > max(told, kept) * SAME_TOKENS_PERCENT:
            return 1 if told > kept else -1
    return 0


def _beside(cell: _Cell, theirs: Side, ours: Side, differing: Mapping[_Cell, tuple[Side, Side]]) -> bool:
    """Whether the day before or after differs as much the other way: calls that only stand in another day."""
    measure: Measure = "input_tokens" if theirs.input_tokens is not None else "usd"
    here = _more(theirs, ours, measure)
    for days in (-1, 1):
        day = (date.fromisoformat(cell[0]) + timedelta(days=days)).isoformat()
        other = differing.get((day, cell[1]))
        there = 0 if other is None else _more(*other, measure)
        # Nearly as much the other way; two days that differ by chance do not cancel.
        if here * there < 0 and abs(here + there) * 10 <= abs(here):
            return True
    return False


def _more(theirs: Side, ours: Side, measure: Measure) -> int:
    told, kept = getattr(theirs, measure), getattr(ours, measure)
    return 0 if told is None else (kept or 0) - told
