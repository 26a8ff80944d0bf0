"""The response object: what an answer is as a whole, and what a stream shows at its beginning and at its end.

It repeats what was asked (tools, choice, shape, sampling), which is written once for a stream. What surprised us: every
member that the type names is sent, `null` where there is nothing; and `store` is told as false, since nothing is kept.
"""

from typing import Any

import msgspec

from farthing.types.chat import ChatRequest, FinishReason, Text
from farthing.types.usage import Usage
from farthing.wire.translators.openai_responses.tools import write_choice, write_tools
from farthing.wire.translators.openai_responses.writing import SERVICE_TIERS, reasoning_member, shape_member
from farthing.wire.translators.protocol import Asked

KNOWN_CODES = frozenset(
    {
        "server_error",
        "rate_limit_exceeded",
        "invalid_prompt",
        "context_length_exceeded",
        "insufficient_quota",
        "usage_not_included",
    }
)
"""Codes of a failed response that clients know: Codex stops or waits at all of them but `server_error`, and repeats the
call at that and at any other."""
_encode = msgspec.json.encode


class ResponseObject:
    """One response as it goes on."""

    __slots__ = ("_asked", "_repeated", "id", "model", "service_tier")

    def __init__(self, asked: Asked, model: str | None, service_tier: str | None = None) -> None:
        self.id = f"resp_{asked.answer_id}"
        self.model = model or asked.model
        self.service_tier = service_tier
        self._asked = asked
        self._repeated: bytes | None = None

    def written(
        self,
        status: str,
        output: list[bytes],
        usage: Usage | None = None,
        *,
        incomplete: str | None = None,
        error: dict[str, Any] | None = None,
    ) -> bytes:
        """Return it in a state."""
        if self._repeated is None:
            self._repeated = _encode(_repeated(self._asked.request, self.service_tier))[1:]
        details = None if incomplete is None else {"reason": incomplete}
        return (
            b'{"id":%b,"object":"response","created_at":%d,"status":"%b","background":false,"completed_at":null,'
            b'"error":%b,"incomplete_details":%b,"model":%b,"output":[%b],"usage":%b,%b'
        ) % (
            _encode(self.id),
            self._asked.created_s,
            status.encode(),
            _encode(error),
            _encode(details),
            _encode(self.model),
            b",".join(output),
            _encode(usage_member(usage)),
            self._repeated,
        )


def status_of(reason: FinishReason | None) -> tuple[str, str | None]:
    """Return the status of a response that ended so, and why it is incomplete."""
    match reason:
        case "length":
            return "incomplete", "max_output_tokens"
        case "content_filter":
            return "incomplete", "content_filter"
        case "error":
            return "failed", None
        case _:
            return "completed", None


def failure(code: str, message: str) -> dict[str, Any]:
    """Return the `error` of a failed response."""
    if code in KNOWN_CODES:
        return {"code": code, "message": message}
    limited = "rate_limit" in code
    return {"code": "rate_limit_exceeded" if limited else "server_error", "message": message, "type": code}


def usage_member(usage: Usage | None) -> dict[str, Any] | None:
    """Return usage in this format's terms; none where a total is not known, because `null` is no count there."""
    if usage is None or usage.input_tokens is None or usage.output_tokens is None:
        return None
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cache_write_tokens": usage.cache_creation_input_tokens,
            "cached_tokens": usage.cache_read_input_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_output_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }


def _repeated(request: ChatRequest, service_tier: str | None) -> dict[str, Any]:
    tier = service_tier or request.service_tier
    reasoning = {} if request.reasoning is None else reasoning_member(request.reasoning)
    text: dict[str, Any] = {"format": {"type": "text"} if request.shape is None else shape_member(request.shape)}
    if request.verbosity is not None:
        text["verbosity"] = request.verbosity
    choice = request.tool_choice
    return {
        "frequency_penalty": request.frequency_penalty or 0.0,
        "instructions": _instructions(request),
        "max_output_tokens": request.max_output_tokens,
        "max_tool_calls": None,
        "metadata": {} if request.metadata is None else msgspec.Raw(request.metadata),
        "parallel_tool_calls": request.parallel_tool_calls is not False,
        "presence_penalty": request.presence_penalty or 0.0,
        "previous_response_id": None,
        "prompt_cache_key": request.prompt_cache_key,
        "prompt_cache_retention": None,
        "reasoning": {"effort": None, "summary": None, **reasoning},
        "safety_identifier": None,
        "service_tier": tier if tier in SERVICE_TIERS else None,
        "store": False,
        "temperature": request.temperature,
        "text": text,
        "tool_choice": "auto" if choice is None else write_choice(choice, request.tools),
        "tools": write_tools(request.tools, request.server_tools),
        "top_logprobs": request.top_logprobs or 0,
        "top_p": request.top_p,
        "truncation": "disabled",
        "user": request.user,
    }


def _instructions(request: ChatRequest) -> str | None:
    """Return what stands before everything else, which is where a client's `instructions` are put."""
    first = request.messages[0] if request.messages else None
    if first is None or first.role != "system" or len(first.content) != 1 or not isinstance(first.content[0], Text):
        return None
    return first.content[0].text
