"""How far the bound of a call's cost lies above what it cost, over real exchanges, by provider.

Each recorded request is bounded as the gateway bounds it, the first call of its model and again when some like it were
reported, and compared with the price of the usage that the recorded answer reports. Run it with the folder of the
recordings: `python -m benchmarks.bounds FOLDER`; it writes BOUNDS.md beside itself.
"""

import argparse
import collections
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from farthing.catalog.prices import PriceBook
from farthing.catalog.pricing import price_nanousd
from farthing.gateway.bounds import COSTS_NOTHING, Bound, Bounds
from farthing.gateway.formats import FORMATS
from farthing.types.models import ModelRef
from farthing.types.prices import PriceSheet
from farthing.types.providers import WireFormat
from farthing.wire.meter import Reading
from farthing.wire.peek import Envelope
from tests.e2e.recordings.entries import Entries, Entry
from tests.e2e.recordings.exchanges import Exchange, load

RECORDED_AT_US = 1_795_000_000_000_000
"""Prices are those of one day, for the request as for the answer."""


@dataclass(frozen=True)
class Measured:
    """One exchange: what it cost and read, its bound, that once an equal call was reported, and that of every byte.

    In nanodollars.
    """

    slug: str
    provider: str
    ref: ModelRef
    wire: WireFormat
    envelope: Envelope
    actual: int
    read: int
    first: Bound
    agreed: Bound
    every_byte: Bound

    @property
    def over_every_byte(self) -> bool:
        """Whether it cost more than is held for it by a budget of every byte, as the first of its model."""
        most = self.every_byte.least_nanousd if self.every_byte.limited else self.every_byte.most_nanousd
        return self.actual > most

    @property
    def over(self) -> bool:
        """Whether it cost more than is ever held for it. Without a limit of the client's one is set by what is held."""
        if not self.first.limited:
            return self.actual > self.first.most_nanousd
        return self.actual > min(self.first.least_nanousd, self.agreed.least_nanousd)


def measure(exchanges: Iterable[Exchange]) -> Iterator[Measured]:
    """Yield those that have a price and a usage."""
    exchanges = list(exchanges)
    entries, book = Entries(exchanges), PriceBook()
    for exchange in exchanges:
        entry = entries.of(exchange)
        if entry is not None and exchange.status == 200 and isinstance(exchange.body, dict) and exchange.model:
            found = _measured(exchange, entry, book)
            if found is not None:
                yield found


def _measured(exchange: Exchange, entry: Entry, book: PriceBook) -> Measured | None:
    asked, model = exchange.asked, exchange.model
    assert asked is not None
    assert model is not None
    sheet = book.find(entry.name, entry.known.price_key, model, RECORDED_AT_US)
    if sheet is None or sheet.free or asked.operation in COSTS_NOTHING:
        return None
    reading = _reading(exchange, entry)
    usage = reading.usage
    actual = None if usage is None else price_nanousd(usage, sheet, service_tier=reading.service_tier)
    if usage is None or not actual:
        return None
    envelope, ref, bounds = Envelope(json.dumps(exchange.body).encode()), ModelRef(entry.name, model), Bounds()

    def bound(sheet: PriceSheet) -> Bound:
        return bounds.bound(envelope, asked.wire, asked.operation, ref, sheet)

    first = bound(sheet)
    every_byte = bounds.bound(envelope, asked.wire, asked.operation, ref, sheet, every_byte=True)
    bounds.learn(ref, asked.wire, envelope, bound(sheet), usage)
    return Measured(
        *(exchange.slug, exchange.provider, ref, asked.wire, envelope),
        *(actual, usage.input_tokens or 0, first, bound(sheet), every_byte),
    )


def _reading(exchange: Exchange, entry: Entry) -> Reading:
    assert exchange.asked is not None
    form, habits = FORMATS[exchange.asked.wire], entry.known.habits
    if exchange.kind in ("sse", "ndjson"):
        meter = form.stream_meter(str, habits, strip_usage=False)
        meter.feed(exchange.recorded)
        meter.rest()
        return meter.reading()
    return form.read_answer(exchange.recorded, str, habits)


def table(measured: Iterable[Measured]) -> str:
    """Return the table of BOUNDS.md."""
    by_provider: dict[str, list[Measured]] = collections.defaultdict(list)
    for one in measured:
        by_provider[one.provider].append(one)
        by_provider["all"].append(one)
    lines = [_HEADER, "|---|" + "--:|" * 12]
    for provider, found in sorted(by_provider.items(), key=lambda item: (item[0] == "all", item[0])):
        limited = [one for one in found if one.first.limited]
        cells = [
            len(found),
            *shares(one.first.input_tokens / one.read for one in found if one.read),
            len(limited),
            *shares(one.first.least_nanousd / one.actual for one in limited),
            *shares(one.agreed.least_nanousd / one.actual for one in limited),
            sum(one.over for one in found),
        ]
        lines.append(f"| {provider} | " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def shares(ratios: Iterable[float]) -> list[str]:
    """Return median, 95th percentile and the largest, as the table writes them."""
    values = sorted(ratios)
    return [
        f"{values[min(len(values) - 1, int(share * len(values)))]:,.1f}" if values else "" for share in (0.5, 0.95, 1)
    ]


_HEADER = (
    "| provider | calls | tokens read, bound / actual: median | p95 | worst "
    "| with a limit | cost, bound / actual: median | p95 | worst | once known: median | p95 | worst | over |"
)
_TEXT = """# Bounds against costs

What the gateway takes a call to cost at most, over what it did cost, for recorded exchanges of real providers; made
with `python -m benchmarks.bounds FOLDER`.

*Tokens read*: the bound of a request's tokens over those reported. It is far off where a request points at a document
or has the provider search, as then it may read all that the model can. *Cost* is of the calls whose clients set a limit
to the answer: what must be held for a model's first call, and *once known* what must be where money is scarce and an
equal call was reported. Without a limit the answer is as long as what is held allows, because then it is given one.
*Over* are calls that cost more than is ever held for them.

"""


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recordings", type=Path)
    told = table(measure(load(parser.parse_args().recordings)))
    Path(__file__).with_name("BOUNDS.md").write_text(_TEXT + told + "\n", encoding="utf-8")
    print(told)


if __name__ == "__main__":
    main()
