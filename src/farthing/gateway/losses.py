"""What becomes of what a translation would lose: refused, warned of, or let pass; by the operator's settings.

What changes the meaning of a request is refused unless the settings say otherwise; of the rest the client is told in a
header, the operator in the log, and both find it in the ledger.
"""

from collections.abc import Iterable, Mapping

from farthing.config.schema import LossAction, TranslationSettings
from farthing.errors import LostInTranslation
from farthing.types.models import ModelRef
from farthing.types.providers import WireFormat
from farthing.wire.translators.features import Feature, Used
from farthing.wire.translators.own_names import own_name

MAX_TOLD = 20
"""Losses named in one header or line; a request with everything in it at once has about 15."""
_MAX_FIELD_CHARS = 60
FORMATS_IN_WORDS: Mapping[WireFormat, str] = {
    "openai_chat": "OpenAI's chat",
    "openai_responses": "OpenAI's responses",
    "openai_completions": "OpenAI's completions",
    "openai_embeddings": "OpenAI's embeddings",
    "anthropic_messages": "Anthropic's messages",
    "gemini": "Gemini's format",
    "ollama": "Ollama's format",
}
_COUNTED_OTHERWISE = ("messages[", "server_tools[", "inputs[")
"""Beginnings of places whose numbers are those of the neutral form."""


class LossPolicy:
    """The operator's settings, applied."""

    def __init__(self, settings: TranslationSettings) -> None:
        self.settings = settings

    def action(self, feature: Feature) -> LossAction:
        """Return what is done about the loss of a feature."""
        settings = self.settings
        return settings.features.get(feature.label) or (settings.meaning if feature.changes_meaning else settings.rest)

    def refused(self, losses: Iterable[Used]) -> list[Used]:
        """Return the losses for which a request is refused."""
        return [loss for loss in losses if self.action(loss.feature) == "refuse"]

    def warned(self, losses: Iterable[Used]) -> list[str]:
        """Return the names of the losses that are told, each once."""
        warned = [loss for loss in losses if self.action(loss.feature) == "warn"]
        warned.sort(key=lambda loss: loss.feature is Feature.UNKNOWN_FIELDS)  # they may be many, and hide the others
        told = list(dict.fromkeys(map(_told, warned)))
        more = len(told) - MAX_TOLD
        return told if more <= 0 else [*told[:MAX_TOLD], f"and {more} more"]


def refusal(losses: list[Used], ref: ModelRef, wire: WireFormat, face: WireFormat) -> LostInTranslation:
    """Return the error that names what is lost as the client calls it, and the ways out."""
    what = "; ".join(_named(loss, face) for loss in losses[:MAX_TOLD])
    first, *others = list(dict.fromkeys(loss.feature.label for loss in losses))[:MAX_TOLD]
    allowed = f'"farthing config set translation.{first} warn"'
    if others:
        allowed += f", and so for {', '.join(others)}"
    return LostInTranslation(
        f"'{ref}' speaks {FORMATS_IN_WORDS[wire]}, which cannot carry {what}",
        hint=f"leave it out, ask a model whose provider speaks {FORMATS_IN_WORDS[face]}, or let the operator allow the"
        f" loss: {allowed}",
    )


def _named(loss: Used, face: WireFormat) -> str:
    """Return a loss in words, after the member that it stands in where that can be named.

    Losses know their places in the neutral form. Its messages are those of OpenAI's chat; elsewhere system messages and
    results stand otherwise, so that a number would lead to the wrong one.
    """
    words, field = loss.feature.words, loss.field
    if loss.feature is Feature.UNKNOWN_FIELDS:  # the client's own name
        member = field
    elif field.startswith(_COUNTED_OTHERWISE):
        place, found, kind = field.partition(" (")
        member = place if face == "openai_chat" and place.startswith("messages[") else ""
        words += f": {_printable(kind)}" if found else ""
    else:
        member = own_name(field, face)
    return f'"{member[:_MAX_FIELD_CHARS]}" ({words})' if member else words


def _told(loss: Used) -> str:
    match loss.feature:
        case Feature.UNKNOWN_FIELDS:
            named = _printable(loss.field)
        case Feature.SERVER_TOOLS:
            named = _printable(loss.field.partition(" (")[2])  # its kind
        case _:
            named = ""
    return f"{loss.feature.label}({named})" if named else loss.feature.label


def _printable(text: str) -> str:
    return "".join(c for c in text[:_MAX_FIELD_CHARS] if c.isascii() and c.isprintable() and c not in ",()")
