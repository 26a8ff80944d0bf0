"""Keys: made with a budget and limits of their own where they are given, shown, changed, rotated, ended.

A key's budget and limits are kept before the key is: no process can know the key without them
(`KnownKeys.beforehand`). Killed in between, they are left about a key that never is, which harms nobody.
"""

from typing import Any

import msgspec
from msgspec import UNSET

from farthing.auth.key_forms import checked, checked_name
from farthing.catalog.nobodys_names import told_of_nobodys_names
from farthing.errors import Conflict, FarthingError
from farthing.ledger.under_way import held_for_key
from farthing.server.admin.ask import Ask, not_there
from farthing.server.admin.resources.key_rules import (
    key_budgets,
    key_limits,
    own_rules,
    put_key_budget,
    put_key_limit,
    remove_key_budgets,
    remove_key_limits,
)
from farthing.server.admin.resources.key_shapes import (
    ChangedKey,
    Key,
    KeyChange,
    KeyExpiry,
    KeyPage,
    KeyRotation,
    KeySpend,
    MadeKey,
    NewKey,
    ShownKey,
    changed_key_of,
    key_of,
    made_key_of,
    shown_key_of,
)
from farthing.server.admin.routes import MANAGE, READ, Answer, Nothing, Route
from farthing.server.admin.shown import Limit, Text, us_of
from farthing.storage.protocols import KeyRecord, KeyState
from farthing.types.budgets import Budget
from farthing.types.limits import Limit as LimitRule
from farthing.types.money import usd_text
from farthing.types.tenant import DEFAULT_ORGANISATION


class KeyQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which keys; `after` is the id of the last one of the page before."""

    limit: Limit = 100
    after: Text | None = None
    name: Text | None = None
    team: Text | None = None
    project: Text | None = None
    state: KeyState | None = None


async def create(ask: Ask[NewKey, Nothing]) -> Answer:
    """Make a key, and answer with its secret for the only time."""
    farthing, wanted = ask.house.farthing, ask.body
    fields = wanted.fields()
    organisation, fields["team"] = ask.team_for(wanted.organisation, wanted.team)
    fields["organisation"] = organisation or DEFAULT_ORGANISATION
    if wanted.name is not None:
        await _must_be_free(ask, wanted.name)
    rules: dict[str, str] = {}

    async def keep_rules(record: KeyRecord) -> None:
        if wanted.budget is not None and "budget_id" not in rules:
            rules["budget_id"] = (await put_key_budget(ask.house, record, wanted.budget, ask.setter)).id
        if wanted.limits is not None and wanted.limits.rates() and "limit_id" not in rules:
            rules["limit_id"] = (await put_key_limit(ask.house, record, wanted.limits, ask.setter)).id

    try:
        record, secret = await farthing.keys.create(
            wanted.name, expires_at_us=us_of(wanted.expires_at), first=keep_rules, **fields
        )
    except FarthingError:  # another process took the name just now
        await ask.house.store.budgets.remove(rules.get("budget_id", ""))
        await ask.house.store.limits.remove(rules.get("limit_id", ""))
        raise
    now_us = ask.house.now_us()
    ask.note(record.id, after=key_of(record, now_us))
    made = made_key_of(record, now_us, secret.reveal(), _warnings(ask, record), rules)
    return Answer(made, 201)


async def listed(ask: Ask[Nothing, KeyQuery]) -> Answer:
    """List keys, a page at a time."""
    query, now_us, store = ask.query, ask.house.now_us(), await ask.house.books()
    organisation, team = ask.team_for(None, query.team)
    if query.name is not None:
        found = await store.key(query.name)
        is_meant = found is not None and found.name == query.name and team in (None, found.team)
        named = [found] if found is not None and is_meant and ask.caller.sees(found.tenant) else []
        return Answer(KeyPage(tuple(key_of(record, now_us) for record in named), None))
    records = await store.keys_page(
        query.limit, query.after or "", organisation=organisation, team=team, project=query.project
    )
    shown = tuple(key_of(record, now_us) for record in records if query.state in (None, record.state(now_us)))
    return Answer(KeyPage(shown, records[-1].id if len(records) == query.limit else None))


async def show(ask: Ask[Nothing, Nothing]) -> Answer:
    """Show a key."""
    record = await _key(ask)
    return Answer(shown_key_of(record, ask.house.now_us(), await own_rules(ask.house, record.id)))


async def spend(ask: Ask[Nothing, Nothing]) -> Answer:
    """Tell what was spent with a key, exactly: every call that was answered is in it."""
    record = await _key(ask)
    under_way, store = ask.house.under_way, await ask.house.books()
    missing = await under_way.wait_for_store(store)
    spent = await store.key_spent(record.id)
    held = held_for_key(await under_way.openings(), record.id)
    return Answer(
        KeySpend(
            usd=usd_text(spent.cost_nanousd),
            nanousd=spent.cost_nanousd,
            reserved_nanousd=held,
            attempts=spent.attempts,
            unknown_cost_attempts=spent.unknown_cost_attempts,
            estimated_attempts=spent.estimated_attempts,
            unposted_attempts=missing,
        )
    )


async def change(ask: Ask[KeyChange, Nothing]) -> Answer:
    """Change a key."""
    record, ring, wanted = await _key(ask), ask.house.farthing.keys, ask.body
    now_us = ask.house.now_us()
    before = key_of(record, now_us)
    ask.note(record.id, before=before)
    if wanted.team is not UNSET:
        ask.team_for(None, wanted.team or "")
    if wanted.organisation is not UNSET:
        ask.team_for(wanted.organisation, None)
    await _must_have_set_rules(ask, record)
    fields = checked(wanted.fields())  # all that can be refused is looked at before anything is changed
    if wanted.name is not UNSET and wanted.name != record.name:
        checked_name(wanted.name)
        await _must_be_free(ask, wanted.name)
    if wanted.expires_at is not UNSET:
        record = await ring.expire(record.id, us_of(wanted.expires_at))
    if wanted.name is not UNSET and wanted.name != record.name:
        record = await ring.rename(record.id, wanted.name)
    if fields:
        record = await ring.change(record.id, **fields)
    if wanted.budget is not UNSET:
        await remove_key_budgets(ask.house, record.id)
        if wanted.budget is not None:
            await put_key_budget(ask.house, record, wanted.budget, ask.setter)
    if wanted.limits is not UNSET:
        await remove_key_limits(ask.house, record.id)
        if wanted.limits is not None and wanted.limits.rates():
            await put_key_limit(ask.house, record, wanted.limits, ask.setter)
    now_us = ask.house.now_us()
    ask.note(record.id, before=before, after=key_of(record, now_us))
    return Answer(changed_key_of(record, now_us, _warnings(ask, record)))


async def rotate(ask: Ask[KeyRotation, Nothing]) -> Answer:
    """Give a key a new secret, and answer with it for the only time."""
    record = await _key(ask)
    before = key_of(record, ask.house.now_us())
    record, secret = await ask.house.farthing.keys.rotate(record.id, grace_s=ask.body.grace_s)
    now_us = ask.house.now_us()
    ask.note(record.id, before=before, after=key_of(record, now_us))
    rules = await own_rules(ask.house, record.id)
    return Answer(made_key_of(record, now_us, secret.reveal(), _warnings(ask, record), rules))


async def enable(ask: Ask[Nothing, Nothing]) -> Answer:
    """Take a disabled key again."""
    record = await _key(ask)
    before = key_of(record, ask.house.now_us())
    return _changed(ask, await ask.house.farthing.keys.enable(record.id), before)


async def disable(ask: Ask[Nothing, Nothing]) -> Answer:
    """Refuse a key until it is enabled again."""
    record = await _key(ask)
    before = key_of(record, ask.house.now_us())
    return _changed(ask, await ask.house.farthing.keys.disable(record.id), before)


async def expire(ask: Ask[KeyExpiry, Nothing]) -> Answer:
    """Let a key end: now, at a time, or never."""
    record, now_us = await _key(ask), ask.house.now_us()
    before = key_of(record, now_us)
    at_us = now_us if ask.body.at is UNSET else us_of(ask.body.at)
    return _changed(ask, await ask.house.farthing.keys.expire(record.id, at_us), before)


async def revoke(ask: Ask[Nothing, Nothing]) -> Answer:
    """Revoke a key, for good."""
    record = await _key(ask)
    before = key_of(record, ask.house.now_us())
    if before.state == "revoked":
        raise Conflict(f"The key {record.name!r} is revoked already.")
    return _changed(ask, await ask.house.farthing.keys.revoke(record.id), before)


async def delete(ask: Ask[Nothing, Nothing]) -> Answer:
    """Forget a key with its own budget and limit; what it spent stays in the ledger, under its name."""
    record = await _key(ask)
    ask.note(record.id, before=key_of(record, ask.house.now_us()))
    await ask.house.farthing.keys.delete(record.id)
    await remove_key_budgets(ask.house, record.id)
    await remove_key_limits(ask.house, record.id)
    return Answer(None, 204)


async def _key(ask: Ask[Any, Any]) -> KeyRecord:
    """Return the key that the path names, by its id: a name may be another key's tomorrow."""
    key_id = ask.params["id"]
    record = await ask.house.store.key(key_id)
    if record is None or record.id != key_id:
        raise not_there("key", key_id)
    ask.must_see("key", record.tenant)
    return record


async def _must_have_set_rules(ask: Ask[KeyChange, Nothing], record: KeyRecord) -> None:
    """See to it that a change takes the key out of no rule that an admin has set.

    Raises:
        Forbidden: it would.
    """
    wanted, house = ask.body, ask.house
    if ask.setter is None:
        return
    rules: list[Budget | LimitRule] = []
    if wanted.budget is not UNSET:
        rules += await key_budgets(house, record.id)
    if wanted.limits is not UNSET:
        rules += await key_limits(house, record.id)
    if wanted.name is not UNSET and wanted.name != record.name:
        rules += [one for one in await house.store.limits.all() if one.target.key_name == record.name]
        declared = {one.name for one in house.farthing.settings.budgets if one.key == record.name}
        rules += [one for one in await house.store.budgets.all() if one.from_file and one.name in declared]
    for rule in rules:
        ask.must_have_set(rule)


async def _must_be_free(ask: Ask[Any, Any], name: str) -> None:
    if await ask.house.store.key(name) is not None:
        raise Conflict(f"A key named {name!r} exists already.", hint="choose another name.")


def _changed(ask: Ask[Any, Any], record: KeyRecord, before: Key) -> Answer:
    after = key_of(record, ask.house.now_us())
    ask.note(record.id, before=before, after=after)
    return Answer(after)


def _warnings(ask: Ask[Any, Any], record: KeyRecord) -> tuple[str, ...]:
    """Return what is probably not meant of a key: names that nothing here is known by."""
    farthing = ask.house.farthing
    return tuple(
        told_of_nobodys_names(
            farthing.settings,
            farthing.prices,
            bound=record.bound_model,
            models=record.models,
            listed=farthing.catalog.has,
        )
    )


ROUTES = (
    Route(
        method="POST",
        path="/keys",
        name="keys.create",
        about="Make a key; its secret is shown this once.",
        roles=MANAGE,
        handler=create,
        takes=NewKey,
        gives=MadeKey,
        status=201,
        refusals=(409,),
    ),
    Route(
        method="GET",
        path="/keys",
        name="keys.list",
        about="List keys, in the order in which they were made.",
        roles=READ,
        handler=listed,
        query=KeyQuery,
        gives=KeyPage,
    ),
    Route(
        method="GET",
        path="/keys/{id}",
        name="keys.show",
        about="Show a key.",
        roles=READ,
        handler=show,
        gives=ShownKey,
        refusals=(404,),
    ),
    Route(
        method="GET",
        path="/keys/{id}/spend",
        name="keys.spend",
        about="Tell what was spent with a key, and what is held for its calls under way.",
        roles=READ,
        handler=spend,
        gives=KeySpend,
        refusals=(404,),
    ),
    Route(
        method="PATCH",
        path="/keys/{id}",
        name="keys.change",
        about="Change a key; what is left out stays as it is.",
        roles=MANAGE,
        handler=change,
        takes=KeyChange,
        gives=ChangedKey,
        refusals=(404, 409),
    ),
    Route(
        method="POST",
        path="/keys/{id}/rotate",
        name="keys.rotate",
        about="Give a key a new secret, shown this once; the old one is taken for a while.",
        roles=MANAGE,
        handler=rotate,
        takes=KeyRotation,
        gives=MadeKey,
        refusals=(404,),
    ),
    *(
        Route(
            method="POST",
            path=f"/keys/{{id}}/{verb}",
            name=f"keys.{verb}",
            about=handler.__doc__ or "",
            roles=MANAGE,
            handler=handler,
            gives=Key,
            refusals=(404, 409),
        )
        for verb, handler in (("enable", enable), ("disable", disable), ("revoke", revoke))
    ),
    Route(
        method="POST",
        path="/keys/{id}/expire",
        name="keys.expire",
        about="Let a key end: now, at a time, or never.",
        roles=MANAGE,
        handler=expire,
        takes=KeyExpiry,
        gives=Key,
        refusals=(404,),
    ),
    Route(
        method="DELETE",
        path="/keys/{id}",
        name="keys.delete",
        about="Forget a key; what it spent stays in the ledger.",
        roles=MANAGE,
        handler=delete,
        gives=None,
        status=204,
        refusals=(404,),
    ),
)
