"""Budgets: rules about what may be spent, and how their accounts stand.

What settings.yaml says of a budget is changed there: here it is answered with the line. A manager's budgets are those
that name the team, or a key of the team; of those they change what a manager of the team has set.
"""

from typing import Any

import msgspec
from msgspec import UNSET

from farthing.errors import Conflict
from farthing.ledger.budget_rules import action_of, changed, checked, resumed
from farthing.ledger.under_way import held_in
from farthing.server.admin.ask import Ask, not_there
from farthing.server.admin.pages import by_name
from farthing.server.admin.resources.budget_shapes import (
    AccountPage,
    AccountShown,
    BudgetChange,
    BudgetPage,
    BudgetShown,
    NewBudget,
    ScopeShape,
    budget_of,
)
from farthing.server.admin.resources.teams import is_listed, scope_within, tenant_in
from farthing.server.admin.routes import MANAGE, READ, Answer, Nothing, Route
from farthing.server.admin.shown import Limit, Text, moment, time_of
from farthing.types.budgets import Account, Budget, Scope
from farthing.types.calls import Opening
from farthing.types.money import usd_text


class BudgetQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which budgets; `after` is the name of the last one of the page before."""

    limit: Limit = 100
    after: Text | None = None
    team: Text | None = None
    key_id: Text | None = None


class AccountQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which accounts; `after` is the id of the last one of the page before, `all` has those of earlier periods."""

    limit: Limit = 100
    after: Text | None = None
    all: bool = False


async def create(ask: Ask[NewBudget, Nothing]) -> Answer:
    """Make a budget."""
    house, now_us = ask.house, ask.house.now_us()
    wanted = ask.body.scope
    scope = await scope_within(ask, Scope() if wanted is None else wanted.scope())
    new = house.farthing.ids.new("bud")
    budget = checked(
        Budget(id=new, created_at_us=now_us, counts_from_us=now_us, set_by=ask.setter, scope=scope, **ask.body.fields())
    )
    await _put(ask, budget)
    ask.note(budget.id, after=budget_of(budget))
    return Answer(budget_of(budget), 201)


async def listed(ask: Ask[Nothing, BudgetQuery]) -> Answer:
    """List budgets, by name."""
    query, store = ask.query, await ask.house.books()
    ask.team_for(None, query.team)
    found = []
    async for budget in by_name(store.budgets.page, query.after):
        if query.key_id not in (None, budget.scope.key_id):
            continue
        if await is_listed(ask, budget.scope, query.team):
            found.append(budget)
        if len(found) > query.limit:
            break
    shown = tuple(budget_of(budget) for budget in found[: query.limit])
    return Answer(BudgetPage(shown, shown[-1].name if len(found) > query.limit else None))


async def show(ask: Ask[Nothing, Nothing]) -> Answer:
    """Show a budget."""
    return Answer(budget_of(await _budget(ask)))


async def accounts(ask: Ask[Nothing, AccountQuery]) -> Answer:
    """Tell how a budget's accounts stand: what is spent, held and left, and when each begins anew."""
    budget, query, store = await _budget(ask), ask.query, await ask.house.books()
    await ask.house.under_way.wait_for_store(store)
    now_us = ask.house.now_us()
    found = await store.budgets.accounts(budget.id, at_us=None if query.all else now_us, now_us=now_us)
    found = [one for one in sorted(found, key=lambda one: one.key.id) if one.key.id > (query.after or "")]
    openings = await ask.house.under_way.openings()
    shown = tuple(_account(budget, one, openings) for one in found[: query.limit])
    return Answer(AccountPage(shown, shown[-1].id if len(found) > query.limit else None))


async def change(ask: Ask[BudgetChange, Nothing]) -> Answer:
    """Change a budget; where scope or period change, its accounts begin anew from what the ledger says."""
    before = await _own(ask)
    ask.note(before.id, before=budget_of(before))
    fields = ask.body.fields()
    if ask.body.scope is not UNSET:
        fields["scope"] = await scope_within(ask, ask.body.scope.scope())
    after = changed(before, ask.house.now_us(), set_by=ask.setter, **fields)
    await _put(ask, after)
    return _changed(ask, before, after)


async def resume(ask: Ask[Nothing, Nothing]) -> Answer:
    """Let a budget go on that is paused, until it begins anew; one that is not stays as it is."""
    before, now_us = await _budget(ask), ask.house.now_us()
    ask.must_have_set(before)
    accounts = await ask.house.store.budgets.accounts(before.id, at_us=now_us, now_us=now_us)
    after = resumed(before, accounts, now_us)
    if after is not None:
        await _put(ask, after)
    return _changed(ask, before, after or before)


async def delete(ask: Ask[Nothing, Nothing]) -> Answer:
    """Forget a budget; what was spent stays in the ledger."""
    budget = await _own(ask)
    ask.note(budget.id, before=budget_of(budget))
    await ask.house.store.budgets.remove(budget.id)
    await ask.house.farthing.budgets.follow_rules()
    return Answer(None, 204)


def _changed(ask: Ask[Any, Any], before: Budget, after: Budget) -> Answer:
    ask.note(after.id, before=budget_of(before), after=budget_of(after))
    return Answer(budget_of(after))


async def _put(ask: Ask[Any, Any], budget: Budget) -> None:
    if not await ask.house.store.budgets.put(budget):
        raise Conflict(f"A budget named {budget.name!r} exists already.", hint="choose another name.")
    await ask.house.farthing.budgets.follow_rules()


async def _budget(ask: Ask[Any, Any]) -> Budget:
    wanted, store = ask.params["id"], await ask.house.books()
    found = await store.budgets.found(wanted)
    if found is None or found.id != wanted:
        raise not_there("budget", wanted)
    ask.must_see("budget", await tenant_in(ask, found.scope))
    return found


async def _own(ask: Ask[Any, Any]) -> Budget:
    """Return the budget, which is the store's and the caller's to change.

    Raises:
        Conflict: settings.yaml says it.
        Forbidden: the caller is a manager, and an admin has set it.
    """
    budget = await _budget(ask)
    ask.must_have_set(budget)
    if budget.from_file:
        declared = ask.house.farthing.settings.budgets
        where = next((one.origin for one in declared if one.name == budget.name), "settings.yaml")
        raise Conflict(f"The budget {budget.name!r} is said in {where}.", hint="change it there; the file wins.")
    return budget


def _account(budget: Budget, account: Account, openings: list[Opening]) -> AccountShown:
    spent, held = account.spent_nanousd, held_in(openings, account)
    left = account.limit_nanousd - spent
    return AccountShown(
        id=account.key.id,
        subject=ScopeShape.of(account.key.subject),
        begins_at=moment(account.key.start_us),
        resets_at=time_of(account.end_us),
        limit_nanousd=account.limit_nanousd,
        limit_usd=usd_text(account.limit_nanousd),
        spent_nanousd=spent,
        spent_usd=usd_text(spent),
        of_unknown_cost_nanousd=account.unknown_nanousd,
        held_nanousd=held,
        leased_nanousd=account.leased_nanousd,
        left_nanousd=left - held,
        left_usd=usd_text(left - held),
        state=action_of(budget, left, account.key.start_us) or "open",
    )


def _route(**parts: Any) -> Route:
    return Route(refusals=(404, 409), **parts)


ROUTES = (
    Route(
        method="POST",
        path="/budgets",
        name="budgets.create",
        about="Make a budget.",
        roles=MANAGE,
        handler=create,
        takes=NewBudget,
        gives=BudgetShown,
        status=201,
        refusals=(409,),
    ),
    Route(
        method="GET",
        path="/budgets",
        name="budgets.list",
        about="List budgets, by name.",
        roles=READ,
        handler=listed,
        query=BudgetQuery,
        gives=BudgetPage,
    ),
    Route(
        method="GET",
        path="/budgets/{id}",
        name="budgets.show",
        about="Show a budget.",
        roles=READ,
        handler=show,
        gives=BudgetShown,
        refusals=(404,),
    ),
    Route(
        method="GET",
        path="/budgets/{id}/accounts",
        name="budgets.accounts",
        about="Tell what is spent, held and left of a budget, by account, and when each begins anew.",
        roles=READ,
        handler=accounts,
        query=AccountQuery,
        gives=AccountPage,
        refusals=(404,),
    ),
    _route(
        method="PATCH",
        path="/budgets/{id}",
        name="budgets.change",
        about="Change a budget; what is left out stays.",
        roles=MANAGE,
        handler=change,
        takes=BudgetChange,
        gives=BudgetShown,
    ),
    _route(
        method="POST",
        path="/budgets/{id}/resume",
        name="budgets.resume",
        about="Let a paused budget go on until it begins anew.",
        roles=MANAGE,
        handler=resume,
        gives=BudgetShown,
    ),
    _route(
        method="DELETE",
        path="/budgets/{id}",
        name="budgets.delete",
        about="Forget a budget; what was spent stays in the ledger.",
        roles=MANAGE,
        handler=delete,
        gives=None,
        status=204,
    ),
)
