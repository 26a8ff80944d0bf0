"""What every store does. A backend is one more line in `make_store`."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from farthing.storage.memory import MemoryStore
from farthing.storage.offload import ThreadOffload
from farthing.storage.protocols import KeyRecord, Store
from farthing.storage.sqlite import SqliteStore
from farthing.types.usage import Usage
from tests.contracts.ledger_samples import DAY_US, NOON_US, attempt, full_attempt

BACKENDS = ["memory", "sqlite", "sqlite-with-reader"]


@pytest.fixture(params=BACKENDS)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    offloads = [ThreadOffload("writes"), ThreadOffload("reads")]
    makers: dict[str, Callable[[], Store]] = {
        "memory": MemoryStore,
        "sqlite": lambda: SqliteStore(tmp_path / "farthing.db", offloads[0]),
        "sqlite-with-reader": lambda: SqliteStore(tmp_path / "farthing.db", offloads[0], offloads[1]),
    }
    made = makers[request.param]()
    await made.open()
    yield made
    await made.close()
    await made.close()
    for offload in offloads:
        await offload.close()


def key(number: int, **changes: object) -> KeyRecord:
    record = KeyRecord(
        id=f"key_{number}", name=f"name-{number}", shown="ft-abcdef", digest=bytes([number]) * 32, created_at_us=number
    )
    return msgspec.structs.replace(record, **changes)


async def test_an_attempt_comes_back_as_it_was(store: Store) -> None:
    kept = [attempt(1), full_attempt(2), attempt(3, usage=Usage(), cost_nanousd=None, cost_basis="unknown")]
    assert await store.append(kept) == 3
    assert await store.attempts_after("", 10) == kept
    assert await store.attempts_of(["att_000002", "no such id"]) == [kept[1]]


async def test_a_second_append_changes_nothing(store: Store) -> None:
    await store.append([attempt(1), attempt(2)])
    before = await store.daily_totals()
    assert await store.append([attempt(1, cost_nanousd=999_999)]) == 0
    assert await store.append([attempt(2), attempt(1)]) == 0
    assert await store.daily_totals() == before
    assert (await store.call("call_000001"))[0].cost_nanousd == 1001


async def test_what_is_new_beside_what_is_known_is_kept(store: Store) -> None:
    await store.append([attempt(1)])
    assert await store.append([attempt(1), attempt(2), attempt(2, cost_nanousd=5), attempt(3)]) == 2
    assert [a.cost_nanousd for a in await store.attempts_after("", 10)] == [1001, 1002, 1003]
    assert await store.daily_totals() == await store.daily_totals_recomputed()


async def test_appending_nothing_is_fine(store: Store) -> None:
    assert await store.append([]) == 0
    assert await store.daily_totals() == []


async def test_known_names_the_kept_ones(store: Store) -> None:
    await store.append([attempt(1), attempt(2)])
    assert await store.known(["att_000001", "att_000009", "' OR 1=1 --"]) == {"att_000001"}
    assert await store.known([]) == set()


async def test_daily_totals_are_what_the_attempts_add_up_to(store: Store) -> None:
    await store.append([attempt(1), attempt(2, cost_nanousd=None, cost_basis="unknown"), full_attempt(3)])
    await store.append([attempt(4, started_at_us=NOON_US + DAY_US), attempt(5, usage=Usage(input_tokens=7))])
    totals = await store.daily_totals()
    assert totals == await store.daily_totals_recomputed()
    assert [(t.day, t.key_id, t.attempts) for t in totals] == [
        ("2026-11-18", "key_1", 3),
        ("2026-11-18", "key_9", 1),
        ("2026-11-19", "key_1", 1),
    ]
    assert totals[0].cost_nanousd == 1001 + 1005
    assert (totals[0].unknown_cost_attempts, totals[0].unknown_usage_attempts, totals[0].input_tokens) == (1, 1, 207)
    assert (totals[1].estimated_attempts, totals[1].cache_creation_1h_input_tokens) == (1, 5)


@pytest.mark.parametrize(
    ("by", "groups"),
    [
        ("model", ["lab:qwen3:8b", "openai:gpt-5-mini"]),
        ("provider", ["lab", "openai"]),
        ("key", ["renamed", "laptop"]),
        ("session", ["s1", None]),
        ("project", ["web", None]),
        ("task", ["t1", None]),
        ("branch", ["main", None]),
        ("day", ["2026-11-18", "2026-11-19"]),
    ],
)
async def test_costs_are_grouped(store: Store, by: str, groups: list[str | None]) -> None:
    await store.add_key(key(7, name="old"))
    await store.rename_key("key_7", "renamed")
    await store.append(
        [
            attempt(1),
            attempt(
                2,
                started_at_us=NOON_US + DAY_US,
                cost_nanousd=5_000_000,
                provider="lab",
                model="qwen3:8b",
                key_id="key_7",
                key_name="old",
                session="s1",
                project="web",
                task="t1",
                branch="main",
            ),
        ]
    )
    rows = await store.costs(by, None)  # type: ignore[arg-type]  # parametrised with the type's own values
    assert [row.group for row in rows] == groups
    assert {row.cost_nanousd for row in rows} == {1001, 5_000_000}


async def test_the_largest_difference_to_a_reported_cost_is_over_attempts_where_both_are_known(store: Store) -> None:
    await store.append(
        [
            attempt(1, cost_nanousd=1_010, reported_cost_nanousd=1_000),
            attempt(2, cost_nanousd=900, reported_cost_nanousd=1_000),
            attempt(3, cost_nanousd=5_000, reported_cost_nanousd=0),
            attempt(4, cost_nanousd=None, cost_basis="unknown", reported_cost_nanousd=1),
            attempt(5, cost_nanousd=7),
        ]
    )
    (row,) = await store.costs(None)
    assert (row.comparable_attempts, row.largest_difference_ppm) == (3, 100_000)
    assert (row.comparable_cost_nanousd, row.reported_cost_nanousd) == (6_910, 2_000)


async def test_a_costs_row_says_what_it_is_silent_about(store: Store) -> None:
    await store.append(
        [
            attempt(1, reported_cost_nanousd=900),
            attempt(2, call=1, cost_nanousd=None, cost_basis="unknown", reported_cost_nanousd=50, usage=Usage()),
            attempt(3, cost_basis="estimated", cost_nanousd=0),
            full_attempt(4),
        ]
    )
    (row,) = await store.costs(None)
    assert row.group is None
    assert (row.calls, row.attempts) == (3, 4)
    assert row.cost_nanousd == 1001 + 10**15
    assert (row.unknown_cost_attempts, row.estimated_attempts, row.unknown_usage_attempts) == (1, 2, 1)
    assert (row.reported_cost_nanousd, row.comparable_cost_nanousd) == (911, 1001 + 10**15)
    assert row.reported_only_nanousd == 50
    assert row.comparable_attempts == 2
    assert row.largest_difference_ppm == (1 << 63) - 1  # beyond what a store keeps
    assert (row.cache_read_input_tokens, row.cache_creation_input_tokens) == (123, 9)
    assert (row.input_tokens, row.output_tokens, row.reasoning_output_tokens, row.web_search_requests) == (
        201,
        42,
        8,
        10,
    )


async def test_costs_of_nothing_are_one_row_of_zeros_or_none(store: Store) -> None:
    (row,) = await store.costs(None)
    assert (row.attempts, row.cost_nanousd) == (0, 0)
    assert await store.costs("model") == []


async def test_costs_since_a_time_count_what_began_then(store: Store) -> None:
    await store.append([attempt(1), attempt(2), attempt(3)])
    (row,) = await store.costs(None, NOON_US + 2)
    assert row.attempts == 2


async def test_recent_calls_come_youngest_first_in_pages(store: Store) -> None:
    await store.append([attempt(1), attempt(2), attempt(3, call=2, ordinal=2), attempt(4)])
    first = await store.recent(2)
    assert [[a.opening.attempt_id for a in call] for call in first] == [["att_000004"], ["att_000002", "att_000003"]]
    second = await store.recent(2, first[-1][0].opening.call_id)
    assert [[a.opening.attempt_id for a in call] for call in second] == [["att_000001"]]


async def test_calls_are_found_by_the_beginning_of_an_id(store: Store) -> None:
    await store.append([attempt(1), attempt(2, call=1, ordinal=2), attempt(12)])
    assert await store.call_ids("call_00000", 9) == ["call_000001"]
    assert await store.call_ids("att_000002", 9) == ["call_000001"]
    assert await store.call_ids("call_", 9) == ["call_000001", "call_000012"]
    assert await store.call_ids("call_", 1) == ["call_000001"]
    assert await store.call_ids("call_%", 9) == []
    assert [a.opening.ordinal for a in await store.call("call_000001")] == [1, 2]
    assert await store.call("call_0") == []


async def test_a_try_that_stands_twice_is_told(store: Store) -> None:
    await store.append([attempt(1), attempt(2, call=1), attempt(3)])
    assert await store.repeated_tries(9) == [("call_000001", 1, 2)]


async def test_attempts_come_in_pages(store: Store) -> None:
    await store.append([attempt(n) for n in (3, 1, 2)])
    page = await store.attempts_after("", 2)
    assert [a.opening.attempt_id for a in page] == ["att_000001", "att_000002"]
    assert [a.opening.attempt_id for a in await store.attempts_after("att_000002", 2)] == ["att_000003"]


async def test_totals_are_made_again_from_the_attempts(store: Store) -> None:
    await store.append([attempt(1), full_attempt(2), attempt(3, started_at_us=NOON_US + DAY_US)])
    before = await store.daily_totals()
    assert await store.rebuild_totals() == (before, before)
    assert await store.daily_totals() == before == await store.daily_totals_recomputed()


async def test_no_totals_are_made_of_nothing(store: Store) -> None:
    assert await store.rebuild_totals() == ([], [])


async def test_a_sound_store_has_no_damage(store: Store) -> None:
    await store.append([attempt(1)])
    assert await store.damage() == []


async def test_keys_come_back_oldest_first(store: Store) -> None:
    of_a_session = {"session": "run-1", "task": "t1", "branch": "main", "pull_request": "12", "expires_at_us": 99}
    full = key(1, organisation="acme", team="blue", project="web", user="ann", **of_a_session)
    assert await store.add_key(key(2))
    assert await store.add_key(full)
    assert await store.keys() == [full, key(2)]


def test_a_key_counts_until_it_is_revoked_or_its_time_is_over() -> None:
    assert key(1).counts(10**18)
    assert not key(1, revoked_at_us=5).counts(1)
    assert key(1, expires_at_us=99).counts(98)
    assert not key(1, expires_at_us=99).counts(99)


async def test_a_taken_name_id_or_digest_is_refused(store: Store) -> None:
    await store.add_key(key(1))
    counter = await store.change_counter()
    assert not await store.add_key(key(2, name="name-1"))
    assert not await store.add_key(key(2, id="key_1"))
    assert not await store.add_key(key(2, digest=key(1).digest))
    assert not await store.rename_key("no such key", "x")
    await store.add_key(key(2))
    assert not await store.rename_key("key_2", "name-1")
    assert await store.change_counter() == counter + 1
    assert await store.keys() == [key(1), key(2)]


async def test_revoking_twice_keeps_the_first_time(store: Store) -> None:
    await store.add_key(key(1))
    assert await store.revoke_key("key_1", 5)
    assert not await store.revoke_key("key_1", 9)
    assert not await store.revoke_key("key_2", 9)
    assert [record.revoked_at_us for record in await store.keys()] == [5]


async def test_every_change_of_a_key_moves_the_counter(store: Store) -> None:
    seen = [await store.change_counter()]
    await store.add_key(key(1))
    seen.append(await store.change_counter())
    await store.rename_key("key_1", "other")
    seen.append(await store.change_counter())
    await store.revoke_key("key_1", 5)
    seen.append(await store.change_counter())
    await store.append([attempt(1)])
    seen.append(await store.change_counter())
    assert seen == sorted(seen)
    assert len(set(seen)) == 4
