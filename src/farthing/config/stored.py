"""Lays settings that were made through the admin API beside those of the file; where both name a thing, the file wins.

What is stored is read by the same rules as the file, each thing by itself: one that cannot be used (a price for a
provider that the file no longer has) is left out and told of, and everything else holds.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, get_args

import msgspec

from farthing.config.model_rows import read_models
from farthing.config.price_rows import read_prices
from farthing.config.problems import Problems
from farthing.config.provider_entries import read_providers
from farthing.config.router_rows import read_routers
from farthing.config.schema import AlertSettings, LossAction, ServerSettings, Settings
from farthing.config.sections import as_choice, read_section
from farthing.config.yaml_tree import Listing, Node, Scalar, Table
from farthing.errors import ConfigError
from farthing.types.features import Feature
from farthing.types.providers import KnownProvider
from farthing.types.settings import StoredSetting

PLACE = "admin-api"
"""How messages and the ids of prices call the place where these stand."""
MAX_STORED = 5_000
"""A home with a thousand models of its own has a price and another name for each; reading so many takes 0.2 s."""
_AT_START = ("host", "port", "public_url", "behind_proxy")
"""Of `server`, what a running gateway cannot take up."""
PLAIN = (
    "unpriced",
    "alerts.quiet_s",
    "translation.meaning",
    "translation.rest",
    *(f"translation.{feature.label}" for feature in Feature),
    *(f"server.{name}" for name in ServerSettings.__struct_fields__ if name not in _AT_START),
)
"""Single values that may be stored: those that a running gateway takes up."""
_SECTIONS: dict[str, type[msgspec.Struct]] = {"server": ServerSettings, "alerts": AlertSettings}


class Layered(msgspec.Struct, frozen=True):
    """What holds, and why stored settings do not hold, by their path."""

    settings: Settings
    problems: dict[str, str]


def with_stored(
    declared: Settings,
    stored: Sequence[StoredSetting],
    known: Mapping[str, KnownProvider],
    environment: Mapping[str, str],
) -> Layered:
    """Return the file's settings with the stored ones beside them."""
    settings = declared
    problems: dict[str, str] = {}
    for one in sorted(stored, key=_order):
        line = declared.said.lines.get(one.path)
        if line is not None:
            problems[one.path] = f"settings.yaml names it in line {line}, and wins"
            continue
        found = Problems(PLACE)
        after = _with_one(settings, one, known, environment, found)
        try:
            found.raise_if_any()
        except ConfigError as error:
            problems[one.path] = " ".join(line.partition(f"{PLACE}:1: ")[2] for line in error.message.splitlines())
        else:
            settings = after
    return Layered(settings, problems)


def _order(one: StoredSetting) -> tuple[int, bool, int, str]:
    """Providers first, and routers after other names; of prices the first that fits is taken, so patterns come last."""
    section, _, name = one.path.partition(".")
    return {"providers": 0, "routers": 2}.get(section, 1), "*" in name, -len(name), one.path


def _with_one(
    settings: Settings,
    one: StoredSetting,
    known: Mapping[str, KnownProvider],
    environment: Mapping[str, str],
    problems: Problems,
) -> Settings:
    section, _, name = one.path.partition(".")
    node = _tree(one.value)
    alone = Table(1, {name or section: (1, node)})
    match section:
        case "providers":
            providers = {**settings.providers, **read_providers((1, alone), known, environment, problems)}
            return msgspec.structs.replace(settings, providers=providers)
        case "models" if name in settings.routers:
            problems.error(1, one.path, "is the name of a router; choose another name.")
            return settings
        case "routers":
            routers = read_routers(alone, settings.providers, settings.models, known, problems)
            return msgspec.structs.replace(settings, routers={**settings.routers, **routers})
        case "models":
            models = {**settings.models, **read_models(alone, settings.providers, known, problems)}
            return msgspec.structs.replace(settings, models=models)
        case "prices":
            row = Table(1, {"model": (1, Scalar(1, name, plain=False)), **getattr(node, "entries", {})})
            prices = read_prices(Listing(1, (row,)), settings.providers, known, problems)
            # The first row that fits is taken, and these come behind the file's: it wins.
            return msgspec.structs.replace(settings, prices=(*settings.prices, *prices))
    if one.path not in PLAIN:
        problems.error(1, one.path, "is the file's alone.")
        return settings
    if section == "unpriced":
        return msgspec.structs.replace(settings, **read_section(alone, Settings, "", problems, fields=(section,)))
    if section == "translation":
        return _with_action(settings, name, node, problems)
    before = getattr(settings, section)
    given = read_section(alone, _SECTIONS[section], section, problems)
    return msgspec.structs.replace(settings, **{section: msgspec.structs.replace(before, **given)})


def _with_action(settings: Settings, name: str, node: Node, problems: Problems) -> Settings:
    action = as_choice(node, get_args(LossAction), f"translation.{name}", problems)
    if action is None:
        return settings
    before = settings.translation
    if name in ("meaning", "rest"):
        after = msgspec.structs.replace(before, **{name: action})
    else:
        after = msgspec.structs.replace(before, features={**before.features, name: action})
    return msgspec.structs.replace(settings, translation=after)


def _tree(value: Any) -> Node:
    """Return a JSON value as the tree of a file that says the same."""
    match value:
        case dict():
            return Table(1, {str(key): (1, _tree(below)) for key, below in value.items()})
        case list() | tuple():
            return Listing(1, tuple(_tree(below) for below in value))
        case bool():
            return Scalar(1, str(value).lower(), plain=True)
        case None:
            return Scalar(1, "", plain=True)
        case Decimal():
            return Scalar(1, f"{value:f}", plain=True)
        case float():
            return Scalar(1, f"{Decimal(repr(value)):f}", plain=True)
        case _:
            return Scalar(1, str(value), plain=not isinstance(value, str))
