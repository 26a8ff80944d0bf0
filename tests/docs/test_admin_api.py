"""docs/admin-api.md works: every command of it is sent to a gateway, and what it says of roles and errors is so."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from farthing.server.admin.openapi import _ALWAYS, _ELSE
from farthing.server.admin.reading import MAX_BODY_BYTES
from farthing.server.admin.table import ADMIN_TABLE
from farthing.types.spending import SpendingBy
from tests.e2e.serving import ANSWER, ASK, settings
from tests.e2e.support import Gateway, request, running_gateway
from tests.e2e.upstream import Upstream, whole

PAGE = (Path(__file__).parents[2] / "docs" / "admin-api.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    ((?:curl|farthing) .+)$", PAGE, re.MULTILINE)
TOKEN = "an-admin-token-of-the-tests"
Places = dict[str, str]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    server = Upstream(whole(ANSWER))
    text = settings(server).removeprefix("version: 1\n")
    with running_gateway(tmp_path_factory.mktemp("home"), text, KEY="sk", FARTHING_ADMIN_TOKEN=TOKEN) as running:
        yield running
    server.close()


@pytest.fixture(scope="module")
def places(gateway: Gateway) -> Places:
    """Return what stands for the page's variables."""

    def made(what: str, body: object) -> dict[str, str]:
        headers = {"authorization": f"Bearer {TOKEN}"}
        answer = request(gateway.port, "POST", f"/admin/v1/{what}", json.dumps(body).encode(), headers)
        found: dict[str, str] = answer.json()
        return found

    key = made("keys", {})
    assert gateway.post("/v1/chat/completions", ASK, key["key"]).status == 200
    budget = made("budgets", {"name": "of the page", "usd": 1, "period": "day"})
    call = gateway.calls(1)[0]["call_id"]
    return {"URL": "", "TOKEN": TOKEN, "KEY_ID": key["id"], "BUDGET_ID": budget["id"], "CALL_ID": str(call)}


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_of_the_page_does_what_it_says(gateway: Gateway, places: Places, line: str) -> None:
    words = shlex.split(re.sub(r"\$([A-Z_]+)", lambda found: places[found[1]], line))
    if words[0] == "farthing":
        gateway.farthing(*words[1:])
        return
    method, body, path, headers = None, None, "", {}
    while len(words) > 1:
        match words.pop(1):
            case "-s" | "-N":
                pass
            case "-H":
                name, _, value = words.pop(1).partition(": ")
                headers[name] = value
            case "-X":
                method = words.pop(1)
            case "-d":
                body = words.pop(1).encode()
            case word:
                path = word
    answer = request(gateway.port, method or ("GET" if body is None else "POST"), path, body, headers)
    assert answer.status in (200, 201, 204), answer.body


def test_the_page_tells_the_codes_and_bounds_that_the_code_has() -> None:
    told = {
        int(one) for line in PAGE.splitlines() for one in re.findall(r"\b([45]\d\d)\b", line.partition("|")[2][:12])
    }
    assert told == {*_ALWAYS, *_ELSE, 405}
    assert f"over {MAX_BODY_BYTES >> 10} KB" in PAGE
    for name in get_args(SpendingBy):
        assert re.search(rf"\b{name}\b", PAGE), name


def test_the_page_shows_a_part_of_each_resource() -> None:
    shown = {path.split("/")[0].partition("?")[0] for path in re.findall(r"/admin/v1/([a-z/.]+)", PAGE)}
    there = {route.parts[0] for route in ADMIN_TABLE.routes}
    assert there - shown <= {"", "me", "models"}
