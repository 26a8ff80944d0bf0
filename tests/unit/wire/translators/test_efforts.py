from typing import get_args

import pytest

from farthing.types.chat import Effort
from farthing.wire.translators.efforts import budget_of, effort_of


@pytest.mark.parametrize("effort", get_args(Effort))
def test_an_effort_is_known_again_by_its_budget(effort: Effort) -> None:
    assert effort_of(budget_of(effort)) == effort


def test_more_effort_is_a_larger_budget() -> None:
    budgets = [budget_of(effort) for effort in get_args(Effort)]
    assert budgets == sorted(set(budgets))


@pytest.mark.parametrize(
    ("budget_tokens", "effort"),
    [(-5, "none"), (1, "minimal"), (1_025, "low"), (5_000, "medium"), (16_385, "xhigh"), (1 << 40, "max")],
)
def test_a_budget_in_between_is_the_effort_that_is_worth_it(budget_tokens: int, effort: Effort) -> None:
    assert effort_of(budget_tokens) == effort
