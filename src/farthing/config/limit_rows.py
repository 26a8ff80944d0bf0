"""Reads `limits:`: each under its name says whose calls it is about, and how much of what in which time."""

from collections.abc import Collection
from pathlib import PurePath
from typing import Any

from farthing.config.credentials import one_credential
from farthing.config.problems import Problems, listed, nearest, quoted
from farthing.config.schema import LIMIT_TARGET, LimitSettings
from farthing.config.sections import as_table, as_text, is_setting_name, read_nanousd, read_section, read_whole
from farthing.config.yaml_tree import Node, Table
from farthing.types.budgets import EACH
from farthing.types.limits import RATE_WORDS, Rate

MAX_AMOUNT = 10**15
"""More tokens than all providers write in a day; sums of a window stay far below 64 bits."""


def read_limits(
    node: Node, providers: Collection[str], problems: Problems, *, routers: Collection[str] = ()
) -> tuple[LimitSettings, ...]:
    """Return the limits in the order of the file; `providers` are the configured ones, `routers` those of the file."""
    found = []
    for name, (line, entry) in as_table(node, "limits", problems).items():
        path = f"limits.{name}"
        if not is_setting_name(name):
            problems.error(line, path, f"{quoted(name)} is not a name; letters, digits and . _ : / @ + - inside.")
            continue
        if not isinstance(entry, Table):
            problems.error(entry.line, path, 'must be a mapping, such as {key: "*", requests_per_minute: 60}.')
            continue
        limit = _read_limit(name, entry, path, providers, problems)
        router = None if limit is None else limit.router
        if router not in (None, EACH, *routers):
            told = (
                f"no router of this file is called {quoted(str(router))}, so this limit is about no call until one is."
            )
            problems.warning(entry.entries["router"][0], f"{path}.router", told)
        if limit is not None:
            found.append(limit)
    return tuple(found)


def _read_limit(
    name: str, entry: Table, path: str, providers: Collection[str], problems: Problems
) -> LimitSettings | None:
    given: dict[str, Any] = read_section(entry, LimitSettings, path, problems, fields=LIMIT_TARGET, also=RATE_WORDS)
    rates = []
    for word, (unit, window_s) in RATE_WORDS.items():
        if word in entry.entries:
            amount = _read_amount(entry.entries[word][1], unit, f"{path}.{word}", problems)
            if amount is not None:
                rates.append(Rate(unit, window_s, amount))
    provider = given.get("provider")
    if provider is not None and provider != EACH and provider not in providers:
        told = f"{quoted(provider)} is not configured{nearest(provider, providers)}; there are: {listed(providers)}."
        problems.error(entry.entries["provider"][0], f"{path}.provider", told)
    credential = given.get("credential")
    if credential not in (None, EACH):
        try:
            given["credential"] = one_credential(credential)
        except ValueError as error:
            problems.error(entry.entries["credential"][0], f"{path}.credential", str(error))
    if not any(word in entry.entries for word in RATE_WORDS):
        problems.error(entry.line, path, f"limits nothing; give it one of: {listed(RATE_WORDS)}.")
    if not rates:
        return None
    return LimitSettings(name=name, rates=tuple(rates), origin=f"{PurePath(problems.file).name}:{entry.line}", **given)


def _read_amount(node: Node, unit: str, path: str, problems: Problems) -> int | None:
    if unit == "nanousd":
        return read_nanousd(node, path, problems)
    text = as_text(node, path, problems)
    return None if text is None else read_whole(node, text, MAX_AMOUNT, path, problems)
