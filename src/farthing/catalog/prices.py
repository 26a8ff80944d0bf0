"""Find the price of a model: the operator's own rows first, then the price list with what we know better laid over it.

A name that neither knows has no price: `None`, never 0. What surprised us: the model that answers is often not the
one that was asked for, and an operator writes a row for the name in their client. So both names are tried on the rows
before the list is looked at.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from farthing.catalog.corrections import corrected
from farthing.catalog.name_patterns import fits
from farthing.catalog.price_lists import PriceLists, open_price_lists
from farthing.catalog.snapshot import (
    ANTHROPIC,
    FOREVER_US,
    PricedModel,
    Prices,
    Snapshot,
    Step,
    bands_of,
    bundled_snapshot,
    is_free,
)
from farthing.types.money import UnitPrice
from farthing.types.prices import Band, PriceOverride, PriceSheet

_MOST_NAMES = 2_048
"""Names remembered; twice the models of the largest provider. Beyond it we begin anew: 0.3 us became 10."""
_LONGEST_NAME = 256
"""Longer names are looked up but not remembered (the longest in the list has 94), so the memory has a ceiling too."""

OPENROUTER = "openrouter"
"""The list's name for the provider that has a list of its own."""

_FREE = PriceSheet(
    id="free", bands=bands_of(Prices(input=(Step(0, 0),), output=(Step(0, 0),), web_search=(Step(0, 0),))), free=True
)


_DIGEST_DIGITS = 8
"""Tells what one row said at different times; 32 bits for a handful of texts."""


class PriceBook:
    """Knows what models cost; cheap to ask again, and asked from one thread."""

    def __init__(
        self,
        overrides: Sequence[PriceOverride] = (),
        snapshot: Snapshot | None = None,
        *,
        openrouter: Snapshot | None = None,
    ) -> None:
        """`openrouter` is what OpenRouter itself lists; it is asked before `snapshot`, about its own models only."""
        self._overrides = tuple(overrides)
        self._snapshot = snapshot or bundled_snapshot()
        self._openrouter = openrouter
        self._found: dict[tuple[str, str | None, str, str | None, bool], PricedModel | PriceSheet | None] = {}
        self._dearest: dict[tuple[str, str, bool], tuple[int, int, PriceSheet | None]] = {}

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
        found = self._known(provider, price_key, model, asked, free)
        if isinstance(found, PricedModel):
            return found.sheet_at(at_us)
        return found

    def find_dearest(
        self, provider: str, price_key: str | None, model: str, at_us: int, *, free: bool = False
    ) -> PriceSheet | None:
        """Return the dearest prices that a call which begins at `at_us` may end by; likewise, and only for bounds."""
        kept = self._dearest.get((provider, model, free))
        if kept is not None and kept[0] <= at_us < kept[1]:
            return kept[2]
        found = self._known(provider, price_key, model, None, free)
        held = found.dearest_from(at_us) if isinstance(found, PricedModel) else (-FOREVER_US, FOREVER_US, found)
        if len(self._dearest) >= _MOST_NAMES:
            self._dearest.clear()
        if len(model) <= _LONGEST_NAME:
            self._dearest[provider, model, free] = held
        return held[2]

    def knows(self, price_key: str | None, model: str) -> bool:
        """Whether the list has this very name, as such or with a date or `latest` behind it."""
        return price_key is not None and any(source.knows(price_key, model) for source in self._sources(price_key))

    def names(self, price_key: str | None) -> tuple[str, ...]:
        """Return the names of a provider's models in the list, sorted; for listings and nearest names."""
        if price_key is None:
            return ()
        return tuple(sorted({name for source in self._sources(price_key) for name in source.names(price_key)}))

    def providers(self) -> tuple[str, ...]:
        """Return the list's names of providers."""
        return self._snapshot.index.providers

    def take(self, lists: PriceLists) -> None:
        """Use other lists from now on; what was priced keeps the price that it was given."""
        self._snapshot, self._openrouter = lists.prices, lists.openrouter
        self._found.clear()
        self._dearest.clear()

    def _known(
        self,
        provider: str,
        price_key: str | None,
        model: str,
        asked: str | None,
        free: bool,  # noqa: FBT001 - the key
    ) -> PricedModel | PriceSheet | None:
        key = (provider, price_key, model, asked, free)
        try:
            return self._found[key]
        except KeyError:
            found = self._look_up(*key)
        if len(model) + len(asked or "") <= _LONGEST_NAME:
            if len(self._found) >= _MOST_NAMES:
                self._found.clear()
            self._found[key] = found
        return found

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
                if fits(row.pattern, f"{provider}:{name}"):
                    return _sheet_of(row, anthropic=price_key == ANTHROPIC)
        if free:
            return _FREE
        if price_key is None:
            return None
        for name in names:
            for source in self._sources(price_key):
                found = source.find(price_key, name)
                if source is self._snapshot:
                    found = corrected(price_key, name, found, source.index.id)
                if found is not None:
                    return found
        return None

    def _sources(self, price_key: str) -> tuple[Snapshot, ...]:
        if self._openrouter is not None and price_key == OPENROUTER:
            return self._openrouter, self._snapshot
        return (self._snapshot,)


def price_book(overrides: Sequence[PriceOverride], folder: Path) -> PriceBook:
    """Return the prices that hold in a home whose lists are kept in `folder`.

    Raises:
        PriceListUnusable: one of its lists is broken or gone.
    """
    lists = open_price_lists(folder)
    return PriceBook(overrides, lists.prices, openrouter=lists.openrouter)


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
            input_audio=steps(row.input_audio),
            output_audio=steps(row.output_audio),
            input_image=steps(row.input_image),
            output_image=steps(row.output_image),
            reasoning=steps(row.reasoning),
            request=steps(row.request),
            web_search=steps(row.web_search),
        ),
        anthropic=anthropic,
    )
    return PriceSheet(id=_id_of(row, bands), bands=bands, free=is_free(bands))


def _id_of(row: PriceOverride, bands: tuple[Band, ...]) -> str:
    """Return the name of the file, the row's pattern and a digest of what is charged by it.

    The line it stands on moves with every line above it, and stays when the row says something else.
    """
    from hashlib import sha256  # noqa: PLC0415  (3 ms that only a home with prices of its own has to spend)

    digest = sha256(msgspec.json.encode(bands)).hexdigest()[:_DIGEST_DIGITS]
    return f"{row.origin.partition(':')[0]}:{row.pattern}#{digest}"
