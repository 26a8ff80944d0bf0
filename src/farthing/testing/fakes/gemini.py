"""A fake that speaks Gemini's generateContent.

As the real one: the path names the model and whether it streams; every chunk tells usage so far, thoughts beside the
other output and the cached part inside the prompt's count, and counts of 0 are left out; a call of a function comes
whole, without an id, with a signature; there is no `[DONE]`, and the reason to stop is `STOP` after a call as well.
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

_STOPS = {"end": "STOP", "length": "MAX_TOKENS", "tools": "STOP"}
_CACHE_MINIMUM_TOKENS = 1_024
_ERRORS: dict[Refused, tuple[int, str, str]] = {
    "unauthorized": (400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."),
    "rate_limited": (429, "RESOURCE_EXHAUSTED", "The fake is asked too often."),
    "quota_exhausted": (429, "RESOURCE_EXHAUSTED", "You exceeded your current quota of the fake."),
    "server_error": (500, "INTERNAL", "Something in the fake went wrong."),
    "overloaded": (503, "UNAVAILABLE", "The fake is overloaded."),
    "bad_request": (400, "INVALID_ARGUMENT", ""),
    "model_not_found": (404, "NOT_FOUND", ""),
    "no_such_path": (404, "NOT_FOUND", "Not found"),
}
_ACTIONS: dict[str, Operation] = {
    "generateContent": "answer",
    "streamGenerateContent": "answer",
    "countTokens": "count_tokens",
}


class Gemini:
    """See `WireFormat`."""

    name = "gemini"
    request_id_header = "x-gemini-request-id"

    def operation(self, method: str, path: str) -> Operation | None:
        """See `WireFormat.operation`."""
        path = path.partition("?")[0]
        if method == "POST":
            return _ACTIONS.get(path.rpartition(":")[2])
        return "models" if path.endswith("/models") else None

    def credential(self, headers: Mapping[str, str]) -> str | None:
        """See `WireFormat.credential`."""
        return headers.get("x-goog-api-key") or None

    def read(self, body: Any, path: str) -> Asked:
        """See `WireFormat.read`; a count of tokens may be asked for the whole request, one level deeper."""
        if isinstance(body, dict) and isinstance(body.get("generateContentRequest"), dict):
            body = body["generateContentRequest"]
        if not isinstance(body, dict) or not isinstance(body.get("contents"), list):
            raise BadRequest("* GenerateContentRequest.contents: contents is not specified")
        contents = body["contents"]
        if not all(isinstance(content, dict) and isinstance(content.get("parts"), list) for content in contents):
            raise BadRequest("Unable to submit request because it must include at least one parts field.")
        model, _, action = path.partition("?")[0].rpartition("/models/")[2].rpartition(":")
        config = body.get("generationConfig") or {}
        thinking = config.get("thinkingConfig") or {}
        mode = ((body.get("toolConfig") or {}).get("functionCallingConfig") or {}).get("mode")
        functions = [one for tool in body.get("tools") or () for one in tool.get("functionDeclarations") or ()]
        last = contents[-1]["parts"] if contents else []
        return Asked(
            model=model,
            streamed=action == "streamGenerateContent",
            blocks=tuple(_blocks(body)),
            wanted=Wanted(
                tools=tuple(
                    (one["name"], one.get("parametersJsonSchema") or one.get("parameters")) for one in functions
                ),
                must_call=mode == "ANY",
                after_tool_result=any("functionResponse" in part for part in last),
                reasons=bool(thinking) and thinking.get("thinkingBudget") != 0,
                max_tokens=config.get("maxOutputTokens"),
            ),
        )

    def served_as(self, model: str) -> str:
        """See `WireFormat.served_as`."""
        return model

    def consume(self, cache: PromptCache, model: str, asked: Asked) -> Cached:
        """See `WireFormat.consume`."""
        read = cache.automatic(model, asked.blocks, minimum_tokens=_CACHE_MINIMUM_TOKENS, step_tokens=1)
        return Cached(read=read)

    def new_request_id(self, dice: random.Random) -> str:
        """See `WireFormat.new_request_id`."""
        return random_text(dice, 22)

    def headers(self, request_id: str, *, streamed: bool) -> dict[str, str]:
        """See `WireFormat.headers`."""
        kind = "text/event-stream" if streamed else "application/json; charset=UTF-8"
        return {"content-type": kind, "server-timing": "gfet4t7; dur=12", "x-request-id": request_id}

    def stream(self, job: Job) -> Iterator[Event]:
        """See `WireFormat.stream`."""
        written = thought = 0
        pieces = list(_pieces(job))
        for place, (part, tokens, thinking) in enumerate(pieces):
            written += tokens - thinking
            thought += thinking
            is_last = place == len(pieces) - 1
            body = _body(job, [part], written, thought, ended=is_last)
            yield Event(b"data: %b\r\n\r\n" % msgspec.json.encode(body), tokens, thinking, tells_usage=is_last)

    def whole(self, job: Job) -> bytes:
        """See `WireFormat.whole`."""
        parts: list[dict[str, Any]] = []
        for part, _, _ in _pieces(job):
            if parts and "text" in part and "text" in parts[-1] and part.get("thought") == parts[-1].get("thought"):
                parts[-1]["text"] += part["text"]
            elif part != {"text": ""} or not parts:
                parts.append(dict(part))
        used = job.usage
        assert used.output_tokens is not None
        thought = used.reasoning_output_tokens
        return msgspec.json.encode(_body(job, parts, used.output_tokens - thought, thought, ended=True))

    def error_event(self, job: Job) -> bytes:
        """See `WireFormat.error_event`."""
        del job
        failed = {"code": 503, "message": "The fake is overloaded.", "status": "UNAVAILABLE"}
        return b"data: %b\r\n\r\n" % msgspec.json.encode({"error": failed})

    def refusal(self, why: Refused, request_id: str, *, retry_after_s: int = 1, message: str = "") -> Refusal:
        """See `WireFormat.refusal`."""
        if why == "html":
            return html_page()
        status, named, text = _ERRORS[why]
        headers = {"content-type": "application/json; charset=UTF-8", "x-request-id": request_id}
        told: dict[str, Any] = {"code": status, "message": message or text, "status": named}
        if why == "rate_limited":
            kind = "type.googleapis.com/google.rpc.RetryInfo"
            told["details"] = [{"@type": kind, "retryDelay": f"{retry_after_s}s"}]
        return Refusal(status, msgspec.json.encode({"error": told}), headers)

    def models(self, names: Sequence[str]) -> bytes:
        """See `WireFormat.models`."""
        methods = ["generateContent", "countTokens"]
        rows = [{"name": f"models/{name}", "version": "1", "supportedGenerationMethods": methods} for name in names]
        return msgspec.json.encode({"models": rows})

    def token_count(self, asked: Asked) -> bytes:
        """See `WireFormat.token_count`."""
        return msgspec.json.encode({"totalTokens": asked.input_tokens})


def _blocks(body: dict[str, Any]) -> Iterator[Block]:
    system = [body["systemInstruction"]] if body.get("systemInstruction") else []
    for part in (*(body.get("tools") or ()), *system, *body["contents"]):
        text = msgspec.json.encode(part, order="sorted")
        yield Block(text, count_tokens(text))


def _pieces(job: Job) -> Iterator[tuple[dict[str, Any], int, int]]:
    """Yield each part of a stream with its tokens, and how many of them are thoughts; at least one."""
    answer = job.answer
    for text in answer.reasoning:
        yield {"text": text, "thought": True}, 1, 1
    for text in answer.texts[0]:
        yield {"text": text}, 1, 0
    signature = {"thoughtSignature": random_text(job.dice, 120)}
    for name, pieces in answer.tools:
        call = {"name": name, "args": msgspec.json.decode("".join(pieces) or "{}")}
        yield {"functionCall": call, **signature}, TOOL_CALL_TOKENS + len(pieces), 0
        signature = {}
    if not (answer.tools or answer.texts[0]):
        yield {"text": ""}, 0, 0


def _body(job: Job, parts: list[dict[str, Any]], written: int, thought: int, *, ended: bool) -> dict[str, Any]:
    used = job.usage
    assert used.input_tokens is not None
    counts = {
        "promptTokenCount": used.input_tokens,
        "cachedContentTokenCount": used.cache_read_input_tokens,
        "candidatesTokenCount": written,
        "thoughtsTokenCount": thought,
        "totalTokenCount": used.input_tokens + written + thought,
    }
    stop = {"finishReason": _STOPS[job.answer.stop]} if ended else {}
    return {
        "candidates": [{"content": {"role": "model", "parts": parts}, **stop, "index": 0}],
        "usageMetadata": {name: count for name, count in counts.items() if count},
        "modelVersion": job.model_served,
        "responseId": job.request_id,
    }
