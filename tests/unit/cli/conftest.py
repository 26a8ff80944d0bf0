import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from farthing.types.calls import Attempt, Attribution, Opening
from farthing.types.usage import Usage

FIRST_US = 1_794_000_000_000_000  # 2026-11-06T21:20:00Z
HOUR_US = 3_600_000_000

MakeAttempt = Callable[..., Attempt]


@pytest.fixture
def make_attempt() -> MakeAttempt:
    """Makes the attempt with number `n`, begun n hours after the first; keywords overrule its fields."""

    def make_attempt(n: int, *, model: str = "openai:gpt-5-mini", call: int | None = None, **fields: Any) -> Attempt:
        provider, _, name = model.partition(":")
        usage = Usage(
            input_tokens=12_345, output_tokens=321, cache_read_input_tokens=10_000, reasoning_output_tokens=64
        )
        who = Attribution(
            key_id="key_1",
            key_name="laptop",
            project=fields.pop("project", "site"),
            session=fields.pop("session", None),
        )
        began_us = FIRST_US + n * HOUR_US
        opening = Opening(
            attempt_id=f"att_{n:026d}",
            call_id=f"call_{n if call is None else call:026d}",
            ordinal=fields.pop("ordinal", 1),
            started_at_us=began_us,
            face="openai",
            operation="chat",
            provider=provider,
            model_asked="fast",
            model=name,
            streamed=True,
            input_tokens_estimate=12_000,
            attribution=who,
        )
        ended: dict[str, Any] = {
            "ended_at_us": began_us + 1_234_567,
            "outcome": "ok",
            "http_status": 200,
            "usage": usage,
            "cost_nanousd": 1_478_250,
            "cost_basis": "reported",
            "price_id": None,
        }
        return Attempt(opening=opening, **{**ended, **fields})

    return make_attempt


@pytest.fixture(autouse=True)
def farthing_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hints spell a command as it must be typed; here it is on the PATH, so that they read `farthing`."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
