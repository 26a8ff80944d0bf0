"""Attempts as rows and back, for every backend that speaks SQL; the columns stand in the order of `COLUMNS`.

A row is made of whole structs (`astuple` runs in C: 1.2 us a row, field by field 2.1 us). That ties the columns to the
order of the structs' fields, so a test of each backend compares `COLUMNS` with its statement and its table.
"""

from collections.abc import Collection
from typing import Any, NamedTuple

from msgspec.structs import astuple

from farthing.types.calls import Attempt, Attribution, Opening
from farthing.types.ledger import US_PER_DAY, CostsRow, DailyTotal
from farthing.types.usage import Usage

Row = tuple[Any, ...]

_OPENING = Opening.__struct_fields__[:-2]  # its last fields are the attribution and what was held
_ATTRIBUTION = Attribution.__struct_fields__
_ENDING = Attempt.__struct_fields__[1:4] + Attempt.__struct_fields__[5:]  # without opening and usage
_USAGE = Usage.__struct_fields__[:-1]  # its last field are the flags
assert Opening.__struct_fields__[-2:] == ("attribution", "held_nanousd")
assert Usage.__struct_fields__[-1] == "flags"
assert (Attempt.__struct_fields__[0], Attempt.__struct_fields__[4]) == ("opening", "usage")

COLUMNS = (*_OPENING, *_ATTRIBUTION, "held_nanousd", *_ENDING, *_USAGE, "usage_flags")

_AFTER_OPENING = len(_OPENING)
_AFTER_ATTRIBUTION = _AFTER_OPENING + len(_ATTRIBUTION)
_BEFORE_ENDING = _AFTER_ATTRIBUTION + 1
_AFTER_ENDING = _BEFORE_ENDING + len(_ENDING)
_STREAMED = _OPENING.index("streamed")


def row_of(attempt: Attempt) -> Row:
    """Return the attempt as a row of `attempts`."""
    ending = astuple(attempt)
    opening = astuple(ending[0])
    usage = astuple(ending[4])
    flags = usage[-1]
    return (
        opening[:-2]
        + astuple(opening[-2])
        + opening[-1:]
        + ending[1:4]
        + ending[5:]
        + usage[:-1]
        + ((",".join(flags) if flags else None),)
    )


def attempt_of(row: Row) -> Attempt:
    """Return the attempt that a row of `attempts` holds, as it stands there: a damaged row is for verify to find."""
    attribution = Attribution(*row[_AFTER_OPENING:_AFTER_ATTRIBUTION])
    opening = dict(zip(_OPENING, row[:_AFTER_OPENING], strict=True))
    opening["streamed"] = bool(row[_STREAMED])
    opening["held_nanousd"] = row[_AFTER_ATTRIBUTION]
    ending = dict(zip(_ENDING, row[_BEFORE_ENDING:_AFTER_ENDING], strict=True))
    usage = dict(zip(_USAGE, row[_AFTER_ENDING:-1], strict=True))
    flags = tuple(row[-1].split(",")) if row[-1] else ()
    return Attempt(opening=Opening(**opening, attribution=attribution), usage=Usage(**usage, flags=flags), **ending)


def daily_total_of(row: Row) -> DailyTotal:
    """Return the daily total in a row whose columns stand in the type's order."""
    return DailyTotal(**dict(zip(DailyTotal.__struct_fields__, row, strict=True)))


def costs_row_of(row: Row) -> CostsRow:
    """Return the group's costs in a row whose columns stand in the type's order."""
    return CostsRow(**dict(zip(CostsRow.__struct_fields__, row, strict=True)))


class Sums(NamedTuple):
    """A table of sums by hour, the columns that its groups have in common, and what questions those can answer."""

    table: str
    columns: tuple[str, ...]
    known: frozenset[str]


def _sums(table: str, *columns: str) -> Sums:
    known = {"key" if one == "key_id" else one for one in columns}
    return Sums(table, columns, frozenset(known | {"day"} | ({"tag"} if "tags" in known else set())))


_ABOUT_MODELS = ("face", "operation", "provider", "model", "model_served", "price_id", "service_tier")
_ABOUT_KEYS = ("face", "key_id", "key_name", "organisation", "team", "project", "user", "tags")
ROLLED = (
    _sums("rollups_of_models", *_ABOUT_MODELS),
    _sums("rollups_of_keys", *_ABOUT_KEYS),
    _sums("rollups_of_work", "session", "conversation", "task", "sub_agent", "branch", "pull_request"),
    _sums("rollups", *_ABOUT_MODELS, *_ABOUT_KEYS[1:], "task", "branch"),
)
"""The fewest groups first: a question is answered from the first that knows what it is asked by. An hour has some dozen
groups of models, as many of keys as keys are busy, and the last of them all of their combinations."""


def sums_for(known_by: Collection[str]) -> Sums | None:
    """Return from which sums a question by these is answered; `None` where none knows all of them."""
    return next((one for one in ROLLED if one.known.issuperset(known_by)), None)


_PRICED = frozenset({"provider", "model", "model_served", "price_id", "service_tier"})


def calls_counted(known_by: Collection[str], since_us: int | None, until_us: int | None) -> str | None:
    """Return which column of sums by hour counts calls for a question by these, over a time.

    `None` where none does. By a model's name without its provider a call is counted once for each provider that served
    it: those which two of them served are to be taken off.
    """
    parts = _PRICED.union({"day"}).intersection(known_by)
    if since_us is not None and until_us is not None and since_us // US_PER_DAY == (until_us - 1) // US_PER_DAY:
        parts -= {"day"}  # the same for every line of the time, so no call is in two groups because of it
    if parts == _PRICED:
        return "priced_calls"
    return _COUNTED.get("-".join(sorted(parts)))


_COUNTED = {
    "": "calls",
    "day": "day_calls",
    "provider": "provider_calls",
    "model-provider": "model_calls",
    "model": "model_calls",
}
_OF_A_MODEL = frozenset({"model", "model_served", "price_id", "service_tier", "outcome"})


def same_model(meant: str | None, known_by: Collection[str]) -> str | None:
    """Return when a call's earlier attempt `e` was of what a question has for the model of a later one, `a`.

    `meant` is the condition of `attempts` by which a question leaves out other models; `None` where there is none.
    """
    if meant is not None:
        same = meant.replace("attempts.", "e.")
        return f"{same} AND e.provider = a.provider" if "provider" in known_by else same
    return "e.model = a.model" if "model" in known_by and "provider" not in known_by else None


def calls_of_lines(known_by: Collection[str]) -> str:
    """Return what counts calls where lines are read, and sums of those that are gone, for a question by these."""
    column = "provider_calls" if "provider" in known_by else "calls"
    if _OF_A_MODEL.intersection(known_by):
        column = "model_calls"
    return f"count(DISTINCT call_id) + coalesce(sum({column}), 0)"


def calls_of_sums(column: str) -> str:
    """Return what counts calls where sums by hour are read: all that is added line by line counts itself."""
    return f"coalesce(sum({column}), 0)"


def quoted(name: str) -> str:
    """Return the name of a table or column as SQL has it."""
    assert '"' not in name, name
    return f'"{name}"'
