import pytest

from farthing.clock import SystemClock
from farthing.errors import InvalidRequest
from farthing.ledger.reports import (
    attempt_record,
    call_line,
    call_lines,
    call_record,
    costs_record,
    costs_report,
    expired,
    find_call,
)
from farthing.storage.memory import MemoryStore
from farthing.types.identity import IdSource
from farthing.types.ledger import US_PER_DAY
from farthing.types.usage import Usage
from tests.contracts.ledger_samples import attempt, full_attempt


async def test_costs_come_with_a_total_in_which_a_call_counts_once() -> None:
    store = MemoryStore()
    await store.append([attempt(1), attempt(2, call=1, ordinal=2, model="gpt-5")])
    report = await costs_report(store, "model")
    assert [row.group for row in report.rows] == ["openai:gpt-5", "openai:gpt-5-mini"]
    assert [row.calls for row in report.rows] == [1, 1]
    assert (report.total.calls, report.total.attempts, report.total.cost_nanousd) == (1, 2, 2003)


async def test_a_costs_record_has_amounts_as_exact_text() -> None:
    store = MemoryStore()
    await store.append([attempt(1, cost_nanousd=12_345_678_901_234)])
    (row,) = (await costs_report(store, "project")).rows
    record = costs_record(row, "project")
    assert record["project"] is None
    assert record["cost_usd"] == "12345.678901234"
    assert record["cost_nanousd"] == 12_345_678_901_234
    assert record["unknown_cost_attempts"] == 0


def test_a_calls_line_adds_up_its_attempts() -> None:
    line = call_line([attempt(1, outcome="provider_error", http_status=500), attempt(2, call=1, ordinal=2, model="b")])
    assert (line.attempts, line.outcome, line.http_status, line.model) == (2, "ok", 200, "b")
    assert (line.input_tokens, line.output_tokens, line.cost_nanousd) == (200, 40, 2003)
    assert call_record(line)["cost_usd"] == "0.000002003"


def test_a_call_with_one_unknown_cost_is_of_unknown_cost() -> None:
    line = call_line([attempt(1, cost_nanousd=None, cost_basis="unknown", usage=Usage()), attempt(2, call=1)])
    assert (line.cost_nanousd, line.cost_basis) == (None, "unknown")
    assert line.input_tokens == 100
    assert call_record(line)["cost_usd"] is None
    assert call_line([attempt(1, usage=Usage())]).input_tokens is None
    assert call_line([full_attempt(1), attempt(2)]).cost_basis == "estimated"


async def test_calls_are_listed_youngest_first() -> None:
    store = MemoryStore()
    await store.append([attempt(1), attempt(2), attempt(3, call=2, ordinal=2)])
    assert [(line.call_id, line.attempts) for line in await call_lines(store, 9)] == [
        ("call_000002", 2),
        ("call_000001", 1),
    ]


def test_an_attempts_record_is_flat_and_whole() -> None:
    record = attempt_record(full_attempt(3))
    assert record["attempt_id"] == "att_000003"
    assert record["organisation"] == "acme"
    assert record["cost_usd"] == "1000000.000000000"
    assert record["flags"] == "cache_exceeds_input,reasoning_exceeds_output"
    assert all(value is None or isinstance(value, str | int) for value in record.values())


async def test_a_call_is_found_by_call_attempt_or_the_beginning_of_either() -> None:
    store = MemoryStore()
    await store.append([attempt(1), attempt(2, call=1, ordinal=2), attempt(10)])
    for text in ("call_000001", "call_00000", "att_000001", "att_000002"):
        assert [a.opening.attempt_id for a in await find_call(store, text)] == ["att_000001", "att_000002"]
    with pytest.raises(InvalidRequest, match=r"Several calls' ids begin with 'call_': call_000001, call_000010\."):
        await find_call(store, "call_")
    for text in ("nothing", ""):
        with pytest.raises(InvalidRequest, match="No call or attempt"):
            await find_call(store, text)


async def test_of_a_call_that_has_expired_it_is_said_by_what_its_id_tells() -> None:
    store = MemoryStore()
    clock = SteppedClock(20_000 * US_PER_DAY)  # 2024-10-04
    ids = IdSource(clock, random_bytes)
    old, clock.at_us = ids.new("call"), clock.at_us + 10 * US_PER_DAY
    young = ids.new("call")
    assert await expired(store, old) is None, "nothing has expired"
    kept_us = 20_005 * US_PER_DAY
    await store.append([attempt(1, started_at_us=20_000 * US_PER_DAY, ended_at_us=20_000 * US_PER_DAY)])
    assert await store.retention.expire(kept_us, 10, clock.at_us) == 1
    for beginning in (old, old[:15], old[:13], old.replace("call_", "att_")):
        with pytest.raises(
            InvalidRequest, match=r"is of 2024-10-\d\d, and calls from then have expired: .* 2024-10-09"
        ):
            await find_call(store, beginning)
    for none in (young, young[:15], old[:8], "call_", "call_" + "u" * 26, old + "0", "nothing"):
        with pytest.raises(InvalidRequest, match="No call or attempt"):
            await find_call(store, none)


class SteppedClock(SystemClock):
    def __init__(self, at_us: int) -> None:
        self.at_us = at_us

    def now_us(self) -> int:
        return self.at_us


def random_bytes(count: int) -> bytes:
    return bytes(count)
