"""A fake that speaks Anthropic's messages.

As the real one: `input_tokens` leaves the cache out; `message_start` has the input and the split of cache lifetimes and
`message_delta` the output and no split; a ping comes early; JSON is padded with spaces before its last brace; there is
no `[DONE]`.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from farthing.testing.fakes.author import TOOL_CALL_TOKENS, Wanted, count_tokens
from farthing.testing.fakes.prompt_cache import LONG_S, SHORT_S, Block, Cached, PromptCache
from farthing.testing.fakes.wire_format import (
    Asked,
    BadRequest,
    Event,
    Job,
    Operation,
    Refusal,
    Refused,
    html_page,
    random_text,
)
from farthing.types.usage import Usage

_STOPS = {"end": "end_turn", "length": "max_tokens", "tools": "tool_use"}
_MOST_WORDS_PER_DELTA = 6
_ERRORS: dict[Refused, tuple[int, str, str]] = {
    "unauthorized": (401, "authentication_error", "The fake does not know this x-api-key."),
    "rate_limited": (429, "rate_limit_error", "The fake is asked too often."),
    "quota_exhausted": (400, "invalid_request_error", "The fake's credit balance is too low for this request."),
    "server_error": (500, "api_error", "Something in the fake went wrong."),
    "overloaded": (529, "overloaded_error", "Overloaded"),
    "bad_request": (400, "invalid_request_error", ""),
    "model_not_found": (404, "not_found_error", ""),
    "no_such_path": (404, "not_found_error", "Not found"),
}
_OPERATIONS: dict[tuple[str, str], Operation] = {
    ("POST", "/v1/messages"): "answer",
    ("POST", "/v1/messages/count_tokens"): "count_tokens",
    ("GET", "/v1/models"): "models",
}


class AnthropicMessages:
    """See `WireFormat`."""

    name = "anthropic"
    request_id_header = "request-id"

    def operation(self, method: str, path: str) -> Operation | None:
        """See `WireFormat.operation`."""
        return _OPERATIONS.get((method, path.partition("?")[0]))

    def credential(self, headers: Mapping[str, str]) -> str | None:
        """See `WireFormat.credential`."""
        return headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ") or None

    def read(self, body: Any, path: str) -> Asked:
        """See `WireFormat.read`."""
        del path
        if not isinstance(body, dict):
            raise BadRequest("The body must be a JSON object.")
        for member, kind in (("model", str), ("messages", list)):
            if not isinstance(body.get(member), kind):
                raise BadRequest(f"{member}: Field required")
        tools = body.get("tools") or []
        messages = body["messages"]
        thinking = (body.get("thinking") or {}).get("type")
        return Asked(
            model=body["model"],
            streamed=body.get("stream") is True,
            blocks=tuple(_blocks(body)),
            wanted=Wanted(
                tools=tuple((tool["name"], tool.get("input_schema")) for tool in tools if "input_schema" in tool),
                must_call=(body.get("tool_choice") or {}).get("type") in {"any", "tool"},
                after_tool_result=bool(messages) and _ends_in_tool_result(messages[-1]),
                reasons=thinking in {"enabled", "adaptive"},
                max_tokens=body.get("max_tokens"),
            ),
        )

    def served_as(self, model: str) -> str:
        """See `WireFormat.served_as`."""
        return model

    def consume(self, cache: PromptCache, model: str, asked: Asked) -> Cached:
        """See `WireFormat.consume`."""
        return cache.marked(model, asked.blocks)

    def new_request_id(self, dice: random.Random) -> str:
        """See `WireFormat.new_request_id`."""
        return "req_011C" + random_text(dice, 20)

    def headers(self, request_id: str, *, streamed: bool) -> dict[str, str]:
        """See `WireFormat.headers`."""
        return {
            "content-type": "text/event-stream; charset=utf-8" if streamed else "application/json",
            self.request_id_header: request_id,
            "anthropic-ratelimit-requests-limit": "4000",
            "anthropic-ratelimit-requests-remaining": "3999",
            "anthropic-organization-id": "00000000-0000-4000-8000-000000000000",
        }

    def stream(self, job: Job) -> Iterator[Event]:
        """See `WireFormat.stream`."""
        answer, dice = job.answer, job.dice
        usage = _usage(job.usage, split=True)
        yield _event(dice, "message_start", message={**_message(job), "usage": usage | {"output_tokens": 1}})
        for index, (kind, start, deltas) in enumerate(_content(job)):
            yield _event(dice, "content_block_start", index=index, content_block=start)
            if index == 0:
                yield Event(b'event: ping\ndata: {"type": "ping"}\n\n')
            for delta, tokens in deltas:
                thinking = tokens if kind == "thinking" else 0
                yield _event(dice, "content_block_delta", tokens, thinking, index=index, delta=delta)
            yield _event(dice, "content_block_stop", index=index)
        stop = {"stop_reason": _STOPS[answer.stop], "stop_sequence": None}
        said = _event(dice, "message_delta", delta=stop, usage=_usage(job.usage, split=False))
        yield Event(said.data, tells_usage=True)
        yield _event(dice, "message_stop")

    def whole(self, job: Job) -> bytes:
        """See `WireFormat.whole`."""
        content: list[dict[str, Any]] = []
        for kind, start, deltas in _content(job):
            text = "".join(next((delta[name] for name in _DELTA_TEXTS if name in delta), "") for delta, _ in deltas)
            match kind:
                case "thinking":
                    content.append({**start, "thinking": text, "signature": _signature(job.dice)})
                case "text":
                    content.append({**start, "text": text})
                case _:
                    content.append({**start, "input": msgspec.json.decode(text or "{}")})
        ends = {"stop_reason": _STOPS[job.answer.stop], "stop_sequence": None}
        usage = _usage(job.usage, split=True)
        return msgspec.json.encode({**_message(job), "content": content, **ends, "usage": usage})

    def error_event(self, job: Job) -> bytes:
        """See `WireFormat.error_event`."""
        return _event(job.dice, "error", error={"type": "overloaded_error", "message": "Overloaded"}).data

    def refusal(self, why: Refused, request_id: str, *, retry_after_s: int = 1, message: str = "") -> Refusal:
        """See `WireFormat.refusal`."""
        if why == "html":
            return html_page()
        status, kind, text = _ERRORS[why]
        headers = {"content-type": "application/json", self.request_id_header: request_id}
        if why == "rate_limited":
            headers["retry-after"] = str(retry_after_s)
        if why == "overloaded":
            headers["x-should-retry"] = "true"
        error = {"type": "error", "error": {"type": kind, "message": message or text}, "request_id": request_id}
        return Refusal(status, msgspec.json.encode(error), headers)

    def models(self, names: Sequence[str]) -> bytes:
        """See `WireFormat.models`."""
        data = [
            {"type": "model", "id": name, "display_name": name, "created_at": "2026-01-01T00:00:00Z"} for name in names
        ]
        ends = {"first_id": names[0] if names else None, "last_id": names[-1] if names else None}
        return msgspec.json.encode({"data": data, "has_more": False, **ends})

    def token_count(self, asked: Asked) -> bytes:
        """See `WireFormat.token_count`."""
        return msgspec.json.encode({"input_tokens": asked.input_tokens})


_DELTA_TEXTS = ("text", "thinking", "partial_json")


def _blocks(body: dict[str, Any]) -> Iterator[Block]:
    """Return the prompt in the order in which the real one caches it: tools, system, messages."""
    for tool in body.get("tools") or ():
        yield _block(b"tool", tool)
    system = body.get("system")
    for part in [{"type": "text", "text": system}] if isinstance(system, str) else system or ():
        yield _block(b"system", part)
    parts: list[tuple[bytes, Any]] = []
    for message in body["messages"]:
        if not isinstance(message, dict) or message.get("role") not in {"user", "assistant", "system"}:
            raise BadRequest("messages: Input does not match the expected shape.")
        content = message.get("content")
        role = str(message["role"]).encode()
        parts += [
            (role, part)
            for part in ([{"type": "text", "text": content}] if isinstance(content, str) else content or ())
        ]
    for place, (role, part) in enumerate(parts):
        marked = place == len(parts) - 1 and body.get("cache_control")
        yield _block(role, {**part, "cache_control": marked} if marked else part)


def _block(role: bytes, part: Any) -> Block:
    if not isinstance(part, dict):
        raise BadRequest("content: Input should be a valid dictionary")
    mark = part.get("cache_control")
    lifetime_s = None
    if mark:
        lifetime_s = LONG_S if mark.get("ttl") == "1h" else SHORT_S
    said = {name: value for name, value in part.items() if name != "cache_control"}
    text = role + msgspec.json.encode(said, order="sorted")
    return Block(text, count_tokens(text), lifetime_s)


def _ends_in_tool_result(message: Any) -> bool:
    content = message.get("content") if isinstance(message, dict) else None
    return isinstance(content, list) and any(part.get("type") == "tool_result" for part in content)


def _message(job: Job) -> dict[str, Any]:
    return {
        "model": job.model_served,
        "id": "msg_" + job.request_id.removeprefix("req_"),
        "type": "message",
        "role": "assistant",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def _usage(usage: Usage, *, split: bool) -> dict[str, Any]:
    read, short, long = (
        usage.cache_read_input_tokens,
        usage.cache_creation_5m_input_tokens,
        usage.cache_creation_1h_input_tokens,
    )
    assert usage.input_tokens is not None
    told: dict[str, Any] = {
        "input_tokens": usage.input_tokens - read - short - long,
        "cache_creation_input_tokens": short + long,
        "cache_read_input_tokens": read,
    }
    if split:
        told["cache_creation"] = {"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long}
        told["service_tier"] = "standard"
        told["inference_geo"] = "not_available"
    told["output_tokens"] = usage.output_tokens
    if usage.reasoning_output_tokens:
        told["output_tokens_details"] = {"thinking_tokens": usage.reasoning_output_tokens}
    return told


Delta = tuple[dict[str, Any], int]


def _content(job: Job) -> Iterator[tuple[str, dict[str, Any], list[Delta]]]:
    """Return each block's kind, its beginning, and its deltas with their tokens."""
    answer, dice = job.answer, job.dice
    if answer.reasoning:
        deltas = [
            ({"type": "thinking_delta", "thinking": text}, count) for text, count in _grouped(dice, answer.reasoning)
        ]
        signature: Delta = ({"type": "signature_delta", "signature": _signature(dice)}, 0)
        yield "thinking", {"type": "thinking", "thinking": "", "signature": ""}, [*deltas, signature]
    for pieces in answer.texts:
        if pieces:
            yield (
                "text",
                {"type": "text", "text": ""},
                [({"type": "text_delta", "text": text}, count) for text, count in _grouped(dice, pieces)],
            )
    for name, pieces in answer.tools:
        first: Delta = ({"type": "input_json_delta", "partial_json": ""}, TOOL_CALL_TOKENS)
        rest = [({"type": "input_json_delta", "partial_json": text}, n) for text, n in _grouped(dice, pieces)]
        tool = {"type": "tool_use", "id": "toolu_01" + random_text(dice, 22), "name": name, "input": {}}
        yield "tool_use", tool, [first, *rest]


def _grouped(dice: random.Random, pieces: Sequence[str]) -> Iterator[tuple[str, int]]:
    at = 0
    while at < len(pieces):
        group = pieces[at : at + dice.randint(1, _MOST_WORDS_PER_DELTA)]
        at += len(group)
        yield "".join(group), len(group)


def _signature(dice: random.Random) -> str:
    return "E" + random_text(dice, 239) + "=="


def _event(dice: random.Random, kind: str, tokens: int = 0, reasoning_tokens: int = 0, /, **members: Any) -> Event:
    text = msgspec.json.encode({"type": kind, **members})
    padding = b" " * dice.randint(0, 14)
    data = b"event: %b\ndata: %b%b}\n\n" % (kind.encode(), text[:-1], padding)
    return Event(data, tokens, reasoning_tokens)
