"""What we know better than the price list: `data/corrections.json`, each entry with its reason, source and day.

An entry adds a model that the list lacks, prices parts anew, or prices them by tier. It lies over every list, the
refreshed ones too, so it says with `while_listed` what the list says wrongly: when the list is mended, the entry falls
silent by itself. A sheet that was corrected says so in its id.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path

import msgspec

from farthing.catalog.snapshot import Model, Period, PricedModel, Prices, Step, Variant, rate_of
from farthing.types.money import UnitPrice
from farthing.types.prices import RATE_PER

_FILE = Path(__file__).with_name("data") / "corrections.json"
_EACH = ("request", "web_search")
_PICO_DIGITS = 12
_CONDITION = re.compile(r"@[0-9:-]+$", re.ASCII)


class Correction(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """USD for a million tokens, or for one request or search, as exact text.

    `prices` is for every call, `tiers` for those that answer in that tier.
    """

    provider: str
    models: tuple[str, ...]
    why: str
    source: str
    checked: str
    prices: Mapping[str, str] = {}
    tiers: Mapping[str, Mapping[str, str]] = {}
    while_listed: Mapping[str, str] = {}

    def fits(self, provider: str, name: str) -> bool:
        """Whether it is about this model."""
        return provider == self.provider and name in self.models

    def applied(self, name: str, found: PricedModel | None, snapshot_id: str) -> PricedModel | None:
        """Return the model with what is known better; as it was where the list does not say what it is said to say."""
        if found is None:
            if self.while_listed:
                return None
            model = Model(name, (Period(_prices(self.prices)),))
            return PricedModel(f"{snapshot_id}+{self.checked}", self.provider, model)
        listed = found.model
        if not all(_says(listed, part, usd) for part, usd in self.while_listed.items()):
            return found
        own = _prices(self.prices)
        model = Model(
            listed.id,
            tuple(Period(_over(own, period.prices), period.when) for period in listed.periods),
            (*listed.variants, *(Variant("service_tier", tier, _prices(parts)) for tier, parts in self.tiers.items())),
        )
        return PricedModel(f"{snapshot_id}+{self.checked}", self.provider, model)


@cache
def corrections() -> tuple[Correction, ...]:
    """Return what comes with this version of Farthing."""
    return msgspec.json.decode(_FILE.read_bytes(), type=tuple[Correction, ...])


def corrected(provider: str, name: str, found: PricedModel | None, snapshot_id: str) -> PricedModel | None:
    """Return what is known of a model when the list was corrected."""
    for correction in corrections():
        if correction.fits(provider, name.lower()):
            return correction.applied(name.lower(), found, snapshot_id)
    return found


def correction_of(price_id: str) -> Correction | None:
    """Return the correction that a sheet of this id owes its prices to."""
    if "+" not in price_id:
        return None
    provider, _, model = _CONDITION.sub("", price_id).partition(":")[2].partition("/")
    return next((one for one in corrections() if one.fits(provider, model)), None)


def _prices(parts: Mapping[str, str]) -> Prices:
    return Prices(**{part: (_step(part, usd),) for part, usd in parts.items()})


def _step(part: str, usd: str) -> Step:
    picodollars = Decimal(usd).scaleb(_PICO_DIGITS)
    assert picodollars == int(picodollars), f"{usd} is finer than a picodollar"
    return Step(0, int(picodollars), 1 if part in _EACH else RATE_PER)


def _over(own: Prices, rest: Prices) -> Prices:
    pairs = zip(msgspec.structs.astuple(own), msgspec.structs.astuple(rest), strict=True)
    return Prices(*(mine or other for mine, other in pairs))


def _says(listed: Model, part: str, usd: str) -> bool:
    """Whether the newest of the model's prices for that part is this one."""
    steps: tuple[Step, ...] = getattr(listed.periods[-1].prices, part)
    wanted = _step(part, usd)
    return len(steps) == 1 and _rate(steps[0]) == _rate(wanted)


def _rate(step: Step) -> int:
    return rate_of(UnitPrice(step.picodollars, step.per))
