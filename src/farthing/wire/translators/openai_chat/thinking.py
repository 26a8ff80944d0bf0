"""What a model thought, under the names that those who speak this format have for it.

There are four: `reasoning_content` (DeepSeek, z.ai, xAI, Alibaba), `reasoning` (Groq, Together, Cerebras, Ollama),
`reasoning_details` beside it, with signatures (OpenRouter, Vercel), and a list in `content` (Mistral). Several refuse
a tool loop whose thoughts do not come back as they were said, so each thought carries how: its signature's value is one
of the names, or a detail as JSON, without its text. Only this format reads it.
"""

from typing import Any, Literal

import msgspec

from farthing.types.chat import Signature, Thinking
from farthing.wire.lenient import UNREADABLE
from farthing.wire.translators.marks import is_marked

WIRE: Literal["openai_chat"] = "openai_chat"

CONTENT = Signature(WIRE, "reasoning_content")
REASONING = Signature(WIRE, "reasoning")
LISTED = Signature(WIRE, "thinking")
"""Mistral's, in the list that its content is then."""

_TEXTS = ("text", "summary")


def plain_thought(message: dict[str, Any]) -> tuple[str, Signature] | None:
    """Return the thinking that stands in a message under one of the two plain names, and which."""
    for signature in (CONTENT, REASONING):
        text = message.get(signature.value)
        if text and isinstance(text, str):
            return text, signature
    return None


def listed_text(thinking: object) -> str:
    """Return the text of Mistral's thinking: a list of texts."""
    if isinstance(thinking, str):
        return thinking
    if not isinstance(thinking, list):
        return ""
    pieces = [piece.get("text") for piece in thinking if isinstance(piece, dict)]
    return "".join([piece for piece in pieces if isinstance(piece, str)])


def detail_text(detail: dict[str, Any]) -> str:
    """Return the text of a detail, or its summary."""
    for name in _TEXTS:
        text = detail.get(name)
        if text and isinstance(text, str):
            return text
    return ""


def detail_seal(detail: dict[str, Any]) -> dict[str, Any]:
    """Return what is to be kept of a detail beside its text; empty signatures say nothing."""
    return {
        name: value
        for name, value in sorted(detail.items())
        if name not in _TEXTS and value is not None and not (name == "signature" and value == "")
    }


def sealed(seal: dict[str, Any]) -> Signature:
    """Return the signature that stands for a detail without its text."""
    return Signature(WIRE, msgspec.json.encode(seal).decode())


def thoughts_in(details: list[Any]) -> list[Thinking]:
    """Return the thinking that whole details are."""
    found = []
    for detail in details:
        if not isinstance(detail, dict):
            continue
        text, seal = detail_text(detail), detail_seal(detail)
        if text or "data" in seal or "signature" in seal:
            found.append(Thinking(text, sealed(seal), redacted=not text))
    return found


class Thoughts:
    """The thoughts of one message as they were once said; what this format's providers never said is left out.

    `listed` are those that Mistral wants in the content.
    """

    __slots__ = ("_details", "_texts", "listed")

    def __init__(self) -> None:
        self._texts: dict[str, list[str]] = {}
        self._details: list[Any] = []
        self.listed: list[dict[str, Any]] = []

    def add(self, thought: Thinking) -> None:
        """Take one."""
        value = said_as(thought)
        if value.startswith("{"):
            try:
                detail = msgspec.json.decode(value)
            except UNREADABLE:
                return
            if thought.text:
                detail["summary" if detail.get("type") == "reasoning.summary" else "text"] = thought.text
            self._details.append(detail)
        elif value == LISTED.value:
            self.listed.append({"type": "thinking", "thinking": [{"type": "text", "text": thought.text}]})
        elif value in (CONTENT.value, REASONING.value):
            self._texts.setdefault(value, []).append(thought.text)

    def write(self, message: dict[str, Any]) -> None:
        """Write those that stand beside the content."""
        for name, texts in self._texts.items():
            message[name] = "".join(texts)
        if self._details:
            message["reasoning_details"] = self._details


def said_as(thought: Thinking) -> str:
    """Return how a provider of this format said a thought; empty where none did.

    Of a mark, whose signature is lost, all that is known is that one did.
    """
    signature = thought.signature
    if signature is None or signature.origin != WIRE:
        return ""
    return CONTENT.value if is_marked(signature.value) else signature.value
