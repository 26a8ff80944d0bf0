"""What the client must get: the recorded answer, byte for byte, but for what is listed here with its reason."""

import json
import re
from typing import Any

from farthing.types.providers import WireFormat
from tests.e2e.recordings.entries import Entry
from tests.e2e.recordings.exchanges import Exchange
from tests.e2e.recordings.sending import we_ask_for_usage
from tests.e2e.support import Answer


def check_client_side(exchange: Exchange, entry: Entry, answer: Answer) -> str | None:
    """Return what differs from the recording, of what may differ; raise on what may not."""
    assert exchange.asked is not None
    recorded = exchange.recorded
    if (wait := exchange.answer["headers"].get("retry-after")) is not None:
        assert answer.headers.get("retry-after") == wait, f"{exchange.slug}: to wait {wait} s is not passed on"
    if answer.status == exchange.status and answer.body == recorded:
        return None
    if exchange.status >= 400:
        assert answer.status == exchange.status, f"{exchange.slug}: {answer.status} {answer.body[:200]!r}"
        _check_told(exchange.asked.wire, answer, messages_in(recorded), exchange.slug)
        return "an error body without the face's shape is rendered in it"
    if answer.status >= 400 and "error_in_200" in exchange.features:
        errors = re.findall(rb'\{"error":.*', recorded) or re.findall(rb"\{.*\"error\".*\}", recorded)
        _check_told(exchange.asked.wire, answer, messages_in(errors[0]), exchange.slug)
        return "an error that came before any output, inside a 200, is told by its status"
    if not recorded:
        assert answer.status == 502
        assert b"provider_cut" in answer.body
        return "a stream that was recorded empty is told as a cut, with its status"
    if we_ask_for_usage(exchange, entry):
        kept = [event for event in re.split(rb"(?<=\n\n)", recorded) if not is_usage_only(event)]
        assert answer.body == b"".join(kept), exchange.slug
        return "the usage chunk that nobody asked for is kept from the client"
    raise AssertionError(f"{exchange.slug}: the client got {answer.status} {answer.body[:300]!r}")


def _check_told(wire: WireFormat, answer: Answer, messages: list[str], slug: str) -> None:
    """Raise unless the client is told a provider's words in its own shape."""
    check_error_shape(wire, answer.json(), slug)
    said = json.dumps(answer.json(), ensure_ascii=False)
    for message in messages:
        assert json.dumps(message[:50], ensure_ascii=False)[1:-1] in said, f"{slug}: {message!r} is lost"


def check_error_shape(wire: WireFormat, error: Any, slug: str) -> None:
    """Raise unless an error body is what the clients of a format know."""
    inner = error["error"]
    match wire:
        case "ollama":
            assert isinstance(inner, str), slug
        case "gemini":
            assert isinstance(inner["code"], int), slug
            assert isinstance(inner["message"], str), slug
            assert isinstance(inner["status"], str), slug
        case "anthropic_messages":
            assert error["type"] == "error", slug
            assert isinstance(inner["message"], str), slug
        case _:
            assert isinstance(inner["message"], str), slug


def messages_in(recorded: bytes) -> list[str]:
    """Return the words in a recorded error body: each text called a message, or all of it where it is no JSON."""
    try:
        error = json.loads(recorded)
    except ValueError:
        title = re.search(rb"<title>(.*?)</title>", recorded, re.DOTALL | re.IGNORECASE)
        return [(title.group(1) if title else recorded).decode().strip()]
    found = list(_messages(error))
    return [message for message in found if message]


def _messages(error: Any, name: str = "") -> list[str]:
    if isinstance(error, str):
        return [error] if name in ("message", "detail", "msg", "error") else []
    if isinstance(error, dict):
        # A reseller's `metadata` repeats what the one behind it said; what counts is its own message.
        return [m for key, value in error.items() if key != "metadata" for m in _messages(value, key)]
    if isinstance(error, list):
        return [m for value in error for m in _messages(value, name)]
    return []


def is_usage_only(event: bytes) -> bool:
    if not event.startswith(b"data: {"):
        return False
    chunk = json.loads(event[6:])
    return chunk.get("choices") == [] and bool(chunk.get("usage"))
