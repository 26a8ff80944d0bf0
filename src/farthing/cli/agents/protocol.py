"""What a file in this folder says of an agent: how to start it on the gateway, and what to write into its settings.

Agents are pure: they compute variables, arguments and edits from what they are asked, and touch nothing.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import msgspec


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent is to be wired to, and where it stands.

    `environment` is the user's without any provider's credentials; `folder` is private, and made only for an agent that
    wants files in it.
    """

    url: str
    key: str
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str]
    user_home: Path
    here: Path
    folder: Path
    model: str | None = None
    models: tuple[str, ...] = ()
    """What the gateway lists, for agents that want to be told what there is."""

    @property
    def url_with_key(self) -> str:
        """The address for a client that cannot send a header."""
        return f"{self.url}/k/{self.key}"


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """How an agent is started: `files` and `links` are made in the private folder, by names below it."""

    arguments: tuple[str, ...]
    variables: dict[str, str]
    files: dict[str, bytes] = {}
    links: dict[str, Path] = {}


class JsonEdit(msgspec.Struct, frozen=True):
    """Members that a JSON file (comments allowed) is to have, by their path; all else in it stays as it is."""

    path: Path
    members: dict[tuple[str, ...], Any]


class LineEdit(msgspec.Struct, frozen=True):
    """Lines that a file of lines (TOML, YAML, `.env`) is to have at its top and at its end.

    `overrules` matches the lines that say otherwise; they become comments. In TOML only those above the first table.
    """

    path: Path
    format: str
    overrules: str
    top: tuple[str, ...] = ()
    end: tuple[str, ...] = ()


Edit = JsonEdit | LineEdit


class Agent(Protocol):
    """One agent. `program` is what its command is called."""

    @property
    def name(self) -> str:
        """How it is called in the ledger and in our commands."""
        ...

    @property
    def program(self) -> str:
        """How its command is called."""
        ...

    @property
    def lists_models(self) -> bool:
        """Whether it must be told which models there are."""
        ...

    def start(self, asked: Asked) -> Start:
        """Return how it is started on the gateway.

        Raises:
            ConfigError: something of the user's stands in the way.
        """
        ...

    def edits(self, asked: Asked) -> tuple[Edit, ...]:
        """Return what its own settings must say."""
        ...
