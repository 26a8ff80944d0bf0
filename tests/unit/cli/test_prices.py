import asyncio
import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from farthing.cli import root
from farthing.storage.offload import ThreadOffload
from farthing.storage.sqlite import SqliteStore
from farthing.types.calls import Attempt
from farthing.types.usage import Usage

LIST: list[dict[str, Any]] = [
    {
        "id": "openai",
        "models": [
            {"id": "cheap", "match": {"equals": "cheap"}, "prices": {"input_mtok": 1, "output_mtok": "2.5"}},
            {"id": "dear", "match": {"starts_with": "dear"}, "prices": {"input_mtok": 10, "output_mtok": 20}},
        ],
    }
]


def with_price(value: object, kind: str = "input_mtok") -> list[dict[str, Any]]:
    changed = json.loads(json.dumps(LIST))
    changed[0]["models"][1]["prices"][kind] = value
    return changed  # type: ignore[no-any-return]  # what json returns


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "settings.yaml").write_text(
        "providers:\n  openai: {credential: env:KEY}\n  openrouter: {credential: env:KEY}\n", encoding="utf-8"
    )
    for name in ("OPENAI_API_KEY", "OPENROUTER_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KEY", "sk-test")
    monkeypatch.setenv("FARTHING_HOME", str(home))
    return home


def run(*words: str) -> Result:
    return CliRunner().invoke(root, ["prices", *words])


def source(tmp_path: Path, content: object) -> str:
    path = tmp_path / "list.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return str(path)


def files(home: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((home / "prices").glob("*"))}


def test_a_list_is_shown_before_it_is_used_and_not_used_without_a_yes(home: Path, tmp_path: Path) -> None:
    answer = run("refresh", "--from", source(tmp_path, LIST))
    assert answer.exit_code == 1
    assert "ADDED (2)" in answer.stdout
    assert "openai:dear   10.00   20.00" in answer.stdout
    assert answer.stderr.endswith("Nothing was changed. --yes uses the list.\n")
    assert not (home / "prices").exists()


def test_a_refreshed_list_prices_from_then_on_and_undo_goes_back(home: Path, tmp_path: Path) -> None:
    assert run("refresh", "--from", source(tmp_path, LIST), "--yes").exit_code == 0
    shown = json.loads(run("show", "openai:dear-one", "--json").stdout)
    assert shown[0]["price_id"].startswith("prices-20")
    assert shown[0]["price_id"].endswith(":openai/dear")
    assert shown[0]["picodollars_per_million"][0]["input"] == 10 * 10**12
    assert {(path.stat().st_mode & 0o777) for path in (home / "prices").iterdir()} == {0o600}

    changed = run("refresh", "--from", source(tmp_path, with_price(15)), "--yes")
    assert [line.split() for line in changed.stdout.splitlines()[1:2]] == [
        ["openai:dear", "input", "10.00", "15.00", "per", "million", "+50", "%"]
    ]
    assert (
        json.loads(run("show", "openai:dear", "--json").stdout)[0]["picodollars_per_million"][0]["input"] == 15 * 10**12
    )
    for expected in (10 * 10**12, None):
        assert run("refresh", "--undo").exit_code == 0
        found = run("show", "openai:dear", "--json")
        if expected is None:
            assert found.exit_code == 1
        else:
            assert json.loads(found.stdout)[0]["picodollars_per_million"][0]["input"] == expected
    assert "no earlier price list" in run("refresh", "--undo").stderr
    assert [name for name in files(home) if name != "state.json"] == []


def test_a_list_that_says_what_is_used_already_changes_nothing(home: Path, tmp_path: Path) -> None:
    run("refresh", "--from", source(tmp_path, LIST), "--yes")
    before = files(home)
    assert "nothing was changed" in run("refresh", "--from", source(tmp_path, LIST), "--yes").stderr
    assert files(home) == before


HOSTILE: list[tuple[object, str]] = [
    (b"", "no list of providers in JSON"),
    (b"<html>", "no list of providers in JSON"),
    (b"[" * 100_000, "no list of providers in JSON"),
    (b"null", "no list of providers in JSON"),
    ([], "lists 0 providers"),
    ([LIST[0], LIST[0]], "provider 'openai': it is listed twice"),
    ([{"id": "../../etc/passwd", "models": []}], "is no plain name"),
    ([{"id": "openai", "models": [], "surcharge": 2}], "unknown field `surcharge`"),
    (with_price(-1), "provider 'openai', model 'dear', input_mtok: '-1' is no price"),
    (with_price("NaN"), "model 'dear', input_mtok: 'NaN' is no price"),
    (with_price("1e400"), "is no price"),
    (with_price("1e-400"), "is too fine"),
    (with_price("9" * 5_000), "is no price"),
    (with_price("0." + "1" * 60), "is too fine"),
    (with_price(True), "model number 2: "),
    (with_price({"base": 1, "tiers": [{"start": 5, "price": 1}, {"start": 5, "price": 2}]}), "its tiers begin at"),
    (with_price({"base": 1, "tiers": [{"start": -5, "price": 1}]}), "its tiers begin at"),
    (with_price({"base": 1, "teirs": []}), "unknown field `teirs`"),
    (with_price(1, "input_magic_mtok"), "a kind of price that is not known here: 'input_magic_mtok'"),
    ([{"id": "x" * 65, "models": []}], "is no plain name"),
    ([{"id": "a", "models": [{"id": "m", "match": {"regex": "^(a|a)*$"}}]}], "is not of the simple kind"),
    ([{"id": "a", "models": [{"id": "m", "match": {"regex": "^" + "(a|a)" * 20 + "$"}}]}], "could be slow"),
    ([{"id": "a", "models": [{"id": "m", "match": {"fuzzy": "m"}}]}], "a match that is not known here"),
    ([{"id": "a", "models": [{"id": "m", "match": {"and": [1]}}]}], "a match must be a mapping"),
    ([{"id": "a", "models": [{"id": "m\u0000", "match": {"equals": "m"}}]}], "is no name"),
    ([{"id": "a", "models": [{"id": "\u001b[2J", "match": {"equals": "m"}}]}], "is no name"),
    (
        [{"id": "a", "models": [{"id": "m", "match": {"equals": "m"}, "prices": [{"prices": {}, "constraint": {}}]}]}],
        "neither a first day nor a time of day",
    ),
    (
        [
            {
                "id": "a",
                "models": [{"id": "m", "match": {"equals": "m"}, "price_variants": [{"when": {}, "prices": {}}]}],
            }
        ],
        "a variant with 0 conditions",
    ),
    ([{"id": "openai", "models": []}], "The list holds no price at all"),
    ({"data": []}, "lists 0 models"),
    ({"data": [{"id": "m"}]}, "model number 1: Object missing required field `pricing`"),
    ({"data": [{"id": "m", "pricing": {"prompt": "-1", "completion": "-1"}}]}, "no model with a price"),
]


@pytest.mark.parametrize(("content", "told"), HOSTILE, ids=range(len(HOSTILE)))
def test_a_broken_or_hostile_list_changes_nothing_and_says_what_is_wrong_where(
    home: Path, tmp_path: Path, content: object, told: str
) -> None:
    run("refresh", "--from", source(tmp_path, LIST), "--yes")
    before = files(home)
    answer = run("refresh", "--from", source(tmp_path, content), "--yes")
    assert answer.exit_code == 1
    assert told in answer.stderr, answer.stderr
    assert len(answer.stderr) < 1_500
    assert files(home) == before


def test_what_is_no_file_or_too_much_of_one_is_refused_without_waiting(home: Path, tmp_path: Path) -> None:
    del home
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "huge").open("wb") as huge:
        huge.truncate(17 << 20)
    for name, told in (
        ("pipe", "is no file"),
        ("huge", "is over 16 MB"),
        ("gone", "No such file"),
        ("", "Is a directory"),
    ):
        answer = run("refresh", "--from", str(tmp_path / name), "--yes")
        assert answer.exit_code == 1
        assert told in answer.stderr


class _Lists(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        match self.path:
            case "/list":
                self._answer(200, json.dumps(LIST).encode())
            case "/api/v1/models":
                self._answer(200, OPENROUTER if self.headers["authorization"] == "Bearer sk-test" else b"{}")
            case "/moved":
                self.send_response(302)
                self.send_header("location", "/list")
                self.send_header("content-length", "0")
                self.end_headers()
            case "/endless":
                self.send_response(200)
                self.end_headers()
                try:
                    for _ in range(40):
                        self.wfile.write(b" " * (1 << 19))
                except OSError:
                    pass
            case "/cut":
                self.send_response(200)
                self.send_header("content-length", "100")
                self.end_headers()
                self.wfile.write(b"[{")
            case _:
                self._answer(404, b"")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


OPENROUTER = json.dumps(
    {
        "data": [
            {
                "id": "openai/gpt-4o",
                "canonical_slug": "openai/gpt-4o-2024",
                "pricing": {"prompt": "0.000003", "completion": "0.00001"},
            },
            {"id": "openrouter/auto", "pricing": {"prompt": "-1", "completion": "-1"}},
            {
                "id": "lab/long",
                "pricing": {
                    "prompt": "0.000001",
                    "completion": "0.000002",
                    "web_search": "0.004",
                    "overrides": [{"min_prompt_tokens": 200000, "prompt": "0.000002"}],
                },
            },
            {"id": "lab/odd", "pricing": {"prompt": "0.1", "completion": "0", "moonlight": "1"}},
        ]
    }
).encode()


@pytest.fixture
def lists() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Lists) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_list_is_read_from_an_address_without_following_it_elsewhere(home: Path, lists: str) -> None:
    assert run("refresh", "--from", f"{lists}/list", "--yes").exit_code == 0
    before = files(home)
    for path, told in (
        ("/moved", "answers with status 302; redirects are not followed"),
        ("/gone", "answers with status 404"),
        ("/endless", "over the bound"),
        ("/cut", "cannot be read"),
    ):
        answer = run("refresh", "--from", lists + path, "--yes")
        assert answer.exit_code == 1
        assert told in answer.stderr
    for address in ("http://prices.example/list", "ftp://prices.example/list", "https://user:pass@prices.example/"):
        answer = run("refresh", "--from", address, "--yes")
        assert answer.exit_code == 1
    assert files(home) == before


def test_the_source_is_a_setting_and_an_unusable_one_is_told_with_its_line(home: Path, lists: str) -> None:
    settings = home / "settings.yaml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(f"{text}prices_source: {lists}/list\n", encoding="utf-8")
    assert "ADDED (2)" in run("diff").stdout
    settings.write_text(f"{text}prices_source: http://prices.example/list\n", encoding="utf-8")
    assert "4: prices_source: 'http://prices.example/list' could be changed on its way" in run("diff").stderr


def test_what_openrouter_lists_itself_is_used_for_openrouter_and_nothing_else(home: Path, lists: str) -> None:
    settings = home / "settings.yaml"
    settings.write_text(
        "providers:\n  openai: {credential: env:KEY}\n"
        f"  router: {{kind: openrouter, base_url: {lists}/api/v1, credential: env:KEY}}\n",
        encoding="utf-8",
    )
    answer = run("refresh", "--from", "openrouter", "--yes")
    assert answer.exit_code == 0, answer.stderr
    assert "its price depends on who serves it (-1); such a model keeps the price it had" in answer.stderr
    assert "a price for something that is not known here, 'moonlight'" in answer.stderr

    def price_id(provider: str, model: str) -> str:
        return str(json.loads(run("show", f"{provider}:{model}", "--json").stdout)[0]["price_id"])

    assert price_id("router", "openai/gpt-4o").startswith("openrouter-20")
    assert price_id("router", "openai/gpt-4o-2024").endswith(":openrouter/openai/gpt-4o")
    assert price_id("router", "anthropic/claude-sonnet-4").startswith("genai-prices-")
    assert price_id("openai", "gpt-4o").startswith("genai-prices-")
    long = json.loads(run("show", "router:lab/long", "--json").stdout)[0]
    assert [band["from_input_tokens"] for band in long["picodollars_per_million"]] == [0, 200_000]
    assert [band["input"] // 10**12 for band in long["picodollars_per_million"]] == [1, 2]
    assert long["picodollars_per_million"][0]["web_search"] == 4_000 * 10**12
    assert run("refresh", "--undo").exit_code == 0
    assert price_id("router", "openai/gpt-4o").startswith("genai-prices-")


def test_a_list_in_the_home_that_was_tampered_with_is_not_used(home: Path, tmp_path: Path) -> None:
    run("refresh", "--from", source(tmp_path, LIST), "--yes")
    (kept,) = (home / "prices").glob("prices-*.json")
    kept.chmod(0o600)
    kept.write_bytes(kept.read_bytes().replace(b"10000000000000", b"10000000000001"))
    answer = run("show", "openai:dear")
    assert answer.exit_code == 1
    assert "its file was changed" in answer.stderr
    assert "--undo" in answer.stderr
    assert run("refresh", "--undo").exit_code == 0
    assert run("show", "openai:gpt-4o").exit_code == 0


def test_a_price_is_explained_line_by_line_with_its_source_and_why_it_is_this_one(home: Path) -> None:
    del home
    used = "input_tokens=300000,output_tokens=5000,cache_read_input_tokens=250000"
    answer = run("explain", "--provider", "openai", "--model", "gpt-5.4", "--usage", used)
    assert [line.rstrip() for line in answer.stdout.splitlines()[1:]] == [
        "tier     the standard prices",
        "context  300,000 tokens, over 272,000: the prices of long contexts",
        "cost     0.4875 USD",
        "",
        "WHAT        QUANTITY    USD               MAKES USD",
        "input         50,000   5.00  per million     0.25",
        "cache read   250,000   0.50  per million     0.125",
        "output         5,000  22.50  per million     0.1125",
    ]
    fast = run("explain", "--provider", "openai", "--model", "gpt-5.4", "--usage", used, "--tier", "priority", "--json")
    assert json.loads(fast.stdout)["service_tier"] == "priority"
    assert json.loads(fast.stdout)["nanousd"] == 525_000_000
    for wrong in ("input_tokens", "input=1", '{"input_tokens": "x"}', "input_tokens=1.5"):
        assert run("explain", "--provider", "openai", "--model", "gpt-5.4", "--usage", wrong).exit_code == 2
    assert run("explain").exit_code == 2


def test_a_price_by_the_time_of_day_goes_by_the_moment_that_is_given(home: Path) -> None:
    del home
    words = (
        "explain",
        "--provider",
        "deepseek",
        "--model",
        "deepseek-v4-pro",
        "--usage",
        "input_tokens=1000000,output_tokens=0",
    )
    costs = [
        json.loads(run(*words, "--at", f"2026-11-20T{time}", "--json").stdout)["usd"] for time in ("00:59", "01:00")
    ]
    assert costs == ["0.660000000", "1.320000000"]


async def keep(home: Path, attempts: list[Attempt]) -> None:
    offload = ThreadOffload()
    store = SqliteStore(home / "farthing.db", offload)
    await store.open()
    await store.append(attempts)
    await store.close()
    await offload.close()


def test_past_calls_are_priced_anew_as_a_report_and_the_ledger_keeps_what_was_booked(
    home: Path, tmp_path: Path, make_attempt: Any
) -> None:
    used = Usage(input_tokens=1_000, output_tokens=100)
    attempts = [
        make_attempt(1, model="openai:dear", usage=used, cost_nanousd=5_000_000, price_id="old"),
        make_attempt(2, model="openai:cheap", usage=used, cost_nanousd=1_250_000, price_id="old"),
        make_attempt(3, model="openai:cheap", usage=used, cost_nanousd=None, cost_basis="unknown"),
        make_attempt(4, model="openai:nobody-knows", usage=used, cost_nanousd=7, price_id="old"),
        make_attempt(5, model="openai:cheap", usage=Usage(input_tokens=0, output_tokens=0), cost_nanousd=0),
    ]
    asyncio.run(keep(home, attempts))
    assert run("refresh", "--from", source(tmp_path, LIST), "--yes").exit_code == 0
    answer = run("reprice")
    assert answer.exit_code == 0, answer.stderr
    assert answer.stdout.splitlines() == [
        "MODEL                ATTEMPTS  LEDGER USD  REPRICED USD  DIFFERENCE  UNPRICED",
        "openai:dear                 1     0.005         0.012        +0.007",
        "openai:cheap                3     0.00125       0.00125       0.00",
        "openai:nobody-knows         1     unknown       unknown                     1",
        "-----------------------------------------------------------------------------",
        "total                       5     0.00625       0.01325      +0.007         1",
    ]
    assert "Compared are 3 of 5 attempts" in answer.stderr
    assert "1 of unknown cost in the ledger would cost 0.00125 USD." in answer.stderr
    assert "1 could not be priced" in answer.stderr
    costs = json.loads(CliRunner().invoke(root, ["costs", "--json"]).stdout)
    assert costs["total"]["nanousd"] == 6_250_007
    later = json.loads(run("reprice", "--since", "2026-11-07", "--by", "day", "--json").stdout)
    assert (later["total"]["attempts"], [row["day"] for row in later["groups"]]) == (3, ["2026-11-07"])


def test_what_a_pattern_fits_is_one_line_each_and_a_correction_tells_its_reason(home: Path) -> None:
    del home
    lines = run("show", "openai:gpt-5.4*").stdout.splitlines()
    assert lines[0].split() == ["MODEL", "INPUT", "CACHED", "OUTPUT", "ALSO", "PRICED"]
    assert "openai:gpt-5.4" in lines[1].split()
    corrected = run("show", "openrouter:x-ai/grok-4.1-fast").stdout
    assert "corrected: the list has only the free variant of this model" in corrected
    assert "look" in run("show", "no-such-model-anywhere").stderr
    assert "genai-prices-" in run("show").stdout
