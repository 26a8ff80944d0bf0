"""A fake model that does a coding agent's smallest task: it writes a file with the agent's own tool, then says so.

It finds the tool by its schema and not by its name, because every agent calls it otherwise, and translation may change
the name: one that takes a path and a content writes; else one that takes a command runs it. An agent without tools, as
aider is, gets the file in its own edit format. Whatever agents ask beside the task (a title, a topic) gets some words.
"""

import shlex
from collections.abc import Callable
from typing import Any

import msgspec

from farthing.testing.fakes.script import Reply, ToolCall
from farthing.testing.fakes.wire_format import Asked

Player = Callable[[Asked], Reply | None]

_PATHS = ("file_path", "filePath", "path", "target_file")
_CONTENTS = ("content", "contents", "text")
_COMMANDS = ("cmd", "command")
_TASKS = ("prompt", "message")
_NOT_TO_DELEGATE = frozenset({"url", "query", "to", "target", "questions", "id", "cron", "delaySeconds"})
_DELEGATED = b"This is a sub-agent's task"
_EDIT_FORMAT = (b"*file listing*", b"SEARCH/REPLACE")
"""How aider tells a model what to answer with, for whole files and for parts of them."""


def writes_a_file(name: str, content: str, *, folder: str = "") -> Player:
    """Return a model that writes `content` into the file `name`; in `folder`, for tools that want a whole path."""

    def play(asked: Asked) -> Reply | None:
        if asked.wanted.after_tool_result:
            return Reply(text=f"Done: {name} is written.")
        for tool, schema in asked.wanted.tools:
            arguments = _write(schema, f"{folder}/{name}" if folder else name, content)
            if arguments is not None:
                return _call(tool, arguments)
        for tool, schema in asked.wanted.tools:
            arguments = _run(schema, f"printf %s {shlex.quote(content)} > {shlex.quote(name)}")
            if arguments is not None:
                return _call(tool, arguments)
        prompt = b"".join(block.text for block in asked.blocks)
        if any(mark in prompt for mark in _EDIT_FORMAT):
            return Reply(text=f"{name}\n```\n{content}\n```\n")
        return Reply(text="A small task")

    return play


def delegates(then: Player) -> Player:
    """Return a model that lets a sub-agent do the task, where the agent has a tool for that."""

    def play(asked: Asked) -> Reply | None:
        if not asked.wanted.after_tool_result and not any(_DELEGATED in block.text for block in asked.blocks):
            for tool, schema in asked.wanted.tools:
                properties = _properties(schema)
                at = next((name for name in _TASKS if name in properties), None)
                if at is not None and not _NOT_TO_DELEGATE.intersection(properties):
                    task = f"{_DELEGATED.decode()}: write the file."
                    return _call(tool, {at: task, **_demanded(schema, {at})})
        return then(asked)

    return play


def _call(tool: str, arguments: dict[str, Any]) -> Reply:
    return Reply(text="", tools=(ToolCall(tool, msgspec.json.encode(arguments).decode()),))


def _write(schema: Any, path: str, content: str) -> dict[str, Any] | None:
    properties = _properties(schema)
    at = next((name for name in _PATHS if name in properties), None)
    holds = next((name for name in _CONTENTS if name in properties), None)
    if at is None or holds is None:
        return None
    return {at: path, holds: content, **_demanded(schema, {at, holds})}


def _run(schema: Any, command: str) -> dict[str, Any] | None:
    properties = _properties(schema)
    at = next((name for name in _COMMANDS if name in properties), None)
    if at is None:
        return None
    is_list = isinstance(properties[at], dict) and properties[at].get("type") == "array"
    return {at: ["bash", "-c", command] if is_list else command, **_demanded(schema, {at})}


def _demanded(schema: Any, given: set[str]) -> dict[str, Any]:
    """Fill in what else the tool demands, in words where it wants text."""
    properties = _properties(schema)
    required = schema.get("required")
    return {
        name: "the task" if (properties.get(name) or {}).get("type") == "string" else 1
        for name in (required if isinstance(required, list) else ())
        if name not in given
    }


def _properties(schema: Any) -> dict[str, Any]:
    properties = schema.get("properties") if isinstance(schema, dict) else None
    return properties if isinstance(properties, dict) else {}
