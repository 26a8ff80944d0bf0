"""Compile the price list: genai-prices' data becomes whole numbers under src/farthing/catalog/data/prices.

    python tools/compile_prices.py            write the files; lists every price that had to be rounded
    python tools/compile_prices.py --check    exit 1 if the committed files are not what the installed version gives

genai-prices (MIT, see NOTICE) is a development dependency: importing it costs about 90 MB and its calculator 100 us per
price, so the product carries what it knows and not what it does. Some of its data was added up in floating point
(0.13999999999999999); 12 significant digits undo that. One model per line, so that a new version can be read as a diff.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any

from genai_prices import types as source
from genai_prices.data import providers as source_providers
from genai_prices.data_units import unit_data

DATA = Path(__file__).resolve().parent.parent / "src" / "farthing" / "catalog" / "data" / "prices"
NAME = "genai-prices"
SOURCE = "https://github.com/pydantic/genai-prices"
LICENCE = "MIT"

PARTS = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write_5m",  # the list's plain price for writing is the one for the default lifetime
    "cache_write_5m_mtok": "cache_write_5m",
    "cache_write_1h_mtok": "cache_write_1h",
    "input_audio_mtok": "input_audio",
    "cache_audio_read_mtok": "cache_read_audio",
    "output_audio_mtok": "output_audio",
    "output_reasoning_mtok": "reasoning",
    "requests_kcount": "request",
    "web_searches_kcount": "web_search",
}
"""The kinds that a `Usage` counts, by our names; the other kinds go into the files under the list's own names."""

PER = {unit["price_key"]: int(unit["per"]) for unit in unit_data.values()}
TWELVE_DIGITS = Context(prec=12, rounding=ROUND_HALF_EVEN)


def main() -> int:
    """Write or check the files; returns the exit status."""
    parser = argparse.ArgumentParser(description="Compile the price list.")
    parser.add_argument("--check", action="store_true", help="compare with the committed files, write nothing")
    arguments = parser.parse_args()
    rounded: list[str] = []
    files = compiled_files(rounded)
    if arguments.check:
        wrong = differences(files)
        for line in wrong:
            print(line, file=sys.stderr)
        return 1 if wrong else 0
    DATA.mkdir(parents=True, exist_ok=True)
    for name in _committed_names() - files.keys():
        (DATA / name).unlink(missing_ok=True)
    for name, text in files.items():
        (DATA / name).write_text(text, encoding="utf-8", newline="\n")
    for line in rounded:
        print(line)
    models = sum(len(provider.models) for provider in source_providers)
    size = sum(len(text) for text in files.values())
    print(f"{len(files) - 1} providers, {models} models, {size:,} bytes, {len(rounded)} prices rounded")
    return 0


def compiled_files(rounded: list[str] | None = None) -> dict[str, str]:
    """Return every file's text by its name; what had to be rounded is told in `rounded`."""
    told = [] if rounded is None else rounded
    files = {f"{provider.id}.json": _provider_text(provider, told) for provider in source_providers}
    index = {
        "name": NAME,
        "version": version(NAME),
        "date": _compiled_on(version(NAME)),
        "source": SOURCE,
        "licence": LICENCE,
        "providers": sorted(provider.id for provider in source_providers),
    }
    files["index.json"] = json.dumps(index, indent=1) + "\n"
    return files


def differences(files: dict[str, str]) -> list[str]:
    """Return a line for each committed file that is missing, too many or different."""
    names = _committed_names() | files.keys()
    committed = {name: (DATA / name).read_text(encoding="utf-8") for name in names if (DATA / name).exists()}
    hint = 'hint: run "python tools/compile_prices.py" and read the diff.'
    return [
        f"{name} is not what {NAME} {version(NAME)} compiles to. {hint}"
        for name in sorted(names)
        if files.get(name) != committed.get(name)
    ]


def _committed_names() -> set[str]:
    """The files that an earlier run wrote, by its own index: what else lies in the folder is somebody else's."""
    path = DATA / "index.json"
    if not path.exists():
        return set()
    return {"index.json"} | {f"{provider}.json" for provider in json.loads(path.read_bytes())["providers"]}


def _compiled_on(current: str) -> str:
    """A version keeps the day it was first compiled on, so that compiling it again changes nothing."""
    path = DATA / "index.json"
    if path.exists():
        index = json.loads(path.read_text(encoding="utf-8"))
        if index["version"] == current:
            return str(index["date"])
    return datetime.now(UTC).date().isoformat()


def _provider_text(provider: source.Provider, rounded: list[str]) -> str:
    lines = [
        '{"provider":' + _json(provider.id),
        '"fallback":' + _json(provider.fallback_model_providers or []),
        '"names":' + _json(_names(provider)),
        '"patterns":[' + ",\n".join(map(_json, _patterns(provider))) + "]",
        '"models":[' + ",\n".join(_json(_model(provider, model, rounded)) for model in provider.models) + "]}",
    ]
    return ",\n".join(lines) + "\n"


def _names(provider: source.Provider) -> dict[str, int]:
    """Return each literal name, in lower case, and the number of the first model that answers to it."""
    literals: set[str] = set()
    for model in provider.models:
        literals.update(c.equals.lower() for c in _alternatives(model.match) if isinstance(c, source.ClauseEquals))
        # An id is a name where it answers to itself, and not the beginning of a family's names.
        if model.is_match(model.id) and not model.id.endswith(("-", ".", ":")):
            literals.add(model.id.lower())
    names: dict[str, int] = {}
    for literal in sorted(literals):
        names[literal] = next(number for number, model in enumerate(provider.models) if model.is_match(literal))
    return names


def _patterns(provider: source.Provider) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, model in enumerate(provider.models):
        for clause in _alternatives(model.match):
            if not isinstance(clause, source.ClauseEquals):
                yield number, _clause(clause)


def _alternatives(clause: Any) -> Iterator[Any]:
    if isinstance(clause, source.ClauseOr):
        for inner in clause.or_:
            yield from _alternatives(inner)
    else:
        yield clause


def _clause(clause: Any) -> dict[str, Any]:
    match clause:
        case source.ClauseStartsWith():
            return {"starts_with": clause.starts_with.lower()}
        case source.ClauseEndsWith():
            return {"ends_with": clause.ends_with.lower()}
        case source.ClauseContains():
            return {"contains": clause.contains.lower()}
        case source.ClauseEquals():
            return {"equals": clause.equals.lower()}
        case source.ClauseRegex():
            return {"regex": clause.regex}
        case source.ClauseAnd():
            return {"every": [_clause(inner) for inner in clause.and_]}
    raise TypeError(f"a kind of clause that we do not know: {clause!r}")


def _model(provider: source.Provider, model: source.ModelInfo, rounded: list[str]) -> dict[str, Any]:
    where = f"{provider.id}/{model.id}"
    conditional = (
        [source.ConditionalPrice(prices=model.prices)]
        if isinstance(model.prices, source.ModelPrice)
        else list(model.prices)
    )
    if model.id.endswith(":free") and all(not _prices(where, price.prices, []) for price in conditional):
        # The list gives no prices both to what is free and to what nobody knows; this ending is the vendors' own mark.
        free = source.ModelPrice(input_mtok=Decimal(0), output_mtok=Decimal(0))
        conditional = [source.ConditionalPrice(prices=free)]
    compiled: dict[str, Any] = {
        "id": model.id,
        "periods": [
            {"prices": _prices(where, price.prices, rounded), **_when(price.constraint)} for price in conditional
        ],
    }
    variants = [
        {"kind": kind, "value": value, "prices": _prices(where, variant.prices, rounded), **_when(variant.constraint)}
        for variant in model.price_variants or ()
        for kind, value in [_only(variant.when)]
    ]
    if variants:
        compiled["variants"] = variants
    return compiled


def _only(when: dict[str, str]) -> tuple[str, str]:
    ((kind, value),) = when.items()  # a variant with two conditions would be news, and must be looked at
    return kind, value


def _when(constraint: Any) -> dict[str, Any]:
    match constraint:
        case None:
            return {}
        case source.StartDateConstraint():
            return {"when": {"since": constraint.start_date.isoformat()}}
        case source.TimeOfDateConstraint():
            return {"when": {"daily_s": [_second(constraint.start_time), _second(constraint.end_time)]}}
    raise TypeError(f"a kind of constraint that we do not know: {constraint!r}")


def _second(time: Any) -> int:
    assert time.utcoffset() is None or not time.utcoffset(), f"{time} is not UTC"
    return int(time.hour * 3600 + time.minute * 60 + time.second)


def _prices(where: str, prices: source.ModelPrice, rounded: list[str]) -> dict[str, list[list[int]]]:
    compiled: dict[str, list[list[int]]] = {}
    for key, value in prices.__dict__.items():
        if value is None:
            continue
        part = PARTS.get(key, key)
        assert part not in compiled, f"{where} has two prices for {part}"
        if isinstance(value, source.TieredPrices):
            # The list's tiers begin above `start`; ours begin at a number of tokens.
            steps = [(0, value.base), *((tier.start + 1, tier.price) for tier in value.tiers)]
        else:
            steps = [(0, value)]
        compiled[part] = [_step(f"{where} {key}", start, usd, PER[key], rounded) for start, usd in steps]
    return dict(sorted(compiled.items()))


def _step(where: str, start: int, usd: Decimal, per: int, rounded: list[str]) -> list[int]:
    exact = usd.scaleb(12)
    whole = TWELVE_DIGITS.plus(exact).to_integral_value(ROUND_HALF_EVEN)
    if whole != exact:
        rounded.append(f"rounded: {where} {usd} -> {whole.scaleb(-12).normalize():f}")
    # Most prices are for a million, so that is left unsaid.
    return [start, int(whole)] if per == 1_000_000 else [start, int(whole), per]


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


if __name__ == "__main__":
    sys.exit(main())
