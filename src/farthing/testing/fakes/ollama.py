"""A fake that speaks Ollama's own chat.

As the real one: it streams unless told not to, as lines of JSON; a tool call comes whole, with its arguments as an
object and without an id; the last line has the counts, and the reason to stop is `stop` after a call as well.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from farthing.testing.fakes.author import TOOL_CALL_TOKENS, Wanted, count_tokens
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

_STOPS = {"end": "stop", "length": "length", "tools": "stop"}
_STATUSES: dict[Refused, int] = {
    "unauthorized": 401,
    "rate_limited": 429,
    "quota_exhausted": 429,
    "server_error": 500,
    "overloaded": 503,
    "bad_request": 400,
    "model_not_found": 404,
    "no_such_path": 404,
}
_OPERATIONS: dict[tuple[str, str], Operation] = {("POST", "/api/chat"): "answer", ("GET", "/api/tags"): "models"}


class Ollama:
    """See `WireFormat`."""

    name = "ollama"
    request_id_header = "x-request-id"

    def operation(self, method: str, path: str) -> Operation | None:
        """See `WireFormat.operation`."""
        return _OPERATIONS.get((method, path.partition("?")[0]))

    def credential(self, headers: Mapping[str, str]) -> str | None:
        """See `WireFormat.credential`; nobody needs one."""
        return headers.get("authorization", "").removeprefix("Bearer ") or "none"

    def read(self, body: Any, path: str) -> Asked:
        """See `WireFormat.read`."""
        del path
        if not isinstance(body, dict) or not isinstance(body.get("model"), str):
            raise BadRequest("model is required")
        messages = body.get("messages")
        if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
            raise BadRequest("json: cannot unmarshal messages into Go struct field ChatRequest.messages")
        functions = [tool["function"] for tool in body.get("tools") or () if isinstance(tool.get("function"), dict)]
        limit = (body.get("options") or {}).get("num_predict")
        return Asked(
            model=body["model"],
            streamed=body.get("stream") is not False,
            blocks=tuple(_blocks(body)),
            wanted=Wanted(
                tools=tuple((function["name"], function.get("parameters")) for function in functions),
                after_tool_result=bool(messages) and messages[-1].get("role") == "tool",
                reasons=bool(body.get("think")),
                max_tokens=limit if isinstance(limit, int) and limit >= 0 else None,
            ),
        )

    def served_as(self, model: str) -> str:
        """See `WireFormat.served_as`."""
        return model

    def consume(self, cache: PromptCache, model: str, asked: Asked) -> Cached:
        """See `WireFormat.consume`; it remembers a prompt, and does not say so."""
        del cache, model, asked
        return Cached()

    def new_request_id(self, dice: random.Random) -> str:
        """See `WireFormat.new_request_id`."""
        return random_text(dice, 16)

    def headers(self, request_id: str, *, streamed: bool) -> dict[str, str]:
        """See `WireFormat.headers`."""
        kind = "application/x-ndjson" if streamed else "application/json; charset=utf-8"
        return {"content-type": kind, self.request_id_header: request_id}

    def stream(self, job: Job) -> Iterator[Event]:
        """See `WireFormat.stream`."""
        answer = job.answer
        for text in answer.reasoning:
            yield _line(job, {"content": "", "thinking": text}, 1, 1)
        for text in answer.texts[0]:
            yield _line(job, {"content": text}, 1)
        for call, pieces in zip(_calls(job), answer.tools, strict=True):
            yield _line(job, {"content": "", "tool_calls": [call]}, TOOL_CALL_TOKENS + len(pieces[1]))
        ended = {**_envelope(job, {"content": ""}), **_ending(job)}
        yield Event(msgspec.json.encode(ended) + b"\n", tells_usage=True)

    def whole(self, job: Job) -> bytes:
        """See `WireFormat.whole`."""
        message: dict[str, Any] = {"content": "".join(job.answer.texts[0])}
        if job.answer.reasoning:
            message["thinking"] = "".join(job.answer.reasoning)
        if job.answer.tools:
            message["tool_calls"] = list(_calls(job))
        return msgspec.json.encode({**_envelope(job, message), **_ending(job)})

    def error_event(self, job: Job) -> bytes:
        """See `WireFormat.error_event`."""
        del job
        return b'{"error":"an error was encountered while running the model"}\n'

    def refusal(self, why: Refused, request_id: str, *, retry_after_s: int = 1, message: str = "") -> Refusal:
        """See `WireFormat.refusal`."""
        if why == "html":
            return html_page()
        headers = {"content-type": "application/json; charset=utf-8", self.request_id_header: request_id}
        if why == "rate_limited":
            headers["retry-after"] = str(retry_after_s)
        return Refusal(_STATUSES[why], msgspec.json.encode({"error": message or f"the fake: {why}"}), headers)

    def models(self, names: Sequence[str]) -> bytes:
        """See `WireFormat.models`."""
        rows = [{"name": name, "model": name, "size": 1, "digest": "", "details": {}} for name in names]
        return msgspec.json.encode({"models": rows})

    def token_count(self, asked: Asked) -> bytes:
        """See `WireFormat.token_count`; it has no path for it."""
        raise AssertionError(f"Ollama does not count tokens, {asked.input_tokens} or any other number")


def _blocks(body: dict[str, Any]) -> Iterator[Block]:
    for part in (*(body.get("tools") or ()), *body["messages"]):
        text = msgspec.json.encode(part, order="sorted")
        yield Block(text, count_tokens(text))


def _envelope(job: Job, message: dict[str, Any]) -> dict[str, Any]:
    said = {"role": "assistant", **message}
    return {"model": job.model_served, "created_at": "2026-11-21T12:00:00.000000Z", "message": said, "done": False}


def _line(job: Job, message: dict[str, Any], tokens: int, reasoning_tokens: int = 0) -> Event:
    return Event(msgspec.json.encode(_envelope(job, message)) + b"\n", tokens, reasoning_tokens)


def _calls(job: Job) -> Iterator[dict[str, Any]]:
    for name, pieces in job.answer.tools:
        yield {"function": {"name": name, "arguments": msgspec.json.decode("".join(pieces) or "{}")}}


def _ending(job: Job) -> dict[str, Any]:
    used = job.usage
    return {
        "done": True,
        "done_reason": _STOPS[job.answer.stop],
        "total_duration": 1_000_000,
        "load_duration": 1_000,
        "prompt_eval_count": used.input_tokens,
        "prompt_eval_duration": 1_000,
        "eval_count": used.output_tokens,
        "eval_duration": 1_000,
    }
