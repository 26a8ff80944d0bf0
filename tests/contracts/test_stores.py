"""What every store does. A backend is one more line in `make_store`."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from farthing.ledger.reports import costs_report
from farthing.storage.memory import MemoryStore
from farthing.storage.offload import ThreadOffload
from farthing.storage.postgres import PostgresStore
from farthing.storage.protocols import CredentialRecord, KeyRecord, OldSecret, Store
from farthing.storage.sqlite import SqliteStore
from farthing.types.credentials import Quotas
from farthing.types.ledger import CostsFilter
from farthing.types.usage import Usage
from tests.contracts.ledger_samples import DAY_US, NOON_US, attempt, full_attempt
from tests.postgres_server import new_schema

BACKENDS = ["memory", "sqlite", "sqlite-with-reader", "postgres"]


@pytest.fixture(params=BACKENDS)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    offloads = [ThreadOffload("writes"), ThreadOffload("reads")]
    makers: dict[str, Callable[[], Store]] = {
        "memory": MemoryStore,
        "sqlite": lambda: SqliteStore(tmp_path / "farthing.db", offloads[0]),
        "sqlite-with-reader": lambda: SqliteStore(tmp_path / "farthing.db", offloads[0], offloads[1]),
        "postgres": lambda: PostgresStore(new_schema()),
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
    await changed(store, "key_7", name="renamed")
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


async def changed(store: Store, key_id: str, **changes: object) -> KeyRecord | None:
    record = await store.key(key_id)
    assert record is not None
    return await store.change_key(msgspec.structs.replace(record, **changes))


def full_key(number: int) -> KeyRecord:
    of_a_session = {"session": "run-1", "task": "t1", "branch": "main", "pull_request": "12", "expires_at_us": 99}
    rules = {"bound_model": "fast", "models": ("openai:*", 'odd"one\\'), "faces": ("ollama",), "tags": ("a", "b")}
    rules |= {"fixed": ("project", "tags")}
    times = {"disabled_at_us": 7, "rotated_at_us": 8, "old_secrets": (OldSecret(b"\xff" * 32, "ft-zzzzzz", 2**62),)}
    return key(number, organisation="acme", team="blue", project="web", user="ann", **of_a_session, **rules, **times)


async def test_keys_come_back_oldest_first_as_they_were(store: Store) -> None:
    younger, older = await store.add_key(key(2)), await store.add_key(full_key(1))
    assert younger is not None
    assert older is not None
    assert await store.keys() == [older, younger]
    assert msgspec.structs.replace(older, changed=0) == full_key(1)
    assert await store.key("key_1") == await store.key("name-1") == older
    assert await store.key("' OR 1=1 --") is None


def test_a_key_counts_until_it_is_disabled_revoked_or_its_time_is_over() -> None:
    assert key(1).counts(10**18)
    assert key(1, revoked_at_us=5, disabled_at_us=5, expires_at_us=5).state(9) == "revoked"
    assert key(1, disabled_at_us=5, expires_at_us=9).state(8) == "disabled"
    assert key(1, disabled_at_us=5, expires_at_us=9).state(9) == "expired"
    assert not key(1, deleted_at_us=5).counts(1)


async def test_a_taken_name_id_or_digest_is_refused(store: Store) -> None:
    await store.add_key(key(1))
    counter = await store.change_counter()
    assert await store.add_key(key(2, name="name-1")) is None
    assert await store.add_key(key(2, id="key_1")) is None
    assert await store.add_key(key(2, digest=key(1).digest)) is None
    assert await store.change_key(key(3)) is None
    await store.add_key(key(2))
    assert await changed(store, "key_2", name="name-1") is None
    assert await store.change_counter() == counter + 1
    assert [record.name for record in await store.keys()] == ["name-1", "name-2"]


async def test_of_two_changes_to_what_both_have_read_the_first_is_kept(store: Store) -> None:
    read = await store.add_key(key(1))
    assert read is not None
    first = await store.change_key(msgspec.structs.replace(read, revoked_at_us=5))
    assert first is not None
    assert await store.change_key(msgspec.structs.replace(read, revoked_at_us=9)) is None
    assert await store.keys() == [first]
    assert first.changed > read.changed


async def test_a_deleted_key_frees_its_name_and_never_its_id(store: Store) -> None:
    await store.add_key(key(1))
    await store.append([attempt(1)])
    deleted = await changed(store, "key_1", deleted_at_us=5, digest=b"")
    assert deleted is not None
    assert await store.keys() == []
    assert await store.key("key_1") is None
    assert await store.key_names(10) == []
    assert await store.change_key(deleted) is None
    assert await store.add_key(key(1)) is None
    assert await store.add_key(key(2, name="name-1"))
    assert await changed(store, "key_2", deleted_at_us=5, digest=b"")  # two of one name, and without a digest
    assert [row.group for row in await store.costs("key")] == ["name-1"]


async def test_what_changed_is_read_in_pages_and_each_key_once(store: Store) -> None:
    for number in range(1, 8):
        await store.add_key(key(number))
    await changed(store, "key_3", name="renamed")
    await changed(store, "key_5", deleted_at_us=5, digest=b"")
    await changed(store, "key_3", disabled_at_us=5)
    pages, after = [], 0
    while page := await store.changed_keys(after, 3):
        pages.append([record.id for record in page])
        after = page[-1].changed
    assert pages == [["key_1", "key_2", "key_4"], ["key_6", "key_7", "key_5"], ["key_3"]]
    assert after == await store.change_counter()


async def test_the_lowest_number_up_to_a_hundred_is_free_and_beyond_it_one_more_than_the_highest(store: Store) -> None:
    assert await store.free_key_number("app-") == 1
    for number in (1, 2, 4):
        await store.add_key(key(number, name=f"app-{number}"))
    assert await store.free_key_number("app-") == 3
    for number in range(1, 101):
        await store.add_key(key(number + 100, name=f"app-{number}", digest=number.to_bytes(32)))
    for number, name in enumerate(("app-170", "app-9999999999999999999", "app-x", "app-", "apple-300")):
        await store.add_key(key(number + 210, name=name, digest=(number + 210).to_bytes(32)))
    assert await store.free_key_number("app-") == 171
    assert await store.key_names(2) == ["apple-300", "app-"]


async def test_every_change_of_a_key_moves_the_counter(store: Store) -> None:
    seen = [await store.change_counter()]
    for change in (None, {"name": "other"}, {"revoked_at_us": 5}, {"deleted_at_us": 6, "digest": b""}):
        await (store.add_key(key(1)) if change is None else changed(store, "key_1", **change))
        seen.append(await store.change_counter())
    await store.append([attempt(1)])
    seen.append(await store.change_counter())
    assert seen == [seen[0] + step for step in (0, 1, 2, 3, 4, 4)]


OF_ALL: dict[str, Any] = {
    "key_id": "key_9", "key_name": "gone", "organisation": "acme", "team": "blue", "project": "web", "user": "ann",
    "session": "s1", "conversation": "c1", "task": "t1", "sub_agent": "review", "branch": "main", "pull_request": "12",
    "tags": "a, b,a,", "provider": "lab", "model": "qwen3:8b", "face": "ollama",
}  # fmt: skip


@pytest.mark.parametrize("name", CostsFilter.__struct_fields__)
async def test_costs_are_grouped_by_and_limited_to_whatever_a_line_says(store: Store, name: str) -> None:
    value = {"key": "gone", "tag": "b", "model": "lab:qwen3:8b"}.get(name) or OF_ALL[name]
    await store.append([attempt(1), attempt(2, **OF_ALL)])
    only = CostsFilter(**{name: value})
    (total,) = await store.costs(None, only=only)
    assert (total.attempts, total.cost_nanousd) == (1, 1002)
    assert value in [row.group for row in await store.costs(name)]  # type: ignore[arg-type]
    (row, *others) = await store.costs(name, only=only)  # type: ignore[arg-type]
    assert [row.attempts, *(other.group for other in others)] == [1, *(["b"] if name == "tag" else [])]
    (none,) = await store.costs(None, only=CostsFilter(**{name: "' OR 1=1 --"}))
    assert none.attempts == 0


async def test_a_model_and_a_key_may_be_meant_by_either_of_their_names(store: Store) -> None:
    await store.append([attempt(1), attempt(2, **OF_ALL)])
    for only in (CostsFilter(model="qwen3:8b"), CostsFilter(key="key_9"), CostsFilter(key="gone", model="qwen3:8b")):
        assert [row.attempts for row in await store.costs(None, only=only)] == [1]
    await store.add_key(key(9, name="renamed"))
    assert [(await store.costs(None, only=CostsFilter(key=name)))[0].attempts for name in ("renamed", "gone")] == [1, 0]


async def test_an_attempt_stands_under_each_of_its_tags_once(store: Store) -> None:
    tags = [None, "", " , ", "a", "a,b", " b ,a, a", 'q"u\\o', "a,,"]
    await store.append([attempt(number + 1, tags=told) for number, told in enumerate(tags)])
    found = {row.group: row.attempts for row in await store.costs("tag")}
    assert found == {None: 3, "a": 4, "b": 2, 'q"u\\o': 1}
    assert [(await store.costs(None, only=CostsFilter(tag=tag)))[0].attempts for tag in ("a", "")] == [4, 0]


async def test_costs_end_before_a_moment(store: Store) -> None:
    await store.append([attempt(1), attempt(2), attempt(3)])
    (row,) = await store.costs(None, NOON_US + 2, NOON_US + 3)
    assert row.cost_nanousd == 1002


def credential(number: int, **changes: object) -> CredentialRecord:
    record = CredentialRecord(
        id=f"cred_{number}",
        provider="openai",
        name=f"openai-{number}",
        weight=number,
        enabled=True,
        created_at_us=number,
        ciphertext=bytes(range(number)),
        nonce=bytes(12),
        key_id="0123456789abcdef",
    )
    return msgspec.structs.replace(record, **changes)


async def test_credentials_come_back_as_they_were_oldest_first(store: Store) -> None:
    quotas = Quotas(requests_per_minute=5, nanousd_per_day=2**59)
    kept = [credential(1), credential(2, enabled=False, rotated_at_us=9, quotas=quotas)]
    assert await store.credentials.swap([], kept[::-1])
    assert await store.credentials.records() == kept


async def test_credentials_are_exchanged_as_a_whole_or_not_at_all(store: Store) -> None:
    one, two, three = credential(1), credential(2), credential(3)
    assert await store.credentials.swap([], [one, two])
    for stale in ([], [one], [two, one], [one, credential(2, weight=9)], [one, two, three]):
        assert not await store.credentials.swap(stale, [three])
    assert await store.credentials.records() == [one, two]
    names_exchanged = [credential(1, name="openai-2"), credential(2, name="openai-1"), three]
    assert await store.credentials.swap([one, two], names_exchanged)
    assert await store.credentials.records() == names_exchanged
    assert await store.credentials.swap(names_exchanged, [])
    assert await store.credentials.records() == []


async def test_the_credentials_counter_grows_with_each_change_and_with_nothing_else(store: Store) -> None:
    counters = [await store.credentials.counter()]
    for before, after in (
        ([], [credential(1)]),
        ([credential(1)], [credential(1, weight=5)]),
        ([credential(1, weight=5)], []),
    ):
        assert await store.credentials.swap(before, after)
        counters.append(await store.credentials.counter())
    assert counters == sorted(set(counters))
    assert await store.credentials.swap([], [])
    await store.append([attempt(1)])
    assert await store.credentials.counter() == counters[-1]


async def test_of_many_groups_the_dearest_are_told_where_so_many_are_asked_for(store: Store) -> None:
    await store.append([attempt(n, session=f"s{n}", cost_nanousd=n) for n in range(1, 6)])
    assert [row.group for row in await store.costs("session", limit=2)] == ["s5", "s4"]
    report = await costs_report(store, "session", limit=2)
    assert ([row.group for row in report.rows], report.total.calls, report.shortened) == (["s5", "s4"], 5, True)
    assert not (await costs_report(store, "session", limit=5)).shortened
