"""Reads `credentials:` of a provider: several of them, each with its share of the work and quotas of its own."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from farthing.config.credentials import parse_credential
from farthing.config.problems import Problems, quoted
from farthing.config.schema import CredentialShare
from farthing.config.sections import as_text, described, read_section
from farthing.config.yaml_tree import Listing, Node, Scalar, Table
from farthing.types.credentials import Quotas

MAX_SHARES = 32
"""Nobody has as many accounts at one provider; whoever needs more has the vault."""
NANO_PREFIX = "nanousd_"
COUNT_QUOTAS = tuple(name for name in Quotas.__struct_fields__ if not name.startswith(NANO_PREFIX))
USD_QUOTAS = tuple(name.removeprefix("nano") for name in Quotas.__struct_fields__ if name.startswith(NANO_PREFIX))
_USD = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?", re.ASCII)


def read_shares(node: Node, path: str, problems: Problems) -> tuple[CredentialShare, ...]:
    """Return the credentials in the order of the file; those that are wrong are noted and left out."""
    if not isinstance(node, Listing):
        problems.error(node.line, path, f"must be a list of sources, such as [vault, env:NAME], not {described(node)}.")
        return ()
    if not 1 <= len(node.items) <= MAX_SHARES:
        problems.error(node.line, path, f"has {len(node.items)} entries; write 1 to {MAX_SHARES}.")
        return ()
    shares: list[CredentialShare] = []
    for index, item in enumerate(node.items):
        share = _read_share(item, f"{path}[{index}]", problems)
        if share is not None and any(other.source == share.source for other in shares):
            problems.error(item.line, f"{path}[{index}]", f"{quoted(str(share.source))} stands there already.")
        elif share is not None:
            shares.append(share)
    return tuple(shares)


def nanousd(text: str) -> int | None:
    """Return an amount of dollars, exactly; `None` where it is none, or nothing, or finer than a nanodollar."""
    if not _USD.fullmatch(text):
        return None
    return int(Decimal(text).scaleb(9)) or None


def _read_share(item: Node, path: str, problems: Problems) -> CredentialShare | None:
    if isinstance(item, Scalar):
        return _of_source(item, path, {}, problems)
    if not isinstance(item, Table):
        problems.error(item.line, path, f"must be a source or a mapping with one, not {described(item)}.")
        return None
    given = read_section(item, CredentialShare, path, problems, fields=("weight",), also=("source", *_QUOTAS))
    if "source" not in item.entries:
        problems.error(item.line, path, "needs a source: env:NAME, file:/path, vault or vault:NAME.")
        return None
    counts = {key: value for key, value in item.entries.items() if key in COUNT_QUOTAS}
    amounts: dict[str, Any] = read_section(Table(item.line, counts), Quotas, path, problems)
    amounts |= _costs(item.entries, path, problems)
    return _of_source(item.entries["source"][1], f"{path}.source", {**given, "quotas": Quotas(**amounts)}, problems)


_QUOTAS = (*COUNT_QUOTAS, *USD_QUOTAS)


def _costs(entries: Mapping[str, tuple[int, Node]], path: str, problems: Problems) -> dict[str, int]:
    costs: dict[str, int] = {}
    for key in entries.keys() & set(USD_QUOTAS):
        line, node = entries[key]
        text = as_text(node, f"{path}.{key}", problems)
        if text is None:
            continue
        amount = nanousd(text)
        if amount is None:
            problems.error(line, f"{path}.{key}", f"{quoted(text)} is no amount of dollars above 0, such as 2.50.")
        else:
            costs[f"nano{key}"] = amount
    return costs


def _of_source(node: Node, path: str, given: dict[str, Any], problems: Problems) -> CredentialShare | None:
    text = as_text(node, path, problems)
    if text is None:
        return None
    try:
        source = parse_credential(text)
    except ValueError as error:
        problems.error(node.line, path, str(error))
        return None
    if source.kind == "none":
        problems.error(node.line, path, "is none; a provider without a credential has credential: none and no list.")
        return None
    return CredentialShare(source=source, **given)
