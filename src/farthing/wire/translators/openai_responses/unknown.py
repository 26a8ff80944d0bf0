"""Members inside of items, their parts and tools that are not read, so that they are named where they are lost.

They are named by their place without its number: the same member of a hundred items is one loss.
"""

from collections.abc import Mapping
from typing import Any

from farthing.wire.translators.reading import as_json

_SAYING_NOTHING = frozenset(["id", "type", "status", "phase", "caller", "role"])
"""What says nothing to another provider: ids and states, who called a call."""
_OF_ITEMS: Mapping[str, frozenset[str]] = {
    "message": frozenset(["content"]),
    "function_call": frozenset(["call_id", "name", "arguments", "namespace"]),
    "custom_tool_call": frozenset(["call_id", "name", "input", "namespace"]),
    "function_call_output": frozenset(["call_id", "name", "output"]),
    "custom_tool_call_output": frozenset(["call_id", "name", "output"]),
    "reasoning": frozenset(["summary", "content", "encrypted_content", "format", "signature"]),
}
_OF_PARTS: Mapping[str, frozenset[str]] = {
    "input_text": frozenset(["text", "prompt_cache_breakpoint"]),
    "output_text": frozenset(["text", "annotations", "logprobs", "prompt_cache_breakpoint"]),
    "text": frozenset(["text", "annotations", "prompt_cache_breakpoint"]),
    "refusal": frozenset(["refusal"]),
    "input_image": frozenset(["image_url", "file_id", "detail", "prompt_cache_breakpoint"]),
    "input_file": frozenset(["file_data", "file_url", "file_id", "filename", "detail", "prompt_cache_breakpoint"]),
    "input_audio": frozenset(["input_audio"]),
}
_OF_TOOLS: Mapping[str, frozenset[str]] = {
    "function": frozenset(["name", "description", "parameters", "strict", "defer_loading", "allowed_callers"]),
    "custom": frozenset(["name", "description", "format", "defer_loading", "allowed_callers"]),
    "namespace": frozenset(["name", "description", "tools"]),
}
"""With when a tool is loaded and who may call it: elsewhere each is there from the beginning, for the model alone."""


def note_unknown(members: dict[str, Any], extra: dict[str, bytes]) -> None:
    """Add to `extra` what nobody reads of a request's items, their parts and its tools."""
    given = members.get("input")
    for item in given if isinstance(given, list) else ():
        if not isinstance(item, dict):
            continue
        kind = item.get("type", "message")
        known = _OF_ITEMS.get(kind) if isinstance(kind, str) else None
        if known is None:
            continue  # a part that only this format knows, as a whole
        _note(item, known, "input[]", extra)
        for name in ("content", "output"):
            parts = item.get(name)
            for part in parts if isinstance(parts, list) and kind != "reasoning" else ():
                _note_part(part, f"input[].{name}[]", extra)
    _note_tools(members.get("tools"), "tools[]", extra)


def _note_part(part: object, path: str, extra: dict[str, bytes]) -> None:
    kind = part.get("type") if isinstance(part, dict) else None
    if isinstance(part, dict) and isinstance(kind, str) and kind in _OF_PARTS:
        _note(part, _OF_PARTS[kind], path, extra)


def _note_tools(tools: object, path: str, extra: dict[str, bytes]) -> None:
    for tool in tools if isinstance(tools, list) else ():
        kind = tool.get("type") if isinstance(tool, dict) else None
        if isinstance(tool, dict) and isinstance(kind, str) and kind in _OF_TOOLS:
            _note(tool, _OF_TOOLS[kind], path, extra)
            if kind == "namespace":
                _note_tools(tool.get("tools"), f"{path}.tools[]", extra)


def _note(found: dict[str, Any], known: frozenset[str], path: str, extra: dict[str, bytes]) -> None:
    for name in found.keys() - known - _SAYING_NOTHING:
        if found[name] is not None and f"{path}.{name}" not in extra:
            extra[f"{path}.{name}"] = as_json(found[name])
