"""A fake that speaks OpenAI's responses.

As the real one: every event has a `sequence_number`; an item is added, filled and done; only `response.completed` tells
usage; `input_tokens` includes what was cached; a function that sits in a namespace is called by both names.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from farthing.testing.fakes.author import TOOL_CALL_TOKENS, Wanted, count_tokens
from farthing.testing.fakes.openai_dialects import DIALECTS, error
from farthing.testing.fakes.prompt_cache import Block, Cached, PromptCache
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

_ITEM_TOKENS = 4
_CACHE_MINIMUM_TOKENS = 1_024
_CACHE_STEP_TOKENS = 128
_RESULTS = {"function_call_output", "custom_tool_call_output", "local_shell_call_output", "shell_call_output"}


class OpenAIResponses:
    """See `WireFormat`."""

    name = "openai-responses"
    request_id_header = "x-request-id"

    def operation(self, method: str, path: str) -> Operation | None:
        """See `WireFormat.operation`."""
        path = path.partition("?")[0]
        if method == "POST" and path.endswith("/responses"):
            return "answer"
        return "models" if method == "GET" and path.endswith("/models") else None

    def credential(self, headers: Mapping[str, str]) -> str | None:
        """See `WireFormat.credential`."""
        return headers.get("authorization", "").removeprefix("Bearer ") or None

    def read(self, body: Any, path: str) -> Asked:
        """See `WireFormat.read`."""
        del path
        if not isinstance(body, dict) or not isinstance(body.get("model"), str):
            raise BadRequest("Missing required parameter: 'model'.")
        said = body.get("input")
        items = [{"role": "user", "content": said}] if isinstance(said, str) else said
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise BadRequest("Invalid type for 'input': expected a string or objects.")
        tools = [tool for tool in body.get("tools") or () if isinstance(tool, dict)]
        functions = [tool for tool in tools if tool.get("type") == "function" and isinstance(tool.get("name"), str)]
        choice = body.get("tool_choice")
        effort = (body.get("reasoning") or {}).get("effort")
        parts = [*tools, {"instructions": body["instructions"]}] if body.get("instructions") else tools
        return Asked(
            model=body["model"],
            streamed=body.get("stream") is True,
            blocks=tuple(_blocks([*parts, *items])),
            wanted=Wanted(
                tools=tuple((tool["name"], tool.get("parameters")) for tool in functions),
                must_call=choice == "required" or isinstance(choice, dict),
                after_tool_result=bool(items) and items[-1].get("type") in _RESULTS,
                reasons=effort not in {None, "none", "minimal"},
                max_tokens=body.get("max_output_tokens"),
            ),
        )

    def served_as(self, model: str) -> str:
        """See `WireFormat.served_as`."""
        return model

    def consume(self, cache: PromptCache, model: str, asked: Asked) -> Cached:
        """See `WireFormat.consume`."""
        read = cache.automatic(
            model, asked.blocks, minimum_tokens=_CACHE_MINIMUM_TOKENS, step_tokens=_CACHE_STEP_TOKENS
        )
        return Cached(read=read)

    def new_request_id(self, dice: random.Random) -> str:
        """See `WireFormat.new_request_id`."""
        return "req_" + random_text(dice, 24)

    def headers(self, request_id: str, *, streamed: bool) -> dict[str, str]:
        """See `WireFormat.headers`."""
        kind = "text/event-stream; charset=utf-8" if streamed else "application/json"
        return {"content-type": kind, self.request_id_header: request_id}

    def stream(self, job: Job) -> Iterator[Event]:
        """See `WireFormat.stream`."""
        number = 0

        def event(kind: str, tokens: int = 0, reasoning: int = 0, *, usage: bool = False, **members: Any) -> Event:
            nonlocal number
            text = msgspec.json.encode({"type": kind, "sequence_number": number, **members})
            number += 1
            return Event(b"event: %b\ndata: %b\n\n" % (kind.encode(), text), tokens, reasoning, tells_usage=usage)

        begun = {**_envelope(job), "status": "in_progress", "output": [], "usage": None}
        yield event("response.created", response=begun)
        yield event("response.in_progress", response=begun)
        items = _items(job)
        for index, item in enumerate(items):
            at = {"output_index": index, "item_id": item["id"]}
            yield event("response.output_item.added", output_index=index, item={**item, **_EMPTY[item["type"]]})
            match item["type"]:
                case "reasoning":
                    at |= {"summary_index": 0}
                    part = {"type": "summary_text", "text": ""}
                    yield event("response.reasoning_summary_part.added", **at, part=part)
                    for piece in job.answer.reasoning:
                        yield event("response.reasoning_summary_text.delta", 1, 1, **at, delta=piece)
                    whole = item["summary"][0]
                    yield event("response.reasoning_summary_text.done", **at, text=whole["text"])
                    yield event("response.reasoning_summary_part.done", **at, part=whole)
                case "message":
                    at |= {"content_index": 0}
                    whole = item["content"][0]
                    yield event("response.content_part.added", **at, part={**whole, "text": ""})
                    for piece in job.answer.texts[0]:
                        yield event("response.output_text.delta", 1, **at, delta=piece, logprobs=[])
                    yield event("response.output_text.done", **at, text=whole["text"], logprobs=[])
                    yield event("response.content_part.done", **at, part=whole)
                case _:
                    pieces = job.answer.tools[len(job.answer.tools) - len(items) + index][1]
                    yield event("response.function_call_arguments.delta", TOOL_CALL_TOKENS, **at, delta="")
                    for piece in pieces:
                        yield event("response.function_call_arguments.delta", 1, **at, delta=piece)
                    yield event("response.function_call_arguments.done", **at, arguments=item["arguments"])
            yield event("response.output_item.done", output_index=index, item=item)
        ended = _ended(job, items)
        yield event(f"response.{ended['status']}", usage=True, response=ended)

    def whole(self, job: Job) -> bytes:
        """See `WireFormat.whole`."""
        return msgspec.json.encode(_ended(job, _items(job)))

    def error_event(self, job: Job) -> bytes:
        """See `WireFormat.error_event`."""
        failed = {"code": "server_error", "message": "Something in the fake went wrong."}
        response = {**_envelope(job), "status": "failed", "output": [], "error": failed}
        text = msgspec.json.encode({"type": "response.failed", "sequence_number": 9_999, "response": response})
        return b"event: response.failed\ndata: %b\n\n" % text

    def refusal(self, why: Refused, request_id: str, *, retry_after_s: int = 1, message: str = "") -> Refusal:
        """See `WireFormat.refusal`; the same errors as in OpenAI's chat."""
        if why == "html":
            return html_page()
        status, body, headers = error(DIALECTS["openai"], why, message)
        headers |= {self.request_id_header: request_id}
        if why == "rate_limited":
            headers["retry-after"] = str(retry_after_s)
        return Refusal(status, msgspec.json.encode(body), headers)

    def models(self, names: Sequence[str]) -> bytes:
        """See `WireFormat.models`."""
        data = [{"id": name, "object": "model", "created": 1_767_225_600, "owned_by": "openai"} for name in names]
        return msgspec.json.encode({"object": "list", "data": data})

    def token_count(self, asked: Asked) -> bytes:
        """See `WireFormat.token_count`."""
        return msgspec.json.encode({"object": "response.input_tokens", "input_tokens": asked.input_tokens})


_EMPTY: dict[str, dict[str, Any]] = {
    "reasoning": {"summary": []},
    "message": {"content": [], "status": "in_progress"},
    "function_call": {"arguments": "", "status": "in_progress"},
}


def _blocks(parts: Sequence[Any]) -> Iterator[Block]:
    for part in parts:
        text = msgspec.json.encode(part, order="sorted")
        yield Block(text, count_tokens(text) + _ITEM_TOKENS)


def _envelope(job: Job) -> dict[str, Any]:
    return {
        "id": "resp_" + job.request_id.removeprefix("req_"),
        "object": "response",
        "created_at": job.created_s,
        "model": job.model_served,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "service_tier": "default",
    }


def _items(job: Job) -> list[dict[str, Any]]:
    answer, told = job.answer, job.request_id.removeprefix("req_")
    items: list[dict[str, Any]] = []
    if answer.reasoning:
        summary = [{"type": "summary_text", "text": "".join(answer.reasoning)}]
        hidden = "gAAAA" + told * 4
        items.append({"id": f"rs_{told}", "type": "reasoning", "summary": summary, "encrypted_content": hidden})
    if answer.texts[0]:
        content = [{"type": "output_text", "text": "".join(answer.texts[0]), "annotations": [], "logprobs": []}]
        said = {"id": f"msg_{told}", "type": "message", "role": "assistant", "status": "completed", "content": content}
        items.append(said)
    for place, (name, pieces) in enumerate(answer.tools):
        call = {"id": f"fc_{place}{told}", "type": "function_call", "status": "completed", "name": name}
        items.append({**call, "call_id": f"call_{place}{told}", "arguments": "".join(pieces)})
    return items


def _ended(job: Job, items: list[dict[str, Any]]) -> dict[str, Any]:
    used, cut = job.usage, job.answer.stop == "length"
    assert used.input_tokens is not None
    assert used.output_tokens is not None
    usage = {
        "input_tokens": used.input_tokens,
        "input_tokens_details": {"cached_tokens": used.cache_read_input_tokens, "cache_write_tokens": 0},
        "output_tokens": used.output_tokens,
        "output_tokens_details": {"reasoning_tokens": used.reasoning_output_tokens},
        "total_tokens": used.input_tokens + used.output_tokens,
    }
    details = {"incomplete_details": {"reason": "max_output_tokens"}} if cut else {}
    status = "incomplete" if cut else "completed"
    return {**_envelope(job), **details, "status": status, "output": items, "usage": usage}
