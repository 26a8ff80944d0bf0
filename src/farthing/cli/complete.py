"""What a shell offers for our words: providers, keys, settings and their values, as the home at hand has them.

Whatever cannot be read offers nothing: who presses Tab has asked no question that an error would answer.
"""

import os
from collections.abc import Callable, Iterable
from functools import wraps
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

import click

from farthing.cli.context import HOME_KEY

if TYPE_CHECKING:
    from farthing.config.paths import Home
    from farthing.config.schema import Settings

Complete = Callable[[click.Context, click.Parameter, str], list[str]]


def _offering(names: Callable[[click.Context], Iterable[str]]) -> Complete:
    """Make a completion of what returns names."""

    @wraps(names)
    def complete(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
        from farthing.errors import FarthingError  # noqa: PLC0415  (--help must not pay for it)

        try:
            return [name for name in names(ctx) if name.startswith(incomplete)]
        except (FarthingError, OSError):
            return []

    return complete


@_offering
def provider_names(ctx: click.Context) -> Iterable[str]:
    """Offer the providers that the file names, or that are found by their keys."""
    return _settings(ctx).providers


@_offering
def provider_kinds(_ctx: click.Context) -> Iterable[str]:
    """Offer the kinds of providers that are known."""
    from farthing.providers.registry import known_providers  # noqa: PLC0415  (--help must not pay for it)

    return sorted(known_providers())


@_offering
def credential_names(ctx: click.Context) -> Iterable[str]:
    """Offer the vault's credentials."""
    from farthing.cli.books import with_vault  # noqa: PLC0415  (opens the database; not for --help)

    return [record.name for record in with_vault(_home(ctx), lambda vault: vault.records())]


@_offering
def key_names(ctx: click.Context) -> Iterable[str]:
    """Offer the keys that are not revoked."""
    from farthing.cli.books import read_store  # noqa: PLC0415  (opens the database; not for --help)

    home = _home(ctx)
    if not home.database.exists():
        return []
    return [record.name for record in read_store(home, lambda store: store.keys()) if record.revoked_at_us is None]


@_offering
def agent_names(_ctx: click.Context) -> Iterable[str]:
    """Offer the agents that are known; any other command may stand there too."""
    from farthing.cli.agents import known_agents  # noqa: PLC0415  (--help must not pay for it)

    return known_agents()


@_offering
def setting_paths(ctx: click.Context) -> Iterable[str]:
    """Offer every setting that has a value, and those of the sections that have none."""
    from farthing.config.schema import ServerSettings  # noqa: PLC0415  (--help must not pay for it)

    return dict.fromkeys([*(path for path, _ in _origins(ctx)), *(f"server.{n}" for n in _fields(ServerSettings))])


@_offering
def paths_in_the_file(ctx: click.Context) -> Iterable[str]:
    """Offer what the file says."""
    file = _home(ctx).settings.name
    return [path for path, origin in _origins(ctx) if origin.startswith(f"{file}:")]


@_offering
def setting_values(ctx: click.Context) -> Iterable[str]:
    """Offer what a setting may be, where that is one of a few words."""
    from farthing.config.schema import (  # noqa: PLC0415
        LogSettings,
        ProviderSettings,
        RetentionSettings,
        ServerSettings,
        Settings,
        StorageSettings,
    )

    path = str(ctx.params.get("path") or "")
    section, _, rest = path.partition(".")
    owner = {
        "server": ServerSettings,
        "log": LogSettings,
        "storage": StorageSettings,
        "retention": RetentionSettings,
        "providers": ProviderSettings,
    }.get(section, Settings)
    name = rest.rpartition(".")[2] or section
    if owner is ProviderSettings and name == "kind":
        return provider_kinds(ctx, ctx.command.params[0], "")
    hint: Any = get_type_hints(owner).get(name)
    if hint is bool:
        return ["true", "false"]
    return get_args(hint) if get_origin(hint) is Literal else []


def _fields(struct: Any) -> tuple[str, ...]:
    names: tuple[str, ...] = struct.__struct_fields__
    return names


def _home(ctx: click.Context) -> "Home":
    from farthing.config.paths import find_home  # noqa: PLC0415  (--help must not pay for it)

    return find_home(ctx.meta.get(HOME_KEY), os.environ)


def _settings(ctx: click.Context) -> "Settings":
    from farthing.cli.context import current_settings  # noqa: PLC0415  (--help must not pay for it)

    return current_settings(_home(ctx))


def _origins(ctx: click.Context) -> list[tuple[str, str]]:
    from farthing.config.load import read_tree  # noqa: PLC0415  (--help must not pay for it)
    from farthing.config.origins import Origins  # noqa: PLC0415
    from farthing.config.problems import Problems  # noqa: PLC0415
    from farthing.providers.registry import known_providers  # noqa: PLC0415

    home = _home(ctx)
    root = read_tree(home.settings, Problems(str(home.settings)))
    origins = Origins(root, home.settings.name, known_providers(), {})
    return [(row.path, row.origin) for row in origins.of(_settings(ctx))]
