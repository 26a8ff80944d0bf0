"""Whether the tools of a request are the client's own: functions that it runs itself, at another call's cost.

A provider's own tools (searches, code, other servers) have the model read what they find, round after round within one
call. Words alone do not tell them apart, because agents have functions called `search_files`. What can be read in two
ways is taken for the provider's: it is the dearer.
"""

import json
from functools import lru_cache
from typing import Any

KEPT_BYTES = 262_144
"""Tools up to this size are remembered; an agent's have up to 100 KB, take a millisecond, and seldom change."""
MAX_KEPT = 32
"""Sets of tools that are remembered, 8 MB at most; a gateway serves fewer agents at a time."""
MAX_READ_BYTES = 524_288
"""Larger ones are not read, and so taken for the provider's: half a MB of `{}` takes 80 ms, in which everybody waits,
and 32 MB took over 4 s and 800 MB of memory (measured 2026-11)."""
_FUNCTIONS = frozenset({"function", "custom"})
_DECLARATIONS = frozenset({"functionDeclarations", "function_declarations"})


def are_the_clients(tools: bytes | None) -> bool:
    """Whether a request's `tools`, as it is written, holds functions of the client and nothing else."""
    if tools is None:
        return True
    if len(tools) > MAX_READ_BYTES:
        return False
    return _remembered(tools) if len(tools) <= KEPT_BYTES else _are_functions(tools)


@lru_cache(maxsize=MAX_KEPT)
def _remembered(tools: bytes) -> bool:
    return _are_functions(tools)


def _are_functions(tools: bytes) -> bool:
    try:
        found = json.loads(tools, object_pairs_hook=_each_once)
    except (ValueError, RecursionError):  # of these is what is no UTF-8, too
        return False
    return isinstance(found, list) and all(map(_is_function, found))


def _is_function(tool: Any) -> bool:
    """Whether one tool is a function in any format: OpenAI's and Ollama's, Anthropic's, or Gemini's lists of them."""
    if not isinstance(tool, dict) or not tool:
        return False
    if _DECLARATIONS.issuperset(tool):
        return True
    if "type" in tool:
        return isinstance(tool["type"], str) and tool["type"] in _FUNCTIONS
    return "name" in tool and "input_schema" in tool


def _each_once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; refuse one with a member that stands twice, in small letters or large ones."""
    if len({name.lower() for name, _ in members}) < len(members):
        raise ValueError("a member stands twice")
    return dict(members)
