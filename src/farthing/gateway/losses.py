"""What becomes of what a translation would lose: refused, warned of, or let pass; by the operator's settings.

What changes the meaning of a request is refused unless the settings say otherwise; of the rest the client is told in a
header, the operator in the log, and both find it in the ledger.
"""

from collections.abc import Iterable

from farthing.config.schema import LossAction, TranslationSettings
from farthing.errors import LostInTranslation
from farthing.types.models import ModelRef
from farthing.types.providers import WireFormat
from farthing.wire.translators.features import Feature, Used

MAX_TOLD = 20
"""Losses named in one header or line; a request with everything in it at once has about 15."""
_MAX_FIELD_CHARS = 60


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
        told = dict.fromkeys(_told(loss) for loss in losses if self.action(loss.feature) == "warn")
        return list(told)[:MAX_TOLD]


def refusal(losses: list[Used], ref: ModelRef, wire: WireFormat, face: WireFormat) -> LostInTranslation:
    """Return the error that names what is lost, and the ways out."""
    what = "; ".join(f'"{loss.field}" ({loss.feature.words})' for loss in losses[:MAX_TOLD])
    names = ", ".join(dict.fromkeys(loss.feature.label for loss in losses))
    return LostInTranslation(
        f"'{ref}' speaks {wire}, which cannot carry {what}",
        hint=f"leave it out, ask a model whose provider speaks {face}, or let the operator allow the loss with "
        f'"farthing config set translation.{names.partition(",")[0]} warn"',
    )


def _told(loss: Used) -> str:
    if loss.feature is Feature.UNKNOWN_FIELDS:
        field = "".join(c for c in loss.field[:_MAX_FIELD_CHARS] if c.isascii() and c.isprintable() and c not in ",()")
        return f"{loss.feature.label}({field})"
    return loss.feature.label
