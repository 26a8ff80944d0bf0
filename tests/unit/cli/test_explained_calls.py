"""`farthing prices explain CALL_ID`: how the cost of a call in the ledger comes about, or why that cannot be said."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from farthing.cli import root
from farthing.storage.offload import ThreadOffload
from farthing.storage.sqlite import SqliteStore
from farthing.types.calls import Attempt
from farthing.types.usage import Usage

USED = Usage(input_tokens=1_000, output_tokens=100)
SETTINGS = "providers: {openai: {credential: none}}\nprices:\n"
ROW = '  - {model: "openai:mine", input: 1, output: 2}\n'
ROW_COST = 1_000 * 1_000 + 100 * 2_000


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "settings.yaml").write_text(SETTINGS + ROW, encoding="utf-8")
    monkeypatch.setenv("FARTHING_HOME", str(home))
    return home


def explain(*words: str) -> Result:
    return CliRunner().invoke(root, ["prices", "explain", *words])


def keep(home: Path, *attempts: Attempt) -> None:
    async def append() -> None:
        offload = ThreadOffload()
        store = SqliteStore(home / "farthing.db", offload)
        await store.open()
        await store.append(list(attempts))
        await store.close()
        await offload.close()

    asyncio.run(append())


def price_id_of_the_row() -> str:
    told = explain("--provider", "openai", "--model", "mine", "--usage", "input_tokens=1,output_tokens=1", "--json")
    return str(json.loads(told.stdout)["price_id"])


def test_bytes_that_are_no_text_are_no_id(home: Path, make_attempt: Any) -> None:
    keep(home, make_attempt(1))
    told = CliRunner().invoke(root, ["calls", "show", "\udcff"])
    assert told.exit_code == 1
    assert r"No call or attempt has an id that begins with '\udcff'." in told.stderr
    assert '"farthing calls"' in told.stderr or "calls" in told.stderr.partition("hint: ")[2]


def test_each_attempt_of_a_call_is_explained_line_by_line(home: Path, make_attempt: Any) -> None:
    mine = {"model": "openai:mine", "call": 1, "price_id": price_id_of_the_row(), "usage": USED}
    first = make_attempt(1, **mine, cost_nanousd=ROW_COST)
    second = make_attempt(2, **mine, cost_nanousd=ROW_COST, ordinal=2)
    keep(home, first, second, make_attempt(3, **{**mine, "call": 2}, cost_nanousd=ROW_COST))

    told = explain(first.opening.call_id)
    assert told.exit_code == 0, told.stderr
    assert [line.split()[1] for line in told.stdout.splitlines() if line.startswith("attempt ")] == [
        first.opening.attempt_id,
        second.opening.attempt_id,
    ]

    rows = json.loads(explain(first.opening.call_id, "--json").stdout)
    assert [row["attempt_id"] for row in rows] == [first.opening.attempt_id, second.opening.attempt_id]
    assert {row["price"]["nanousd"] for row in rows} == {ROW_COST}
    assert {line["quantity"] for line in rows[0]["price"]["lines"]} == {USED.input_tokens, USED.output_tokens}


def test_a_row_that_was_edited_since_is_not_passed_off_as_the_one_that_was_billed(
    home: Path, make_attempt: Any
) -> None:
    attempt = make_attempt(1, model="openai:mine", usage=USED, cost_nanousd=ROW_COST, price_id=price_id_of_the_row())
    keep(home, attempt)
    (home / "settings.yaml").write_text(SETTINGS + ROW.replace("input: 1", "input: 7"), encoding="utf-8")
    told = explain(attempt.opening.call_id).stdout.splitlines()
    assert told[1] == f"price    {attempt.price_id}"
    assert told[2] == "cost     0.0012 USD; that price has changed since, so its lines are gone"
    assert json.loads(explain(attempt.opening.call_id, "--json").stdout)[0]["price"] is None


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"cost_nanousd": None, "cost_basis": "unknown"}, "unknown: no price is known"),
        ({"cost_nanousd": 0, "usage": Usage(input_tokens=0, output_tokens=0)}, "it used nothing"),
    ],
)
def test_a_call_without_a_price_says_whether_it_is_unknown_or_nothing(
    home: Path, make_attempt: Any, fields: dict[str, Any], said: str
) -> None:
    attempt = make_attempt(1, model="openai:nobody-knows", **{"usage": USED, **fields})
    keep(home, attempt)
    assert said in explain(attempt.opening.call_id).stdout


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--provider", "openai", "--model", "mine"),
        ("call_1", "--provider", "openai", "--model", "mine", "--usage", "input_tokens=1"),
    ],
)
@pytest.mark.usefixtures("home")
def test_half_a_question_is_refused_with_the_two_whole_ones(words: tuple[str, ...]) -> None:
    told = explain(*words)
    assert told.exit_code == 2
    assert "Name a call's ID, or --provider, --model and --usage." in told.stderr


@pytest.mark.usefixtures("home")
def test_a_model_without_a_price_is_told_and_not_priced_at_nothing() -> None:
    told = explain("--provider", "openai", "--model", "nobody-knows", "--usage", "input_tokens=1,output_tokens=1")
    assert told.exit_code == 1
    assert "No price is known of 'nobody-knows' at 'openai'." in told.stderr
    assert told.stdout == ""
