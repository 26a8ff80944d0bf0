"""A line of the audit log for what a command changes in a home's files: settings.yaml, and the admin's own token.

Of settings the line has those that have changed. The file is mended with these commands too, when the store cannot be
used: then it is said that there is no line, and the edit is made all the same. A home without a store has no audit log
yet.
"""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from farthing.cli.context import say
from farthing.errors import ConfigError, FarthingError, StoreError

if TYPE_CHECKING:
    from farthing.config.paths import Home
    from farthing.types.admin import Change, ChangeOutcome

T = TypeVar("T")

SETTINGS = "settings.yaml"


def written_down(home: "Home", edit: Callable[[], T], *, subject: str = SETTINGS) -> T:
    """Return what an edit returns; it leaves a line in the audit log."""
    from farthing.cli.audit import outcome_of  # noqa: PLC0415  (opens the database; not for --help)

    line = _begun(home, subject)
    if line is None:
        return edit()
    before = _values(home, subject)
    outcome: ChangeOutcome = "failed"
    try:
        found = edit()
        outcome = "done"
    except FarthingError as error:
        outcome = outcome_of(error)
        raise
    finally:
        _end(home, line, outcome, before)
    return found


def _begun(home: "Home", subject: str) -> "Change | None":
    from farthing.cli.audit import begin  # noqa: PLC0415
    from farthing.cli.books import change_store  # noqa: PLC0415
    from farthing.config.storage_place import database_of  # noqa: PLC0415

    try:
        if database_of(home, os.environ) is None and not home.database.exists():
            return None
        return change_store(home, lambda store: begin(store, subject))
    except ConfigError:
        return None  # the edit says what is wrong with the file
    except StoreError as error:
        say(f"warning: this is in no audit log: {error.message}")
        return None


def _end(home: "Home", line: "Change", outcome: "ChangeOutcome", before: dict[str, Any]) -> None:
    import msgspec  # noqa: PLC0415

    from farthing.cli.audit import end  # noqa: PLC0415
    from farthing.cli.books import change_store  # noqa: PLC0415

    after = _values(home, line.subject)
    paths = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    line = msgspec.structs.replace(line, before={path: before[path] for path in sorted(paths & before.keys())})
    told = {path: after[path] for path in sorted(paths & after.keys())}
    try:
        change_store(home, lambda store: end(store, line, outcome, told))
    except FarthingError as error:  # another database, since this edit; the line says that it was begun
        say(f"warning: what came of this is not in the audit log: {error.message}")


def _values(home: "Home", subject: str | None) -> dict[str, Any]:
    """Return every setting of the file and the defaults, without what looks like a secret; of other things nothing."""
    if subject != SETTINGS:
        return {}
    from farthing.cli.context import current_settings  # noqa: PLC0415
    from farthing.config.load import read_tree  # noqa: PLC0415
    from farthing.config.origins import Origins  # noqa: PLC0415
    from farthing.config.problems import Problems  # noqa: PLC0415
    from farthing.monitoring.logs import hidden  # noqa: PLC0415
    from farthing.providers.registry import known_providers  # noqa: PLC0415

    try:
        root = read_tree(home.settings, Problems(str(home.settings)))
        rows = Origins(root, home.settings.name, known_providers(), {}).of(current_settings(home))
        return {row.path: hidden(row.plain) if isinstance(row.plain, str) else row.plain for row in rows}
    except ConfigError:
        return {}
