"""Google's own clients know two variables for a key; so do we, and take the same one."""

from pathlib import Path

import pytest

from farthing.config.load import load_settings
from farthing.config.schema import Settings
from farthing.providers.registry import known_providers


def load(path: Path, environment: dict[str, str], providers: str = "") -> Settings:
    file = path / "settings.yaml"
    file.write_text(f"version: 1\n{providers}", encoding="utf-8")
    return load_settings(
        file, known=known_providers(), environment={"OLLAMA_HOST": "http://127.0.0.1:1", **environment}
    )


@pytest.mark.parametrize("providers", ["", "providers:\n  gemini: {}\n"], ids=["found", "named"])
@pytest.mark.parametrize(
    ("environment", "used", "said"),
    [
        ({"GEMINI_API_KEY": "a"}, "env:GEMINI_API_KEY", False),
        ({"GOOGLE_API_KEY": "a"}, "env:GOOGLE_API_KEY", False),
        ({"GOOGLE_API_KEY": " ", "GEMINI_API_KEY": "a"}, "env:GEMINI_API_KEY", False),
        ({"GOOGLE_API_KEY": "a", "GEMINI_API_KEY": "a"}, "env:GOOGLE_API_KEY", False),
        ({"GOOGLE_API_KEY": "a", "GEMINI_API_KEY": "b"}, "env:GOOGLE_API_KEY", True),
    ],
)
def test_googles_variable_wins_over_geminis_and_a_choice_is_said(
    tmp_path: Path, providers: str, environment: dict[str, str], used: str, said: bool
) -> None:
    settings = load(tmp_path, environment, providers)
    assert str(settings.providers["gemini"].credential) == used
    told = [warning for warning in settings.warnings if "GOOGLE_API_KEY is used" in warning]
    assert len(told) == said


def test_without_either_the_usual_one_is_missed(tmp_path: Path) -> None:
    settings = load(tmp_path, {}, "providers:\n  gemini: {}\n")
    assert str(settings.providers["gemini"].credential) == "env:GEMINI_API_KEY"
    assert "gemini" not in load(tmp_path, {}).providers


def test_who_says_which_gets_that_one(tmp_path: Path) -> None:
    named = "providers:\n  gemini: {credential: env:GEMINI_API_KEY}\n"
    settings = load(tmp_path, {"GOOGLE_API_KEY": "a", "GEMINI_API_KEY": "b"}, named)
    assert str(settings.providers["gemini"].credential) == "env:GEMINI_API_KEY"
    assert not settings.warnings
