"""Compile the price list: genai-prices' data becomes whole numbers under src/farthing/catalog/data/prices.

    python tools/compile_prices.py            write the files; lists every price that was rounded or is not priced
    python tools/compile_prices.py --check    exit 1 if the committed files are not what the installed version gives

genai-prices (MIT, see NOTICE) is a development dependency: importing it costs about 90 MB and its calculator 100 us per
price, so the product carries what it knows and not what it does. The compiling is the product's own, which
`farthing prices refresh` uses too; here the package is only turned back into what its project publishes.
"""

import argparse
import json
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from genai_prices import types as source
from genai_prices.data import providers as source_providers

from farthing.catalog.published import CompiledList, compile_list

DATA = Path(__file__).resolve().parent.parent / "src" / "farthing" / "catalog" / "data" / "prices"
NAME = "genai-prices"
SOURCE = "https://github.com/pydantic/genai-prices"
LICENCE = "MIT"


def main() -> int:
    """Write or check the files; returns the exit status."""
    parser = argparse.ArgumentParser(description="Compile the price list.")
    parser.add_argument("--check", action="store_true", help="compare with the committed files, write nothing")
    arguments = parser.parse_args()
    compiled = compile_list(published(source_providers))
    files = compiled_files(compiled)
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
    for line in compiled.rounded:
        print(line)
    for what, times in sorted(compiled.left_out.items()):
        print(f"not priced, {times} times: {what}")
    size = sum(len(text) for text in files.values())
    told = f"{len(compiled.rounded)} prices rounded"
    print(f"{len(compiled.providers)} providers, {compiled.models} models, {size:,} bytes, {told}")
    return 0


def compiled_files(compiled: CompiledList) -> dict[str, str]:
    """Return every file's text by its name."""
    files = {f"{provider}.json": text for provider, text in compiled.providers.items()}
    index = {
        "name": NAME,
        "version": version(NAME),
        "date": _compiled_on(version(NAME)),
        "source": SOURCE,
        "licence": LICENCE,
        "providers": sorted(compiled.providers),
    }
    files["index.json"] = json.dumps(index, indent=1) + "\n"
    return files


def published(providers: list[source.Provider]) -> bytes:
    """Return the list as the project publishes it, prices as exact text."""
    return json.dumps([_provider(provider) for provider in providers], ensure_ascii=False).encode()


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


def _provider(provider: source.Provider) -> dict[str, Any]:
    return {
        "id": provider.id,
        "fallback_model_providers": provider.fallback_model_providers,
        "models": [_model(model) for model in provider.models],
    }


def _model(model: source.ModelInfo) -> dict[str, Any]:
    prices = model.prices
    return {
        "id": model.id,
        "match": _clause(model.match),
        "prices": _prices(prices) if isinstance(prices, source.ModelPrice) else [_priced(price) for price in prices],
        "price_variants": [{"when": variant.when, **_priced(variant)} for variant in model.price_variants or ()],
    }


def _clause(clause: Any) -> dict[str, Any]:
    ((name, value),) = vars(clause).items()
    return {name.rstrip("_"): [_clause(inner) for inner in value] if isinstance(value, list) else value}


def _priced(price: source.ConditionalPrice | source.PriceVariant) -> dict[str, Any]:
    constraint = price.constraint and {name: moment.isoformat() for name, moment in vars(price.constraint).items()}
    return {"prices": _prices(price.prices), "constraint": constraint}


def _prices(prices: source.ModelPrice) -> dict[str, Any]:
    return {key: _price(value) for key, value in vars(prices).items() if value is not None}


def _price(value: Any) -> Any:
    if isinstance(value, source.TieredPrices):
        tiers = [{"start": tier.start, "price": str(tier.price)} for tier in value.tiers]
        return {"base": str(value.base), "tiers": tiers}
    return str(value)


if __name__ == "__main__":
    sys.exit(main())
