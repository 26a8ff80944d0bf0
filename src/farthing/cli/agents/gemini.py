"""Gemini CLI: the key and the address in variables, and a home of its own for the one setting that has none.

With `GOOGLE_GEMINI_BASE_URL` set and no way of signing in selected it takes "gateway" for the way, and refuses it as
invalid; and a user who signed in with Google has another way selected. So `security.auth.selectedType` must be set, and
no variable does that. Its system settings would, but count only where root owns them (both 0.61). So it gets a home
that links to all that is in the user's, but for the settings, which are a copy.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from farthing.cli.agents.protocol import Asked, Edit, JsonEdit, LineEdit, Start
from farthing.cli.json_text import read_json

_AUTH = ("security", "auth", "selectedType")
_BY_KEY = "gemini-api-key"
_MOST_BYTES = 1 << 20


class GeminiCli:
    """See `Agent`."""

    name = "gemini"
    program = "gemini"
    lists_models = False

    def start(self, asked: Asked) -> Start:
        """See `Agent.start`."""
        theirs = _folder(asked)
        links = {f".gemini/{entry.name}": entry for entry in _entries(theirs) if entry.name != "settings.json"}
        settings = _with_auth(theirs / "settings.json")
        variables = {**_variables(asked), "GEMINI_CLI_HOME": str(asked.folder)}
        return Start(
            arguments=asked.arguments,
            variables=variables,
            files={".gemini/settings.json": msgspec.json.encode(settings)},
            links=links,
        )

    def edits(self, asked: Asked) -> tuple[Edit, ...]:
        """See `Agent.edits`."""
        folder = _folder(asked)
        variables = _variables(asked)
        lines = tuple(f'{name}="{value}"' for name, value in variables.items())
        names = "|".join(variables)
        return (
            JsonEdit(folder / "settings.json", {_AUTH: _BY_KEY}),
            LineEdit(folder / ".env", "env", rf"(export\s+)?({names})\s*=", end=lines),
        )


def _variables(asked: Asked) -> dict[str, str]:
    model = {} if asked.model is None else {"GEMINI_MODEL": asked.model}
    return {"GEMINI_API_KEY": asked.key, "GOOGLE_GEMINI_BASE_URL": asked.url, **model}


def _folder(asked: Asked) -> Path:
    home = asked.environment.get("GEMINI_CLI_HOME")
    return (Path(home) if home else asked.user_home) / ".gemini"


def _entries(folder: Path) -> Iterator[Path]:
    try:
        yield from sorted(folder.iterdir())
    except OSError:
        return  # it was never used: there is nothing to link to


def _with_auth(path: Path) -> dict[str, Any]:
    """Return the user's settings, signing in by key; of settings that nobody can read nothing is kept."""
    try:
        with path.open("rb") as file:
            found = read_json(file.read(_MOST_BYTES).decode("utf-8", "replace"))
    except OSError:
        found = None
    settings: dict[str, Any] = found if isinstance(found, dict) else {}
    below = settings
    for name in _AUTH[:-1]:
        inner = below.get(name)
        below[name] = below = inner if isinstance(inner, dict) else {}
    below[_AUTH[-1]] = _BY_KEY
    return settings


AGENT = GeminiCli()
