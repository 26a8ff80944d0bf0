from collections.abc import Callable

import pytest

from farthing.cli.costs import print_costs, remarks
from farthing.cli.records import costs_as_data
from farthing.storage.memory import MemoryStore
from farthing.types.calls import Attempt
from farthing.types.usage import Usage

LONG = "openrouter:meta/llama:free"

Make = Callable[..., Attempt]


@pytest.fixture
async def store(make_attempt: Make) -> MemoryStore:
    store = MemoryStore()
    await store.append(
        [
            make_attempt(1),
            make_attempt(2, cost_nanousd=12_340_000_000, project=None),
            make_attempt(3, model=LONG, cost_nanousd=None, cost_basis="unknown"),
            make_attempt(4, cost_nanousd=1_000, cost_basis="estimated", reported_cost_nanousd=1_100),
            make_attempt(
                5,
                model="claude:opus",
                cost_nanousd=1_500_000_000,
                reported_cost_nanousd=1_400_000_000,
                usage=Usage(input_tokens=2_000_000, output_tokens=None),
            ),
        ]
    )
    return store


async def test_costs_are_a_table_with_exact_dollars(store: MemoryStore, capsys: pytest.CaptureFixture[str]) -> None:
    print_costs("model", await store.costs("model"), (await store.costs(None))[0])
    assert capsys.readouterr().out.splitlines() == [
        "MODEL                       CALLS      INPUT  CACHE READ  WRITTEN  OUTPUT          USD  UNKNOWN",
        "openai:gpt-5-mini               3     37,035      30,000        0     963  12.34147925",
        "claude:opus                     1  2,000,000           0        0       0   1.50",
        "openrouter:meta/llama:free      1     12,345      10,000        0     321      unknown        1",
        "-----------------------------------------------------------------------------------------------",
        "total                           5  2,049,380      40,000        0   1,284  13.84147925        1",
    ]


async def test_what_belongs_to_nobody_is_said_so(store: MemoryStore, capsys: pytest.CaptureFixture[str]) -> None:
    print_costs("project", await store.costs("project"), (await store.costs(None))[0])
    names = [line.split("  ")[0] for line in capsys.readouterr().out.splitlines()]
    assert names[:3] == ["PROJECT", "(no project)", "site"]


async def test_what_the_sums_are_silent_about_is_told(store: MemoryStore) -> None:
    assert remarks((await store.costs(None))[0]) == [
        (
            "1 of 5 attempts is of unknown cost and not in the sum: no price, or no usage."
            ' "farthing calls --unknown" shows which.'
        ),
        "1 of 5 attempts is estimated: the answer was cut, or came without usage.",
        "1 of 5 attempts came without usage; their tokens are not in the sums.",
        (
            "Providers reported 1.4000011 USD for 2 attempts that we priced at 1.500001 USD:"
            " ours is 0.0999999 USD (7.14 %) higher; the furthest single one is off by 9.09 %."
        ),
    ]


async def test_nothing_known_is_nothing_remarked(make_attempt: Make) -> None:
    store = MemoryStore()
    assert remarks((await store.costs(None))[0]) == ["Nothing was called in that time."]
    await store.append([make_attempt(1, reported_cost_nanousd=1_478_250)])
    assert remarks((await store.costs(None))[0]) == [
        "Providers reported 0.00147825 USD for 1 attempt that we priced at 0.00147825 USD: the same."
    ]


async def test_programs_get_integers_and_nine_decimals_and_never_0_for_unknown(store: MemoryStore) -> None:
    rows = [costs_as_data(row, "model") for row in await store.costs("model")]
    assert [(row["model"], row["usd"], row["nanousd"]) for row in rows] == [
        ("openai:gpt-5-mini", "12.341479250", 12_341_479_250),
        ("claude:opus", "1.500000000", 1_500_000_000),
        (LONG, None, None),
    ]
