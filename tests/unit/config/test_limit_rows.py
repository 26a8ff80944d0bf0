from pathlib import Path

import pytest

from farthing.config.load import load_settings
from farthing.config.schema import LimitSettings
from farthing.errors import ConfigError
from farthing.providers.registry import known_providers
from farthing.types.limits import Rate

HEAD = "version: 1\nproviders:\n  ollama: {base_url: 'http://127.0.0.1:11434'}\n"


def loaded(tmp_path: Path, text: str) -> tuple[LimitSettings, ...]:
    path = tmp_path / "settings.yaml"
    path.write_text(HEAD + text)
    return load_settings(path, known=known_providers(), environment={}).limits


def test_limits_say_whose_calls_they_are_about_and_how_much(tmp_path: Path) -> None:
    first = '  each-key: {key: "*", usd_per_day: 2.50, requests_per_minute: 60}'
    each, home = loaded(tmp_path, f"limits:\n{first}\n  home: {{provider: ollama, concurrency: 2}}\n")
    assert (each.key, set(each.rates)) == ("*", {Rate("requests", 60, 60), Rate("nanousd", 86_400, 2_500_000_000)})
    assert (home.provider, home.rates, home.origin) == ("ollama", (Rate("concurrency", 0, 2),), "settings.yaml:6")


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("{key: a}", "5: limits.x: limits nothing; give it one of: requests_per_minute"),
        ("{requests_per_minute: -1}", "5: limits.x.requests_per_minute: '-1' is not allowed; write a whole number"),
        ("{usd_per_day: 1e3}", "5: limits.x.usd_per_day: '1e3' is not an amount"),
        (
            "{provider: olama, concurrency: 1}",
            "5: limits.x.provider: 'olama' is not configured (did you mean 'ollama'?)",
        ),
        ("{request_per_minute: 1}", "5: limits.x.request_per_minute: is not a setting (did you mean"),
        ("{credential: work, concurrency: 1}", "5: limits.x.credential: is the source of one credential: env:NAME"),
        ("{credential: vault, concurrency: 1}", "5: limits.x.credential: is the source of one credential: env:NAME"),
        ("60", "5: limits.x: must be a mapping"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, entry: str, told: str) -> None:
    with pytest.raises(ConfigError) as raised:
        loaded(tmp_path, f"limits:\n  x: {entry}\n")
    assert told in raised.value.message


def test_a_limit_of_a_router_that_the_file_has_not_is_taken_with_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    rows = [f"  {name}: {{router: {router}, concurrency: 1}}\n" for name, router in {"x": "cheap", "y": "'*'"}.items()]
    for routers, warned in (("", True), ("routers: {cheap: {models: [ollama:m]}}\n", False)):
        path.write_text(HEAD + routers + "limits:\n" + "".join(rows))
        settings = load_settings(path, known=known_providers(), environment={})
        assert [one.router for one in settings.limits] == ["cheap", "*"]
        told = [line for line in settings.warnings if "limits" in line]
        assert ["5: limits.x.router: no router of this file is called 'cheap'" in line for line in told] == [
            True
        ] * warned


@pytest.mark.parametrize("place", ["redis://cache:6379/0", "unix:///run/redis.sock", "env:REDIS_URL"])
def test_a_redis_is_named_by_its_address_or_a_variable(tmp_path: Path, place: str) -> None:
    assert loaded(tmp_path, f"storage: {{redis: '{place}'}}\n") == ()


@pytest.mark.parametrize("place", ["redis://:hunter2@cache", "http://cache", "cache:6379", "env:"])
def test_what_names_no_redis_is_refused_and_no_password_repeated(tmp_path: Path, place: str) -> None:
    with pytest.raises(ConfigError) as raised:
        loaded(tmp_path, f"storage: {{redis: '{place}'}}\n")
    assert ":4: storage.redis: " in raised.value.message
    assert "hunter2" not in raised.value.message
