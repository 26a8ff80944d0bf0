"""The budgets do in every schedule what the model says: who is admitted, with how much, and what is charged."""

import os
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from farthing.storage.memory import MemoryStore
from farthing.storage.sqlite import SqliteStore
from tests.contracts.ledger_samples import InPlace
from tests.model.budget_model import Rule
from tests.model.player import play
from tests.model.schedules import MOMENTS_US, Step, rules, steps

SCALE = float(os.environ.get("FARTHING_CI_SCALE", "1"))
DEEP = int(os.environ.get("FARTHING_MODEL_SCHEDULES", "0"))
"""How many schedules to play of each kind when it is meant: 50,000 take an hour."""


def played(schedules: int) -> settings:
    return settings(
        max_examples=DEEP or max(10, round(schedules * SCALE)), deadline=None, suppress_health_check=list(HealthCheck)
    )


@played(300)
@given(rules(), steps(), st.sampled_from(MOMENTS_US), st.sampled_from((0, 10_000)))
def test_one_process_admits_and_charges_exactly_what_the_model_says(
    drawn: list[Rule], schedule: list[Step], now_us: int, wait_s: int
) -> None:
    play(MemoryStore, drawn, schedule, now_us, wait_s=wait_s)


@played(150)
@given(rules(), steps(troubles=True), st.sampled_from(MOMENTS_US), st.sampled_from((0, 10_000)))
def test_a_store_that_is_away_or_loses_its_answers_costs_no_money_and_once_it_is_back_nothing_is_missing(
    drawn: list[Rule], schedule: list[Step], now_us: int, wait_s: int
) -> None:
    play(MemoryStore, drawn, schedule, now_us, wait_s=wait_s)


@played(150)
@given(rules(blocking=False), steps(houses=True), st.sampled_from(MOMENTS_US), st.integers(2, 4))
def test_several_processes_that_join_leave_and_die_never_pass_a_limit_together_and_leave_nobody_waiting(
    drawn: list[Rule], schedule: list[Step], now_us: int, processes: int
) -> None:
    play(MemoryStore, drawn, schedule, now_us, processes=processes, wait_s=10_000)


@played(100)
@given(rules(blocking=False), steps(houses=True, troubles=True), st.sampled_from(MOMENTS_US), st.integers(2, 3))
def test_several_processes_keep_to_the_limit_whatever_the_store_does(
    drawn: list[Rule], schedule: list[Step], now_us: int, processes: int
) -> None:
    play(MemoryStore, drawn, schedule, now_us, processes=processes, wait_s=10_000)


@played(30)
@given(rules(blocking=False), steps(houses=True, troubles=True, longest=25), st.sampled_from(MOMENTS_US))
def test_several_processes_keep_to_the_limit_over_sqlite(drawn: list[Rule], schedule: list[Step], now_us: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        play(
            lambda: SqliteStore(Path(folder) / "farthing.db", InPlace()),
            drawn,
            schedule,
            now_us,
            processes=2,
            wait_s=10_000,
        )
