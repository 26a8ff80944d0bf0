"""What the demo's tables show in terminals of usual widths."""

import io

import pytest
from rich.console import Console

from farthing.testing.demo.books import Comparison, Pair
from farthing.testing.demo.screen import latest_calls, report
from farthing.testing.fakes.account import Line
from farthing.types.calls import Attempt
from farthing.types.ledger import CostsRow
from farthing.types.usage import Usage
from tests.contracts.ledger_samples import attempt, opening

COST = 12_345_678_900


def call(number: int, *, basis: str = "estimated") -> Attempt:
    begun = opening(number, provider="groq", model="meta/llama-3.3-70b-versatile", key_name="nightly-batch")
    usage = Usage(input_tokens=123_456, output_tokens=12_345, cache_read_input_tokens=100_000)
    return attempt(number, begun=begun, outcome="cancelled", usage=usage, cost_nanousd=COST, cost_basis=basis)


def total(**changes: object) -> CostsRow:
    zeros = {field: 0 for field in CostsRow.__struct_fields__ if field != "group"}
    return CostsRow(**{"group": None, **zeros, "calls": 1_234, "cost_nanousd": COST, **changes})  # type: ignore[arg-type]


def lines(width: int, *shown: object) -> list[str]:
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    for one in shown:
        console.print(one)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [80, 100, 120])
def test_money_is_never_cut_and_a_call_takes_one_line(width: int) -> None:
    told = lines(width, latest_calls([call(1), call(2)], total(estimated_attempts=2), width))
    assert len([line for line in told if "nightly-batch" in line and "~12.3456789" in line]) == 2
    assert len([line for line in told if "…" in line]) in ({2} if width == 80 else {0, 2})
    assert all(len(line) <= width for line in told)


def test_a_total_that_holds_estimates_says_so() -> None:
    *_, foot = lines(80, latest_calls([], total(estimated_attempts=3), 80))
    assert "~12.3456789" in foot
    assert foot.rstrip().endswith("3 estimated")
    *_, foot = lines(80, latest_calls([], total(), 80))
    assert "~" not in foot


def test_the_closing_report_says_what_of_its_sum_is_estimated() -> None:
    ours = call(1)
    theirs = Line(
        number=1,
        request_id="r",
        model_asked="m",
        model_served="m",
        streamed=True,
        status=200,
        ended="client_gone",
        fault=None,
        told=False,
        usage=ours.usage,
        nanousd=COST,
    )
    compared = Comparison(exact=[], differing=[], estimated=[Pair(ours, theirs)], unknown=[call(2)], unmatched=[])
    console = Console(width=80, file=io.StringIO(), force_terminal=False)
    report(console, [ours, call(2, basis="reported")], compared, [total(group="docs", estimated_attempts=1)], "")
    assert isinstance(console.file, io.StringIO)
    told = console.file.getvalue()
    assert "2 calls cost ~24.691357800 USD" in told
    assert "estimates are in it: 12.345678900 USD, of 1 call that was cut." in told
    assert "1 of unknown cost, not in it" in told
    assert told.count("~12.345678900") == 3
    assert "12.345678…" not in told
