"""Find providers by looking at which files lie here.

A file that declares `KNOWN` and `create` is a provider; placing one is all it takes. The files are data and a few
lines each, so all are imported to learn the names; what they build is built only for a configured provider.
"""

import pkgutil
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import cast

import farthing.providers as room
from farthing.config.schema import ProviderSettings
from farthing.providers.protocol import Credential, Provider
from farthing.types.providers import KnownProvider

_NOT_PROVIDERS = {"protocol", "registry", "error_mapping", "rate_limits", "pool"}


def known_providers() -> dict[str, KnownProvider]:
    """Return every kind of provider by its name."""
    return {kind: known for kind, (known, _) in _by_kind().items()}


def create_provider(settings: ProviderSettings, credential: Credential) -> Provider:
    """Build a configured provider; its kind was checked when the settings were read."""
    known, module = _by_kind()[settings.kind]
    return cast("Provider", module.create(settings, known, credential))


@cache
def _by_kind() -> dict[str, tuple[KnownProvider, ModuleType]]:
    found: dict[str, tuple[KnownProvider, ModuleType]] = {}
    for entry in pkgutil.iter_modules(room.__path__):
        if entry.name in _NOT_PROVIDERS:
            continue
        module = import_module(f"{room.__name__}.{entry.name}")
        for known in module.KNOWN:
            assert known.kind not in found, f"two files declare the provider {known.kind}"
            found[known.kind] = (known, module)
    return found
