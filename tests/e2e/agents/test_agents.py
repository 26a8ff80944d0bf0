"""Each agent does a small task on the gateway, started by `farthing run`, while a fake plays the model."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from farthing.testing.fake_model import delegates
from tests.e2e.agents.house import CONTENT, FORMATS, NAME, House, standing
from tests.e2e.serving import until

OWN = {"claude": "claude", "codex": "responses", "gemini": "google", "aider": "chat"}
FOREIGN = [
    (agent, provider)
    for agent in OWN
    for provider in FORMATS
    if provider != OWN[agent] and (agent, provider) != ("aider", "responses")  # OpenAI itself speaks aider's format
]
CACHED = {(agent, provider) for agent in ("codex", "gemini") for provider in ("chat", "responses", "google")} | {
    ("claude", "claude"),
    ("claude", "chat"),
}
"""Where prompts are long enough to be cached, and the provider tells so."""


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


@pytest.mark.slow
@pytest.mark.parametrize("agent", OWN)
def test_an_agent_that_is_wired_needs_nothing_else(house: House, agent: str) -> None:
    house.wire(agent, OWN[agent])
    done = house.start(agent)
    said = f"{done.stdout}\n{done.stderr}"
    assert done.returncode == 0, said
    assert (house.here / NAME).read_text(encoding="utf-8").rstrip("\n") == CONTENT, said
    attempts = house.gateway.attempts()
    assert attempts, said
    assert {one.opening.attribution.key_name.rpartition("-")[0] for one in attempts} == {f"wire-{agent}"}


@pytest.mark.slow
def test_what_a_projects_env_file_says_does_not_lead_aider_past_the_gateway(house: House) -> None:
    elsewhere = "http://127.0.0.1:9"
    told = f"OPENAI_API_KEY=sk-theirs\nOPENAI_API_BASE={elsewhere}/v1\nANTHROPIC_API_BASE={elsewhere}\n"
    (house.here / ".env").write_text(told, encoding="utf-8")
    check(house, "aider", "chat")


ELSEWHERE = "http://127.0.0.1:9"
THEIRS = {
    "claude": {
        ".claude/settings.json": f'{{"env": {{"ANTHROPIC_BASE_URL": "{ELSEWHERE}", "ANTHROPIC_MODEL": "theirs"}}}}',
    },
    "codex": {
        ".codex/config.toml": f"""model_provider = "theirs"
model = "theirs"
[model_providers.theirs]
name = "theirs"
base_url = "{ELSEWHERE}/v1"
wire_api = "responses"
""",
    },
    "gemini": {
        ".gemini/settings.json": '{"security": {"auth": {"selectedType": "oauth-personal"}}, "model": {"name": "x"}}',
        ".gemini/.env": f"GOOGLE_GEMINI_BASE_URL={ELSEWHERE}\nGEMINI_API_KEY=theirs\nGEMINI_MODEL=theirs\n",
    },
    "aider": {
        ".aider.conf.yml": f"model: openai/theirs\nopenai-api-base: {ELSEWHERE}/v1\nopenai-api-key: sk-theirs\n",
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("agent", THEIRS)
def test_an_agents_own_settings_neither_lead_past_the_gateway_nor_are_changed(house: House, agent: str) -> None:
    for name, text in THEIRS[agent].items():
        path = house.theirs / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    check(house, agent, OWN[agent])
    for name, text in THEIRS[agent].items():
        assert (house.theirs / name).read_text(encoding="utf-8") == text


@pytest.mark.slow
def test_a_sub_agents_calls_are_told_apart_from_its_parents(tmp_path: Path) -> None:
    with standing(tmp_path, delegates) as house:
        check(house, "claude", "claude")
        who = {one.opening.attribution.sub_agent for one in house.gateway.attempts()}
        assert len(who) == 2
        assert None in who


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
    served = [one for one in attempts if one.outcome == "ok"]
    until(lambda: fake.account.totals().requests >= len(served), "the client knows before the fake does")
    billed = fake.account.totals()
    assert billed.requests == billed.answered == len(served) > 0, said
    # Who speaks OpenAI's chat may speak Responses as well: that was asked first, once, for nothing.
    assert {(one.http_status, one.cost_nanousd) for one in attempts if one.outcome != "ok"} <= {(404, 0)}
    if (agent, provider) in CACHED:
        assert billed.cache_read_input_tokens > billed.input_tokens // 4, "the second turn's prefix was the first one's"
    who = {(one.opening.attribution.session, one.opening.attribution.branch) for one in attempts}
    assert who == {(key["name"], "greet")}
    (row,) = house.gateway.costs("--by", "session")["groups"]
    assert (row["session"], row["nanousd"]) == (key["name"], billed.nanousd)
    house.gateway.verify()
    for request in fake.requests:
        assert b"sk-not-for-agents" not in request.body
        assert "sk-not-for-agents" not in str(request.headers)
