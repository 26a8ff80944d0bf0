"""Find the translator of a format; its package is imported when it is first asked for."""

from functools import cache
from importlib import import_module
from typing import cast

from farthing.types.providers import WireFormat
from farthing.wire.translators.protocol import Translator

CHAT_FORMATS: tuple[WireFormat, ...] = (
    "openai_chat",
    "openai_responses",
    "openai_completions",
    "anthropic_messages",
    "gemini",
    "ollama",
)
"""Formats that ask a model for words; each has a package of its name here with a `TRANSLATOR`."""


@cache
def translator(wire: WireFormat) -> Translator:
    """Return the translator of a format that asks for words."""
    assert wire in CHAT_FORMATS, wire
    return cast("Translator", import_module(f"farthing.wire.translators.{wire}").TRANSLATOR)
