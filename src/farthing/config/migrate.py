"""Versions of settings.yaml, and how a file of an older one becomes one of ours without losing a comment.

A migration is a function from text to text, made of the cuts in `places.py`; `load_settings` applies what is missing in
memory, so that every command reads an older file, and `serve` writes the result once, after it has kept the old file.
There has been one version so far, and so there is no migration yet: the first that is registered makes version 2.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from farthing.config.places import with_value
from farthing.config.problems import Problems, quoted
from farthing.config.yaml_tree import Node, Scalar, Table
from farthing.errors import ConfigError

FIRST_VERSION = 1
"""What a file is that names no version."""


class Migration(msgspec.Struct, frozen=True):
    """One step up: `rewrite` turns a good file of the version before into one of the next; `what` tells it in words."""

    what: str
    rewrite: Callable[[str], str]


MIGRATIONS: tuple[Migration, ...] = ()
"""In order; the n-th leads to version n + 1, so the newest version follows from their number."""


class Migrated(msgspec.Struct, frozen=True):
    """What became of a text: its version, what it says in the newest one, and what was done on the way."""

    version: int
    text: str
    done: tuple[str, ...] = ()


def newest_version(migrations: Sequence[Migration] = MIGRATIONS) -> int:
    """Return the version that this program writes."""
    return FIRST_VERSION + len(migrations)


def migrated(text: str, version: int, migrations: Sequence[Migration] = MIGRATIONS) -> Migrated:
    """Return the text of a file of `version` as the newest version has it.

    Raises:
        ConfigError: a step cannot be made with this text.
    """
    done: list[str] = []
    for number, migration in enumerate(migrations[version - FIRST_VERSION :], start=version + 1):
        try:
            text = with_value(migration.rewrite(text), ("version",), str(number))
        except ConfigError as error:
            raise ConfigError(
                f"The settings of version {number - 1} cannot be brought to version {number}"
                f" ({migration.what}): {error.message}",
                hint="change that by hand, write the new version, and try again.",
            ) from error
        done.append(migration.what)
    return Migrated(version, text, tuple(done))


def version_of(
    root: Node | None, path: Path, problems: Problems, migrations: Sequence[Migration] = MIGRATIONS
) -> int | None:
    """Return a file's version; `None` where it is none, or newer than this program, which is noted."""
    newest = newest_version(migrations)
    if not isinstance(root, Table) or "version" not in root.entries:
        return FIRST_VERSION
    line, node = root.entries["version"]
    if not isinstance(node, Scalar) or node.empty:
        problems.error(line, "version", f"must be a version; write {newest}.")
        return None
    number = int(node.text) if node.text.isdecimal() and node.text.isascii() and len(node.text) < 10 else 0
    if FIRST_VERSION <= number <= newest:
        return number
    if number > newest:
        problems.error(node.line, "version", _newer(node.text, path, newest))
    else:
        problems.error(node.line, "version", f"{quoted(node.text)} is not a version; write {newest}.")
    return None


def _newer(version: str, path: Path, newest: int) -> str:
    told = f"{quoted(version)} was written for a newer Farthing, and this one reads up to {newest}; update it"
    kept = path.resolve().with_name(f"{path.name}.version-{newest}.bak")
    if kept.exists():
        return f"{told}, or put back the file as it was before: {kept}."
    return f"{told}, or write {newest} and take out what is said to be no setting then."
