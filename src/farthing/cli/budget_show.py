"""`farthing budget show`: what is spent of each budget, what is left, and what holds now."""

from typing import Any

import click

from farthing.cli.budget_standing import (
    Standing,
    every,
    local,
    nothing_yet,
    pace_words,
    policy_words,
    show_standings,
)
from farthing.cli.tables import moment, usd
from farthing.types.budgets import Budget, Threshold


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(name: str | None, as_json: bool) -> None:  # noqa: FBT001  (click's flag)
    """Show what is spent, held and left of budgets, what holds now, and the pace."""
    show_standings(name, standing_as_data, _fields, as_json=as_json, judged=False)


def _fields(one: Standing, now_us: int) -> list[tuple[str, str | None]]:
    rule, account = one.rule, one.account
    kind = "" if rule.enabled else ", switched off"
    limit = f"{usd(rule.limit_nanousd)} USD, {every(rule)}, {policy_words(rule)}{kind}"
    resets = None if one.end_us is None else f"{local(one.end_us, rule.time_zone, now_us)} ({rule.time_zone})"
    if account is None:
        return [("limit", limit), *_before_the_first(one), ("begins anew", resets)]
    unknown, held = account.unknown_nanousd, account.leased_nanousd
    doubt = f" ({usd(unknown)} of it is what calls of unknown cost may have cost)" if unknown else ""
    left = max(rule.limit_nanousd - account.spent_nanousd, 0)
    # A gateway that runs alone leases all that is left, and to say so reads as if there was nothing.
    leased = f", {usd(held)} of it leased by gateways for their calls" if 0 < held < left else ""
    made = one.outlook.forecast if one.outlook is not None else None
    return [
        ("limit", limit),
        ("spent", usd(account.spent_nanousd) + doubt),
        ("left", usd(left) + leased),
        ("begins anew", resets),
        ("now", state_words(one)),
        ("pace", None if made is None else pace_words(made, rule)),
    ]


def _before_the_first(one: Standing) -> list[tuple[str, str | None]]:
    """Return what is spent where no call was counted yet: what the ledger has of the period, or nothing."""
    spent = one.uncounted_nanousd
    if not spent:
        return [("spent", nothing_yet(one.rule))]
    left = usd(max(one.rule.limit_nanousd - spent, 0))
    return [("spent", f"{usd(spent)} by earlier calls, which count from the next one on"), ("left", left)]


def state_words(one: Standing) -> str:
    """Return what holds of an account now, and since how little is left."""
    action = state_of(one)
    if action is None:
        return "within the limit"
    rule, account = one.rule, one.account
    left = rule.limit_nanousd - account.spent_nanousd if account is not None else 0
    if left <= 0:
        return f"nothing is left: {_SAID[action]}"
    percent = min(on.left_percent for on in rule.thresholds if on.action == action and _is_reached(on, left, rule))
    return f"less than {percent} % is left: {_SAID[action]}"


def _is_reached(on: Threshold, left_nanousd: int, rule: Budget) -> bool:
    return left_nanousd * 100 < on.left_percent * rule.limit_nanousd


def state_of(one: Standing) -> str | None:
    """Return the action that holds now, `None` where no threshold is reached."""
    from farthing.ledger.budget_rules import action_of  # noqa: PLC0415  (--help must not pay for it)

    rule, account = one.rule, one.account
    if account is None or not rule.enabled:
        return None
    left = rule.limit_nanousd - account.spent_nanousd
    if left <= 0 and rule.policy == "hard":
        return "refuse"
    return action_of(rule, left, account.key.start_us)


_SAID = {
    "warn": "alerts tell of it",
    "prefer_cheaper": "free and cheaper models are preferred",
    "emergency": "the cheapest models that can are chosen",
    "local_only": "models that cost money are refused",
    "pause": "paused: calls that cost money are refused until it is resumed",
    "refuse": "calls that cost money are refused",
}


def standing_as_data(one: Standing) -> dict[str, Any]:
    """Return how an account stands, for programs; moments are UTC, amounts whole nanodollars."""
    rule, account = one.rule, one.account
    told: dict[str, Any] = {
        "budget": rule.name,
        "id": rule.id,
        "subject": one.subject,
        "period": rule.period,
        "policy": rule.policy,
        "holds": rule.holds,
        "enabled": rule.enabled,
        "limit_nanousd": rule.limit_nanousd,
        "state": state_of(one),
    }
    if account is None:
        return {**told, "account": None, "forecast": None}
    told["account"] = {
        "subject": {name: getattr(account.key.subject, name) for name in account.key.subject.named},
        "spent_nanousd": account.spent_nanousd,
        "unknown_nanousd": account.unknown_nanousd,
        "held_nanousd": account.leased_nanousd,
        "left_nanousd": rule.limit_nanousd - account.spent_nanousd,
        "began_at": moment(account.key.start_us),
        "resets_at": None if account.end_us is None else moment(account.end_us),
    }
    return {**told, "forecast": forecast_as_data(one)}


def forecast_as_data(one: Standing) -> dict[str, Any] | None:
    """Return an account's forecast, for programs."""
    made = one.outlook.forecast if one.outlook is not None else None
    if made is None:
        return None

    def at(moment_us: int | None) -> str | None:
        return None if moment_us is None else moment(moment_us)

    return {
        "until": moment(made.end_us),
        "expected_nanousd": made.expected_nanousd,
        "low_nanousd": made.low_nanousd,
        "high_nanousd": made.high_nanousd,
        "reached_at": at(made.reached_at_us),
        "reached_from": at(made.reached_from_us),
        "reached_until": at(made.reached_until_us),
        "drawn_from": made.basis,
        "sample": made.sample,
    }
