"""Rules in order of name, a page of the store's at a time: a list of a hundred does not read a hundred thousand."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeVar

from farthing.types.budgets import Budget
from farthing.types.limits import Limit

Rule = TypeVar("Rule", Budget, Limit)

PAGE_ROWS = 200
"""Twice as many as a list has unless it is asked for more; who looks for a team's reads on."""


async def by_name(page: Callable[[str, int], Awaitable[Sequence[Rule]]], after: str | None) -> AsyncIterator[Rule]:
    """Give rules in order of name, those after a name."""
    last = after or ""
    while rules := await page(last, PAGE_ROWS):
        for one in rules:
            yield one
        last = rules[-1].name
