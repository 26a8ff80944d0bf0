"""Read a price list as genai-prices publishes it, and make of it the whole numbers that `snapshot` reads.

The build compiles the list that comes with Farthing by this, and `farthing prices refresh` whatever it is pointed at.
So nothing is believed: what is not known here is refused with the place where it stands, because a field that is passed
over may be the one that doubles a price. Kinds of price that no `Usage` counts are kept, and told with their reason.
Some of the source was added up in floating point (0.13999999999999999); 12 significant digits undo that.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import date, time
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

import msgspec

from farthing.catalog.name_patterns import checked_regex
from farthing.catalog.snapshot import Clause
from farthing.errors import PriceListUnusable
from farthing.wire.lenient import UNREADABLE

MAX_PROVIDERS = 500
"""Ten times what the list of 2026 has, as the next two."""
MAX_MODELS = 10_000
MAX_NAMES = 15_000
MAX_PATTERNS = 3_000
"""Every unknown name is compared with all of a provider's patterns: 0.1 us each."""
MAX_TEXT = 200
"""Characters of an id or a name; the longest has 94."""
_MOST_STEPS = 20
_HIGHEST_USD = Decimal(1_000_000)
_LONGEST_DIGITS = 40

CARRIED = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write_5m",  # the list's plain price for writing is the one for the default lifetime
    "cache_write_5m_mtok": "cache_write_5m",
    "cache_write_1h_mtok": "cache_write_1h",
    "input_audio_mtok": "input_audio",
    "cache_audio_read_mtok": "cache_read_audio",
    "output_audio_mtok": "output_audio",
    "input_image_mtok": "input_image",
    "output_image_mtok": "output_image",
    "output_reasoning_mtok": "reasoning",
    "requests_kcount": "request",
    "web_searches_kcount": "web_search",
}
"""The kinds that a `Usage` counts, by our names; the other kinds go into the files under the list's own names."""

_ENDPOINT = "billed by an endpoint that is not served (speech, pages, voice)"
NOT_COUNTED = {
    "audio_hours": _ENDPOINT,
    "input_audio_hours": _ENDPOINT,
    "input_mchars": _ENDPOINT,
    "input_document_kpages": _ENDPOINT,
    "input_annotated_document_kpages": _ENDPOINT,
    "input_text_messages_kcount": _ENDPOINT,
    "cache_image_read_mtok": "no answer says how much of what was cached were images; priced as cached input",
    "input_video_mtok": "no usage counts video apart; priced as input",
    "output_video_mtok": "no served endpoint makes video; priced as output",
    "output_citation_mtok": "citations are counted into the input, and cost the same",
    "storage_searches_kcount": "no answer counts the searches of stored files",
}
"""Kinds that are listed and not priced, each with its reason."""

_PER = {"_mtok": 1_000_000, "_mchars": 1_000_000, "_kcount": 1_000, "_kpages": 1_000, "_hours": 3_600}
PRICED_VARIANTS = ("service_tier", "processing", "speed")
_OTHER_VARIANTS = "variant by {kind}: no answer says which one applied; priced without it"
_TWELVE_DIGITS = Context(prec=12, rounding=ROUND_HALF_EVEN)
_PROVIDER_ID = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_UNSAID = msgspec.Raw(b"null")


class CompiledList(msgspec.Struct, frozen=True):
    """The compiled JSON of each provider, what had to be rounded, and what is listed but not priced: how often."""

    providers: dict[str, str]
    models: int
    rounded: tuple[str, ...]
    left_out: dict[str, int]


class _Provider(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    models: list[msgspec.Raw]
    fallback_model_providers: list[str] | None = None
    # What says nothing about a price.
    name: msgspec.Raw = _UNSAID
    api_pattern: msgspec.Raw = _UNSAID
    pricing_urls: msgspec.Raw = _UNSAID
    description: msgspec.Raw = _UNSAID
    price_comments: msgspec.Raw = _UNSAID
    model_match: msgspec.Raw = _UNSAID
    provider_match: msgspec.Raw = _UNSAID
    extractors: msgspec.Raw = _UNSAID


class _Tier(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    start: int
    price: Decimal


class _Tiered(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    base: Decimal
    tiers: list[_Tier]


_Prices = dict[str, Decimal | _Tiered | None]


class _Constraint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    start_date: date | None = None
    start_time: time | None = None
    end_time: time | None = None


class _Conditional(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    prices: _Prices
    constraint: _Constraint | None = None


class _Variant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    when: dict[str, str]
    prices: _Prices
    constraint: _Constraint | None = None


class _Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    match: dict[str, Any]
    prices: _Prices | list[_Conditional] = []
    price_variants: list[_Variant] | None = None
    # What says nothing about a price.
    name: msgspec.Raw = _UNSAID
    description: msgspec.Raw = _UNSAID
    context_window: msgspec.Raw = _UNSAID
    price_comments: msgspec.Raw = _UNSAID
    deprecated: msgspec.Raw = _UNSAID


_providers = msgspec.json.Decoder(list[msgspec.Raw])
_provider = msgspec.json.Decoder(_Provider)
_model = msgspec.json.Decoder(_Model)


def compile_list(data: bytes) -> CompiledList:
    """Return what the list says.

    Raises:
        PriceListUnusable: it is none, or says something that is not known here; the message tells where and what.
    """
    try:
        raw_providers = _providers.decode(data)
    except UNREADABLE as error:
        raise PriceListUnusable(f"It is no list of providers in JSON: {error}.") from None
    if not 0 < len(raw_providers) <= MAX_PROVIDERS:
        raise PriceListUnusable(f"It lists {len(raw_providers)} providers; allowed: 1 to {MAX_PROVIDERS}.")
    work = _Work()
    compiled: dict[str, str] = {}
    models = 0
    for number, raw in enumerate(raw_providers):
        provider = _decoded(_provider, raw, f"provider number {number + 1}")
        if not _PROVIDER_ID.fullmatch(provider.id):
            raise _wrong(f"provider number {number + 1}", f"its id {_quoted(provider.id)} is no plain name")
        if provider.id in compiled:
            raise _wrong(f"provider {provider.id!r}", "it is listed twice")
        models += len(provider.models)
        if models > MAX_MODELS:
            raise _wrong(f"provider {provider.id!r}", f"there are more than {MAX_MODELS} models")
        compiled[provider.id] = work.provider_text(provider)
    return CompiledList(compiled, models, tuple(work.rounded), work.left_out)


class _Work:
    """Collects what is told beside the compiled text."""

    def __init__(self) -> None:
        self.rounded: list[str] = []
        self.left_out: dict[str, int] = {}

    def provider_text(self, provider: _Provider) -> str:
        models: list[_Model] = []
        alternatives: list[list[Clause]] = []
        compiled: list[str] = []
        for number, raw in enumerate(provider.models):
            where = f"provider {provider.id!r}, model number {number + 1}"
            model = _decoded(_model, raw, where)
            where = f"provider {provider.id!r}, model {_checked_text(model.id, where)!r}"
            models.append(model)
            alternatives.append(list(_alternatives(model.match, where)))
            compiled.append(compact(self._model(provider.id, model, where)))
        patterns = [
            (number, clause) for number, clauses in enumerate(alternatives) for clause in clauses if not clause.equals
        ]
        names = _names(models, alternatives, patterns)
        if len(names) > MAX_NAMES or len(patterns) > MAX_PATTERNS:
            bounds = f"allowed: {MAX_NAMES} and {MAX_PATTERNS}"
            raise _wrong(
                f"provider {provider.id!r}", f"it has {len(names)} names and {len(patterns)} patterns; {bounds}"
            )
        return provider_text(
            provider.id,
            provider.fallback_model_providers or [],
            names,
            [(n, _as_data(c)) for n, c in patterns],
            compiled,
        )

    def _model(self, provider: str, model: _Model, where: str) -> dict[str, Any]:
        periods = model.prices if isinstance(model.prices, list) else [_Conditional(model.prices)]
        periods = periods or [_Conditional({})]  # nothing is listed: a model without a price
        place = f"{provider}/{model.id}"
        listed = [self._prices(place, period.prices, where) for period in periods]
        if model.id.endswith(":free") and not any(listed):
            # The list gives no prices both to what is free and to what nobody knows; this ending is the vendors' own.
            periods, listed = [_Conditional({})], [{"input": [[0, 0]], "output": [[0, 0]]}]
        compiled: dict[str, Any] = {
            "id": model.id,
            "periods": [
                {"prices": prices, **_when(period.constraint, where)}
                for period, prices in zip(periods, listed, strict=True)
            ],
        }
        variants = [
            {
                **self._kind(variant.when, where),
                "prices": self._prices(place, variant.prices, where),
                **_when(variant.constraint, where),
            }
            for variant in model.price_variants or ()
        ]
        if variants:
            compiled["variants"] = variants
        return compiled

    def _kind(self, when: Mapping[str, str], where: str) -> dict[str, str]:
        if len(when) != 1:
            raise _wrong(where, f"a variant with {len(when)} conditions; one is known")
        ((kind, value),) = when.items()
        if kind not in PRICED_VARIANTS:
            self._leave_out(_OTHER_VARIANTS.format(kind=_checked_text(kind, where)))
        return {"kind": _checked_text(kind, where), "value": _checked_text(value, where)}

    def _prices(self, place: str, prices: _Prices, where: str) -> dict[str, list[list[int]]]:
        compiled: dict[str, list[list[int]]] = {}
        for key, value in prices.items():
            if value is None:
                continue
            per = next((per for ending, per in _PER.items() if key.endswith(ending)), None)
            if per is None or (key not in CARRIED and key not in NOT_COUNTED):
                raise _wrong(where, f"a kind of price that is not known here: {_quoted(key)}")
            if key in NOT_COUNTED:
                self._leave_out(f"{key}: {NOT_COUNTED[key]}")
            part = CARRIED.get(key, key)
            if part in compiled:
                raise _wrong(where, f"two prices for {part}")
            steps = [(0, value)] if isinstance(value, Decimal) else _steps(value, f"{where}, {key}")
            compiled[part] = [self._step(f"{place} {key}", f"{where}, {key}", start, usd, per) for start, usd in steps]
        return dict(sorted(compiled.items()))

    def _step(self, place: str, where: str, start: int, usd: Decimal, per: int) -> list[int]:
        if not usd.is_finite() or usd < 0 or usd > _HIGHEST_USD:
            raise _wrong(where, f"{_quoted(str(usd))} is no price; allowed: 0 to {_HIGHEST_USD:,} USD")
        whole, exact = whole_picodollars(usd)
        if len(usd.as_tuple().digits) > _LONGEST_DIGITS or (usd and not whole):
            raise _wrong(where, f"{_quoted(str(usd))} is too fine for a price; the smallest is a picodollar")
        if whole != exact:
            self.rounded.append(f"rounded: {place} {usd} -> {whole.scaleb(-12).normalize():f}")
        # Most prices are for a million, so that is left unsaid.
        return [start, int(whole)] if per == 1_000_000 else [start, int(whole), per]

    def _leave_out(self, what: str) -> None:
        self.left_out[what] = self.left_out.get(what, 0) + 1


def provider_text(
    provider: str,
    fallback: list[str],
    names: Mapping[str, int],
    patterns: list[tuple[int, dict[str, Any]]],
    models: list[str],
) -> str:
    """Return what `snapshot` reads of one provider; one model on a line, so that a diff can be read."""
    lines = [
        '{"provider":' + compact(provider),
        '"fallback":' + compact(fallback),
        '"names":' + compact(names),
        '"patterns":[' + ",\n".join(map(compact, patterns)) + "]",
        '"models":[' + ",\n".join(models) + "]}",
    ]
    return ",\n".join(lines) + "\n"


def whole_picodollars(usd: Decimal) -> tuple[Decimal, Decimal]:
    """Return a price in whole picodollars, and as it was."""
    exact = usd.scaleb(12)
    return _TWELVE_DIGITS.plus(exact).to_integral_value(ROUND_HALF_EVEN), exact


def compact(value: Any) -> str:
    """Return JSON without spaces; what is not ASCII stays readable."""
    return msgspec.json.encode(value).decode()


def _names(
    models: list[_Model], alternatives: list[list[Clause]], patterns: list[tuple[int, Clause]]
) -> dict[str, int]:
    """Return each literal name, in lower case, and the number of the first model that answers to it."""
    first: dict[str, int] = {}
    for number, (model, clauses) in enumerate(zip(models, alternatives, strict=True)):
        literals = {clause.equals for clause in clauses if clause.equals}
        # An id is a name where it answers to itself, and not the beginning of a family's names.
        lowered = model.id.lower()
        if not lowered.endswith(("-", ".", ":")) and any(clause.matches(lowered) for clause in clauses):
            literals.add(lowered)
        for literal in literals:
            first.setdefault(literal, number)
    return {name: _first_match(name, first[name], patterns) for name in sorted(first)}


def _first_match(name: str, number: int, patterns: list[tuple[int, Clause]]) -> int:
    for earlier, clause in patterns:
        if earlier >= number:
            break
        if clause.matches(name):
            return earlier
    return number


def _alternatives(match: Mapping[str, Any], where: str, depth: int = 0) -> Iterator[Clause]:
    if depth > 4:
        raise _wrong(where, "its match is nested too deeply")
    if match.keys() == {"or"} and isinstance(match["or"], list):
        for inner in match["or"]:
            yield from _alternatives(_mapping(inner, where), where, depth + 1)
    else:
        yield _clause(match, where)


def _clause(match: Mapping[str, Any], where: str) -> Clause:
    if len(match) == 1:
        ((kind, value),) = match.items()
        if kind in ("starts_with", "ends_with", "contains", "equals") and isinstance(value, str) and value:
            return msgspec.structs.replace(Clause(), **{kind: _checked_text(value, where).lower()})
        if kind == "regex" and isinstance(value, str):
            try:
                return Clause(regex=checked_regex(value))
            except ValueError as error:
                raise _wrong(where, f"its pattern {_quoted(value)} {error}") from None
        if kind == "and" and isinstance(value, list) and value:
            every = tuple(_clause(_mapping(inner, where), where) for inner in value)
            if not any(clause.every for clause in every):
                return Clause(every=every)
    raise _wrong(where, f"a match that is not known here: {_quoted(compact(match))}")


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(where, f"a match must be a mapping, not {_quoted(compact(value))}")
    return value


def _as_data(clause: Clause) -> dict[str, Any]:
    if clause.every:
        return {"every": [_as_data(inner) for inner in clause.every]}
    return {name: value for name, value in msgspec.structs.asdict(clause).items() if value}


def _steps(tiered: _Tiered, where: str) -> list[tuple[int, Decimal]]:
    tiers = sorted(tiered.tiers, key=lambda tier: tier.start)
    starts = [tier.start for tier in tiers]
    if len(starts) > _MOST_STEPS or len(set(starts)) < len(starts) or any(not 0 <= s < 1 << 40 for s in starts):
        raise _wrong(where, f"its tiers begin at {_quoted(str(starts))}")
    # The list's tiers begin above `start`; ours begin at a number of tokens.
    return [(0, tiered.base), *((tier.start + 1, tier.price) for tier in tiers)]


def _when(constraint: _Constraint | None, where: str) -> dict[str, Any]:
    if constraint is None:
        return {}
    since, start, end = constraint.start_date, constraint.start_time, constraint.end_time
    if since is not None and start is None and end is None:
        return {"when": {"since": since.isoformat()}}
    if since is None and start is not None and end is not None:
        return {"when": {"daily_s": [_utc_second(start, where), _utc_second(end, where)]}}
    raise _wrong(where, "a condition that is neither a first day nor a time of day")


def _utc_second(moment: time, where: str) -> int:
    if moment.utcoffset():
        raise _wrong(where, f"the time {moment.isoformat()} is not in UTC")
    return moment.hour * 3600 + moment.minute * 60 + moment.second


def _decoded(decoder: msgspec.json.Decoder[Any], raw: msgspec.Raw, where: str) -> Any:
    try:
        return decoder.decode(raw)
    except UNREADABLE as error:
        raise _wrong(where, str(error)) from None


def _checked_text(text: str, where: str) -> str:
    if not text or len(text) > MAX_TEXT or _CONTROL.search(text):
        raise _wrong(where, f"{_quoted(text)} is no name; 1 to {MAX_TEXT} printable characters are")
    return text


def _quoted(text: str) -> str:
    return repr(text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}...")


def _wrong(where: str, what: str) -> PriceListUnusable:
    return PriceListUnusable(f"{where}: {what}.", hint="nothing was changed; a newer Farthing may know more.")
