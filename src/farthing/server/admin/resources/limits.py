"""Limits: how much may be asked for in any minute, hour or day, and by whom.

What settings.yaml says of a limit is changed there: here it is answered with the line. A manager's limits are those
that name the team, or a key of the team; of those they change what a manager of the team has set.
"""

import logging
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from farthing.errors import Conflict, StoreError
from farthing.ledger.limit_rules import checked
from farthing.ledger.limit_uses import uses_of
from farthing.server.admin.ask import Ask, not_there
from farthing.server.admin.pages import by_name
from farthing.server.admin.resources.limit_shapes import (
    LimitChange,
    LimitPage,
    LimitShown,
    NewLimit,
    TargetShape,
    limit_of,
)
from farthing.server.admin.resources.teams import is_listed, scope_within, tenant_in
from farthing.server.admin.routes import MANAGE, READ, Answer, Nothing, Route
from farthing.server.admin.shown import Limit as PageLimit
from farthing.server.admin.shown import Text
from farthing.types.limits import Limit, LimitTarget

log = logging.getLogger(__name__)


class LimitQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which limits; `after` is the name of the last one of the page before."""

    limit: PageLimit = 100
    after: Text | None = None
    team: Text | None = None
    key_id: Text | None = None


async def create(ask: Ask[NewLimit, Nothing]) -> Answer:
    """Make a limit."""
    wanted = ask.body
    made = checked(
        Limit(
            id=ask.house.farthing.ids.new("lim"),
            name=wanted.name,
            target=await _target(ask, wanted.target),
            rates=wanted.rates.rates(),
            enabled=wanted.enabled,
            set_by=ask.setter,
        )
    )
    await _put(ask, made)
    ask.note(made.id, after=limit_of(made))
    return Answer(limit_of(made), 201)


async def listed(ask: Ask[Nothing, LimitQuery]) -> Answer:
    """List limits, by name."""
    query, store = ask.query, await ask.house.books()
    ask.team_for(None, query.team)
    found = []
    async for one in by_name(store.limits.page, query.after):
        scope = one.target.scope
        if query.key_id not in (None, scope.key_id):
            continue
        if await is_listed(ask, scope, query.team):
            found.append(one)
        if len(found) > query.limit:
            break
    shown = await _shown(ask, found[: query.limit])
    return Answer(LimitPage(shown, shown[-1].name if len(found) > query.limit else None))


async def show(ask: Ask[Nothing, Nothing]) -> Answer:
    """Show a limit."""
    return Answer((await _shown(ask, [await _limit(ask)]))[0])


async def change(ask: Ask[LimitChange, Nothing]) -> Answer:
    """Change a limit."""
    before, wanted = await _own(ask), ask.body
    ask.note(before.id, before=limit_of(before))
    fields: dict[str, Any] = {
        name: value for name in ("name", "enabled") if (value := getattr(wanted, name)) is not UNSET
    }
    if wanted.rates is not UNSET:
        fields["rates"] = wanted.rates.rates()
    if wanted.target is not UNSET:
        fields["target"] = await _target(ask, wanted.target)
    after = checked(msgspec.structs.replace(before, set_by=ask.setter, **fields))
    await _put(ask, after)
    ask.note(after.id, before=limit_of(before), after=limit_of(after))
    return Answer(limit_of(after))


async def delete(ask: Ask[Nothing, Nothing]) -> Answer:
    """Forget a limit."""
    limit = await _own(ask)
    ask.note(limit.id, before=limit_of(limit))
    await ask.house.store.limits.remove(limit.id)
    await ask.house.farthing.limits.follow_rules()
    return Answer(None, 204)


async def _shown(ask: Ask[Any, Any], limits: Sequence[Limit]) -> tuple[LimitShown, ...]:
    """Return limits with what is used of them now."""
    try:
        uses = await uses_of(await ask.house.windows(), limits, now_us=ask.house.now_us())
    except StoreError as error:  # a Redis that is away; the limits themselves are known
        log.info("what is used of limits is not known: %s", error)
        return tuple(map(limit_of, limits))
    return tuple(limit_of(one, uses.get(one.id, ())) for one in limits)


async def _put(ask: Ask[Any, Any], limit: Limit) -> None:
    if not await ask.house.store.limits.put(limit):
        raise Conflict(f"A limit named {limit.name!r} exists already.", hint="choose another name.")
    await ask.house.farthing.limits.follow_rules()


async def _limit(ask: Ask[Any, Any]) -> Limit:
    wanted, store = ask.params["id"], await ask.house.books()
    found = await store.limits.found(wanted)
    if found is None or found.id != wanted:
        raise not_there("limit", wanted)
    ask.must_see("limit", await tenant_in(ask, found.target.scope))
    return found


async def _own(ask: Ask[Any, Any]) -> Limit:
    """Return the limit, which is the store's and the caller's to change.

    Raises:
        Conflict: settings.yaml says it.
        Forbidden: the caller is a manager, and an admin has set it.
    """
    limit = await _limit(ask)
    ask.must_have_set(limit)
    if limit.from_file:
        declared = ask.house.farthing.settings.limits
        where = next((one.origin for one in declared if one.name == limit.name), "settings.yaml")
        raise Conflict(f"The limit {limit.name!r} is said in {where}.", hint="change it there; the file wins.")
    return limit


async def _target(ask: Ask[Any, Any], wanted: TargetShape | None) -> LimitTarget:
    target = LimitTarget() if wanted is None else wanted.target()
    return msgspec.structs.replace(target, scope=await scope_within(ask, target.scope))


ROUTES = (
    Route(
        method="POST",
        path="/limits",
        name="limits.create",
        about="Make a limit.",
        roles=MANAGE,
        handler=create,
        takes=NewLimit,
        gives=LimitShown,
        status=201,
        refusals=(409,),
    ),
    Route(
        method="GET",
        path="/limits",
        name="limits.list",
        about="List limits, by name, and what is used of each now.",
        roles=READ,
        handler=listed,
        query=LimitQuery,
        gives=LimitPage,
    ),
    Route(
        method="GET",
        path="/limits/{id}",
        name="limits.show",
        about="Show a limit, and what is used of it now.",
        roles=READ,
        handler=show,
        gives=LimitShown,
        refusals=(404,),
    ),
    Route(
        method="PATCH",
        path="/limits/{id}",
        name="limits.change",
        about="Change a limit; what is left out stays.",
        roles=MANAGE,
        handler=change,
        takes=LimitChange,
        gives=LimitShown,
        refusals=(404, 409),
    ),
    Route(
        method="DELETE",
        path="/limits/{id}",
        name="limits.delete",
        about="Forget a limit.",
        roles=MANAGE,
        handler=delete,
        gives=None,
        status=204,
        refusals=(404, 409),
    ),
)
