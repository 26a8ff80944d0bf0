"""Each agent does a small task on the gateway, started by `farthing run`, while a fake plays the model."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.agents.house import CONTENT, FORMATS, NAME, House, standing

OWN = {"claude": "claude", "codex": "responses", "gemini": "google", "aider": "chat"}
FOREIGN = [(agent, provider) for agent in OWN for provider in FORMATS if provider != OWN[agent]]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with standing(tmp_path) as house:
        yield house


@pytest.mark.slow
@pytest.mark.parametrize("agent", OWN)
def test_an_agent_writes_a_file_over_its_own_format(house: House, agent: str) -> None:
    check(house, agent, OWN[agent])


@pytest.mark.slow
@pytest.mark.parametrize(("agent", "provider"), FOREIGN)
def test_an_agent_writes_a_file_over_a_foreign_format(house: House, agent: str, provider: str) -> None:
    check(house, agent, provider)


def check(house: House, agent: str, provider: str) -> None:
    done = house.run(agent, provider)
    said = f"{done.stdout}\n{done.stderr}"
    assert done.returncode == 0, said
    assert (house.here / NAME).read_text(encoding="utf-8").rstrip("\n") == CONTENT, said

    (key,) = house.keys()
    assert key["name"].startswith(f"run-{agent}-")
    assert key["revoked_at_us"] is not None
    assert key["expires_at_us"] > key["created_at_us"]
    assert (key["project"], key["branch"], key["session"]) == ("site", "greet", key["name"])

    fake = house.fakes[provider]
    attempts = house.gateway.attempts()
    billed = fake.account.totals()
    assert billed.requests == len(attempts) > 0, said
    assert billed.answered == billed.requests
    assert {one.outcome for one in attempts} == {"ok"}
    who = {(one.opening.attribution.session, one.opening.attribution.branch) for one in attempts}
    assert who == {(key["name"], "greet")}
    (row,) = house.gateway.costs("--by", "session")["groups"]
    assert (row["session"], row["nanousd"]) == (key["name"], billed.nanousd)
    house.gateway.verify()
    for request in fake.requests:
        assert b"sk-not-for-agents" not in request.body
        assert "sk-not-for-agents" not in str(request.headers)
