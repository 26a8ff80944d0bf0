"""docs/exports.md works: every command in it runs on a ledger, and its figures are the code's."""

import asyncio
import json
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from farthing.cli import root
from farthing.ledger import recommendations as advice
from farthing.ledger.exports.focus import FOCUS_COLUMNS, FOCUS_VERSION
from farthing.ledger.reconciliation.formats import GENERIC_COLUMNS
from farthing.storage.offload import ThreadOffload
from farthing.storage.sqlite import SqliteStore
from tests.contracts.ledger_samples import NOON_US, attempt

PAGE = (Path(__file__).parents[2] / "docs" / "exports.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    (farthing .+)$", PAGE, re.MULTILINE)
DAY_S = NOON_US // 86_400_000_000 * 86_400


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    settings = "providers: {openai: {credential: none}, lab: {kind: vllm}}\n"
    (home / "settings.yaml").write_text(settings + "fixed_costs: [{name: power, usd: 1, per: day}]\n")

    async def keep() -> None:
        offload = ThreadOffload()
        store = SqliteStore(home / "farthing.db", offload)
        await store.open()
        await store.append([attempt(1, project="site", team="core"), attempt(2, provider="lab")])
        await store.close()
        await offload.close()

    asyncio.run(keep())
    monkeypatch.setenv("FARTHING_HOME", str(home))
    monkeypatch.chdir(tmp_path)
    usage = {"model": "gpt-5-mini", "num_model_requests": 1, "input_tokens": 100, "output_tokens": 20}
    bucket = {"start_time": DAY_S, "end_time": DAY_S + 86_400, "results": [usage]}
    Path("usage.json").write_text(json.dumps({"data": [bucket]}))
    header = "start_time,end_time,amount_value,amount_currency,line_item\n"
    Path("cost_2026-11-01_2026-11-30.csv").write_text(f"{header}{DAY_S},{DAY_S + 86_400},0.000001001,usd,gpt-5-mini\n")
    Path("bill.csv").write_text("Date,Model,Amount\n2026-11-18,gpt-5-mini,0.000001002\n")
    return home


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_of_the_page_runs(line: str) -> None:
    _, *words = shlex.split(line.partition(" >")[0])
    told = CliRunner().invoke(root, words)
    assert told.exit_code == 0, told.output
    if words[0] == "reconcile":
        assert ": 1 of 1 day by model agree" in told.stdout


def test_the_page_tells_columns_of_focus_that_there_are() -> None:
    table = PAGE.partition("## FOCUS")[2].partition("\n## ")[0]
    named = set(re.findall(r"`([A-Z][a-z]+[A-Z]\w+)`", table))
    assert len(named) > 12
    assert named <= set(FOCUS_COLUMNS)
    assert f"FOCUS {FOCUS_VERSION}" in table


def test_the_page_tells_the_bounds_that_the_code_has() -> None:
    rows = [
        line for line in PAGE.splitlines() if line.startswith(("| a cheaper", "| caching", "| local", "| cost of a"))
    ]
    cheaper, caching, local, success = rows
    saving = f"{advice.MIN_SAVING_PERCENT} % and ${advice.MIN_SAVING_NANOUSD / 10**9:.2f}"
    assert f"{advice.MIN_ATTEMPTS} calls" in cheaper
    assert saving in cheaper
    assert f"{advice.MIN_REPEATED_INPUT:,} tokens" in caching
    assert f"under {advice.CACHED_PERCENT} %" in caching
    assert f"{advice.MIN_LOCAL_ATTEMPTS} calls" in local
    assert f"{advice.MIN_OUTCOMES} calls of a model" in success
    for name in GENERIC_COLUMNS:
        assert f"`{name}`" in PAGE
