"""The whole gateway from a seed: it keeps its books, it repeats itself exactly, and a broken one is found out."""

import hashlib
import os
import subprocess
import sys
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from farthing.testing.simulator import Result, simulate
from farthing.testing.simulator.__main__ import failure, main
from farthing.testing.simulator.budgets import with_budgets
from farthing.testing.simulator.expiry import with_expiry
from farthing.testing.simulator.routers import SECOND, with_routers
from farthing.testing.simulator.schedule import TROUBLES, draw
from tests.simulation.sabotage import FAULTS, Sabotage

SCALE = float(os.environ.get("FARTHING_CI_SCALE", "1"))
SEEDS = round(1_200 * SCALE)
"""Of 5 to 20 calls each; they take about half a minute."""
REPLAYED = max(5, round(60 * SCALE))


@pytest.mark.slow
def test_every_seed_leaves_books_that_are_right() -> None:
    failed = [result for seed in range(SEEDS) if (result := simulate(seed)).problems]
    assert not failed, "\n".join(map(failure, failed))


def test_a_seed_plays_the_same_to_the_last_line() -> None:
    for seed in range(REPLAYED):
        assert simulate(seed) == simulate(seed), seed


def test_a_seed_plays_the_same_in_another_process() -> None:
    program = "import hashlib\nfrom farthing.testing.simulator import simulate\n"
    program += f"print([hashlib.sha256(repr(simulate(seed)).encode()).hexdigest() for seed in range({REPLAYED})])"
    ran = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "1"},
    )
    here = [hashlib.sha256(repr(simulate(seed)).encode()).hexdigest() for seed in range(REPLAYED)]
    assert ran.stdout.strip() == str(here)


@pytest.mark.parametrize("sabotage", FAULTS, ids=lambda sabotage: sabotage.__name__)
def test_a_gateway_with_a_fault_is_found_out(sabotage: Sabotage, monkeypatch: pytest.MonkeyPatch) -> None:
    sabotage(monkeypatch)
    assert any(simulate(seed).problems for seed in range(FAULTS[sabotage]))


def test_a_house_that_waits_for_ever_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    from farthing.providers.pool import Pool  # noqa: PLC0415 - only this test spoils it

    async def forever(*_: object) -> None:
        import asyncio  # noqa: PLC0415

        await asyncio.Event().wait()

    monkeypatch.setattr(Pool, "send", forever)
    told = " ".join(simulate(5).problems)
    assert "was not done after 3600 s" in told or "nothing will ever happen again" in told


def test_a_seed_that_fails_is_told_with_the_command_that_plays_it_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sabotage = next(iter(FAULTS))
    sabotage(monkeypatch)
    assert main(["--seeds", str(FAULTS[sabotage])]) == 1
    told = capsys.readouterr().out
    assert "play it again: python -m farthing.testing.simulator --seed " in told
    assert " 0 failed" not in told


def test_a_trace_tells_what_client_provider_journal_and_store_did(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seed", "3", "--trace"]) == 0
    trace = capsys.readouterr().out
    for said in ("process      serves", "connects", "journal      begin", "is asked call", "store        takes"):
        assert said in trace


def test_the_seeds_meet_every_kind_of_trouble_and_every_death() -> None:
    schedules = [draw(seed) for seed in range(400)]
    assert {trouble for schedule in schedules for trouble in schedule.troubles} == set(TROUBLES)
    deaths = {life.death.at for schedule in schedules for life in schedule.lives if life.death is not None}
    assert len(deaths) == 6
    assert {schedule.store for schedule in schedules} == {"memory", "sqlite"}


def test_every_third_seed_has_budgets_and_some_of_them_die_while_they_lease() -> None:
    schedules = [with_budgets(draw(seed)) for seed in range(400)]
    assert 100 < sum(bool(schedule.budgets) for schedule in schedules) < 200
    deaths = {life.death.at for schedule in schedules for life in schedule.lives if life.death is not None}
    assert {"before_exchange", "after_exchange"} <= deaths
    assert {plan.period for schedule in schedules for plan in schedule.budgets} == {"total", "hour", "day"}


def test_every_fifth_seed_lets_lines_expire_and_some_of_them_die_over_it() -> None:
    schedules = [with_expiry(draw(seed)) for seed in range(400)]
    plans = [schedule.expiry for schedule in schedules if schedule.expiry is not None]
    assert 50 < len(plans) < 120
    assert 20 < sum(plan.journals_return for plan in plans) < len(plans) - 20
    deaths = {life.death.at for schedule in schedules for life in schedule.lives if life.death is not None}
    assert {"before_expire", "after_expire"} <= deaths
    ours = [schedule.seed for schedule in schedules if schedule.expiry is not None][:20]
    traces = ["\n".join(simulate(seed).trace) for seed in ours]
    assert sum("lets 1 expire" in trace or "lets 3 expire" in trace for trace in traces) > 5


def test_every_fourth_seed_has_calls_that_name_a_router_and_whose_next_models_are_tried_and_answer() -> None:
    schedules = [with_routers(draw(seed)) for seed in range(400)]
    ours = [schedule.seed for schedule in schedules if schedule.routers]
    assert 60 < len(ours) < 140
    asked: Counter[str] = Counter()
    for seed in ours[:30]:
        for _, who, what in map(partial(str.split, maxsplit=2), simulate(seed).trace):
            asked[who] += what.startswith("is asked call")
    assert all(asked[f"{second}.sim"] > 3 for second in SECOND.values()), asked


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts open files as Linux lists them")
def test_a_simulation_leaves_no_file_open_and_no_folder_behind(tmp_path: Path) -> None:
    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    simulate(0, folder=tmp_path)
    before = open_files()
    results: list[Result] = [simulate(seed, folder=tmp_path) for seed in range(20)]
    assert sum(result.attempts for result in results) > 100
    assert open_files() == before
    assert not list(tmp_path.iterdir())
