"""The budgets do in every schedule what the model says: who is admitted, with how much, and what is charged."""

import os

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from farthing.storage.memory import MemoryStore
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
