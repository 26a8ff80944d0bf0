"""Reads `routers:`: names that clients ask for as for a model, and that stand for several of them.

A router's models are named as an alias's is, or by an alias; never by another router, so that what a call may try is
what stands there.
"""

import re
from collections.abc import Collection, Mapping
from typing import get_args

from farthing.config.model_rows import split_name, target_problem
from farthing.config.problems import Problems, quoted
from farthing.config.schema import MAX_ROUTER_MODELS, RouterSettings, Strategy
from farthing.config.sections import as_choice, as_table, as_text, described, unknown_key
from farthing.config.yaml_tree import Listing, Node, Table
from farthing.types.models import ModelRef
from farthing.types.providers import KnownProvider

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
"""Without `:` and `/`, so that it never looks like a provider's model, and is one part of a path."""
_FIELDS = ("models", "strategy")


def read_routers(
    section: Node,
    providers: Collection[str],
    models: Mapping[str, ModelRef],
    known: Mapping[str, KnownProvider],
    problems: Problems,
    *,
    aliases: Collection[str] = (),
) -> dict[str, RouterSettings]:
    """Return the routers; `providers` are configured, `models` what other names stand for.

    `aliases` are further such names, which are wrong and told of elsewhere.
    """
    table = as_table(section, "routers", problems)
    routers: dict[str, RouterSettings] = {}
    for name, (line, entry) in table.items():
        path = f"routers.{name}"
        if not _NAME.fullmatch(name):
            problems.error(line, path, f"{quoted(name)} is not a name; up to 64 letters, digits and . _ - inside.")
        elif name in models or name in aliases:
            problems.error(line, path, f"{quoted(name)} is another name of a model already (models); choose one.")
        elif not isinstance(entry, Table):
            problems.error(entry.line, path, "must be a mapping, such as {models: [provider:model], strategy: order}.")
        else:
            found = _Reading(table, providers, models, known, problems, {*models, *aliases}).router(entry, path)
            if found is not None:
                routers[name] = found
    return routers


class _Reading:
    """What a router is read by."""

    def __init__(
        self,
        routers: Collection[str],
        providers: Collection[str],
        models: Mapping[str, ModelRef],
        known: Mapping[str, KnownProvider],
        problems: Problems,
        aliases: Collection[str],
    ) -> None:
        self._routers = routers
        self._providers = providers
        self._models = models
        self._known = known
        self._problems = problems
        self._aliases = aliases

    def router(self, entry: Table, path: str) -> RouterSettings | None:
        for key, (line, _) in entry.entries.items():
            if key not in _FIELDS:
                unknown_key(key, line, path, _FIELDS, self._problems)
        strategy: Strategy | None = "order"
        if "strategy" in entry.entries:
            node = entry.entries["strategy"][1]
            strategy = as_choice(node, get_args(Strategy), f"{path}.strategy", self._problems)
        if "models" not in entry.entries:
            self._problems.error(entry.line, path, "names no models; give it models: [provider:model, ...].")
            return None
        refs = self._refs(entry.entries["models"][1], f"{path}.models")
        return None if strategy is None or not refs else RouterSettings(models=refs, strategy=strategy)

    def _refs(self, node: Node, path: str) -> tuple[ModelRef, ...]:
        if not isinstance(node, Listing):
            told = f"must be a list, such as [provider:model, provider:other], not {described(node)}."
            self._problems.error(node.line, path, told)
            return ()
        if not 1 <= len(node.items) <= MAX_ROUTER_MODELS:
            told = f"has {len(node.items)} models; a router has 1 to {MAX_ROUTER_MODELS}."
            self._problems.error(node.line, path, told)
            return ()
        found: dict[ModelRef, str] = {}
        for index, item in enumerate(node.items):
            target = as_text(item, f"{path}[{index}]", self._problems)
            ref = None if target is None else self._ref(target, item.line, f"{path}[{index}]")
            if target is None or ref is None:
                continue
            if ref in found:
                told = f"{quoted(target)} is there twice, as {quoted(found[ref])}; each model is tried once."
                self._problems.error(item.line, f"{path}[{index}]", told)
            found[ref] = target
        return tuple(found)

    def _ref(self, target: str, line: int, path: str) -> ModelRef | None:
        if target in self._aliases:
            return self._models.get(target)  # one that is wrong is told where it stands
        wrong = (
            "is a router itself; write the models that it stands for."
            if target in self._routers
            else target_problem(target, (), self._providers, self._known)
        )
        if wrong:
            self._problems.error(line, path, f"{quoted(target)} {wrong}")
            return None
        return ModelRef(*split_name(target))
