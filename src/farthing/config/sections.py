"""Reads one mapping of the file into the keyword arguments of its struct, by the struct's own annotations.

A field that is missing is left to the struct's default; one that is wrong is noted and left out, so that the rest of
the file is read all the same. `msgspec.convert` would do the conversion, but it names neither line nor value and stops
at the first mistake.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from farthing.config.problems import Problems, listed, nearest, quoted
from farthing.config.yaml_tree import Listing, Node, Scalar, Table
from farthing.types.money import NANOUSD_PER_USD

_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,17})", re.ASCII)
_AMOUNT = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+ -]{0,63}", re.ASCII)
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,8})(\.[0-9]{1,9})?", re.ASCII)
MAX_LISTED = 30
"""More names than this are no help once there is a near one; the longest section of plain settings has 16."""
_SECRET_KEYS = {"api_key", "apikey", "key", "token", "secret", "password", "credentials"}


def read_section(
    node: Node,
    struct: type[msgspec.Struct],
    path: str,
    problems: Problems,
    *,
    fields: Collection[str] | None = None,
    also: Collection[str] = (),
) -> dict[str, Any]:
    """Return what the mapping says about `fields` of `struct` (all of them by default), checked.

    `also` names keys that are allowed beside them and that the caller reads itself.
    """
    hints = get_type_hints(struct, include_extras=True)
    readable = hints if fields is None else fields
    given: dict[str, Any] = {}
    for key, (line, value) in as_table(node, path, problems).items():
        if key in also:
            continue
        if key not in readable:
            unknown_key(key, line, path, {*readable, *also}, problems)
            continue
        read = _read_value(value, hints[key], f"{path}.{key}" if path else key, problems)
        if read is not None:
            given[key] = read
    return given


def as_table(node: Node, path: str, problems: Problems) -> Mapping[str, tuple[int, Node]]:
    """Return the entries of a mapping; an empty value is an empty mapping, anything else is noted as wrong."""
    if isinstance(node, Table):
        return node.entries
    if not (isinstance(node, Scalar) and node.empty):
        problems.error(node.line, path, f"must be a mapping (key: value), not {described(node)}.")
    return {}


def as_text(node: Node, path: str, problems: Problems) -> str | None:
    """Return the text of a single value that is not empty; `None` when it was noted as wrong."""
    if not isinstance(node, Scalar):
        problems.error(node.line, path, f"must be a single value, not {described(node)}.")
        return None
    if node.empty or not node.text.strip():
        problems.error(node.line, path, "is empty; give it a value or leave the key out.")
        return None
    return node.text


def as_choice(node: Node, choices: Sequence[str], path: str, problems: Problems) -> Any:
    """Return a value that is one of the choices; `None` when it was noted as wrong."""
    text = as_text(node, path, problems)
    if text is None or text in choices:
        return text
    problems.error(
        node.line, path, f"{quoted(text)} is not allowed{nearest(text, choices)}; one of: {listed(choices)}."
    )
    return None


def read_nanousd(node: Node, path: str, problems: Problems) -> int | None:
    """Return an amount of US dollars in nanodollars, exactly; `None` when it was noted as wrong."""
    text = as_text(node, path, problems)
    if text is None:
        return None
    if not _AMOUNT.fullmatch(text):
        problems.error(
            node.line,
            path,
            f"{quoted(text)} is not an amount; US dollars in digits with at most nine decimals, as 20.00.",
        )
        return None
    return int(Decimal(text) * NANOUSD_PER_USD)


def read_whole(node: Node, text: str, most: int, path: str, problems: Problems) -> int | None:
    """Return a whole number from 0 up to `most`; `None` when it was noted as wrong."""
    if _WHOLE.fullmatch(text) and 0 <= int(text) <= most:
        return int(text)
    problems.error(node.line, path, f"{quoted(text)} is not allowed; write a whole number in digits, from 0 to {most}.")
    return None


def is_setting_name(name: str) -> bool:
    """Whether a budget or a limit may be called so."""
    return _NAME.fullmatch(name) is not None


def unknown_key(key: str, line: int, path: str, allowed: Iterable[str], problems: Problems) -> None:
    """Note a key that means nothing here, with the nearest that does."""
    names = sorted(allowed)
    where = f"{path}.{key}" if path else key
    if key.lower() in _SECRET_KEYS and "credential" in names:
        problems.error(line, where, "is not a setting; write credential: env:NAME or credential: file:/path.")
        return
    near = nearest(key, names)
    if near and len(names) > MAX_LISTED:
        problems.error(line, where, f"is not a setting{near}.")
        return
    problems.error(line, where, f"is not a setting{near}; allowed: {listed(names)}.")


def described(node: Node) -> str:
    """Return what kind of thing stands there; not the value, which may be a key in the wrong place."""
    match node:
        case Scalar():
            return "nothing" if node.empty else "a single value"
        case Listing():
            return "a list"
        case Table():
            return "a mapping"


def _read_value(node: Node, hint: Any, path: str, problems: Problems) -> Any:
    """Return the value as the annotation wants it, or `None` when it was noted as wrong."""
    text = as_text(node, path, problems)
    if text is None:
        return None
    bounds = msgspec.Meta()
    if get_origin(hint) in (Union, UnionType):  # what may be left out
        (hint,) = (one for one in get_args(hint) if one is not NoneType)
    if get_origin(hint) is Annotated:
        hint, bounds = get_args(hint)
    if get_origin(hint) is Literal:
        return as_choice(node, get_args(hint), path, problems)
    if hint is bool:
        if text in {"true", "false"}:
            return text == "true"
        problems.error(node.line, path, f"{quoted(text)} is not allowed; write true or false.")
    elif hint is int:
        if _WHOLE.fullmatch(text) and _within(int(text), bounds):
            return int(text)
        problems.error(
            node.line, path, f"{quoted(text)} is not allowed; write a whole number in digits, {_range(bounds)}."
        )
    elif hint is float:
        if _DECIMAL.fullmatch(text) and _within(float(text), bounds):
            return float(text)
        problems.error(node.line, path, f"{quoted(text)} is not allowed; write a number in digits, {_range(bounds)}.")
    else:
        return text
    return None


def _within(value: float, bounds: msgspec.Meta) -> bool:
    return (
        (bounds.ge is None or value >= bounds.ge)
        and (bounds.gt is None or value > bounds.gt)
        and (bounds.le is None or value <= bounds.le)
    )


def _range(bounds: msgspec.Meta) -> str:
    low = f"above {bounds.gt}" if bounds.gt is not None else f"from {bounds.ge}"
    return f"{low} up to {bounds.le}"
