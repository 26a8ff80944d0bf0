"""The wire formats that answers come in, by name: how each is read whole, and while it flows by."""

from collections.abc import Mapping
from typing import Protocol

from farthing.types.providers import WireFormat
from farthing.types.usage import UsageHabits
from farthing.wire import (
    anthropic_messages,
    gemini,
    ollama,
    openai_chat,
    openai_completions,
    openai_embeddings,
    openai_responses,
)
from farthing.wire.meter import OnText, Reading, StreamMeter


class Format(Protocol):
    """What a module of `wire/` offers for the answers of one format."""

    def read_answer(self, body: bytes, on_text: OnText, habits: UsageHabits) -> Reading:
        """Read an answer that was not streamed; `on_text` is told its text only where it reports no usage."""
        ...

    def stream_meter(self, on_text: OnText, habits: UsageHabits, *, strip_usage: bool) -> StreamMeter:
        """Return what reads a stream; with `strip_usage` it keeps back the usage that only we had asked for."""
        ...


FORMATS: Mapping[WireFormat, Format] = {
    "openai_chat": openai_chat,
    "openai_responses": openai_responses,
    "openai_completions": openai_completions,
    "openai_embeddings": openai_embeddings,
    "anthropic_messages": anthropic_messages,
    "gemini": gemini,
    "ollama": ollama,
}

STREAMS_OF_JSON: frozenset[WireFormat] = frozenset({"gemini", "ollama"})
"""Formats whose streams are JSON themselves: how an answer begins does not tell there that it is whole. A meter of
these reads a whole answer, too."""
