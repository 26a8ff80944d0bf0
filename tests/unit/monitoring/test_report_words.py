"""A report as it is read in a chat or a mail."""

import msgspec

from farthing.monitoring.notify.slack import escaped
from farthing.monitoring.notify.webhook import as_data
from farthing.monitoring.notify.words import message_of
from farthing.types.alerts import Fact
from farthing.types.report_facts import (
    ReportAdvice,
    ReportAmount,
    ReportBudget,
    ReportKind,
    ReportLine,
    ReportMade,
)

USD = 10**9
MADE = ReportMade(
    name="weekly",
    channels=("team",),
    period="week",
    time_zone="Europe/Berlin",
    since_us=1_794_783_600_000_000,
    until_us=1_795_388_400_000_000,
    scope="team 'core'",
    team="core",
    calls=1_201,
    attempts=1_234,
    failed_attempts=12,
    unknown_cost_attempts=1,
    spent_nanousd=12_345_678_901,
    before_attempts=900,
    before_nanousd=10 * USD,
    kinds=(
        ReportKind(name="input read afresh", tokens=2_000_000, nanousd=9 * USD),
        ReportKind(name="output", tokens=90_000, nanousd=None),
        ReportKind(name="not split", tokens=None, nanousd=3 * USD),
    ),
    by_model=(
        ReportLine(name="openai:gpt-5", calls=1_000, input_tokens=2_000_000, output_tokens=90_000, nanousd=12 * USD),
        ReportLine(name="lab:\nnew", calls=1, input_tokens=7, output_tokens=1, nanousd=None),
    ),
    by_project=(),
    budgets=(
        ReportBudget(
            name="daily",
            subject="all calls",
            period="day",
            periods=7,
            spent_nanousd=70 * USD,
            limit_nanousd=140 * USD,
            fullest_permille=912,
        ),
        ReportBudget(
            name="core",
            subject="team 'core'",
            period="month",
            periods=1,
            spent_nanousd=12_345_678_901,
            limit_nanousd=50 * USD,
            fullest_permille=246,
        ),
    ),
    fixed=(ReportAmount(name="GPU power", nanousd=63 * USD // 10),),
    advice=(
        ReportAdvice(
            subject="openai:gpt-5",
            advice="try openai:gpt-5-mini where it will do: the same tokens cost less there",
            arithmetic=(
                ReportAmount(name="cost on openai:gpt-5", nanousd=12 * USD),
                ReportAmount(name="the same tokens on openai:gpt-5-mini", nanousd=24 * USD // 10),
            ),
            saves_nanousd=96 * USD // 10,
            sample=1_000,
            of="attempts",
        ),
    ),
)


def words(made: ReportMade = MADE) -> tuple[str, list[str]]:
    message = message_of(Fact(id="alert_1", at_us=0, about=made))
    return message.title, message.text.splitlines()


def test_a_report_reads_from_what_was_spent_to_what_to_do_about_it() -> None:
    title, lines = words()
    assert title == "Report 'weekly': the week from 2026-11-16 (Europe/Berlin), only team 'core'"
    assert lines == [
        "Spent $12.345678901; $10.00 in the week before (+23.4 %).",
        "1 attempt of unknown cost, in no sum.",
        "1,201 calls, 1,234 attempts, 12 failed.",
        "",
        "What it went into",
        "- input read afresh: $9.00, 2,000,000 tokens",
        "- output: in what is not split, 90,000 tokens",
        "- not split: $3.00",
        "",
        "By model",
        "- openai:gpt-5: $12.00, 1,000 calls, 2,000,000 tokens in, 90,000 out",
        "- lab:?new: unknown, 1 call, 7 tokens in, 1 out",
        "",
        "Budgets",
        "- daily: 50.0 % used, $70.00 of $140.00 in 7 days, the fullest 91.2 %",
        "- core (team 'core'): 24.6 % used, $12.35 of $50.00 for the month",
        "",
        "Paid whatever was called",
        "- GPU power: $6.30",
        "",
        "Recommendations",
        (
            "- openai:gpt-5: try openai:gpt-5-mini where it will do: the same tokens cost less there (cost on"
            " openai:gpt-5 $12.00; the same tokens on openai:gpt-5-mini $2.40; saves at most $9.60; from 1,000"
            " attempts)"
        ),
    ]


def test_a_day_without_calls_and_one_of_unknown_cost_are_said_as_they_are() -> None:
    nothing = msgspec.structs.replace(
        MADE,
        period="day",
        scope="",
        calls=0,
        attempts=0,
        failed_attempts=0,
        unknown_cost_attempts=0,
        spent_nanousd=0,
        before_attempts=0,
        before_nanousd=0,
        **dict.fromkeys(("kinds", "by_model", "budgets", "fixed", "advice"), ()),
    )
    title, lines = words(nothing)
    assert title == "Report 'weekly': Monday 2026-11-16 (Europe/Berlin)"
    assert lines == ["Spent $0.00; nothing was called in the day before.", "0 calls, 0 attempts."]
    unknown = msgspec.structs.replace(nothing, spent_nanousd=None, before_attempts=3, before_nanousd=None)
    assert words(unknown)[1][0] == "Spent an unknown amount; unknown in the day before."


def test_the_longest_report_fits_what_a_chat_takes_up_to_its_recommendations() -> None:
    named = [
        msgspec.structs.replace(MADE.by_model[0], name=f"provider:a-model-with-a-long-name-{n}") for n in range(10)
    ]
    budgets = [msgspec.structs.replace(MADE.budgets[0], name=f"a budget with a long name {n}") for n in range(10)]
    long = msgspec.structs.replace(MADE, by_model=tuple(named), by_project=tuple(named), budgets=tuple(budgets))
    text = "\n".join(words(long)[1])
    assert len(escaped(text.partition("Recommendations")[0])) < 2_500


def test_a_program_is_told_every_amount_twice_however_deep_it_stands() -> None:
    about = as_data(message_of(Fact(id="alert_1", at_us=0, about=MADE)))["about"]
    assert (about["spent_usd"], about["spent_nanousd"]) == ("12.345678901", 12_345_678_901)
    assert about["by_model"][1]["usd"] is None
    assert about["budgets"][0]["limit_usd"] == "140.000000000"
    assert about["advice"][0]["arithmetic"][1]["usd"] == "2.400000000"
    msgspec.json.encode(about)
