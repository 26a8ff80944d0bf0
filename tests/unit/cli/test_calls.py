"""`farthing calls show` as it is read: on a page, and nothing is cut."""

import pytest

from farthing.cli.call_sheet import print_call
from tests.contracts.ledger_samples import attempt


def test_each_reason_of_a_router_has_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    reasons = ["openai:gpt-5-mini: cheapest", "a word " * 30 + "at the end", "openai:gpt-5: costs more"]
    print_call([attempt(1, reasons="\n".join(reasons))], lambda _: None)
    lines = capsys.readouterr().out.splitlines()
    (first,) = (number for number, line in enumerate(lines) if line.startswith("went where it did  "))
    assert lines[first].endswith("  openai:gpt-5-mini: cheapest")
    (last,) = (number for number, line in enumerate(lines) if line.strip() == reasons[2])
    assert " ".join(line.strip() for line in lines[first + 1 : last]) == reasons[1]
    assert max(map(len, lines)) <= 100
