"""What recorded answers say, read from the recordings without any of the product's code, and which of them are played.

Of each provider a few are taken, in the order of their names: plain ones, such with thoughts and such with calls, whole
and streamed. Left out is what a client of another format cannot be shown: the provider's own tools, sound, citations.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tests.e2e.foreign.house import Told
from tests.e2e.recordings.exchanges import Exchange

PROVIDERS = {
    "anthropic": "anthropic_messages",
    "gemini": "gemini",
    "ollama": "ollama",
    "openai": "openai_responses",
    "groq": "openai_chat",
    "mistral": "openai_chat",
}
EACH = 2
"""Recordings of one provider, one kind and one way; six kinds of two make a dozen of each provider."""
_WORDS = {
    *("chat.completions", "responses", "messages", "generate_content", "stream_generate_content", "ollama_chat"),
}
_NOT_SHOWN = {
    *("web_search", "web_search_billed", "code_execution", "server_tool_use", "citations", "audio", "video", "mcp"),
    *("n>1", "error", "error_in_200", "refusal", "redacted_thinking", "non_json_body", "sse_unterminated", "no_usage"),
    *("stop_sequence_hit", "content_filter", "finish_error", "audio_tokens", "tool_use_prompt_tokens", "no_usage"),
    *("finish_unexpected_tool_call", "service_tier", "logprobs_returned", "binary_body", "previous_response_id"),
}


def chosen(exchanges: Iterable[Exchange]) -> list[Exchange]:
    """Return the recordings that are played."""
    taken: dict[tuple[str, bool, str], list[Exchange]] = {}
    for exchange in sorted(exchanges, key=lambda exchange: exchange.slug):
        asked = exchange.asked
        if asked is None or PROVIDERS.get(exchange.provider) != asked.wire or exchange.features & _NOT_SHOWN:
            continue
        if (
            exchange.status != 200
            or exchange.kind not in ("json", "sse", "ndjson")
            or not isinstance(exchange.body, dict)
        ):
            continue
        if asked.operation not in _WORDS or not exchange.usage:
            continue
        if exchange.recorded.lstrip().startswith(b"["):
            continue  # Gemini's stream as one array: not how the gateway asks it
        said = told_in(exchange)
        if said is None:
            continue
        kind = "calls" if said.calls else "thoughts" if said.thinking else "plain"
        found = taken.setdefault((exchange.provider, exchange.kind != "json", kind), [])
        if len(found) < EACH:
            found.append(exchange)
    return [exchange for found in taken.values() for exchange in found]


def told_in(exchange: Exchange) -> Told | None:
    """Return what an answer says; `None` where there is something in it that is not read here."""
    assert exchange.asked is not None
    streams = exchange.kind != "json"
    return _READERS[exchange.asked.wire](list(_pieces(exchange)), streams)


def cost_nanousd(exchange: Exchange, dollars: dict[str, int]) -> int:
    """Return what an answer costs, from the recorded counts; prices are in millidollars per million tokens."""
    read, written, long, total, output = _counts(exchange)
    plain = total - read - written - long
    return (
        plain * dollars["input"]
        + read * dollars["cache_read"]
        + written * dollars["cache_write_5m"]
        + long * dollars["cache_write_1h"]
        + output * dollars["output"]
    )


def _counts(exchange: Exchange) -> tuple[int, int, int, int, int]:
    """Return tokens read from a cache, written to it for short and for long, the input and the output in all."""
    said = told_in(exchange)
    assert said is not None
    assert said.input_tokens is not None
    assert said.output_tokens is not None
    written = long = 0
    if exchange.provider == "anthropic":
        for piece in _pieces(exchange):
            usage = piece.get("usage") or (piece.get("message") or {}).get("usage") or {}
            if "cache_creation" in usage:
                written = usage["cache_creation"]["ephemeral_5m_input_tokens"]
                long = usage["cache_creation"]["ephemeral_1h_input_tokens"]
            elif not long:
                written = usage.get("cache_creation_input_tokens") or written
    return said.cached or 0, written, long, said.input_tokens, said.output_tokens


def _pieces(exchange: Exchange) -> Iterator[dict[str, Any]]:
    """Yield each event's JSON, or the only one."""
    if exchange.kind == "json":
        yield json.loads(exchange.recorded)
        return
    for line in exchange.recorded.decode().splitlines():
        data = line.removeprefix("data:").strip()
        if data.startswith("{") and (exchange.kind == "ndjson" or line.startswith("data:")):
            yield json.loads(data)


def _chat(pieces: list[dict[str, Any]], streams: bool) -> Told | None:
    told = Told()
    calls: dict[int, tuple[str, list[str]]] = {}
    usage: dict[str, Any] = {}
    for piece in pieces:
        usage = piece.get("usage") or (piece.get("x_groq") or {}).get("usage") or usage
        for choice in piece.get("choices") or ():
            said = choice["delta" if streams else "message"]
            content = said.get("content")
            parts: list[Any] = content if isinstance(content, list) else [{"type": "text", "text": content or ""}]
            for part in parts:
                match part["type"]:
                    case "text":
                        told.text += part["text"]
                    case "thinking":
                        told.thinking += "".join(inner.get("text", "") for inner in part["thinking"])
                    case _:
                        return None
            told.thinking += said.get("reasoning") or said.get("reasoning_content") or ""
            for at, call in enumerate(said.get("tool_calls") or ()):
                function = call["function"]
                _, written = calls.setdefault(call.get("index", at), (function.get("name"), []))
                written.append(function.get("arguments") or "")
            told.finish = {"stop": "end", "length": "length", "tool_calls": "tools"}.get(
                choice.get("finish_reason") or "", told.finish
            )
    told.calls = [(name, json.loads("".join(written) or "{}")) for name, written in calls.values()]
    told.input_tokens, told.output_tokens = usage.get("prompt_tokens"), usage.get("completion_tokens")
    told.cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    told.reasoning = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0
    return told if told.input_tokens is not None and told.finish is not None else None


def _responses(pieces: list[dict[str, Any]], streams: bool) -> Told | None:
    told = Told()
    response = pieces[-1].get("response") if streams else pieces[0]
    if response is None or response.get("status") not in ("completed", "incomplete"):
        return None
    for item in response["output"]:
        match item["type"]:
            case "reasoning":
                told.thinking += "".join(part["text"] for part in item["summary"])
                if len(item["summary"]) > 1 or item.get("content"):
                    return None
            case "message":
                if any(part["type"] != "output_text" or part.get("annotations") for part in item["content"]):
                    return None
                told.text += "".join(part["text"] for part in item["content"])
            case "function_call":
                told.calls.append((item["name"], json.loads(item["arguments"])))
            case _:
                return None
    usage = response["usage"]
    told.finish = "length" if response["status"] == "incomplete" else "tools" if told.calls else "end"
    told.input_tokens, told.output_tokens = usage["input_tokens"], usage["output_tokens"]
    told.cached = usage["input_tokens_details"]["cached_tokens"]
    told.reasoning = usage["output_tokens_details"]["reasoning_tokens"]
    return told


def _messages(pieces: list[dict[str, Any]], streams: bool) -> Told | None:
    blocks: list[dict[str, Any]] = []
    usage: dict[str, Any] = {}
    stop = None
    if not streams:
        (message,) = pieces
        blocks, usage, stop = message["content"], message["usage"], message["stop_reason"]
    for piece in pieces if streams else ():
        usage |= {name: count for name, count in (piece.get("usage") or {}).items() if count is not None}
        match piece["type"]:
            case "message_start":
                usage |= piece["message"]["usage"]
            case "content_block_start":
                blocks.append({**piece["content_block"], "json": ""})
            case "content_block_delta":
                delta, block = piece["delta"], blocks[piece["index"]]
                for name, key in (("text", "text"), ("thinking", "thinking"), ("partial_json", "json")):
                    block[key] = (block.get(key) or "") + (delta.get(name) or "")
            case "message_delta":
                stop = piece["delta"]["stop_reason"]
    told = Told(finish={"end_turn": "end", "max_tokens": "length", "tool_use": "tools"}.get(stop or ""))
    for block in blocks:
        match block["type"]:
            case "text":
                told.text += block["text"]
            case "thinking":
                told.thinking += block["thinking"]
            case "tool_use":
                told.calls.append((block["name"], json.loads(block["json"]) if block.get("json") else block["input"]))
            case _:
                return None
    read, written = usage.get("cache_read_input_tokens") or 0, usage.get("cache_creation_input_tokens") or 0
    told.input_tokens, told.cached = usage["input_tokens"] + read + written, read
    told.output_tokens = usage["output_tokens"]
    told.reasoning = (usage.get("output_tokens_details") or {}).get("thinking_tokens") or 0
    return told if told.finish is not None else None


def _gemini(pieces: list[dict[str, Any]], streams: bool) -> Told | None:
    del streams  # each chunk is made as a whole answer is
    told, finish = Told(), ""
    usage: dict[str, Any] = {}
    for piece in pieces:
        usage = piece.get("usageMetadata") or usage
        for candidate in piece.get("candidates") or ():
            finish = candidate.get("finishReason") or finish
            for part in (candidate.get("content") or {}).get("parts") or ():
                if "functionCall" in part:
                    told.calls.append((part["functionCall"]["name"], part["functionCall"].get("args") or {}))
                elif "text" not in part:
                    return None
                elif part.get("thought"):
                    told.thinking += part["text"]
                else:
                    told.text += part["text"]
    named = {"STOP": "tools" if told.calls else "end", "MAX_TOKENS": "length"}
    told.finish = named.get(finish)
    told.input_tokens = usage.get("promptTokenCount")
    told.cached, told.reasoning = usage.get("cachedContentTokenCount", 0), usage.get("thoughtsTokenCount", 0)
    told.output_tokens = usage.get("candidatesTokenCount", 0) + told.reasoning
    return told if told.finish is not None and told.input_tokens is not None else None


def _ollama(pieces: list[dict[str, Any]], streams: bool) -> Told | None:
    del streams
    told = Told(cached=0, reasoning=0)
    for piece in pieces:
        message = piece["message"]
        told.text += message.get("content") or ""
        told.thinking += message.get("thinking") or ""
        told.calls += [
            (call["function"]["name"], call["function"]["arguments"]) for call in message.get("tool_calls") or ()
        ]
    last = pieces[-1]
    told.finish = "tools" if told.calls else {"stop": "end", "length": "length"}.get(last.get("done_reason", ""))
    told.input_tokens, told.output_tokens = last.get("prompt_eval_count"), last.get("eval_count")
    return told if told.finish is not None and told.input_tokens and told.output_tokens else None


_READERS: dict[str, Callable[[list[dict[str, Any]], bool], Told | None]] = {
    "openai_chat": _chat,
    "openai_responses": _responses,
    "anthropic_messages": _messages,
    "gemini": _gemini,
    "ollama": _ollama,
}
