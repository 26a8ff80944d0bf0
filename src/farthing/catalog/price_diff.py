"""What differs between two price lists: models that came, that went, and prices that changed, the largest first.

A model's prices are laid flat under words that a person can read ("input over 200,000", "batch output"), so that every
kind of condition is compared in the same way.
"""

from collections.abc import Iterable, Mapping
from fractions import Fraction

import msgspec

from farthing.catalog.snapshot import Condition, Model, Prices, Snapshot
from farthing.types.money import UnitPrice

FlatPrices = Mapping[str, UnitPrice]
ModelName = tuple[str, str]
"""A provider, by the list's name for it, and a model's id."""


class PartChange(msgspec.Struct, frozen=True):
    """One price before and after; `None` where it was not listed."""

    what: str
    old: UnitPrice | None
    new: UnitPrice | None

    @property
    def factor(self) -> Fraction | None:
        """By how much the price grew (2 is twice as much); `None` where one of them is nothing."""
        if self.old is None or self.new is None or not self.old.picodollars:
            return None
        return Fraction(self.new.picodollars * self.old.per, self.old.picodollars * self.new.per)

    @property
    def size(self) -> Fraction:
        """How large the change is, in either direction; what was or became free comes first, what is new last."""
        if self.old is None or self.new is None:
            return Fraction(0)
        factor = self.factor
        return Fraction(1 << 64) if not factor else max(factor, 1 / factor)


class ModelChange(msgspec.Struct, frozen=True):
    """A model with prices that changed, the largest change first."""

    name: ModelName
    parts: tuple[PartChange, ...]


class PriceDiff(msgspec.Struct, frozen=True):
    """What a new list changes; each in the order in which it is to be read."""

    changed: tuple[ModelChange, ...]
    added: tuple[tuple[ModelName, FlatPrices], ...]
    removed: tuple[tuple[ModelName, FlatPrices], ...]

    @property
    def empty(self) -> bool:
        """Whether the lists say the same."""
        return not (self.changed or self.added or self.removed)


def compare(old: Mapping[ModelName, Model], new: Mapping[ModelName, Model]) -> PriceDiff:
    """Return what differs."""
    changed = [
        ModelChange(name, parts)
        for name in old.keys() & new.keys()
        if old[name] != new[name] and (parts := _changes(flat(old[name]), flat(new[name])))
    ]
    changed.sort(key=lambda change: (-change.parts[0].size, change.name))
    return PriceDiff(tuple(changed), _alone(new, old), _alone(old, new))


def all_models(snapshot: Snapshot) -> dict[ModelName, Model]:
    """Return everything in a list; of two models with one id the first, which is the one that is found."""
    found: dict[ModelName, Model] = {}
    for provider in snapshot.index.providers:
        for model in snapshot.models(provider):
            found.setdefault((provider, model.id), model)
    return found


def openrouter_models(layers: Iterable[Snapshot], names: Iterable[str]) -> dict[ModelName, Model]:
    """Return what the first list that knows it says of each name; a list of OpenRouter's own lies over the others."""
    sources = tuple(layers)
    found: dict[ModelName, Model] = {}
    for name in names:
        priced = next((one for source in sources if (one := source.find("openrouter", name)) is not None), None)
        if priced is not None:
            found["openrouter", name] = priced.model
    return found


def flat(model: Model) -> dict[str, UnitPrice]:
    """Return every price of a model under the words that tell when it holds."""
    prices: dict[str, UnitPrice] = {}
    for period in model.periods:
        _lay_flat(prices, period.prices, period.when, "")
    for variant in model.variants:
        _lay_flat(prices, variant.prices, variant.when, f"{variant.value} ")
    return prices


def _lay_flat(prices: dict[str, UnitPrice], listed: Prices, when: Condition, prefix: str) -> None:
    suffix = f" {when}" if str(when) else ""
    for part in Prices.__struct_fields__:
        for step in getattr(listed, part):
            over = f" over {step.from_input_tokens - 1:,}" if step.from_input_tokens else ""
            what = f"{prefix}{part.replace('_', ' ')}{over}{suffix}"
            prices[what] = UnitPrice(step.picodollars, step.per)


def _changes(old: FlatPrices, new: FlatPrices) -> tuple[PartChange, ...]:
    whats = [*old, *(what for what in new if what not in old)]
    parts = [
        PartChange(what, old.get(what), new.get(what)) for what in whats if not _same(old.get(what), new.get(what))
    ]
    return tuple(sorted(parts, key=lambda part: -part.size))


def _same(one: UnitPrice | None, other: UnitPrice | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.picodollars * other.per == other.picodollars * one.per


def _alone(
    here: Mapping[ModelName, Model], there: Mapping[ModelName, Model]
) -> tuple[tuple[ModelName, FlatPrices], ...]:
    return tuple((name, flat(here[name])) for name in sorted(here.keys() - there.keys()))
