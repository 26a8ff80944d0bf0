"""A fake that speaks OpenAI's chat completions in the dialects of several vendors.

As the real ones: `prompt_tokens` includes what was cached; a stream's usage stands where the vendor puts it, for OpenAI
only when asked, with `usage: null` in every chunk before; tool calls' arguments come in pieces; chunks are padded with
random text.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from farthing.testing.fakes.account import NANODOLLARS
from farthing.testing.fakes.author import TOOL_CALL_TOKENS, Wanted, count_tokens
from farthing.testing.fakes.openai_dialects import DIALECTS, Dialect, error
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

_STOPS = {"end": "stop", "length": "length", "tools": "tool_calls"}
_MESSAGE_TOKENS = 4
_to_json = msgspec.json.Encoder(decimal_format="number").encode


class OpenAIChat:
    """See `WireFormat`; `dialect` is a name in `DIALECTS`."""

    def __init__(self, dialect: str = "openai") -> None:
        self._dialect = DIALECTS[dialect]

    @property
    def name(self) -> str:
        """See `WireFormat.name`."""
        return self._dialect.name

    @property
    def request_id_header(self) -> str:
        """See `WireFormat.request_id_header`."""
        return self._dialect.request_id_header

    def operation(self, method: str, path: str) -> Operation | None:
        """See `WireFormat.operation`; vendors put the same paths under different prefixes."""
        path = path.partition("?")[0]
        if method == "POST" and path.endswith("/chat/completions"):
            return "answer"
        return "models" if method == "GET" and path.endswith("/models") else None

    def credential(self, headers: Mapping[str, str]) -> str | None:
        """See `WireFormat.credential`."""
        return headers.get("authorization", "").removeprefix("Bearer ") or None

    def read(self, body: Any, path: str) -> Asked:
        """See `WireFormat.read`."""
        del path
        if not isinstance(body, dict):
            raise BadRequest("The body must be a JSON object.")
        for member, kind in (("model", str), ("messages", list)):
            if not isinstance(body.get(member), kind):
                raise BadRequest(f"Missing required parameter: '{member}'.")
        messages = body["messages"]
        if not all(isinstance(message, dict) for message in messages):
            raise BadRequest("Invalid type for 'messages': expected objects.")
        functions = [tool["function"] for tool in body.get("tools") or () if isinstance(tool.get("function"), dict)]
        choice = body.get("tool_choice")
        limits = (body.get("max_completion_tokens"), body.get("max_tokens"))
        return Asked(
            model=body["model"],
            streamed=body.get("stream") is True,
            blocks=tuple(_blocks(body)),
            include_usage=bool((body.get("stream_options") or {}).get("include_usage")),
            logprobs=body.get("logprobs") is True,
            wanted=Wanted(
                tools=tuple((function["name"], function.get("parameters")) for function in functions),
                must_call=choice == "required" or isinstance(choice, dict),
                after_tool_result=bool(messages) and messages[-1].get("role") == "tool",
                reasons=self._reasons(body),
                answers=body.get("n") or 1,
                max_tokens=next((limit for limit in limits if limit is not None), None),
                json_schema=_json_schema(body.get("response_format")),
            ),
        )

    def served_as(self, model: str) -> str:
        """See `WireFormat.served_as`."""
        return self._dialect.renamed.get(model, model)

    def consume(self, cache: PromptCache, model: str, asked: Asked) -> Cached:
        """See `WireFormat.consume`."""
        dialect = self._dialect
        read = cache.automatic(
            model,
            asked.blocks,
            minimum_tokens=dialect.cache_minimum_tokens,
            step_tokens=dialect.cache_step_tokens,
        )
        return Cached(read=read)

    def new_request_id(self, dice: random.Random) -> str:
        """See `WireFormat.new_request_id`."""
        return {"openai": "req_", "groq": "req_01", "openrouter": "gen-"}.get(self.name, "") + random_text(dice, 24)

    def headers(self, request_id: str, *, streamed: bool) -> dict[str, str]:
        """See `WireFormat.headers`."""
        return {
            "content-type": "text/event-stream; charset=utf-8" if streamed else "application/json",
            self.request_id_header: request_id,
            "x-request-id": request_id,  # not every vendor sends it; here every ledger line finds its bill by it
            "x-ratelimit-limit-requests": "5000",
            "x-ratelimit-remaining-requests": "4999",
            "x-ratelimit-reset-requests": "12ms",
        }

    def stream(self, job: Job) -> Iterator[Event]:
        """See `WireFormat.stream`."""
        dialect, answer = self._dialect, job.answer
        if dialect.name == "openrouter":
            yield Event(b": OPENROUTER PROCESSING\n\n")
        first: dict[str, Any] = {"x_groq": {"id": job.request_id}} if dialect.name == "groq" else {}
        for index in range(job.asked.wanted.answers):
            yield self._delta(job, index, {"role": "assistant", "content": "", **_refusal(dialect)}, **first)
        for piece in answer.reasoning:
            if dialect.reasoning == "hidden":
                yield Event(b"", 1, 1)
            else:
                yield self._delta(job, 0, self._thought(piece), 1, 1)
        for place in range(max(map(len, answer.texts))):
            for index, text in enumerate(answer.texts):
                if place < len(text):
                    yield self._delta(job, index, {"content": text[place]}, 1)
        for index, (name, pieces) in enumerate(answer.tools):
            yield from self._tool(job, index, name, pieces)
        yield from self._ends(job)
        yield Event(b"data: [DONE]\n\n")

    def whole(self, job: Job) -> bytes:
        """See `WireFormat.whole`."""
        dialect = self._dialect
        choices = []
        for index, pieces in enumerate(job.answer.texts):
            message: dict[str, Any] = {"role": "assistant", "content": "".join(pieces) or None, **_refusal(dialect)}
            if index == 0 and job.answer.reasoning and dialect.reasoning != "hidden":
                message = _with_thought(message, self._thought("".join(job.answer.reasoning)))
            if index == 0 and job.answer.tools:
                message["tool_calls"] = [
                    _tool_call(job, place, name, "".join(arguments))
                    for place, (name, arguments) in enumerate(job.answer.tools)
                ]
            probable = {"logprobs": _logprobs(job, pieces)} if dialect.name != "mistral" else {}
            choices.append({"index": index, "message": message, **probable, "finish_reason": _stop(job, index)})
        body = {**_envelope(job, "chat.completion"), "choices": choices, "usage": self._usage(job)}
        text: bytes = _to_json(body)
        return b"\n         \n" * 2 + text if dialect.name == "openrouter" else text

    def error_event(self, job: Job) -> bytes:
        """See `WireFormat.error_event`."""
        match self.name:
            case "openrouter":
                failed = {"code": 502, "message": "The provider behind the fake went away."}
                return _data({**_envelope(job, "chat.completion.chunk"), "choices": [], "error": failed})
            case "groq":
                failed = {"message": "The fake's tool call failed.", "type": "invalid_request_error"}
                return b"event: error\n" + _data({"error": {**failed, "code": "tool_use_failed", "status_code": 400}})
            case _:
                failed = {"message": "Something in the fake went wrong.", "type": "server_error"}
                return _data({"error": {**failed, "param": None, "code": None}})

    def refusal(self, why: Refused, request_id: str, *, retry_after_s: int = 1, message: str = "") -> Refusal:
        """See `WireFormat.refusal`."""
        if why == "html":
            return html_page()
        status, body, headers = error(self._dialect, why, message)
        headers |= {self.request_id_header: request_id, "x-request-id": request_id}
        if why == "rate_limited":
            headers |= {"retry-after": str(retry_after_s), "x-ratelimit-remaining-tokens": "0"}
            if self.name == "openai":
                headers |= {"retry-after-ms": str(retry_after_s * 1000), "x-should-retry": "true"}
        if why == "quota_exhausted" and self.name == "openai":
            headers["x-should-retry"] = "false"
        return Refusal(status, _to_json(body), headers)

    def models(self, names: Sequence[str]) -> bytes:
        """See `WireFormat.models`."""
        data = [{"id": name, "object": "model", "created": 1_767_225_600, "owned_by": self.name} for name in names]
        return msgspec.json.encode({"object": "list", "data": data})

    def token_count(self, asked: Asked) -> bytes:
        """See `WireFormat.token_count`; these vendors have no path for it."""
        raise AssertionError(f"{self.name} does not count tokens, {asked.input_tokens} or any other number")

    def _reasons(self, body: dict[str, Any]) -> bool:
        effort = body.get("reasoning_effort") or (body.get("reasoning") or {}).get("effort")
        thinking = (body.get("thinking") or {}).get("type")
        if effort in {"none", "minimal"} or thinking == "disabled":
            return False
        return effort is not None or thinking == "enabled" or body["model"].startswith(self._dialect.thinkers)

    def _delta(
        self, job: Job, index: int, delta: dict[str, Any], tokens: int = 0, reasoning_tokens: int = 0, **more: Any
    ) -> Event:
        return Event(self._chunk(job, [self._choice(job, index, delta, None)], **more), tokens, reasoning_tokens)

    def _choice(self, job: Job, index: int, delta: dict[str, Any], stop: str | None) -> dict[str, Any]:
        choice: dict[str, Any] = {"index": index, "delta": delta}
        if self.name != "mistral":
            text = delta.get("content")
            choice["logprobs"] = _logprobs(job, [text] if text else [])
        choice["finish_reason"] = stop
        if self.name == "openrouter":
            choice["native_finish_reason"] = stop
        return choice

    def _chunk(self, job: Job, choices: list[dict[str, Any]], **more: Any) -> bytes:
        chunk: dict[str, Any] = {**_envelope(job, "chat.completion.chunk"), "choices": choices}
        if self._dialect.usage_null_before and job.asked.include_usage:
            chunk["usage"] = None
        chunk |= more
        match self.name:
            case "openai":
                chunk["obfuscation"] = random_text(job.dice, job.dice.randint(0, 14))
            case "mistral":
                chunk["p"] = "abcdefghijklmnopqrstuvwxyz"[: job.dice.randint(1, 26)]
            case "openrouter":
                chunk["provider"] = "Fake"
        return _data(chunk)

    def _thought(self, text: str) -> dict[str, Any]:
        match self._dialect.reasoning:
            case "reasoning_content":
                return {"content": None, "reasoning_content": text}
            case "listed":
                return {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": text}]}]}
            case "detailed":
                detail = {"type": "reasoning.text", "text": text, "format": "unknown", "index": 0}
                return {"content": "", "reasoning": text, "reasoning_details": [detail]}
            case _:
                return {"reasoning": text}

    def _tool(self, job: Job, index: int, name: str, pieces: Sequence[str]) -> Iterator[Event]:
        if self.name == "mistral":  # its tool calls come whole
            call = {**_tool_call(job, index, name, "".join(pieces)), "index": index}
            yield self._delta(job, 0, {"tool_calls": [call]}, TOOL_CALL_TOKENS + len(pieces))
            return
        begin = {"index": index, **_tool_call(job, index, name, "")}
        yield self._delta(job, 0, {"tool_calls": [begin]}, TOOL_CALL_TOKENS)
        for piece in pieces:
            yield self._delta(job, 0, {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}, 1)

    def _ends(self, job: Job) -> Iterator[Event]:
        """Return the finish of each choice, and usage where this vendor puts it."""
        usage, place = self._usage(job), self._dialect.usage
        last = job.asked.wanted.answers - 1
        for index in range(last + 1):
            told: dict[str, Any] = {}
            if index == last and place in {"with_finish", "with_finish_and_x_groq"}:
                told["usage"] = usage
                if place == "with_finish_and_x_groq":
                    told["x_groq"] = {"id": job.request_id, "usage": usage}
            choice = self._choice(job, index, {}, _stop(job, index))
            yield Event(self._chunk(job, [choice], **told), tells_usage=bool(told))
        if place == "with_choice_after_finish":
            choice = self._choice(job, last, {"role": "assistant", "content": ""}, _stop(job, last))
            yield Event(self._chunk(job, [choice], usage=usage), tells_usage=True)
        elif job.asked.include_usage and place != "with_finish":
            yield Event(self._chunk(job, [], usage=usage), tells_usage=True)

    def _usage(self, job: Job) -> dict[str, Any]:
        used = job.usage
        assert used.input_tokens is not None
        assert used.output_tokens is not None
        read = used.cache_read_input_tokens
        usage: dict[str, Any] = {
            "prompt_tokens": used.input_tokens,
            "completion_tokens": used.output_tokens,
            "total_tokens": used.input_tokens + used.output_tokens,
            "prompt_tokens_details": {"cached_tokens": read},
            "completion_tokens_details": {"reasoning_tokens": used.reasoning_output_tokens},
        }
        match self.name:
            case "openai":
                usage["prompt_tokens_details"]["audio_tokens"] = 0
                usage["completion_tokens_details"] |= {"audio_tokens": 0, "accepted_prediction_tokens": 0}
            case "deepseek":
                usage |= {"prompt_cache_hit_tokens": read, "prompt_cache_miss_tokens": used.input_tokens - read}
            case "groq":
                usage |= {"queue_time": 0.004, "prompt_time": 0.008, "completion_time": 0.1, "total_time": 0.108}
            case "mistral":  # it has no words for what it thought
                del usage["completion_tokens_details"]
            case "openrouter" if job.tariff is not None:
                usage |= {"cost": Decimal(job.tariff.nanousd(used)) / NANODOLLARS, "is_byok": False}
        return usage


def _blocks(body: dict[str, Any]) -> Iterator[Block]:
    for part in (*(body.get("tools") or ()), *body["messages"]):
        text = msgspec.json.encode(part, order="sorted")
        yield Block(text, count_tokens(text) + _MESSAGE_TOKENS)


def _json_schema(wanted: Any) -> Any:
    match wanted:
        case {"type": "json_schema", "json_schema": {"schema": schema}}:
            return schema
        case {"type": "json_object"}:
            return {"type": "object", "properties": {"answer": {"type": "string"}}}
        case _:
            return None


def _envelope(job: Job, kind: str) -> dict[str, Any]:
    prefix = "chatcmpl-" if "gen-" not in job.request_id else ""
    return {
        "id": prefix + job.request_id.removeprefix("req_"),
        "object": kind,
        "created": job.created_s,
        "model": job.model_served,
        "service_tier": "default",
        "system_fingerprint": None,
    }


def _refusal(dialect: Dialect) -> dict[str, Any]:
    return {"refusal": None} if dialect.name in {"openai", "openrouter"} else {}


def _with_thought(message: dict[str, Any], thought: dict[str, Any]) -> dict[str, Any]:
    """A list of thoughts in `content` is followed by what was said; a member beside it leaves it alone."""
    if isinstance(thought.get("content"), list):
        said = [{"type": "text", "text": message["content"]}] if message["content"] else []
        return {**message, "content": [*thought["content"], *said]}
    return {**message, **{name: value for name, value in thought.items() if name != "content"}}


def _tool_call(job: Job, place: int, name: str, arguments: str) -> dict[str, Any]:
    identity = f"call_{place}{random_text(job.dice, 22)}"
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}


def _logprobs(job: Job, pieces: Sequence[str]) -> dict[str, Any] | None:
    if not job.asked.logprobs:
        return None
    content = [
        {"token": piece, "logprob": -0.25, "bytes": list(piece.encode()), "top_logprobs": []} for piece in pieces
    ]
    return {"content": content, "refusal": None}


def _stop(job: Job, index: int) -> str:
    """Only the first answer calls tools; the others end as text does."""
    stop = job.answer.stop
    return _STOPS["end" if stop == "tools" and index else stop]


def _data(value: Any) -> bytes:
    return b"data: %b\n\n" % _to_json(value)
