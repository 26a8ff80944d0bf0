"""What is said to a client whose key is not taken. No message holds what was sent."""

from datetime import UTC, datetime
from typing import Literal, assert_never

import msgspec

from farthing.auth.keys import PREFIX, is_well_formed
from farthing.errors import FarthingError, InvalidKey, KeyDisabled, KeyExpired


class Refused(msgspec.Struct, frozen=True, gc=False):
    """Why a key that is ours does not count, and since when; `session` says that an agent's session had it."""

    why: Literal["disabled", "over", "replaced"]
    at_us: int
    session: bool = False


def refusal(refused: Refused) -> FarthingError:
    """Return the refusal of a key that is ours."""
    when = datetime.fromtimestamp(refused.at_us // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    match refused.why:
        case "disabled":
            return KeyDisabled(
                f"This key is disabled since {when}.", hint='the operator enables it: "farthing keys enable NAME".'
            )
        case "over" if refused.session:
            return KeyExpired("This key was for a time, which is over.", hint='start the agent anew ("farthing run").')
        case "over":
            return KeyExpired(
                f"This key was for a time, which is over since {when}.",
                hint='the operator gives it more: "farthing keys expire NAME --at WHEN".',
            )
        case "replaced":
            return KeyExpired(
                f"This key was replaced by a new one, and was taken beside it until {when}.",
                hint='use the new one; the operator makes another: "farthing keys rotate NAME".',
            )
    assert_never(refused.why)


def unknown(text: str) -> InvalidKey:
    """Return the refusal of what is no key of ours, as far as its form tells what it is."""
    if not text:
        return InvalidKey("No key was sent.", hint='make one with "farthing keys create".')
    if not text.startswith(PREFIX):
        return InvalidKey(
            f"This is not a Farthing key: those begin with {PREFIX!r}.",
            hint='send the client key that Farthing printed, not a provider\'s; "farthing keys create" makes one.',
        )
    if not is_well_formed(text):
        return InvalidKey("This key is incomplete or mistyped: its checksum is wrong.", hint="copy it again, whole.")
    return InvalidKey("This key is unknown or revoked.", hint='make one with "farthing keys create".')
