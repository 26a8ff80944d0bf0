"""Reads `models:`: other names for models, each for a model of a configured provider, never for another such name."""

import re
from collections.abc import Collection, Mapping

from farthing.config.problems import Problems, listed, nearest, quoted
from farthing.config.sections import as_table, as_text
from farthing.config.yaml_tree import Node
from farthing.types.models import ModelRef
from farthing.types.providers import KnownProvider

_ALIAS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}", re.ASCII)


def read_models(
    section: Node, providers: Collection[str], known: Mapping[str, KnownProvider], problems: Problems
) -> dict[str, ModelRef]:
    """Return what other names of models stand for; `providers` are the names of those that are configured."""
    table = as_table(section, "models", problems)
    models: dict[str, ModelRef] = {}
    for alias, (line, node) in table.items():
        path = f"models.{alias}"
        if not _ALIAS.fullmatch(alias):
            problems.error(line, path, f"{quoted(alias)} is not a name; letters, digits and . _ : / @ + -, no spaces.")
            continue
        hidden, model = split_name(alias)
        if model and hidden in providers:
            problems.error(line, path, f"would hide a model of the provider {quoted(hidden)}; choose another name.")
            continue
        target = as_text(node, path, problems)
        if target is None:
            continue
        wrong = target_problem(target, table, providers, known)
        if wrong:
            problems.error(node.line, path, f"{quoted(target)} {wrong}")
        else:
            models[alias] = ModelRef(*split_name(target))
    return models


def target_problem(
    target: str, aliases: Collection[str], providers: Collection[str], known: Mapping[str, KnownProvider]
) -> str | None:
    """Return what is wrong with what an alias stands for, as the rest of a sentence."""
    name, model = split_name(target)
    if name in providers and model:
        return (
            None if model == model.strip() and model.isprintable() else "has spaces around or inside the model's name."
        )
    if target in aliases:
        return "is an alias itself; write the provider:model that it stands for."
    if not model:
        return f"is not provider:model, such as 'openai:gpt-5-mini'; configured providers: {listed(sorted(providers))}."
    if name in known and not nearest(name, providers):
        return f"needs the provider {quoted(name)}, which is not configured; add it under providers."
    near = nearest(name, providers)
    if not near and (elsewhere := nearest(name, known)):
        near = elsewhere.replace("?)", "? that one is not configured)")
    return f"names no provider{near}; configured: {listed(sorted(providers))}."


def split_name(name: str) -> tuple[str, str]:
    """Split at the first `:` or `/`, as model names are resolved; the second part is empty where there is neither."""
    separator = re.search("[:/]", name)
    return (name[: separator.start()], name[separator.end() :]) if separator else (name, "")
