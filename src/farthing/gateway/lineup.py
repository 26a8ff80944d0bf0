"""Whom calls can go to now, and by which rules: one object, so that a reload replaces all of it at once.

A call takes the line-up once, when its model is resolved, and ends with what it took; so a call in flight never sees
half of the old settings and half of the new ones, and nothing is locked.
"""

from collections.abc import Mapping

import msgspec

from farthing.catalog.catalog import Catalog
from farthing.config.schema import RouterSettings, TranslationSettings
from farthing.gateway.accounts import Accounts
from farthing.gateway.attempts import Attempts
from farthing.gateway.live_models import LiveModels
from farthing.providers.pool import Pool
from farthing.providers.protocol import Provider
from farthing.types.models import ModelRef
from farthing.types.providers import WireFormat


class Lineup(msgspec.Struct, frozen=True, kw_only=True):
    """What the settings decide about calls; `attempts` prices them, `live_models` teaches the catalogue."""

    catalog: Catalog
    providers: Mapping[str, Provider]
    """Each as it is called with the first of its credentials that is there."""
    accounts: Mapping[str, Accounts]
    """All of its credentials; a call is made with one of them."""
    pools: Mapping[str, Pool]
    live_models: LiveModels
    attempts: Attempts
    refuse_unpriced: bool
    translation: TranslationSettings
    max_body_bytes: int
    routers: Mapping[str, RouterSettings] = msgspec.field(default_factory=dict)
    lacking: set[tuple[ModelRef, WireFormat]] = msgspec.field(default_factory=set)
    """Models that turned out not to be had in a format which was guessed of their provider. Not the whole provider: a
    server in front of others may have that format for some models only, and a 404 may mean anything."""
