"""What happens to a call on a model whose price nobody knows, where the settings say that it is refused."""

from farthing.errors import UnpricedModel
from farthing.gateway.attempts import Attempts
from farthing.gateway.lineup import Lineup
from farthing.providers.protocol import Provider
from farthing.types.models import ModelRef


def refuse_unpriced(lineup: Lineup, provider: Provider, ref: ModelRef) -> None:
    """Raise `UnpricedModel` where the model has no price; asked where the settings refuse such calls."""
    if not provider.free and not _priced(lineup.attempts, provider, ref):
        raise UnpricedModel.of(ref, " and the settings say unpriced: refuse")


def _priced(attempts: Attempts, provider: Provider, ref: ModelRef) -> bool:
    now = attempts.clock.now_us()
    return attempts.prices.find(provider.name, provider.known.price_key, ref.model, now) is not None
