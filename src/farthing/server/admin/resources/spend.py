"""Spending: sums over a time, by any few of the things that a call is known by."""

from typing import Annotated, get_args

import msgspec
from msgspec import Meta

from farthing.errors import Problem, WrongFields
from farthing.server.admin.ask import Ask
from farthing.server.admin.routes import READ, Answer, Nothing, Route
from farthing.server.admin.shown import Text, ZonedTime, us_of
from farthing.types.money import usd_text
from farthing.types.spending import SpendingBy, SpendingRow, SpendingScope

_BY: tuple[SpendingBy, ...] = get_args(SpendingBy)
_FILTERS: tuple[SpendingBy, ...] = (
    *("provider", "model", "key", "project", "user", "session", "task", "tag", "branch"),
)
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
    tag: Text | None = None
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
    by = groups_of(query.by)
    organisation, team = ask.team_for(query.organisation, query.team)
    await ask.house.under_way.wait_for_store(store)
    since_us, until_us = us_of(query.since), us_of(query.until)
    scope = [SpendingScope(name, value) for name in _FILTERS if (value := getattr(query, name)) is not None]
    scope += [] if organisation is None else [SpendingScope("organisation", organisation)]
    scope += [] if team is None else [SpendingScope("team", team)]
    (total,) = await store.spending((), since_us=since_us, until_us=until_us, scope=scope)
    found = await store.spending(by, since_us=since_us, until_us=until_us, scope=scope, limit=query.limit) if by else []
    groups = tuple(_spent(dict(zip(by, row.groups, strict=True)), row) for row in found)
    return Answer(SpendAnswer(by, _spent({}, total), groups))


def groups_of(text: str | None) -> tuple[SpendingBy, ...]:
    """Return what is named with commas between.

    Raises:
        WrongFields: nothing is grouped by one of them, or they are too many.
    """
    names = tuple(dict.fromkeys(text.split(","))) if text else ()
    problems = [
        Problem("by", "Nothing is grouped by this.", name[:64], "known: " + ", ".join(_BY))
        for name in names
        if name not in _BY
    ]
    if len(names) > MAX_GROUPS_BY:
        problems.append(Problem("by", f"These are {len(names)}.", None, f"up to {MAX_GROUPS_BY}"))
    if problems:
        raise WrongFields(problems)
    return tuple(one for name in names for one in _BY if one == name)


def _spent(groups: dict[str, str | None], row: SpendingRow) -> Spent:
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
