"""Tools and their choice in a response's request: flat functions, tools of text, namespaces, and the provider's own.

What surprised us: a function that does not say is held to its schema strictly where the schema allows it, and then all
its members are required; so whoever wrote a tool for another format gets `strict: false`. The same declarations are
shown again in every answer.
"""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from farthing.types.chat import ServerTool, Tool, ToolChoice
from farthing.wire.translators.reading import (
    as_json,
    flag_at,
    needed_text,
    object_at,
    objects_at,
    refuse,
    text_at,
)

WIRE: Final = "openai_responses"
_MODES = ("auto", "none", "required")


class Tools(msgspec.Struct, frozen=True):
    """The tools of a request: those that the client runs, and those that the provider does."""

    own: tuple[Tool, ...]
    of_server: tuple[ServerTool, ...]


def read_tools(members: dict[str, Any]) -> Tools:
    """Read `tools`.

    When a function is loaded and who may call it (`defer_loading`, `allowed_callers`) is left out: elsewhere every tool
    is there from the beginning, for the model alone.
    """
    own: list[Tool] = []
    of_server: list[ServerTool] = []
    for at, tool in enumerate(objects_at(members, "tools")):
        path = f"tools[{at}]"
        kind = needed_text(tool, "type", path)
        if kind == "namespace":
            own.extend(_namespace(tool, path))
        elif kind in ("function", "custom"):
            own.append(_tool(tool, path))
        else:
            of_server.append(ServerTool(WIRE, kind, as_json(tool)))
    return Tools(tuple(own), tuple(of_server))


def _namespace(tool: dict[str, Any], path: str) -> Iterable[Tool]:
    name = needed_text(tool, "name", path)
    description = text_at(tool, "description", path)
    for at, inner in enumerate(objects_at(tool, "tools", path)):
        inner_path = f"{path}.tools[{at}]"
        if inner.get("type") not in ("function", "custom"):
            refuse(f"{inner_path}.type", inner.get("type"), 'one of "function", "custom"')
        yield _tool(inner, inner_path, name, description)


def _tool(tool: dict[str, Any], path: str, namespace: str | None = None, described: str | None = None) -> Tool:
    if "name" not in tool and isinstance(tool.get("function"), dict):  # as a chat completion has it
        refuse(f"{path}.function", tool["function"], "name, description and parameters in the tool itself")
    name = needed_text(tool, "name", path)
    description = text_at(tool, "description", path)
    if tool["type"] == "custom":
        shape = object_at(tool, "format", path)
        grammar = None
        if shape is not None and needed_text(shape, "type", f"{path}.format") != "text":
            grammar = as_json({member: value for member, value in shape.items() if member != "type"})
        return Tool(
            name,
            description,
            custom=True,
            grammar=grammar,
            namespace=namespace,
            namespace_description=described,
        )
    parameters = object_at(tool, "parameters", path)
    return Tool(
        name,
        description,
        None if parameters is None else as_json(parameters),
        flag_at(tool, "strict", path) or None,
        namespace=namespace,
        namespace_description=described,
    )


def read_choice(members: dict[str, Any]) -> ToolChoice | None:
    """Read `tool_choice`; `None` where there is none, or one of the provider's own tools (see `is_foreign`)."""
    choice = members.get("tool_choice")
    if choice is None or is_foreign(choice):
        return None
    if isinstance(choice, str) and choice in _MODES:
        return ToolChoice(choice)  # type: ignore[arg-type] # one of the modes
    if not isinstance(choice, dict):
        refuse("tool_choice", choice, 'one of "auto", "none", "required", or an object')
    if choice.get("type") != "allowed_tools":
        return ToolChoice("required", (needed_text(choice, "name", "tool_choice"),))
    mode = choice.get("mode", "auto")
    if mode not in ("auto", "required"):
        refuse("tool_choice.mode", mode, 'one of "auto", "required"')
    tools = objects_at(choice, "tools", "tool_choice")
    return ToolChoice(
        mode, tuple(needed_text(tool, "name", f"tool_choice.tools[{at}]") for at, tool in enumerate(tools))
    )


def is_foreign(choice: object) -> bool:
    """Return whether a choice names a tool that the provider runs: only this format knows that."""
    if not isinstance(choice, dict):
        return False
    if choice.get("type") == "allowed_tools":
        tools = choice.get("tools")
        return isinstance(tools, list) and any(_is_of_server(tool) for tool in tools)
    return _is_of_server(choice)


def _is_of_server(tool: object) -> bool:
    if not isinstance(tool, dict):
        return False
    kind = tool.get("type")
    return isinstance(kind, str) and kind not in ("function", "custom")


def write_tools(tools: tuple[Tool, ...], of_server: tuple[ServerTool, ...] = ()) -> list[Any]:
    """Return `tools`; neighbours of one namespace stand in it together."""
    written: list[Any] = []
    open_name: str | None = None
    for tool in tools:
        if tool.namespace is None:
            written.append(_written(tool))
        elif tool.namespace == open_name:
            written[-1]["tools"].append(_written(tool))
        else:
            described = tool.namespace_description or ""
            space = {"type": "namespace", "name": tool.namespace, "description": described, "tools": [_written(tool)]}
            written.append(space)
        open_name = tool.namespace
    written.extend(msgspec.Raw(tool.raw) for tool in of_server if tool.origin == WIRE)
    return written


def _written(tool: Tool) -> dict[str, Any]:
    if tool.custom:
        custom: dict[str, Any] = {"type": "custom", "name": tool.name}
        if tool.description is not None:
            custom["description"] = tool.description
        if tool.grammar is not None:
            custom["format"] = {"type": "grammar", **_members(tool.grammar)}
        return custom
    parameters = None if tool.parameters is None else msgspec.Raw(tool.parameters)
    function: dict[str, Any] = {"type": "function", "name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    return {**function, "parameters": parameters, "strict": tool.strict is True}


def _members(grammar: bytes) -> dict[str, Any]:
    members = msgspec.json.decode(grammar)
    return members if isinstance(members, dict) else {}


def write_choice(choice: ToolChoice, tools: tuple[Tool, ...]) -> Any:
    """Return `tool_choice`."""
    if not choice.named or choice.mode == "none":
        return choice.mode
    customs = {tool.name for tool in tools if tool.custom}
    named = [{"type": "custom" if name in customs else "function", "name": name} for name in choice.named]
    if choice.mode == "required" and len(named) == 1:
        return named[0]
    return {"type": "allowed_tools", "mode": choice.mode, "tools": named}
