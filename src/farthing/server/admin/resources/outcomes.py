"""Outcomes: whether a task or a session came to something, told by whoever knows; reports tell what a success costs."""

from datetime import datetime
from typing import Literal

import msgspec

from farthing.errors import Problem, WrongFields
from farthing.server.admin.ask import Ask
from farthing.server.admin.routes import MANAGE, READ, Answer, Nothing, Route
from farthing.server.admin.shown import Limit, Text, moment
from farthing.types.outcomes import WorkKind, WorkOutcome
from farthing.types.tenant import tenant_of


class OutcomeQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which outcomes; `before` is the id of the last one of the page before."""

    limit: Limit = 100
    before: Text | None = None


class NewOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a `task` or of a `session`, one of the two, by the name that its calls carry.

    With a `team` it is about that team's calls alone, of this `organisation` or of the first.
    """

    result: Literal["success", "failure"]
    task: Text | None = None
    session: Text | None = None
    organisation: Text | None = None
    team: Text | None = None


class OutcomeShown(msgspec.Struct, frozen=True, kw_only=True):
    """What was told last of a task or a session."""

    id: str
    at: datetime
    kind: WorkKind
    name: str
    result: Literal["success", "failure"]
    organisation: str | None
    team: str | None
    who: str


class OutcomePage(msgspec.Struct, frozen=True):
    """Outcomes, youngest first; `next` is the `before` of the next page, `null` on the last one."""

    outcomes: tuple[OutcomeShown, ...]
    next: str | None


async def tell(ask: Ask[NewOutcome, Nothing]) -> Answer:
    """Keep what came of a task or a session; told again, the last one counts."""
    wanted, house = ask.body, ask.house
    kind: WorkKind = "session" if wanted.task is None else "task"
    name = wanted.session if wanted.task is None else wanted.task
    if name is None or (wanted.task is not None and wanted.session is not None):
        raise WrongFields([Problem("task", "One of task and session is named.", wanted.task, "one of the two")])
    organisation, team = ask.team_for(wanted.organisation, wanted.team)
    if organisation is not None and team is None:
        raise WrongFields([Problem("team", "An organisation is named, and no team of it.", None, "a team's name")])
    made = WorkOutcome(
        id=house.farthing.ids.new("out"),
        kind=kind,
        name=name,
        succeeded=wanted.result == "success",
        at_us=house.now_us(),
        who=ask.caller.id,
        tenant=tenant_of(organisation, team),
    )
    await house.store.outcomes.tell(made)
    shown = _shown(made)
    ask.note(made.id, after=shown)
    return Answer(shown)


async def listed(ask: Ask[Nothing, OutcomeQuery]) -> Answer:
    """List outcomes."""
    query, store = ask.query, await ask.house.books()
    found = await store.outcomes.told(query.limit + 1, before_id=query.before, tenant=ask.caller.tenant)
    shown = tuple(_shown(one) for one in found[: query.limit])
    return Answer(OutcomePage(shown, shown[-1].id if len(found) > query.limit else None))


def _shown(outcome: WorkOutcome) -> OutcomeShown:
    tenant = outcome.tenant
    return OutcomeShown(
        id=outcome.id,
        at=moment(outcome.at_us),
        kind=outcome.kind,
        name=outcome.name,
        result="success" if outcome.succeeded else "failure",
        organisation=None if tenant is None else tenant.organisation,
        team=None if tenant is None else tenant.team,
        who=outcome.who,
    )


ROUTES = (
    Route(
        method="PUT",
        path="/outcomes",
        name="outcomes.tell",
        about="Tell what came of a task or a session; told again, the last one counts.",
        roles=MANAGE,
        handler=tell,
        takes=NewOutcome,
        gives=OutcomeShown,
    ),
    Route(
        method="GET",
        path="/outcomes",
        name="outcomes.list",
        about="List what was told of tasks and sessions, youngest first.",
        roles=READ,
        handler=listed,
        query=OutcomeQuery,
        gives=OutcomePage,
    ),
)
