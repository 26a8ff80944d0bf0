"""Reads `budgets:`: dollars as decimal text become whole nanodollars, exactly, or the budget is refused."""

import re
from pathlib import PurePath
from typing import Any, get_args

from farthing.config.problems import Problems, listed, quoted
from farthing.config.schema import BudgetSettings
from farthing.config.sections import as_choice, as_table, is_setting_name, read_nanousd, read_section
from farthing.config.yaml_tree import Node, Scalar, Table
from farthing.types.budgets import BudgetAction, BudgetHolds, BudgetPolicy, Period

_PERCENT = re.compile(r"[1-9][0-9]?|100", re.ASCII)
_MONEY = ("usd", "grace_usd")
_CHOICES: dict[str, tuple[str, ...]] = {
    "period": get_args(Period),
    "policy": get_args(BudgetPolicy),
    "holds": get_args(BudgetHolds),
}
_PLAIN = (
    "organisation",
    "team",
    "project",
    "key",
    "user",
    "session",
    "task",
    "tag",
    "time_zone",
    "reset_day",
    "wait_s",
)
_LAST_DAY = {"week": 7, "month": 31}


def read_budgets(node: Node, problems: Problems) -> tuple[BudgetSettings, ...]:
    """Return the budgets in the order of the file."""
    found = []
    for name, (line, entry) in as_table(node, "budgets", problems).items():
        path = f"budgets.{name}"
        if not is_setting_name(name):
            problems.error(line, path, f"{quoted(name)} is not a name; letters, digits and . _ : / @ + - inside.")
            continue
        if not isinstance(entry, Table):
            problems.error(entry.line, path, "must be a mapping, such as {usd: 20, period: day}.")
            continue
        budget = _read_budget(name, entry, path, problems)
        if budget is not None:
            found.append(budget)
    return tuple(found)


def _read_budget(name: str, entry: Table, path: str, problems: Problems) -> BudgetSettings | None:
    given: dict[str, Any] = read_section(
        entry, BudgetSettings, path, problems, fields=_PLAIN, also=(*_MONEY, *_CHOICES, "at")
    )
    for key in _MONEY:
        if key in entry.entries:
            amount = read_nanousd(entry.entries[key][1], f"{path}.{key}", problems)
            if amount is not None:
                given[key] = amount
    for key, choices in _CHOICES.items():
        if key in entry.entries:
            choice = as_choice(entry.entries[key][1], choices, f"{path}.{key}", problems)
            if choice is not None:
                given[key] = choice
    if "at" in entry.entries:
        given["at"] = _thresholds(entry.entries["at"][1], f"{path}.at", problems)
    missing = [key for key in ("usd", "period") if key not in entry.entries]
    if missing:
        problems.error(entry.line, path, f"a budget needs usd and period; missing: {listed(missing)}.")
    if "usd" not in given or "period" not in given:
        return None
    last = _LAST_DAY.get(given["period"])
    if "reset_day" in given and (last is None or given["reset_day"] > last):
        allowed = f"from 1 up to {last}" if last else "only for a week or a month"
        told = f"{given['reset_day']} is not allowed for the period {given['period']}; {allowed}."
        problems.error(entry.entries["reset_day"][0], f"{path}.reset_day", told)
    return BudgetSettings(name=name, origin=f"{PurePath(problems.file).name}:{entry.line}", **given)


def _thresholds(node: Node, path: str, problems: Problems) -> dict[int, BudgetAction]:
    found: dict[int, BudgetAction] = {}
    if isinstance(node, Scalar) and node.text == "none":
        return found
    for text, (line, value) in as_table(node, path, problems).items():
        action = as_choice(value, get_args(BudgetAction), f"{path}.{text}", problems)
        if not _PERCENT.fullmatch(text):
            problems.error(line, f"{path}.{text}", f"{quoted(text)} is no percentage; from 1 up to 100 percent left.")
        elif action is not None:
            found[int(text)] = action
    return found
