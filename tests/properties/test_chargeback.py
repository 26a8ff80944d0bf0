"""Chargeback and fixed costs add up, whatever the attempts and whoever they are for."""

from typing import Any, Literal

from hypothesis import given
from hypothesis import strategies as st

from farthing.ledger.chargeback import CHARGEBACK_BY, ChargebackBy, chargeback
from farthing.ledger.fixed_costs import amortised, spread
from farthing.storage.memory import MemoryStore
from farthing.types.fixed_costs import FixedCost
from farthing.types.usage import Usage
from tests.contracts.ledger_samples import DAY_US, NOON_US, attempt

NAMES = st.sampled_from([None, "site", "core", "ü", "=x"])
ATTEMPTS = st.lists(
    st.builds(
        lambda day, cost, read, names, provider, tags: {
            "started_at_us": NOON_US + day * DAY_US,
            "cost_nanousd": cost,
            "usage": Usage(input_tokens=read, output_tokens=1),
            "provider": provider,
            "tags": tags,
            **names,
        },
        st.integers(-2, 2),
        st.none() | st.integers(0, 10**15),
        st.none() | st.integers(0, 10**9),
        st.fixed_dictionaries(dict.fromkeys(("project", "team", "branch", "task", "user", "session"), NAMES)),
        st.sampled_from(["openai", "ollama"]),
        st.sampled_from([None, "", "a", "a,b", "b, a"]),
    ),
    max_size=30,
)
FIXED = st.lists(
    st.builds(
        FixedCost,
        name=st.just("power"),
        nanousd=st.integers(0, 10**13),
        per=st.sampled_from(["day", "month"]),
        providers=st.sampled_from([(), ("ollama",), ("nobody",)]),
    ),
    max_size=3,
)


@given(ATTEMPTS, st.sampled_from(CHARGEBACK_BY), FIXED)
async def test_lines_add_up_to_the_ledger_to_the_nanodollar(
    made: list[dict[str, Any]], by: ChargebackBy, fixed: list[FixedCost]
) -> None:
    store = MemoryStore()
    await store.append([attempt(number, **changes) for number, changes in enumerate(made)])
    since_us, until_us = NOON_US - DAY_US, NOON_US + 2 * DAY_US
    told = await chargeback(store, by, since_us, until_us, fixed)
    (total,) = await store.spending((), since_us=since_us, until_us=until_us)
    for name in ("cost_nanousd", "attempts", "unknown_cost_attempts", "input_tokens", "output_tokens"):
        assert sum(getattr(line.sums, name) for line in told.lines) == getattr(total, name)
    assert sum(line.fixed_nanousd for line in told.lines) == sum(one.nanousd for one in told.fixed)
    assert len({line.group for line in told.lines}) == len(told.lines)
    assert all(line.group is not None for line in told.lines[:-1]), "what nobody was named for stands last"


@given(
    st.integers(0, 10**15),
    st.dictionaries(st.none() | st.text(max_size=3), st.integers(0, 10**12), max_size=9),
)
def test_spreading_loses_nothing_and_is_fair_to_a_nanodollar(nanousd: int, weights: dict[str | None, int]) -> None:
    parts = spread(nanousd, weights)
    assert sum(parts.values()) == nanousd
    total = sum(weights.values())
    for group, part in parts.items():
        if total:
            assert abs(part * total - nanousd * weights[group]) < total


@given(st.integers(0, 10**13), st.integers(0, 400), st.integers(0, 400))
def test_a_fixed_cost_of_two_times_is_that_of_both_together(nanousd: int, first: int, second: int) -> None:
    periods: tuple[Literal["day", "month"], ...] = ("day", "month")
    for per in periods:
        cost = FixedCost(name="x", nanousd=nanousd, per=per)
        middle_us = NOON_US + first * DAY_US
        end_us = middle_us + second * DAY_US
        parts = [
            amortised([cost], since_us, until_us)[0].nanousd
            for since_us, until_us in ((NOON_US, middle_us), (middle_us, end_us), (NOON_US, end_us))
        ]
        assert abs(parts[0] + parts[1] - parts[2]) <= 1


def test_a_whole_month_costs_what_a_month_costs() -> None:
    november_us, december_us = 1_793_491_200_000_000, 1_796_083_200_000_000
    costs = [FixedCost(name="plan", nanousd=20 * 10**9, per="month"), FixedCost(name="power", nanousd=9, per="day")]
    assert [one.nanousd for one in amortised(costs, november_us, december_us)] == [20 * 10**9, 9 * 30]
