"""Every recorded exchange of the served formats goes through the running gateway, in front of the replay server.

The client must get what was recorded, the provider what the client sent, and the ledger what the provider reported.
Usage is normalised a second time, from the recording, by code that shares nothing with the gateway's; cost is compared
with genai-prices, which the gateway does not use when it runs. How each format is sent and checked: `recordings/`.
"""

import collections
import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.recordings.client_side import check_client_side, check_error_shape
from tests.e2e.recordings.entries import Entries
from tests.e2e.recordings.exchanges import NOT_SERVED, Exchange, load, load_documented, reason_to_leave_out
from tests.e2e.recordings.ledger_side import Played, check_ledger
from tests.e2e.recordings.model_lists import is_list_of_models, read_names, recorded_names
from tests.e2e.recordings.replay import Line, Replay, running_replay
from tests.e2e.recordings.sending import CREDENTIAL, bare_request, check_upstream_side, dialect_of, request_of
from tests.e2e.support import Gateway, running_gateway

RECORDINGS = os.environ.get("FARTHING_RECORDINGS", "")
pytestmark = [
    pytest.mark.recordings,
    pytest.mark.slow,
    pytest.mark.skipif(not RECORDINGS, reason="no recordings: set FARTHING_RECORDINGS to their folder"),
]

LEAST_PLAYED = 1_900
"""Of the 2,209 recorded exchanges; fewer means that the test quietly lost some."""
LEAST_DOCUMENTED = 26
LEAST_LISTS = 20
LEAST_REFUSED = 70
"""Of the 73 recorded requests for what is not served."""
PIECE_BYTES = (1_021, 61, 0)
"""Streams come in pieces of these sizes in turn: several events at once, less than one, each by itself."""
CALLS_AT_ONCE = 100
"""So many requests are fetched from the replay server together: it keeps 10,000, and the largest has 200 KB."""


@pytest.fixture(scope="module")
def exchanges() -> list[Exchange]:
    return load(Path(RECORDINGS))


@pytest.fixture(scope="module")
def documented() -> list[Exchange]:
    return load_documented(Path(RECORDINGS))


@pytest.fixture(scope="module")
def entries(exchanges: list[Exchange], documented: list[Exchange]) -> Entries:
    return Entries([*exchanges, *documented])


@pytest.fixture(scope="module")
def replay() -> Iterator[Replay]:
    with running_replay(Path(RECORDINGS)) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(replay: Replay, entries: Entries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    settings = entries.settings(replay.port)
    with running_gateway(tmp_path_factory.mktemp("recordings"), settings, KEY=CREDENTIAL) as running:
        yield running


class Tally:
    """What was played, what was not, and what differed."""

    def __init__(self) -> None:
        self.played: list[Played] = []
        self.left_out: collections.Counter[str] = collections.Counter()
        self.differs: collections.Counter[str] = collections.Counter()
        self.problems: list[str] = []


def test_every_recorded_exchange_passes_unharmed_and_is_metered_and_priced(
    exchanges: list[Exchange],
    entries: Entries,
    replay: Replay,
    gateway: Gateway,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tally = play_all(exchanges, entries, replay, gateway)
    found = check_ledger(gateway, tally.played)
    lines = [f"recorded exchanges: {len(tally.played)} of {len(exchanges)} played"]
    counters = {
        "left out": tally.left_out,
        "differs": tally.differs,
        "price differs": found.differs,
        "reported cost": found.reported,
    }
    for title, counter in counters.items():
        lines += [f"  {title}: {count} x {reason}" for reason, count in counter.most_common()]
    unknown = ", ".join(f"{count} of {provider}" for provider, count in found.unpriced.most_common())
    lines.append(f"  cost equal to genai-prices: {found.priced}; unknown to both: {unknown}")
    with capsys.disabled():
        sys.stdout.write("\n" + "\n".join(lines) + "\n")
    problems = tally.problems + found.problems
    assert not problems, "\n".join([f"{len(problems)} problems:", *problems[:40]])
    assert len(tally.played) >= LEAST_PLAYED
    gateway.verify()


def test_every_documented_failure_is_told_in_the_clients_shape_and_in_the_ledger(
    documented: list[Exchange], entries: Entries, replay: Replay, gateway: Gateway
) -> None:
    tally = play_all(documented, entries, replay, gateway)
    found = check_ledger(gateway, tally.played)
    assert not tally.left_out
    assert len(tally.played) >= LEAST_DOCUMENTED
    problems = tally.problems + found.problems
    assert not problems, "\n".join(problems)


def test_what_is_recorded_and_not_served_is_refused_in_its_own_dialect(
    exchanges: list[Exchange], gateway: Gateway
) -> None:
    line, key = Line(gateway.port), gateway.new_key("refused")
    refused = [exchange for exchange in exchanges if reason_to_leave_out(exchange) == NOT_SERVED]
    assert len(refused) >= LEAST_REFUSED
    for exchange in refused:
        sent = bare_request(exchange, key)
        answer = line.send(exchange.method, sent.path, sent.body, sent.headers)
        assert answer.status == 501, f"{exchange.slug}: {answer.status} {answer.body[:200]!r}"
        check_error_shape(dialect_of(exchange), answer.json(), exchange.slug)
    line.close()


def test_every_recorded_list_of_models_is_read_as_the_provider_means_it(exchanges: list[Exchange]) -> None:
    lists = [exchange for exchange in exchanges if is_list_of_models(exchange)]
    assert len(lists) >= LEAST_LISTS
    for exchange in lists:
        assert read_names(exchange) == recorded_names(exchange), exchange.slug


def play_all(exchanges: list[Exchange], entries: Entries, replay: Replay, gateway: Gateway) -> Tally:
    tally, line, key = Tally(), Line(gateway.port), gateway.new_key(f"plays-{len(exchanges)}")
    waiting: list[Played] = []
    sizes = itertools.cycle(PIECE_BYTES)
    for exchange in exchanges:
        reason = reason_to_leave_out(exchange)
        entry = entries.of(exchange)
        if reason is None and entry is None:
            reason = f"{exchange.provider}'s row does not speak the format"
        if reason is not None or entry is None:
            tally.left_out[reason or ""] += 1
            continue
        sent = request_of(exchange, entry, key)
        answer = line.send("POST", sent.path, sent.body, sent.headers)
        try:
            note(tally, check_client_side(exchange, entry, answer))
        except AssertionError as problem:
            tally.problems.append(f"client: {problem}")
        played = Played(exchange, entry, answer.headers.get("x-farthing-call-id", ""))
        tally.played.append(played)
        waiting.append(played)
        if len(waiting) >= CALLS_AT_ONCE:
            check_calls(tally, replay, waiting)
            replay.cut_streams(next(sizes))
    check_calls(tally, replay, waiting)
    line.close()
    return tally


def check_calls(tally: Tally, replay: Replay, waiting: list[Played]) -> None:
    """Check what the provider got of those that wait for it."""
    by_slug = collections.defaultdict(list)
    for call in replay.new_calls():
        by_slug[call["slug"]].append(call)
    for played in waiting:
        try:
            note(tally, check_upstream_side(played.exchange, played.entry, by_slug[played.exchange.slug]))
        except AssertionError as problem:
            tally.problems.append(f"provider: {problem}")
    waiting.clear()


def note(tally: Tally, difference: str | None) -> None:
    if difference is not None:
        tally.differs[difference] += 1
