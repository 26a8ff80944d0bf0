"""A start knows the budgets and limits of the store and of the file, and reads each of them once."""

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from farthing.app import Farthing
from farthing.config.load import load_settings
from farthing.config.paths import Home
from farthing.types.budgets import Budget, Scope
from farthing.types.limits import Limit, LimitTarget, Rate

FILE = "budgets: {day: {usd: 5, period: day}}\nlimits: {polite: {requests_per_minute: 9}}\n"


async def rules_after_start(home: Home, text: str) -> tuple[list[str], int]:
    """Start and stop a house; return the names of the rules that hold, and how often all of them were read at once."""
    home.create()
    home.settings.write_text(text)
    farthing = Farthing(load_settings(home.settings, known={}, environment={}), home, environment={})
    read = 0

    async def counted(every: Callable[[], Awaitable[Any]]) -> Any:
        nonlocal read
        read += 1
        return await every()

    for store in (farthing.store.budgets, farthing.store.limits):
        store.all = partial(counted, store.all)  # type: ignore[method-assign]
    await farthing.open()
    names = sorted(one.name for one in (*farthing.budgets.rules, *farthing.limits.book))
    if not await farthing.store.budgets.found("own"):
        made = Budget(id="bud_1", name="own", scope=Scope(team="a"), limit_nanousd=1, period="total")
        await farthing.store.budgets.put(made)
        own = Limit(id="lim_1", name="own", target=LimitTarget(), rates=(Rate("requests", 60, 1),))
        await farthing.store.limits.put(own)
    await farthing.close()
    return names, read


async def test_the_files_rules_and_the_stores_hold_when_it_is_open_and_are_read_once(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    assert await rules_after_start(home, FILE) == (["day", "polite"], 0)
    assert await rules_after_start(home, FILE.replace("day:", "month:")) == (["month", "own", "own", "polite"], 0)
    assert await rules_after_start(home, "version: 1\n") == (["own", "own"], 0)
