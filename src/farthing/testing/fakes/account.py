"""What a fake provider produced, and what it would put on the bill: the other side of Farthing's ledger.

The sums here are made with fractions and tariffs of our own and share no line with the product's money: a check that
uses the code it checks proves nothing. Rounding is the ledger's: half to even, once, to nanodollars.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Literal

import msgspec

from farthing.types.usage import Usage

MAX_LINES = 200_000
"""Lines kept; the longest of our tests makes 100,000 calls, and a line is about 600 bytes. Totals count on beyond."""

NANODOLLARS = 1_000_000_000

Ended = Literal[
    "answered",  # everything came out
    "refused",  # an error came instead of an answer
    "broken",  # a fault ended the answer
    "client_gone",  # the client left before the end
]


class Tariff(msgspec.Struct, frozen=True):
    """Dollars per million tokens, as decimal text; cached tokens without a price of their own cost what input does."""

    input: str
    output: str
    cache_read: str | None = None
    cache_write_5m: str | None = None
    cache_write_1h: str | None = None

    def usd(self, usage: Usage) -> Fraction:
        """Return what this usage costs, exactly."""
        assert usage.input_tokens is not None
        assert usage.output_tokens is not None
        read, short, long = (
            usage.cache_read_input_tokens,
            usage.cache_creation_5m_input_tokens,
            usage.cache_creation_1h_input_tokens,
        )
        lines = (
            (usage.input_tokens - read - short - long, self.input),
            (read, self.cache_read or self.input),
            (short, self.cache_write_5m or self.input),
            (long, self.cache_write_1h or self.input),
            (usage.output_tokens, self.output),
        )
        return sum((Fraction(tokens) * Fraction(price) for tokens, price in lines), Fraction()) / 1_000_000

    def nanousd(self, usage: Usage) -> int:
        """Return what this usage costs in nanodollars, rounded half to even."""
        return round(self.usd(usage) * NANODOLLARS)


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One request on the account. `usage` is what was produced until the end, whatever the end was.

    `told` says that the client was sent this very usage, so that an exact ledger must agree to the token; otherwise the
    provider bills what the client was never told.
    """

    number: int
    request_id: str
    model_asked: str
    model_served: str
    streamed: bool
    status: int
    ended: Ended
    fault: str | None
    told: bool
    usage: Usage
    nanousd: int | None


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over every line; `unpriced` counts billed lines of models that have no tariff."""

    requests: int = 0
    answered: int = 0
    refused: int = 0
    broken: int = 0
    client_gone: int = 0
    input_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_creation_5m_input_tokens: int = 0
    cache_creation_1h_input_tokens: int = 0
    output_tokens: int = 0
    reasoning_output_tokens: int = 0
    nanousd: int = 0
    unpriced: int = 0


class Account:
    """Every request a fake has ended, in order of their ends."""

    def __init__(self, tariffs: Mapping[str, Tariff] | None = None) -> None:
        self._tariffs = dict(tariffs or {})
        self._lines: deque[Line] = deque(maxlen=MAX_LINES)
        self._sums = dict.fromkeys(Totals.__struct_fields__, 0)
        self._news = asyncio.Event()

    def tariff(self, model: str) -> Tariff | None:
        """Return the tariff of a model; `None` where it has none."""
        return self._tariffs.get(model)

    def close(
        self,
        *,
        request_id: str,
        model_asked: str,
        model_served: str,
        streamed: bool,
        status: int,
        ended: Ended,
        fault: str | None,
        told: bool,
        usage: Usage,
    ) -> Line:
        """Put a request that has ended on the account."""
        tariff = self._tariffs.get(model_served) or self._tariffs.get(model_asked)
        free = ended == "refused"
        line = Line(
            number=self._sums["requests"] + 1,
            request_id=request_id,
            model_asked=model_asked,
            model_served=model_served,
            streamed=streamed,
            status=status,
            ended=ended,
            fault=fault,
            told=told,
            usage=usage,
            nanousd=0 if free else None if tariff is None else tariff.nanousd(usage),
        )
        self._lines.append(line)
        sums = self._sums
        sums["requests"] += 1
        sums[ended] += 1
        for name in _TOKENS:
            sums[name] += getattr(usage, name)
        if line.nanousd is None:
            sums["unpriced"] += 1
        else:
            sums["nanousd"] += line.nanousd
        self._news.set()
        return line

    @property
    def lines(self) -> list[Line]:
        """Every line that is kept, oldest first."""
        return list(self._lines)

    async def reaches(self, requests: int) -> None:
        """Wait until so many requests have ended: a client knows before the fake does. For the fake's own loop."""
        while self._sums["requests"] < requests:
            self._news.clear()
            await self._news.wait()

    def totals(self) -> Totals:
        """Return the sums over every line ever."""
        return Totals(**self._sums)


def added(totals: Iterable[Totals]) -> Totals:
    """Return the sums over several accounts."""
    sums = dict.fromkeys(Totals.__struct_fields__, 0)
    for total in totals:
        for name in sums:
            sums[name] += getattr(total, name)
    return Totals(**sums)


_TOKENS = (
    "input_tokens",
    "cache_read_input_tokens",
    "cache_creation_5m_input_tokens",
    "cache_creation_1h_input_tokens",
    "output_tokens",
    "reasoning_output_tokens",
)
