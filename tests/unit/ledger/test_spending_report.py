"""Reports: money by kind, against the period before, and advice that is silent where the ledger has too little."""

from collections.abc import Sequence
from typing import Any

import pytest

from farthing.catalog.prices import PriceBook
from farthing.catalog.pricing import price
from farthing.ledger.money_by_kind import PRICED_BY, MoneyByKind, money_by_kind
from farthing.ledger.recommendations import MIN_OUTCOMES, Outcomes, Priced, cost_per_outcome
from farthing.ledger.report_records import report_as_data
from farthing.ledger.spending_report import Period, Prices, SpendingReport, period_of, spending_report
from farthing.storage.memory import MemoryStore
from farthing.types.calls import Attempt, Attribution
from farthing.types.fixed_costs import FixedCost
from farthing.types.outcomes import WorkOutcome
from farthing.types.prices import PriceSheet
from farthing.types.spending import SpendingBy, SpendingRow, SpendingScope
from farthing.types.usage import Usage
from tests.contracts.ledger_samples import DAY_US, NOON_US, attempt

BOOK = PriceBook()
DAY = period_of("day", NOON_US, NOON_US + 10 * DAY_US)


def sheet(provider: str, model: str) -> PriceSheet | None:
    return BOOK.find(provider, provider, model, NOON_US, free=provider == "ollama")


def candidates(rows: Sequence[SpendingRow]) -> dict[str, Sequence[Priced]]:
    names = {(row.groups[0] or "", row.groups[1] or "") for row in rows}
    priced = [Priced(f"{a}:{b}", found) for a, b in sorted(names) if (found := sheet(a, b))]
    return {f"{a}:{b}": priced for a, b in names}


PRICES = Prices(lambda provider, served, _model: sheet(provider, served), sheet, candidates)


def booked(number: int, provider: str, model: str, usage: Usage, **changes: Any) -> Attempt:
    known = sheet(provider, model)
    assert known is not None
    cost = price(usage, known).nanousd
    made = {"usage": usage, "cost_nanousd": cost, "price_id": known.id, **changes}
    return attempt(number, provider=provider, model=model, **made)


async def report(*attempts: Attempt, period: Period = DAY, **given: Any) -> SpendingReport:
    store = MemoryStore()
    await store.append(attempts)
    return await spending_report(store, period, PRICES, **given)


async def test_money_is_split_by_kind_as_it_was_booked() -> None:
    usage = Usage(input_tokens=10_000, output_tokens=500, cache_read_input_tokens=6_000, reasoning_output_tokens=400)
    written = Usage(input_tokens=9_001, output_tokens=3, cache_creation_5m_input_tokens=4_000)
    told = await report(
        *[booked(number, "openai", "gpt-5-mini", usage) for number in range(7)],
        booked(8, "anthropic", "claude-haiku-4-5", written),
    )
    assert told.kinds == MoneyByKind(
        input_nanousd=7 * 4_000 * 250 + 5_001 * 1_000,
        cache_read_nanousd=7 * 6_000 * 25,
        cache_write_nanousd=4_000 * 1_250,
        output_nanousd=7 * 500 * 2_000 + 3 * 5_000,
    )


async def test_what_cannot_be_split_stays_whole_and_the_sum_is_the_ledgers() -> None:
    long = Usage(input_tokens=250_000, output_tokens=10)
    short = Usage(input_tokens=1_000, output_tokens=10)
    attempts = [
        booked(1, "anthropic", "claude-sonnet-4-5", long),
        booked(2, "openai", "gpt-5", short, cost_nanousd=12_345),  # another cost than its price makes
        booked(3, "openai", "gpt-5-mini", short, price_id="settings.yaml:gone#1"),
        booked(4, "openai", "gpt-5-nano", short),
    ]
    told = await report(*attempts, attempt(5, cost_nanousd=None, cost_basis="unknown", price_id=None))
    assert sum(getattr(told.kinds, name) for name in MoneyByKind.__struct_fields__) == told.total.cost_nanousd
    assert told.kinds.unsplit_nanousd > 0
    assert told.kinds.output_nanousd > 0
    only = await report(booked(1, "anthropic", "claude-sonnet-4-5", short))
    assert only.kinds.unsplit_nanousd == 0, "no call was long enough for the second price"


async def test_nothing_is_split_into_nothing() -> None:
    assert money_by_kind([], lambda *_: None) == MoneyByKind()
    store = MemoryStore()
    await store.append([attempt(1, price_id="x")])
    rows = await store.spending(PRICED_BY)
    assert money_by_kind(rows, lambda *_: None) == MoneyByKind(unsplit_nanousd=1_001)


def test_a_running_period_is_compared_with_as_much_of_the_one_before() -> None:
    day = period_of("day", NOON_US, NOON_US)
    midnight_us = NOON_US // DAY_US * DAY_US
    assert day == Period("day", midnight_us, NOON_US, midnight_us - DAY_US, NOON_US - DAY_US, running=True)
    over = period_of("day", NOON_US, NOON_US + DAY_US)
    assert (over.until_us, over.before_until_us, over.running) == (midnight_us + DAY_US, midnight_us, False)


def test_a_period_is_one_of_the_zone_that_is_meant() -> None:
    day = period_of("day", NOON_US, NOON_US + DAY_US, "Europe/Berlin")
    assert (day.since_us - NOON_US // DAY_US * DAY_US, day.until_us - day.since_us) == (-DAY_US // 24, DAY_US)
    october = period_of("month", 1_792_000_000_000_000, NOON_US + DAY_US, "Europe/Berlin")
    assert october.until_us - october.since_us == 31 * DAY_US + DAY_US // 24, "clocks went back"


@pytest.mark.parametrize(("name", "days", "before_days"), [("day", 1, 1), ("week", 7, 7), ("month", 30, 31)])
def test_periods_are_days_weeks_from_monday_and_calendar_months(name: Any, days: int, before_days: int) -> None:
    found = period_of(name, NOON_US, NOON_US + 90 * DAY_US)
    assert found.until_us - found.since_us == days * DAY_US
    assert found.before_until_us - found.before_since_us == before_days * DAY_US
    assert found.since_us <= NOON_US < found.until_us
    if name == "week":
        assert (found.since_us // DAY_US + 3) % 7 == 0, "1970 began on a Thursday"


def test_a_long_month_is_not_compared_with_more_than_the_short_one_before_had() -> None:
    march_31_us = 1_806_451_200_000_000  # 2027-03-31T00:00Z
    found = period_of("month", march_31_us, march_31_us)
    assert found.before_until_us == found.since_us


async def test_a_scope_leaves_out_the_rest_and_fixed_costs_stay_beside() -> None:
    told = await report(
        attempt(1, project="site"),
        attempt(2, project="other"),
        scope=[SpendingScope("project", "site")],
        fixed_costs=[FixedCost(name="power", nanousd=5, per="day")],
    )
    assert (told.total.cost_nanousd, [row.groups for row in told.by_project]) == (1_001, [("site",)])
    assert [one.nanousd for one in told.fixed] == [5]


async def test_sums_by_anything_more_stand_beside_those_by_model_and_project() -> None:
    told = await report(attempt(1, tags="a,b", team="core"), attempt(2, tags="b"), by=["tag", "team"])
    assert [(group.by, [(row.groups[0], row.attempts) for row in group.rows]) for group in told.groups] == [
        ("tag", [("b", 2), ("a", 1)]),
        ("team", [(None, 1), ("core", 1)]),
    ]
    assert [row["usd"] for row in report_as_data(told)["by_team"]] == ["0.000001002", "0.000001001"]


async def test_a_cheaper_model_is_named_with_its_arithmetic_and_sample() -> None:
    usage = Usage(input_tokens=5_000, output_tokens=500, cache_read_input_tokens=4_000)
    dear = [booked(number, "openai", "gpt-5", usage) for number in range(60)]
    told = await report(*dear, booked(99, "openai", "gpt-5-nano", usage), booked(98, "ollama", "qwen3:8b", usage))
    (one,) = [one for one in told.recommendations if one.kind == "cheaper_model"]
    nano = price(usage, sheet("openai", "gpt-5-nano") or pytest.fail("no price")).nanousd or 0
    gpt_5 = sum(one.cost_nanousd or 0 for one in dear)
    assert one.arithmetic == (("cost on openai:gpt-5", gpt_5), ("the same tokens on openai:gpt-5-nano", 60 * nano))
    assert (one.sample, one.of, one.saves_nanousd) == (60, "attempts", gpt_5 - 60 * nano)


async def test_advice_is_silent_where_calls_are_few_or_the_money_is_unknown() -> None:
    usage = Usage(input_tokens=50_000, output_tokens=500)
    cheap = booked(99, "openai", "gpt-5-nano", usage)
    few = [booked(number, "openai", "gpt-5", usage, session="s") for number in range(49)]
    assert (await report(*few, cheap)).recommendations == ()
    unknown = booked(98, "openai", "gpt-5", usage, cost_nanousd=None, cost_basis="unknown")
    told = await report(*few, booked(97, "openai", "gpt-5", usage), unknown, cheap)
    assert [one.kind for one in told.recommendations if one.kind == "cheaper_model"] == []


async def test_caching_is_advised_where_sessions_read_much_again_and_nothing_from_the_cache() -> None:
    usage = Usage(input_tokens=20_000, output_tokens=5)
    cold = [booked(number, "openai", "gpt-5", usage, session=f"s{number % 10}") for number in range(100)]
    (one,) = (await report(*cold)).recommendations
    afresh, cached = 2_000_000 * 1_250, 200_000 * 1_250 + 1_800_000 * 125
    assert (one.kind, one.sample) == ("caching", 100)
    assert [nanousd for _, nanousd in one.arithmetic] == [afresh, cached]
    assert one.saves_nanousd == afresh - cached


@pytest.mark.parametrize(
    "changes",
    [
        {"session": None},  # nobody knows what was read again
        {"usage": Usage(input_tokens=2_000, output_tokens=5)},  # too short for a cache
        {"usage": Usage(input_tokens=20_000, output_tokens=5, cache_read_input_tokens=9_000)},  # it works already
    ],
)
async def test_caching_is_not_advised_where_it_would_not_help(changes: dict[str, Any]) -> None:
    given = {"usage": Usage(input_tokens=20_000, output_tokens=5), "session": "s", **changes}
    usage = given.pop("usage")
    told = await report(*[booked(number, "openai", "gpt-5", usage, **given) for number in range(100)])
    assert [one.kind for one in told.recommendations if one.kind == "caching"] == []


async def test_a_local_share_below_the_target_is_told_and_without_a_target_nothing_is() -> None:
    usage = Usage(input_tokens=90, output_tokens=10)
    paid = [booked(number, "openai", "gpt-5", usage) for number in range(80)]
    free = [booked(number, "ollama", "qwen3:8b", usage) for number in range(80, 100)]
    (one,) = (await report(*paid, *free, local_target_percent=30)).recommendations
    spent = sum(one.cost_nanousd or 0 for one in paid)
    assert one.advice == "20 % of tokens were free, the target is 30 %"
    assert (one.sample, one.saves_nanousd) == (100, spent * 1_000 // 8_000)
    assert (await report(*paid, *free, local_target_percent=20)).recommendations == ()
    assert (await report(*paid, *free)).recommendations == ()


async def test_an_answer_that_costs_more_than_a_dollar_is_told_of_with_what_failed_on_the_way() -> None:
    dear = [attempt(number, model="opus", cost_nanousd=10**9) for number in range(30)]
    cut = [attempt(number, model="opus", cost_nanousd=10**9, outcome="provider_cut") for number in range(30, 33)]
    (one,) = [one for one in (await report(*dear, *cut)).recommendations if one.kind == "cost_per_outcome"]
    assert one.advice == "30 of 33 succeeded; one of those costs more than $1.00"
    assert one.arithmetic == (("cost of all of them", 33 * 10**9), ("cost of one success", 1_100_000_000))
    assert (one.subject, one.sample) == ("calls of openai:opus", 33)
    assert (await report(*dear, *cut, outcome_threshold_nanousd=11 * 10**8)).recommendations == ()
    assert (await report(*dear[:16], *cut)).recommendations == ()


class Asked(MemoryStore):
    """Remembers of how much of the time it was asked what ended well, in seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[int] = []

    async def spending(self, by: Sequence[SpendingBy], **told: Any) -> list[SpendingRow]:
        """See `LedgerStore.spending`."""
        if any(one.by == "outcome" for one in told["scope"]):
            self.seconds.append((told["until_us"] - told["since_us"]) // 1_000_000)
        return await super().spending(by, **told)


@pytest.mark.parametrize(
    ("each_nanousd", "early", "late", "asked"),
    [
        (10**7, 30, 30, []),  # all of them together cost less than one may
        (9 * 10**7, 50, 10, [3_600]),  # those ten are enough
        (9 * 10**7, 60, 0, [3_600, 86_400]),
        (11 * 10**8, 10, 50, [3_600, 86_400]),
        (11 * 10**8, 60, 0, [3_600, 86_400]),
    ],
)
async def test_how_many_calls_ended_well_is_asked_of_as_few_lines_as_tell_it(
    each_nanousd: int, early: int, late: int, asked: list[int]
) -> None:
    store = Asked()
    began_us = [DAY.since_us] * early + [DAY.until_us - 1] * late
    await store.append(
        [attempt(one, started_at_us=us, model="opus", cost_nanousd=each_nanousd) for one, us in enumerate(began_us)]
    )
    advice = (await spending_report(store, DAY, PRICES)).recommendations
    assert store.seconds == asked
    assert [one.arithmetic[1][1] for one in advice] == ([each_nanousd] if each_nanousd > 10**9 else [])
    await store.append([attempt(99, started_at_us=DAY.since_us, model="opus", cost_nanousd=None)])
    assert (await spending_report(store, DAY, PRICES)).recommendations == ()
    assert store.seconds == asked, "of an unknown cost there is no advice"


async def test_where_enough_is_told_of_work_it_says_what_a_success_is_and_answers_do_not() -> None:
    store = MemoryStore()
    await store.append([attempt(number, model="opus", cost_nanousd=10**9 + 1) for number in range(MIN_OUTCOMES)])
    for told in range(MIN_OUTCOMES):
        (of_calls,) = (await spending_report(store, DAY, PRICES)).recommendations
        assert of_calls.subject == "calls of openai:opus", f"{told} are too few"
        task = attempt(100 + told, attribution=Attribution(key_id="key_1", task=f"T-{told}"), cost_nanousd=10**9)
        await store.append([task])
        await store.outcomes.tell(
            WorkOutcome(
                id=f"out_{told:02}", kind="task", name=f"T-{told}", succeeded=told < 5, at_us=DAY.since_us, who="admin"
            )
        )
    (one,) = [one for one in (await spending_report(store, DAY, PRICES)).recommendations if one.of == "outcomes"]
    assert (one.subject, one.sample) == ("tasks that were told of", MIN_OUTCOMES)
    assert one.advice == "5 of 20 succeeded; one of those costs more than $1.00"
    assert one.arithmetic == (("cost of all of them", 20 * 10**9), ("cost of one success", 4 * 10**9))


def test_a_success_that_costs_more_than_a_dollar_is_told_and_too_few_outcomes_are_not() -> None:
    enough = Outcomes("task issue-12", MIN_OUTCOMES, 10, 20 * 10**9)
    (one,) = cost_per_outcome([enough, Outcomes("few", MIN_OUTCOMES - 1, 1, 10**12), Outcomes("none", 99, 0, 10**12)])
    assert (one.subject, one.sample, one.of) == ("task issue-12", 20, "outcomes")
    assert one.arithmetic[1] == ("cost of one success", 2 * 10**9)
    assert cost_per_outcome([enough], threshold_nanousd=2 * 10**9) == []
