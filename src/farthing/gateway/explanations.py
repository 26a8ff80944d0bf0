"""Why a call went where it went, kept with its tries and told to the client that asks with `x-farthing-explain`."""

from collections.abc import Sequence

from farthing.types.models import ModelRef
from farthing.types.principal import KeyRules
from farthing.types.providers import WireFormat

WHY = b"x-farthing-explain"
"""The header, of any value, by which a client asks."""
_MOST_WORDS = 160
"""Of one reason; with 32 models, the most that a router has, their header stays below 8 KB."""
_MOST_ASKED = 60
"""Of a name that the client made up."""


def by_binding(asked: str, rules: KeyRules | None, ref: ModelRef | None = None) -> tuple[str, ...]:
    """Tell that the key decided, where it is bound to another name than was asked for.

    `ref` is the model of that name; a router's choice has reasons of its own.
    """
    bound = None if rules is None else rules.bound_model
    if bound is None or asked == bound:
        return ()
    means = "" if ref is None or str(ref) == bound else f", which means '{ref}'"
    return (one_reason(f"'{asked[:_MOST_ASKED]}' was asked for, and the key is bound to '{bound}'{means}"),)


def one_reason(words: str) -> str:
    """Return a reason as a line by itself, of no more letters than it may have."""
    return "".join(letter if letter.isprintable() else "?" for letter in words[:_MOST_WORDS])


def reasons(asked: str, ref: ModelRef, face: WireFormat, wire: WireFormat, routed: Sequence[str] = ()) -> bytes:
    """Return the header line that tells it; `routed` is what a router or the key's binding says of the choice."""
    told = [*routed] or [f"'{asked}' means '{ref}'"]
    told.append(
        f"passed through as {face}"
        if face == wire
        else f"translated from {face} to {wire}, because the provider does not speak {face}"
    )
    return b"x-farthing-reasons: " + "; ".join(told).encode("ascii", "replace")
