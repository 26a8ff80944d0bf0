"""What stands inside of messages, items, tools and options and nobody reads is named, not dropped."""

import json
from typing import Any

import pytest

from farthing.types.providers import WireFormat
from farthing.wire.translators.registry import translator

CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}", "strange": 1}, "odd": 2}
CHAT: dict[str, Any] = {
    "messages": [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "y"},
    ],
    "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}, "new": 3}, "newer": 4},
    "stream_options": {"include_usage": True, "include_cost": True},
}
RESPONSES: dict[str, Any] = {
    "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "x", "tone": "loud"}], "mood": "good"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}", "id": "fc_1", "odd": 1},
        {"type": "function_call_output", "call_id": "c", "output": "y", "took_s": 3},
    ],
    "tools": [
        {"type": "function", "name": "f", "parameters": {}, "output_schema": {"type": "object"}},
        {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "g", "rank": 1}]},
    ],
}


def extras(wire: WireFormat, body: dict[str, Any]) -> set[str]:
    return set(translator(wire).read_request(json.dumps(body).encode(), model="m", streamed=False).extra)


def test_a_chats_are_named_by_their_place() -> None:
    assert extras("openai_chat", CHAT) == {
        "messages[].tool_calls[].function.strange",
        "messages[].tool_calls[].odd",
        "response_format.json_schema.new",
        "response_format.newer",
        "stream_options.include_cost",
    }


def test_a_responses_are_named_by_their_place() -> None:
    assert extras("openai_responses", RESPONSES) == {
        "input[].content[].tone",
        "input[].mood",
        "input[].odd",
        "input[].took_s",
        "tools[].output_schema",
        "tools[].tools[].rank",
    }


@pytest.mark.parametrize("other", ["anthropic_messages", "gemini", "ollama"])
@pytest.mark.parametrize(("wire", "body"), [("openai_chat", CHAT), ("openai_responses", RESPONSES)])
def test_none_of_them_is_written_to_another_provider(wire: WireFormat, body: dict[str, Any], other: WireFormat) -> None:
    request = translator(wire).read_request(json.dumps(body).encode(), model="m", streamed=False)
    written = translator(other).write_request(request, lambda prefix: prefix)
    assert not any(word in written for word in (b"strange", b"odd", b"mood", b"took_s", b"rank"))
