"""What the names of a request's members tell of it, without a look at their values.

A client sends the same members with every call, so what they tell is worked out once for each row of names.
"""

from typing import Final

import msgspec

from farthing.gateway.answer_limits import LIMITS, SEVERAL
from farthing.types.providers import WireFormat
from farthing.wire.peek import Envelope

SEARCHING: Final = frozenset({"web_search_options", "plugins", "search_parameters", "enable_search"})
"""Members that have the provider search; xAI's, Qwen's and OpenRouter's, beside OpenAI's."""
STORED: Final = SEARCHING | {
    *("previous_response_id", "conversation", "cachedContent", "cached_content", "container", "mcp_servers")
}
MAY_SEARCH: Final = SEARCHING | {"tools"}
NOT_AT_A_GLANCE: Final = MAY_SEARCH | STORED | SEVERAL
"""Members for which more than the limit to the answer has to be looked at."""
FURTHER_MODELS: Final = frozenset({"models", "fallbacks", "preset"})
"""Members by which OpenRouter chooses another model than the one that is asked for."""
_WEIGHED = frozenset(
    name.lower()
    for name in (
        *("model", "options", "max_tokens", "max_completion_tokens", "max_output_tokens"),
        *FURTHER_MODELS,
        *NOT_AT_A_GLANCE,
    )
)
"""Members that decide what a call may cost, in small letters: servers in Go (Ollama's) read `Max_Tokens` for
`max_tokens`, and the last of both."""
_MAX_SHAPES = 256
"""Rows of names that are remembered; a client has one or two, and a house a few dozen clients."""
_MAX_NAMES, _MAX_NAME_CHARS = 32, 64
"""No row with more names, or a longer one, is remembered: 2 MB in all, were every character of four bytes."""


class Shape(msgspec.Struct, frozen=True, gc=False):
    """What is known of a request by its members' names and its format."""

    further_models: bool
    """Whether one of `FURTHER_MODELS` is there."""
    otherwise: str | None
    """A member that some servers read as one that decides what the call costs, though it is not written so."""
    at_a_glance: bool
    """Whether none of `NOT_AT_A_GLANCE` is there."""
    limits: tuple[str, ...]
    """The members that limit the answer, of those that its format has."""


_shapes: dict[tuple[WireFormat, tuple[str, ...]], Shape] = {}


def shape_of(envelope: Envelope, wire: WireFormat) -> Shape:
    """Return what the names of a request's members tell."""
    names = tuple(envelope.members)
    try:
        return _shapes[wire, names]
    except KeyError:
        return _new_shape(names, wire)


def _new_shape(names: tuple[str, ...], wire: WireFormat) -> Shape:
    shape = Shape(
        further_models=not FURTHER_MODELS.isdisjoint(names),
        otherwise=next((name for name in names if name != (plain := name.casefold()) and plain in _WEIGHED), None),
        at_a_glance=NOT_AT_A_GLANCE.isdisjoint(names),
        limits=tuple(name for name in LIMITS.get(wire, ()) if name in names),
    )
    if len(names) <= _MAX_NAMES and all(len(name) <= _MAX_NAME_CHARS for name in names):
        if len(_shapes) >= _MAX_SHAPES:
            _shapes.clear()
        _shapes[wire, names] = shape
    return shape
