"""Spending: sums over a time, by any few of the things that a call is known by."""

from typing import Annotated, get_args

import msgspec
from msgspec import Meta

from farthing.errors import Problem, WrongFields
from farthing.server.admin.ask import Ask
from farthing.server.admin.routes import READ, Answer, Nothing, Route
from farthing.server.admin.shown import Text, ZonedTime, us_of
from farthing.types.ledger import CostsBy, CostsFilter, CostsRow
from farthing.types.money import usd_text
from farthing.types.spending import SpendingBy, SpendingRow, SpendingScope

_MANY: tuple[str, ...] = get_args(SpendingBy)
_ALONE: tuple[str, ...] = tuple(name for name in get_args(CostsBy) if name not in _MANY)
"""What an attempt may have several of, or what few ask for: grouped by alone."""
_FILTERS = ("provider", "model", "key", "organisation", "project", "user", "session", "task", "branch")
MAX_GROUPS_BY = 4


class SpendQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which attempts, begun from `since` on and before `until`; `by` names up to four things, with commas between."""

    by: Text | None = None
    since: ZonedTime | None = None
    until: ZonedTime | None = None
    limit: Annotated[int, Meta(ge=1, le=10_000, description="At most so many groups, the dearest.")] = 1_000
    team: Text | None = None
    provider: Text | None = None
    model: Text | None = None
    key: Text | None = None
    organisation: Text | None = None
    project: Text | None = None
    user: Text | None = None
    session: Text | None = None
    task: Text | None = None
    branch: Text | None = None


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """The sums of one group: over the attempts whose cost is known; how many it is silent about stands beside it."""

    groups: dict[str, str | None]
    calls: int
    attempts: int
    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int
    cache_creation_input_tokens: int
    reasoning_output_tokens: int
    web_search_requests: int
    usd: str
    nanousd: int
    unknown_cost_attempts: int
    estimated_attempts: int
    unknown_usage_attempts: int


class SpendAnswer(msgspec.Struct, frozen=True):
    """Groups, the dearest first, and the sum over everything that was meant."""

    by: tuple[str, ...]
    total: Spent
    groups: tuple[Spent, ...]


async def spend(ask: Ask[Nothing, SpendQuery]) -> Answer:
    """Tell what was spent."""
    query, store = ask.query, await ask.house.books()
    by = _by(query.by)
    team = ask.team_for(query.team)
    await ask.house.under_way.wait_for_store(store)
    since_us, until_us = us_of(query.since), us_of(query.until)
    meant = {name: getattr(query, name) for name in _FILTERS} | {"team": team}
    scope = [SpendingScope(name, value) for name in _MANY if (value := meant.get(name)) is not None]  # type: ignore[arg-type]
    (total,) = await store.spending((), since_us=since_us, until_us=until_us, scope=scope)
    groups: list[Spent]
    if by and by[0] in _ALONE:
        only = CostsFilter(**meant)
        rows = await store.costs(by[0], since_us, until_us, only)  # type: ignore[arg-type]  # `_by` has looked
        groups = [_spent({by[0]: row.group}, row) for row in rows[: query.limit]]
    elif by:
        found = await store.spending(by, since_us=since_us, until_us=until_us, scope=scope, limit=query.limit)  # type: ignore[arg-type]
        groups = [_spent(dict(zip(by, row.groups, strict=True)), row) for row in found]
    else:
        groups = []
    return Answer(SpendAnswer(by, _spent({}, total), tuple(groups)))


def _by(text: str | None) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(text.split(","))) if text else ()
    problems = [
        Problem("by", "Nothing is grouped by this.", name[:64], "known: " + ", ".join((*_MANY, *_ALONE)))
        for name in names
        if name not in (*_MANY, *_ALONE)
    ]
    if not problems and len(names) > 1 and (alone := [name for name in names if name in _ALONE]):
        problems = [Problem("by", "This is grouped by alone.", name, "leave the others out") for name in alone]
    if len(names) > MAX_GROUPS_BY:
        problems.append(Problem("by", f"These are {len(names)}.", None, f"up to {MAX_GROUPS_BY}"))
    if problems:
        raise WrongFields(problems)
    return names


def _spent(groups: dict[str, str | None], row: SpendingRow | CostsRow) -> Spent:
    same = [name for name in Spent.__struct_fields__ if name not in ("groups", "usd", "nanousd")]
    return Spent(
        groups=groups,
        usd=usd_text(row.cost_nanousd),
        nanousd=row.cost_nanousd,
        **{name: getattr(row, name) for name in same},
    )


ROUTES = (
    Route(
        method="GET",
        path="/spend",
        name="spend",
        about="Tell what was spent, by any few things, since and until.",
        roles=READ,
        handler=spend,
        query=SpendQuery,
        gives=SpendAnswer,
    ),
)
