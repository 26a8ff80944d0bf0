"""The requests that are measured: a short chat, the same streamed, and what a coding agent sends."""

import argparse
import inspect
import json
import shutil
import statistics

SMALL = json.dumps(
    {
        "model": "gpt-5-mini",
        "messages": [{"role": "system", "content": "You are terse."}, {"role": "user", "content": "word " * 156}],
        "temperature": 0.2,
        "max_completion_tokens": 256,
    },
    separators=(",", ":"),
).encode()
"""Without spaces between members, as the SDKs write it."""


def agent_body(size: int, first: str = "", last: str = "") -> bytes:
    """Return a coding agent's request of about `size` bytes: tools, a question, and files it has read, as real code.

    `first` and `last` are said before and after what is the same in all of them.
    """
    tools = [
        {
            "type": "function",
            "function": {
                "name": name,
                "description": str(getattr(shutil, name).__doc__),
                "parameters": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
            },
        }
        for name in ("copy", "copytree", "move", "rmtree", "which", "make_archive", "unpack_archive", "disk_usage")
    ]
    files = [inspect.getsource(module) for module in (argparse, shutil, statistics, json)]
    code = "\n".join(files)[: size - 12_000]
    reads = [code[at : at + 6_000] for at in range(0, len(code), 6_000)]
    messages: list[dict[str, str]] = [{"role": "system", "content": first + "You are a careful engineer. " * 40}]
    for number, text in enumerate(reads):
        messages.append({"role": "assistant", "content": f"I read file {number}."})
        messages.append({"role": "user", "content": text})
    messages[-1]["content"] += last
    body: dict[str, object] = {"model": "gpt-5-mini", "messages": messages, "tools": tools, "metadata": {"pad": ""}}
    body["metadata"] = {"pad": "x" * max(0, size - len(json.dumps(body)))}
    return json.dumps(body).encode()


LARGE = agent_body(112 * 1024)
_SAID = [f"{number}: " + f"What of line {number}? " * 40 for number in range(64)]
TURNS = tuple(agent_body(112 * 1024, last=said) for said in _SAID)
"""An agent's requests within one conversation: the last message is another each time, as the next ones would be."""
BEGINNINGS = tuple(agent_body(112 * 1024, first=said) for said in _SAID)
"""Requests of which each begins another conversation, so that nothing is known of any."""
STREAMED = SMALL[:-1] + b', "stream": true, "stream_options": {"include_usage": true}}'
