"""Estimate tokens without a tokenizer: for streams that were cut, and for requests before they are sent.

A tokenizer is about 70 MB and far slower than the wire; counting kinds of characters is neither. Each tokenizer family
has one whole number of thousandths of a token per kind (the table below, fitted and written by
tools/calibrate_tokens.py; errors in docs/token-estimates.md). What surprised us: the letters j, k and z tell English
from other languages in plain ASCII well enough to take a third off the error there.

No exact tokenizer is public for current Claude and Gemini models: their numbers are a neighbour's with a margin. What
a model thought and did not show is billed too, and nobody can estimate it from the text.
"""

import re
from collections import OrderedDict
from collections.abc import Sequence
from functools import lru_cache
from operator import mul
from typing import Final, Literal, NamedTuple

import msgspec

TokenFamily = Literal[
    "o200k",  # OpenAI from gpt-4o on, gpt-oss
    "cl100k",  # OpenAI's gpt-4 and gpt-3.5
    "claude",  # Claude up to 4.6
    "claude_4_7",  # Claude from Opus 4.7 on, whose tokenizer makes more tokens of the same text
    "gemini",  # Gemini and Gemma
    "llama3",  # Llama 3 and 4
    "mistral",
    "deepseek",
    "qwen",
    "generic",  # everybody else: the mean of the open families
]

CLASSES: Final = (
    "lower",  # a-z without j, k, z
    "rare",  # j, k, z
    "upper",
    "digits",
    "words",  # runs without white space
    "newlines",
    "punctuation",
    "latin",  # from here on characters beyond ASCII, by the first byte of their UTF-8
    "greek",
    "cyrillic",
    "semitic",  # Arabic, Hebrew and what lies between
    "indic",  # U+0800-U+1FFF: Indic scripts, Thai and their neighbours
    "symbols",  # U+2000-U+2FFF: typographic punctuation, arrows, boxes
    "kana",  # U+3000-U+3FFF: kana and CJK punctuation
    "cjk",
    "hangul",
    "fullwidth",  # U+E000-U+FFFF: full-width forms
    "emoji",  # beyond U+FFFF
)
"""What is counted, in the order of the coefficients."""

FOLD_PIECES: Final = 256
"""Deltas kept before they are counted together: about 2.5 KB, counted in 9 us that 256 deltas share."""
FOLD_CHARS: Final = 2_048
"""A piece this long is counted at once: it costs the same, and is not kept."""
WHOLE_BYTES: Final = 512
"""A request this short is counted whole; of a longer one, windows spread over it are."""
WINDOWS: Final = 8
"""A window costs 60 ns; fewer miss the mix of prompt, history and tools."""
WINDOW_BYTES: Final = 48
"""All windows are counted in 5 us; the median error of 6 % would be 5 % with 128 bytes, in twice the time."""
ENVELOPE_TOKENS_PER_KEY: Final = 2
"""A key of the JSON looks like four tokens, its name and its punctuation; of a message's two keys a model sees about
four tokens together."""
MEDIA_BYTES_PER_TOKEN: Final = 200
"""Base64 of an image: 300 KB of it is a picture of about 1,500 tokens at OpenAI and at Anthropic."""
MAX_RATIOS: Final = 1_024
"""Pairs of provider and model whose ratio is remembered; ten times what a busy gateway was seen to use."""
MIN_CORRECTION: Final = 0.5
"""See `MAX_CORRECTION`."""
MAX_CORRECTION: Final = 2.0
"""Beyond these the observation is of something else, such as pictures or a prompt that the provider adds."""
WEIGHT: Final = 0.1
"""Of each new observation: ten calls teach the ratio, and one odd call moves it by a tenth."""


class _Ratios(NamedTuple):
    margin_percent: int
    tokens_per_kilobyte: int
    millitokens: tuple[int, ...]


# The table is written by tools/calibrate_tokens.py.
# fmt: off
_RATIOS: Final[dict[TokenFamily, _Ratios]] = {
    "o200k": _Ratios(0, 270, (
        118, 852, 287, 1120, 453, 864, 602, 833, 307,
        182, 277, 510, 1124, 632, 866, 546, 100, 1981,
    )),
    "cl100k": _Ratios(0, 276, (
        109, 1016, 254, 1109, 497, 794, 606, 1819, 958,
        368, 764, 1289, 1100, 892, 1278, 1003, 100, 2396,
    )),
    "claude": _Ratios(15, 284, (
        145, 1077, 306, 960, 316, 995, 676, 2591, 1262,
        502, 1091, 1890, 1344, 952, 1154, 1268, 100, 2947,
    )),
    "gemini": _Ratios(0, 297, (
        142, 865, 303, 1399, 318, 1353, 728, 724, 335,
        185, 303, 376, 1026, 378, 711, 527, 100, 1996,
    )),
    "llama3": _Ratios(0, 270, (
        114, 1017, 262, 1119, 479, 812, 597, 1123, 324,
        223, 307, 603, 939, 569, 869, 562, 100, 2471,
    )),
    "mistral": _Ratios(0, 284, (
        134, 954, 368, 1497, 387, 890, 599, 890, 340,
        232, 282, 586, 1013, 580, 1072, 548, 100, 3307,
    )),
    "deepseek": _Ratios(0, 277, (
        135, 901, 357, 1070, 378, 894, 648, 1585, 458,
        229, 378, 703, 1009, 607, 689, 667, 100, 2302,
    )),
    "qwen": _Ratios(0, 269, (
        112, 969, 257, 1491, 486, 804, 589, 1386, 934,
        241, 445, 1083, 1324, 558, 758, 640, 100, 2418,
    )),
    "generic": _Ratios(5, 275, (
        122, 967, 323, 1286, 438, 824, 614, 1229, 514,
        231, 366, 838, 1052, 579, 850, 604, 100, 2619,
    )),
    "claude_4_7": _Ratios(40, 284, (
        145, 1077, 306, 960, 316, 995, 676, 2591, 1262,
        502, 1091, 1890, 1344, 952, 1154, 1268, 100, 2947,
    )),
}
# fmt: on
_COEFFICIENTS: Final = {
    family: tuple(c * (100 + ratios.margin_percent) for c in ratios.millitokens) for family, ratios in _RATIOS.items()
}
_SCALE: Final = 100_000
_OF_A_BYTE: Final = {
    family: ratios.tokens_per_kilobyte * (100 + ratios.margin_percent) for family, ratios in _RATIOS.items()
}


class ProducedText(msgspec.Struct, eq=False):
    """Counts what a model writes, piece by piece; holds a few KB at most."""

    _pieces: list[str] = []
    _counts: list[int] | None = None
    _chars: int = 0

    def add(self, text: str) -> None:
        """Count a piece of text; about 0.1 us for a delta."""
        pieces = self._pieces
        pieces.append(text)
        if len(pieces) >= FOLD_PIECES or len(text) >= FOLD_CHARS:
            self._fold()

    @property
    def chars(self) -> int:
        """Characters so far."""
        self._fold()
        return self._chars

    def tokens(self, family: TokenFamily) -> int:
        """Return the estimated tokens so far, at least 1 when there was any text."""
        self._fold()
        if self._counts is None:
            return 0
        return max(1, _weighed(self._counts, family))

    def _fold(self) -> None:
        if not self._pieces:
            return
        text = "".join(self._pieces)
        self._pieces.clear()
        if not text:
            return
        self._chars += len(text)
        # A stream may end, or be cut by us, inside a surrogate pair that JSON spells as two escapes.
        found = count_classes(text.encode("utf-8", "surrogatepass"))
        if self._counts is None:
            self._counts = [0] * len(CLASSES)
        for at, count in enumerate(found):
            self._counts[at] += count


def estimate_request_tokens(body: bytes | int, family: TokenFamily) -> int:
    """Return about how many input tokens a JSON chat request has, from its body or, roughly, from its bytes alone.

    A body is sampled: the time does not grow with it. Base64 is counted as pictures, everything else as text.
    """
    if isinstance(body, int):
        return body * _OF_A_BYTE[family] // _SCALE or 1
    total = len(body)
    sample = body
    if total > WHOLE_BYTES:
        stride = total // WINDOWS
        first = (stride - WINDOW_BYTES) >> 1  # from the middle of each stride: the envelope at both ends is no sample
        sample = b"".join([body[at : at + WINDOW_BYTES] for at in range(first, total - WINDOW_BYTES, stride)])
    sampled = len(sample)
    media = 0
    counts = count_classes(sample.replace(b"\\n", b"\n").translate(None, b"\\"))
    odd = counts[_UPPER_AT] * 8 > sampled or counts[_DIGITS_AT] * 8 > sampled
    if odd:  # prose and code have 2-6 % capitals and fewer digits; base64 has 40 %, escapes are half digits
        sample, media = _plain_text(sample)
        counts = count_classes(sample)
    tokens = _weighed(counts, family) - ENVELOPE_TOKENS_PER_KEY * sample.count(b'":')
    per_sample = max(tokens, 0) * MEDIA_BYTES_PER_TOKEN + media
    return max(1, per_sample * total // max(1, sampled * MEDIA_BYTES_PER_TOKEN))


class LearnedRatios:
    """What providers report, over what we had estimated, per provider and model; the longest unused are forgotten."""

    def __init__(self, capacity: int = MAX_RATIOS) -> None:
        self._capacity = capacity
        self._ratios: OrderedDict[tuple[str, str], float] = OrderedDict()

    def observe(self, provider: str, model: str, estimated: int, reported: int) -> None:
        """Learn from a call whose tokens were reported; `estimated` is the estimate before any correction."""
        if estimated <= 0 or reported <= 0:
            return
        key = (provider, model)
        ratio = min(MAX_CORRECTION, max(MIN_CORRECTION, reported / estimated))
        known = self._ratios.get(key)
        self._ratios[key] = ratio if known is None else known + WEIGHT * (ratio - known)
        self._ratios.move_to_end(key)
        if len(self._ratios) > self._capacity:
            self._ratios.popitem(last=False)

    def correction(self, provider: str, model: str) -> float:
        """Return what an estimate is to be multiplied with; 1.0 for a model never seen."""
        return self._ratios.get((provider, model), 1.0)


@lru_cache(maxsize=1_024)  # as many models as LearnedRatios remembers
def family_of(provider: str | None, model: str) -> TokenFamily:
    """Return the tokenizer family of a model, by its own name first and by its provider's kind or price key second.

    The name wins because resellers carry everybody's models (`openrouter/anthropic/claude-sonnet-4.5`).
    """
    name = model.lower().rpartition("/")[2]
    for pattern, family in _BY_NAME:
        if pattern.search(name):
            return family
    if provider == "anthropic":
        return "claude_4_7"  # a model we do not know is newer than this file
    return _BY_PROVIDER.get(provider or "", "generic")


def count_classes(text: bytes) -> tuple[int, ...]:
    """Return how often each of `CLASSES` is in UTF-8 text; for plain ASCII only the first seven, the rest being 0."""
    no_lower = text.translate(None, _LOWERCASE)
    no_rare = no_lower.translate(None, _RARE_LETTERS)
    no_upper = no_rare.translate(None, _UPPERCASE)
    rest = no_upper.translate(None, _DIGITS)
    words = len(text.split())
    newlines = rest.count(b"\n")
    plain = rest.translate(None, _WHITE)
    lower, rare = len(text) - len(no_lower), len(no_lower) - len(no_rare)
    upper, digits = len(no_rare) - len(no_upper), len(no_upper) - len(rest)
    if plain.isascii():
        return (lower, rare, upper, digits, words, newlines, len(plain))
    beyond = plain.translate(None, _ASCII)
    heads = beyond.translate(None, _CONTINUATIONS)
    size = len(heads)
    by_script = [size - len(heads.translate(None, script)) for script in _SCRIPT_HEADS]
    return (lower, rare, upper, digits, words, newlines, len(plain) - len(beyond), *by_script)


def _weighed(counts: Sequence[int], family: TokenFamily) -> int:
    weighed: int = sum(map(mul, counts, _COEFFICIENTS[family]))
    return weighed // _SCALE


def _plain_text(sample: bytes) -> tuple[bytes, int]:
    """Return the sample without its long runs of base64 and without JSON's escapes, and how long the base64 was.

    Clients in Python write everything beyond ASCII as escapes by default.
    """
    kept = _BASE64.sub(b"", sample)
    plain = _ESCAPE.sub(_unescaped, kept)
    return plain.replace(b"\\n", b"\n").translate(None, b"\\"), len(sample) - len(kept)


def _unescaped(found: re.Match[bytes]) -> bytes:
    return chr(int(found[1], 16)).encode("utf-8", "surrogatepass") if found[1] else b""


def _heads(*spans: tuple[int, int]) -> bytes:
    return bytes(byte for first, last in spans for byte in range(first, last + 1))


_UPPER_AT: Final = CLASSES.index("upper")
_DIGITS_AT: Final = CLASSES.index("digits")
_LOWERCASE: Final = b"abcdefghilmnopqrstuvwxy"
_RARE_LETTERS: Final = b"jkz"
_UPPERCASE: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_DIGITS: Final = b"0123456789"
_WHITE: Final = b" \t\n\r\v\f"
_ASCII: Final = _heads((0x00, 0x7F))
_CONTINUATIONS: Final = _heads((0x80, 0xBF))
_SCRIPT_HEADS: Final = (
    _heads((0xC0, 0xCB)),  # latin
    _heads((0xCC, 0xCF)),  # greek, and combining accents
    _heads((0xD0, 0xD3)),  # cyrillic
    _heads((0xD4, 0xDF)),  # semitic
    _heads((0xE0, 0xE1)),  # indic
    _heads((0xE2, 0xE2)),  # symbols
    _heads((0xE3, 0xE3)),  # kana
    _heads((0xE4, 0xE9)),  # cjk
    _heads((0xEA, 0xED)),  # hangul; also half of a surrogate pair
    _heads((0xEE, 0xEF)),  # fullwidth
    _heads((0xF0, 0xFF)),  # emoji
)
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/=]{48,}")
# Windows cut escapes in two: what is too short is dropped, and so are digits between an escape and the next.
_ESCAPE: Final = re.compile(rb"\\u(?:([0-9a-fA-F]{4})(?:[0-9a-fA-F]{1,4}(?=\\))?|[0-9a-fA-F]{0,3})")

_NEW_CLAUDE: Final = r"claude-(opus-(4[-.][7-9]\b|[5-9])|(sonnet|haiku)-(4[-.][7-9]\b|[5-9])|[a-z]+-([5-9]|\d\d)\b)"
_BY_NAME: Final[tuple[tuple[re.Pattern[str], TokenFamily], ...]] = (
    (re.compile(_NEW_CLAUDE), "claude_4_7"),
    (re.compile(r"claude"), "claude"),
    (re.compile(r"deepseek"), "deepseek"),  # before llama and qwen: the distilled ones are rare, the name is not
    (re.compile(r"gpt-(4$|4-|4:|3)|gpt-35|text-embedding|davinci-002|babbage-002"), "cl100k"),
    (re.compile(r"gpt|chatgpt|^o\d\b|codex|computer-use"), "o200k"),
    (re.compile(r"gemini|gemma"), "gemini"),
    (re.compile(r"llama"), "llama3"),
    (re.compile(r"mi[sx]tral|ministral|magistral|codestral|devstral|pixtral|voxtral"), "mistral"),
    (re.compile(r"qwen|qwq|qvq"), "qwen"),
)
_BY_PROVIDER: Final[dict[str, TokenFamily]] = {
    "openai": "o200k",
    "azure": "o200k",
    "google": "gemini",
    "gemini": "gemini",
    "mistral": "mistral",
    "deepseek": "deepseek",
}
