"""How the vendors of OpenAI's chat completions differ: where usage stands, how reasoning is called, what errors say.

Every difference here was seen in recorded exchanges; none of them is in the vendors' claims of compatibility.
"""

from typing import Any, Literal

import msgspec

from farthing.testing.fakes.wire_format import Refused


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """One vendor's way.

    `reasoning` is where thoughts stand: nowhere, in a member of that name, in a member with details beside it, or as a
    list in `content`. `usage` is where a stream tells it: in a chunk without choices if asked, with the finish always,
    or with a choice after the finish always. The cache reads whole steps, from a minimum on.
    """

    name: str
    reasoning: Literal["hidden", "reasoning_content", "reasoning", "detailed", "listed"]
    usage: Literal["own_chunk_if_asked", "with_finish", "with_finish_and_x_groq", "with_choice_after_finish"]
    usage_null_before: bool
    thinkers: tuple[str, ...]
    request_id_header: str
    cache_minimum_tokens: int = 1_024
    cache_step_tokens: int = 128
    renamed: dict[str, str] = {}


DIALECTS = {
    dialect.name: dialect
    for dialect in (
        Dialect(
            name="openai",
            reasoning="hidden",
            usage="own_chunk_if_asked",
            usage_null_before=True,
            thinkers=("o1", "o3", "o4", "gpt-5"),
            request_id_header="x-request-id",
        ),
        Dialect(
            name="openrouter",
            reasoning="detailed",
            usage="with_choice_after_finish",
            usage_null_before=False,
            thinkers=("deepseek/deepseek-r", "qwen/qwq"),
            request_id_header="x-generation-id",
        ),
        Dialect(
            name="groq",
            reasoning="reasoning",
            usage="with_finish_and_x_groq",
            usage_null_before=False,
            thinkers=("openai/gpt-oss",),
            request_id_header="x-request-id",
        ),
        Dialect(
            name="deepseek",
            reasoning="reasoning_content",
            usage="with_finish",
            usage_null_before=True,
            thinkers=("deepseek-reasoner", "deepseek-v4-pro"),
            request_id_header="x-ds-trace-id",
            cache_minimum_tokens=64,
            cache_step_tokens=64,
            renamed={"deepseek-chat": "deepseek-v4-flash", "deepseek-reasoner": "deepseek-v4-flash"},
        ),
        Dialect(
            name="mistral",
            reasoning="listed",
            usage="with_finish",
            usage_null_before=False,
            thinkers=("magistral",),
            request_id_header="mistral-correlation-id",
        ),
    )
}

_ERRORS: dict[Refused, tuple[int, str, str | None, str]] = {
    "unauthorized": (401, "invalid_request_error", "invalid_api_key", "The fake does not know this API key."),
    "rate_limited": (429, "tokens", "rate_limit_exceeded", "The fake's tokens per minute are used up."),
    "quota_exhausted": (429, "insufficient_quota", "insufficient_quota", "The fake's quota is used up."),
    "server_error": (500, "server_error", None, "Something in the fake went wrong."),
    "overloaded": (503, "server_error", None, "The fake is overloaded."),
    "bad_request": (400, "invalid_request_error", None, ""),
    "model_not_found": (404, "invalid_request_error", "model_not_found", ""),
    "no_such_path": (404, "invalid_request_error", "unknown_url", "The fake has no such path."),
}


def error(dialect: Dialect, why: Refused, message: str) -> tuple[int, Any, dict[str, str]]:
    """Return status, body and content type of an error as this vendor words it."""
    status, kind, code, text = _ERRORS[why]
    text = message or text
    json_type = {"content-type": "application/json"}
    match dialect.name, why:
        case "mistral", "unauthorized":
            return status, {"detail": text}, json_type
        case "mistral", "bad_request":
            return 422, {"detail": [{"type": "missing", "loc": ["body"], "msg": text}]}, json_type
        case "mistral", _:
            return status, {"object": "error", "message": text, "type": kind, "param": None, "code": "3505"}, json_type
        case "openrouter" | "deepseek", "quota_exhausted":
            return 402, {"error": {"message": text, "code": 402}}, json_type
        case "openrouter", _:
            return status, {"error": {"message": text, "code": status}}, json_type
        case "deepseek", "bad_request":
            return (
                status,
                _openai_error(text, kind, "invalid_request_error"),
                {"content-type": "application/octet-stream"},
            )
        case _:
            return status, _openai_error(text, kind, code), json_type


def _openai_error(message: str, kind: str, code: str | None) -> Any:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}
