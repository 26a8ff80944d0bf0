"""What `farthing estimate` tells of a request before it is sent."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from farthing.cli import root

ASK = {
    "model": "gpt-5-mini",
    "messages": [{"role": "user", "content": "Explain relativity to a child of ten, with examples."}],
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-any")
    monkeypatch.setenv("FARTHING_HOME", str(tmp_path / "home"))
    return tmp_path


def estimate(home: Path, body: dict[str, Any], *arguments: str) -> list[dict[str, Any]]:
    path = home / "request.json"
    path.write_text(json.dumps(body), encoding="utf-8")
    result = CliRunner().invoke(root, ["estimate", str(path), "--json", *arguments])
    assert result.exit_code == 0, result.output
    return list(json.loads(result.output))


def test_the_most_is_for_the_longest_answer_of_the_model(home: Path) -> None:
    (row,) = estimate(home, ASK)
    assert row["model"] == "openai:gpt-5-mini"
    assert row["most_output_tokens"] == 128_000
    assert row["most_nanousd"] > 128_000 * 2_000
    assert row["likely_nanousd"] is None


def test_a_request_that_is_not_there_is_told_and_what_to_name(home: Path) -> None:
    refused = CliRunner().invoke(root, ["estimate", str(home / "none.json")])
    assert refused.exit_code == 1
    assert "none.json' cannot be read: No such file or directory." in refused.stderr
    assert '"-" for standard input' in refused.stderr


def test_a_limit_of_the_client_bounds_the_answer(home: Path) -> None:
    (row,) = estimate(home, {**ASK, "max_completion_tokens": 500})
    assert row["most_output_tokens"] == 500
    assert 500 * 2_000 < row["most_nanousd"] < 600 * 2_000 + 1_000_000


def test_models_are_compared_at_a_length_that_is_given(home: Path) -> None:
    rows = estimate(home, ASK, "--model", "gpt-5-mini", "--model", "openai:gpt-5-nano", "--output-tokens", "400")
    assert [row["output_tokens"] for row in rows] == [400, 400]
    assert rows[0]["likely_nanousd"] == rows[0]["input_nanousd"] + 400 * 2_000
    assert rows[0]["likely_nanousd"] > rows[1]["likely_nanousd"]


@pytest.mark.usefixtures("home")
def test_a_request_that_is_none_is_refused_in_words() -> None:
    result = CliRunner().invoke(root, ["estimate", "-"], input="no JSON")
    assert result.exit_code == 1
    assert "the body is not a JSON object" in result.output
