"""Sums over a time by any few things, and attempts in order of their beginning: the same from every store."""

import random

import msgspec
import pytest

from farthing.storage.protocols import Store
from farthing.types.calls import Attempt
from farthing.types.spending import SpendingBy, SpendingRow, SpendingScope, none_spent, together
from farthing.types.usage import Usage
from tests.contracts.ledger_samples import DAY_US, NOON_US, attempt, full_attempt
from tests.contracts.test_stores import key, store

__all__ = ["store"]  # the fixture: every backend

EVERY: tuple[SpendingBy, ...] = SpendingBy.__args__  # type: ignore[attr-defined]  # a Literal has them


def a_few_hundred(seed: int) -> list[Attempt]:
    rng = random.Random(seed)
    return [
        attempt(
            number,
            call=number // 2,
            started_at_us=NOON_US + rng.randrange(3) * DAY_US + rng.randrange(5),
            provider=rng.choice(["openai", "ollama"]),
            model=rng.choice(["a", "b"]),
            model_served=rng.choice([None, "b-2026-01-01"]),
            project=rng.choice([None, "site", "Größe 🚀"]),
            team=rng.choice([None, "core"]),
            tags=rng.choice([None, "", " , ", "b, a,b", "a ,b", "Ü"]),
            key_id=rng.choice(["key_1", "key_2"]),
            key_name=rng.choice(["", "laptop"]),
            outcome=rng.choice(["ok", "provider_error", "cancelled"]),
            cost_nanousd=rng.choice([None, 0, 17, 1_000_003]),
            usage=rng.choice([Usage(), Usage(input_tokens=100, output_tokens=7, cache_creation_5m_input_tokens=3)]),
        )
        for number in range(300)
    ]


async def test_sums_by_anything_add_up_to_the_sum_over_everything(store: Store) -> None:
    attempts = a_few_hundred(1)
    await store.append(attempts)
    (everything,) = await store.spending(())
    assert everything.attempts == 300
    assert everything.calls == 150
    assert everything.cost_nanousd == sum(one.cost_nanousd or 0 for one in attempts)
    assert everything.unknown_cost_attempts == sum(one.cost_nanousd is None for one in attempts)
    assert everything.free_tokens == 107 * sum(
        one.outcome == "ok" and one.cost_nanousd == 0 and one.usage.known for one in attempts
    )
    for name in EVERY:
        if name == "tag":
            continue  # what has two is counted twice
        rows = await store.spending((name,))
        assert together(rows).attempts == 300, name
        assert together(rows).cost_nanousd == everything.cost_nanousd, name
        assert rows == sorted(rows, key=lambda row: -row.cost_nanousd), name


async def test_groups_have_the_order_they_were_asked_in(store: Store) -> None:
    await store.append([attempt(1, project="site"), attempt(2), full_attempt(3)])
    rows = await store.spending(("project", "day", "model_served"))
    assert {row.groups for row in rows} == {
        ("site", "2026-11-18", "gpt-5-mini"),
        (None, "2026-11-18", "gpt-5-mini"),
        ("web", "2026-11-18", full_attempt(3).model_served),
    }


async def test_a_time_includes_its_beginning_and_not_its_end(store: Store) -> None:
    await store.append([attempt(1), attempt(2), attempt(3)])
    (row,) = await store.spending((), since_us=NOON_US + 1, until_us=NOON_US + 3)
    assert (row.attempts, row.cost_nanousd) == (2, 1001 + 1002)


async def test_a_scope_leaves_out_what_is_not_in_it(store: Store) -> None:
    await store.append([attempt(1, project="site"), attempt(2, project="' OR 1=1 --"), attempt(3)])
    for value, number in (("site", 1), ("' OR 1=1 --", 2), (None, 3), ("nobody's", None)):
        (row,) = await store.spending((), scope=[SpendingScope("project", value)])
        assert row.cost_nanousd == (0 if number is None else 1000 + number)


async def test_an_attempt_stands_under_each_of_its_tags_once_and_under_all_of_them_together(store: Store) -> None:
    told = [None, " , ", "nightly", "search, nightly,search", "nightly,search", "it's"]
    await store.append([attempt(number, tags=tags, cost_nanousd=2**number) for number, tags in enumerate(told)])
    each = {row.groups: row.cost_nanousd for row in await store.spending(("tag",))}
    assert each == {(None,): 3, ("nightly",): 28, ("search",): 24, ("it's",): 32}
    together = {row.groups: row.cost_nanousd for row in await store.spending(("tags",))}
    assert together == {(None,): 3, ("nightly",): 4, ("nightly,search",): 24, ("it's",): 32}
    assert [row.attempts for row in await store.spending(("tag", "model"))] == [1, 3, 2, 2]


async def test_a_scope_may_be_a_tag_among_others_or_none_at_all(store: Store) -> None:
    told = [None, " , ", "nightly", "search, nightly"]
    await store.append([attempt(number, tags=tags, cost_nanousd=2**number) for number, tags in enumerate(told)])
    for value, cost in ((None, 3), ("nightly", 12), ("search", 8), ("night", 0), ("", 0), ("search, nightly", 0)):
        (row,) = await store.spending((), scope=[SpendingScope("tag", value)])
        assert row.cost_nanousd == cost, value
    (row,) = await store.spending(
        ("tag",), scope=[SpendingScope("tag", "search"), SpendingScope("outcome", "ok")], limit=1
    )
    assert row.groups == ("nightly",)


async def test_nothing_spent_is_a_row_of_zeros_or_none(store: Store) -> None:
    assert await store.spending(()) == [none_spent()]
    assert await store.spending(("model",)) == []


async def test_of_too_many_groups_the_dearest_are_told(store: Store) -> None:
    await store.append([attempt(number, model=f"m{number}") for number in range(1, 9)])
    assert [row.groups for row in await store.spending(("model",), limit=2)] == [("m8",), ("m7",)]


async def test_a_renamed_key_stands_under_its_name_of_now(store: Store) -> None:
    record = await store.add_key(key(1, name="was"))
    assert record is not None
    await store.append([attempt(1), attempt(2, key_id="key_0", key_name="")])
    assert await store.change_key(msgspec.structs.replace(record, name="now")) is not None
    assert {row.groups for row in await store.spending(("key",))} == {("now",), ("key_0",)}


async def test_a_row_that_knows_no_cost_says_so() -> None:
    row = SpendingRow(**{**dict.fromkeys(SpendingRow.__struct_fields__, 2), "groups": ()})  # type: ignore[arg-type]
    assert row.known_cost_nanousd is None
    assert none_spent().known_cost_nanousd == 0


@pytest.mark.parametrize("page", [1, 7, 400])
async def test_attempts_come_in_order_of_their_beginning(store: Store, page: int) -> None:
    attempts = a_few_hundred(2)
    await store.append(attempts)
    since_us, until_us = NOON_US + 2, NOON_US + 2 * DAY_US
    found: list[Attempt] = []
    after = (since_us, "")
    while some := await store.attempts_begun(*after, until_us, page):
        found += some
        after = (some[-1].opening.started_at_us, some[-1].opening.attempt_id)
    expected = [one for one in attempts if since_us <= one.opening.started_at_us < until_us]
    assert found == sorted(expected, key=lambda one: (one.opening.started_at_us, one.opening.attempt_id))
