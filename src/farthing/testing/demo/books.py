"""Reads Farthing's ledger while the gateway writes it, and compares it with what the fake providers would bill."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from fractions import Fraction
from pathlib import Path

import msgspec

from farthing.config.paths import Home
from farthing.storage.offload import ThreadOffload
from farthing.storage.protocols import Store
from farthing.storage.sqlite import SqliteStore
from farthing.testing.demo.house import TARIFFS
from farthing.testing.fake_provider import FakeProvider
from farthing.testing.fakes.account import NANODOLLARS, Line, Tariff
from farthing.types.calls import Attempt

MOST_ATTEMPTS = 100_000
"""A demo of a minute makes about a thousand."""


class Pair(msgspec.Struct, frozen=True):
    """One attempt as the ledger has it, and as its provider has it."""

    ours: Attempt
    theirs: Line


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Ledger against providers.

    `exact` agree in every token and nanodollar; `differing` should but do not; of `estimated` the gateway was never
    told the usage; `unknown` have no cost in the ledger. `unmatched` are billed by a provider and not in the ledger.
    """

    exact: list[Pair]
    differing: list[Pair]
    estimated: list[Pair]
    unknown: list[Attempt]
    unmatched: list[Line]

    @property
    def agrees(self) -> bool:
        """Whether everything that can be exact is."""
        return not self.differing and not self.unmatched


def compare(attempts: Iterable[Attempt], fakes: Iterable[FakeProvider]) -> Comparison:
    """Match every attempt with its provider's line by the provider's request id, and compare."""
    theirs = {line.request_id: line for fake in fakes for line in fake.account.lines}
    exact, differing, estimated = list[Pair](), list[Pair](), list[Pair]()
    unknown: list[Attempt] = []
    for ours in attempts:
        line = theirs.pop(ours.upstream_request_id or "", None)
        if ours.cost_basis == "unknown":
            unknown.append(ours)
        elif line is None:
            continue  # never reached a provider: nothing to compare, and nothing billed
        elif ours.cost_basis == "estimated":
            estimated.append(Pair(ours, line))
        elif ours.cost_nanousd == line.nanousd and _tokens(ours) == _tokens(line):
            exact.append(Pair(ours, line))
        else:
            differing.append(Pair(ours, line))
    unmatched = [line for line in theirs.values() if line.nanousd]
    whole_and_broken = [line for line in unmatched if not line.streamed and line.ended != "answered"]
    if len(whole_and_broken) <= len(unknown):  # the ledger has these as unknown, without the id that never arrived
        unmatched = [line for line in unmatched if line not in whole_and_broken]
    return Comparison(exact=exact, differing=differing, estimated=estimated, unknown=unknown, unmatched=unmatched)


def without_cache_nanousd(attempts: Iterable[Attempt]) -> int:
    """Return what the same tokens would have cost had no provider cached anything."""
    usd = Fraction()
    for attempt in attempts:
        tariff = TARIFFS[attempt.opening.provider].get(attempt.opening.model)
        if tariff is not None and attempt.cost_nanousd and attempt.usage.known:
            usd += Tariff(tariff.input, tariff.output).usd(attempt.usage)
    return round(usd * NANODOLLARS)


@asynccontextmanager
async def open_ledger(home: Path) -> AsyncIterator[Store]:
    """Open the ledger of a home beside the gateway that writes it."""
    offload = ThreadOffload("demo-ledger")
    store = SqliteStore(Home(home).database, offload)
    await store.open()
    try:
        yield store
    finally:
        await store.close()
        await offload.close()


def _tokens(known: Attempt | Line) -> tuple[int | None, ...]:
    usage = known.usage
    return (
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_input_tokens,
        usage.cache_creation_5m_input_tokens,
        usage.cache_creation_1h_input_tokens,
        usage.reasoning_output_tokens,
    )
