"""What every store does with the admin's tokens, the audit log, and the few questions that the admin API asks."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from farthing.storage.memory import MemoryStore
from farthing.storage.offload import ThreadOffload
from farthing.storage.postgres import PostgresStore
from farthing.storage.protocols import KeyRecord, Store
from farthing.storage.sqlite import SqliteStore
from farthing.types.admin import AdminToken, Change
from farthing.types.budgets import Budget, Scope
from farthing.types.ledger import KeySpent
from farthing.types.limits import Limit, LimitTarget
from farthing.types.tenant import Tenant
from tests.contracts.ledger_samples import NOON_US, attempt
from tests.postgres_server import new_schema


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    offload = ThreadOffload()
    makers: dict[str, Callable[[], Store]] = {
        "memory": MemoryStore,
        "sqlite": lambda: SqliteStore(tmp_path / "farthing.db", offload),
        "postgres": lambda: PostgresStore(new_schema()),
    }
    made = makers[request.param]()
    await made.open()
    yield made
    await made.close()
    await offload.close()


def token(number: int, **changes: object) -> AdminToken:
    plain = AdminToken(
        id=f"tok_{number}",
        name=f"token {number}",
        role="manager",
        team="red",
        shown="fta-abc",
        digest=b"%032d" % number,
        created_at_us=NOON_US + number,
    )
    return msgspec.structs.replace(plain, **changes)


def change(number: int, **changes: object) -> Change:
    plain = Change(
        id=f"chg_{number}",
        at_us=NOON_US + number,
        who="admin",
        who_name="admin",
        role="admin",
        team=None,
        request_id=f"req_{number}",
        action="keys.create",
    )
    return msgspec.structs.replace(plain, **changes)


async def test_a_token_is_found_by_its_digest_until_the_end_of_days(store: Store) -> None:
    assert await store.admin.add_token(token(1))
    assert await store.admin.add_token(token(2, team=None, role="viewer", expires_at_us=NOON_US))
    assert await store.admin.token(token(1).digest) == token(1)
    assert await store.admin.token(b"x" * 32) is None
    assert [one.id for one in await store.admin.tokens()] == ["tok_1", "tok_2"]
    assert not token(2, expires_at_us=NOON_US).counts(NOON_US)


async def test_a_tokens_name_is_its_own_until_it_is_revoked(store: Store) -> None:
    assert await store.admin.add_token(token(1))
    assert not await store.admin.add_token(token(2, name="token 1"))
    assert await store.admin.revoke_token("tok_1", NOON_US)
    assert not await store.admin.revoke_token("tok_1", NOON_US + 5)
    assert not await store.admin.revoke_token("tok_9", NOON_US)
    assert await store.admin.add_token(token(2, name="token 1"))
    assert [one.revoked_at_us for one in await store.admin.tokens()] == [NOON_US, None]


async def test_a_change_is_there_before_it_is_made_and_complete_afterwards(store: Store) -> None:
    begun = change(1)
    await store.admin.begin_change(begun)
    assert await store.admin.changes(10) == [begun]
    done = change(1, outcome="done", status=201, subject="key_1", before=None, after={"name": "Ä", "tags": ["a"]})
    await store.admin.end_change(msgspec.structs.replace(done, who="somebody else"))
    assert await store.admin.changes(10) == [done]


async def test_changes_are_listed_youngest_first_a_page_at_a_time_and_by_what_is_asked(store: Store) -> None:
    for number in range(5):
        who, action = ("admin", "tok_1")[number % 2], ("keys.create", "budgets.delete")[number > 2]
        await store.admin.begin_change(change(number, who=who, action=action, subject=f"thing {number}"))
    ids = [one.id for one in await store.admin.changes(2)]
    assert ids == ["chg_4", "chg_3"]
    assert [one.id for one in await store.admin.changes(2, ids[-1])] == ["chg_2", "chg_1"]
    assert [one.id for one in await store.admin.changes(9, who="tok_1")] == ["chg_3", "chg_1"]
    assert [one.id for one in await store.admin.changes(9, action="budgets.delete")] == ["chg_4", "chg_3"]
    assert [one.id for one in await store.admin.changes(9, subject="thing 2", who="admin")] == ["chg_2"]


async def test_what_a_key_spent_is_the_sum_of_its_attempts(store: Store) -> None:
    assert await store.key_spent("key_none") == KeySpent()
    mine = [attempt(1), attempt(2)]
    await store.append(mine)
    key_id = mine[0].opening.attribution.key_id
    ours = [one for one in mine if one.opening.attribution.key_id == key_id]
    spent = await store.key_spent(key_id)
    assert spent.attempts == len(ours)
    assert spent.cost_nanousd == sum(one.cost_nanousd or 0 for one in ours)
    assert spent.unknown_cost_attempts == sum(one.cost_nanousd is None for one in ours)


async def test_keys_come_in_pages_in_the_order_of_their_ids(store: Store) -> None:
    for number in range(5):
        record = KeyRecord(
            id=f"key_{number}",
            name=f"name {9 - number}",
            shown="ft-",
            digest=b"%032d" % number,
            created_at_us=NOON_US,
            team="red" if number % 2 else None,
            project="site",
        )
        kept = await store.add_key(record)
        assert kept is not None
        if number == 2:
            await store.change_key(msgspec.structs.replace(kept, deleted_at_us=NOON_US, digest=b""))
    assert [one.id for one in await store.keys_page(2)] == ["key_0", "key_1"]
    assert [one.id for one in await store.keys_page(2, "key_1")] == ["key_3", "key_4"]
    assert [one.id for one in await store.keys_page(9, team="red", project="site")] == ["key_1", "key_3"]
    assert await store.keys_page(9, project="other") == []


async def test_teams_of_one_name_are_told_apart_by_their_organisation(store: Store) -> None:
    acme, globex = Tenant("acme", "red"), Tenant("globex", "red")
    assert not await store.team_elsewhere(acme)
    for number, tenant in enumerate((acme, acme, globex)):
        record = KeyRecord(
            id=f"key_{number}",
            name=f"name {number}",
            shown="ft-",
            digest=b"%032d" % number,
            created_at_us=NOON_US,
            organisation=tenant.organisation,
            team=tenant.team,
        )
        assert await store.add_key(record)
        assert await store.team_elsewhere(globex), "there is acme's"
        assert await store.team_elsewhere(acme) == (number == 2)
    assert [one.id for one in await store.keys_page(9, organisation="acme", team="red")] == ["key_0", "key_1"]
    assert [one.id for one in await store.keys_page(1, "key_0", organisation="acme", team="red")] == ["key_1"]
    assert [one.id for one in await store.keys_page(9, organisation="globex", team="red")] == ["key_2"]
    (theirs,) = await store.keys_page(9, organisation="globex", team="red")
    assert await store.change_key(msgspec.structs.replace(theirs, deleted_at_us=NOON_US, digest=b""))
    assert await store.team_elsewhere(acme), "what the deleted key spent is there still"


async def test_a_token_and_a_line_say_of_which_organisation_they_are(store: Store) -> None:
    assert await store.admin.add_token(token(1, organisation="acme"))
    (kept,) = await store.admin.tokens()
    assert kept.tenant == Tenant("acme", "red")
    await store.admin.begin_change(change(1, organisation="acme", team="red"))
    assert [(one.organisation, one.team) for one in await store.admin.changes(1)] == [("acme", "red")]


async def test_a_rule_keeps_who_has_set_it(store: Store) -> None:
    budget = Budget(id="bud_1", name="b", scope=Scope(), limit_nanousd=1, period="day", set_by=Tenant("acme", "red"))
    limit = Limit(id="lim_1", name="l", target=LimitTarget(), rates=(), set_by=Tenant("acme", "red"))
    assert await store.budgets.put(budget)
    assert await store.limits.put(limit)
    assert await store.budgets.all() == [budget]
    assert await store.limits.all() == [limit]
