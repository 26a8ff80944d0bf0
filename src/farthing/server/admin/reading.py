"""Read what a client of the admin API sends into the types that say what is allowed, and name every mistake at once.

The decoder alone would stop at the first one. So members are looked at one by one: what a struct has is recursed into,
everything else is the decoder's. Numbers with a point stay decimal text from the wire to nanodollars; a float could not
say what 0.1 dollars are.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin
from urllib.parse import parse_qsl

import msgspec

from farthing.errors import InvalidRequest, Problem, WrongFields
from farthing.monitoring.logs import hidden

T = TypeVar("T", bound=msgspec.Struct)

Usd = Annotated[
    Decimal,
    msgspec.Meta(
        description="US dollars, with at most nine decimals; as text, or as a number.",
        extra_json_schema={
            "anyOf": [{"type": "string", "pattern": r"^\d{1,12}(\.\d{1,9})?$"}, {"type": "number", "minimum": 0}],
            "examples": ["1.00"],
        },
    ),
]
"""An amount as it is sent: `"1.00"`, or 1.00."""

MAX_BODY_BYTES = 256 << 10
"""The largest thing that is asked for is a key with a hundred names of models: 26 KB."""
MAX_PROBLEMS = 50
"""So many are told; whoever has more of them reads the first."""
_SHOWN_CHARS = 80
_ALLOWED_USD = 'a decimal amount of dollars from 0 to 1000000000 with at most nine decimals, such as "1.50"'
_USD = re.compile(r"\d{1,12}(\.\d{1,9})?", re.ASCII)
_MOST_USD = Decimal(10**9)
_NANO = Decimal(10) ** -9
_decoder = msgspec.json.Decoder(float_hook=Decimal)
_NOTHING: Any = object()


def read_body(body: bytes, kind: type[T]) -> T:
    """Return a request's body as `kind`; no body is one without members.

    Raises:
        InvalidRequest: it is no JSON object.
        WrongFields: members are wrong.
    """
    if not body.strip():
        return read(kind, {})
    try:
        data = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ArithmeticError) as error:
        raise InvalidRequest(f"The body is no JSON: {error}.", hint="send a JSON object in UTF-8.") from error
    if not isinstance(data, dict):
        raise InvalidRequest("The body is JSON, and no object.", hint='send an object, such as {"name": "my-app"}.')
    return read(kind, data)


def read_query(query: bytes, kind: type[T]) -> T:
    """Return a request's query as `kind`.

    Raises:
        InvalidRequest: it has too many parts.
        WrongFields: members are wrong.
    """
    try:
        pairs = parse_qsl(query.decode("ascii", "replace"), keep_blank_values=True, max_num_fields=64)
    except ValueError as error:
        raise InvalidRequest(f"The query cannot be read: {error}.") from error
    data = dict(pairs)
    if len(data) < len(pairs):
        names = [name for name, _ in pairs]
        twice = [name for name in data if names.count(name) > 1]
        raise WrongFields([Problem(name[:_SHOWN_CHARS], "It is given twice.") for name in twice[:MAX_PROBLEMS]])
    return read(kind, data, strict=False)


def read(kind: type[T], data: Mapping[str, Any], *, strict: bool = True) -> T:
    """Return decoded members as `kind`; not `strict` takes text for numbers.

    Raises:
        WrongFields: members are wrong.
    """
    problems: list[Problem] = []
    found = _struct(kind, data, "", problems, strict=strict)
    if problems:
        raise WrongFields(problems[:MAX_PROBLEMS])
    assert isinstance(found, kind)
    return found


def _struct(kind: type[msgspec.Struct], data: Any, path: str, problems: list[Problem], *, strict: bool) -> Any:
    if not isinstance(data, Mapping):
        problems.append(Problem(path, f"This is {_named(data)}.", _shown(data), "an object"))
        return _NOTHING
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    values: dict[str, Any] = {}
    for name, value in data.items():
        at = f"{path}.{name}" if path else str(name)
        field = fields.get(name)
        if field is None:
            near = get_close_matches(str(name), list(fields), n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            problems.append(Problem(at[:_SHOWN_CHARS], "Nothing here has this name.", None, _names(hint, fields)))
            continue
        values[field.name] = _value(field.type, value, at, problems, strict=strict)
    missing = [field for field in fields.values() if field.required and field.name not in values]
    for field in missing:
        at = f"{path}.{field.encode_name}" if path else field.encode_name
        problems.append(Problem(at, "It is missing.", None, _allowed(field.type)))
    if missing or any(value is _NOTHING for value in values.values()):
        return _NOTHING
    try:
        return kind(**values)
    except ValueError as error:  # what only the members together say
        problems.append(Problem(path or "(the whole)", str(error)))
        return _NOTHING


def _value(kind: Any, value: Any, path: str, problems: list[Problem], *, strict: bool) -> Any:
    inner = _struct_in(kind)
    if inner is not None and value is not None:
        return _struct(inner, value, path, problems, strict=strict)
    if (of := _struct_of_list(kind)) is not None and isinstance(value, list):
        found = [_struct(of, one, f"{path}[{index}]", problems, strict=strict) for index, one in enumerate(value)]
        return _NOTHING if _NOTHING in found else tuple(found)
    if _is_usd(kind) and value is not None:
        amount = _usd(value)
        if amount is None:
            problems.append(Problem(path, "This is no amount.", _shown(value), _ALLOWED_USD))
        return _NOTHING if amount is None else amount
    if isinstance(value, Decimal):
        value = float(value)  # for what is no money: a bound in per cent, a pace
    try:
        found = msgspec.convert(value, kind, strict=strict)
    except (msgspec.ValidationError, OverflowError) as error:
        said = str(error).partition(" - at `")
        place = said[2].rstrip("`").removeprefix("$") if said[1] else ""
        problems.append(Problem(path + place, f"{said[0]}.", _shown(value), _allowed(kind)))
        return _NOTHING
    if (text := _unprintable(found)) is not None:
        problems.append(Problem(path, "It holds letters that cannot be printed.", _shown(text), "printable letters"))
        return _NOTHING
    return found


def _usd(value: Any) -> Decimal | None:
    """Return an amount exactly, `None` where it is none that we lead."""
    if isinstance(value, str):
        return Decimal(value) if _USD.fullmatch(value) and Decimal(value) <= _MOST_USD else None
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    amount = Decimal(value)
    # Compared before it is counted with: 1e999999 has a million digits when it is written out.
    if not amount.is_finite() or not 0 <= amount <= _MOST_USD or (amount and amount < _NANO):
        return None
    return amount if amount == amount.quantize(_NANO) else None


def _members(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def _struct_in(kind: Any) -> type[msgspec.Struct] | None:
    for member in _members(kind):
        if isinstance(member, type) and issubclass(member, msgspec.Struct):
            return member
    return None


def _struct_of_list(kind: Any) -> type[msgspec.Struct] | None:
    for member in _members(kind):
        if get_origin(member) is tuple:
            return _struct_in(get_args(member)[0])
    return None


def _is_usd(kind: Any) -> bool:
    return any(member == Usd or member is Decimal for member in _members(kind))


def _unprintable(value: Any) -> str | None:
    texts = value if isinstance(value, tuple) else (value,)
    return next((text for text in texts if isinstance(text, str) and not text.isprintable()), None)


def _allowed(kind: Any) -> str:
    """Return in words what a member may be."""
    if _is_usd(kind):
        return _ALLOWED_USD
    members = [member for member in _members(kind) if member is not msgspec.UnsetType]
    return " or ".join(dict.fromkeys(_in_words(member) for member in members))


def _in_words(kind: Any) -> str:
    if kind is type(None):
        return "null"
    if _struct_in(kind) is not None:
        return "an object"
    schema = msgspec.json.schema(kind)
    if "enum" in schema:
        return "one of " + ", ".join(str(one) for one in schema["enum"])
    bare = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    if bare is datetime:
        return "a time with its zone, such as 2026-11-22T12:00:00Z"
    word, least, most, unit = _WORDS.get(schema.get("type", ""), ("an object", "", "", ""))
    return word + _between(schema, least, most, unit)


_WORDS = {
    "integer": ("a whole number", "minimum", "maximum", ""),
    "number": ("a number", "minimum", "maximum", ""),
    "string": ("text", "minLength", "maxLength", " letters"),
    "boolean": ("true or false", "", "", ""),
    "array": ("a list", "minItems", "maxItems", " things"),
}


def _between(schema: Mapping[str, Any], least: str, most: str, unit: str) -> str:
    if least in schema and most in schema:
        return f" of {schema[least]} to {schema[most]}{unit}"
    if most in schema:
        return f" of at most {schema[most]}{unit}"
    return f" of at least {schema[least]}{unit}" if least in schema else ""


def _names(hint: str, fields: Mapping[str, Any]) -> str:
    return hint + "known: " + (", ".join(fields) or "none")


def _named(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case str():
            return "text"
        case int() | Decimal():
            return "a number"
        case list():
            return "a list"
        case _:
            return "an object"


def _shown(value: Any) -> str:
    """Return a value for a message: short, and without what looks like a secret."""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode() if _fits(value) else _named(value)
    text = hidden(text)
    return text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "..."


def _fits(value: Any) -> bool:
    return value is None or isinstance(value, bool | int) or (isinstance(value, list) and len(value) < 8)
