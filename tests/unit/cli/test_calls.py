"""`farthing calls` and `calls show` as they are read: on a page, and nothing is cut."""

import pytest

from farthing.cli.call_sheet import print_call
from farthing.cli.calls import print_calls
from farthing.ledger.reports import call_line
from farthing.types.usage import Usage
from tests.contracts.ledger_samples import attempt

CALLS = [f"call_{number:026d}" for number in range(3)]
LONG = "anthropic/claude-sonnet-4.5-20250929"


def test_calls_end_within_100_columns_with_their_ids_models_and_amounts(capsys: pytest.CaptureFixture[str]) -> None:
    used = Usage(input_tokens=12_345, output_tokens=1_321)
    tries = [
        attempt(1, call_id=CALLS[0], model="m" * 10, outcome="provider_error", usage=used, cost_nanousd=123_456_789),
        attempt(2, call_id=CALLS[1], provider="openrouter", model=LONG, usage=used),
        attempt(3, call_id=CALLS[2], usage=used),
    ]
    print_calls([call_line([one]) for one in tries])
    head, *lines = capsys.readouterr().out.splitlines()
    assert max(map(len, (head, *lines))) <= 100
    assert head.split() == ["CALL", "BEGAN", "(UTC)", "OUTCOME", "INPUT", "OUTPUT", "USD"]
    model_below, above = lines[1], lines[2]
    told = [CALLS[0], "2026-11-18", "11:06:40", "provider_error", "12,345", "1,321", "0.123456789"]
    assert lines[0].split() == told
    assert model_below == f"openai:{'m' * 10}"
    assert above == f"{CALLS[1]} openrouter:{LONG}"
    assert lines[3].split()[:3] == ["2026-11-18", "11:06:40", "ok"]


def test_each_reason_of_a_router_has_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    reasons = ["openai:gpt-5-mini: cheapest", "a word " * 30 + "at the end", "openai:gpt-5: costs more"]
    print_call([attempt(1, reasons="\n".join(reasons))], lambda _: None)
    lines = capsys.readouterr().out.splitlines()
    (first,) = (number for number, line in enumerate(lines) if line.startswith("went where it did  "))
    assert lines[first].endswith("  openai:gpt-5-mini: cheapest")
    (last,) = (number for number, line in enumerate(lines) if line.strip() == reasons[2])
    assert " ".join(line.strip() for line in lines[first + 1 : last]) == reasons[1]
    assert max(map(len, lines)) <= 100
