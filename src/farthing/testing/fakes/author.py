"""What a fake model says: made-up words, reasoning and tool calls, from dice, counted in tokens as it goes.

A token here is a piece of what is streamed, and the pieces are common words of about the length that tokenizers cut, so
that an estimator made for real text is not far off.
"""

import random
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from farthing.testing.fakes.script import Reply, ToolCall

TOOL_CALL_TOKENS = 9
"""What naming a tool costs beside its arguments; recorded calls without arguments cost 10 to 30 tokens."""
DEFAULT_TOKENS = 40
_JSON_PIECE_CHARS = 4
_BYTES_PER_TOKEN = 4

_WORD_LIST = """
the a of to and in is that it for on with as this we can be not from by at one have which when there more about cost
each part does same file test call name line code time work take well next right small large number before after
through between because result change answer question example system value order point every found write read build
check first last other never always clear exact simple common known table model budget request
"""
_WORDS = tuple(_WORD_LIST.split())

Stop = Literal["end", "length", "tools"]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a request asks of the answer, in no format's words. `tools` are names with JSON schemas."""

    tools: tuple[tuple[str, Any], ...] = ()
    must_call: bool = False
    after_tool_result: bool = False
    reasons: bool = False
    answers: int = 1
    max_tokens: int | None = None
    json_schema: Any = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a model says, in tokens. `texts` holds one list per answer asked for; only the first one calls tools."""

    reasoning: tuple[str, ...]
    texts: tuple[tuple[str, ...], ...]
    tools: tuple[tuple[str, tuple[str, ...]], ...]
    stop: Stop

    @property
    def tokens(self) -> int:
        """All of them, reasoning included."""
        calls = sum(TOOL_CALL_TOKENS + len(pieces) for _, pieces in self.tools)
        return len(self.reasoning) + sum(map(len, self.texts)) + calls


def count_tokens(text: bytes) -> int:
    """Return how many tokens the fake takes this text of a prompt for."""
    return -(-len(text) // _BYTES_PER_TOKEN)


def write_answer(dice: random.Random, wanted: Wanted, reply: Reply) -> Answer:
    """Return what the model says."""
    reasoning_tokens = reply.reasoning_tokens
    if reasoning_tokens is None:
        reasoning_tokens = dice.randint(8, 40) if wanted.reasons else 0
    room = wanted.max_tokens if wanted.max_tokens is not None else 1 << 30
    reasoning = _prose(dice, min(reasoning_tokens, room))
    room -= len(reasoning)
    tools = tuple((call.name, _pieces(call.arguments)) for call in _calls(dice, wanted, reply))
    tools_tokens = sum(TOOL_CALL_TOKENS + len(pieces) for _, pieces in tools)
    if tools_tokens > room:
        tools, tools_tokens = (), 0
    length = reply.tokens if reply.tokens is not None else DEFAULT_TOKENS
    texts: list[tuple[str, ...]] = []
    cut = reasoning_tokens > len(reasoning)
    for _ in range(wanted.answers):
        if reply.text is not None:
            full = _pieces(reply.text)
        elif wanted.json_schema is not None:
            full = _pieces(_json(_value(dice, wanted.json_schema)))
        else:
            full = _prose(dice, min(length, 12) if tools else length)
        text = full[: max(room - tools_tokens, 0)]
        cut = cut or len(text) < len(full)
        texts.append(text)
    stop: Stop = "tools" if tools else "length" if cut else "end"
    return Answer(reasoning=reasoning, texts=tuple(texts), tools=tools, stop=stop)


def _calls(dice: random.Random, wanted: Wanted, reply: Reply) -> Sequence[ToolCall]:
    if reply.tools is not None:
        return reply.tools
    if reply.text is not None:
        return ()
    if not wanted.tools or not (wanted.must_call or (not wanted.after_tool_result and dice.random() < 0.6)):
        return ()
    chosen = dice.sample(wanted.tools, k=dice.randint(1, min(2, len(wanted.tools))))
    return [ToolCall(name, _json(_value(dice, schema))) for name, schema in chosen]


def _prose(dice: random.Random, tokens: int) -> tuple[str, ...]:
    words: list[str] = []
    for place in range(tokens):
        end = "." if place % 12 == 11 or place == tokens - 1 else ""
        start = place % 12 == 0
        word = dice.choice(_WORDS)
        words.append((" " if place else "") + (word.capitalize() if start else word) + end)
    return tuple(words)


def _pieces(text: str) -> tuple[str, ...]:
    return tuple(text[at : at + _JSON_PIECE_CHARS] for at in range(0, len(text), _JSON_PIECE_CHARS))


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _value(dice: random.Random, schema: Any) -> Any:
    """Return something that fits a JSON schema, as far as tools in practice need it."""
    if not isinstance(schema, dict):
        return {}
    if isinstance(choices := schema.get("enum"), list) and choices:
        return dice.choice(choices)
    match schema.get("type"):
        case "string":
            return " ".join(dice.choice(_WORDS) for _ in range(dice.randint(1, 4)))
        case "integer" | "number":
            return dice.randint(1, 999)
        case "boolean":
            return dice.random() < 0.5
        case "array":
            return [_value(dice, schema.get("items")) for _ in range(2)]
        case _:
            properties = schema.get("properties")
            return {name: _value(dice, below) for name, below in (properties or {}).items()}
