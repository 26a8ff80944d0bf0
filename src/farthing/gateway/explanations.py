"""Why a call went where it went, told to the client that asks for it with `x-farthing-explain`."""

from collections.abc import Sequence

from farthing.types.models import ModelRef
from farthing.types.providers import WireFormat

WHY = b"x-farthing-explain"
"""The header, of any value, by which a client asks."""


def reasons(asked: str, ref: ModelRef, face: WireFormat, wire: WireFormat, routed: Sequence[str] = ()) -> bytes:
    """Return the header line that tells it; `routed` is what a router says of its choice."""
    told = [*routed] or [f"'{asked}' means '{ref}'"]
    told.append(
        f"passed through as {face}"
        if face == wire
        else f"translated from {face} to {wire}, because the provider does not speak {face}"
    )
    return b"x-farthing-reasons: " + "; ".join(told).encode("ascii", "replace")
