"""Put a provider into settings.yaml, or take it out, and leave every other byte as the operator wrote it.

The file is not parsed and written anew: that would lose comments, order and spelling. The parser's events say where
things stand, and the text is cut there. Whatever comes out is read again before anything is replaced; where it does not
say exactly what was wanted, the file stays as it was.
"""

import json
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

from farthing.config.first_start import FIRST_SETTINGS
from farthing.config.load import load_settings
from farthing.config.paths import FILE_MODE
from farthing.config.problems import quoted
from farthing.config.schema import Settings
from farthing.errors import ConfigError
from farthing.types.providers import KnownProvider

BACKUP_SUFFIX = ".bak"
"""What the file said before the last change is kept beside it under its name with this behind."""

_PLAIN = re.compile(r"[A-Za-z0-9/][A-Za-z0-9_./:@%+~-]*", re.ASCII)
_NOT_TEXT = {"true", "false", "null", "yes", "no", "on", "off"}
_BY_HAND = "edit the file by hand; nothing was changed."


class _Entry(msgspec.Struct, frozen=True):
    """One provider in the text: where its key begins and where the last that belongs to it ends."""

    name: str
    line: int
    start: int
    end: int


class _Section(msgspec.Struct, frozen=True):
    """What stands under `providers:`; `start` and `end` enclose the value, `key_end` is behind the colon's key."""

    key_end: int
    start: int
    end: int
    kind: str
    indent: int
    entries: tuple[_Entry, ...]


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
    before = load_settings(path, known=known, environment=environment)
    raw = _read(path)
    text = FIRST_SETTINGS if raw is None else raw
    section = _find(text)
    for entry in section.entries if section is not None else ():
        if entry.name == name:
            raise ConfigError(
                f"A provider named {quoted(name)} exists already ({path}:{entry.line}).",
                hint=f'choose another name, or take that one out first: "farthing providers remove {name}".',
            )
    kept = {entry.name for entry in section.entries} if section is not None else set()
    return _replace(
        path, raw, _added(text, section, name, fields), before, {*kept, name}, known=known, environment=environment
    )


def remove_provider(
    path: Path, name: str, *, known: Mapping[str, KnownProvider], environment: Mapping[str, str]
) -> Settings:
    """Take one provider out of the file; return the settings as they are then.

    Raises:
        ConfigError: it is not in the file, or an alias or a price refers to it. Nothing was changed.
    """
    before = load_settings(path, known=known, environment=environment)
    raw = _read(path)
    section = _find(raw) if raw is not None else None
    entries = section.entries if section is not None else ()
    found = next((entry for entry in entries if entry.name == name), None)
    if raw is None or section is None or found is None:
        listed = ", ".join(entry.name for entry in entries) or "none"
        raise ConfigError(
            f"There is no provider {quoted(name)} in {str(path)!r}; there are: {listed}.",
            hint="one that is found by its key in the environment is gone when the key is not set.",
        )
    users = [f"the alias {quoted(alias)} ({ref})" for alias, ref in before.models.items() if ref.provider == name]
    users += [f"the price of {quoted(row.pattern)}" for row in before.prices if row.pattern.split(":")[0] == name]
    if users:
        raise ConfigError(
            f"The provider {quoted(name)} is used by {', '.join(users)}.", hint="take that out of the file first."
        )
    kept = {entry.name for entry in entries} - {name}
    return _replace(path, raw, _removed(raw, section, found), before, kept, known=known, environment=environment)


def _read(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return file.read().decode("utf-8")  # `load_settings` has bounded and checked it
    except FileNotFoundError:
        return None


# ---- where things stand


def _find(text: str) -> _Section | None:
    """Return where `providers:` stands; `None` where it does not."""
    body = text.removeprefix("\ufeff")
    shift = len(text) - len(body)
    events = [event for event in yaml.parse(body, Loader=yaml.BaseLoader) if not isinstance(event, _FRAME)]
    at = 1  # behind the start of the root mapping
    while at < len(events) and not isinstance(events[at], yaml.MappingEndEvent):
        key, value = events[at], at + 1
        after = _behind(events, value)
        if isinstance(key, yaml.ScalarEvent) and key.value == "providers":
            return _section(events, key, value, after, shift)
        at = after
    return None


_FRAME = (yaml.StreamStartEvent, yaml.StreamEndEvent, yaml.DocumentStartEvent, yaml.DocumentEndEvent)
_OPEN = (yaml.MappingStartEvent, yaml.SequenceStartEvent)
_CLOSE = (yaml.MappingEndEvent, yaml.SequenceEndEvent)


def _behind(events: list[Any], at: int) -> int:
    """Return the index behind the node that begins at `at`."""
    depth = 0
    while True:
        depth += isinstance(events[at], _OPEN) - isinstance(events[at], _CLOSE)
        at += 1
        if depth == 0:
            return at


def _section(events: list[Any], key: Any, value: int, after: int, shift: int) -> _Section:
    first = events[value]
    entries: list[_Entry] = []
    if isinstance(first, yaml.MappingStartEvent):
        at = value + 1
        while at < after - 1:
            behind = _behind(events, at + 1)
            start = events[at].start_mark
            end = max(_end_of(event) for event in events[at:behind])
            entries.append(_Entry(events[at].value, start.line + 1, start.index + shift, end + shift))
            at = behind
        kind = "flow" if first.flow_style else "block"
    else:
        empty = isinstance(first, yaml.ScalarEvent) and first.style is None and first.value in ("", "~", "null")
        kind = "empty" if empty else "other"
    indent = events[value + 1].start_mark.column if kind == "block" and entries else 2
    return _Section(
        key.end_mark.index + shift,
        first.start_mark.index + shift,
        events[after - 1].end_mark.index + shift,
        kind,
        indent,
        tuple(entries),
    )


def _end_of(event: Any) -> int:
    """Return where an event's own letters end; a block's end is marked where the next thing begins, so it has none."""
    start: int = event.start_mark.index
    end: int = event.end_mark.index
    if type(event) in _CLOSE:
        return 0 if start == end else end
    return start if type(event) in _OPEN else end


# ---- cutting


def _added(text: str, section: _Section | None, name: str, fields: Mapping[str, str]) -> str:
    newline = "\r\n" if "\r\n" in text else "\n"
    entry = f"{_spelled(name)}: {{{', '.join(f'{key}: {_spelled(value)}' for key, value in fields.items())}}}"
    if section is None:
        ended = text if not text or text.endswith(("\n", "\r")) else text + newline
        return f"{ended}{newline}providers:{newline}  {entry}{newline}"
    if section.kind == "flow":
        at = text.index("{", section.start) + 1  # an anchor may stand before it
        return f"{text[:at]}{entry}{', ' if section.entries else ''}{text[at:]}"
    if section.kind == "other":
        raise ConfigError("What stands under providers: is no plain mapping.", hint=_BY_HAND)
    line = f"{' ' * section.indent}{entry}{newline}"
    if section.kind == "block":  # behind the last one, so that comments stay with what they are about
        at = _line_end(text, section.entries[-1].end)
    else:
        if section.end > section.start:  # a written null gives way
            text = text[: section.start] + text[section.end :]
        at = _line_end(text, section.key_end)
    if at and text[at - 1] not in "\r\n":
        line = newline + line
    return text[:at] + line + text[at:]


def _removed(text: str, section: _Section, entry: _Entry) -> str:
    if section.kind == "flow":
        place = section.entries.index(entry)
        if place + 1 < len(section.entries):
            behind = text.index(",", entry.end) + 1
            return text[: entry.start] + text[behind + (text[behind] == " ") :]
        start = section.entries[place - 1].end if place else entry.start
        return text[:start] + text[entry.end :]
    start = text.rfind("\n", 0, entry.start) + 1
    return text[:start] + text[_line_end(text, entry.end) :]


def _line_end(text: str, at: int) -> int:
    """Return the index behind the line that `at` stands in."""
    found = text.find("\n", at)
    return len(text) if found < 0 else found + 1


def _spelled(value: str) -> str:
    """Return a text as YAML has it; in quotes where it could be taken for anything else."""
    plain = _PLAIN.fullmatch(value) and not value.endswith(":") and value.lower() not in _NOT_TEXT
    return value if plain or value in ("true", "false") else json.dumps(value, ensure_ascii=False)


# ---- replacing


def _replace(
    path: Path,
    raw: str | None,
    text: str,
    before: Settings,
    names: set[str],
    *,
    known: Mapping[str, KnownProvider],
    environment: Mapping[str, str],
) -> Settings:
    """Read the new text as `serve` would, keep the old one beside it, and put the new one in its place at once."""
    path = path.resolve()  # a link stays one
    try:
        descriptor, draft_name = tempfile.mkstemp(prefix=".settings-", suffix=".yaml", dir=path.parent)
        draft = Path(draft_name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(text.encode("utf-8"))
                file.flush()
                os.fsync(file.fileno())
            after = _checked(draft, path, before, names, known=known, environment=environment)
            if _read(path) != raw:
                raise ConfigError(f"{str(path)!r} was changed by somebody else meanwhile.", hint="try again.")
            mode = FILE_MODE if raw is None else path.stat().st_mode & 0o777
            draft.chmod(mode)
            if raw is not None:
                _keep(path, raw, mode)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{str(path)!r} cannot be written: {error.strerror}.", hint="check who owns it and the free space."
        ) from error
    return after


def _checked(
    draft: Path,
    path: Path,
    before: Settings,
    names: set[str],
    *,
    known: Mapping[str, KnownProvider],
    environment: Mapping[str, str],
) -> Settings:
    try:
        after = load_settings(draft, known=known, environment=environment)
    except ConfigError as error:
        told = error.message.replace(str(draft), str(path))
        raise ConfigError(f"That would make the settings wrong; nothing was changed.\n{told}") from error
    said = set(after.providers) if names else names
    same = (after.server, after.models, len(after.prices), after.unpriced) == (
        before.server,
        before.models,
        len(before.prices),
        before.unpriced,
    )
    untouched = all(after.providers[name] == before.providers[name] for name in said & before.providers.keys())
    if said != names or not same or not untouched:
        raise ConfigError(f"{str(path)!r} is written in a way that cannot be changed safely.", hint=_BY_HAND)
    return msgspec.structs.replace(after, warnings=tuple(w.replace(str(draft), str(path)) for w in after.warnings))


def _keep(path: Path, raw: str, mode: int) -> None:
    backup = path.with_name(path.name + BACKUP_SUFFIX)
    backup.unlink(missing_ok=True)
    descriptor = os.open(backup, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(raw.encode("utf-8"))
