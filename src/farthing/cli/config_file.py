"""What the commands about settings start from: the file, and the settings as a server would use them now."""

import os
from typing import TYPE_CHECKING

import msgspec

from farthing.cli.context import current_settings
from farthing.config.edit import SettingsFile
from farthing.config.local_ollama import Knock
from farthing.providers.registry import known_providers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from farthing.config.paths import Home
    from farthing.config.schema import ProviderSettings, Settings


def settings_file(home: "Home") -> SettingsFile:
    """Return the settings file of a home, to be read or changed."""
    return SettingsFile(home.settings, known=known_providers(), environment=os.environ)


def settings_to_serve(home: "Home", had: "Mapping[str, ProviderSettings] | None" = None) -> "Settings":
    """Return the settings, with what is found on this machine where the file leaves that open. May wait 150 ms.

    What a gateway `had` found before is kept without asking: an Ollama that loads a model may be too busy to answer.

    Raises:
        ConfigError: with a line for each mistake.
    """
    return with_found(current_settings(home), had)


def with_found(settings: "Settings", had: "Mapping[str, ProviderSettings] | None" = None) -> "Settings":
    """Return the settings with what is found on this machine."""
    had = had or {}
    found = {
        name: one for name, one in settings.local.items() if had.get(name) == one or Knock(one.base_url).answered()
    }
    return msgspec.structs.replace(settings, providers={**settings.providers, **found})
