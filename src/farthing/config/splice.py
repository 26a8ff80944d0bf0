"""Put a provider into settings.yaml, or take it out, and leave every other byte as the operator wrote it."""

from collections.abc import Mapping
from pathlib import Path

from farthing.config.edit import SettingsFile
from farthing.config.places import Entry, root_of, with_value, without
from farthing.config.problems import quoted
from farthing.config.schema import Settings
from farthing.errors import ConfigError
from farthing.types.providers import KnownProvider


def add_provider(
    path: Path,
    name: str,
    fields: Mapping[str, str],
    *,
    known: Mapping[str, KnownProvider],
    environment: Mapping[str, str],
) -> Settings:
    """Write one more provider into the file, which is made where there is none; return the settings as they are then.

    Raises:
        ConfigError: the file is wrong already, the name is taken, or what is to be added is wrong. Nothing was changed.
    """
    there: list[str] = []

    def rewrite(text: str, _before: Settings) -> str:
        for entry in _providers(text):
            there.append(entry.key)
            if entry.key == name:
                raise ConfigError(
                    f"A provider named {quoted(name)} exists already ({path}:{entry.line}).",
                    hint=f'choose another name, or take that one out first: "farthing providers remove {name}".',
                )
        return with_value(text, ("providers", name), fields)

    file = SettingsFile(path, known=known, environment=environment)
    return file.change(rewrite, lambda before, after: _only(before, after, {*there, name}))[1]


def remove_provider(
    path: Path, name: str, *, known: Mapping[str, KnownProvider], environment: Mapping[str, str]
) -> Settings:
    """Take one provider out of the file; return the settings as they are then.

    Raises:
        ConfigError: it is not in the file, or an alias, a router or a price refers to it. Nothing was changed.
    """
    there: list[str] = []

    def rewrite(text: str, before: Settings) -> str:
        there.extend(entry.key for entry in _providers(text))
        if name not in there:
            raise ConfigError(
                f"There is no provider {quoted(name)} in {str(path)!r}; there are: {', '.join(there) or 'none'}.",
                hint="one that is found by its key in the environment is gone when the key is not set.",
            )
        users = [f"the alias {quoted(alias)} ({ref})" for alias, ref in before.models.items() if ref.provider == name]
        users += [
            f"the router {quoted(router)} ({ref})"
            for router, row in before.routers.items()
            for ref in row.models
            if ref.provider == name
        ]
        users += [f"the price of {quoted(row.pattern)}" for row in before.prices if row.pattern.split(":")[0] == name]
        if users:
            raise ConfigError(
                f"The provider {quoted(name)} is used by {', '.join(users)}.", hint="take that out of the file first."
            )
        return without(text, ("providers", name))

    file = SettingsFile(path, known=known, environment=environment)
    return file.change(rewrite, lambda before, after: _only(before, after, {*there} - {name}))[1]


def _providers(text: str) -> tuple[Entry, ...]:
    root = root_of(text)
    entries = root.entries if root is not None else ()
    return next((entry.value.entries for entry in entries if entry.key == "providers"), ())


def _only(before: Settings, after: Settings, names: set[str]) -> bool:
    """Whether the file names these providers now, and whatever else it says is as it was."""
    said = set(after.providers) if names else names
    same = (after.server, after.models, len(after.prices), after.unpriced) == (
        before.server,
        before.models,
        len(before.prices),
        before.unpriced,
    )
    named = before.providers.keys() if before.providers_named else ()  # of the others the file had not said anything
    untouched = all(after.providers[name] == before.providers[name] for name in said.intersection(named))
    return said == names and same and untouched
