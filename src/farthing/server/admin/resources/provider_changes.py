"""Providers that are added through the admin API. Their keys are in the vault, and come no other way.

The environment and files of the machine are the operator's: whoever has a token of the admin's cannot have what stands
there sent to an address of their choice.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from farthing.errors import Problem, WrongFields
from farthing.providers.registry import known_providers
from farthing.server.admin.ask import Ask
from farthing.server.admin.resources.prices import ProviderShown, providers_shown
from farthing.server.admin.resources.stored import forget, keep, tried
from farthing.server.admin.routes import ADMIN, Answer, Nothing, Route
from farthing.server.admin.shown import Text
from farthing.types.secret import Secret

Address = Annotated[str, Meta(min_length=1, max_length=2_000)]
Span = Annotated[float, Meta(gt=0, le=86_400)]


class NewTimeouts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How long it may take, in seconds."""

    connect_s: Span | None = None
    first_byte_s: Span | None = None
    idle_s: Span | None = None
    total_s: Span | None = None


class NewProvider(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A provider as it should be; what is left out is as it is for its kind, which without one is its name.

    `key` is sealed in the vault, under the provider's name, in the place of the one that was given so before; it is
    never shown again. `credential` is `vault` (all that the vault has for it), `vault:NAME` of those, or `none`.
    """

    kind: Text | None = None
    base_url: Address | None = None
    credential: Annotated[str, Meta(pattern=r"^(none|vault(:[A-Za-z0-9][A-Za-z0-9._-]{0,63})?)$")] | None = None
    key: Annotated[str, Meta(min_length=8, max_length=16_384)] | None = None
    free: bool | None = None
    max_connections: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    stream_usage: Literal["ask", "always"] | None = None
    hold_s: Annotated[float, Meta(ge=0, le=600)] | None = None
    api_version: Text | None = None
    timeouts: NewTimeouts | None = None


async def put(ask: Ask[NewProvider, Nothing]) -> Answer:
    """Add a provider, or have one that was added so be another."""
    name, wanted = ask.params["name"], ask.body
    made = await tried(ask, f"providers.{name}", _value(name, wanted))
    if wanted.key is not None:
        await _seal(ask, name, Secret(wanted.key))
    await keep(ask, made)
    return Answer(next(one for one in await providers_shown(ask.house) if one.name == name))


async def remove(ask: Ask[Nothing, Nothing]) -> Answer:
    """Remove a provider that was added so; its keys stay in the vault."""
    name = ask.params["name"]
    await forget(ask, f"providers.{name}", "provider", name)
    return Answer(None, 204)


def _value(name: str, wanted: NewProvider) -> dict[str, Any]:
    if wanted.key is not None and wanted.credential == "none":
        raise WrongFields([Problem("credential", "A key is given as well.", "none", "leave one of the two out")])
    value = {field: found for field, found in msgspec.to_builtins(wanted).items() if field != "key"}
    if wanted.credential is None:  # never left to the rules of the file, which look into the environment
        kind = known_providers().get(wanted.kind or name)
        needs_one = wanted.key is not None or (kind is not None and kind.credential_env is not None)
        value["credential"] = "vault" if needs_one else "none"
    return value


async def _seal(ask: Ask[Any, Any], name: str, secret: Secret) -> None:
    """Put a key into the vault: in the place of the one that has the provider's own name, or as that."""
    farthing = ask.house.farthing
    held = {record.name: record for record in await farthing.vault.records()}
    if name in held and held[name].provider == name:
        await farthing.vault.rotate(name, secret)
    else:
        await farthing.vault.add(name, secret, name=name)
    await farthing.look_into_vault()


ROUTES = (
    Route(
        method="PUT",
        path="/providers/{name}",
        name="providers.put",
        about="Add a provider, or have one that was added so be another.",
        roles=ADMIN,
        handler=put,
        takes=NewProvider,
        gives=ProviderShown,
        refusals=(404, 409),
    ),
    Route(
        method="DELETE",
        path="/providers/{name}",
        name="providers.remove",
        about="Remove a provider that was added so; its keys stay in the vault.",
        roles=ADMIN,
        handler=remove,
        gives=None,
        status=204,
        refusals=(404, 409),
    ),
)
