"""Fit the token estimator's coefficients to real tokenizers, and report how far off they are on texts not fitted to.

Run it when a tokenizer is new or when the kinds of characters in token_estimate.py change; docs/token-estimates.md says
where tokenizers and texts come from. It needs the packages `tokenizers` and `tiktoken`, which the product does not.
Half of the files of each kind of text are fitted to, the other half are only measured.
"""

import argparse
import base64
import gettext
import glob
import html
import json
import random
import re
import statistics
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from farthing.catalog import token_estimate
from farthing.catalog.token_estimate import CLASSES, count_classes, estimate_request_tokens

SEED = 7
SIZES_CHARS = (300, 800, 2_000, 5_000)
CHUNKS_PER_FILE = 6
CHUNKS_PER_KIND = 400
KIND_WEIGHT = {"english": 5.0, "markup": 4.0, "code": 6.0, "json": 4.0}
"""What gateways carry most counts most; every other kind has the weight 1."""
OPEN_FAMILIES = ("llama3", "mistral", "deepseek", "qwen")
"""`generic` is fitted to their mean."""
MARGINS_PERCENT = {"claude": 15, "claude_4_7": 40, "generic": 5}
"""Why: docs/token-estimates.md, "Families without a public tokenizer"."""
ROUNDS = 6
LOWEST = 0.1
"""Tokens of a character at least: one that these texts hardly have still costs something."""
COMMON_EMOJI = "😀😂🤣😊😍🙏👍🎉🔥✨🚀💡📝📌🔍🧠💻🛠🐛🎯📊📈🔒🔑🌍🎨🤔😅👏🙌"
"""Put into English, for the corpus has only exotic ones: what models write is these, at one or two tokens each."""
FLOOR = 0.03
"""Relative errors below this are as good as none: without a floor the fit would run after the samples it has hit."""

Count = Callable[[list[str]], list[int]]


class Sample(NamedTuple):
    """A stretch of text and which half it belongs to."""

    kind: str
    held_out: bool
    text: str


def main() -> None:
    """Read the command line, fit, report, and write the coefficients when asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokenizer", action="append", required=True, metavar="FAMILY=FILE")
    parser.add_argument("--text", action="append", required=True, metavar="KIND=GLOB")
    parser.add_argument("--write", action="store_true", help="put the coefficients into token_estimate.py")
    asked = parser.parse_args()
    samples = _samples(asked.text)
    texts = [sample.text for sample in samples]
    features = [_features(text) for text in texts]
    targets = {}
    for option in asked.tokenizer:
        family, _, path = option.partition("=")
        targets[family] = _tokenizer(Path(path))(texts)
    targets["generic"] = [round(statistics.fmean(n)) for n in zip(*(targets[f] for f in OPEN_FAMILIES), strict=True)]
    ratios: dict[str, tuple[int, int, list[int]]] = {}
    print(f"{len(samples)} samples, {sum(map(len, texts)):,} characters")
    for family, tokens in targets.items():
        fitted = _fit(features, tokens, samples)
        per_kilobyte = (
            1_000
            * sum(n for s, n in zip(samples, tokens, strict=True) if s.kind in KIND_WEIGHT)
            // sum(len(s.text.encode()) for s in samples if s.kind in KIND_WEIGHT)
        )
        ratios[family] = (MARGINS_PERCENT.get(family, 0), per_kilobyte, [round(c * 1_000) for c in fitted])
        _report(family, fitted, features, tokens, samples)
    ratios["claude_4_7"] = (MARGINS_PERCENT["claude_4_7"], *ratios["claude"][1:])
    if asked.write:
        _write(ratios)
    elif "o200k" in targets:
        _report_requests(samples, targets["o200k"])


def _samples(options: list[str]) -> list[Sample]:
    paths: dict[str, list[str]] = {}
    for option in options:
        kind, _, pattern = option.partition("=")
        paths.setdefault(kind, []).extend(sorted(glob.glob(pattern, recursive=True)))  # noqa: PTH207 - absolute globs
    samples = []
    for kind, files in paths.items():
        chance = random.Random(f"{SEED} {kind}")  # noqa: S311 - sampling, not secrets
        chance.shuffle(files)
        made: list[Sample] = []
        for number, path in enumerate(files):
            if len(made) >= CHUNKS_PER_KIND:
                break
            made += [Sample(kind, number % 2 == 1, text) for text in _chunks(_text(Path(path)), chance)]
        if kind == "english":
            samples += [Sample("emoji", s.held_out, _with_emoji(s.text, chance)) for s in made[::4]]
        print(f"{kind}: {len(made)} samples of {len(files)} files")
        samples += made
    return samples


def _text(path: Path) -> str:
    if not path.is_file():
        return ""
    if path.suffix == ".mo":
        with path.open("rb") as file:
            catalog = gettext.GNUTranslations(file)
        return "\n".join(v for k, v in vars(catalog)["_catalog"].items() if k and isinstance(v, str))
    text = path.read_bytes().decode("utf-8", "ignore")
    if path.suffix == ".html":
        text = re.sub(r"(?s)<(script|style|head)\b.*?</\1>", "", text)
        text = re.sub(r"\n\s*\n+", "\n\n", html.unescape(re.sub(r"<[^>]+>", "", text))).strip()
    return text


def _chunks(text: str, chance: random.Random) -> Iterator[str]:
    at = 0
    for _ in range(CHUNKS_PER_FILE):
        size = chance.choice(SIZES_CHARS)
        chunk = text[at : at + size]
        if len(chunk) < SIZES_CHARS[0] // 2:
            return
        yield chunk
        at += 2 * size


def _with_emoji(text: str, chance: random.Random) -> str:
    return re.sub(r"([.:\n]) ?", lambda found: f"{found[1]} {chance.choice(COMMON_EMOJI)} ", text)


def _features(text: str) -> list[float]:
    found = [float(n) for n in count_classes(text.encode())]
    return found + [0.0] * (len(CLASSES) - len(found))


def _tokenizer(path: Path) -> Count:
    if "tekken" not in path.name:
        loaded = import_module("tokenizers").Tokenizer.from_file(str(path))
        return lambda texts: [len(found.ids) for found in loaded.encode_batch(texts, add_special_tokens=False)]
    described = json.loads(path.read_bytes())
    config = described["config"]
    size = config["default_vocab_size"] - config["default_num_special_tokens"]
    encoding = import_module("tiktoken").Encoding(
        path.stem,
        pat_str=config["pattern"],
        mergeable_ranks={base64.b64decode(row["token_bytes"]): row["rank"] for row in described["vocab"][:size]},
        special_tokens={},
    )
    return lambda texts: [len(encoding.encode_ordinary(text)) for text in texts]


def _fit(features: list[list[float]], tokens: list[int], samples: list[Sample]) -> list[float]:
    """Return the coefficients that give the least weighted relative error on the half that is fitted to."""
    kinds = {kind: sum(s.kind == kind and not s.held_out for s in samples) for kind in {s.kind for s in samples}}
    rows = [
        ([x / count for x in row], KIND_WEIGHT.get(sample.kind, 1.0) / kinds[sample.kind])
        for row, count, sample in zip(features, tokens, samples, strict=True)
        if not sample.held_out
    ]
    fitted = [0.0] * len(CLASSES)
    pulls = [weight for _, weight in rows]
    for _ in range(ROUNDS):  # reweighted least squares, which ends near the least absolute error
        fitted = _least_squares(rows, pulls, fitted)
        pulls = [weight / max(FLOOR, abs(_dot(row, fitted) - 1)) for row, weight in rows]
    return fitted


def _least_squares(rows: list[tuple[list[float], float]], pulls: list[float], start: list[float]) -> list[float]:
    size = range(len(start))
    gram = [[0.0] * len(start) for _ in size]
    aim = [0.0] * len(start)
    for (row, _), pull in zip(rows, pulls, strict=True):
        for i in size:
            if row[i]:
                scaled = pull * row[i]
                aim[i] += scaled
                for j in size:
                    gram[i][j] += scaled * row[j]
    found = list(start)
    for _ in range(2_000):
        for i in size:
            if gram[i][i]:
                found[i] = max(LOWEST, found[i] + (aim[i] - _dot(gram[i], found)) / gram[i][i])
    return found


def _dot(left: list[float], right: list[float]) -> float:
    return sum(map(float.__mul__, left, right))


def _report(
    family: str, fitted: list[float], features: list[list[float]], tokens: list[int], samples: list[Sample]
) -> None:
    print(f"\n{family}: " + ", ".join(f"{name} {c:.3f}" for name, c in zip(CLASSES, fitted, strict=True)))
    errors: dict[str, list[float]] = {}
    for row, count, sample in zip(features, tokens, samples, strict=True):
        if sample.held_out:
            error = _dot(row, fitted) / count - 1
            errors.setdefault(sample.kind, []).append(error)
            errors.setdefault("all", []).append(error)
    print("\n".join(_error_row(kind, found) for kind, found in errors.items()))


def _error_row(kind: str, errors: list[float]) -> str:
    sizes = sorted(map(abs, errors))
    median, p95 = statistics.median(sizes), sizes[int(0.95 * (len(sizes) - 1))]
    return f"| {kind} | {median:.1%} | {p95:.1%} | {statistics.median(errors):+.1%} | {len(sizes)} |"


def _report_requests(samples: list[Sample], tokens: list[int]) -> None:
    """Report the estimate of whole requests made of the held-out texts: the sampling's error comes on top."""
    errors = []
    held = [(s.text, n) for s, n in zip(samples, tokens, strict=True) if s.held_out and s.kind in KIND_WEIGHT]
    for first in range(0, len(held) - 40, 40):
        part = held[first : first + 40]
        body = json.dumps({"messages": [{"role": "user", "content": text} for text, _ in part]}, ensure_ascii=False)
        errors.append(estimate_request_tokens(body.encode(), "o200k") / sum(n + 4 for _, n in part) - 1)
    print("\nrequests of 40 messages, o200k\n" + _error_row("requests", errors))


def _write(ratios: dict[str, tuple[int, int, list[int]]]) -> None:
    path = Path(token_estimate.__file__)
    lines = []
    for family, (margin, per_kilobyte, millitokens) in ratios.items():
        lines.append(f'    "{family}": _Ratios({margin}, {per_kilobyte}, (')
        lines += [f"        {', '.join(map(str, half))}," for half in (millitokens[:9], millitokens[9:])]
        lines.append("    )),")
    table = "\n".join(lines)
    old = path.read_text()
    new = re.sub(r"(?sm)^(_RATIOS: [^\n]* = \{\n).*?^\}\n", lambda found: f"{found[1]}{table}\n}}\n", old, count=1)
    path.write_text(new)
    print(f"wrote {path.name}: {len(CLASSES)} coefficients for each of {len(ratios)} families")


if __name__ == "__main__":
    main()
