"""Small answers of each format, with all that a meter looks at: text, thinking, tool calls, usage, an error."""

import json
from typing import Any

from farthing.types.providers import WireFormat


def _events(*events: Any, named: bool = False, end: str = "\n", done: bool = False) -> bytes:
    lines = [
        (f"event: {event['type']}{end}" if named else "") + f"data: {json.dumps(event)}{end}{end}" for event in events
    ]
    return "".join([*lines, *([f"data: [DONE]{end}{end}"] if done else [])]).encode()


def _lines(*lines: Any) -> bytes:
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


_CHAT_USAGE = {
    "prompt_tokens": 20,
    "completion_tokens": 9,
    "total_tokens": 29,
    "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2, "audio_tokens": 1},
    "completion_tokens_details": {"reasoning_tokens": 3, "audio_tokens": 1},
    "cost": 0.0012,
}
_RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "model": "m",
    "status": "completed",
    "service_tier": "default",
    "output": [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "so"}]},
        {"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "q"}},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Hello", "annotations": []}],
        },
        {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "c"},
    ],
    "usage": {
        "input_tokens": 20,
        "input_tokens_details": {"cached_tokens": 4},
        "output_tokens": 9,
        "output_tokens_details": {"reasoning_tokens": 3},
        "total_tokens": 29,
    },
}
_GEMINI_USAGE = {
    "promptTokenCount": 20,
    "candidatesTokenCount": 5,
    "thoughtsTokenCount": 3,
    "toolUsePromptTokenCount": 2,
    "cachedContentTokenCount": 4,
    "totalTokenCount": 30,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 19}, {"modality": "AUDIO", "tokenCount": 1}],
    "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 5}],
}


def _gemini(*parts: Any, **more: Any) -> dict[str, Any]:
    candidate = {"index": 0, "content": {"role": "model", "parts": list(parts)}, **more}
    return {"candidates": [candidate], "usageMetadata": _GEMINI_USAGE, "modelVersion": "m", "responseId": "r"}


_GEMINI = (
    _gemini({"text": "so", "thought": True}),
    _gemini({"text": "Hello"}, {"functionCall": {"name": "f", "args": {"a": 1}}}),
    _gemini({"text": ""}, finishReason="STOP", groundingMetadata={"webSearchQueries": ["q"]}),
)


def _chat(delta: Any, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": None}
    return {"id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [choice], **more}


SAMPLES: dict[WireFormat, list[bytes]] = {
    "openai_chat": [
        _events(
            _chat({"role": "assistant", "content": ""}, usage=None),
            _chat({"reasoning_content": "so"}),
            _chat({"content": "Hello"}, service_tier="default"),
            _chat({"tool_calls": [{"index": 0, "id": "t", "function": {"name": "f", "arguments": "{}"}}]}),
            {"model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
            {"model": "m", "choices": [], "usage": _CHAT_USAGE},
            done=True,
        ),
        b": PROCESSING\n\n"
        + _events(_chat({"content": "H"}), {"choices": [], "error": {"code": 502, "message": "no"}}),
        _events(_chat({"content": "H"}), {"choices": [], "x_groq": {"id": "r", "usage": _CHAT_USAGE}}, end="\r\n"),
        json.dumps(
            {
                "model": "m",
                "choices": [{"message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
                "usage": _CHAT_USAGE,
            }
        ).encode(),
    ],
    "openai_completions": [
        _events(
            {"model": "m", "choices": [{"index": 0, "text": "Hello", "finish_reason": None}], "usage": None},
            {"model": "m", "choices": [{"index": 0, "text": "", "finish_reason": "stop"}], "usage": None},
            {"model": "m", "choices": [], "usage": _CHAT_USAGE},
            done=True,
        ),
        json.dumps({"model": "m", "choices": [{"text": "Hi", "finish_reason": "stop"}], "usage": _CHAT_USAGE}).encode(),
    ],
    "openai_responses": [
        _events(
            {
                "type": "response.created",
                "response": {**_RESPONSE, "status": "in_progress", "usage": None, "output": []},
            },
            {"type": "response.reasoning_summary_text.delta", "delta": "so"},
            {"type": "response.output_text.delta", "delta": "Hello", "item_id": "i"},
            {"type": "response.function_call_arguments.delta", "delta": "{}"},
            {"type": "response.output_item.done", "item": _RESPONSE["output"][1]},  # type: ignore[index]
            {"type": "response.completed", "response": _RESPONSE},
            named=True,
        ),
        _events({"type": "error", "code": "server_error", "message": "no", "param": None}, named=True),
        _events({"type": "response.failed", "response": {**_RESPONSE, "error": {"code": "x", "message": "no"}}}),
        json.dumps(_RESPONSE).encode(),
    ],
    "openai_embeddings": [
        json.dumps(
            {
                "object": "list",
                "model": "m",
                "data": [{"object": "embedding", "index": 0, "embedding": [0.25, -1e-3]}],
                "usage": {"prompt_tokens": 5, "total_tokens": 5},
            }
        ).encode(),
        json.dumps({"data": [{"embedding": "AACAPw=="}], "usage": {"total_tokens": 5}}).encode(),
    ],
    "anthropic_messages": [
        _events(
            {
                "type": "message_start",
                "message": {
                    "model": "m",
                    "content": [],
                    "usage": {
                        "input_tokens": 10,
                        "cache_read_input_tokens": 4,
                        "cache_creation_input_tokens": 5,
                        "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 3},
                        "output_tokens": 1,
                        "service_tier": "standard",
                    },
                },
            },
            {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "so"}},
            {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Hello"}},
            {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": "{}"}},
            {"type": "ping"},
            {
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn"},
                "usage": {"output_tokens": 9, "server_tool_use": {"web_search_requests": 1}},
            },
            {"type": "message_stop"},
            named=True,
        ),
        _events({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, named=True),
        json.dumps(
            {
                "type": "message",
                "model": "m",
                "content": [{"type": "text", "text": "Hello"}, {"type": "tool_use", "name": "f", "input": {}}],
                "usage": {"input_tokens": 10, "output_tokens": 9},
            }
        ).encode(),
    ],
    "gemini": [
        _events(*_GEMINI, end="\r\n"),
        _events(*_GEMINI),
        _events(_GEMINI[0], {"error": {"code": 503, "message": "no", "status": "UNAVAILABLE"}}, end="\r\n"),
        json.dumps(list(_GEMINI), indent=1).encode(),
        json.dumps(_GEMINI[2]).encode(),
        json.dumps({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 3}}).encode(),
        json.dumps({"embeddings": [{"values": [0.5]}], "usageMetadata": {"promptTokenCount": 3}}).encode(),
    ],
    "ollama": [
        _lines(
            {"model": "m", "message": {"role": "assistant", "content": "", "thinking": "so"}, "done": False},
            {"model": "m", "message": {"role": "assistant", "content": "Hello"}, "done": False},
            {
                "model": "m",
                "message": {"content": "", "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]},
                "done": False,
            },
            {"model": "m", "done": True, "done_reason": "stop", "prompt_eval_count": 20, "eval_count": 9},
        ),
        _lines({"model": "m", "response": "H", "done": False}, {"error": "an error was met"}),
        json.dumps({"model": "m", "embeddings": [[0.5]], "prompt_eval_count": 3}).encode(),
    ],
}

_JSON_ERRORS: tuple[Any, ...] = (
    {"error": {"message": "no", "type": "invalid_request_error", "param": None, "code": "bad"}},
    {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}, "request_id": "r"},
    [{"error": {"code": 429, "message": "no", "status": "X", "details": [{"retryDelay": "22s"}]}}],
    {"error": "no"},
    {"detail": [{"loc": ["body", 0], "msg": "no", "type": "missing"}]},
    {"success": False, "errors": [{"code": 7, "message": "no"}]},
    {"object": "error", "message": {"detail": [{"msg": "no"}]}, "code": None},
)
ERRORS: tuple[bytes, ...] = (
    *(json.dumps(error).encode() for error in _JSON_ERRORS),
    b"<html><head><title>502 Bad Gateway</title></head></html>",
    b"upstream connect error",
)
"""The bodies of refusals, in as many shapes as were recorded."""
