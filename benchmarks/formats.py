"""One short call of each further wire format, whole and as a stream of 50 pieces of text, for the C upstream to answer.

The sizes are those of the chat completion that the main table measures: 935 B are asked, 1.2 KB are answered.
"""

import json
import struct
from base64 import b64encode
from pathlib import Path
from typing import Any

import msgspec

WORDS = "word " * 150
TEXT = "x" * 700
PIECES = 50


class Format(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked and what is answered; `events` holds whole events, `frame` is how one is written."""

    name: str
    path: str
    body: dict[str, Any]
    answer: dict[str, Any]
    stream_path: str | None = None
    stream_body: dict[str, Any] | None = None
    content_type: str = "text/event-stream"
    events: list[str] = []


def formats() -> list[Format]:
    """Return every format but the chat completion."""
    return [_responses(), _completions(), _embeddings(), _messages(), _gemini(), _ollama()]


def write_answers(folder: Path) -> None:
    """Write what the upstream answers, as `upstream.c` wants it."""
    for one in formats():
        (folder / f"{one.name}.body").write_text(json.dumps(one.answer), encoding="utf-8")
        if one.events:
            text = one.content_type + "\n" + "".join(f"{event}%%\n" for event in one.events)
            (folder / f"{one.name}.events").write_text(text, encoding="utf-8")


def _sse(data: dict[str, Any], name: str | None = None) -> str:
    return (f"event: {name}\n" if name else "") + f"data: {json.dumps(data, separators=(',', ':'))}\n\n"


def _responses() -> Format:
    usage = {
        "input_tokens": 200,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 50,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 250,
    }
    part = {"type": "output_text", "text": TEXT, "annotations": []}
    message = {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [part]}
    whole = {
        "id": "resp_1",
        "object": "response",
        "status": "completed",
        "model": "gpt-5-mini-2025-08-07",
        "output": [message],
        "usage": usage,
        "service_tier": "default",
    }
    begun = {**whole, "status": "in_progress", "output": [], "usage": None}
    delta = {"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "content_index": 0}
    events = [_sse({"type": "response.created", "response": begun}, "response.created")]
    events += [_sse({**delta, "delta": " token"}, "response.output_text.delta")] * PIECES
    events.append(_sse({"type": "response.completed", "response": whole}, "response.completed"))
    body = {"model": "gpt-5-mini", "input": WORDS}
    return Format(
        name="responses",
        path="/v1/responses",
        body=body,
        answer=whole,
        stream_body={**body, "stream": True},
        events=events,
    )


def _completions() -> Format:
    usage = {"prompt_tokens": 200, "completion_tokens": 50, "total_tokens": 250}
    whole = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "gpt-3.5-turbo-instruct"}
    choice = {"index": 0, "logprobs": None, "finish_reason": None}
    events = [_sse({**whole, "choices": [{**choice, "text": " token"}]})] * PIECES
    events.append(_sse({**whole, "choices": [{**choice, "text": "", "finish_reason": "stop"}]}))
    events += [_sse({**whole, "choices": [], "usage": usage}), "data: [DONE]\n\n"]
    body = {"model": "gpt-3.5-turbo-instruct", "prompt": WORDS}
    stream = {**body, "stream": True, "stream_options": {"include_usage": True}}
    answer = {**whole, "choices": [{**choice, "text": TEXT, "finish_reason": "stop"}], "usage": usage}
    return Format(
        name="completions", path="/v1/completions", body=body, answer=answer, stream_body=stream, events=events
    )


def _embeddings() -> Format:
    vector = b64encode(struct.pack("<256f", *[0.1] * 256)).decode()
    return Format(
        name="embeddings",
        path="/v1/embeddings",
        body={"model": "text-embedding-3-small", "input": WORDS, "encoding_format": "base64", "dimensions": 256},
        answer={
            "object": "list",
            "data": [{"object": "embedding", "index": 0, "embedding": vector}],
            "model": "text-embedding-3-small",
            "usage": {"prompt_tokens": 200, "total_tokens": 200},
        },
    )


def _messages() -> Format:
    usage = {"input_tokens": 200, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 50}
    whole = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-4-5-20251001",
        "content": [{"type": "text", "text": TEXT}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": usage,
    }
    begun = {**whole, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": " token"}}
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    ended = {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": usage}
    told: list[dict[str, Any]] = [{"type": "message_start", "message": begun}, block, *[delta] * PIECES]
    told += [{"type": "content_block_stop", "index": 0}, ended, {"type": "message_stop"}]
    body = {"model": "claude-haiku-4-5", "max_tokens": 100, "messages": [{"role": "user", "content": WORDS}]}
    return Format(
        name="messages",
        path="/v1/messages",
        body=body,
        answer=whole,
        stream_body={**body, "stream": True},
        events=[_sse(event, str(event["type"])) for event in told],
    )


def _gemini() -> Format:
    usage = {"promptTokenCount": 200, "candidatesTokenCount": 50, "totalTokenCount": 250}

    def chunk(text: str, finish: str | None = None) -> dict[str, Any]:
        candidate: dict[str, Any] = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
        if finish:
            candidate["finishReason"] = finish
        return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini-2.5-flash"}

    # Gemini ends its lines with CRLF, and tells usage with every event.
    events = [_sse(chunk(" token")).replace("\n", "\r\n")] * PIECES
    events.append(_sse(chunk("", "STOP")).replace("\n", "\r\n"))
    body = {"contents": [{"role": "user", "parts": [{"text": WORDS}]}]}
    return Format(
        name="gemini",
        path="/v1beta/models/gemini-2.5-flash:generateContent",
        body=body,
        answer=chunk(TEXT, "STOP"),
        stream_path="/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
        stream_body=body,
        events=events,
    )


def _ollama() -> Format:
    body = {"model": "qwen3:8b", "messages": [{"role": "user", "content": WORDS}]}
    whole = {"model": "qwen3:8b", "created_at": "2026-11-21T00:00:00Z"}
    said = {**whole, "message": {"role": "assistant", "content": " token"}, "done": False}
    ended = {"done": True, "done_reason": "stop", "prompt_eval_count": 200, "eval_count": 50}
    last = {**whole, "message": {"role": "assistant", "content": ""}, **ended}
    return Format(
        name="ollama",
        path="/api/chat",
        body={**body, "stream": False},
        answer={**whole, "message": {"role": "assistant", "content": TEXT}, **ended},
        stream_body=body,
        content_type="application/x-ndjson",
        events=[json.dumps(event) + "\n" for event in [*[said] * PIECES, last]],
    )
