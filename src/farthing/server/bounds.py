"""What the settings say of the server as the bounds that a listener holds to; a reload makes them anew."""

import msgspec

from farthing.config.schema import ServerSettings
from farthing.server.listener import Bounds


def bounds_of(server: ServerSettings) -> Bounds:
    """Return the bounds; fields have the settings' names, but for megabytes that are bytes here."""
    return msgspec.convert({name: _value_of(server, name) for name in Bounds.__struct_fields__}, Bounds)


def _value_of(server: ServerSettings, name: str) -> object:
    in_mb = name.removesuffix("bytes") + "mb"
    return getattr(server, in_mb) << 20 if hasattr(server, in_mb) else getattr(server, name)
