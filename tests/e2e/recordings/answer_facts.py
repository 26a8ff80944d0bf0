"""What an answer says of itself besides usage: which model answered, and whether it was an error."""

import json
from collections.abc import Iterator
from typing import Any

from tests.e2e.recordings.exchanges import Exchange


def served_model(exchange: Exchange) -> str | None:
    """Return the last model that the answer names; `None` where it names none."""
    named = None
    for part in _parts(exchange):
        # Anthropic's streams name it in `message`, OpenAI's Responses in `response`.
        for holder in (part, part.get("message"), part.get("response")):
            if isinstance(holder, dict):
                named = holder.get("model") or holder.get("modelVersion") or named
    return named


def _parts(exchange: Exchange) -> Iterator[dict[str, Any]]:
    text = exchange.recorded.decode()
    if exchange.kind == "json":
        texts = [text]
    elif exchange.kind == "ndjson":
        texts = text.splitlines()
    else:
        texts = [line[5:] for line in text.splitlines() if line.startswith("data:")]
    for piece in texts:
        try:
            value = json.loads(piece)
        except ValueError:
            continue  # `[DONE]`
        yield from (part for part in (value if isinstance(value, list) else [value]) if isinstance(part, dict))
