"""Find the price of a model: the operator's own rows first, then the compiled price list.

A name that neither knows has no price: `None`, never 0. What surprised us: the model that answers is often not the
one that was asked for, and an operator writes a row for the name in their client. So both names are tried on the rows
before the list is looked at.
"""

from collections.abc import Sequence

from farthing.catalog.snapshot import (
    ANTHROPIC,
    PricedModel,
    Prices,
    Snapshot,
    Step,
    bands_of,
    bundled_snapshot,
    is_free,
)
from farthing.types.money import UnitPrice
from farthing.types.prices import PriceOverride, PriceSheet

_MOST_NAMES = 2_048
"""Names remembered; twice the models of the largest provider. Beyond it we begin anew: 0.3 us became 10."""
_LONGEST_NAME = 256
"""Longer names are looked up but not remembered (the longest in the list has 94), so the memory has a ceiling too."""

_FREE = PriceSheet(
    id="free", bands=bands_of(Prices(input=(Step(0, 0),), output=(Step(0, 0),), web_search=(Step(0, 0),))), free=True
)


class PriceBook:
    """Knows what models cost; cheap to ask again, and asked from one thread."""

    def __init__(self, overrides: Sequence[PriceOverride] = (), snapshot: Snapshot | None = None) -> None:
        self._overrides = tuple(overrides)
        self._snapshot = snapshot or bundled_snapshot()
        self._found: dict[tuple[str, str | None, str, str | None, bool], PricedModel | PriceSheet | None] = {}

    def find(
        self,
        provider: str,
        price_key: str | None,
        model: str,
        at_us: int,
        *,
        free: bool = False,
        asked: str | None = None,
    ) -> PriceSheet | None:
        """Return the price that holds at `at_us` (microseconds since 1970 UTC), or `None` where none is known.

        `provider` is the configured name, which the rows' patterns name; `price_key` is the list's name for it, `None`
        where it has none. `model` is the name that answered; `asked` is the one that was sent, where that differs.
        A row for either wins over `free`, and `free` over the list.
        """
        key = (provider, price_key, model, asked, free)
        try:
            found = self._found[key]
        except KeyError:
            found = self._look_up(*key)
            if len(model) + len(asked or "") <= _LONGEST_NAME:
                if len(self._found) >= _MOST_NAMES:
                    self._found.clear()
                self._found[key] = found
        if isinstance(found, PricedModel):
            return found.sheet_at(at_us)
        return found

    def knows(self, price_key: str | None, model: str) -> bool:
        """Whether the list has this very name, as such or with a date or `latest` behind it."""
        return price_key is not None and self._snapshot.knows(price_key, model)

    def names(self, price_key: str | None) -> tuple[str, ...]:
        """Return the names of a provider's models in the list, sorted; for listings and nearest names."""
        return self._snapshot.names(price_key) if price_key is not None else ()

    def _look_up(
        self,
        provider: str,
        price_key: str | None,
        model: str,
        asked: str | None,
        free: bool,  # noqa: FBT001 - the key
    ) -> PricedModel | PriceSheet | None:
        names = (model,) if asked is None or asked == model else (model, asked)
        for name in names:
            for row in self._overrides:
                if _fits(row.pattern, f"{provider}:{name}"):
                    return _sheet_of(row, anthropic=price_key == ANTHROPIC)
        if free:
            return _FREE
        if price_key is None:
            return None
        for name in names:
            found = self._snapshot.find(price_key, name)
            if found is not None:
                return found
        return None


def _sheet_of(row: PriceOverride, *, anthropic: bool) -> PriceSheet:
    def steps(price: UnitPrice | None) -> tuple[Step, ...]:
        return () if price is None else (Step(0, price.picodollars, price.per),)

    bands = bands_of(
        Prices(
            input=steps(row.input),
            output=steps(row.output),
            cache_read=steps(row.cache_read),
            cache_write_5m=steps(row.cache_write_5m),
            cache_write_1h=steps(row.cache_write_1h),
            request=steps(row.request),
            web_search=steps(row.web_search),
        ),
        anthropic=anthropic,
    )
    return PriceSheet(id=row.origin, bands=bands, free=is_free(bands))


def _fits(pattern: str, text: str) -> bool:
    """Whether `text` is `pattern`, where each `*` stands for any text. Linear: names come from clients."""
    first, *rest = pattern.split("*")
    if not rest:
        return text == pattern
    *middle, last = rest
    if not text.startswith(first) or not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for part in middle:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return at <= end
