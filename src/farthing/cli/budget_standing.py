"""How budgets stand, for the commands that show it: each with its accounts of now, and where those are going."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click
import msgspec

from farthing.cli.context import current_home, say
from farthing.cli.key_names import names_of_keys
from farthing.cli.tables import print_fields, print_json, rule_title
from farthing.errors import InvalidRequest
from farthing.storage.protocols import Store
from farthing.types.budgets import EACH, Account, Budget, worded
from farthing.types.ledger import CostsFilter
from farthing.types.money import trimmed_usd

if TYPE_CHECKING:
    from farthing.ledger.forecast import Forecast
    from farthing.ledger.outlook import Outlook

MAX_RULES = 500
"""Budgets that are shown where none is named; each takes a millisecond, and who has more asks for one."""
MAX_SHOWN = 20
"""Accounts of one budget that are shown, those with least left first; each is forecast, and more fit on no screen."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """One account of a budget, or the budget itself while nothing was called in its period."""

    rule: Budget
    subject: str
    account: Account | None = None
    outlook: "Outlook | None" = None
    uncounted_nanousd: int | None = None
    """Without an account: what the calls of its period cost so far; the next call has them counted. `None`: it will
    have an account for each."""
    end_us: int | None = None
    """When it begins anew; `None` where it does not."""


class Standings(msgspec.Struct, frozen=True, kw_only=True):
    """What is shown, how many accounts beyond that there are, and whether there are further budgets."""

    shown: tuple[Standing, ...]
    more: int
    rules_more: bool = False


def show_standings(
    name: str | None,
    as_data: Callable[[Standing], dict[str, Any]],
    fields: Callable[[Standing, int], list[tuple[str, str | None]]],
    *,
    as_json: bool,
    judged: bool,
) -> None:
    """Print how budgets stand, one below the other; `judged` ones with how good forecasts of them were."""
    from farthing.cli.books import read_books  # noqa: PLC0415  (opens the database; not for --help)
    from farthing.clock import SystemClock  # noqa: PLC0415

    now_us = SystemClock().now_us()
    found = read_books(current_home(), lambda books: standings(books.store, name, now_us, judged=judged))
    if found.rules_more:
        say(f"Only the first {MAX_RULES:,} budgets are shown; name the one that you mean.")
    if as_json:
        print_json([as_data(one) for one in found.shown])
        return
    if not found.shown:
        say('No budgets yet; "farthing budget set daily --usd 20 --period day" makes one.')
    for number, one in enumerate(found.shown):
        if number:
            click.echo()
        click.echo(click.style(title_of(one), bold=True))
        print_fields(fields(one, now_us), indent="  ")
    if told := more_words(found.shown, found.more):
        say(told)


async def standings(store: Store, name: str | None, now_us: int, *, judged: bool = False) -> Standings:
    """Return how one budget stands, or all; `judged` says to look also at how good forecasts were.

    Raises:
        InvalidRequest: there is no such budget.
    """
    from farthing.ledger.budget_rules import period_of  # noqa: PLC0415
    from farthing.ledger.outlook import Outlook, forecast_of, outlook, recent_hours  # noqa: PLC0415  (not for --help)

    rules = await store.budgets.page("", MAX_RULES) if name is None else [await found_budget(store, name)]
    rules_more = name is None and bool(rules) and bool(await store.budgets.page(rules[-1].name, 1))
    shown: list[Standing] = []
    more = 0
    for rule in rules:
        accounts = await store.budgets.accounts(rule.id, at_us=now_us, now_us=now_us)
        keys = await names_of_keys(store, [rule.scope.key_id, *(one.key.subject.key_id for one in accounts)])
        accounts.sort(key=lambda one: one.left_nanousd)
        more += max(len(accounts) - MAX_SHOWN, 0)
        if not accounts:
            before, end_us = await uncounted(store, rule, now_us), period_of(rule, now_us)[1]
            subject = worded(rule.scope, keys)
            shown.append(Standing(rule=rule, subject=subject, uncounted_nanousd=before, end_us=end_us))
        for account in accounts[:MAX_SHOWN]:
            if judged:
                look = await outlook(store.history, rule, account, now_us)
            else:
                hours = await recent_hours(store.history, account.key.subject, now_us)
                look = Outlook(forecast=forecast_of(hours, rule, account, now_us))
            subject = worded(account.key.subject, keys)
            end_us = account.end_us
            shown.append(Standing(rule=rule, subject=subject, account=account, outlook=look, end_us=end_us))
    return Standings(shown=tuple(shown), more=more, rules_more=rules_more)


async def uncounted(store: Store, rule: Budget, now_us: int) -> int | None:
    """Return what the calls of a budget's period cost that has no account yet, where there will be one account."""
    from farthing.ledger.budget_rules import effective_scope, period_of  # noqa: PLC0415  (not for --help)

    scope = effective_scope(rule)
    told = {name: getattr(scope, name) for name in scope.named}
    if EACH in told.values():
        return None
    only = CostsFilter(**{name.removesuffix("_id"): value for name, value in told.items()})
    (total,) = await store.costs(None, period_of(rule, now_us)[0], None, only)
    return total.cost_nanousd


async def found_budget(store: Store, name: str) -> Budget:
    """Return a budget by its name or id.

    Raises:
        InvalidRequest: there is none.
    """
    rule = await store.budgets.found(name)
    if rule is not None:
        return rule
    known = ", ".join(rule.name for rule in await store.budgets.page("", 10)) or "none"
    raise InvalidRequest(f"Unknown budget {name!r}; there are: {known}.", hint='run "farthing budget list".')


def every(rule: Budget) -> str:
    """Return how often it begins anew: `every day`, `once`."""
    return {"total": "once", "session": "once a session"}.get(rule.period, f"every {rule.period}")


def nothing_yet(rule: Budget) -> str:
    """Return what to say where nothing was spent: what never begins anew has no period."""
    return "nothing yet" if rule.period in ("total", "session") else "nothing in this period yet"


def policy_words(rule: Budget) -> str:
    """Return how a budget is kept: `soft`, `hard`, or `hard to the byte`."""
    return "hard to the byte" if rule.policy == "hard" and rule.holds == "every_byte" else rule.policy


def rule_words(rule: Budget, keys: dict[str, str], now_us: int) -> str:
    """Return a rule as a person would say it: how much, how often, for whom, and what happens before it is spent."""
    from farthing.ledger.budget_rules import period_of  # noqa: PLC0415  (not for --help)

    off = "" if rule.enabled else ", switched off"
    policy = policy_words(rule)
    words = f"${trimmed_usd(rule.limit_nanousd)} {every(rule)} for {worded(rule.scope, keys)}, {policy}{off}."
    if (end_us := period_of(rule, now_us)[1]) is not None:
        words += f" It begins anew at {local(end_us, rule.time_zone, now_us)} ({rule.time_zone})."
    lines = [f"{one.action} below {one.left_percent} %" for one in rule.thresholds]
    return words + (f" With less left: {', '.join(lines)}." if lines else "")


def pace_words(made: "Forecast", rule: Budget) -> str:
    """Return a forecast as a sentence: `at this pace $20.00 is reached at 15:40 (between 14:10 and 18:05)`."""
    limit = f"${trimmed_usd(rule.limit_nanousd)}"
    if made.spent_nanousd >= rule.limit_nanousd:
        return f"{limit} is reached"
    if made.reached_at_us is None:
        if made.reached_from_us is None:
            return f"at this pace {limit} is not reached"
        earliest = local(made.reached_from_us, rule.time_zone, made.at_us)
        return f"at this pace {limit} is not reached, but might be from {earliest} on"
    at = local(made.reached_at_us, rule.time_zone, made.at_us)
    first = "now" if made.reached_from_us is None else local(made.reached_from_us, rule.time_zone, made.at_us)
    if made.reached_until_us is None:
        return f"at this pace {limit} is reached at {at} (from {first} on, or not at all)"
    last = local(made.reached_until_us, rule.time_zone, made.at_us)
    return f"at this pace {limit} is reached at {at}" + ("" if first == last else f" (between {first} and {last})")


def local(at_us: int, time_zone: str, now_us: int) -> str:
    """Return a moment as the budget's clock shows it; the day only where it is another than today."""
    from farthing.ledger.periods import zone_of  # noqa: PLC0415  (--help must not pay for it)

    zone = zone_of(time_zone)
    at, now = ((_EPOCH + timedelta(microseconds=us)).astimezone(zone) for us in (at_us, now_us))
    return f"{at:%H:%M}" if at.date() == now.date() else f"{at:%Y-%m-%d %H:%M}"


def title_of(standing: Standing) -> str:
    """Return the budget's name and whose account it is."""
    return rule_title(standing.rule.name, standing.subject)


def more_words(found: Sequence[Standing], more: int) -> str | None:
    """Return what to say where not every account is shown."""
    if not more:
        return None
    return f"{more:,} more accounts are not shown; these {len(found):,} have least left."
