"""Claude Code: two variables, unless its own settings say otherwise.

`env` in its settings files wins over the environment it is started with (2.1.197), so where one of them names a
variable of ours, a settings file of our own goes along, which wins over all of the user's. The key is in a file then
and not among the arguments, which every account of the machine can read.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from farthing.cli.agents.protocol import Asked, Edit, JsonEdit, Start
from farthing.errors import ConfigError

_MODEL_VARIABLES = (
    "ANTHROPIC_MODEL",
    "ANTHROPIC_SMALL_FAST_MODEL",
    "ANTHROPIC_DEFAULT_HAIKU_MODEL",
    "ANTHROPIC_DEFAULT_SONNET_MODEL",
    "ANTHROPIC_DEFAULT_OPUS_MODEL",
    "CLAUDE_CODE_SUBAGENT_MODEL",
)
"""Each role's model: whoever names one wants no other provider's name asked for beside it."""

_CREDENTIALS = ("ANTHROPIC_API_KEY", "CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX", "CLAUDE_CODE_USE_FOUNDRY")
"""What would lead past us if its settings set it."""

_MOST_BYTES = 1 << 20
"""Settings have a few kilobytes; what is larger is not read, and then held to say nothing."""


class ClaudeCode:
    """See `Agent`."""

    name = "claude"
    program = "claude"
    lists_models = False

    def start(self, asked: Asked) -> Start:
        """See `Agent.start`."""
        variables = _variables(asked)
        named = {name for path in _settings_files(asked) for name in _environment_of(path)}
        if named.isdisjoint({*variables, *_CREDENTIALS}):
            return Start(arguments=asked.arguments, variables=variables)
        if "--settings" in asked.arguments:
            raise ConfigError(
                f"Claude Code's own settings set {', '.join(sorted(named & {*variables, *_CREDENTIALS}))}, and your"
                " --settings leaves no room for ours.",
                hint="leave --settings out, or take those variables out of its settings.",
            )
        overruled = {"env": {**dict.fromkeys(sorted(named.intersection(_CREDENTIALS)), ""), **variables}}
        return Start(
            arguments=("--settings", str(asked.folder / "settings.json"), *asked.arguments),
            variables=variables,
            files={"settings.json": msgspec.json.encode(overruled)},
        )

    def edits(self, asked: Asked) -> tuple[Edit, ...]:
        """See `Agent.edits`."""
        members: dict[tuple[str, ...], Any] = {("env", name): value for name, value in _variables(asked).items()}
        return (JsonEdit(_folder(asked) / "settings.json", members),)


def _variables(asked: Asked) -> dict[str, str]:
    models = {} if asked.model is None else dict.fromkeys(_MODEL_VARIABLES, asked.model)
    return {"ANTHROPIC_BASE_URL": asked.url, "ANTHROPIC_AUTH_TOKEN": asked.key, **models}


def _folder(asked: Asked) -> Path:
    told = asked.environment.get("CLAUDE_CONFIG_DIR")
    return Path(told) if told else asked.user_home / ".claude"


def _settings_files(asked: Asked) -> Iterator[Path]:
    yield _folder(asked) / "settings.json"
    for folder in (asked.here, *asked.here.parents):
        yield folder / ".claude" / "settings.json"
        yield folder / ".claude" / "settings.local.json"


def _environment_of(path: Path) -> Mapping[str, Any]:
    try:
        with path.open("rb") as file:
            found = msgspec.json.decode(file.read(_MOST_BYTES))
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    environment = found.get("env") if isinstance(found, dict) else None
    return environment if isinstance(environment, dict) else {}


AGENT = ClaudeCode()
