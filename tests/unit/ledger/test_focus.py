"""Rows of FOCUS keep the rules of the specification, version 1.2, section by section of its columns.

The rules are written from https://focus.finops.org/focus-specification/v1-2/: which columns are mandatory, which may be
null, what type they have and which values are allowed. Where we break one knowingly, a test says so.
"""

import json
import random
import re
from decimal import Decimal, localcontext
from typing import Any

import pytest

from farthing.catalog.prices import PriceBook
from farthing.catalog.pricing import price
from farthing.ledger.exports.focus import FOCUS_COLUMNS, focus_rows, is_charge
from farthing.ledger.reports import Record
from farthing.types.calls import Attempt
from farthing.types.prices import Cost
from farthing.types.usage import Usage
from tests.contracts.ledger_samples import NOON_US, attempt, full_attempt

MANDATORY_NOT_NULL = {
    *("BilledCost", "BillingAccountId", "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart", "ChargeCategory"),
    *("ChargePeriodEnd", "ChargePeriodStart", "ContractedCost", "EffectiveCost", "InvoiceIssuerName", "ListCost"),
    *("ProviderName", "PublisherName", "ServiceCategory", "ServiceName"),
}
MANDATORY = MANDATORY_NOT_NULL | {
    *("BillingAccountName", "ChargeClass", "ChargeDescription", "PricingQuantity", "PricingUnit"),
}
NOT_NULL_WHERE_PRESENT = MANDATORY_NOT_NULL | {"BillingAccountType", "ChargeFrequency", "ServiceSubcategory"}
NOT_NULL_FOR_USAGE = {
    *("ConsumedQuantity", "ConsumedUnit", "ContractedUnitPrice", "ListUnitPrice", "PricingCategory"),
    *("PricingQuantity", "PricingUnit", "SkuId", "SkuPriceId"),
}
DECIMALS = {
    *("BilledCost", "ConsumedQuantity", "ContractedCost", "ContractedUnitPrice", "EffectiveCost", "ListCost"),
    *("ListUnitPrice", "PricingQuantity"),
}
ALLOWED: dict[str, set[Any]] = {
    "ChargeCategory": {"Usage", "Purchase", "Tax", "Credit", "Adjustment"},
    "ChargeClass": {None, "Correction"},
    "ChargeFrequency": {"One-Time", "Recurring", "Usage-Based"},
    "PricingCategory": {"Standard", "Dynamic", "Committed", "Other"},
    "ServiceCategory": {"AI and Machine Learning"},
    "ServiceSubcategory": {"Generative AI"},
    "ConsumedUnit": {"Tokens", "Requests"},
}
MOMENT = re.compile(r"20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]Z")
NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")

BOOK = PriceBook()


def explain(one: Attempt) -> Cost | None:
    opening = one.opening
    sheet = BOOK.find(opening.provider, opening.provider, opening.model, NOON_US, free=opening.provider == "ollama")
    return None if sheet is None or sheet.id != one.price_id else price(one.usage, sheet, service_tier=one.service_tier)


def booked(number: int, provider: str, model: str, usage: Usage, **changes: Any) -> Attempt:
    sheet = BOOK.find(provider, provider, model, NOON_US, free=provider == "ollama")
    assert sheet is not None
    cost = price(usage, sheet).nanousd
    return attempt(number, provider=provider, model=model, usage=usage, cost_nanousd=cost, price_id=sheet.id, **changes)


def some(seed: int) -> list[Attempt]:
    rng = random.Random(seed)
    models = [("openai", "gpt-5"), ("anthropic", "claude-sonnet-4-5"), ("ollama", "qwen3:8b")]
    found = []
    for number in range(60):
        provider, model = rng.choice(models)
        read = rng.choice([17, 4_001, 250_003])
        usage = Usage(
            input_tokens=read,
            output_tokens=rng.randrange(2_000),
            cache_read_input_tokens=rng.randrange(read),
            web_search_requests=rng.randrange(2) if provider == "anthropic" else 0,
        )
        who: dict[str, Any] = {
            "project": rng.choice([None, "site"]),
            "tags": rng.choice([None, "a=1,b, farthing/key=x ,=,"]),
        }
        found.append(booked(number, provider, model, usage, **who))
    return found


def rows_of(*attempts: Attempt) -> list[Record]:
    return [row for one in attempts for row in focus_rows(one, explain)]


@pytest.mark.parametrize("row", rows_of(*some(1)), ids=lambda row: str(row["SkuId"]))
def test_a_row_keeps_the_rules_of_focus_1_2(row: Record) -> None:
    assert set(row) >= MANDATORY
    for name in NOT_NULL_WHERE_PRESENT | NOT_NULL_FOR_USAGE:
        assert row[name] is not None, name
    for name in DECIMALS:
        assert NUMBER.fullmatch(str(row[name])), name
    for name, values in ALLOWED.items():
        assert row[name] in values, name
    for name in ("BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd"):
        assert MOMENT.fullmatch(str(row[name])), name
    assert str(row["BillingPeriodStart"]) <= str(row["ChargePeriodStart"]) < str(row["ChargePeriodEnd"])
    assert row["BillingCurrency"] == "USD"
    assert (row["SubAccountId"] is None) == (row["SubAccountType"] is None)
    assert "" not in row.values()
    with localcontext(prec=80):
        for unit_price, cost in (("ListUnitPrice", "ListCost"), ("ContractedUnitPrice", "ContractedCost")):
            product = Decimal(str(row[unit_price])) * Decimal(str(row["PricingQuantity"]))
            assert product == Decimal(str(row[cost]))
            assert Decimal(str(row[unit_price])) >= 0
    for name in ("Tags", "SkuPriceDetails"):
        told = row[name]
        pairs = {} if told is None else json.loads(str(told))
        assert isinstance(pairs, dict)
        assert all(isinstance(value, str | int | bool) for value in pairs.values())


def test_columns_of_ours_come_last_under_their_prefix_and_focus_columns_in_its_order() -> None:
    theirs = [name for name in FOCUS_COLUMNS if not name.startswith("x_")]
    assert theirs == sorted(theirs)
    assert list(FOCUS_COLUMNS[: len(theirs)]) == theirs
    assert all(re.fullmatch(r"(x_)?[A-Z][A-Za-z0-9]{1,49}", name) for name in FOCUS_COLUMNS)
    assert [list(row) for row in rows_of(*some(2))[:3]] == [list(FOCUS_COLUMNS)] * 3


@pytest.mark.parametrize("seed", range(5))
def test_what_is_billed_adds_up_to_the_ledger_to_the_nanodollar(seed: int) -> None:
    for one in some(seed):
        with localcontext(prec=80):
            rows = rows_of(one)
            billed = sum((Decimal(str(row["BilledCost"])) for row in rows), Decimal(0))
            listed = sum((Decimal(str(row["ListCost"])) for row in rows), Decimal(0))
            assert billed * 10**9 == one.cost_nanousd
            assert abs(listed - billed) * 10**9 <= Decimal("0.5")


def test_tokens_are_priced_by_kind() -> None:
    usage = Usage(input_tokens=1_000, output_tokens=10, cache_read_input_tokens=400)
    rows = rows_of(booked(1, "openai", "gpt-5-mini", usage))
    assert [(row["SkuMeter"], row["PricingQuantity"], row["ListUnitPrice"], row["BilledCost"]) for row in rows] == [
        ("Input Tokens", 600, "0.00000025", "0.00015"),
        ("Cache Read Tokens", 400, "0.000000025", "0.00001"),
        ("Output Tokens", 10, "0.000002", "0.00002"),
    ]


def test_tags_are_the_clients_and_ours_under_a_prefix_that_no_client_can_take() -> None:
    (row, *_) = rows_of(
        booked(1, "openai", "gpt-5", Usage(input_tokens=9, output_tokens=1), tags="a=1,b,farthing/key=x")
    )
    assert json.loads(str(row["Tags"])) == {"a": "1", "b": True, "farthing/key": "laptop"}


def test_a_cost_that_nobody_knows_is_null_and_not_0_although_focus_wants_a_number() -> None:
    (row,) = rows_of(attempt(1, cost_nanousd=None, cost_basis="unknown"))
    assert [row[name] for name in ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost")] == [None] * 4
    assert (row["ConsumedQuantity"], row["ConsumedUnit"]) == (120, "Tokens")


def test_where_the_price_of_then_is_not_known_the_cost_is_told_and_no_unit_price() -> None:
    (row,) = rows_of(attempt(1, price_id="settings.yaml:gone#12345678", cost_nanousd=5))
    assert (row["BilledCost"], row["ListUnitPrice"], row["PricingQuantity"]) == ("0.000000005", None, None)


def test_a_refusal_that_cost_nothing_is_no_charge() -> None:
    refused = attempt(1, cost_nanousd=0, price_id=None, usage=Usage(), outcome="provider_error")
    assert not is_charge(refused)
    assert rows_of(refused) == []
    free = booked(2, "ollama", "qwen3:8b", Usage(input_tokens=9, output_tokens=1))
    assert [row["BilledCost"] for row in rows_of(free)] == ["0", "0"]


def test_december_ends_with_the_year_and_a_charge_is_never_shorter_than_a_second() -> None:
    new_year_us = 1_798_761_599_900_000  # 2026-12-31T23:59:59.9Z
    one = attempt(1, started_at_us=new_year_us, ended_at_us=new_year_us + 1)
    (row,) = rows_of(one)
    assert (row["ChargePeriodStart"], row["ChargePeriodEnd"]) == ("2026-12-31T23:59:59Z", "2027-01-01T00:00:00Z")
    assert (row["BillingPeriodStart"], row["BillingPeriodEnd"]) == ("2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z")
    assert rows_of(full_attempt(2))[0]["PublisherName"]
