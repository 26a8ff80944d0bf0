"""Codex: a provider of its own in every argument `-c`, the key in a variable that this provider names.

It speaks Responses only. Its built-in provider reads a login before any variable, so that one is not used at all.
"""

from pathlib import Path

from farthing.cli.agents.protocol import Asked, Edit, LineEdit, Start

_KEY = "FARTHING_KEY"


class Codex:
    """See `Agent`."""

    name = "codex"
    program = "codex"
    lists_models = False

    def start(self, asked: Asked) -> Start:
        """See `Agent.start`."""
        told = ['model_provider="farthing"']
        told += [f"model_providers.farthing.{name}={value}" for name, value in _provider(asked.url).items()]
        told += [f'model_providers.farthing.env_key="{_KEY}"']
        told += [] if asked.model is None else [f"model={_quoted(asked.model)}"]
        options = [part for one in told for part in ("-c", one)]
        return Start(arguments=(*options, *asked.arguments), variables={_KEY: asked.key})

    def edits(self, asked: Asked) -> tuple[Edit, ...]:
        """See `Agent.edits`. The key stands in the file as a header: Codex wants a variable else, in every terminal."""
        folder = asked.environment.get("CODEX_HOME")
        place = Path(folder) if folder else asked.user_home / ".codex"
        model = () if asked.model is None else (f"model = {_quoted(asked.model)}",)
        provider = [f"{name} = {value}" for name, value in _provider(asked.url).items()]
        header = f'http_headers = {{ "Authorization" = "Bearer {asked.key}" }}'
        return (
            LineEdit(
                place / "config.toml",
                "toml",
                r"model_provider\s*=" if asked.model is None else r"(model_provider|model)\s*=",
                top=('model_provider = "farthing"', *model),
                end=("[model_providers.farthing]", *provider, header),
            ),
        )


def _provider(url: str) -> dict[str, str]:
    return {"name": '"Farthing"', "base_url": _quoted(f"{url}/v1"), "wire_api": '"responses"'}


def _quoted(text: str) -> str:
    """Return a TOML string; names and addresses hold neither quotes nor backslashes, and if one did it is escaped."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


AGENT = Codex()
