"""Reads `fixed_costs:`: what is paid for by the month or the day, in dollars that become whole nanodollars."""

import re
from collections.abc import Collection
from decimal import Decimal

from farthing.config.problems import Problems, listed, nearest, quoted
from farthing.config.sections import as_choice, as_text, described, unknown_key
from farthing.config.yaml_tree import Listing, Node, Scalar, Table
from farthing.types.fixed_costs import FixedCost
from farthing.types.money import nanousd_from_usd

FIELDS = ("name", "usd", "per", "providers")
PER = ("month", "day")
_AMOUNT = re.compile(r"[0-9]{1,7}(\.[0-9]{1,9})?", re.ASCII)
_MOST_ROWS = 100
"""What one installation pays for by the month fits on a page."""


def read_fixed_costs(
    node: Node, providers: Collection[str], kinds: Collection[str], problems: Problems
) -> tuple[FixedCost, ...]:
    """Return the rows in the order of the file; a provider that is neither configured nor known is a typing error."""
    if not isinstance(node, Listing):
        if not (isinstance(node, Scalar) and node.empty):
            problems.error(
                node.line, "fixed_costs", f'must be a list of rows ("- {{name: ...}}"), not {described(node)}.'
            )
        return ()
    if len(node.items) > _MOST_ROWS:
        problems.error(node.line, "fixed_costs", f"has {len(node.items)} rows; at most {_MOST_ROWS}.")
        return ()
    rows: dict[str, FixedCost] = {}
    for index, item in enumerate(node.items):
        path = f"fixed_costs[{index}]"
        row = _read_row(item, path, {*providers}, {*kinds}, problems)
        if row is not None and row.name in rows:
            problems.error(item.line, path, f"{quoted(row.name)} stands there already; two costs need two names.")
        elif row is not None:
            rows[row.name] = row
    return tuple(rows.values())


def _read_row(node: Node, path: str, providers: set[str], kinds: set[str], problems: Problems) -> FixedCost | None:
    if not isinstance(node, Table):
        problems.error(node.line, path, f"must be a mapping (name: ..., usd: ..., per: month), not {described(node)}.")
        return None
    for key, (line, _) in node.entries.items():
        if key not in FIELDS:
            unknown_key(key, line, path, FIELDS, problems)
    missing = [name for name in FIELDS[:3] if name not in node.entries]
    if missing:
        problems.error(node.line, path, f"a fixed cost needs name, usd and per; missing: {listed(missing)}.")
        return None
    name = as_text(node.entries["name"][1], f"{path}.name", problems)
    per = as_choice(node.entries["per"][1], PER, f"{path}.per", problems)
    nanousd = _read_usd(node.entries["usd"][1], f"{path}.usd", problems)
    named: tuple[str, ...] | None = ()
    if "providers" in node.entries:
        named = _read_providers(node.entries["providers"][1], f"{path}.providers", providers, kinds, problems)
    if name is None or per is None or nanousd is None or named is None:
        return None
    return FixedCost(name=name, nanousd=nanousd, per=per, providers=named)


def _read_usd(node: Node, path: str, problems: Problems) -> int | None:
    text = as_text(node, path, problems)
    if text is None:
        return None
    if not _AMOUNT.fullmatch(text):
        problems.error(node.line, path, f"{quoted(text)} is no amount; USD in digits, such as 20 or 12.50.")
        return None
    return nanousd_from_usd(Decimal(text))


def _read_providers(
    node: Node, path: str, providers: set[str], kinds: set[str], problems: Problems
) -> tuple[str, ...] | None:
    if not isinstance(node, Listing):
        problems.error(node.line, path, f"must be a list of providers, such as [ollama], not {described(node)}.")
        return None
    names = []
    for index, item in enumerate(node.items):
        name = as_text(item, f"{path}[{index}]", problems)
        if name is None:
            return None
        if name not in providers | kinds:
            known = listed(sorted(providers)) or "none"
            problems.error(
                item.line,
                f"{path}[{index}]",
                f"{quoted(name)} is no provider{nearest(name, providers)}; configured: {known}.",
            )
            return None
        names.append(name)
    return tuple(names)
