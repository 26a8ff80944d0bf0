"""The audit log: who changed what through this API, when, and what it was before and after."""

from datetime import datetime
from typing import Any

import msgspec

from farthing.server.admin.ask import Ask
from farthing.server.admin.routes import OVERSEE, Answer, Nothing, Route
from farthing.server.admin.shown import Limit, Text, moment
from farthing.types.admin import ChangeOutcome, Role


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
    same = [name for name in ChangeShown.__struct_fields__ if name != "at"]
    shown = tuple(ChangeShown(at=moment(one.at_us), **{name: getattr(one, name) for name in same}) for one in found)
    return Answer(AuditPage(shown, shown[-1].id if len(shown) == query.limit else None))


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
