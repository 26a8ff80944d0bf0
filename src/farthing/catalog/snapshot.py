"""Read the compiled price list, one provider at a time and one model at a time.

`data/prices/` holds what `tools/compile_prices.py` made of genai-prices: `index.json` says which version and which
providers, `<provider>.json` has the models of one. Names are matched as genai-prices does (first model in its order
wins, letter case is ignored, a compact date is tried again with dashes), except that the tool has already resolved
every literal name, so that only patterns are scanned. Some kinds of price in the files (video, pages, hours) are for
units that no `Usage` counts; they are not read here, and the tool lists each with its reason.
"""

import re
from collections.abc import Callable
from datetime import date
from functools import cache
from pathlib import Path

import msgspec

from farthing.catalog.dearest import HORIZON_US, dearest
from farthing.catalog.name_patterns import compiled
from farthing.types.money import UnitPrice
from farthing.types.prices import RATE_PER, Band, PriceSheet, Rates

_DATA = Path(__file__).with_name("data") / "prices"
_DAY_US = 86_400_000_000
_EPOCH = date(1970, 1, 1).toordinal()
FOREVER_US = 1 << 63

_COMPACT_DATE = re.compile(r"-(20\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)", re.ASCII)
_DATED_NAME = re.compile(r"(.+?)[-@](?:20\d{6}|20\d{2}-\d{2}-\d{2}|latest)", re.ASCII)

ANTHROPIC = "anthropic"
"""Anthropic's list states cache prices as multiples of input: 1.25 for five minutes, 2 for an hour, on every model
(platform.claude.com/docs/en/build-with-claude/prompt-caching#pricing, read in November 2026)."""


class Index(msgspec.Struct, frozen=True):
    """Where the snapshot comes from; `date` is the day on which this version was first compiled."""

    name: str
    version: str
    date: str
    source: str
    licence: str
    providers: tuple[str, ...]

    @property
    def id(self) -> str:
        """The beginning of every sheet's id."""
        return f"{self.name}-{self.version}"


class Step(msgspec.Struct, frozen=True, array_like=True):
    """A price for calls that read at least `from_input_tokens`."""

    from_input_tokens: int
    picodollars: int
    per: int = RATE_PER


class Prices(msgspec.Struct, frozen=True):
    """What the list gives for one model at one time; an empty part is not listed."""

    input: tuple[Step, ...] = ()
    output: tuple[Step, ...] = ()
    cache_read: tuple[Step, ...] = ()
    cache_write_5m: tuple[Step, ...] = ()
    cache_write_1h: tuple[Step, ...] = ()
    input_audio: tuple[Step, ...] = ()
    cache_read_audio: tuple[Step, ...] = ()
    output_audio: tuple[Step, ...] = ()
    input_image: tuple[Step, ...] = ()
    output_image: tuple[Step, ...] = ()
    reasoning: tuple[Step, ...] = ()
    request: tuple[Step, ...] = ()
    web_search: tuple[Step, ...] = ()


class Condition(msgspec.Struct, frozen=True):
    """When a price holds: from a day on, or daily between two seconds of the day (may pass midnight); all in UTC."""

    since: date | None = None
    daily_s: tuple[int, int] | None = None

    def holds(self, at_us: int) -> bool:
        """Whether the price holds at that time."""
        if self.since is not None and at_us < _midnight_us(self.since):
            return False
        if self.daily_s is None:
            return True
        start_us, end_us = (second * 1_000_000 for second in self.daily_s)
        time_us = at_us % _DAY_US
        if end_us < start_us:
            return time_us >= start_us or time_us < end_us
        return start_us <= time_us < end_us

    def changes_us(self, at_us: int) -> list[int]:
        """Return the times around `at_us` at which this condition may begin or cease to hold."""
        if self.since is not None:
            return [_midnight_us(self.since)]
        if self.daily_s is None:
            return []
        today_us = at_us - at_us % _DAY_US
        return [today_us, *(today_us + second * 1_000_000 for second in self.daily_s), today_us + _DAY_US]

    def __str__(self) -> str:
        if self.since is not None:
            return f"@{self.since}"
        if self.daily_s is not None:
            return "@" + "-".join(f"{s // 3600:02d}:{s % 3600 // 60:02d}" for s in self.daily_s)
        return ""


class Period(msgspec.Struct, frozen=True):
    """Prices and when they hold."""

    prices: Prices
    when: Condition = Condition()


class Variant(msgspec.Struct, frozen=True):
    """Parts that are priced differently for calls of that kind (`service_tier`, `processing`, `speed`, ...)."""

    kind: str
    value: str
    prices: Prices
    when: Condition = Condition()


class Model(msgspec.Struct, frozen=True):
    """All prices of one model; among `periods` the last that holds is used, else the first."""

    id: str
    periods: tuple[Period, ...]
    variants: tuple[Variant, ...] = ()


class Clause(msgspec.Struct, frozen=True):
    """A pattern for names; one of the fields is set."""

    starts_with: str | None = None
    ends_with: str | None = None
    contains: str | None = None
    equals: str | None = None
    regex: str | None = None
    every: tuple["Clause", ...] = ()

    def matches(self, name: str) -> bool:
        """Whether the lower-case name fits."""
        if self.starts_with is not None:
            return name.startswith(self.starts_with)
        if self.ends_with is not None:
            return name.endswith(self.ends_with)
        if self.contains is not None:
            return self.contains in name
        if self.equals is not None:
            return name == self.equals
        if self.regex is not None:
            return compiled(self.regex).search(name) is not None
        return all(clause.matches(name) for clause in self.every)


class ProviderPrices(msgspec.Struct, frozen=True):
    """One provider's part of a compiled list; `names` and `patterns` lead to places in `models`."""

    provider: str
    names: dict[str, int]
    patterns: tuple[tuple[int, Clause], ...]
    models: tuple[msgspec.Raw, ...]
    fallback: tuple[str, ...] = ()


class PricedModel:
    """A model of the list, and its sheet for the time it was last asked about."""

    __slots__ = ("_dearest", "_from_us", "_model", "_provider", "_sheet", "_snapshot_id", "_until_us")

    def __init__(self, snapshot_id: str, provider: str, model: Model) -> None:
        self._snapshot_id = snapshot_id
        self._provider = provider
        self._model = model
        self._from_us = self._until_us = 0
        self._sheet: PriceSheet | None = None
        self._dearest: tuple[int, int, PriceSheet] | None = None

    @property
    def model(self) -> Model:
        """What the list says."""
        return self._model

    @property
    def counted_in_tokens(self) -> bool:
        """Whether the list has any price for tokens; some models are billed by the hour or the page, some by nobody."""
        return any(period.prices.input or period.prices.output for period in self._model.periods)

    def sheet_at(self, at_us: int) -> PriceSheet:
        """Return the sheet that holds at that time; the last one is kept, because time mostly goes forward."""
        sheet = self._sheet
        if sheet is not None and self._from_us <= at_us < self._until_us:
            return sheet
        changes = self._changes(at_us)
        self._from_us = max((t for t in changes if t <= at_us), default=-FOREVER_US)
        self._until_us = min((t for t in changes if t > at_us), default=FOREVER_US)
        self._sheet = sheet = self._build(at_us)
        return sheet

    def dearest_from(self, at_us: int) -> tuple[int, int, PriceSheet]:
        """Return from when till when which prices are the dearest that a call may end by (`dearest.py`)."""
        found = self._dearest
        if found is not None and found[0] <= at_us < found[1]:
            return found
        changes = {t for end_us in (at_us, at_us + HORIZON_US) for t in self._changes(end_us)}
        ahead = sorted(t for t in changes if at_us < t <= at_us + HORIZON_US)
        sheet = dearest([self._build(t) for t in (at_us, *ahead)])
        turns = changes | {t - HORIZON_US for t in changes}
        since_us = max((t for t in turns if t <= at_us), default=-FOREVER_US)
        self._dearest = since_us, min((t for t in turns if t > at_us), default=FOREVER_US), sheet
        return self._dearest

    def _changes(self, at_us: int) -> list[int]:
        """Return the times around `at_us` at which the price may change."""
        model = self._model
        conditions = [period.when for period in model.periods] + [variant.when for variant in model.variants]
        return [t for condition in conditions for t in condition.changes_us(at_us)]

    def _build(self, at_us: int) -> PriceSheet:
        model = self._model
        period = next((p for p in reversed(model.periods) if p.when.holds(at_us)), model.periods[0])
        anthropic = self._provider == ANTHROPIC
        bands = bands_of(period.prices, anthropic=anthropic)
        tiers: dict[str, Prices] = {}
        for variant in model.variants:
            # Batch and fast mode are not service tiers to every vendor, but reach us as one name with the answer.
            if variant.kind in ("service_tier", "processing", "speed") and variant.when.holds(at_us):
                tiers[variant.value] = _completed(tiers.get(variant.value, Prices()), variant.prices)
        service_tiers = {
            name: priced
            for name, parts in tiers.items()
            if (priced := bands_of(_completed(parts, period.prices), anthropic=anthropic)) != bands
        }
        return PriceSheet(
            id=f"{self._snapshot_id}:{self._provider}/{model.id}{period.when}",
            bands=bands,
            service_tiers=service_tiers,
            free=is_free(bands) and not service_tiers,
        )


class _Provider:
    """One provider's file; models are decoded when they are first asked about."""

    def __init__(self, snapshot_id: str, data: bytes | msgspec.Raw) -> None:
        self._snapshot_id = snapshot_id
        self._file = msgspec.json.decode(data, type=ProviderPrices)
        self._models: dict[int, PricedModel] = {}  # bounded by the file
        self.fallback = self._file.fallback

    def find(self, name: str) -> PricedModel | None:
        index = self.index_of(name)
        if index is None:
            return None
        model = self._models.get(index)
        if model is None:
            decoded = msgspec.json.decode(self._file.models[index], type=Model)
            self._models[index] = model = PricedModel(self._snapshot_id, self._file.provider, decoded)
        return model

    def index_of(self, name: str) -> int | None:
        literal = self._file.names.get(name)
        if literal is not None:
            return literal
        return next((index for index, clause in self._file.patterns if clause.matches(name)), None)

    def models(self) -> tuple[Model, ...]:
        return tuple(msgspec.json.decode(raw, type=Model) for raw in self._file.models)

    def names(self) -> tuple[str, ...]:
        literals: dict[int, list[str]] = {}
        for name, index in self._file.names.items():
            literals.setdefault(index, []).append(name)
        listed: set[str] = set()
        for index, answers_to in literals.items():
            # Some ids are no name but a family's beginning ("ft:gpt-4o"); then every literal name stands for it.
            model_id = msgspec.json.decode(self._file.models[index], type=_Named).id
            listed.update([model_id] if model_id.lower() in answers_to else answers_to)
        return tuple(sorted(listed))

    def knows(self, name: str) -> bool:
        if name in self._file.names:
            return True
        dated = _DATED_NAME.fullmatch(name)
        index = self.index_of(name)
        if index is None:
            return False
        stem = dated[1] if dated else name
        return stem in self._file.names or any(c.starts_with == stem for i, c in self._file.patterns if i == index)


class _Named(msgspec.Struct):
    id: str


class Snapshot:
    """A price list; each provider's part is read when first asked about and kept.

    `read` returns the compiled JSON of a provider of the index.
    """

    def __init__(self, index: Index, read: Callable[[str], bytes | msgspec.Raw]) -> None:
        self.index = index
        self._read = read
        self._providers: dict[str, _Provider] = {}  # bounded by the index

    def find(self, provider: str, model: str) -> PricedModel | None:
        """Return the list's entry for a model name, or `None` where it has none or has no price for tokens.

        `provider` is the list's own name for it.
        """
        prices = self._provider(provider)
        if prices is None:
            return None
        name = model.lower()
        found = self._first(prices, name)
        if found is None:
            dashed = _COMPACT_DATE.sub(_with_dashes, name)
            if dashed != name:
                found = self._first(prices, dashed)
        return found if found and found.counted_in_tokens else None

    def knows(self, provider: str, model: str) -> bool:
        """Whether the list has this name, as such or with a date or `latest` behind it; a pattern is not enough."""
        prices = self._provider(provider)
        return prices is not None and prices.knows(model.lower())

    def names(self, provider: str) -> tuple[str, ...]:
        """Return the names of a provider's models, sorted; none for a provider that is not in the list."""
        prices = self._provider(provider)
        return prices.names() if prices else ()

    def models(self, provider: str) -> tuple[Model, ...]:
        """Return everything that is listed of a provider, in the list's order; all of it is decoded."""
        prices = self._provider(provider)
        return prices.models() if prices else ()

    def _first(self, prices: _Provider, name: str) -> PricedModel | None:
        for candidate in (prices, *(self._provider(other) for other in prices.fallback)):
            found = candidate.find(name) if candidate else None
            if found is not None:
                return found
        return None

    def _provider(self, name: str) -> _Provider | None:
        provider = self._providers.get(name)
        if provider is None and name in self.index.providers:
            provider = _Provider(self.index.id, self._read(name))
            self._providers[name] = provider
        return provider


@cache
def bundled_snapshot() -> Snapshot:
    """Return the snapshot that comes with this version of Farthing; one per process."""
    index = msgspec.json.decode((_DATA / "index.json").read_bytes(), type=Index)
    return Snapshot(index, lambda provider: (_DATA / f"{provider}.json").read_bytes())


def bands_of(prices: Prices, *, anthropic: bool = False) -> tuple[Band, ...]:
    """Return the rates at each length of context, with what is not listed filled in.

    A part of the input or output that has no price of its own costs what the whole does; at Anthropic, writing to the
    cache costs multiples of the input price where the list is silent.
    """
    starts = sorted({0, *(s.from_input_tokens for part in msgspec.structs.astuple(prices) for s in part)})
    return tuple(Band(start, _rates(prices, start, anthropic=anthropic)) for start in starts)


def is_free(bands: tuple[Band, ...]) -> bool:
    """Whether input and output cost nothing and no part or fee costs anything either."""
    return all(
        band.rates.input == 0 and band.rates.output == 0 and not any(msgspec.structs.astuple(band.rates))
        for band in bands
    )


def _rates(prices: Prices, context: int, *, anthropic: bool) -> Rates:
    def at(steps: tuple[Step, ...]) -> int | None:
        rate = None
        for step in steps:
            if context >= step.from_input_tokens:
                rate = rate_of(UnitPrice(step.picodollars, step.per))
        return rate

    read, written = at(prices.input), at(prices.output)
    write_5m, write_1h = at(prices.cache_write_5m), at(prices.cache_write_1h)
    if anthropic and read is not None:
        # Rounded up: half a picodollar per million tokens, against us rather than for us.
        write_5m = -(-read * 5 // 4) if write_5m is None else write_5m
        write_1h = read * 2 if write_1h is None else write_1h
    cached, heard = _first_known(at(prices.cache_read), read), _first_known(at(prices.input_audio), read)
    write_5m = _first_known(write_5m, read)
    return Rates(
        input=read,
        output=written,
        cache_read=cached,
        cache_write_5m=write_5m,
        cache_write_1h=_first_known(write_1h, write_5m),
        input_audio=heard,
        cache_read_audio=_first_known(at(prices.cache_read_audio), heard if prices.input_audio else cached),
        reasoning=_first_known(at(prices.reasoning), written),
        output_audio=_first_known(at(prices.output_audio), written),
        input_image=_first_known(at(prices.input_image), read),
        output_image=_first_known(at(prices.output_image), written),
        request=at(prices.request) or 0,
        web_search=at(prices.web_search),
    )


def rate_of(price: UnitPrice) -> int:
    """Return a price as picodollars for a million units."""
    rate, rest = divmod(price.picodollars * RATE_PER, price.per)
    assert rest == 0, f"{price} is not whole for {RATE_PER} units"
    return rate


def _completed(parts: Prices, rest: Prices) -> Prices:
    """Return `parts` with what is missing taken from `rest`."""
    pairs = zip(msgspec.structs.astuple(parts), msgspec.structs.astuple(rest), strict=True)
    return Prices(*(own or other for own, other in pairs))


def _first_known(*rates: int | None) -> int | None:
    return next((rate for rate in rates if rate is not None), None)


def _midnight_us(day: date) -> int:
    return (day.toordinal() - _EPOCH) * _DAY_US


def _with_dashes(match: re.Match[str]) -> str:
    year, month, day = (int(part) for part in match.groups())
    try:
        return f"-{date(year, month, day)}"
    except ValueError:
        return match[0]  # no such day, so it is no date
