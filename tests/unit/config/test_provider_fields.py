"""Fields of a provider that only one kind has."""

from pathlib import Path

import pytest

from farthing.config.load import load_settings
from farthing.config.schema import OpenRouterAttribution, Settings
from farthing.errors import ConfigError
from farthing.providers.registry import known_providers


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "settings.yaml"


def load(path: Path, providers: str) -> Settings:
    path.write_text(f"providers:\n{providers}")
    return load_settings(path, known=known_providers(), environment={"OPENROUTER_API_KEY": "x", "KEY": "x"})


def test_openrouter_may_be_told_whose_traffic_it_is(path: Path) -> None:
    settings = load(path, "  openrouter: {attribution: {title: Our app, url: https://example.com}}\n")
    assert settings.providers["openrouter"].attribution == OpenRouterAttribution(
        title="Our app", url="https://example.com"
    )
    assert settings.warnings == ()


def test_azure_may_be_told_its_version_and_needs_no_word_about_its_address(path: Path) -> None:
    given = "base_url: 'https://x.openai.azure.com/openai', api_version: 2025-04-01-preview, credential: env:KEY"
    settings = load(path, f"  azure: {{{given}}}\n")
    assert settings.providers["azure"].api_version == "2025-04-01-preview"
    assert settings.warnings == ()


def test_a_program_on_this_machine_is_free_unless_the_settings_say_otherwise(path: Path) -> None:
    settings = load(path, "  llamacpp: {}\n  vllm: {free: false}\n  lmstudio: {base_url: 'http://127.0.0.1:9/v1'}\n")
    assert [(name, provider.free) for name, provider in settings.providers.items()] == [
        ("llamacpp", True),
        ("vllm", False),
        ("lmstudio", True),
    ]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("openrouter: {attribution: {title: 'a\u00e9'}}", "attribution.title: 'aé' must be ASCII"),
        ('openrouter: {attribution: {title: "a\\r\\nx-evil: 1"}}', "must be ASCII"),
        ("openrouter: {attribution: {url: example.com}}", "attribution.url: 'example.com' must begin with http"),
        ("openrouter: {attribution: {name: x}}", "attribution.name: is not a setting"),
        ("openrouter: {attribution: x}", "must be a mapping"),
        ("groq: {attribution: {title: x}, credential: env:KEY}", "attribution: is only for the kind 'openrouter'"),
        ("groq: {api_version: x, credential: env:KEY}", "api_version: is only for the kind 'azure'"),
        ('azure: {base_url: "https://x.y", api_version: "a\\nb"}', "api_version: 'a\\nb' is not a version"),
    ],
)
def test_what_cannot_be_sent_or_means_nothing_is_refused(path: Path, line: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(path, f"  {line}\n")
    assert told in caught.value.message
