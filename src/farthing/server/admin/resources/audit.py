"""The audit log: who changed what through this API, when, and what it was before and after.

Where providers are, what the file says and which tokens there are is the admin's to know: others see that it changed.
"""

from datetime import datetime
from typing import Any

import msgspec

from farthing.server.admin.ask import Ask
from farthing.server.admin.resources.settings import HIDDEN
from farthing.server.admin.routes import OVERSEE, Answer, Nothing, Route
from farthing.server.admin.shown import Limit, Text, moment
from farthing.types.admin import Change, ChangeOutcome, Role


class AuditQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which lines; `before` is the id of the last one of the page before."""

    limit: Limit = 100
    before: Text | None = None
    who: Text | None = None
    action: Text | None = None
    subject: Text | None = None


class ChangeShown(msgspec.Struct, frozen=True, kw_only=True):
    """A line. `begun` for longer than a moment means that a process died over it: it may have been done, or not."""

    id: str
    at: datetime
    who: str
    who_name: str
    role: Role
    organisation: str | None
    team: str | None
    request_id: str
    action: str
    subject: str | None
    outcome: ChangeOutcome
    status: int | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class AuditPage(msgspec.Struct, frozen=True):
    """Lines, youngest first; `next` is the `before` of the next page, `null` on the last one."""

    changes: tuple[ChangeShown, ...]
    next: str | None


async def listed(ask: Ask[Nothing, AuditQuery]) -> Answer:
    """List what was changed."""
    query, store = ask.query, await ask.house.books()
    found = await store.admin.changes(
        query.limit, query.before, who=query.who, action=query.action, subject=query.subject
    )
    if ask.caller.role != "admin":
        found = [_without_places(one) for one in found]
    same = [name for name in ChangeShown.__struct_fields__ if name != "at"]
    shown = tuple(ChangeShown(at=moment(one.at_us), **{name: getattr(one, name) for name in same}) for one in found)
    return Answer(AuditPage(shown, shown[-1].id if len(shown) == query.limit else None))


_OF_NO_PLACE = frozenset({"keys", "budget", "budgets", "limit", "limits", "outcomes", "prices", "models", "alerts"})
"""How the names of changes begin that are of what everybody who oversees the house sees, through the API and by
commands; all others may name addresses, paths, variables or tokens."""


def _without_places(change: Change) -> Change:
    if change.action.partition(".")[0] in _OF_NO_PLACE:
        return change
    before, after = (None if told is None else {"value": HIDDEN} for told in (change.before, change.after))
    return msgspec.structs.replace(change, before=before, after=after)


ROUTES = (
    Route(
        method="GET",
        path="/audit",
        name="audit.list",
        about="List what was changed, by whom, youngest first.",
        roles=OVERSEE,
        handler=listed,
        query=AuditQuery,
        gives=AuditPage,
    ),
)
