"""`farthing budget`: what may be spent, and how it stands. What settings.yaml says is changed there."""

import os
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar, get_args

import click

from farthing.cli.budget_forecast import forecast
from farthing.cli.budget_show import show
from farthing.cli.budget_standing import MAX_RULES, found_budget, rule_words, uncounted
from farthing.cli.context import current_home, say
from farthing.cli.key_names import names_of_keys
from farthing.cli.number import Number
from farthing.cli.tables import Column, moment, print_json, print_table, rule_title, usd
from farthing.errors import InvalidRequest
from farthing.storage.protocols import Store
from farthing.types.budgets import (
    DEFAULT_THRESHOLDS,
    EACH,
    Account,
    Budget,
    BudgetAction,
    BudgetHolds,
    BudgetPolicy,
    Period,
    Scope,
    Threshold,
    worded,
)
from farthing.types.money import NANOUSD_PER_USD, trimmed_usd

F = TypeVar("F", bound=Callable[..., Any])
_ACTIONS: tuple[BudgetAction, ...] = get_args(BudgetAction)
_AT_HELP = f"With less than so many percent left: {', '.join(_ACTIONS)}. Again for each."
_SCOPE = ("organisation", "team", "project", "key", "user", "session", "task", "tag")


class Usd(click.ParamType[int]):
    """An amount in US dollars, exactly; returned in nanodollars."""

    name = "usd"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the amount; refuse what is finer than a nanodollar, or no amount."""
        if isinstance(value, int):
            return value
        try:
            amount = Decimal(str(value)) * NANOUSD_PER_USD
        except InvalidOperation:
            self.fail(f"{value!r} is no amount; write US dollars in digits, such as 20 or 0.50.", param, ctx)
        if not amount.is_finite() or amount < 0 or amount != int(amount) or amount > 10**18:
            self.fail(f"{value!r} is not allowed; 0 or more US dollars, with at most nine decimals.", param, ctx)
        return int(amount)


class AtPercent(click.ParamType[Threshold]):
    """A threshold, such as `25:warn`."""

    name = "percent:action"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Threshold:
        """Return the threshold."""
        percent, _, action = str(value).partition(":")
        if not (percent.isdecimal() and percent.isascii() and 1 <= int(percent[:4]) <= 100):
            self.fail(f"{value!r} does not begin with a percentage from 1 to 100, as 25:warn does.", param, ctx)
        found = next((known for known in _ACTIONS if known == action), None)
        if found is None:
            self.fail(f"{action!r} is no action; one of: {', '.join(_ACTIONS)}.", param, ctx)
        return Threshold(int(percent), found)


def scope_options(command: F) -> F:
    """Add an option for each dimension of a scope."""
    for name in reversed(_SCOPE):
        told = f'The {name} whose calls it is about; "*": each for itself.'
        command = click.option(f"--{name}", help=told)(command)
    return command


@click.group()
def budget() -> None:
    """Set what may be spent, and see what is left."""


budget.add_command(show)
budget.add_command(forecast)


@budget.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_budgets(as_json: bool) -> None:  # noqa: FBT001  (click's flag)
    """List the budgets, and how each stands now."""
    from farthing.cli.books import read_books  # noqa: PLC0415  (opens the database; not for --help)
    from farthing.clock import SystemClock  # noqa: PLC0415

    now_us = SystemClock().now_us()

    async def ask(store: Store) -> tuple[list[Budget], dict[str, list[Account]], dict[str, int], dict[str, str]]:
        if as_json:
            every = await store.budgets.accounts(at_us=now_us, now_us=now_us)
            return await store.budgets.all(), _by_budget(every), {}, {}
        rules = await store.budgets.page("", MAX_RULES + 1)
        accounts = {
            rule.id: await store.budgets.accounts(rule.id, at_us=now_us, now_us=now_us) for rule in rules[:MAX_RULES]
        }
        before = {one.id: await uncounted(store, one, now_us) or 0 for one in rules[:MAX_RULES] if not accounts[one.id]}
        subjects = [one.key.subject for those in accounts.values() for one in those] + [one.scope for one in rules]
        return rules, accounts, before, await names_of_keys(store, [one.key_id for one in subjects])

    rules, accounts, before, keys = read_books(current_home(), lambda books: ask(books.store))
    if as_json:
        print_json([_as_data(rule, accounts.get(rule.id, [])) for rule in rules])
        return
    if not rules:
        say('No budgets yet; "farthing budget set daily --usd 20 --period day" makes one.')
        return
    columns = [Column("BUDGET", "left", 20), Column("LEFT", "point"), Column("OF", "point"), Column("SPENT", "point")]
    columns += [Column("PERIOD", "left"), Column("", "left", 13)]
    rows: list[list[str]] = []
    for rule in rules[:MAX_RULES]:
        ours: list[Account | None] = [*accounts[rule.id]]
        soft, off, file = rule.policy == "soft", not rule.enabled, rule.from_file
        state = ", ".join(word for word, holds in (("soft", soft), ("off", off), ("settings.yaml", file)) if holds)
        for account in ours or [None]:
            subject = rule.scope if account is None else account.key.subject
            spent = before.get(rule.id, 0) if account is None else account.spent_nanousd
            rows.append(
                [
                    rule_title(rule.name, worded(subject, keys)),
                    usd(max(0, rule.limit_nanousd - spent)),
                    usd(rule.limit_nanousd),
                    usd(spent),
                    rule.period,
                    state,
                ]
            )
    print_table(columns, rows)
    if len(rules) > MAX_RULES:
        say(f"Only the first {MAX_RULES:,} budgets are shown; --json has them all.")


def _by_budget(accounts: list[Account]) -> dict[str, list[Account]]:
    found: dict[str, list[Account]] = {}
    for one in accounts:
        found.setdefault(one.key.budget_id, []).append(one)
    return found


@budget.command(name="set")
@click.argument("name")
@click.option("--usd", "limit", type=Usd(), help="The limit.")
@click.option("--period", type=click.Choice(get_args(Period)), help="When it begins anew.")
@click.option("--soft/--hard", "soft", default=None, help="Only tell of it, or send nothing that could pass it.")
@scope_options
@click.option("--time-zone", help="Whose midnight counts, such as Europe/Berlin.")
@click.option("--reset-day", type=Number(1, 31), help="Day of the week (1: Monday) or month on which it begins anew.")
@click.option("--at", "thresholds", multiple=True, type=AtPercent(), help=_AT_HELP)
@click.option("--grace-usd", "grace", type=Usd(), help="What may be spent beyond it to finish a turn.")
@click.option("--wait-s", type=Number(0, 600), help="How long a call may wait for what others give back.")
@click.option("--holds", type=click.Choice(get_args(BudgetHolds)), help="What is held for what a call reads.")
@click.option("--off/--on", "off", default=None, help="Leave it out of account, or take it in again.")
def set_budget(name: str, **given: Any) -> None:
    """Make a budget, or change one: what is not given stays as it is."""
    from farthing.cli.books import change_store  # noqa: PLC0415  (opens the database; not for --help)
    from farthing.clock import SystemClock  # noqa: PLC0415

    now_us = SystemClock().now_us()
    made, told = change_store(current_home(), lambda store: _set(store, name, given, now_us))
    say(f"{'Made' if made else 'Changed'} the budget {name!r}: {told}")


@budget.command()
@click.argument("name")
def remove(name: str) -> None:
    """Forget a budget; what was spent stays in the ledger."""
    from farthing.cli.books import change_store  # noqa: PLC0415  (opens the database; not for --help)

    async def run(store: Store) -> None:
        await store.budgets.remove((await _own(store, name)).id)

    change_store(current_home(), run)
    say(f"Removed the budget {name!r}.")


@budget.command()
@click.argument("name")
def resume(name: str) -> None:
    """Let a budget go on that is paused, until it begins anew."""
    from farthing.cli.books import change_store  # noqa: PLC0415  (opens the database; not for --help)
    from farthing.clock import SystemClock  # noqa: PLC0415
    from farthing.ledger.budget_rules import resumed  # noqa: PLC0415

    now_us = SystemClock().now_us()

    async def run(store: Store) -> bool:
        rule = await found_budget(store, name)
        after = resumed(rule, await store.budgets.accounts(rule.id, at_us=now_us, now_us=now_us), now_us)
        if after is not None:
            await store.budgets.put(after)
        return after is not None

    goes_on = change_store(current_home(), run)
    say(f"The budget {name!r} goes on." if goes_on else f"The budget {name!r} is not paused; nothing was changed.")


async def _set(store: Store, name: str, given: dict[str, Any], now_us: int) -> tuple[bool, str]:
    """Make or change it; return whether it was made, and what it is now, in words."""
    from farthing.clock import SystemClock  # noqa: PLC0415
    from farthing.ledger.budget_rules import changed, checked  # noqa: PLC0415
    from farthing.types.identity import IdSource  # noqa: PLC0415

    keys = {record.id: record.name for record in await store.keys()}
    before = await store.budgets.found(name)
    before = before if before is not None and before.name == name else None
    changes = await _changes(store, given)
    if before is None:
        if given["limit"] is None or given["period"] is None:
            lacking = [option for option, of in (("--usd", "limit"), ("--period", "period")) if given[of] is None]
            hint = f"to make it, give {' and '.join(lacking)}{' too' if len(lacking) == 1 else ''}."
            raise InvalidRequest(f"There is no budget {name!r} yet.", hint=hint)
        plain: dict[str, Any] = {
            "scope": Scope(),
            "thresholds": DEFAULT_THRESHOLDS,
            "created_at_us": now_us,
            "counts_from_us": now_us,
        }
        made = checked(Budget(id=IdSource(SystemClock(), os.urandom).new("bud"), name=name, **(plain | changes)))
        await store.budgets.put(made)
        return True, rule_words(made, keys, now_us)
    _refuse_from_file(before)
    after = changed(before, now_us, set_by=None, **changes)
    await store.budgets.put(after)
    return False, rule_words(after, keys, now_us)


async def _changes(store: Store, given: dict[str, Any]) -> dict[str, Any]:
    scope = {name: given[name] for name in _SCOPE if given[name] is not None}
    if scope.get("key") not in (None, EACH):
        scope["key"] = await key_id_of(store, scope["key"])
    if "key" in scope:
        scope["key_id"] = scope.pop("key")
    policy: BudgetPolicy | None = None if given["soft"] is None else "soft" if given["soft"] else "hard"
    found = {
        "limit_nanousd": given["limit"],
        "period": given["period"],
        "policy": policy,
        "time_zone": given["time_zone"],
        "reset_day": given["reset_day"],
        "thresholds": given["thresholds"] or None,
        "grace_nanousd": given["grace"],
        "wait_s": given["wait_s"],
        "holds": given["holds"],
        "enabled": None if given["off"] is None else not given["off"],
    }
    changes = {name: value for name, value in found.items() if value is not None}
    return changes | ({"scope": Scope(**scope)} if scope else {})


async def key_id_of(store: Store, id_or_name: str) -> str:
    """Return a key's id.

    Raises:
        InvalidRequest: there is no such key.
    """
    for record in await store.keys():
        if id_or_name in (record.id, record.name):
            return record.id
    raise InvalidRequest(f"Unknown key {id_or_name!r}.", hint='run "farthing keys list".')


async def _own(store: Store, name: str) -> Budget:
    rule = await found_budget(store, name)
    _refuse_from_file(rule)
    return rule


def _refuse_from_file(rule: Budget) -> None:
    if rule.from_file:
        raise InvalidRequest(
            f"The budget {rule.name!r} stands in settings.yaml, which wins.",
            hint=f"change it there, under budgets.{rule.name}.",
        )


def _as_data(rule: Budget, accounts: list[Account]) -> dict[str, Any]:
    return {
        "id": rule.id,
        "name": rule.name,
        "scope": {name: getattr(rule.scope, name) for name in rule.scope.named},
        "usd": trimmed_usd(rule.limit_nanousd),
        "limit_nanousd": rule.limit_nanousd,
        "period": rule.period,
        "policy": rule.policy,
        "holds": rule.holds,
        "enabled": rule.enabled,
        "from_file": rule.from_file,
        "accounts": [
            {
                "subject": {name: getattr(one.key.subject, name) for name in one.key.subject.named},
                "spent_nanousd": one.posted_nanousd,
                "unknown_nanousd": one.unknown_nanousd,
                "held_nanousd": one.leased_nanousd,
                "left_nanousd": rule.limit_nanousd - one.spent_nanousd,
                "began_at": moment(one.key.start_us),
                "resets_at": None if one.end_us is None else moment(one.end_us),
            }
            for one in accounts
        ],
    }
