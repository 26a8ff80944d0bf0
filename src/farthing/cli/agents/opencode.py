"""opencode: its whole settings fit into one variable, which wins over its files and is merged with them.

It shows only models that it is told of, so it is told what the gateway lists. Providers that the user signed in to stay
out of sight: opencode would call those past us.
"""

from pathlib import Path
from typing import Any

import msgspec

from farthing.cli.agents.protocol import Asked, Edit, JsonEdit, Start
from farthing.cli.json_text import read_json

_KEY = "FARTHING_KEY"
_CONTENT = "OPENCODE_CONFIG_CONTENT"


class OpenCode:
    """See `Agent`."""

    name = "opencode"
    program = "opencode"
    lists_models = True

    def start(self, asked: Asked) -> Start:
        """See `Agent.start`."""
        found = read_json(asked.environment.get(_CONTENT, ""))
        settings: dict[str, Any] = found if isinstance(found, dict) else {}
        providers = settings.get("provider")
        others = providers if isinstance(providers, dict) else {}
        settings["provider"] = {**others, "farthing": _provider(asked, "{env:" + _KEY + "}")}
        settings["enabled_providers"] = ["farthing"]
        if asked.model is not None:
            settings |= _models(asked.model)
        content = msgspec.json.encode(settings).decode()
        return Start(arguments=asked.arguments, variables={_CONTENT: content, _KEY: asked.key})

    def edits(self, asked: Asked) -> tuple[Edit, ...]:
        """See `Agent.edits`."""
        told = asked.environment.get("XDG_CONFIG_HOME", "")
        folder = (Path(told) if told.startswith("/") else asked.user_home / ".config") / "opencode"
        with_comments = folder / "opencode.jsonc"
        members: dict[tuple[str, ...], Any] = {("provider", "farthing"): _provider(asked, asked.key)}
        if asked.model is not None:
            members |= {(name,): value for name, value in _models(asked.model).items()}
        return (JsonEdit(with_comments if with_comments.exists() else folder / "opencode.json", members),)


def _provider(asked: Asked, key: str) -> dict[str, Any]:
    names = dict.fromkeys([*([] if asked.model is None else [asked.model]), *asked.models])
    return {
        "npm": "@ai-sdk/openai-compatible",
        "name": "Farthing",
        "options": {"baseURL": f"{asked.url}/v1", "apiKey": key},
        "models": {name: {} for name in names},
    }


def _models(model: str) -> dict[str, str]:
    """Titles of sessions are written by a small model; whoever names one model wants no other's name asked for."""
    return dict.fromkeys(("model", "small_model"), f"farthing/{model}")


AGENT = OpenCode()
