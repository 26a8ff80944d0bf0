"""Change settings.yaml from a command: checked before it is saved, comments kept, the old text kept beside it.

Whatever comes out of a change is read as `serve` would read it before anything is replaced; where it does not say
exactly what was wanted, the file stays as it was.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from farthing.config.first_start import FIRST_SETTINGS, write_schema
from farthing.config.load import PARTS, load_settings, read_bounded
from farthing.config.migrate import MIGRATIONS, Migrated, Migration, migrated, newest_version, version_of
from farthing.config.places import Key, Value, root_of, told, value_of, with_value, without
from farthing.config.problems import Problems, nearest, quoted
from farthing.config.save import keep_version, read_text, refuse_lost, replace_text, settings_lock
from farthing.config.schema import (
    LIMIT_TARGET,
    AlertChannelSettings,
    AlertSettings,
    BudgetSettings,
    LogSettings,
    OpenRouterAttribution,
    ProviderSettings,
    ReportSettings,
    RetentionSettings,
    RouterSettings,
    ServerSettings,
    Settings,
    StorageSettings,
    Timeouts,
)
from farthing.config.yaml_tree import read_yaml
from farthing.errors import ConfigError
from farthing.types.features import Feature
from farthing.types.limits import RATE_WORDS
from farthing.types.providers import KnownProvider

_PLAIN_SECTIONS: dict[str, type[msgspec.Struct]] = {
    "server": ServerSettings,
    "log": LogSettings,
    "storage": StorageSettings,
    "retention": RetentionSettings,
    "alerts": AlertSettings,
}
_OF_MAPPINGS = ("limits", "budgets", "alerts", "routers", "providers")
_IN_A_PROVIDER = {"timeouts": Timeouts, "attribution": OpenRouterAttribution}


class SettingsFile:
    """The file of one home, and what is needed to read it as `serve` does."""

    def __init__(
        self,
        path: Path,
        *,
        known: Mapping[str, KnownProvider],
        environment: Mapping[str, str],
        migrations: Sequence[Migration] = MIGRATIONS,
    ) -> None:
        self.path = path
        self._known = known
        self._environment = environment
        self._migrations = migrations

    def load(self, draft: Path | None = None) -> Settings:
        """Return the settings as they are, or would be with a draft in the file's place.

        Raises:
            ConfigError: with a line for each mistake.
        """
        return load_settings(
            draft or self.path,
            known=self._known,
            environment=self._environment,
            migrations=self._migrations,
            shown_as=self.path,
        )

    def change(
        self, rewrite: Callable[[str, Settings], str], agrees: Callable[[Settings, Settings], bool]
    ) -> tuple[Settings, Settings]:
        """Put what `rewrite` makes of the text in its place, if `agrees` says so; return the settings before and after.

        `rewrite` is given the text in its newest version and what it says; where there is no file it is the first one.
        `agrees` is given the settings before and after, and tells whether only what was meant has changed.

        Raises:
            ConfigError: the file is wrong already, or would be. Nothing was changed.
        """
        with settings_lock(self.path):
            before = self.load()
            raw = read_text(self.path)
            if raw is None:
                refuse_lost(self.path)
            found = self._newest(raw)
            text = rewrite(found.text, before)

            def check(draft: Path) -> Settings:
                after = self.load(draft)
                if not agrees(before, after):
                    raise ConfigError(f"{str(self.path)!r} is written in a way that cannot be changed safely.")
                return after

            if raw is not None and found.done:
                keep_version(self.path, raw, found.version)
            after = replace_text(self.path, raw, text, check)
            if raw is None:
                write_schema(self.path, self._known)
            return before, after

    def migrate(self) -> Migrated:
        """Bring the file to the newest version; return what was done, which is nothing where nothing was to do.

        Raises:
            ConfigError: the file is wrong, or cannot be written; it is as it was then.
        """
        if not self._migrations:
            return Migrated(newest_version(self._migrations), "")
        found = self._newest(read_text(self.path))
        if not found.done:
            return found
        with settings_lock(self.path):
            raw = read_text(self.path)
            found = self._newest(raw)
            if raw is not None and found.done:
                keep_version(self.path, raw, found.version)
                replace_text(self.path, raw, found.text, self.load)
        return found

    def _newest(self, raw: str | None) -> Migrated:
        if raw is None:
            return Migrated(1, FIRST_SETTINGS)
        problems = Problems(str(self.path))
        text = read_bounded(self.path, problems) or ""
        version = version_of(read_yaml(text, problems), self.path, problems, self._migrations)
        problems.raise_if_any()
        assert version is not None, "what is no version was noted"
        return migrated(raw, version, self._migrations)


def set_setting(file: SettingsFile, path: str, value: str) -> tuple[Settings, Settings]:
    """Give the setting at `path` (`server.port`, `models.fast`) this value; return the settings before and after.

    Raises:
        ConfigError: there is no such setting, or not with this value. Nothing was changed.
    """
    keys = keys_of(path)
    if keys == ("version",):
        raise ConfigError("The version of the file follows from what stands in it; it is not set.")
    if len(keys) == 1 and keys[0] in _SECTIONS:
        raise ConfigError(f"{quoted(path)} is a section, not a setting.", hint=_PATHS)
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:  # bytes of the command line that are no text
        raise ConfigError("The value holds letters that are no Unicode; nothing was changed.") from error
    if not value.strip():
        raise ConfigError(f"An empty value says nothing; {quoted(path)} was not changed.", hint=_UNSET)
    given = _given(keys, value)
    return file.change(lambda text, _: with_value(text, keys, given), _agreed)


def _given(keys: Sequence[Key], value: str) -> Value:
    """Return the value; where settings are mappings or lists, one in brackets is the one that it writes."""
    if keys[0] not in _OF_MAPPINGS or not value.lstrip().startswith(("{", "[")):
        return value
    given = value_of(value)
    if given is None:
        raise ConfigError(f"{quoted(value)} leaves something empty; nothing was changed.")
    return given


def unset_setting(file: SettingsFile, path: str) -> tuple[Settings, Settings]:
    """Take the setting at `path` out of the file, so that its default holds; return the settings before and after.

    Raises:
        ConfigError: it is not in the file, or something refers to it. Nothing was changed.
    """
    keys = keys_of(path)
    if keys == ("version",):
        raise ConfigError("The version of the file follows from what stands in it; it is not taken out.")
    names = [key for key in keys if isinstance(key, str)]
    if len(names) < len(keys):
        raise ConfigError(f"{quoted(path)} is a row of a list; edit the file by hand to take it out.")

    def rewrite(text: str, _: Settings) -> str:
        _must_be_there(text, names)
        return without(text, names)

    return file.change(rewrite, _agreed)


def _must_be_there(text: str, names: Sequence[str]) -> None:
    """Refuse to take out what is not in the file, with what was probably meant.

    Raises:
        ConfigError: it is not there.
    """
    place = root_of(text)
    for depth, name in enumerate(names):
        there = [entry.key for entry in place.entries] if place is not None else []
        if place is not None and name in there:
            place = place.entries[there.index(name)].value
            continue
        near = nearest(name, there)
        if near or not _is_setting(names):
            raise ConfigError(
                f"There is no {told(names[: depth + 1])} in the file{near}.",
                hint='"farthing config show --origin" says what is.',
            )
        raise ConfigError(f"{quoted(told(names))} is not in the file: its default holds already.")


def _is_setting(names: Sequence[str]) -> bool:
    """Whether a path that the file does not have is one that it might."""
    match names:
        case [name]:
            return name in Settings.__struct_fields__
        case [section, name] if section in _PLAIN_SECTIONS:
            return name in _PLAIN_SECTIONS[section].__struct_fields__
        case ["translation", name]:
            return name in ("meaning", "rest", *[feature.label for feature in Feature])
        case ["limits", _, name]:
            return name in LIMIT_TARGET or name in RATE_WORDS
        case ["alerts", ("channels" | "reports") as kind, _, name]:
            row = AlertChannelSettings if kind == "channels" else ReportSettings
            return name in row.__struct_fields__ and name != "name"
        case ["budgets", _, name]:
            return name in BudgetSettings.__struct_fields__ and name not in ("name", "origin")
        case ["routers" | "providers" as section, _, name]:
            of_router = section == "routers"
            return name in (RouterSettings if of_router else ProviderSettings).__struct_fields__
        case ["providers", _, group, name] if group in _IN_A_PROVIDER:
            return name in _IN_A_PROVIDER[group].__struct_fields__
        case _:
            return False


def _agreed(_before: Settings, _after: Settings) -> bool:
    return True  # `with_value` and `without` have compared the trees, which say more than settings do


_SECTIONS = PARTS
_PATHS = 'paths are those of "farthing config show", such as server.port, models.fast or providers.lab.timeouts.idle_s.'
_UNSET = '"farthing config unset PATH" takes a setting out, so that its default holds.'


def keys_of(path: str) -> tuple[Key, ...]:
    """Return the steps to a setting; names of providers and models may have dots in them.

    Raises:
        ConfigError: it is no path.
    """
    first, _, rest = path.partition(".")
    if first == "models" and rest:
        return (first, rest)
    if first == "routers" and rest:
        name, dot, field = rest.rpartition(".")
        return (first, name, field) if dot and field in RouterSettings.__struct_fields__ else (first, rest)
    if first == "providers" and rest:
        return (first, *_provider_keys(rest))
    keys: list[Key] = []
    for part in path.split("."):
        name, *indexes = part.split("[")
        keys.append(name)
        for index in indexes:
            number = index.removesuffix("]")
            if not (index.endswith("]") and number.isdecimal() and number.isascii() and len(number) < 6):
                raise ConfigError(f"{quoted(path)} is no path to a setting.", hint=_PATHS)
            keys.append(int(number))
    if "" in keys:
        raise ConfigError(f"{quoted(path)} is no path to a setting.", hint=_PATHS)
    return tuple(keys)


def _provider_keys(rest: str) -> tuple[str, ...]:
    """Return name and field: the last part is the field, and the one before it may be a group of fields."""
    parts = rest.split(".")
    if len(parts) > 2 and parts[-2] in _IN_A_PROVIDER:
        return (".".join(parts[:-2]), parts[-2], parts[-1])
    if len(parts) > 1:
        return (".".join(parts[:-1]), parts[-1])
    fields = ", ".join(name for name in ProviderSettings.__struct_fields__ if name not in _NOT_IN_THE_FILE)
    raise ConfigError(
        f"{quoted(told(('providers', rest)))} is a provider, not a setting of it.",
        hint=f'"farthing providers add NAME" adds one; its settings are: {fields}.',
    )


_NOT_IN_THE_FILE = {"name", "wire", "price_key"}
