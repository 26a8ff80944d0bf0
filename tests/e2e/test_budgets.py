"""Budgets over a real gateway: how calls are refused, and that no crowd of them spends more than there is."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from farthing.testing.fake_provider import FakeProvider
from tests.e2e.budget_load import TOKENS, ask, calls_at_once, provider, settings
from tests.e2e.serving import serving
from tests.e2e.support import Gateway

SCALE = float(os.environ.get("FARTHING_CI_SCALE", "1"))
CHAT = "/v1/chat/completions"


def cost_of_one(gateway: Gateway, fake: FakeProvider, key: str, **how: Any) -> int:
    """Return what a call like those of the crowd costs, by making one."""
    assert gateway.post(CHAT, ask(999_999, **how), key).status == 200
    asyncio.run(_passes(1.1))  # the budget counts from the second in which it is made
    return fake.account.totals().nanousd


def set_budget(gateway: Gateway, name: str, nanousd: int, *arguments: str) -> None:
    usd = f"{nanousd // 10**9}.{nanousd % 10**9:09d}"
    made = gateway.farthing("budget", "set", name, "--usd", usd, "--period", "total", *arguments)
    assert made.returncode == 0, made.stderr


def budget(gateway: Gateway, name: str) -> dict[str, Any]:
    listed = json.loads(gateway.farthing("budget", "list", "--json").stdout)
    (found,) = [one for one in listed if one["name"] == name]
    return dict(found)


@pytest.mark.parametrize(
    ("workers", "calls", "limit", "usable"),
    [
        (1, 200, TOKENS, 0.95),
        pytest.param(1, 2_000, TOKENS, 0.95, marks=pytest.mark.slow),
        (1, 200, None, 0.80),
        (4, 200, TOKENS, 0.95),
        pytest.param(4, 2_000, TOKENS, 0.95, marks=pytest.mark.slow),
        (4, 200, None, 0.80),
    ],
)
def test_a_crowd_spends_what_there_is_and_no_more(
    tmp_path: Path, workers: int, calls: int, limit: int | None, usable: float
) -> None:
    with provider() as fake, serving(tmp_path, settings(fake.url, ""), "--workers", str(workers)) as gateway:
        key = gateway.new_key()
        cost = cost_of_one(gateway, fake, key, limit=limit)
        fitting = calls // 4
        set_budget(gateway, "crowd", cost * fitting)
        asyncio.run(_passes(0.8))
        bodies = [ask(number, limit=limit) for number in range(calls)]
        seen = asyncio.run(calls_at_once(gateway.port, key, bodies))
        spent = fake.account.totals().nanousd - cost
        assert set(seen) <= {200, 402}, seen
        assert spent <= cost * fitting
        assert spent >= cost * fitting * usable, seen
        asyncio.run(_passes(1.2))
        account = budget(gateway, "crowd")["accounts"][0]
        assert account["spent_nanousd"] == spent
        assert account["unknown_nanousd"] == 0


async def _passes(seconds: float) -> None:
    await asyncio.sleep(seconds)
