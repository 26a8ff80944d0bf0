"""Providers' exports, in the shapes that they have, against the ledger; made-up figures, real field names."""

import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from farthing.errors import ExportUnreadable
from farthing.ledger.reconciliation import compare as comparing
from farthing.ledger.reconciliation.compare import Reconciliation, Side, add_up, compare
from farthing.ledger.reconciliation.formats import ExportOf, generic_reader
from farthing.ledger.reconciliation.lines import BilledLine, same_model
from farthing.ledger.reconciliation.readers import billed_lines
from farthing.storage.memory import MemoryStore
from farthing.types.calls import Attempt
from farthing.types.usage import Usage
from tests.contracts.ledger_samples import DAY_US, NOON_US, attempt

MIDNIGHT_S = 1_794_960_000  # 2026-11-18
DAY = "2026-11-18"
NEXT_DAY = "2026-11-19"


def page(results: Sequence[dict[str, Any]], **times: Any) -> str:
    return json.dumps({"object": "page", "data": [{**times, "results": list(results)}], "has_more": False})


OPENAI_TIMES = {"object": "bucket", "start_time": MIDNIGHT_S, "end_time": MIDNIGHT_S + 86_400}
OPENAI_USAGE = page(
    [
        {
            "object": "organization.usage.completions.result",
            "input_tokens": 1000,
            "output_tokens": 50,
            "input_cached_tokens": 800,
            "num_model_requests": 5,
            "project_id": None,
            "model": "gpt-5-mini-2025-08-07",
        },
        {
            "object": "organization.usage.embeddings.result",
            "input_tokens": 7,
            "num_model_requests": 1,
            "model": "text-embedding-3-small",
        },
    ],
    **OPENAI_TIMES,
)
OPENAI_COSTS = page(
    [
        {"amount": {"value": 0.06, "currency": "usd"}, "line_item": "gpt-5-mini, input", "project_id": None},
        {"amount": {"value": "1.5000000000000000000000000001", "currency": "usd"}, "line_item": "gpt-5-mini, output"},
    ],
    **OPENAI_TIMES,
)
OPENAI_USAGE_CSV = (
    "start_time,end_time,start_time_iso,end_time_iso,project_id,num_model_requests,user_id,model,input_tokens,"
    "output_tokens,input_cached_tokens\n"
    f"{MIDNIGHT_S},{MIDNIGHT_S + 60},{DAY}T00:00:00+00:00,{DAY}T00:01:00+00:00,p,3.0,,gpt-5-mini-2025-08-07,10,2,4\n"
    f"{MIDNIGHT_S + 60},{MIDNIGHT_S + 120},{DAY}T00:01:00+00:00,{DAY}T00:02:00+00:00,,,,,,,\n"
)
OPENAI_COSTS_CSV = (
    "start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,quantity,quantity_unit,line_item\n"
    f"{MIDNIGHT_S},{MIDNIGHT_S + 86_400},{DAY}T00:00:00,{NEXT_DAY}T00:00:00,0.003835980000000000000000000000,usd,,,\n"
    f"{MIDNIGHT_S - 86_400},{MIDNIGHT_S},,,,,,,\n"
)
ANTHROPIC_TIMES = {"starting_at": f"{DAY}T00:00:00Z", "ending_at": f"{NEXT_DAY}T00:00:00Z"}
ANTHROPIC_USAGE = page(
    [
        {
            "uncached_input_tokens": 1500,
            "cache_creation": {"ephemeral_1h_input_tokens": 1000, "ephemeral_5m_input_tokens": 500},
            "cache_read_input_tokens": 200,
            "output_tokens": 500,
            "server_tool_use": {"web_search_requests": 10},
            "model": "claude-haiku-4-5-20251001",
        }
    ],
    **ANTHROPIC_TIMES,
)
ANTHROPIC_COSTS = page(
    [{"amount": "123.78912", "currency": "USD", "model": "claude-haiku-4-5", "token_type": "output_tokens"}],
    **ANTHROPIC_TIMES,
)
CONSOLE_USAGE = (
    "usage_date_utc,model_version,api_key,workspace,usage_type,context_window,usage_input_tokens_no_cache,"
    "usage_input_tokens_cache_write_5m,usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,"
    "usage_output_tokens,web_search_count,inference_geo,speed\n"
    f"{DAY},claude-haiku-4-5-20251001,key,Default,standard,≤ 200k,100,20,3,4000,50,0,global,\n"
)
CONSOLE_COSTS = (
    "\ufeffusage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,list_price_usd,cost_type\n"
    f"{DAY},Claude Haiku 4.5,Default,key,message,≤ 200k,input_no_cache,1.50,1.50,token\n"
    f"{DAY},Claude Haiku 4.5,Default,key,message,≤ 200k,output,0.25,0.25,token\n"
)
OPENROUTER_GENERATIONS = (
    "generation_id,created_at,cost_total,cost_web_search,tokens_prompt,tokens_completion,tokens_reasoning,tokens_cached,"
    "model_permaslug,provider_name,variant,cancelled\n"
    f"gen-1,{DAY} 03:46:57.713,0.0123,0,10389,137,0,10000,openai/gpt-oss-120b,Groq,free,false\n"
    f"gen-2,{DAY}T12:05:00Z,0.0007,0,40,20,0,,openai/gpt-oss-120b,Groq,,true\n"
)
OPENROUTER_DAYS = (
    "Date,Slug,Usage,BYOK Usage,Requests,Prompt Tokens,Completion Tokens,Reasoning Tokens\n"
    f'"{DAY} 00:00:00","anthropic/claude-opus-4.7","430.07","0","4115","70965665","3009973","0"\n'
)
OPENROUTER_ACTIVITY = json.dumps(
    {
        "data": [
            {
                "date": DAY,
                "model": "openai/gpt-4.1",
                "model_permaslug": "openai/gpt-4.1-2025-04-14",
                "usage": 0.015,
                "byok_usage_inference": 0.012,
                "requests": 5,
                "prompt_tokens": 50,
                "completion_tokens": 125,
            }
        ]
    }
)
GOOGLE = (
    "Invoice number,X\nInvoice date,2026-11-30\nCurrency,USD\nTotal amount due,$5.72\n\n"
    "Billing account name,Project ID,Service description,SKU description,Usage start date,Usage end date,Usage amount,"
    "Usage unit,Unrounded Cost ($),Cost ($)\n"
    f'A,p,G,Generate content input token count gemini 2.5 flash lite text,{DAY},{DAY},"103,131",count,0.0103131,0.01\n'
    f"A,p,G,Generate content output token count gemini 2.5 flash lite text,{DAY},{NEXT_DAY},400,count,0.00016,0.00\n"
    f"A,p,Cloud Run,CPU Allocation Time,{DAY},{DAY},9,hour,3,3\n"
)

SHAPES: list[tuple[str, ExportOf, str, dict[tuple[str, str | None], Side]]] = [
    (
        "openai usage API",
        "openai",
        OPENAI_USAGE,
        {
            (DAY, "gpt-5-mini"): Side(requests=5, input_tokens=1000, output_tokens=50, cache_read_tokens=800),
            (DAY, "text-embedding-3-small"): Side(requests=1, input_tokens=7),
        },
    ),
    ("openai costs API", "openai", OPENAI_COSTS, {(DAY, "gpt-5-mini"): Side(usd=1_560_000_000)}),
    (
        "openai usage CSV",
        "openai",
        OPENAI_USAGE_CSV,
        {(DAY, "gpt-5-mini"): Side(requests=3, input_tokens=10, output_tokens=2, cache_read_tokens=4)},
    ),
    ("openai costs CSV", "openai", OPENAI_COSTS_CSV, {(DAY, None): Side(usd=3_835_980)}),
    (
        "anthropic usage API",
        "anthropic",
        ANTHROPIC_USAGE,
        {(DAY, "claude-haiku-4-5"): Side(input_tokens=3200, output_tokens=500, cache_read_tokens=200)},
    ),
    (
        "anthropic cost API, in cents",
        "anthropic",
        ANTHROPIC_COSTS,
        {(DAY, "claude-haiku-4-5"): Side(usd=1_237_891_200)},
    ),
    (
        "anthropic console usage",
        "anthropic",
        CONSOLE_USAGE,
        {(DAY, "claude-haiku-4-5"): Side(input_tokens=4123, output_tokens=50, cache_read_tokens=4000)},
    ),
    ("anthropic console cost", "anthropic", CONSOLE_COSTS, {(DAY, "claude-haiku-4-5"): Side(usd=1_750_000_000)}),
    (
        "openrouter generations",
        "openrouter",
        OPENROUTER_GENERATIONS,
        {
            (DAY, "openai/gpt-oss-120b"): Side(
                usd=13_000_000, requests=2, input_tokens=10429, output_tokens=157, cache_read_tokens=10000
            )
        },
    ),
    (
        "openrouter days",
        "openrouter",
        OPENROUTER_DAYS,
        {
            (DAY, "anthropic/claude-opus-4-7"): Side(
                usd=430_070_000_000, requests=4115, input_tokens=70965665, output_tokens=3009973
            )
        },
    ),
    (
        "openrouter activity API",
        "openrouter",
        OPENROUTER_ACTIVITY,
        {(DAY, "openai/gpt-4-1"): Side(usd=15_000_000, requests=5, input_tokens=50, output_tokens=125)},
    ),
    (
        "google cost table",
        "google",
        GOOGLE,
        {(DAY, "gemini-2-5-flash-lite"): Side(usd=10_473_100, input_tokens=103_131, output_tokens=400)},
    ),
]


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "export"
    path.write_text(text, encoding="utf-8", newline="")
    return path


@pytest.mark.parametrize(("provider", "text", "sums"), [shape[1:] for shape in SHAPES], ids=[s[0] for s in SHAPES])
def test_an_export_is_read_exactly(
    tmp_path: Path, provider: ExportOf, text: str, sums: dict[tuple[str, str | None], Side]
) -> None:
    assert add_up(billed_lines(written(tmp_path, text), provider)) == sums


def test_pages_that_follow_one_another_are_one_export(tmp_path: Path) -> None:
    path = written(tmp_path, f"{OPENAI_USAGE}\n{OPENAI_USAGE}\n[{OPENAI_COSTS}]")
    side = add_up(billed_lines(path, "openai"))[DAY, "gpt-5-mini"]
    assert (side.requests, side.usd) == (10, 1_560_000_000)


def test_any_csv_is_read_by_its_own_columns(tmp_path: Path) -> None:
    reader = generic_reader({"day": "When", "model": "Model", "usd": "Bill", "requests": "n"})
    path = written(tmp_path, 'When,Model,Bill,n,x\r\n2026-11-18 23:59:59 UTC,m,"$1,234.50",2,"a\r\nb"\r\n')
    assert add_up(billed_lines(path, "generic", reader)) == {(DAY, "m"): Side(usd=1_234_500_000_000, requests=2)}


def test_a_column_that_the_file_does_not_have_is_no_unknown_amount(tmp_path: Path) -> None:
    reader = generic_reader({"day": "When", "model": "Model", "usd": "Bil"})
    with pytest.raises(ExportUnreadable, match="export:2: there is no column 'Bil'") as refused:
        add_up(billed_lines(written(tmp_path, "When,Model,Bill\n2026-11-18,m,1\n"), "generic", reader))
    assert refused.value.hint == "there are: When, Model, Bill."


@pytest.mark.parametrize(
    ("provider", "text", "told"),
    [
        ("anthropic", CONSOLE_COSTS.replace("0.25", "free"), "export:3: cost_usd 'free' is no number"),
        ("anthropic", CONSOLE_USAGE.replace(DAY, "18/11/2026"), "export:2: usage_date_utc '18/11/2026' is no day"),
        ("anthropic", CONSOLE_USAGE.replace(",50,0,", ",-50,0,"), "export:2: usage_output_tokens '-50' is no count"),
        ("anthropic", CONSOLE_COSTS + "2026-11-18,Claude", "export:4: 2 cells under 10 columns; was it cut?"),
        ("anthropic", 'a,"b\n', "no CSV"),
        ("anthropic", "a,b\n1,2\n", "export:1: no export of anthropic that is known has these columns: a, b"),
        ("anthropic", OPENAI_USAGE, "no export of anthropic that is known has these columns"),
        ("anthropic", "", "export: it holds no table"),
        ("anthropic", ANTHROPIC_COSTS.replace("USD", "EUR"), "results[0]: the currency is 'EUR'"),
        ("anthropic", CONSOLE_COSTS.replace("1.50,1.50", "1e999999,1"), "is no number"),
        ("openai", OPENAI_USAGE[:-40], "export:1: no JSON; was it cut?"),
        ("openai", "{\n}", "export: page 1 has no list 'data'"),
        ("openai", '{"error": {"message": "no admin key"}}', "it says \"{'message': 'no admin key'}\""),
        ("openai", OPENAI_USAGE.replace(str(MIDNIGHT_S + 86_400), str(MIDNIGHT_S + 90_000)), "is longer than a day"),
        ("openai", OPENAI_USAGE.replace("1000", "true"), "input_tokens 'True' is no number"),
        ("openai", '{"data": [3]}', "data[0] is no object"),
        ("openai", page([]), "The export holds no usage and no costs"),
        ("google", GOOGLE.replace("Currency,USD", "Currency,AUD"), "export:3: the currency is 'AUD'"),
        ("google", GOOGLE.replace(f'{DAY},{DAY},"103', f'{DAY},2026-11-30,"103'), "a row is longer than a day"),
        ("google", "a,b\n" * 60, "no export of google that is known has these columns"),
    ],
)
def test_a_bad_file_is_told_with_its_line(tmp_path: Path, provider: ExportOf, text: str, told: str) -> None:
    with pytest.raises(ExportUnreadable) as raised:
        add_up(billed_lines(written(tmp_path, text), provider))
    assert told in raised.value.message


def test_a_file_that_is_no_text_or_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ExportUnreadable, match="cannot be read"):
        add_up(billed_lines(tmp_path / "none", "openai"))
    (tmp_path / "export").write_bytes(b"a,b\n\xff\xfe")
    with pytest.raises(ExportUnreadable, match="is not UTF-8 text"):
        add_up(billed_lines(tmp_path / "export", "openai"))


def test_more_days_and_models_than_there_can_be_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing, "MAX_CELLS", 3)
    lines = [BilledLine(day=DAY, model=f"m{number}", requests=1) for number in range(4)]
    with pytest.raises(ExportUnreadable, match="more than 3 days by models"):
        add_up(lines)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Claude Haiku 4.5", "claude-haiku-4-5-20251001"),
        ("Claude 3.5 Sonnet 2024-10-22", "claude-3-5-sonnet-20241022"),
        ("gpt-5-mini-2025-08-07", "gpt-5-mini"),
        ("openai/gpt-oss-120b:free", "openai/gpt-oss-120b"),
        ("gemini 2.5 flash", "gemini-2.5-flash"),
    ],
)
def test_two_spellings_of_a_model_are_one(one: str, other: str) -> None:
    assert same_model(one) == same_model(other)


def test_different_models_are_different() -> None:
    names = ["gpt-5", "gpt-5-mini", "claude-opus-4-1", "claude-opus-4-5", "gpt-4o-2024-05-13x", None]
    assert len({same_model(name) for name in names}) == len(names)


async def reconciled(theirs: list[BilledLine], *attempts: Attempt) -> Reconciliation:
    store = MemoryStore()
    await store.append(attempts)
    return compare(add_up(theirs), await store.spending(("day", "model_served")))


def billed(**figures: Any) -> BilledLine:
    return BilledLine(**{"day": DAY, "model": "gpt-5-mini-2025-08-07", **figures})


def mine(number: int, **changes: Any) -> Attempt:
    usage = Usage(input_tokens=100, output_tokens=10)
    return attempt(number, **{"usage": usage, "cost_nanousd": 1_000_000, **changes})


async def test_books_that_agree_have_no_differences() -> None:
    told = await reconciled([billed(usd=Fraction(2, 1000), requests=2, input_tokens=200)], mine(1), mine(2))
    assert (told.cells, told.agreeing, told.differences) == (1, 1, ())
    assert [(one.measure, one.theirs, one.captured) for one in told.captures] == [
        ("usd", 2_000_000, 2_000_000),
        ("requests", 2, 2),
        ("input_tokens", 200, 200),
    ]


async def test_a_rounding_of_each_request_is_no_difference() -> None:
    told = await reconciled([billed(usd=Fraction(2_000_002, 10**9))], mine(1), mine(2))
    assert told.agreeing == 1
    told = await reconciled([billed(usd=Fraction(2_000_003, 10**9))], mine(1), mine(2))
    assert told.agreeing == 0


async def test_too_much_of_one_model_does_not_make_up_for_what_is_missing_of_another() -> None:
    told = await reconciled(
        [billed(requests=1), billed(model="gpt-5", requests=9)], mine(1), mine(2), mine(3), mine(4, model="gpt-5")
    )
    (capture,) = told.captures
    assert (capture.theirs, capture.ours, capture.captured) == (10, 4, 2)


@pytest.mark.parametrize(
    ("theirs", "ours", "reason"),
    [
        ([billed(requests=5, input_tokens=500)], [mine(1)], "around_the_gateway"),
        ([billed(model="o3", usd=Fraction(1))], [], "around_the_gateway"),
        ([billed(requests=1, input_tokens=100)], [mine(1), mine(2, model="o3")], "not_in_the_export"),
        (
            [billed(usd=Fraction(1), input_tokens=100)],
            [mine(1, cost_nanousd=None, cost_basis="unknown")],
            "unknown_price",
        ),
        ([billed(usd=Fraction(1, 500), input_tokens=100)], [mine(1)], "another_price"),
        ([billed(usd=Fraction(1, 500), input_tokens=100)], [mine(1, cost_basis="estimated")], "estimated_usage"),
        ([billed(usd=Fraction(1, 500))], [mine(1)], "other"),
    ],
)
async def test_a_difference_has_a_likely_reason(theirs: list[BilledLine], ours: list[Attempt], reason: str) -> None:
    told = await reconciled(theirs, *ours)
    assert [one.reasons for one in told.differences] == [(reason,)]


async def test_two_days_that_differ_the_other_way_are_a_time_zone() -> None:
    ours = [mine(number, started_at_us=NOON_US + (number % 2) * DAY_US) for number in range(10)]
    theirs = [billed(input_tokens=800), billed(day=NEXT_DAY, input_tokens=200)]
    told = await reconciled(theirs, *ours)
    assert [one.reasons for one in told.differences] == [("time_zone",)] * 2


async def test_differences_come_largest_first_and_calls_that_failed_are_no_requests() -> None:
    theirs = [billed(model=f"m{n}", usd=Fraction(n)) for n in (1, 3, 2)]
    told = await reconciled(theirs)
    assert [one.by("usd") for one in told.differences] == [-3 * 10**9, -2 * 10**9, -(10**9)]
    told = await reconciled([billed(requests=1)], mine(1), mine(2, outcome="provider_error"))
    assert told.agreeing == 1


async def test_an_export_without_models_is_compared_by_the_day() -> None:
    told = await reconciled([billed(model=None, usd=Fraction(2, 1000))], mine(1), mine(2, model="o3"))
    assert (told.cells, told.agreeing) == (1, 1)


async def test_a_cost_that_we_do_not_know_is_not_0() -> None:
    told = await reconciled([billed(usd=Fraction(1))], mine(1, cost_nanousd=None, cost_basis="unknown"))
    (one,) = told.differences
    assert one.ours.usd is None
    assert one.by("usd") == -(10**9)
