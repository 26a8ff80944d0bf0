"""settings.yaml as a JSON Schema, so that an editor completes names, shows what they mean and marks mistakes.

Made from the types in `schema.py` and the docstrings under their fields, as the reference page is; there is no second
list of settings to keep. It promises less than `farthing config check`: what follows from several settings at once,
such as an alias for a provider that is not there, no schema can tell. What surprised us: an editor takes `no` and
`2024-10-21` for what YAML makes of them, so a text may also be what looks like a number there.
"""

import ast
import inspect
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from farthing.config import schema
from farthing.config.credential_rows import COUNT_QUOTAS, USD_QUOTAS
from farthing.config.fixed_cost_rows import PER
from farthing.config.price_rows import PER_MILLION, PER_ONE
from farthing.config.schema import (
    MAX_ROUTER_MODELS,
    AlertChannelSettings,
    BudgetSettings,
    LimitSettings,
    LossAction,
    ProviderSettings,
    ReportSettings,
    RouterSettings,
    Settings,
)
from farthing.types.alerts import FACT_KINDS
from farthing.types.budgets import BudgetAction
from farthing.types.features import Feature
from farthing.types.limits import RATE_WORDS
from farthing.types.providers import KnownProvider

_MADE_FROM_OTHERS = {"local", "name", "wire", "price_key", "providers_named", "said", "vault_first", "warnings"}
"""Fields that hold what the file does not say by that name."""
_DRAFT = "http://json-schema.org/draft-07/schema#"
"""The newest one that the YAML language server reads in full."""


_TOKENS = {
    "input": "read afresh",
    "output": "written",
    "cache_read": "read from the provider's cache; as input where left out",
    "cache_write_5m": "written to its cache for five minutes; as input where left out",
    "cache_write_1h": "written to its cache for an hour; as for five minutes where left out",
    "input_audio": "of sound read; as input where left out",
    "output_audio": "of sound written; as output where left out",
    "input_image": "of images read; as input where left out",
    "output_image": "of images written; as output where left out",
    "reasoning": "of reasoning; as output where left out",
}
_EACH = {"request": "call; 0 where left out", "web_search": "search that the provider made; unknown where left out"}


def settings_schema(known: Mapping[str, KnownProvider]) -> dict[str, Any]:
    """Return the schema of the whole file, as plain data."""
    provider = _mapping(ProviderSettings)
    fields = provider["properties"]
    fields["kind"] |= {"enum": sorted(known)}
    source = {
        "type": "string",
        "pattern": "^(env:[A-Za-z_][A-Za-z0-9_]{0,127}|file:(/|~/|[A-Za-z]:).*|vault(:[A-Za-z0-9._-]+)?|none)$",
        "description": "Where its key is: env:NAME, file:/path, vault, vault:NAME or none. Never the key itself.",
    }
    fields["credential"] = source
    fields["credentials"] |= {"type": ["array", "null"], "items": _share(source)}
    root = _mapping(Settings)
    # The language server offers what stands in `properties`; any other name of one's own is taken as well.
    one = {"$ref": "#/definitions/provider"}
    losses = root["properties"]["translation"]["properties"]
    losses.pop("features")
    losses |= {
        feature.label: {
            "enum": [*get_args(LossAction)],
            "description": f"What to do where it is lost: {feature.words}.",
        }
        for feature in Feature
    }
    root["properties"] |= {
        "version": {"type": "integer", "minimum": 1, "description": "The version of this file's schema."},
        "providers": {
            "type": ["object", "null"],
            "description": "Whom Farthing calls, each under a name of your choice.",
            "properties": dict.fromkeys(sorted(known), one),
            "additionalProperties": one,
            "propertyNames": {"pattern": "^[a-z0-9][a-z0-9._-]{0,63}$"},
        },
        "models": {
            "type": ["object", "null"],
            "description": "Other names for models, as provider:model.",
            "additionalProperties": {"type": "string", "pattern": "[:/]"},
            "propertyNames": {"pattern": "^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}$"},
        },
        "routers": {
            "type": ["object", "null"],
            "description": "Names that stand for several models, of which one answers.",
            "additionalProperties": _router_row(),
            "propertyNames": {"pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"},
        },
        "limits": {
            "type": ["object", "null"],
            "description": "How much may be asked for in any minute, hour or day, each under a name of your choice.",
            "additionalProperties": _limit_row(),
        },
        "budgets": {
            "type": ["object", "null"],
            "description": "What may be spent, each under a name of your choice.",
            "additionalProperties": _budget_row(),
        },
        "alerts": {
            "type": ["object", "null"],
            "description": "What is told of, and where.",
            "properties": {
                "quiet_s": root["properties"]["alerts"]["properties"]["quiet_s"],
                "channels": {
                    "type": ["object", "null"],
                    "description": "The places, each under a name of your choice.",
                    "additionalProperties": _alert_channel(),
                    "propertyNames": {"pattern": "^[a-z0-9][a-z0-9._-]{0,63}$"},
                },
                "reports": {
                    "type": ["object", "null"],
                    "description": "What is sent every day, week or month, each under a name of your choice.",
                    "additionalProperties": _report(),
                },
            },
            "additionalProperties": False,
        },
        "prices": {
            "type": ["array", "null"],
            "description": "Prices of your own in USD; they win over the price list.",
            "items": _price_row(),
        },
        "fixed_costs": {
            "type": ["array", "null"],
            "description": "What is paid by the month or the day, however much is called.",
            "items": _fixed_cost_row(),
        },
    }
    return {"$schema": _DRAFT, "title": "Farthing's settings.yaml", "definitions": {"provider": provider}, **root}


def _router_row() -> dict[str, Any]:
    row = _mapping(RouterSettings)
    row["properties"]["models"] = {
        "type": "array",
        "items": {"type": "string"},
        "minItems": 1,
        "maxItems": MAX_ROUTER_MODELS,
        "uniqueItems": True,
        "description": field_notes(RouterSettings)["models"],
    }
    return {**row, "type": "object", "required": ["models"]}


def _limit_row() -> dict[str, Any]:
    row = _mapping(LimitSettings)
    for name in ("name", "origin", "rates"):
        row["properties"].pop(name, None)
    row["properties"] |= {word: rate_schema(word) for word in RATE_WORDS}
    return row


def rate_schema(word: str) -> dict[str, Any]:
    """Return what may stand behind one of the words that limit something."""
    what, _, span = word.partition("_per_")
    if what == "usd":
        told = f"US dollars that calls of any {span} may cost together, with at most nine decimals."
        return {"type": ["number", "string"], "minimum": 0, "description": told}
    named = what.replace("_", " ")
    told = "Calls that may be under way at once." if not span else f"{named.capitalize()} of any {span}."
    return {"type": "integer", "minimum": 0, "description": told}


def _budget_row() -> dict[str, Any]:
    row = _mapping(BudgetSettings)
    amount = {"type": ["number", "string"], "minimum": 0}
    for name in ("usd", "grace_usd"):
        row["properties"][name] = {**amount, "description": row["properties"][name].get("description", "")}
    for name in ("name", "origin"):
        row["properties"].pop(name, None)
    row["properties"]["at"] = {
        "type": ["object", "string"],
        "description": "What happens when less than so many percent are left; or none.",
        "additionalProperties": {"enum": [*get_args(BudgetAction)]},
        "propertyNames": {"pattern": "^([1-9][0-9]?|100)$"},
    }
    return {**row, "required": ["usd", "period"]}


def _share(source: dict[str, Any]) -> dict[str, Any]:
    whole = {"type": "integer", "minimum": 1}
    amounts: dict[str, Any] = {name: {"type": ["number", "string"]} for name in USD_QUOTAS}
    amounts |= dict.fromkeys(COUNT_QUOTAS, whole)
    return {
        **source,
        "type": ["string", "object"],  # each of the other words is about one of the two
        "properties": {"source": source, "weight": {**whole, "maximum": 1_000}, **amounts},
        "additionalProperties": False,
        "required": ["source"],
    }


def _alert_channel() -> dict[str, Any]:
    row = _mapping(AlertChannelSettings)
    row["properties"].pop("name", None)
    secret = {"type": "string", "pattern": "^(env:[A-Za-z_][A-Za-z0-9_]{0,127}|file:(/|~/|[A-Za-z]:).*|none)$"}
    for name in ("url", "secret", "password"):
        row["properties"][name] = {**secret, "description": field_notes(AlertChannelSettings)[name]}
    row["properties"]["facts"] = {
        "type": ["string", "array"],
        "items": {"enum": [*FACT_KINDS]},
        "description": "Which alerts go there.",
    }
    row["properties"]["to"] = {"type": ["string", "array"], "description": "The kind email only: to whom."}
    return {**row, "required": ["kind"]}


def _report() -> dict[str, Any]:
    row = _mapping(ReportSettings)
    row["properties"].pop("name", None)
    row["properties"]["at"] |= {"pattern": "^([01]?[0-9]|2[0-3]):[0-5][0-9]$"}
    told = field_notes(ReportSettings)["channels"]
    row["properties"]["channels"] = {"type": ["string", "array"], "description": told}
    return {**row, "required": ["period", "channels"]}


def _price_row() -> dict[str, Any]:
    amount = {"type": ["number", "string"], "minimum": 0}
    rows: dict[str, Any] = {
        "model": {"type": "string", "pattern": ".:.", "description": "provider:model; * is any text."}
    }
    rows |= {name: {**amount, "description": f"USD per million tokens {_TOKENS[name]}."} for name in PER_MILLION}
    rows |= {name: {**amount, "description": f"USD for each {_EACH[name]}."} for name in PER_ONE}
    return {
        "type": "object",
        "properties": rows,
        "additionalProperties": False,
        "required": ["model", "input", "output"],
    }


def _fixed_cost_row() -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "name": {"type": ["string", "number"], "description": "What it is called in reports."},
            "usd": {"type": ["number", "string"], "minimum": 0, "description": "USD for each month or day."},
            "per": {"enum": list(PER), "description": "A calendar month or a day, in UTC."},
            "providers": {
                "type": "array",
                "items": {"type": "string"},
                "description": "Whose calls it pays for; all where left out.",
            },
        },
        "additionalProperties": False,
        "required": ["name", "usd", "per"],
    }


def _mapping(struct: type[msgspec.Struct]) -> dict[str, Any]:
    notes = field_notes(struct)
    hints = get_type_hints(struct, include_extras=True)
    fields: dict[str, Any] = {}
    for field in msgspec.structs.fields(struct):
        if field.name not in _MADE_FROM_OTHERS:
            fields[field.name] = _described(_of_type(hints[field.name]), field, notes.get(field.name))
    about = inspect.getdoc(struct) or ""
    # An empty section is an empty mapping, and YAML calls that null.
    return {
        "type": ["object", "null"],
        "description": about.split("\n", maxsplit=1)[0],
        "properties": fields,
        "additionalProperties": False,
    }


def _described(found: dict[str, Any], field: msgspec.structs.FieldInfo, note: str | None) -> dict[str, Any]:
    if note:
        found["description"] = note
    if field.default is not msgspec.NODEFAULT and isinstance(field.default, str | int | float):
        found["default"] = field.default
    return found


def _of_type(hint: Any) -> dict[str, Any]:
    bounds = msgspec.Meta()
    if get_origin(hint) is Annotated:
        hint, bounds = get_args(hint)
    if get_origin(hint) is Literal:
        return {"enum": list(get_args(hint))}
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return _mapping(hint)
    if hint is bool:
        return {"type": "boolean"}
    if hint in (int, float):
        limits = {"minimum": bounds.ge, "exclusiveMinimum": bounds.gt, "maximum": bounds.le}
        told = {name: limit for name, limit in limits.items() if limit is not None}
        return {"type": "integer" if hint is int else "number", **told}
    return {"type": ["string", "number"]}


def field_notes(struct: type[msgspec.Struct]) -> dict[str, str]:
    """Return the docstring under each field of a settings type; none where the source is not at hand."""
    try:
        tree = ast.parse(inspect.getsource(schema))
    except OSError:  # an installation without sources: the editor shows no explanations then
        return {}
    found = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == struct.__name__)
    notes = {}
    for field, after in zip(found.body, found.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(after, ast.Expr):
            assert isinstance(after.value, ast.Constant)
            notes[field.target.id] = " ".join(str(after.value.value).split())
    return notes
