"""What clients ask and providers answer, in every format, piece by piece and with what each piece is worth.

A `Part` knows its text and what it reports, so that whoever sends it knows at every moment what was produced and what
was said of it. Each piece of text carries its number, so that what has reached a client can be told from its bytes.
The numbers that are reported have nothing to do with the length of the text: who bills one for the other is found out.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from farthing.testing.simulator.schedule import SILENT, Answer, Ask

_LEXICON = ("over", "the", "river", "a", "lamp", "was", "burning", "still", "and", "nobody", "knew", "why")
_PROVIDERS = {
    "chat": "alpha",
    "responses": "alpha",
    "completions": "alpha",
    "embeddings": "alpha",
    "messages": "claude",
    "count_tokens": "claude",
    "generate": "gem",
    "generate_array": "gem",
    "embed_content": "gem",
    "ollama_chat": "llama",
    "ollama_generate": "llama",
    "ollama_embed": "llama",
}
_PATHS = {
    "chat": "/v1/chat/completions",
    "responses": "/v1/responses",
    "completions": "/v1/completions",
    "embeddings": "/v1/embeddings",
    "messages": "/v1/messages",
    "count_tokens": "/v1/messages/count_tokens",
    "ollama_chat": "/api/chat",
    "ollama_generate": "/api/generate",
    "ollama_embed": "/api/embed",
}
_GEMINI = {
    "generate": "generateContent",
    "generate_array": "streamGenerateContent",
    "embed_content": "embedContent",
}
MODELS = {"priced": "sim-priced", "unpriced": "sim-unpriced", "free": "sim-free", "unknown": "nobody-has-this"}
_encode = msgspec.json.encode


class Reported(msgspec.Struct, frozen=True):
    """What a part says of the use: `None` where it says nothing that can be believed; `final` where nothing follows."""

    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int = 0
    final: bool = True


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of an answer: its bytes, the text in them, and what they say of it."""

    data: bytes
    text: str = ""
    reported: Reported | None = None
    finishes: bool = False
    fails: bool = False


def provider_of(ask: Ask) -> str:
    """Return the provider that a call goes to; one whose models cost nothing where that is asked."""
    if ask.provider is not None:
        return ask.provider
    provider = _PROVIDERS[ask.operation]
    return "home" if ask.model == "free" and provider == "alpha" else provider


def text_of(number: int, words: int) -> str:
    """Return a piece of text; it ends in a space, so that pieces together have the words that they have alone."""
    return f"p{number}. " + "".join(_LEXICON[(number + at) % len(_LEXICON)] + " " for at in range(words))


def request_of(ask: Ask, key: str) -> bytes:
    """Return the bytes of a client's request."""
    prompt = text_of(0, ask.prompt_words)
    model = MODELS[ask.model] if ask.model == "unknown" else f"{provider_of(ask)}:{MODELS[ask.model]}"
    model = ask.router or model
    body: dict[str, Any] = {"model": model}
    path, credential = _PATHS.get(ask.operation, ""), f"authorization: Bearer {key}"
    match ask.operation:
        case "chat" | "messages" | "count_tokens" | "ollama_chat":
            body["messages"] = [{"role": "user", "content": prompt}]
        case "responses" | "embeddings" | "ollama_embed":
            body["input"] = prompt
        case "completions" | "ollama_generate":
            body["prompt"] = prompt
        case "generate" | "generate_array" | "embed_content":
            action = "streamGenerateContent" if ask.streamed else _GEMINI[ask.operation]
            query = "?alt=sse" if ask.streamed and ask.operation == "generate" else ""
            path, credential = f"/v1beta/models/{model}:{action}{query}", f"x-goog-api-key: {key}"
            content = {"parts": [{"text": prompt}]}
            body = {"content": content} if ask.operation == "embed_content" else {"contents": [content]}
    if ask.operation in ("messages", "count_tokens"):
        body["max_tokens"] = 64
        credential = f"x-api-key: {key}\r\nanthropic-version: 2023-06-01"
    elif ask.operation.startswith("ollama"):
        path, credential = f"/k/{key}{path}", "x-none: 1"
    if ask.output_limit is not None:
        body |= _limited(ask)
    if "model" in body and (ask.streamed or ask.operation.startswith("ollama")) and ask.operation != "ollama_embed":
        body["stream"] = ask.streamed
    if ask.streamed and ask.asks_for_usage and ask.operation in ("chat", "completions"):
        body["stream_options"] = {"include_usage": True}
    data = _encode(body)
    head = (
        f"POST {path} HTTP/1.1\r\nhost: farthing\r\n{credential}\r\ncontent-type: application/json\r\n"
        f"x-farthing-task: {ask.number}\r\nx-sim-call: {ask.number}\r\ncontent-length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data


def _limited(ask: Ask) -> dict[str, Any]:
    """Return what limits the answer, in the words of the format."""
    match ask.operation:
        case "chat" | "completions" | "messages":
            return {"max_tokens": ask.output_limit}
        case "responses":
            return {"max_output_tokens": ask.output_limit}
        case "generate" | "generate_array":
            return {"generationConfig": {"maxOutputTokens": ask.output_limit}}
        case "ollama_chat" | "ollama_generate":
            return {"options": {"num_predict": ask.output_limit}}
        case _:
            return {}


def answer_of(ask: Ask) -> list[Part]:
    """Return the parts of a provider's answer; one that is not streamed is a single part."""
    answer = ask.answer
    if answer.status != 200:
        return [Part(data=_error_body(ask, answer.status), fails=True)]
    if answer.body == "empty":
        return []
    if answer.body == "garbage":
        return [Part(data=b"<html><body>It works!</body></html>", fails=True)]
    if not ask.streamed:
        if answer.body == "error_inside":
            return [Part(data=_error_body(ask, 503), fails=True)]
        return [_whole(ask)]
    parts = _stream(ask)
    if answer.body == "error_inside":
        said = [part for part in parts if part.text]
        opening = parts[: parts.index(said[0])] if said else parts[:1] if ask.operation == "messages" else []
        return [*opening, *said[: len(said) // 2], _error_part(ask)]
    return parts


def usage_of(ask: Ask) -> Reported | None:
    """Return what a provider's usage says that can be believed; `None` where it sends none."""
    answer = ask.answer
    if ask.operation in SILENT:
        return None if answer.usage == "missing" else Reported(answer.input_tokens, 0)
    cached = 0 if ask.operation.startswith("ollama") else answer.cached_tokens
    match answer.usage:
        case "missing":
            return None
        case "zero":
            # The output of a legacy completion may be its prompt's echo, and 0 is believed.
            # A message without a word still has an empty block, beside which a 0 is not believed.
            empty = not answer.words and (ask.operation != "messages" or ask.streamed)
            believed = 0 if ask.operation == "completions" or empty else None
            return Reported(answer.input_tokens, believed, cached)
        case "negative":
            return Reported(answer.input_tokens, None, cached)
        case "reported" | "disagrees":
            return Reported(answer.input_tokens, answer.output_tokens, cached)


def _sent_output(answer: Answer) -> int:
    return {"zero": 0, "negative": -5}.get(answer.usage, answer.output_tokens)


def _sent_total(answer: Answer) -> int:
    if answer.usage == "negative":
        return answer.input_tokens
    return answer.input_tokens + _sent_output(answer) + (7 if answer.usage == "disagrees" else 0)


def _openai_usage(answer: Answer) -> dict[str, Any]:
    return {
        "prompt_tokens": answer.input_tokens,
        "completion_tokens": _sent_output(answer),
        "total_tokens": _sent_total(answer),
        "prompt_tokens_details": {"cached_tokens": answer.cached_tokens},
    }


def _responses_usage(answer: Answer) -> dict[str, Any]:
    return {
        "input_tokens": answer.input_tokens,
        "input_tokens_details": {"cached_tokens": answer.cached_tokens},
        "output_tokens": _sent_output(answer),
        "total_tokens": _sent_total(answer),
    }


def _messages_input(answer: Answer) -> dict[str, Any]:
    fresh = answer.input_tokens - answer.cached_tokens
    return {"input_tokens": fresh, "cache_read_input_tokens": answer.cached_tokens}


def _gemini_usage(answer: Answer) -> dict[str, Any]:
    return {
        "promptTokenCount": answer.input_tokens,
        "candidatesTokenCount": _sent_output(answer),
        "cachedContentTokenCount": answer.cached_tokens,
        "totalTokenCount": _sent_total(answer),
    }


def _ollama_counts(answer: Answer) -> dict[str, Any]:
    if answer.usage == "missing":
        return {}
    return {"prompt_eval_count": answer.input_tokens, "eval_count": _sent_output(answer)}


def _texts(answer: Answer) -> list[str]:
    return [text_of(number, words) for number, words in enumerate(answer.words)]


def _whole(ask: Ask) -> Part:
    answer, text = ask.answer, "".join(_texts(ask.answer))
    model = MODELS[ask.model]
    counted = answer.usage != "missing"
    body: dict[str, Any]
    match ask.operation:
        case "chat":
            body = {"choices": [{"index": 0, "message": {"content": text}, "finish_reason": "stop"}]}
            body |= {"usage": _openai_usage(answer)} if counted else {}
        case "completions":
            body = {"choices": [{"index": 0, "text": text, "finish_reason": "stop"}]}
            body |= {"usage": _openai_usage(answer)} if counted else {}
        case "responses":
            said = {"type": "message", "content": [{"type": "output_text", "text": text}]}
            body = {"object": "response", "status": "completed", "output": [said]}
            body |= {"usage": _responses_usage(answer)} if counted else {}
        case "messages":
            body = {"type": "message", "content": [{"type": "text", "text": text}]}
            usage = _messages_input(answer) | {"output_tokens": _sent_output(answer)}
            body |= {"usage": usage} if counted else {}
        case "generate" | "generate_array":
            body = {"candidates": [{"index": 0, "content": {"parts": [{"text": text}]}, "finishReason": "STOP"}]}
            body |= {"usageMetadata": _gemini_usage(answer)} if counted else {}
            return _finished(ask, body | {"modelVersion": model}, text)
        case "ollama_chat":
            body = {"message": {"role": "assistant", "content": text}, "done": True, **_ollama_counts(answer)}
        case "ollama_generate":
            body = {"response": text, "done": True, **_ollama_counts(answer)}
        case "count_tokens":
            return Part(data=_encode({"input_tokens": answer.input_tokens}), finishes=True)
        case "embeddings":
            body = {"object": "list", "data": [{"index": 0, "embedding": [0.25, 0.5]}]}
            counts = {"prompt_tokens": answer.input_tokens, "total_tokens": answer.input_tokens}
            body |= {"usage": counts} if counted else {}
        case "embed_content":
            body = {"embedding": {"values": [0.25, 0.5]}}
            body |= {"usageMetadata": {"promptTokenCount": answer.input_tokens}} if counted else {}
            return _finished(ask, body, text)
        case "ollama_embed":
            body = {"embeddings": [[0.25, 0.5]]}
            body |= {"prompt_eval_count": answer.input_tokens} if counted else {}
    return _finished(ask, {"model": model, **body}, text)


def _finished(ask: Ask, body: dict[str, Any], text: str) -> Part:
    return Part(data=_encode(body), text=text, reported=usage_of(ask), finishes=True)


def _stream(ask: Ask) -> list[Part]:
    match ask.operation:
        case "chat" | "completions":
            return _openai_stream(ask)
        case "responses":
            return _responses_stream(ask)
        case "messages":
            return _messages_stream(ask)
        case "generate" | "generate_array":
            return _gemini_stream(ask)
        case _:
            return _ollama_stream(ask)


def _event(event: dict[str, Any], *, named: bool = False, end: str = "\n") -> bytes:
    name = f"event: {event['type']}{end}" if named else ""
    return b"%bdata: %b%b" % (name.encode(), _encode(event), end.encode() * 2)


def _openai_stream(ask: Ask) -> list[Part]:
    answer, model, chat = ask.answer, MODELS[ask.model], ask.operation == "chat"

    def chunk(text: str, finish: str | None = None) -> bytes:
        said = {"delta": {"content": text}} if chat else {"text": text}
        return _event({"model": model, "choices": [{"index": 0, **said, "finish_reason": finish}]})

    parts = [Part(data=chunk(text), text=text) for text in _texts(answer)]
    parts.append(Part(data=chunk("", "stop"), finishes=True))
    if answer.usage != "missing":
        counted = {"model": model, "choices": [], "usage": _openai_usage(answer)}
        parts.append(Part(data=_event(counted), reported=usage_of(ask)))
    return [*parts, Part(data=b"data: [DONE]\n\n")]


def _responses_stream(ask: Ask) -> list[Part]:
    answer, texts = ask.answer, _texts(ask.answer)
    response: dict[str, Any] = {"object": "response", "model": MODELS[ask.model], "status": "in_progress"}
    begun = {"type": "response.created", "response": {**response, "output": []}}
    parts = [Part(data=_event(begun, named=True))]
    for text in texts:
        delta = {"type": "response.output_text.delta", "delta": text}
        parts.append(Part(data=_event(delta, named=True), text=text))
    said = {"type": "message", "content": [{"type": "output_text", "text": "".join(texts)}]}
    ended = {**response, "status": "completed", "output": [said]}
    if answer.usage != "missing":
        ended["usage"] = _responses_usage(answer)
    last = _event({"type": "response.completed", "response": ended}, named=True)
    return [*parts, Part(data=last, reported=usage_of(ask), finishes=True)]


def _messages_stream(ask: Ask) -> list[Part]:
    answer, counted = ask.answer, ask.answer.usage != "missing"
    message: dict[str, Any] = {"type": "message", "model": MODELS[ask.model], "content": []}
    if counted:
        message["usage"] = _messages_input(answer) | {"output_tokens": 1}
    first = Reported(answer.input_tokens, 1, answer.cached_tokens, final=False) if counted else None
    begun = _event({"type": "message_start", "message": message}, named=True)
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    parts = [Part(data=begun, reported=first), Part(data=_event(block, named=True))]
    for text in _texts(answer):
        delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}
        parts.append(Part(data=_event(delta, named=True), text=text))
    ended: dict[str, Any] = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}
    if counted:
        ended["usage"] = {"output_tokens": _sent_output(answer)}
    parts.append(Part(data=_event({"type": "content_block_stop", "index": 0}, named=True)))
    parts.append(Part(data=_event(ended, named=True), reported=usage_of(ask), finishes=True))
    return [*parts, Part(data=_event({"type": "message_stop"}, named=True))]


def _gemini_stream(ask: Ask) -> list[Part]:
    answer, model = ask.answer, MODELS[ask.model]
    texts = [*_texts(answer), ""]
    chunks: list[dict[str, Any]] = [
        {"candidates": [{"index": 0, "content": {"parts": [{"text": text}]}}], "modelVersion": model} for text in texts
    ]
    chunks[-1]["candidates"][0]["finishReason"] = "STOP"
    if answer.usage != "missing":
        chunks[-1]["usageMetadata"] = _gemini_usage(answer)
    if ask.operation == "generate":
        events = [_event(chunk, end="\r\n") for chunk in chunks]
    else:
        events = [(b",\r\n" if at else b"[") + _encode(chunk) for at, chunk in enumerate(chunks)]
    parts = [Part(data=event, text=text) for event, text in zip(events[:-1], texts, strict=False)]
    parts.append(Part(data=events[-1], reported=usage_of(ask), finishes=True))
    return parts if ask.operation == "generate" else [*parts, Part(data=b"]\n")]


def _ollama_stream(ask: Ask) -> list[Part]:
    answer, model, chat = ask.answer, MODELS[ask.model], ask.operation == "ollama_chat"

    def line(text: str, **more: Any) -> bytes:
        said = {"message": {"role": "assistant", "content": text}} if chat else {"response": text}
        return _encode({"model": model, **said, "done": False, **more}) + b"\n"

    parts = [Part(data=line(text), text=text) for text in _texts(answer)]
    last = line("", done=True, done_reason="stop", **_ollama_counts(answer))
    return [*parts, Part(data=last, reported=usage_of(ask), finishes=True)]


def _error_body(ask: Ask, status: int) -> bytes:
    if ask.operation in ("messages", "count_tokens"):
        return _encode({"type": "error", "error": {"type": "overloaded_error", "message": "no"}})
    if ask.operation.startswith("ollama"):
        return _encode({"error": "no"})
    return _encode({"error": {"message": "no", "type": "server_error", "code": status, "status": "UNAVAILABLE"}})


def _error_part(ask: Ask) -> Part:
    error: dict[str, Any] = {"message": "no", "code": 503}
    match ask.operation:
        case "messages":
            data = _event({"type": "error", "error": {"type": "overloaded_error", "message": "no"}}, named=True)
        case "responses":
            data = _event({"type": "error", "code": "server_error", "message": "no"}, named=True)
        case "generate":
            data = _event({"error": error}, end="\r\n")
        case "generate_array":
            data = b",\r\n" if len(ask.answer.words) > 1 else b"["
            data += _encode({"error": error}) + b"]\n"
        case "ollama_chat" | "ollama_generate":
            data = _encode({"error": "no"}) + b"\n"
        case _:
            data = _event({"error": error})
    return Part(data=data, fails=True)


def pieces_of(data: bytes, count: int) -> Sequence[bytes]:
    """Return the bytes in about as many pieces of the same size."""
    size = max(1, -(-len(data) // max(1, count)))
    return [data[at : at + size] for at in range(0, len(data), size)]
