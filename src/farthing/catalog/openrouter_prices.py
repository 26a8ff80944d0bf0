"""Read OpenRouter's own list of models (`/api/v1/models`): its prices of the day, in the shape of a price list.

Prices are USD for one token, as text; `-1` stands for "depends on who serves it", so such a model is left out and keeps
the price it had. The same goes for one whose pricing says something that is not known here: a price that is read by
half is a wrong one. What surprised us: a model answers by a dated name (`canonical_slug`) that nobody asks for, and
long contexts are overrides "from so many prompt tokens on".
"""

import re
from decimal import Decimal
from typing import Any

import msgspec

from farthing.catalog.published import MAX_MODELS, MAX_TEXT, CompiledList, compact, provider_text, whole_picodollars
from farthing.errors import PriceListUnusable
from farthing.types.prices import RATE_PER
from farthing.wire.lenient import UNREADABLE

PROVIDER = "openrouter"

_PER_TOKEN = {
    "prompt": "input",
    "completion": "output",
    "input_cache_read": "cache_read",
    "input_cache_write": "cache_write_5m",
    "input_cache_write_1h": "cache_write_1h",
    "internal_reasoning": "reasoning",
    "audio": "input_audio",
    "audio_output": "output_audio",
    "input_audio_cache": "cache_read_audio",
    "image_token": "input_image",
}
_EACH = {"request": "request", "web_search": "web_search"}
_NOT_COUNTED = {
    "image": "a price for each image: answers count tokens",
    "image_output": "a price for each image: answers count tokens",
    "discount": "what a discount is taken from is not said; the price without it is used",
}
_DEPENDS = Decimal(-1)
_HIGHEST_USD = 1
"""For one token; a thousand times the dearest model."""
_HIGHEST_FEE_USD = 1_000
_PRICE = re.compile(r"-?[0-9]{1,6}(\.[0-9]{1,30})?([eE]-[0-9]{1,2})?", re.ASCII)
_NAME = re.compile(rf"[^\x00-\x20\x7f]{{1,{MAX_TEXT}}}")


class _Model(msgspec.Struct, frozen=True):
    id: str
    pricing: dict[str, Any]
    canonical_slug: str | None = None


class _List(msgspec.Struct, frozen=True):
    data: list[msgspec.Raw]


_list = msgspec.json.Decoder(_List)
_model = msgspec.json.Decoder(_Model)


def compile_openrouter(data: bytes) -> CompiledList:
    """Return what OpenRouter lists.

    Raises:
        PriceListUnusable: it is no such list; the message tells where and what.
    """
    try:
        listed = _list.decode(data).data
    except UNREADABLE as error:
        raise PriceListUnusable(f"It is no list of models as OpenRouter gives it: {error}.") from None
    if not 0 < len(listed) <= MAX_MODELS:
        raise PriceListUnusable(f"It lists {len(listed)} models; allowed: 1 to {MAX_MODELS}.")
    left_out: dict[str, int] = {}
    names: dict[str, int] = {}
    dated: dict[str, int] = {}
    models: list[str] = []
    for number, raw in enumerate(listed):
        model = _decoded(raw, number)
        if model.id.lower() in names:
            raise PriceListUnusable(f"model {model.id!r} is listed twice.")
        try:
            prices = _prices(model.pricing, left_out)
        except ValueError as error:
            reason = f"{error}; such a model keeps the price it had"
            left_out[reason] = left_out.get(reason, 0) + 1
            continue
        names[model.id.lower()] = len(models)
        if model.canonical_slug and _NAME.fullmatch(model.canonical_slug):
            dated.setdefault(model.canonical_slug.lower(), len(models))
        models.append(compact({"id": model.id, "periods": [{"prices": prices}]}))
    if not models:
        raise PriceListUnusable("It has no model with a price that is known here.")
    # A model's own name wins over the dated name of its free or extended variant.
    text = provider_text(PROVIDER, [], dict(sorted((dated | names).items())), [], models)
    return CompiledList({PROVIDER: text}, len(models), (), left_out)


def _decoded(raw: msgspec.Raw, number: int) -> _Model:
    where = f"model number {number + 1}"
    try:
        model = _model.decode(raw)
    except UNREADABLE as error:
        raise PriceListUnusable(f"{where}: {error}.") from None
    if not _NAME.fullmatch(model.id):
        raise PriceListUnusable(f"{where}: its id {model.id[:MAX_TEXT]!r} is no name.")
    return model


def _prices(pricing: dict[str, Any], left_out: dict[str, int]) -> dict[str, list[list[int]]]:
    """Return the steps of each part; raises ValueError where the pricing cannot be understood whole."""
    overrides = pricing.get("overrides") or []
    if not isinstance(overrides, list) or not all(isinstance(override, dict) for override in overrides):
        raise ValueError("its overrides are no list")
    bands = [(0, {name: value for name, value in pricing.items() if name != "overrides"})]
    for override in overrides:
        start = override.get("min_prompt_tokens")
        if type(start) is not int or not 0 < start < 1 << 40:
            raise ValueError("an override by something else than min_prompt_tokens")
        bands.append((start, {name: value for name, value in override.items() if name != "min_prompt_tokens"}))
    steps: dict[str, list[list[int]]] = {}
    for start, prices in sorted(bands, key=lambda band: band[0]):
        for name, value in prices.items():
            if name in _NOT_COUNTED:
                if value not in (None, 0, "0"):
                    reason = f"{name}: {_NOT_COUNTED[name]}"
                    left_out[reason] = left_out.get(reason, 0) + 1
            elif value is not None:
                part, per, highest = _kind(name)
                steps.setdefault(part, []).append([start, _picodollars(value, name, per, highest), per])
    if "input" not in steps or "output" not in steps:
        raise ValueError("it lacks a price for prompt or completion")
    for part in _EACH.values():
        if all(step[1] == 0 for step in steps.get(part, ())):
            steps.pop(part, None)  # 0 for a search is said where there are none, not where they are free
    return dict(sorted(steps.items()))


def _kind(name: str) -> tuple[str, int, int]:
    if name in _PER_TOKEN:
        return _PER_TOKEN[name], RATE_PER, _HIGHEST_USD
    if name in _EACH:
        return _EACH[name], 1, _HIGHEST_FEE_USD
    raise ValueError(f"a price for something that is not known here, {name[:MAX_TEXT]!r}")


def _picodollars(value: Any, name: str, per: int, highest_usd: int) -> int:
    if not isinstance(value, str) or not _PRICE.fullmatch(value):
        raise ValueError(f"a price for {name!r} that is no decimal text")
    usd = Decimal(value)
    if usd == _DEPENDS:
        raise ValueError("its price depends on who serves it (-1)")
    if not 0 <= usd <= highest_usd:
        raise ValueError(f"a price for {name!r} out of bounds")
    return int(whole_picodollars(usd * per)[0])
