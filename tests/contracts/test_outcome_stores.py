"""What every store does with what was told of tasks and sessions, and what reports make of it."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from farthing.ledger.told_outcomes import told_outcomes
from farthing.storage.memory import MemoryStore
from farthing.storage.offload import ThreadOffload
from farthing.storage.postgres import PostgresStore
from farthing.storage.protocols import Store
from farthing.storage.sqlite import SqliteStore
from farthing.types.calls import Attribution
from farthing.types.outcomes import KEPT_US, WorkOutcome
from farthing.types.spending import SpendingScope
from farthing.types.tenant import Tenant
from tests.contracts.ledger_samples import NOON_US, attempt
from tests.postgres_server import new_schema

HOUR_US = 3_600_000_000
RED = Tenant("acme", "red")


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


def outcome(number: int, **changes: object) -> WorkOutcome:
    plain = WorkOutcome(
        id=f"out_{number:03}", kind="task", name=f"T-{number}", succeeded=True, at_us=NOON_US + number, who="admin"
    )
    return msgspec.structs.replace(plain, **changes)


async def test_outcomes_are_told_youngest_first_a_page_at_a_time_and_by_time_and_team(store: Store) -> None:
    kept = [outcome(1), outcome(2, kind="session", succeeded=False), outcome(3, tenant=RED), outcome(4, name="Ä b")]
    for one in kept:
        await store.outcomes.tell(one)
    assert await store.outcomes.told(9) == kept[::-1]
    assert await store.outcomes.told(2) == [kept[3], kept[2]]
    assert await store.outcomes.told(2, before_id="out_003") == [kept[1], kept[0]]
    assert await store.outcomes.told(9, since_us=NOON_US + 2, until_us=NOON_US + 4) == [kept[2], kept[1]]
    assert await store.outcomes.told(9, tenant=RED) == [kept[2]]
    assert await store.outcomes.told(9, tenant=Tenant("globex", "red")) == []


async def test_told_again_the_last_counts_and_what_is_old_is_forgotten(store: Store) -> None:
    await store.outcomes.tell(outcome(1))
    await store.outcomes.tell(outcome(2, name="T-1", tenant=RED))
    again = outcome(3, name="T-1", succeeded=False, who="cli")
    await store.outcomes.tell(again)
    assert await store.outcomes.told(9) == [again, outcome(2, name="T-1", tenant=RED)]
    late = outcome(5, at_us=NOON_US + 4 + KEPT_US)
    await store.outcomes.tell(late)
    assert await store.outcomes.told(9) == [late]


async def test_what_successes_cost_is_what_all_the_work_cost_that_was_told_of(store: Store) -> None:
    def of(task: str | None, team: str = "red", session: str | None = None) -> Attribution:
        return Attribution(key_id="key_1", organisation="acme", team=team, task=task, session=session)

    await store.append(
        [
            attempt(1, attribution=of("T-1"), cost_nanousd=700),
            attempt(2, attribution=of("T-1"), cost_nanousd=300),
            attempt(3, attribution=of("T-1", "blue"), cost_nanousd=50_000),
            attempt(4, attribution=of("T-2", session="S"), cost_nanousd=2_000),
            attempt(5, attribution=of("T-3"), cost_nanousd=None, cost_basis="unknown"),
            attempt(6, attribution=of("nobody told"), cost_nanousd=90_000),
        ]
    )
    told = [
        outcome(1, tenant=RED),
        outcome(2, succeeded=False),
        outcome(3),
        outcome(4),
        outcome(5, kind="session", name="S"),
    ]
    for one in told:
        await store.outcomes.tell(one)

    async def found(*scope: SpendingScope, since_us: int = NOON_US) -> list[tuple[str, int, int, int]]:
        outcomes = await told_outcomes(
            store, since_us, NOON_US + HOUR_US, costs_since_us=NOON_US - HOUR_US, scope=scope
        )
        return [(one.subject, one.told, one.succeeded, one.cost_nanousd) for one in outcomes]

    tasks = ("tasks that were told of", 2, 1, 3_000)
    assert await found() == [tasks, ("sessions that were told of", 1, 1, 2_000)], (
        "T-3 is of unknown cost, T-4 is no call"
    )
    assert await found(SpendingScope("team", "blue")) == [], "blue's T-1 is not red's"
    assert await found(since_us=NOON_US + 5) == [("sessions that were told of", 1, 1, 2_000)]
    await store.outcomes.tell(outcome(6, name="T-1"))
    assert (await found())[0] == ("tasks that were told of", 3, 2, 53_000), "blue's T-1 was told of for all"
